# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Partitions that go as a whole, also when the run is killed on the way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.day2.ops.plugins.module_utils._retention import whole
from tests.lab import demo
from tests.lab.fixtures import Database, majors
from tests.unit.plugins.module_utils._retention import places
from tests.unit.plugins.module_utils._retention.places import Place, die_in

lab = pytest.mark.lab


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Iterator[Place]:
    """Two partitions are old, one of them made of other columns first; one is half due, one not."""
    made = Place(database, places.folder_store(tmp_path), [places.policy(partitions=True)])
    for statement in (
        "CREATE TABLE events (id bigint, at timestamptz NOT NULL, note text, PRIMARY KEY (id, at)) "
        "PARTITION BY RANGE (at)",
        "CREATE TABLE p1 (note text, gone int, at timestamptz NOT NULL, id bigint NOT NULL, PRIMARY KEY (id, at))",
        "ALTER TABLE p1 DROP gone",
        "COMMENT ON TABLE p1 IS 'the first'",
        "ALTER TABLE events ATTACH PARTITION p1 FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
        "CREATE TABLE p2 PARTITION OF events FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')",
        "CREATE TABLE p3 PARTITION OF events FOR VALUES FROM ('2022-01-01') TO (MAXVALUE)",
        "INSERT INTO events SELECT g, '2020-06-01', 'p1' FROM generate_series(1, 1500) g",
        "INSERT INTO events SELECT g, '2021-06-01', 'p2' FROM generate_series(1, 700) g",
        "INSERT INTO events SELECT g, '2022-06-01', 'p3' FROM generate_series(1, 300) g",
        "INSERT INTO events SELECT g, now(), 'now' FROM generate_series(1, 100) g",
    ):
        database.execute(statement, user=demo.OWNER)
    made.let()
    database.execute(f"GRANT {demo.OWNER} TO {demo.RETENTION}")
    made.accept()
    with places.kept(made):
        yield made
    database.execute(f"REVOKE {demo.OWNER} FROM {demo.RETENTION}")


def tables(place: Place) -> list[str]:
    rows = place.database.execute("SELECT relname FROM pg_class WHERE relname ~ '^p[0-9]$' ORDER BY 1")
    return [row[0] for row in rows]


def proven(place: Place, before: list[str]) -> None:
    assert tables(place) == ["p3"] and len(place.rows()) == 100
    assert sorted(row[3] for row in place.ledger("drop_partition")) == [700, 1500]
    assert not place.done()["changed"]
    # There must be a partition to take them.
    place.database.execute(
        "CREATE TABLE p0 PARTITION OF events FOR VALUES FROM ('2019-01-01') TO ('2022-01-01')", user=demo.OWNER
    )
    place.restored()
    assert place.rows() == before


@lab
@majors(18, soak=(14,))
def test_archived_and_dropped_and_back(place: Place) -> None:
    before = place.rows()
    planned = place.done(check=True)
    assert [one["action"] for one in planned["actions"]] == ["drop_partition", "drop_partition", "delete_rows"]
    result = place.done()
    assert {one["status"] for one in result["actions"]} == {"done"}, result
    proven(place, before)


@lab
@pytest.mark.parametrize(
    "patch",
    [
        die_in("_retention.whole", "_relation"),
        die_in("_retention.whole", "_drop"),
        die_in("_retention.whole", "_drop", after=True),
    ],
    ids=["detached", "archived", "dropped"],
)
def test_killed_on_the_way(place: Place, patch: str) -> None:
    before = place.rows()
    place.killed(patch)
    assert len(place.rows()) == len(before) - 1500
    result = place.done()
    assert all(one["status"] == "done" for one in result["actions"]), result
    proven(place, before)


@lab
def test_a_detaching_that_was_interrupted_is_finalised(place: Place) -> None:
    before = place.rows()
    connection = place.database.connect(demo.OWNER, autocommit=False)
    connection.cursor().execute("SELECT count(*) FROM events")
    module = place.start()
    pending = "SELECT count(*) FROM pg_inherits WHERE inhdetachpending"
    places.wait_until(lambda: bool(place.database.value(pending)), "the detaching to begin", 20.0)
    os.kill(module.process.pid, 9)
    module.kill()
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'day2/%%/work' AND state = 'active'"
    places.wait_until(lambda: not place.database.value(sleeping), "the server to notice", 20.0)
    connection.close()
    assert place.database.value(pending) == 1
    assert {one["status"] for one in place.done()["actions"]} == {"done"}
    proven(place, before)


@lab
def test_what_changes_after_it_was_archived_is_not_dropped(place: Place, tmp_path: Path) -> None:
    module = place.start(patch=places.wait_in(tmp_path, "_retention.whole", "_drop"))
    places.there(tmp_path)
    place.database.execute("UPDATE p1 SET note = 'changed' WHERE id = 3", user=demo.OWNER)
    (tmp_path / "go").touch()
    result = module.result()
    assert result["failed"] and "changed meanwhile" in result["msg"] and tables(place) == ["p1", "p3"], result
    assert place.database.value("SELECT note FROM p1 WHERE id = 3") == "changed"
    assert {one["status"] for one in place.done()["actions"]} == {"done"} and tables(place) == ["p3"]


def test_the_mark_says_whose_it_was() -> None:
    told = whole.mark("p", 'public."a b"', "2020-01-01", 'a "comment"')
    assert whole.read_mark(told) == {
        "policy": "p",
        "table": 'public."a b"',
        "upper": "2020-01-01",
        "comment": 'a "comment"',
    }
    assert whole.read_mark(whole.MARK + " of somebody") == {}
