# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work on a real server: over several connections, behind locks and holders, and what interrupted work has left."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest

from tests.lab import demo
from tests.unit.plugins.module_utils._postgresql.place import Place, statuses

pytestmark = pytest.mark.lab
SMALL = {"index_min_bytes": 1 << 20}
ONLY_VACUUM = {"operations": ["vacuum"], "tables": ["orders"]}


def add_tables(place: Place, count: int) -> None:
    for number in range(count):
        for statement in (
            f"CREATE TABLE t{number} (id int PRIMARY KEY, note text) WITH (autovacuum_enabled = off)",
            f"INSERT INTO t{number} SELECT g, repeat('x', 40) FROM generate_series(1, 60000) g",
            f"DELETE FROM t{number} WHERE id % 2 = 0",
        ):
            place.database.execute(statement, user=demo.OWNER)


@contextlib.contextmanager
def locked(place: Place, mode: str = "SHARE UPDATE EXCLUSIVE", table: str = "orders") -> Iterator[Callable[[], None]]:
    connection = place.database.connect(autocommit=False)
    connection.cursor().execute(f"LOCK TABLE {table} IN {mode} MODE")
    try:
        yield connection.rollback
    finally:
        connection.close()


def sampled(place: Place, statement: str, over: threading.Event) -> list[Any]:
    """What a question answers, ten times a second until the end."""
    seen = []
    while not over.wait(0.1):
        seen.append(place.database.value(statement))
    return seen


def test_several_connections_share_the_work_and_the_budget(place: Place, slow: None) -> None:
    add_tables(place, 4)
    time.sleep(1.0)
    over, seen = threading.Event(), []
    question = (
        "SELECT count(DISTINCT a.pid) FROM pg_stat_progress_vacuum p JOIN pg_stat_activity a USING (pid) "
        "WHERE a.application_name LIKE 'day2/%%'"
    )
    watcher = threading.Thread(target=lambda: seen.extend(sampled(place, question, over)))
    watcher.start()
    result = place.maintain(jobs=3, vacuum_cost_limit=3000, operations=["vacuum"])
    over.set()
    watcher.join()
    assert result["error"] is None and {status for _, status in statuses(result)} == {"done"}
    assert len(result["actions"]) == 5 and max(seen) in (2, 3), seen
    assert place.maintain(jobs=3, operations=["vacuum"])["actions"] == []


# Called for each row that an analyze looks at, in the session that works: what its settings are, for the server's log.
SPY = """
CREATE FUNCTION spy(id int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    RAISE LOG 'spy: % works at %', pg_backend_pid(), current_setting('vacuum_cost_limit');
    PERFORM pg_sleep(0.2);
    RETURN id;
END $$
"""


