# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong with maintenance elsewhere, each as a case: nobody queues, nothing is claimed that was not done."""

# 1   a rebuild, and all queue behind it   nobody_queues_behind_us_...; test_exclusive: behind_a_lock_...
# 2   an interrupted one leaves debris     killed_in_any_phase_...; test_kills; test_act: every_kind_of_leftover_...
# 3   lock_timeout ends its waits          test_act: the_waits_of_a_rebuild_for_others_..., the_first_lock_...
# 4   leftovers become valid duplicates    killed_in_any_phase_...; test_plan: rebuilds_come_before_...
# 5   cut names, TOAST, a live build       test_act: every_kind_of_leftover_..., what_somebody_is_building_...
# 6   it waits for any old transaction     test_server: a_rebuild_does_not_wait_...; test_act: a_holder_...
# 7   14.0 to 14.3 corrupt indexes         test_plan: indexes_are_held_back_..., what_locks_others_out_...
# 8   a vacuum that removes nothing        test_act: a_vacuum_that_removed_nothing_...; test_holders
# 9   what is skipped counts as done       what_the_server_skips_has_failed; test_server: a_missing_grant_...
# 10  counters are lost                    test_find: without_statistics_..., a_server_that_crashed_...
# 11  dead entries count as density        what_a_rebuild_brings_is_predicted
# 12  truncation fights readers            vacuum_does_not_fight_readers_...
# 13  nothing is given back                space_that_can_be_used_again_...
# 14  timeouts of the role, poolers        limits_of_the_role_...; a_pooler_that_shares_sessions_...
# 15  what cannot be rebuilt beside others test_exclusive; test_find: every_kind_of_index_...
# 16  each connection has its own budget   test_act: each_connection_works_at_its_share_...; test_crew
# 17  blockers are killed                  who_is_in_our_way_is_never_ended
# 18  another sort order                   a_collation_that_sorts_otherwise_now_is_told
# 19  upgraded under a running server      what_waits_for_a_restart_is_told; test_health_lab: extensions_...

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab import demo
from tests.lab.lab import Lab
from tests.unit.plugins.module_utils._postgresql.place import Place, statuses

pytestmark = pytest.mark.lab
SMALL = {"index_min_bytes": 1 << 20}
ONE = {"tables": ["orders"]}


@pytest.fixture
def statements(place: Place) -> Iterator[Callable[[], list[str]]]:
    """The statements that the server was given from now on, with who sent them."""
    server = place.database.postgres
    server.configure(log_statement="all", log_line_prefix="%a|")
    mark = len(server.log())

    def since() -> list[str]:
        return server.log()[mark:].splitlines()

    yield since
    server.configure(log_statement=None, log_line_prefix=None)


def test_nobody_queues_behind_us_and_we_behind_nobody(place: Place, statements: Callable[[], list[str]]) -> None:
    """A long reader on the table, and the application beside it, while everything is vacuumed and rebuilt."""
    reader = place.database.connect(autocommit=False)
    reader.cursor().execute("SELECT count(*) FROM orders")
    slowest, over = [0.0], threading.Event()

    def application() -> None:
        number = 1_000_000
        while not over.wait(0.05):
            number, began = number + 1, time.monotonic()
            place.database.execute("SELECT note FROM orders WHERE id = 3", user=demo.OWNER)
            place.database.execute("INSERT INTO orders VALUES (%s, 'new')", [number], user=demo.OWNER)
            slowest[0] = max(slowest[0], time.monotonic() - began)

    beside = threading.Thread(target=application)
    beside.start()
    module = place.start(**SMALL, **ONE)
    place.until_running("REINDEX")
    time.sleep(2.0)
    reader.rollback()
    result = module.result()
    over.set()
    beside.join()
    reader.close()
    assert {status for _, status in statuses(result)} == {"done"}, result["actions"]
    assert slowest[0] < 1.0, f"the application waited {slowest[0]:.1f} s"
    ours = [line for line in statements() if line.startswith("day2/")]
    blocking = [line for line in ours if ("REINDEX" in line and "CONCURRENTLY" not in line) or "VACUUM (FULL" in line]
    assert not blocking and [line for line in ours if "REINDEX INDEX CONCURRENTLY" in line]


