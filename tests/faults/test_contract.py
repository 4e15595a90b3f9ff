# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The contract of a run: the rehearsal shows what the run does, the second run does nothing, --limit limits."""

from __future__ import annotations

import pytest

from tests.faults.estate import dead_rows, invalid_indexes, make_due
from tests.lab.fixtures import majors

pytestmark = pytest.mark.lab
ROLE = "day2_maintenance"


def plan(actions):
    return [(action["action"], action["subject"], action["reason"]) for action in actions]


@majors(18, soak=(14,))
def test_check_then_run_then_run_again(estate, database):
    make_due(database)
    host = estate.add("db", database.login(ROLE), target_id="orders")
    before = dead_rows(database)

    check = estate.play("--check", "--diff")
    assert check.rc == 0 and dead_rows(database) == before, check.out
    assert check.header(host)["check_mode"] and not list(estate.store.rglob("*.json*"))
    rehearsed = check.actions(host)
    assert rehearsed and {action["status"] for action in rehearsed} == {"planned"}

    run = estate.play()
    assert run.rc == 0 and run.result["status"] == "ok", run.out
    done = run.actions(host)
    assert {action["status"] for action in done} == {"done"}
    # What was rehearsed is what was done, for the same reasons.
    assert plan(rehearsed) == plan(done) == plan(run.actions(host, "plan"))
    assert dead_rows(database) == 0 and invalid_indexes(database) == 0
    assert run.changed > 0
    assert list(estate.store.glob("v1/runs/orders/*.jsonl")), "the record is kept under the target's own id"

    again = estate.play()
    assert again.rc == 0 and again.result["status"] == "ok"
    assert again.actions(host, "plan") == [] and again.actions(host) == []
    assert again.changed == 0
    assert {line["step"] for line in again.lines(host)} == {"preflight", "before", "plan", "open", "after"}


@pytest.mark.soak
def test_limit_runs_and_expects_only_those(estate, database):
    make_due(database, rows=8000)
    for name in ("db1", "db2", "db3"):
        estate.add(name, database.login(ROLE))
    outcome = estate.play("--limit", "db2")
    assert outcome.rc == 0, outcome.out
    assert list(outcome.result["targets"]) == ["db2"] and outcome.header("db2")["hosts_expected"] == ["db2"]


def test_who_why_and_from_where_is_in_the_record_and_on_the_server(estate, database):
    make_due(database)
    database.postgres.configure(log_statement="all", log_line_prefix="%a ")
    host = estate.add("db", database.login(ROLE))
    estate.vars |= {"ops_windows": [], "ops_override_reason": "CHG-4711"}
    try:
        outcome = estate.play()
    finally:
        database.postgres.configure(log_statement=None, log_line_prefix=None)
    header = outcome.header(host)
    assert header["override_reason"] == "CHG-4711" and header["who"]["user"] and len(header["policy_hash"]) == 64
    log = database.postgres.log()
    assert f"day2/{estate.last}/" in log
    secret = database.login(ROLE)["login_password"]
    assert secret not in log
