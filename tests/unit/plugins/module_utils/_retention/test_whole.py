# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Partitions that go as a whole, also when the run is killed on the way."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from ansible_collections.day2.ops.plugins.module_utils._retention import whole
from tests.lab import demo
from tests.lab.fixtures import Database, majors
from tests.lab.processes import wait_until
from tests.unit.plugins.module_utils._retention import places
from tests.unit.plugins.module_utils._retention.places import Place, die_in, number

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
    wait_until(lambda: bool(place.database.value(pending)), "the detaching to begin", 20.0)
    os.kill(module.process.pid, 9)
    module.kill()
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'ALTER TABLE%%DETACH%%'"
    wait_until(lambda: not place.database.value(sleeping), "the server to notice", 20.0)
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


# A partition that takes some time to be read again, and whether it is.
READING = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%pg_sleep%%' AND application_name LIKE 'day2/%%'"
SLOW = (
    f"import {places.UTILS}._retention.whole as w\nfrom psycopg2 import sql\nold = w.source\n"
    "w.source = lambda own: sql.SQL('(SELECT x.xmin FROM {{}} x, pg_sleep({seconds}))').format(old(own))\n"
)


@lab
def test_a_large_partition_is_read_again_for_longer_than_other_statements_may_take(place: Place) -> None:
    """And nobody who reads it waits for that."""
    before = place.rows()
    short = f"import {places.UTILS}._postgresql.connect as c\nc.Session.rows.__kwdefaults__['timeout'] = 1.0\n"
    short += "c.GRACE_SECONDS = 0.5\n"
    module = place.start(patch=short + SLOW.format(seconds=4))
    wait_until(lambda: bool(place.database.value(READING)), "it to be read again", 20.0)
    with closing(place.database.connect(demo.OWNER)) as other, other.cursor() as cursor:
        cursor.execute("SET lock_timeout = '300ms'; SELECT count(*) FROM p1")
        assert cursor.fetchone() == (1500,)
    result = module.result()
    assert {one["status"] for one in result["actions"]} == {"done"}, result
    proven(place, before)


@lab
@pytest.mark.soak
def test_reading_again_ends_with_the_deadline(place: Place) -> None:
    before = place.rows()
    patch = f"import {places.UTILS}._retention.plan as p\np.LEAST_SECONDS = 0\n" + SLOW.format(seconds=60)
    end, began = datetime.now(timezone.utc) + timedelta(seconds=8), time.monotonic()
    result = place.retain(patch=patch, run={"deadline": end.strftime("%Y-%m-%dT%H:%M:%SZ")})
    assert time.monotonic() - began < 15 and tables(place) == ["p1", "p2", "p3"]
    assert {one["status"] for one in result["actions"]} == {"deferred"} and "deadline" in str(result["actions"][0])
    wait_until(lambda: not place.database.value(READING), "the server to stop it", 10.0)
    assert {one["status"] for one in place.done()["actions"]} == {"done"}
    proven(place, before)


@lab
def test_a_stop_order_ends_reading_again(place: Place) -> None:
    place.database.execute("CREATE TABLE day2.stop (target_id text NOT NULL, reason text NOT NULL, until timestamptz)")
    place.database.execute(f"GRANT SELECT ON day2.stop TO {demo.RETENTION}")
    often = f"import {places.UTILS}._postgresql.brake as b\nb.STOP_ROW_SECONDS = 0\n"
    module = place.start(patch=often + SLOW.format(seconds=60))
    wait_until(lambda: bool(place.database.value(READING)), "it to be read again", 20.0)
    place.database.execute("INSERT INTO day2.stop VALUES ('shop', 'an incident')")
    began, result = time.monotonic(), module.result()
    assert result["error"]["kind"] == "stopped" and "an incident" in result["msg"], result
    assert time.monotonic() - began < 20
    wait_until(lambda: not place.database.value(READING), "the server to stop it", 10.0)
    place.database.execute("DROP TABLE day2.stop")
    assert {one["status"] for one in place.done()["actions"]} == {"done"} and tables(place) == ["p3"]


@lab
@majors(18, soak=(14,))
@pytest.mark.parametrize(
    ("dependent", "name"),
    [
        ("CREATE VIEW year AS SELECT count(*) FROM p1", "view year"),
        ("CREATE MATERIALIZED VIEW year AS SELECT id FROM p1", "materialized view year"),
        ("CREATE TABLE other (what p1)", "column what of table other"),
    ],
)
def test_what_depends_on_a_partition_is_told_before_anything_is_touched(
    place: Place, dependent: str, name: str
) -> None:
    before = place.rows()
    place.database.execute(dependent, user=demo.OWNER)
    for check in (True, False):
        result = place.retain(check=check)
        assert result["error"]["kind"] == "refused", result
        assert f"{name} depends on partition public.p1 of public.events, so the server refuses" in result["msg"]
    assert place.rows() == before and place.objects() == []
    place.policies = [places.policy()]
    place.accept()
    assert number(place.done(), "rows_deleted") == 2500


@lab
def test_what_came_to_depend_on_a_detached_partition_is_told_too(place: Place) -> None:
    place.killed(die_in("_retention.whole", "_relation"))
    place.database.execute("CREATE VIEW year AS SELECT count(*) FROM p1", user=demo.OWNER)
    for check in (True, False):
        result = place.retain(check=check)
        assert result["error"]["kind"] == "refused" and place.objects() == [], result
        assert "policies[old]: view year depends on public.p1, so the server refuses to drop it" in result["msg"]
    place.database.execute("DROP VIEW year", user=demo.OWNER)
    assert {one["status"] for one in place.done()["actions"]} == {"done"} and tables(place) == ["p3"]


@lab
def test_partitions_that_nobody_wants_to_keep_go_without_an_archive(place: Place) -> None:
    place.policies = [places.policy(partitions=True, archive="none", erase=True)]
    place.store_options = {}
    place.accept()
    result = place.done()
    assert [(one["action"], one["status"]) for one in result["actions"]] == [
        ("drop_partition", "done"),
        ("drop_partition", "done"),
        ("delete_rows", "done"),
    ]
    assert [number(result, "rows_deleted", at) for at in range(3)] == [1500, 700, 300]
    assert tables(place) == ["p3"] and len(place.rows()) == 100
    dropped = place.database.execute(
        "SELECT deleted, object, relation FROM day2.retention_ledger WHERE kind = 'drop_partition' ORDER BY id"
    )
    assert dropped == [(1500, None, "public.events"), (700, None, "public.events")]
    assert not place.done()["changed"]


def test_the_mark_says_whose_it_was() -> None:
    told = whole.mark("p", 'public."a b"', "2020-01-01", 'a "comment"')
    assert whole.read_mark(told) == {
        "policy": "p",
        "table": 'public."a b"',
        "upper": "2020-01-01",
        "comment": 'a "comment"',
    }
    assert whole.read_mark(whole.MARK + " of somebody") == {}