# Whom a rebuild waits for, one after the other, and in which phase of it; the last one holds it while it is killed.
WRITER, READER = "UPDATE orders SET note = 'y' WHERE id = 1", "SELECT count(*) FROM orders"
BUILD = ("SELECT pg_advisory_xact_lock(2)", "building index")
MARK = (READER, "waiting for readers before marking dead")
PHASES = {
    "writers": [(WRITER, "waiting for writers before build")],
    "build": [BUILD],
    "later-writers": [BUILD, (WRITER, "waiting for writers before validation")],
    "snapshots": [("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1", "waiting for old snapshots")],
    "readers": [MARK],
    "later-readers": [MARK, (READER, "waiting for readers before dropping")],
}
LONGER = ("build", "readers")  # of which the others are longer forms


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=name, marks=[pytest.mark.soak] if name in LONGER else []) for name, path in PHASES.items()],
)
def test_killed_in_any_phase_the_next_run_leaves_no_invalid_index(place: Place, path: list[tuple[str, str]]) -> None:
    for statement in (
        "CREATE FUNCTION held(bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_advisory_xact_lock_shared(2); RETURN $1; END'",
        "CREATE INDEX orders_held ON orders (held(id)) WHERE id = 3",
    ):
        place.database.execute(statement, user=demo.OWNER)
    there = "SELECT count(*) FROM pg_stat_progress_create_index WHERE phase ^@ %s AND %s = ANY (pg_blocking_pids(pid))"
    with contextlib.ExitStack() as stack:
        holders = [stack.enter_context(contextlib.closing(place.database.connect(autocommit=False))) for _ in path]
        for number, (blocker, phase) in enumerate(path):
            holders[number].cursor().execute(blocker)
            if number:  # it came while the one before held the rebuild, so that it is met in a later phase
                holders[number - 1].rollback()
            else:
                module = place.start(**ONE, operations=["reindex"], scope="all")
            until = time.monotonic() + 30
            while not place.database.value(there, [phase, holders[number].info.backend_pid]):
                assert time.monotonic() < until, f"never {phase}"
                time.sleep(0.05)
        module.kill()
        place.until_gone("REINDEX", 15.0)
    assert place.invalid(), "nothing was left, so this proves nothing"
    result = place.maintain(**SMALL, **ONE)
    assert result["error"] is None and place.invalid() == []
    names = place.database.execute(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'orders'::regclass ORDER BY 1"
    )
    assert names == [("orders_held",), ("orders_pkey",)], "a leftover became a valid duplicate"


def test_what_the_server_skips_has_failed(place: Place, slow: None) -> None:
    """The owner changes while another table is vacuumed: VACUUM then only warns, and succeeds."""
    for statement in (
        "CREATE TABLE later (id int) WITH (autovacuum_enabled = off)",
        "INSERT INTO later SELECT generate_series(1, 40000)",
        "DELETE FROM later WHERE id % 2 = 0",
    ):
        place.database.execute(statement, user=demo.OWNER)
    time.sleep(1.0)
    module = place.start(operations=["vacuum"], tables=["orders", "later"])
    place.until_running("VACUUM")
    # The owner of a database may vacuum all of its tables.
    place.database.execute(f"ALTER DATABASE {place.database.name} OWNER TO postgres")
    place.database.execute("ALTER TABLE later OWNER TO postgres")
    alter = f"ALTER ROLE {demo.MAINTENANCE} IN DATABASE {place.database.name} RESET ALL"
    place.database.execute(alter)
    result = module.result(seconds=120)
    told = {one["subject"]: one for one in result["actions"]}
    assert told["public.later"]["status"] == "failed" and result["error"]["kind"] == "failed", told
    assert "the server skipped it" in told["public.later"]["error"]
    assert told["public.orders"]["status"] == "done"


@pytest.mark.parametrize("vacuumed", [False, True], ids=["before-vacuum", "after-vacuum"])
def test_what_a_rebuild_brings_is_predicted(place: Place, vacuumed: bool) -> None:
    """Dead entries count as density: before the vacuum they must not be taken for useful ones."""
    if vacuumed:
        place.database.execute("VACUUM (ANALYZE) orders")
        time.sleep(1.0)
    result = place.maintain(**SMALL, **ONE)
    (rebuilt,) = [one for one in result["actions"] if one["action"] == "reindex"]
    predicted, actual = rebuilt["predicted"]["bytes_reclaimed"], rebuilt["after"]["bytes_reclaimed"]
    assert predicted == pytest.approx(actual, rel=0.15)
    assert rebuilt["after"]["actual_bytes_ratio"] == pytest.approx(actual / predicted, abs=0.001)


