# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The weekly maintenance and the one on demand: check, run, run again; and what a run leaves to the next one."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import jsonschema
import pytest

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from tests.faults.estate import SCHEMAS, dead_rows, invalid_indexes, make_due

pytestmark = pytest.mark.lab
ROLE = "day2_maintenance"
WEEKLY = "weekly-database-maintenance"
ON_DEMAND = "database-maintenance"


def play(estate, playbook, *arguments, **extra):
    return estate.start(*arguments, playbook=playbook, **extra).wait()


def history(estate, target):
    path = estate.store / "v1" / "history" / f"{target}.json"
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(found, SCHEMAS["history-1.json"])
    return found


def learnt(told):
    """Without what each report remembers of its checks."""
    return {name: value for name, value in told.items() if name not in ("checks", "trends", "run_id", "updated")}


def plan(actions):
    return [(action["action"], action["subject"], action["reason"]) for action in actions]


@pytest.mark.parametrize("playbook", [WEEKLY, pytest.param(ON_DEMAND, marks=pytest.mark.soak)])
def test_check_then_run_then_run_again(estate, database, playbook):
    make_due(database)
    host = estate.add("db", database.login(ROLE), target_id="orders")
    before = dead_rows(database)

    check = play(estate, playbook, "--check")
    assert check.rc == 0 and dead_rows(database) == before, check.out
    rehearsed = check.actions(host)
    assert rehearsed and not history(estate, "orders"), "check mode leaves nothing"

    run = play(estate, playbook)
    assert run.rc == 0 and run.result["status"] == "ok", run.out
    assert plan(run.actions(host)) == plan(rehearsed)
    assert dead_rows(database) == 0 and invalid_indexes(database) == 0
    told = history(estate, "orders")
    assert told["run_id"] == estate.last and told["deferred"] == {"postgresql_maintenance": {}}
    done = {(action["action"], action["subject"]) for action in run.actions(host)}
    assert {(one["action"], one["subject"]) for one in told["outcomes"]} == done
    assert "public.ledger_pkey" in told["bytes_per_row"]

    again = play(estate, playbook)
    assert again.rc == 0 and again.actions(host) == [] and again.changed == 0, again.out
    assert learnt(history(estate, "orders")) == learnt(told), "nothing was learnt where nothing was done"


def test_what_is_left_is_counted_warned_of_and_done_first(estate, database):
    """A vacuum that fits no time left, but a later window; the store remembers it through runs that open nothing."""
    make_due(database)
    host = estate.add("db", database.login(ROLE), target_id="orders")
    # Hours by this rate, which somebody has learnt on a slower disk.
    estate.vars |= {"postgresql_maintenance_throughput": {"vacuum": 1000.0, "reindex": 1000.0, "analyze": 1000.0}}
    window = {"name": "short", "environment": "development", "risk": ["maintain"]}
    now = datetime.now(timezone.utc)
    span = {"start": (now - timedelta(hours=1)).isoformat(), "end": (now + timedelta(minutes=20)).isoformat()}
    month = [(now + timedelta(days=days)).isoformat() for days in (2, 32)]
    long = {**window, "name": "long", "start": month[0], "end": month[1]}
    estate.vars |= {"ops_windows": [{**window, **span}, long]}
    for times in (1, 2, 3):
        outcome = play(estate, WEEKLY)
        assert outcome.rc == 0, outcome.out
        counted = history(estate, "orders")["deferred"]["postgresql_maintenance"]
        assert counted["vacuum public.ledger"] == times
    warned = [
        check
        for line in outcome.lines(host)
        for check in line["checks"]
        if check["check"] == "postgresql_maintenance_deferred"
    ]
    assert warned and {check["status"] for check in warned} == {"warn"}

    # In time again: it is done, and forgotten.
    estate.vars["postgresql_maintenance_throughput"] = {}
    outcome = play(estate, WEEKLY)
    assert outcome.status(host) == "ok" and dead_rows(database) == 0, outcome.out
    assert history(estate, "orders")["deferred"] == {"postgresql_maintenance": {}}


@pytest.mark.soak
def test_what_fits_no_window_is_a_critical_finding(estate, database):
    make_due(database)
    host = estate.add("db", database.login(ROLE))
    estate.vars |= {
        "postgresql_maintenance_throughput": {"reindex": 1000.0},
        "postgresql_maintenance_max_window": 600,
    }
    outcome = play(estate, WEEKLY)
    assert outcome.rc == 2 and outcome.status(host) == "findings", outcome.out
    found = [check for line in outcome.lines(host) for check in line["checks"]]
    (check, *_more) = [check for check in found if check["check"] == "postgresql_maintenance_oversize"]
    assert check["subject"] == "public.ledger_pkey" and "index_bloat_ratio" in check["advice"]


def lasts(outcome, host):
    """Seconds from the beginning of a run to its deadline."""
    header = outcome.header(host)
    return (clock.parse(header["deadline"]) - clock.parse(header["started"])).total_seconds()


def test_on_demand_one_kind_of_one_database_for_so_long(estate, pg, new_database):
    """No window is open: a reason opens it, for ``duration`` and no longer."""
    databases = {name: new_database(pg) for name in ("db1", "db2")}
    for name, database in databases.items():
        make_due(database, rows=8000)
        estate.add(name, database.login(ROLE))
    make_due(databases["db2"], table="large")
    # By this rate the small table takes some four minutes, the large one twenty: too much for 600 s, not for 7200 s.
    estate.vars |= {"ops_windows": [], "postgresql_maintenance_throughput": {"analyze": 5000.0}}
    agreed = {"database": "db2", "ops_override_reason": "CHG-4711"}
    outcome = play(estate, ON_DEMAND, maintenance_type="analyze", duration=600, ops_override_duration=7200, **agreed)
    assert outcome.rc == 0 and list(outcome.result["targets"]) == ["db2"], outcome.out
    assert lasts(outcome, "db2") == pytest.approx(600, abs=30)
    found = {(one["action"], one["subject"]): one["status"] for one in outcome.actions("db2")}
    assert found == {("analyze", "public.ledger"): "done", ("analyze", "public.large"): "deferred"}, outcome.out
    # Without it, as long as for every other playbook; a type that does not exist is refused.
    outcome = play(estate, ON_DEMAND, maintenance_type="defragment", ops_override_duration=1800, **agreed)
    assert outcome.rc == 2 and "defragment" in outcome.error("db2")["message"], outcome.error("db2")
    assert lasts(outcome, "db2") == pytest.approx(1800, abs=30)
