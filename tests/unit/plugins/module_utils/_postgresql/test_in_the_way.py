# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Somebody is in the way: he is named, nobody queues behind us meanwhile, and all that he does not concern is done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2.extensions
import pytest

from ansible_collections.day2.ops.plugins.module_utils._postgresql.locks import CLASSES
from tests.lab import demo
from tests.lab import module as modules
from tests.unit.plugins.module_utils._postgresql.place import Place, statuses

pytestmark = pytest.mark.lab
DANGER = {"freeze_age": 30, "wraparound_age": 30}
LEFTOVER = (
    "CREATE INDEX orders_pkey_ccnew ON orders (id)",
    "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'orders_pkey_ccnew'::regclass",
)
WRITE = "UPDATE orders SET note = 'y' WHERE id = 1"


@contextmanager
def doing(place: Place, statement: str) -> Iterator[psycopg2.extensions.connection]:
    """Somebody's open transaction."""
    with closing(place.database.connect(autocommit=False)) as connection:
        connection.cursor().execute(statement)
        yield connection


def add(place: Place, table: str = "second", rows: int = 60_000) -> None:
    """One more table of which half the rows are dead."""
    for statement in (
        f"CREATE TABLE {table} (id int PRIMARY KEY, note text) WITH (autovacuum_enabled = off)",
        f"INSERT INTO {table} SELECT g, 'x' FROM generate_series(1, {rows}) g",
        f"DELETE FROM {table} WHERE id % 2 = 0",
    ):
        place.database.execute(statement, user=demo.OWNER)
    time.sleep(1.0)


def age(place: Place) -> None:
    for _ in range(60):
        place.database.execute("SELECT pg_current_xact_id()")