def test_vacuum_does_not_fight_readers_over_the_end_of_a_table(place: Place) -> None:
    place.database.execute("DELETE FROM orders WHERE id > 100000", user=demo.OWNER)
    time.sleep(1.0)
    size = place.database.value("SELECT pg_relation_size('orders')")
    reader = place.database.connect(autocommit=False)
    reader.cursor().execute("LOCK TABLE orders IN ACCESS SHARE MODE")
    result = place.maintain(operations=["vacuum"], **ONE)
    reader.close()
    assert statuses(result) == [("vacuum", "done")] and result["actions"][0]["after"]["seconds"] < 4
    assert place.database.value("SELECT pg_relation_size('orders')") == size
    place.database.execute("DELETE FROM orders WHERE id > 50000", user=demo.OWNER)
    time.sleep(1.0)
    place.maintain(operations=["vacuum"], vacuum_truncate=True, **ONE)
    assert place.database.value("SELECT pg_relation_size('orders')") < size


def test_space_that_can_be_used_again_is_not_called_freed(place: Place) -> None:
    (vacuum,) = place.maintain(operations=["vacuum"], **ONE)["actions"]
    assert vacuum["after"]["bytes_reclaimed"] == 0 and vacuum["after"]["bytes_reusable"] > 1 << 20
    assert vacuum["after"]["actual_bytes_ratio"] == pytest.approx(1.0, abs=0.05)


def test_limits_of_the_role_do_not_cut_the_work(place: Place, slow: None) -> None:
    alter = f"ALTER ROLE {demo.MAINTENANCE} IN DATABASE {place.database.name} SET "
    for setting in ("statement_timeout = '200ms'", "lock_timeout = '50ms'", "vacuum_cost_limit = 2000"):
        place.database.execute(alter + setting)
    result = place.maintain(**SMALL, **ONE)
    assert {status for _, status in statuses(result)} == {"done"}, result["actions"]


def test_who_is_in_our_way_is_never_ended(place: Place) -> None:
    holder = place.database.connect(autocommit=False)
    holder.cursor().execute("LOCK TABLE orders IN SHARE UPDATE EXCLUSIVE MODE")
    result = place.maintain(lock_timeout=0.3, **SMALL, **ONE)
    assert {status for _, status in statuses(result)} == {"deferred"}
    holder.cursor().execute("SELECT 1")
    holder.commit()
    holder.close()


def collation_checks(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [check for check in result["checks"] if check["check"] == "postgresql_collations"]


def test_a_collation_that_sorts_otherwise_now_is_told(place: Place) -> None:
    result = place.maintain(_ansible_check_mode=True)
    assert collation_checks(result) == []
    if place.database.postgres.major >= 15:
        # A locale without a name is that of the server's environment; those that the lab has by name have no version.
        place.database.execute(
            "UPDATE pg_database SET datcollate = '', datcollversion = '0.9' WHERE datname = current_database()"
        )
        (check,) = collation_checks(place.maintain(_ansible_check_mode=True))
        assert check["status"] == "warn" and "the default of the database was 0.9, is " in check["summary"]
    if place.database.postgres.major < 17:
        pytest.skip("the lab's servers have no collation with a version before 17")
    place.database.execute("CREATE COLLATION german (provider = builtin, locale = 'C.UTF-8')", user=demo.OWNER)
    place.database.execute("ALTER TABLE orders ADD COLUMN name text COLLATE german", user=demo.OWNER)
    place.database.execute("UPDATE pg_collation SET collversion = '0.9' WHERE collname = 'german'")
    (check,) = collation_checks(place.maintain(_ansible_check_mode=True))
    assert check["status"] == "warn" and "public.german was 0.9" in check["summary"] and "amcheck" in check["advice"]


def test_what_waits_for_a_restart_is_told(place: Place) -> None:
    server = place.database.postgres
    place.database.execute("ALTER SYSTEM SET max_connections = 123")
    place.database.execute("SELECT pg_reload_conf()")
    time.sleep(1.0)
    try:
        checks = place.start("postgresql_health_info").result()["checks"]
        (check,) = [one for one in checks if one["check"] == "postgresql_settings"]
        assert "max_connections" in check["evidence"]["settings"]
    finally:
        place.database.execute("ALTER SYSTEM RESET max_connections")
        server.execute("SELECT pg_reload_conf()")


def test_a_pooler_that_shares_sessions_is_refused(place: Place, lab: Lab) -> None:
    """Settings and locks of a session would be anybody's; one that keeps sessions apart will do."""
    for mode in ("transaction", "session"):
        pooler = lab.pgbouncer(place.database.postgres, mode, f"maintained-{mode}")
        result = place.maintain(login_host=pooler.host, login_port=pooler.port, _ansible_check_mode=True, **ONE)
        pooler.stop()
        if mode == "transaction":
            assert result["error"]["kind"] == "refused" and result["actions"] == [], result
            assert "connect to the server directly" in result["msg"]
        else:
            assert result["error"] is None and result["actions"], result["msg"]
