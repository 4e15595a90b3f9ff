# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Somebody reads a partition that is to go, and does not end: the application on the whole table does not notice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.lab import demo
from tests.unit.plugins.module_utils._retention import places, test_whole
from tests.unit.plugins.module_utils._retention.places import Place
from tests.unit.plugins.module_utils._retention.test_whole import place

__all__ = ["place"]
pytestmark = pytest.mark.lab

# Of the run, in seconds; the application on the whole table bears half of it. One that reads the partition itself
# stands behind the run; the server's clock tells how long, and a busy machine may need more than its share.
LOCK_TIMEOUT, PARENT, DIRECT = 1.0, "500ms", "3s"
WHOLE = ("SELECT count(*) FROM events", "UPDATE events SET note = note WHERE at > now() - interval '1 day'")


@contextmanager
def reader(place: Place) -> Iterator[None]:
    """A transaction that has read the partition, and not the table that it is a part of."""
    with closing(place.database.connect(demo.OWNER, autocommit=False)) as connection:
        connection.cursor().execute("SELECT count(*) FROM p1")
        yield


@contextmanager
def beside(place: Place, bears: str, *statements: str) -> Iterator[list[str]]:
    """Sessions that do this all the time; in the list is what had to wait for a lock for longer than it bears."""
    held_up: list[str] = []
    over = threading.Event()

    def work(statement: str) -> None:
        with closing(place.database.connect(demo.OWNER)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [bears])
            while not over.wait(0.02):
                try:
                    cursor.execute(statement)
                except psycopg2.Error as error:
                    held_up.append(f"{statement}: {error}")

    threads = [threading.Thread(target=work, args=[statement]) for statement in statements]
    for thread in threads:
        thread.start()
    try:
        yield held_up
    finally:
        over.set()
        for thread in threads:
            thread.join()


def finished(place: Place, before: list[str]) -> None:
    """Once the reader has gone, the next run does what was left."""
    result = place.done()
    assert {one["status"] for one in result["actions"]} == {"done"} and not place.done()["changed"], result
    assert test_whole.tables(place) == ["p3"] and len(place.rows()) == 100
    part = "CREATE TABLE p0 PARTITION OF events FOR VALUES FROM ('2019-01-01') TO ('2022-01-01')"
    place.database.execute(part, user=demo.OWNER)
    place.restored()
    assert places.differences(place.rows(), before) == []


def drops(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in result["actions"] if one["action"] == "drop_partition"]


@pytest.mark.parametrize("others", [False, True], ids=["alone", "and-others-behind-it"])
def test_a_reader_of_a_partition_that_is_to_be_detached(place: Place, others: bool) -> None:
    """The detaching waits for it: for some time, and not at all once somebody has to wait for the detaching."""
    before, place.options = place.rows(), {"lock_timeout": LOCK_TIMEOUT}
    direct = ["SELECT count(*) FROM p1"] if others else []
    with reader(place), beside(place, PARENT, *WHOLE) as held_up, beside(place, DIRECT, *direct) as behind:
        result = place.retain()
        assert behind == held_up == []
        first, second = drops(result)
        assert first["status"] == second["status"] == "deferred" and not result.get("failed"), result
        assert "public.p1 is still being detached" in second["reason"], second
        assert ("another session waited" if others else "s for its lock (limit 3 s)") in first["reason"], first
    finished(place, before)


def test_a_reader_of_a_partition_that_is_to_be_dropped(place: Place, tmp_path: Path) -> None:
    before, place.options = place.rows(), {"lock_timeout": LOCK_TIMEOUT}
    module = place.start(patch=places.wait_in(tmp_path, "_retention.whole", "_drop", when="n == 1"))
    places.there(tmp_path)
    with (
        reader(place),
        beside(place, PARENT, *WHOLE) as held_up,
        beside(place, DIRECT, "SELECT count(*) FROM p1") as behind,
    ):
        (tmp_path / "go").touch()
        result = module.result()
        assert behind == held_up == []
        first, second = drops(result)
        assert (first["status"], second["status"]) == ("deferred", "done"), result
        assert first["reason"].endswith("somebody kept public.p1 locked for 1 s"), first
        assert test_whole.tables(place) == ["p1", "p3"] and place.database.value("SELECT count(*) FROM p1") == 1500
    finished(place, before)
