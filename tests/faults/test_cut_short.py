# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work cut short by the window, a stop order, a signal or a kill: the server stops too, and the next run finishes."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import ansible_runner
import pytest

from tests.faults.estate import TOP, at_work, dead_rows, invalid_indexes, make_due, normal_vacuum, slow_vacuum, until

pytestmark = pytest.mark.lab
ROLE = "day2_maintenance"


def window_for(seconds):
    now = datetime.now(timezone.utc)
    end = now + timedelta(seconds=seconds)
    once = {"start": (now - timedelta(hours=1)).isoformat(), "end": end.isoformat()}
    return [{"name": "short", "environment": "development", "risk": ["maintain"], **once}]


def module_process(controller):
    """The process of the module at work: the last one in the line that begins with its controller."""
    children = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[1])
        except FileNotFoundError:
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    line = [controller]
    while line[-1] in children:
        line.append(children[line[-1]][-1])
    assert len(line) > 2, "the controller has no worker with a module"
    return line[-1]


def finishes(estate, database, host):
    """A clean run afterwards does what was left, at once, and leaves nothing behind."""
    normal_vacuum(database)
    outcome = estate.play()
    assert outcome.rc == 0 and outcome.status(host) == "ok", outcome.out
    assert dead_rows(database) == 0 and invalid_indexes(database) == 0
    return outcome


@pytest.mark.soak
def test_a_closed_window_refuses_and_says_when_it_opens(estate, database):
    make_due(database, rows=8000)
    host = estate.add("db", database.login(ROLE))
    opens = datetime.now(timezone.utc) + timedelta(days=2)
    closes = opens + timedelta(hours=2)
    window = {"name": "sunday", "environment": "development", "risk": ["maintain"]}
    estate.vars["ops_windows"] = [{**window, "start": opens.isoformat(), "end": closes.isoformat()}]
    before = dead_rows(database)
    outcome = estate.play()
    assert outcome.rc == 2 and outcome.status(host) == "refused"
    message = outcome.error(host)["message"]
    assert f"{opens:%Y-%m-%d}" in message and "ops_override_reason" in message, message
    assert dead_rows(database) == before and not outcome.actions(host)

    # The rehearsal works outside the window, and says that the run would not.
    check = estate.play("--check")
    assert check.rc == 0 and check.actions(host), check.out

    # With a reason it runs, and the reason is on the record.
    outcome = estate.play(ops_override_reason="CHG-1 agreed with the owner")
    assert outcome.rc == 0 and outcome.header(host)["override_reason"] == "CHG-1 agreed with the owner"
    assert dead_rows(database) == 0


def test_the_windows_end_stops_the_work_and_the_next_run_takes_it_up(estate, database):
    make_due(database)
    slow_vacuum(database)
    host = estate.add("db", database.login(ROLE))
    estate.vars |= {"ops_windows": window_for(50), "ops_close_reserve": 0}
    running = estate.start()
    until(lambda: at_work(database), "vacuum begins")
    outcome = running.wait()
    assert outcome.rc == 0 and outcome.status(host) == "deferred", outcome.out
    left = [action for action in outcome.actions(host) if action["status"] == "deferred"]
    assert left and "deadline" in left[-1]["reason"], left
    assert not at_work(database, "")
    end = datetime.fromisoformat(outcome.header(host)["deadline"].replace("Z", "+00:00"))
    worked = [line for line in outcome.lines(host) if line["step"] == "run"]
    assert datetime.fromisoformat(worked[-1]["ended"].replace("Z", "+00:00")) <= end + timedelta(seconds=4)
    estate.vars["ops_windows"] = window_for(600)
    finishes(estate, database, host)


