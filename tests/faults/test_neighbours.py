# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs beside each other, and targets that fail beside others."""

from __future__ import annotations

import signal

import pytest

from tests.faults.estate import at_work, dead_rows, make_due, normal_vacuum, slow_vacuum, until
from tests.lab import demo

pytestmark = pytest.mark.lab
ROLE = "day2_maintenance"


@pytest.mark.parametrize(
    "lease", [True, pytest.param(False, marks=pytest.mark.soak)], ids=["lease", "database-locks-alone"]
)
def test_a_second_run_is_refused_and_told_who_works_there(estate, database, lease):
    make_due(database)
    slow_vacuum(database)
    host = estate.add("db", database.login(ROLE))
    estate.vars["ops_lease"] = lease
    first = estate.start()
    mine = estate.last
    until(lambda: at_work(database), "vacuum begins")
    second = estate.play()
    assert second.rc == 2 and second.status(host) == "refused", second.out
    assert f"day2/{mine}" in second.error(host)["message"], second.error(host)
    assert at_work(database), "the second run disturbed the first"
    first.signal(signal.SIGTERM)
    first.wait()
    normal_vacuum(database)


@pytest.mark.soak
def test_two_targets_on_one_server_share_its_one_slot(estate, pg, new_database):
    databases = [new_database(pg) for _ in range(2)]
    for number, database in enumerate(databases):
        make_due(database)
        slow_vacuum(database, endless=False)
        estate.add(f"db{number}", database.login(ROLE))
    estate.vars["ops_rollout"] = ["100%"]
    outcome = estate.play()
    assert outcome.rc == 0, outcome.out
    heavy = [
        (action["started"], action["ended"], host)
        for host in estate.hosts
        for action in outcome.actions(host)
        if action["action"] in ("vacuum", "reindex") and action["status"] == "done"
    ]
    assert {host for _start, _end, host in heavy} == set(estate.hosts), "one of them was starved"
    for start, end, host in heavy:
        for other_start, other_end, other in heavy:
            assert host == other or end <= other_start or other_end <= start, heavy


def test_a_failing_canary_leaves_the_rest_untouched(estate, pg, new_database):
    databases = [new_database(pg) for _ in range(2)]
    for database in databases:
        make_due(database, rows=8000)
    estate.add("a-canary", {**databases[0].login(ROLE), "login_password": "not-the-password"})
    estate.add("b", databases[0].login(ROLE))
    estate.add("c", databases[1].login(ROLE))
    outcome = estate.play()
    assert outcome.rc == 2 and outcome.status("a-canary") == "failed"
    assert outcome.status("b") == outcome.status("c") == "deferred", outcome.result
    assert "a-canary" in outcome.error("b")["message"]
    assert dead_rows(databases[0]) > 0 and dead_rows(databases[1]) > 0

    # One failure allowed: the others are done, the exit status still tells.
    outcome = estate.play(ops_max_failed=2)
    assert outcome.rc == 2 and outcome.status("b") == outcome.status("c") == "ok", outcome.result
    assert dead_rows(databases[0]) == dead_rows(databases[1]) == 0


@pytest.mark.soak
def test_one_of_one_failing_still_gives_a_report(estate, database):
    host = estate.add("db", {**database.login(ROLE), "login_port": 1})
    outcome = estate.play()
    assert outcome.rc == 2 and outcome.status(host) == "failed"
    assert (outcome.folder / "report.html").exists() and "status: failed" in outcome.out


def test_failover_in_the_middle(estate, lab):
    """The endpoint moves to a promoted standby while a vacuum runs: nothing more is done there on old knowledge."""
    primary = lab.postgres(18, "failover")
    demo.create_roles(primary)
    primary.create_database("app", owner="orchestrator")
    from tests.lab.fixtures import Database

    database = Database(primary, "app")
    database.execute("CREATE EXTENSION pgstattuple")
    make_due(database)
    make_due(database, table="second")
    slow_vacuum(database)
    standby = lab.standby(primary, "failover-standby")
    primary.caught_up(standby)
    with lab.proxy(primary) as proxy:
        host = estate.add("db", {**database.login(ROLE), "login_host": proxy.host, "login_port": proxy.port})
        running = estate.start()
        until(lambda: at_work(database), "vacuum begins")
        primary.kill9()
        standby.promote()
        proxy.move((standby.host, standby.port))
        outcome = running.wait()
        assert outcome.rc == 2 and outcome.status(host) in ("failed", "stopped"), outcome.result
        after = Database(standby, "app")
        assert not any(action["status"] == "done" and action["action"] == "vacuum" for action in outcome.actions(host))
        assert dead_rows(after) > 0

        # The new primary gets its own clean run.
        normal_vacuum(after)
        again = estate.play()
        assert again.rc == 0, again.out
        # Of the first table most was gone when the old primary died; what is left there is below the threshold.
        assert dead_rows(after) < 1000 and dead_rows(after, "second") == 0
