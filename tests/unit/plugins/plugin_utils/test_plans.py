# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import stat
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest

from ansible_collections.day2.ops.plugins.module_utils._core import clock, records
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Refused
from ansible_collections.day2.ops.plugins.module_utils._core.records import ActionType
from ansible_collections.day2.ops.plugins.plugin_utils import _plans

SCHEMA = json.loads((Path(__file__).parents[4] / "docs/schemas/plan-1.json").read_text(encoding="utf-8"))
NOW = clock.parse("2026-11-21T02:00:00Z")
VACUUM = ActionType("vacuum", "maintain", ("seconds", "freeze"))
ARGS = {"login_host": "db1", "login_password": "hunter2", "login_db": "orders", "vacuum_dead_ratio": 0.1}
ABOUT = {"host": "db1", "playbook": "monthly-maintenance", "run_id": "r1"}


def key(target="orders", module="postgresql_maintenance", task="Maintain what is due", step="run", **args):
    return _plans.key_of(target, module, task, step, {**ARGS, **args}, looped=False)


def vacuum(subject, **more):
    return VACUUM.plan(subject, "due", predicted={"seconds": 1.5, "freeze": False}, **more)


def saved(folder, one=None, actions=None, now=NOW):
    one = one or key()
    actions = [vacuum("a")] if actions is None else actions
    return Path(_plans.save(str(folder), one, _plans.made(one, ABOUT, actions, now)))


def test_a_plan_is_written_whole_for_its_owner_and_conforms(tmp_path):
    done = records.finish(records.begin(vacuum("done")), {"seconds": 2.0})
    failed = records.fail(records.begin(vacuum("failed")), "no")
    late, left = records.defer(vacuum("late"), "no time"), records.skip(vacuum("left"), "somebody builds it")
    path = saved(tmp_path / "plans", actions=[vacuum("a"), done, failed, late, left])
    assert path == tmp_path / "plans/orders/postgresql_maintenance.maintain-what-is-due.json"
    plan = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(plan, SCHEMA)
    told = {action["subject"]: action["status"] for action in plan["actions"]}
    assert told == {"a": "planned", "done": "planned", "failed": "planned", "late": "deferred"}
    assert plan["planned"] == "2026-11-21T02:00:00Z" and plan["expires"] == "2026-11-28T02:00:00Z"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert os.listdir(path.parent) == [path.name] and "hunter2" not in path.read_text(encoding="utf-8")


def test_what_was_written_is_what_is_approved(tmp_path):
    path = saved(tmp_path)
    given = _plans.approved(str(tmp_path), key(), NOW + timedelta(days=6))
    assert given["id"] == json.loads(path.read_text(encoding="utf-8"))["content_hash"]
    assert given["name"] == path.stem and given["planned"] == "2026-11-21T02:00:00Z"
    predicted = {"seconds": 1.5, "freeze": False}
    assert given["actions"] == [{"action": "vacuum", "subject": "a", "status": "planned", "predicted": predicted}]


def test_an_empty_plan_is_a_plan_too(tmp_path):
    saved(tmp_path, actions=[])
    given = _plans.approved(str(tmp_path), key(), NOW)
    assert given["id"] and given["actions"] == []


def test_a_task_without_a_file_was_not_approved(tmp_path):
    saved(tmp_path)
    given = _plans.approved(str(tmp_path), key(task="Another"), NOW)
    assert given["id"] is None and given["actions"] == []


def _add(plan):
    plan["actions"].append({**plan["actions"][0], "subject": "b"})


def _later(plan):
    plan["planned"] = plan["expires"]


@pytest.mark.parametrize("tamper", [_add, _later, lambda plan: plan.pop("content_hash"), lambda plan: plan.clear()])
def test_a_plan_that_was_touched_is_refused(tmp_path, tamper):
    path = saved(tmp_path)
    plan = json.loads(path.read_text(encoding="utf-8"))
    tamper(plan)
    path.write_text(json.dumps(plan), encoding="utf-8")
    # Also by another task of the target, so that nothing runs before it is found.
    for one in (key(), key(task="Another")):
        with pytest.raises(Refused, match=rf"{path}: it is damaged: its content .*\. Plan again with ops_plan_out"):
            _plans.approved(str(tmp_path), one, NOW)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', "\x00"])
def test_a_file_that_is_no_plan_is_refused(tmp_path, text):
    saved(tmp_path).write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match="it is damaged"):
        _plans.approved(str(tmp_path), key(), NOW)


