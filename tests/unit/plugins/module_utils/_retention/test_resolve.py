# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ends at every named boundary, other pasts of the database, and random kills: nothing is lost and nothing twice."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._retention import chunk, resolve
from ansible_collections.day2.ops.plugins.module_utils._retention.ledger import Sums
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Policy
from tests.lab import demo
from tests.lab.fixtures import majors
from tests.lab.lab import Lab
from tests.unit.plugins.module_utils._retention import places
from tests.unit.plugins.module_utils._retention.places import Place, die_in, number

lab_test = pytest.mark.lab


BOUNDARIES = {
    "before_the_put": (die_in("_retention.copy", "Pass._stored"), 0),
    "after_the_put_before_about": (die_in("_retention.copy", "to_json"), 0),
    "after_the_put_before_the_first_delete": (die_in("_retention.delete", "Deleter.delete"), 0),
    "before_a_commit": (die_in("_postgresql.connect", "Session.rows", when="committing(a, 3)"), 1000),
    "after_a_commit_before_its_reply_was_seen": (
        die_in("_postgresql.connect", "Session.rows", when="committing(a, 3)", after=True),
        1500,
    ),
    "between_batches": (die_in("_retention.delete", "Deleter._count", when="n == 4"), 2000),
    "after_the_last_batch_before_the_manifest": (die_in("_retention.chunk", "close"), 3000),
}
COMMITTING = (
    "commits = 0\n"
    "def committing(a, which):\n"
    "    global commits\n"
    "    commits += a[1:] == ('COMMIT',)\n"
    "    return a[1:] == ('COMMIT',) and commits == which\n"
)


def proven(place: Place, before: list[str]) -> None:
    """Archived and remaining rows are the original ones: by number, and put together again."""
    remaining = place.rows()
    assert len(remaining) + place.deleted() == len(before)
    assert set(remaining) <= set(before)
    place.restored()
    assert place.rows() == before
    assert not place.restored()["changed"]


@lab_test
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_killed_at(place: Place, boundary: str) -> None:
    patch, gone = BOUNDARIES[boundary]
    before = places.fill(place)
    place.killed(COMMITTING + patch)
    assert len(place.rows()) == 5000 - gone and place.deleted() == gone
    assert place.objects("/manifest.json") == []
    result = place.done()
    assert number(result, "rows_deleted") == 3000 - gone if gone < 3000 else result["actions"] == []
    left = next(one for one in result["checks"] if one["check"] == "postgresql_retention_left")
    assert left["evidence"]["closed"] == (1 if gone else 0), left
    assert len(place.objects("/manifest.json")) == (2 if 0 < gone < 3000 else 1)
    proven(place, before)


@lab_test
@majors(18, soak=(14,))
def test_the_answer_to_a_commit_is_lost(place: Place, lab: Lab) -> None:
    """The run finds out by itself what became of it, and goes on."""
    before = places.fill(place)
    server = place.database.postgres
    with closing(lab.proxy(server)) as endpoint:
        place.login = {"login_host": "127.0.0.1", "login_port": endpoint.port}
        endpoint.lose_reply_to(b"COMMIT")
        result = place.done()
        place.login = {}
    assert number(result, "rows_deleted") == 3000 and number(result, "rows_stayed") == 0
    assert len(place.rows()) == 2000 and len(place.ledger()) == 6
    proven(place, before)


@lab_test
def test_a_commit_that_never_arrives_is_done_again(place: Place) -> None:
    before = places.fill(place)
    patch = COMMITTING + (
        f"import {places.UTILS}._postgresql.connect as c\nold = c.Session.rows\n"
        "def new(*a, **k):\n"
        "    if committing(a, 2):\n"
        "        a[0]._raw.close()\n"
        "    return old(*a, **k)\n"
        "c.Session.rows = new\n"
    )
    result = place.done(patch=patch)
    assert number(result, "rows_deleted") == 3000 and len(place.ledger()) == 6
    proven(place, before)


@lab_test
def test_a_server_that_crashes_loses_at_most_what_the_next_run_does_again(place: Place) -> None:
    before = places.fill(place)
    patch = places.wait_in(Path(place.store_options["store"]).parent, "_retention.delete", "Deleter._count")
    module = place.start(patch=patch)
    places.there(Path(place.store_options["store"]).parent)
    place.database.postgres.kill9()
    place.database.postgres.start()
    (Path(place.store_options["store"]).parent / "go").touch()
    assert module.result().get("failed")
    gone = place.deleted()
    assert len(place.rows()) == 5000 - gone
    place.done()
    assert len(place.rows()) == 2000
    proven(place, before)