@pytest.mark.parametrize("where", ["store", pytest.param("database", marks=pytest.mark.soak)])
def test_a_stop_order_stops_work_within_15_seconds_and_blocks_new_starts(estate, database, where):
    make_due(database)
    slow_vacuum(database)
    host = estate.add("db", database.login(ROLE), target_id="orders")
    if where == "database":
        database.execute("CREATE SCHEMA day2")
        database.execute("CREATE TABLE day2.stop (target_id text PRIMARY KEY, reason text NOT NULL, until timestamptz)")
        database.execute("GRANT USAGE ON SCHEMA day2 TO day2_maintenance")
        database.execute("GRANT SELECT ON day2.stop TO day2_maintenance")
    running = estate.start()
    until(lambda: at_work(database), "vacuum begins")
    if where == "database":
        database.execute("INSERT INTO day2.stop VALUES ('orders', 'incident 7', now() + interval '1 hour')")
    else:
        (estate.store / "v1" / "stop").mkdir(parents=True)
        (estate.store / "v1" / "stop" / "_all").write_text("incident 7", encoding="utf-8")
    ordered = time.monotonic()
    until(lambda: not at_work(database), "the server stops", 15)
    assert time.monotonic() - ordered < 15
    outcome = running.wait()
    assert outcome.rc == 2 and outcome.status(host) == "stopped", outcome.result
    assert "incident 7" in outcome.error(host)["message"]

    blocked = estate.play()
    assert blocked.rc == 2 and blocked.status(host) == "refused", blocked.result
    assert "incident 7" in blocked.error(host)["message"] and not blocked.actions(host)

    if where == "database":
        database.execute("DELETE FROM day2.stop")
    else:
        (estate.store / "v1" / "stop" / "_all").unlink()
    finishes(estate, database, host)


@pytest.mark.parametrize(
    ("victim", "number", "seconds"),
    [
        ("controller", signal.SIGINT, 5),
        pytest.param("controller", signal.SIGTERM, 5, marks=pytest.mark.soak),
        ("controller", signal.SIGKILL, 15),
        pytest.param("module", signal.SIGTERM, 5, marks=pytest.mark.soak),
        pytest.param("module", signal.SIGKILL, 15, marks=pytest.mark.soak),
    ],
)
def test_killed_in_the_middle_of_a_vacuum(estate, database, victim, number, seconds):
    make_due(database)
    slow_vacuum(database)
    host = estate.add("db", database.login(ROLE))
    running = estate.start()
    until(lambda: at_work(database), "vacuum begins")
    pid = running.process.pid
    os.kill(module_process(pid) if victim == "module" else pid, number)
    until(lambda: not at_work(database, ""), "the server stops", seconds)
    outcome = running.wait()
    assert outcome.rc != 0
    if victim == "module":
        assert outcome.status(host) in ("failed", "stopped"), outcome.result
    finishes(estate, database, host)


@pytest.mark.parametrize("victim", [pytest.param("controller", marks=pytest.mark.soak), "module"])
def test_killed_in_the_middle_of_a_rebuild(estate, database, victim):
    """A rebuild that waits for an old transaction is where it stays longest; its invalid index must not survive."""
    make_due(database)
    host = estate.add("db", database.login(ROLE))
    running = estate.start()
    with database.connect(autocommit=False) as blocker, blocker.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM ledger")
        until(lambda: at_work(database, "REINDEX") and invalid_indexes(database), "rebuild waits")
        pid = running.process.pid
        os.kill(module_process(pid) if victim == "module" else pid, signal.SIGKILL)
        until(lambda: not at_work(database, ""), "the server stops", 15)
        blocker.rollback()
    running.wait()
    assert invalid_indexes(database) > 0, "nothing was left behind, so this proves nothing"
    outcome = finishes(estate, database, host)
    assert "drop_index" in {action["action"] for action in outcome.actions(host) if action["status"] == "done"}


def test_ansible_runner_cancels_as_awx_does(estate, database):
    make_due(database)
    slow_vacuum(database)
    host = estate.add("db", database.login(ROLE))
    seen = []

    def cancel():
        if at_work(database):
            seen.append(time.monotonic())
        return bool(seen)

    (estate.folder / "runner").mkdir()
    run = ansible_runner.run(
        private_data_dir=str(estate.folder / "runner"),
        playbook=str(TOP / "playbooks" / "monthly-maintenance.yml"),
        inventory=str(estate.inventory()),
        envvars=estate.environment(),
        cancel_callback=cancel,
        quiet=True,
    )
    assert run.status == "canceled"
    until(lambda: not at_work(database, ""), "the server stops", 15)
    finishes(estate, database, host)