def told(result: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    assert result["error"] is None, result["msg"]
    return {(one["action"], one["subject"]): one for one in result["actions"]}


VACUUM = {"operations": ["vacuum"]}
ORDERS, SECOND = ("vacuum", "public.orders"), ("vacuum", "public.second")


def test_a_table_that_somebody_keeps_locked_is_named_and_all_others_are_maintained(place: Place) -> None:
    add(place)
    with doing(place, "LOCK TABLE second IN ACCESS EXCLUSIVE MODE") as holder:
        began = time.monotonic()
        result = place.maintain(**VACUUM)
        assert time.monotonic() - began < 10
        found = told(result)
        pid = f"(pid {holder.info.backend_pid})"
        assert found[ORDERS]["status"] == "done" and found[SECOND]["status"] == "deferred", found
        assert f"it would wait for the lock of a session without a name {pid}, open for" in found[SECOND]["reason"]
        (check,) = [one for one in result["checks"] if one["check"] == "postgresql_maintenance_locked"]
        assert check["status"] == "warn" and pid in check["summary"] and "public.second" in check["summary"]
        waited = place.maintain(**VACUUM, holders="wait", holders_wait=2)["actions"]
        assert [one["status"] for one in waited] == ["deferred"] and "was still open after 2 s" in waited[0]["reason"]
    again = place.maintain(**VACUUM)
    assert statuses(again) == [("vacuum", "done")]
    assert not [one for one in again["checks"] if one["check"] == "postgresql_maintenance_locked"]


# The look at what is locked sees nothing: somebody is faster, so many times.
FASTER = """
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
rows, blind = Session.rows, [{times}]
def look(self, statement, *args, **more):
    if isinstance(statement, str) and "locked.page" in statement and blind[0]:
        blind[0] -= 1
        statement = statement.replace("'AccessExclusiveLock'", "'None'")
    return rows(self, statement, *args, **more)
Session.rows = look
"""


@pytest.mark.parametrize("times", [1, 2], ids=["once", "again"])
def test_who_locks_between_the_look_and_the_question_does_not_end_the_run(place: Place, times: int) -> None:
    add(place)
    with doing(place, "LOCK TABLE second IN ACCESS EXCLUSIVE MODE"):
        began = time.monotonic()
        login = place.database.login(demo.MAINTENANCE)
        about: dict[str, Any] = {"id": "t1", "target": place.database.name}
        given = {**login, **VACUUM, "tables": ["orders", "second"], "lock_timeout": 0.3}
        found = told(modules.start("postgresql_maintenance", given, patch=FASTER.format(times=times), **about).result())
        assert 2 < time.monotonic() - began < 20
    assert found[ORDERS]["status"] == "done" and found[SECOND]["status"] == "deferred", found


def test_a_leftover_waits_for_nobody_before_danger_is_over_and_for_nobody_long(place: Place) -> None:
    add(place)
    for statement in LEFTOVER:
        place.database.execute(statement)
    place.database.execute("CREATE INDEX orders_pkey_ccnew1 ON orders (id)")
    place.database.execute(LEFTOVER[1].replace("ccnew", "ccnew1"))
    age(place)
    given = {"operations": ["vacuum", "drop_index"], "tables": ["orders", "second"], "max_transaction_age": 4}
    with doing(place, WRITE) as writer:
        began = time.monotonic()
        result = place.start(seconds=25, **given, **DANGER).result()
        assert time.monotonic() - began < 15
        pid = writer.info.backend_pid
    assert [one["action"] for one in result["actions"]] == ["vacuum", "vacuum", "drop_index", "drop_index"]
    found = told(result)
    assert found[SECOND]["status"] == "done"
    for name in ("orders_pkey_ccnew", "orders_pkey_ccnew1"):
        drop = found["drop_index", f"public.{name}"]
        assert drop["status"] == "deferred", drop
        assert f"it waited 4 s for a session without a name (pid {pid}), open for" in drop["reason"], drop["reason"]
    assert ("drop_index", "done") in statuses(place.maintain(**given)) and place.invalid() == []


def test_nobody_queues_behind_the_clean_up_of_a_rebuild(place: Place) -> None:
    given = {"operations": ["reindex"], "tables": ["orders"], "scope": "all", "cleanup_reserve": 12}
    with doing(place, WRITE):
        module = place.start(seconds=17, **given)
        place.until_running("DROP INDEX")
        began = time.monotonic()
        with closing(place.database.connect(autocommit=False)) as other:
            other.cursor().execute("LOCK TABLE orders IN SHARE UPDATE EXCLUSIVE MODE")
        assert time.monotonic() - began < 2.5
        (action,) = module.result()["actions"]
    assert action["status"] == "deferred" and "orders_pkey_ccnew" in action["after"]["invalid_index"], action


def test_whom_a_rebuild_waited_for_is_named_when_its_time_is_over(place: Place) -> None:
    given = {"operations": ["reindex"], "tables": ["orders"], "scope": "all", "cleanup_reserve": 2}
    with doing(place, WRITE) as writer:
        (action,) = place.start(seconds=8, **given).result()["actions"]
        pid = writer.info.backend_pid
    assert action["status"] == "deferred"
    assert f"is over, and it waited for a session without a name (pid {pid}), open for" in action["reason"], action


def test_a_holder_is_waited_for_once_whatever_he_keeps_from_being_done(place: Place) -> None:
    add(place)
    given = {"operations": ["reindex"], "scope": "all", "max_transaction_age": 1, "index_min_bytes": 0}
    with doing(place, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1"):
        time.sleep(1.2)
        began = time.monotonic()
        result = place.maintain(holders="wait", holders_wait=5, **given)
        assert statuses(result) == [("reindex", "deferred")] * 2
        assert 5 < time.monotonic() - began < 10
    assert all("was still open after 5 s" in one["reason"] for one in result["actions"])


def test_truncation_is_a_threshold_of_the_table_too(place: Place) -> None:
    add(place)
    size = "SELECT pg_relation_size('second')"
    before = place.database.value(size)
    place.database.execute("DELETE FROM second WHERE id > 100", user=demo.OWNER)
    time.sleep(1.0)
    given = {**VACUUM, "tables": ["second"]}
    no, yes = ([{"table": "second", "vacuum_truncate": wanted}] for wanted in (False, True))
    assert statuses(place.maintain(vacuum_truncate=True, thresholds=no, **given)) == [("vacuum", "done")]
    assert place.database.value(size) == before
    assert statuses(place.maintain(thresholds=yes, scope="all", **given)) == [("vacuum", "done")]
    assert place.database.value(size) < before


def test_a_freeze_that_a_holder_cuts_short_is_done_and_says_so(place: Place) -> None:
    age(place)
    with doing(place, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT pg_current_xact_id()"):
        for _ in range(2):
            age(place)
        before = place.database.value("SELECT age(relfrozenxid) FROM pg_class WHERE relname = 'orders'")
        given = {**VACUUM, "tables": ["orders"], "freeze_age": 30, "wraparound_age": 100}
        action = told(place.maintain(**given))[ORDERS]
        assert action["status"] == "done" and "it gets no further than 12" in action["reason"], action
        assert action["after"]["xid_age"] < before and "the transaction of" in action["after"]["held_by"]
        again = told(place.maintain(**given))[ORDERS]
        assert again["status"] == "deferred" and "its age cannot be lowered while" in again["reason"], again


def test_a_vacuum_against_wraparound_outlives_the_deadline(place: Place, slow: None) -> None:
    age(place)
    began = time.monotonic()
    result = place.start(seconds=4, **VACUUM, tables=["orders"], **DANGER).result()
    action = told(result)[ORDERS]
    late = action["after"]["overrun_seconds"]
    assert action["status"] == "done" and 0 < late < time.monotonic() - began - 3, action
    assert place.database.value("SELECT age(relfrozenxid) FROM pg_class WHERE relname = 'orders'") < 30


def test_beside_a_backup_what_it_allows_is_done(place: Place) -> None:
    oid = place.database.value("SELECT oid::bigint FROM pg_database WHERE datname = current_database()")
    given: dict[str, Any] = {"tables": ["orders"], "scope": "all"}
    with closing(place.database.postgres.connect()) as backup, backup.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [CLASSES["backup"], oid])
        for check, vacuum in ((True, "planned"), (False, "done")):
            result = place.maintain(_ansible_check_mode=check, **given)
            assert statuses(result) == [("reindex", "deferred"), ("vacuum", vacuum)]
            assert f"(pid {backup.info.backend_pid}) holds the backup lock" in result["actions"][0]["reason"]
    assert statuses(place.maintain(**given)) == [("reindex", "done"), ("vacuum", "done")]


def test_a_backup_that_begins_after_the_plan_keeps_a_rebuild_back(place: Place, slow: None) -> None:
    """It is looked for again before each action: here while the first table is vacuumed."""
    add(place, rows=30_000)
    oid = place.database.value("SELECT oid::bigint FROM pg_database WHERE datname = current_database()")
    given: dict[str, Any] = {
        "operations": ["vacuum", "reindex"],
        "scope": "all",
        "tables": ["orders", "second"],
        "index_min_bytes": 0,
    }
    module = place.start(**given)
    place.until_running("VACUUM")
    with closing(place.database.postgres.connect()) as backup, backup.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [CLASSES["backup"], oid])
        assert cursor.fetchone() == (True,)
        found = told(module.result())
    assert found["reindex", "public.second_pkey"]["status"] == "deferred", found
    assert found[SECOND]["status"] == "done"


def test_what_may_only_be_maintained_is_maintained_beside_a_leftover(place: Place) -> None:
    server, name = place.database.postgres, "maintains only"
    if server.major < 17:
        pytest.skip("before 17 only owners may maintain")
    server.create_role(name, member_of=["pg_maintain", "pg_monitor"])
    try:
        server.execute(f'GRANT CONNECT ON DATABASE postgres TO "{name}"')
        for schema in ("public", '"Odd.Schema"'):
            place.database.execute(f'GRANT USAGE ON SCHEMA {schema} TO "{name}"')
        for statement in LEFTOVER:
            place.database.execute(statement)
        result = place.maintain(**place.database.login(name), index_min_bytes=1 << 20)
        found = told(result)
        drop = found.pop(("drop_index", "public.orders_pkey_ccnew"))
        grant = f'let an administrator run: GRANT {demo.OWNER} TO "{name}";'
        assert drop["status"] == "deferred" and drop["reason"].endswith(grant), drop
        assert {one["status"] for one in found.values()} == {"done"} and ("reindex", "public.orders_pkey") in found
    finally:
        for database in (place.database.name, "postgres"):
            server.execute(f'DROP OWNED BY "{name}"', dbname=database)
        server.execute(f'DROP ROLE "{name}"')
    assert ("drop_index", "done") in statuses(place.maintain()) and place.invalid() == []


def test_an_approved_action_gets_the_time_of_what_was_not_approved(place: Place) -> None:
    add(place)
    login, slowly = place.database.login(demo.MAINTENANCE), {"vacuum": 2e5}
    given = {**login, **VACUUM, "tables": ["orders", "second"], "throughput": slowly}
    rehearsed = place.maintain(_ansible_check_mode=True, **given)
    assert statuses(rehearsed) == [("vacuum", "planned")] * 2
    small = [one for one in rehearsed["actions"] if one["subject"] == "public.second"]
    seconds = {one["subject"]: one["predicted"]["seconds"] for one in rehearsed["actions"]}
    left = seconds["public.orders"] + seconds["public.second"] / 2
    approved = {"name": "p", "id": "x", "planned": "2026-01-01T00:00:00Z", "actions": small}
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + left))
    about: dict[str, Any] = {"id": "t1", "target": place.database.name, "deadline": end, "plan": approved}
    found = told(modules.start("postgresql_maintenance", given, **about).result())
    assert found[SECOND]["status"] == "done", found
    assert "the approved plan does not list it" in found[ORDERS]["reason"]
