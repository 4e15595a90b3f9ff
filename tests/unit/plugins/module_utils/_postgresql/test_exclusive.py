# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Indexes that cannot be rebuilt beside the work of others, and those of TOAST tables: told, and touched if allowed."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import Any

import pytest

from tests.lab import demo
from tests.lab.fixtures import Database
from tests.unit.plugins.module_utils._postgresql.place import Place, statuses

pytestmark = pytest.mark.lab
GIVEN: dict[str, Any] = {"operations": ["reindex"], "index_min_bytes": 1 << 17}
ALLOWED = {**GIVEN, "allow_exclusive_lock": True}
SIZE = "SELECT pg_relation_size('rooms_once')"


@pytest.fixture
def rooms(database: Database) -> Place:
    """A table whose exclusion constraint is bloated, and vacuum has already been there."""
    for statement in (
        "CREATE TABLE rooms (id int, note text) WITH (autovacuum_enabled = off)",
        "INSERT INTO rooms SELECT g, 'x' FROM generate_series(1, 40000) g",
        "ALTER TABLE rooms ADD CONSTRAINT rooms_once EXCLUDE USING btree (id WITH =)",
        "DELETE FROM rooms WHERE id % 4 > 0",
        "VACUUM (ANALYZE) rooms",
    ):
        database.execute(statement, user=demo.OWNER)
    time.sleep(1.0)
    return Place(database)


def bloated(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [check for check in result["checks"] if check["check"] == "postgresql_maintenance_bloated"]


def test_the_index_of_an_exclusion_constraint_is_told_and_rebuilt_if_allowed(rooms: Place) -> None:
    before = rooms.database.value(SIZE)
    result = rooms.maintain(**GIVEN)
    assert statuses(result) == [("reindex", "skipped")] and not result["changed"]
    (check,) = bloated(result)
    assert check["status"] == "warn" and "allow_exclusive_lock" in check["advice"]
    assert check["evidence"]["indexes"] == "public.rooms_once" and rooms.database.value(SIZE) == before

    rehearsed = rooms.maintain(_ansible_check_mode=True, **ALLOWED)
    assert statuses(rehearsed) == [("reindex", "planned")] and rooms.database.value(SIZE) == before
    result = rooms.maintain(**ALLOWED)
    (action,) = result["actions"]
    assert (action["status"], action["risk"]) == ("done", "disrupt") and bloated(result) == []
    assert "SHARE on public.rooms and ACCESS EXCLUSIVE on the index" in action["reason"]
    assert action["before"]["bytes"] == before and action["after"]["bytes"] == rooms.database.value(SIZE) < before / 2
    assert rooms.invalid() == [] and rooms.maintain(**ALLOWED)["actions"] == []


@pytest.mark.parametrize(
    "held",
    [
        pytest.param("SELECT count(*) FROM rooms WHERE id = 4", marks=pytest.mark.soak),
        "INSERT INTO rooms VALUES (-1, 'new')",
    ],
    ids=["reader", "writer"],
)
def test_behind_a_lock_it_is_given_up_and_nobody_queues(rooms: Place, held: str) -> None:
    before, slowest, over = rooms.database.value(SIZE), [0.0], threading.Event()

    def application() -> None:
        number = 100_000
        with closing(rooms.database.connect(demo.OWNER)) as connection, connection.cursor() as cursor:
            while not over.wait(0.02):
                number += 1
                for statement in (
                    "SELECT note FROM rooms WHERE id = 8",
                    f"INSERT INTO rooms VALUES ({number}, 'new')",
                ):
                    began = time.monotonic()
                    cursor.execute(statement)
                    slowest[0] = max(slowest[0], time.monotonic() - began)

    with closing(rooms.database.connect(autocommit=False)) as holder:
        holder.cursor().execute(held)
        pid = holder.info.backend_pid
        alone = rooms.maintain(lock_timeout=0.5, **ALLOWED)
        beside = threading.Thread(target=application)
        beside.start()
        busy = rooms.maintain(lock_timeout=2, **ALLOWED)
        over.set()
        beside.join()
        holder.rollback()
    for result in (alone, busy):
        assert statuses(result) == [("reindex", "deferred")] and result["error"] is None, result
    assert f"(pid {pid}) kept it locked through 3 tries of 0.5 s" in alone["actions"][0]["reason"]
    assert slowest[0] < 2.0, f"the application waited {slowest[0]:.1f} s"
    # The rows of the application came in meanwhile, and nothing else has changed.
    assert rooms.database.value(SIZE) >= before and rooms.invalid() == []
    assert statuses(rooms.maintain(**ALLOWED)) == [("reindex", "done")]


def test_a_lock_that_is_let_go_is_taken_at_a_later_try(rooms: Place) -> None:
    with closing(rooms.database.connect(autocommit=False)) as holder:
        holder.cursor().execute("SELECT count(*) FROM rooms WHERE id = 4")
        module = rooms.start(lock_timeout=1, **ALLOWED)
        rooms.until_running("REINDEX")
        time.sleep(1.2)
        holder.rollback()
        assert statuses(module.result()) == [("reindex", "done")]


def test_the_index_of_a_toast_table_is_rebuilt_like_any_other(database: Database) -> None:
    for statement in (
        "CREATE TABLE papers (id int PRIMARY KEY, body text) WITH (autovacuum_enabled = off)",
        "ALTER TABLE papers ALTER body SET STORAGE EXTERNAL",
        "INSERT INTO papers SELECT g, repeat('x', 2100) FROM generate_series(1, 8000) g",
        "DELETE FROM papers WHERE id % 4 > 0",
        "VACUUM (ANALYZE) papers",
    ):
        database.execute(statement, user=demo.OWNER)
    time.sleep(1.0)
    index = "(SELECT indexrelid FROM pg_index JOIN pg_class t ON t.reltoastrelid = indrelid WHERE relname = 'papers')"
    name = database.value(f"SELECT {index}::regclass::text")
    before = database.value(f"SELECT pg_relation_size({index})")
    place = Place(database)

    result = place.maintain(**GIVEN)
    assert {one["subject"]: one["status"] for one in result["actions"]}[name] == "skipped", result["actions"]
    grant = f"GRANT USAGE ON SCHEMA pg_toast TO {demo.MAINTENANCE};"
    (check,) = bloated(result)
    assert check["advice"].endswith(f"run: {grant}") and check["evidence"]["indexes"] == name
    database.execute(grant)
    done = place.maintain(**GIVEN)
    action = next(one for one in done["actions"] if one["subject"] == name)
    assert (action["status"], action["risk"]) == ("done", "maintain") and action["before"]["bytes"] == before
    assert action["after"]["bytes"] == database.value(f"SELECT pg_relation_size({index})") < before / 2
    assert place.invalid() == [] and place.maintain(**GIVEN)["actions"] == [] and bloated(done) == []

    # Without pgstattuple its size follows from its rows, as the keys of TOAST tables are all alike.
    database.execute("DROP EXTENSION pgstattuple")
    database.execute("DELETE FROM papers WHERE id % 16 > 0", user=demo.OWNER)
    database.execute("VACUUM (ANALYZE) papers", user=demo.OWNER)
    time.sleep(1.0)
    (told, *_more) = place.maintain(_ansible_check_mode=True, **{**GIVEN, "index_min_bytes": 1 << 16})["actions"]
    assert (told["subject"], told["predicted"]["method"]) == (name, "estimate")