def test_each_connection_works_at_its_share_of_the_cost_limit(place: Place) -> None:
    place.database.execute(SPY, user=demo.OWNER)
    for table in ("a", "b"):
        for statement in (
            f"CREATE TABLE {table} (id int)",
            f"CREATE INDEX ON {table} (spy(id))",
            f"INSERT INTO {table} SELECT generate_series(1, 3)",
        ):
            place.database.execute(statement, user=demo.OWNER)
    given = {"operations": ["vacuum", "analyze"], "tables": ["a", "b"], "scope": "all"}
    whole = place.database.value("SELECT current_setting('vacuum_cost_limit')::int")
    for limit, jobs in ((None, 1), (None, 2), (300, 2)):
        mark = len(place.database.postgres.log())
        result = place.maintain(jobs=jobs, vacuum_cost_limit=limit, **given)
        assert statuses(result) == [("vacuum", "done")] * 2, result
        spied = set(re.findall(r"spy: (\d+) works at (\d+)", place.database.postgres.log()[mark:]))
        share = str((limit or whole) // jobs)
        assert len(spied) == jobs and {at for _pid, at in spied} == {share}, spied


def test_a_signal_ends_the_work_of_all_connections(place: Place, slow: None) -> None:
    add_tables(place, 3)
    module = place.start(jobs=3, operations=["vacuum"], vacuum_cost_limit=30)
    place.until_running("VACUUM")
    time.sleep(1.0)
    began = time.monotonic()
    module.process.terminate()
    result = module.result()
    place.until_gone("VACUUM", 5.0)
    assert time.monotonic() - began < 6 and result["error"]["kind"] == "stopped"
    assert {status for _, status in statuses(result)} == {"deferred"}


def test_connections_of_one_run_do_not_brake_each_other(place: Place) -> None:
    """A rebuild waits for the transactions of the others; that is no reason to cancel them."""
    add_tables(place, 4)
    time.sleep(1.0)
    result = place.maintain(jobs=4, lock_timeout=0.5, index_min_bytes=1 << 19)
    assert {status for _, status in statuses(result)} == {"done"}, result["actions"]
    assert place.invalid() == []


def test_a_plan_of_one_table_needs_one_connection(place: Place) -> None:
    result = place.maintain(jobs=8, **ONLY_VACUUM)
    assert statuses(result) == [("vacuum", "done")]


def test_the_first_lock_of_a_rebuild_is_tried_a_few_times_and_given_up(place: Place) -> None:
    with locked(place):
        began = time.monotonic()
        result = place.maintain(lock_timeout=0.5, operations=["reindex"], tables=["orders"], scope="all")
        assert time.monotonic() - began < 15
    assert statuses(result) == [("reindex", "deferred")] and place.invalid() == []
    assert "kept it locked through 3 tries of 0.5 s" in result["actions"][0]["reason"]


def test_a_lock_that_is_let_go_is_taken_at_a_later_try(place: Place) -> None:
    with locked(place) as let_go:
        module = place.start(lock_timeout=1, operations=["reindex"], tables=["orders"], scope="all")
        place.until_running("REINDEX")
        time.sleep(1.3)
        let_go()
        assert statuses(module.result()) == [("reindex", "done")]


def test_the_waits_of_a_rebuild_for_others_are_not_cut_by_the_lock_timeout(place: Place) -> None:
    """Ten times the lock timeout behind somebody's open transaction, which a rebuild has to outwait."""
    writer = place.database.connect(autocommit=False)
    writer.cursor().execute("UPDATE orders SET note = 'y' WHERE id = 1")
    module = place.start(lock_timeout=0.3, operations=["reindex"], tables=["orders"], scope="all")
    place.until_running("REINDEX")
    time.sleep(3.0)
    # It waits for a transaction, not for the table: nobody queues behind it.
    began = time.monotonic()
    place.database.execute("INSERT INTO orders VALUES (-1, 'new')", user=demo.OWNER)
    assert time.monotonic() - began < 1.0
    writer.commit()
    writer.close()
    assert statuses(module.result()) == [("reindex", "done")]


def test_a_vacuum_that_removed_nothing_has_failed_and_names_the_holder(place: Place) -> None:
    """The holder came after the last vacuum, so that only the attempt shows that it holds everything."""
    holder = place.database.connect()
    holder.cursor().execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
    place.database.execute("INSERT INTO orders SELECT g, 'x' FROM generate_series(400001, 700000) g", user=demo.OWNER)
    place.database.execute("VACUUM orders")
    place.database.execute("DELETE FROM orders WHERE id > 400000", user=demo.OWNER)
    place.until_counted(300_000)
    place.database.execute("SELECT pg_stat_reset_single_table_counters('orders'::regclass)")
    place.database.execute("DELETE FROM orders WHERE id % 5 = 1", user=demo.OWNER)
    time.sleep(1.0)
    result = place.maintain(operations=["vacuum"], tables=["orders"], holders="report")
    pid = holder.info.backend_pid
    holder.close()
    action = result["actions"][0]
    assert action["status"] == "failed" and result["error"]["kind"] == "failed", action
    assert f"(pid {pid})" in action["error"]
    assert action["after"]["held_by"] and "could not be removed while the transaction of" in result["msg"]


def test_a_holder_is_waited_for_when_that_is_the_policy(place: Place, hold: Callable[[], None]) -> None:
    time.sleep(1.1)
    module = place.start(
        holders="wait", holders_wait=30, max_transaction_age=1, operations=["reindex", "vacuum"], **SMALL
    )
    time.sleep(4.0)
    assert module.process.poll() is None and place.invalid() == []
    hold()
    result = module.result()
    assert ("reindex", "done") in statuses(result)


def test_a_holder_that_stays_is_named_when_the_wait_is_over(place: Place, hold: Callable[[], None]) -> None:
    time.sleep(1.1)
    result = place.maintain(holders="wait", holders_wait=2, max_transaction_age=1, **SMALL)
    assert statuses(result)[0] == ("reindex", "deferred")
    assert "was still open after 2 s" in result["actions"][0]["reason"]
    assert [check["status"] for check in result["checks"] if check["check"] == "postgresql_maintenance_holders"]


LONG = "i" * 60


def test_every_kind_of_leftover_is_removed(place: Place) -> None:
    database = place.database
    database.execute(f'CREATE INDEX "{LONG}" ON orders (note)', user=demo.OWNER)
    database.execute("UPDATE orders SET note = repeat(md5(id::text), 400) WHERE id < 200", user=demo.OWNER)
    toast = database.value("SELECT reltoastrelid::regclass::text FROM pg_class WHERE relname = 'orders'")
    for index in ("orders_pkey", "orders_pkey", f'"{LONG}"', f"{toast}_index"):
        leave_one(place, index)
    database.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'orders_pkey_ccnew1'::regclass")
    database.execute("ALTER INDEX orders_pkey_ccnew1 RENAME TO orders_pkey_ccold")
    left = place.invalid()
    assert len(left) == 4 and "orders_pkey_ccold" in left and "orders_pkey_ccnew" in left, left
    cut = [name for name in left if name.startswith("iii")]
    assert len(cut) == 1 and len(cut[0]) == 63 and cut[0].endswith("_ccnew")
    assert [name for name in left if name.startswith("pg_toast.")]
    database.execute(f"GRANT USAGE ON SCHEMA pg_toast TO {demo.MAINTENANCE}")
    result = place.maintain(operations=["drop_index"])
    database.execute(f"REVOKE USAGE ON SCHEMA pg_toast FROM {demo.MAINTENANCE}")
    assert statuses(result) == [("drop_index", "done")] * 4, result
    assert place.invalid() == []


def leave_one(place: Place, index: str) -> None:
    """What an interrupted rebuild leaves: it is ended while it waits for somebody's snapshot."""
    holder = place.database.connect()
    holder.cursor().execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM orders")
    before = len(place.invalid())
    worker = place.database.connect()
    worker.cursor().execute("SET statement_timeout = '3s'")
    with pytest.raises(psycopg2.Error):
        worker.cursor().execute(f"REINDEX INDEX CONCURRENTLY {index}")
    holder.close()
    worker.close()
    assert len(place.invalid()) == before + 1


def test_what_somebody_is_building_is_left_alone(place: Place, hold: Callable[[], None]) -> None:
    builder = place.database.connect()
    work = threading.Thread(target=lambda: builder.cursor().execute("REINDEX INDEX CONCURRENTLY orders_pkey"))
    work.start()
    place.until_running("REINDEX")
    time.sleep(1.0)
    assert place.invalid() == ["orders_pkey_ccnew"]
    result = place.maintain(operations=["drop_index"])
    assert statuses(result) == [("drop_index", "skipped")]
    assert f"pid {builder.info.backend_pid} is building it" in result["actions"][0]["reason"]
    assert place.invalid() == ["orders_pkey_ccnew"]
    hold()
    work.join()
    builder.close()
    assert place.invalid() == []
