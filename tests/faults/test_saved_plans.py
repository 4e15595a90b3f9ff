# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan is saved, read, approved: then exactly that runs. A plan that is not what was approved runs nothing."""

from __future__ import annotations

import json
import shutil
import stat
from datetime import timedelta

import jsonschema
import pytest

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.plugin_utils import _plans
from tests.faults.estate import SCHEMAS, dead_rows, make_due
from tests.lab import demo
from tests.lab.age import new_key

pytestmark = pytest.mark.lab
ROLE = "day2_maintenance"
NAME = "postgresql_maintenance.maintain-what-is-due.json"


def read(path):
    plan = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(plan, SCHEMAS["plan-1.json"])
    return plan


def told(actions):
    return {(action["action"], action["subject"]): action["status"] for action in actions}


def saved_plan(estate, database, *arguments, **extra):
    """The path of the plan that a run saves; by default one in check mode."""
    folder = estate.folder / "plans"
    outcome = estate.play(*(arguments or ("--check",)), ops_plan_out=str(folder), **extra)
    assert outcome.rc == 0, outcome.out
    return outcome, folder / "orders" / NAME


def test_what_is_approved_is_what_runs(estate, database):
    make_due(database)
    login = database.login(ROLE)
    host = estate.add("db", login, target_id="orders")
    before = dead_rows(database)

    check, path = saved_plan(estate, database)
    plan = read(path)
    assert dead_rows(database) == before and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == [NAME] and f"plan saved: {path}" in check.out
    assert told(plan["actions"]) == told(check.actions(host, "plan")) and set(told(plan["actions"]).values()) == {
        "planned"
    }
    assert login["login_password"] not in path.read_text(encoding="utf-8")

    make_due(database, table="late")
    due = dead_rows(database, "late")
    written = path.read_bytes()
    run = estate.play(ops_plan_in=str(path.parents[1]))
    assert run.rc == 0 and run.result["status"] == "deferred", run.out
    listed = {key for key, status in told(plan["actions"]).items()}
    for key, status in told(run.actions(host)).items():
        assert status == ("done" if key in listed else "deferred"), key
    assert listed < set(told(run.actions(host)))
    assert told(run.actions(host, "plan")) == {
        key: "planned" if status == "done" else status for key, status in told(run.actions(host)).items()
    }
    left = [action for action in run.actions(host) if action["status"] == "deferred"]
    assert left and all("the approved plan does not list it" in action["reason"] for action in left)
    assert dead_rows(database) == 0 and dead_rows(database, "late") == due
    assert path.read_bytes() == written and list(path.parent.iterdir()) == [path]
    # Saving or giving a plan is no other policy.
    assert run.header(host)["policy_hash"] == check.header(host)["policy_hash"]

    again = estate.play(ops_plan_in=str(path.parents[1]))
    assert again.rc == 0 and again.changed == 0 and dead_rows(database, "late") == due, again.out
    checks = [one for line in again.lines(host) for one in line["checks"] if one["check"] == "approved_plan"]
    assert checks and checks[0]["evidence"]["not_needed"] == len(listed) and checks[0]["evidence"]["due"] == 0
    assert checks[0]["evidence"]["plan"] == plan["content_hash"]


@pytest.mark.soak
def test_a_run_saves_its_rehearsal_and_not_its_second_look(estate, database):
    make_due(database)
    host = estate.add("db", database.login(ROLE), target_id="orders")
    run, path = saved_plan(estate, database, "--diff")
    assert set(told(run.actions(host)).values()) == {"done"} and dead_rows(database) == 0
    plan = read(path)
    assert set(told(plan["actions"])) == set(told(run.actions(host))) and plan["run_id"] == estate.last


def _tampered(path):
    path.write_text(path.read_text(encoding="utf-8").replace('"ledger"', '"other"').replace("ledger", "other"))


def _expired(path):
    plan = read(path)
    plan["planned"] = clock.iso(clock.now() - timedelta(days=7, minutes=1))
    plan["content_hash"] = _plans.content_hash(plan)
    path.write_text(json.dumps(plan), encoding="utf-8")


def _of_another_target(path):
    plan = read(path)
    plan["target"] = "billing"
    plan["content_hash"] = _plans.content_hash(plan)
    path.write_text(json.dumps(plan), encoding="utf-8")