def test_formatting_is_no_damage(tmp_path):
    path = saved(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")
    assert _plans.approved(str(tmp_path), key(), NOW)["id"]


@pytest.mark.parametrize("days", [7.01, 400, -1])
def test_a_plan_is_good_for_seven_days(tmp_path, days):
    saved(tmp_path)
    with pytest.raises(Refused, match="it is of 2026-11-21T02:00:00Z, and a plan is good for 7 days"):
        _plans.approved(str(tmp_path), key(), NOW + timedelta(days=days))


def test_a_plan_of_another_target_is_refused(tmp_path):
    saved(tmp_path)
    (tmp_path / "orders").rename(tmp_path / "billing")
    with pytest.raises(Refused, match="it was made for orders, not for billing"):
        _plans.approved(str(tmp_path), key(target="billing"), NOW)


def test_a_plan_under_the_name_of_another_task_is_refused(tmp_path):
    path = saved(tmp_path)
    path.rename(path.with_name(f"{key(module='store_sweep').name}.json"))
    with pytest.raises(Refused, match="made for the task 'Maintain what is due' of day2"):
        _plans.approved(str(tmp_path), key(module="store_sweep"), NOW)


@pytest.mark.parametrize("args", [{"vacuum_dead_ratio": 0.2}, {"tables": ["a"]}, {"login_db": "billing"}])
def test_a_plan_of_another_policy_is_refused(tmp_path, args):
    saved(tmp_path)
    with pytest.raises(Refused, match="it was made with other options than the task has now"):
        _plans.approved(str(tmp_path), key(**args), NOW)


@pytest.mark.parametrize(
    "args",
    [
        {"login_host": "db2", "login_port": 5433, "port": 5433, "login_password": "other", "ca_cert": "/x"},
        {"store": "s3://b", "access_key": "A", "aws_secret_access_key": "B", "endpoint_url": "https://x"},
        {"run": {"id": "r2"}, "assume_actions": [{"action": "x"}], "throughput": {"vacuum": 5}, "api_token": "T"},
        {"history": {"rates": {}}, "max_window": 3600.0, "verify_host": {"login_host": "x"}},
    ],
)
def test_connections_secrets_and_the_run_are_no_policy(args):
    assert key(**args).policy == key().policy


def test_neither_are_they_inside_of_other_options():
    inner = {"stanza": "main", "repo_cipher_pass": "hunter2", "login_host": "a"}
    assert _plans.deciding({"pgbackrest": inner, "hosts": [inner]}) == {
        "pgbackrest": {"stanza": "main"},
        "hosts": [{"stanza": "main"}],
    }


def test_without_a_plan_for_the_target_nothing_runs(tmp_path):
    with pytest.raises(BadInput, match=f"ops_plan_in: there is no plan for orders in {tmp_path}; make one with"):
        _plans.approved(str(tmp_path), key(), NOW)


def test_a_failed_task_leaves_no_plan_to_approve(tmp_path):
    path = saved(tmp_path)
    _plans.save(str(tmp_path), key(), None)
    _plans.save(str(tmp_path), key(), None)
    assert not path.exists()


def test_tasks_and_steps_do_not_collide():
    names = [
        key().name,
        key(task="Maintain what else is due").name,
        key(module="store_sweep").name,
        key(step="before").name,
        key(step="after").name,
        key(task="維持").name,
        key(task="保守").name,
        _plans.key_of("t", "store_sweep", "Sweep", "", {"a": 1}, looped=True).name,
        _plans.key_of("t", "store_sweep", "Sweep", "", {"a": 2}, looped=True).name,
    ]
    assert len(set(names)) == len(names)
    assert key(step="plan").name == key(step="run").name == key(step="").name


@pytest.mark.parametrize("target", ["../x", "a/b", "", ".hidden"])
def test_a_target_cannot_lead_out_of_the_folder(target):
    with pytest.raises(BadInput, match="target_id: "):
        key(target=target)


@pytest.mark.parametrize(
    ("module", "acts"),
    [("postgresql_maintenance", True), ("postgresql_health_info", False), ("run_open", False), ("report", False)],
)
def test_only_modules_that_act_have_plans(module, acts):
    assert _plans.acts(module) is acts


def test_an_approved_plan_is_not_overwritten(tmp_path):
    with pytest.raises(BadInput, match="ops_plan_out: it is the folder of ops_plan_in"):
        _plans.check_folders(str(tmp_path), f"{tmp_path}/.")
    _plans.check_folders(str(tmp_path), str(tmp_path / "next"))


def test_a_folder_that_cannot_be_written_to_is_found_before_the_work(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BadInput, match=r"ops_plan_out: the folder .*file/plans cannot be made"):
        _plans.check_folders(None, str(tmp_path / "file" / "plans"))
    with pytest.raises(OpsError, match=r"Failed to write the plan .*give another ops_plan_out"):
        saved(tmp_path / "file")