class Past:
    """A copy of the database as it was, to which it can be set back: what a failover, a restore to a point in time and
    a clone have in common."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._server = place.database.postgres
        self._name = place.database.name
        self._copy(self._name, self._name + "_past")

    def _copy(self, source: str, name: str) -> None:
        self._server.execute(f"CREATE DATABASE {name} TEMPLATE {source} OWNER {demo.OWNER}")

    def back(self) -> None:
        self._server.drop_database(self._name)
        self._copy(self._name + "_past", self._name)

    def close(self) -> None:
        self._server.drop_database(self._name + "_past")


@pytest.fixture
def past(place: Place) -> Iterator[Any]:
    made: list[Past] = []

    def keep() -> Past:
        made.append(Past(place))
        return made[-1]

    yield keep
    for one in made:
        one.close()


@lab_test
def test_a_database_of_the_past_is_refused_until_somebody_says_that_it_counts(place: Place, past: Any) -> None:
    before = places.fill(place)
    then = past()
    place.done(patch=places.small_chunks())
    then.back()
    result = place.retain()
    assert result["error"]["kind"] == "refused" and "and 2 more" in result["msg"], result["msg"]
    assert "adopt" in result["msg"] and place.rows() == before and place.ledger() == []
    assert place.retain(check=True)["error"]["kind"] == "refused"
    assert "adopt" in place.restore()["msg"]
    result = place.done(adopt="database")
    assert len(place.objects("/void.json")) == 3 and len(place.ledger("void")) == 3
    assert number(result, "rows_deleted") == 3000
    assert not place.done()["changed"]
    proven(place, before)


@lab_test
@pytest.mark.parametrize("how", ["text", "binary"])
def test_a_database_of_the_past_follows_the_store_if_somebody_says_so(place: Place, past: Any, how: str) -> None:
    place.policies = [places.policy(archive_format=how)]
    before = places.fill(place)
    then = past()
    place.done(patch=places.small_chunks())
    then.back()
    # One row was changed since, one was deleted, one is due that never was in an archive.
    for statement in (
        "UPDATE events SET note = 'changed' WHERE id = 5",
        "DELETE FROM events WHERE id = 6",
        "INSERT INTO events VALUES (0, now() - interval '100 days', 'late')",
    ):
        place.database.execute(statement, user=demo.OWNER)
    result = place.done(adopt="store")
    left = next(one for one in result["checks"] if one["check"] == "postgresql_retention_left")
    assert left["evidence"]["adopted"] == 3 and place.objects("/void.json") == []
    assert place.ledger()[0][4:] == ([5], ['["5"]'])
    # The changed row and the late one were due, too: they went the usual way, into an archive of their own.
    assert number(result, "rows_deleted") == 2 and len(place.rows()) == 2000
    place.restored()
    rows = place.rows()
    assert len(rows) == 5001 and sum("changed" in row for row in rows) == 1
    assert len(set(before) - set(rows)) == 1


@lab_test
@pytest.mark.parametrize("side", ["database", "store"])
def test_a_chunk_of_which_the_database_knows_a_part(place: Place, side: str) -> None:
    """The last transactions of a chunk were lost in a failover."""
    before = places.fill(place)
    place.database.execute("CREATE TABLE aside AS SELECT * FROM events")
    place.done()
    place.database.execute("DELETE FROM day2.retention_ledger WHERE first_row > 1000")
    place.database.execute("INSERT INTO events SELECT * FROM aside WHERE id BETWEEN 1001 AND 3000")
    assert place.retain()["error"]["kind"] == "refused"
    result = place.done(adopt=side)
    assert len(place.rows()) == 2000
    assert (result["actions"] == []) is (side == "store"), result
    proven(place, before)


@lab_test
def test_an_orphan_is_swept_when_it_is_old(place: Place) -> None:
    before = places.fill(place)
    place.killed(die_in("_retention.delete", "Deleter.delete"))
    orphan = place.objects("/about.json")[0]
    place.done()
    assert orphan in place.objects()
    folder = Path(place.store_options["store"])
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - 2 * 86400,) * 2)
    later = f"import {places.UTILS}._core.clock as c, datetime\nold = c.now\n"
    later += "c.now = lambda: old() + datetime.timedelta(days=2)\n"
    place.done(patch=later)
    assert orphan not in place.objects() and len(place.objects("/manifest.json")) == 1
    proven(place, before)


@lab_test
def test_random_kills(place: Place) -> None:
    """20 ends at random moments, of the module or of its sessions; rows come and change meanwhile."""
    seed = int(os.environ.get("DAY2_SEED") or time.time())
    print(f"seed: DAY2_SEED={seed}")
    dice = random.Random(seed)
    places.fill(place, 2000, 1500)
    place.database.execute("CREATE TABLE aside AS SELECT * FROM events WHERE false")
    slow = places.small_chunks() + (
        f"import time, {places.UTILS}._retention.delete as d\nold = d.Deleter._count\n"
        "def new(*a):\n    time.sleep(0.03)\n    return old(*a)\nd.Deleter._count = new\n"
    )
    ended = 0
    for turn in range(20):
        first = 10000 + turn * 4000
        place.database.execute(
            f"INSERT INTO events SELECT g, now() - interval '100 days', 'turn {turn}', NULL "
            f"FROM generate_series({first}, {first + 3999}) g",
            user=demo.OWNER,
        )
        module = place.start(patch=slow)
        time.sleep(dice.uniform(0.3, 1.0))
        place.database.execute("UPDATE events SET note = note || '!' WHERE id %% 997 = %s", [turn], user=demo.OWNER)
        time.sleep(dice.uniform(0.0, 1.0))
        if dice.random() < 0.3:
            place.database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                "AND application_name LIKE 'day2/%%' ORDER BY random() LIMIT 1"
            )
            time.sleep(dice.uniform(0.0, 0.2))
        ended += module.process.poll() is None
        module.kill()
    result = place.done()
    total = 2000 + 20 * 4000
    remaining = place.database.value("SELECT count(*) FROM events")
    print(f"{ended} of 20 runs were killed; {result['plan_summary']}")
    assert remaining == 500 and remaining + place.deleted() == total
    assert not place.done()["changed"]
    place.restored()
    ids = "SELECT count(*), count(DISTINCT id), min(id), max(id) FROM events"
    assert place.database.execute(ids) == [(total, total, 1, 10000 + 20 * 4000 - 1)]


# -- pure


def kept(name: str, *ends: str) -> chunk.Kept:
    now = datetime(2026, 11, 21, tzinfo=timezone.utc)
    return chunk.Kept(name, now, now, 1, tuple(f"{name}/{end}" for end in ends))


def test_each_chunk_by_what_store_and_ledger_say() -> None:
    ends = ("rows.copy.zst", "about.json")
    found = [
        kept("orphan", *ends),
        kept("open", *ends),
        kept("standing", *ends, "manifest.json"),
        kept("differs", *ends, "manifest.json"),
        kept("void", *ends, "manifest.json", "void.json"),
        kept("unmarked", *ends, "manifest.json"),
        kept("marked", *ends, "manifest.json", "void.json"),
    ]
    some = Sums(batches=1, deleted=5)
    sums = {"open": some, "standing": some, "unmarked": Sums(void=True), "marked": some}
    left = resolve.sort(Policy("p", (None, "t"), "at", "plain", "h"), found, sums)
    assert [one.prefix for one in left.orphans] == ["orphan"] and [one.prefix for one in left.open] == ["open"]
    assert [one.prefix for one in left.standing] == ["standing", "marked"]
    assert [(one.prefix, missing) for one, missing in left.differ] == [("differs", -1)]
    assert [one.prefix for one in left.unmarked] == ["unmarked"]
    assert [one.prefix for one in left.marked] == ["marked"]


def test_only_old_orphans_are_swept() -> None:
    one = kept("orphan")
    assert resolve.old([one], one.touched + timedelta(hours=23)) == []
    assert resolve.old([one], one.touched + timedelta(hours=25)) == [one]


def test_a_manifest_is_about_and_the_ledger(tmp_path: Path) -> None:
    told = chunk.manifest({"rows": 3}, [], "2026-11-21T00:00:00Z")
    assert json.dumps(told) and told["deleted"] == 0 and told["batches"] == [] and told["rows"] == 3