@pytest.mark.soak
def test_a_plan_that_is_not_what_was_approved_runs_nothing(estate, database):
    make_due(database)
    host = estate.add("db", database.login(ROLE), target_id="orders")
    before = dead_rows(database)
    # Planned while no window is open, as one does.
    path = saved_plan(estate, database, "--check", ops_windows=[])[1]
    good = path.read_bytes()
    cases = [
        (_tampered, {}, "is damaged: its content is not what was written"),
        (_expired, {}, "and a plan is good for 7 days"),
        (_of_another_target, {}, "it was made for billing, not for orders"),
        (None, {"postgresql_maintenance_vacuum_min_dead_rows": 7}, "made with other options than the task has now"),
        # A server so slow that everything takes much longer than what was approved.
        (None, {"postgresql_maintenance_throughput": {"vacuum": 1e5, "reindex": 1e5}}, "seconds grew from"),
    ]
    for spoil, options, sentence in cases:
        path.write_bytes(good)
        if spoil:
            spoil(path)
        run = estate.play(ops_plan_in=str(path.parents[1]), **options)
        error = run.error(host)
        assert error["kind"] == "refused" and sentence in error["message"] and "lan again with" in error["message"]
        assert run.rc == 2 and run.status(host) == "refused" and dead_rows(database) == before, run.out
        assert run.changed == 0 and not any(action["started"] for action in run.actions(host, "plan")), run.out

    shutil.rmtree(path.parent)
    run = estate.play(ops_plan_in=str(path.parents[1]))
    assert run.rc == 2 and "ops_plan_in: there is no plan for orders" in run.error(host)["message"], run.out
    assert dead_rows(database) == before

    # The task's file was taken out: whoever approved the rest did not approve this.
    path.parent.mkdir()
    run = estate.play(ops_plan_in=str(path.parents[1]))
    assert run.rc == 0 and run.changed == 0 and dead_rows(database) == before, run.out
    assert {action["status"] for action in run.actions(host, "plan")} == {"deferred"}

    path.write_bytes(good)
    run = estate.play(ops_plan_in=str(path.parents[1]))
    assert run.rc == 0 and dead_rows(database) == 0, run.out


@pytest.mark.soak
def test_a_backup_and_its_proof_are_approved_like_anything_else(estate, database):
    key = new_key(estate.folder)
    tools = str(database.postgres.tool("pg_dump").parent)
    estate.vars |= {
        "postgresql_backup_engine": "pg_dump",
        "postgresql_backup_encryption": "age",
        "postgresql_backup_recipients": [key.public],
        "postgresql_backup_bin_dir": tools,
        "postgresql_backup_login": {
            "login_user": demo.BACKUP,
            "login_password": database.postgres.passwords[demo.BACKUP],
        },
        "postgresql_backup_verify_bin_dir": tools,
        "postgresql_backup_verify_identity_file": key.path,
    }
    host = estate.add("db", database.login(ROLE), target_id="orders")
    empty, plans = estate.folder / "empty", estate.folder / "plans"
    play = {"playbook": "backup-databases"}
    estate.play("--check", ops_plan_out=str(plans), **play)
    assert list(plans.glob("orders/postgresql_backup.*.json"))

    # A plan in which nothing of it stands: no backup is taken.
    (empty / "orders").mkdir(parents=True)
    left = estate.play(ops_plan_in=str(empty), **play)
    assert not list(estate.store.glob("v1/backups/**/manifest.json")), left.out
    assert {action["status"] for action in left.actions(host, "plan")} == {"deferred"}

    taken = estate.play(ops_plan_in=str(plans), **play)
    assert told(taken.actions(host)) == {("backup", "database"): "done"}, taken.out

    # The proof was planned for the first set, and means the newest one.
    estate.play("--check", ops_plan_out=str(plans), playbook="verify-backups")
    assert estate.play(postgresql_backup_force=True, **play).rc == 0
    newest = sorted(one.name for one in estate.store.glob("v1/backups/orders/*"))[-1]
    proven = estate.play(ops_plan_in=str(plans), playbook="verify-backups")
    done = [action for line in proven.lines(host) for action in line["actions"] if action["status"] == "done"]
    assert told(done) == {("verify_backup", newest): "done"}, proven.out
