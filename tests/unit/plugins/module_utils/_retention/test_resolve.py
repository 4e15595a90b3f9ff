# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ends at every named boundary, other pasts of the database, and random kills: nothing is lost and nothing twice."""

from __future__ import annotations

import hashlib
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
import zstandard

from ansible_collections.day2.ops.plugins.module_utils._retention import adopt, chunk, resolve
from ansible_collections.day2.ops.plugins.module_utils._retention.ledger import Batch, Sums
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Policy
from tests.lab import demo
from tests.lab.fixtures import majors
from tests.lab.lab import Lab
from tests.lab.processes import wait_until
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


def gone(result: dict[str, Any]) -> int:
    return sum(one["after"].get("rows_deleted", 0) for one in result["actions"])


class Past:
    """A copy of the database as it was, to which it can be set back: what a failover, a restore to a point in time and
    a clone have in common."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._server = place.database.postgres
        self._name = place.database.name
        self.name = self._name + "_past"
        self._copy(self._name, self.name)

    def _copy(self, source: str, name: str) -> None:
        self._server.execute(f"CREATE DATABASE {name} TEMPLATE {source} OWNER {demo.OWNER}")

    def back(self) -> None:
        self._server.drop_database(self._name)
        self._copy(self.name, self._name)

    def close(self) -> None:
        self._server.drop_database(self.name)


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
    planned = place.done(adopt="database", check=True)
    assert place.objects("/void.json") == [] and place.ledger("void") == []
    result = place.done(adopt="database")
    kinds = ["void_archive"] * 3 + ["delete_rows"]
    assert [one["action"] for one in planned["actions"]] == [one["action"] for one in result["actions"]] == kinds
    assert len(place.objects("/void.json")) == 3 and len(place.ledger("void")) == 3
    assert gone(result) == 3000
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
    planned = place.done(adopt="store", check=True)
    assert place.ledger() == [] and len(place.rows()) == 5000
    result = place.done(adopt="store")
    kinds = ["delete_rows_again"] * 3
    assert [one["action"] for one in planned["actions"]] == [one["action"] for one in result["actions"]] == kinds
    assert result["changed"] and gone(result) == 2999 and number(result, "rows_stayed") == 1
    left = next(one for one in result["checks"] if one["check"] == "postgresql_retention_left")
    assert left["evidence"]["adopted"] == 3 and place.objects("/void.json") == []
    assert place.ledger()[0][4:] == ([5], ['["5"]']) and max(row[2] - row[1] for row in place.ledger()) < 1000
    # The changed row and the late one are due, too: they go the usual way, into an archive of their own.
    assert number(place.done(), "rows_deleted") == 2 and len(place.rows()) == 2000
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
    kinds = ["delete_rows_again"] if side == "store" else ["void_archive", "delete_rows"]
    assert [one["action"] for one in result["actions"]] == kinds and gone(result) == 2000
    assert place.done()["actions"] == []
    proven(place, before)


@lab_test
def test_rows_that_the_policy_holds_by_now_are_not_deleted_again(place: Place, past: Any) -> None:
    """What was archived is deleted again only as the policy is now, and only once somebody has seen its plan."""
    before = places.fill(place)
    then = past()
    place.done()
    then.back()
    place.policies = [places.policy(legal_hold="id = 7")]
    assert "needs an approved plan" in place.retain(adopt="store")["msg"] and place.rows() == before
    assert "needs an approved plan" in place.done(adopt="store", check=True)["actions"][0]["reason"]
    place.database.execute("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'")
    place.database.execute("CREATE TRIGGER t AFTER DELETE ON events FOR EACH ROW EXECUTE FUNCTION nothing()")
    place.accept()
    assert "trigger" in place.retain(adopt="store")["msg"] and place.rows() == before
    place.database.execute("DROP TRIGGER t ON events")
    result = place.done(adopt="store")
    assert number(result, "rows_deleted") == 2999 and number(result, "rows_stayed") == 1
    assert len(place.rows()) == 2001 and place.done()["actions"] == []
    proven(place, before)


@lab_test
def test_an_adoption_that_is_cut_short_goes_on(place: Place, past: Any) -> None:
    before = places.fill(place)
    then = past()
    place.done()
    then.back()
    place.killed(die_in("_retention.adopt", "_statement", when="n == 3"), adopt="store")
    again = place.deleted()
    assert 0 < again <= 1000 and len(place.rows()) == 5000 - again
    assert place.retain()["error"]["kind"] == "refused"
    assert gone(place.done(adopt="store", batch_rows=700)) == 3000 - again
    assert place.done()["actions"] == []
    proven(place, before)


@lab_test
def test_adoption_names_the_grant_that_it_lacks(place: Place, past: Any) -> None:
    places.fill(place)
    then = past()
    place.done()
    then.back()
    place.database.execute(f"REVOKE TEMPORARY ON DATABASE {place.database.name} FROM PUBLIC")
    assert "GRANT TEMPORARY ON DATABASE" in place.retain(adopt="store")["msg"]
    assert len(place.rows()) == 5000


def in_days(place: Place, days: int) -> str:
    """A patch: it is so many days later, and the store has grown as old."""
    for path in Path(place.store_options["store"]).rglob("*"):
        os.utime(path, (time.time() - days * 86400,) * 2)
    later = f"import {places.UTILS}._core.clock as c, datetime\nold = c.now\n"
    return later + f"c.now = lambda: old() + datetime.timedelta(days={days})\n"


@lab_test
def test_an_orphan_is_swept_when_no_run_can_close_it_any_more(place: Place) -> None:
    before = places.fill(place)
    place.killed(die_in("_retention.copy", "to_json"))
    rows = place.objects()
    place.killed(die_in("_retention.delete", "Deleter.delete"))
    whole = place.objects("/about.json")
    place.done()
    assert {*rows, *whole} <= {*place.objects()} and len(rows) == len(whole) == 1
    place.done(patch=in_days(place, 2))
    assert rows[0] not in place.objects() and whole[0] in place.objects()
    place.done(patch=in_days(place, 41))
    assert whole[0] not in place.objects() and len(place.objects("/manifest.json")) == 1
    proven(place, before)


@lab_test
def test_a_copy_of_the_database_does_not_sweep_what_the_original_deleted(place: Place, past: Any) -> None:
    """A run on the original was killed before it could close its chunk; then the copy runs with the same store."""
    before = places.fill(place)
    copy = past().name
    place.killed(die_in("_retention.chunk", "close"))
    place.database.postgres.execute("UPDATE events SET at = now()", dbname=copy)
    place.login = {"login_db": copy}
    assert place.done(patch=in_days(place, 41))["actions"] == []
    place.login = {}
    assert len(place.objects("/about.json")) == 1
    place.done()
    proven(place, before)


@lab_test
def test_a_manifest_is_not_waited_for_when_the_time_is_over(place: Place) -> None:
    """A store that falls silent at the deadline holds nobody up: the next run closes the chunk."""
    before = places.fill(place)
    over = f"__import__({places.UTILS!r} + '._core.errors', fromlist=['']).Deferred('time is over')"
    patch = f"import {places.UTILS}._retention.act as act\nact.CLOSING_SECONDS = 0.5\n"
    patch += places.raise_in("_retention.delete", "Deleter._count", over, when="n == 2")
    began = time.monotonic()
    result = place.done(patch=patch + places.do_in("_retention.chunk", "close", "time.sleep(60)"))
    assert time.monotonic() - began < 30 and result["actions"][0]["status"] == "deferred"
    assert len(place.rows()) == 4000 and place.objects("/manifest.json") == []
    place.done()
    assert len(place.objects("/manifest.json")) == 2
    proven(place, before)


@lab_test
def test_what_may_not_begin_is_deferred_and_fails_the_run(place: Place) -> None:
    """Whatever forbids to go on: nothing stays planned in a result that looks well."""
    before = places.fill(place)
    error = f"__import__({places.UTILS!r} + '._core.errors', fromlist=['']).Refused('another password')"
    result = place.retain(patch=places.raise_in("_retention.site", "Site.allowed", error))
    assert result["failed"] and "another password" in result["msg"] and place.rows() == before
    assert [one["status"] for one in result["actions"]] == ["deferred"]


@lab_test
def test_archives_that_are_not_where_they_were_are_told(place: Place, tmp_path: Path) -> None:
    places.fill(place)
    place.done()
    elsewhere = {"store": str(tmp_path / "elsewhere")}
    Path(elsewhere["store"]).mkdir()
    right, place.store_options = place.store_options, elsewhere
    told = place.restore()
    assert told["failed"] and "3 000 rows of 1 chunk" in told["msg"] and elsewhere["store"] in told["msg"], told["msg"]
    told = next(one for one in place.done()["checks"] if one["check"] == "postgresql_retention_missing")
    assert told["status"] == "crit" and told["value"] == 3000
    place.store_options = right
    assert number(place.restored(), "rows") == 3000
    # What is in the table again may be missing in the store.
    place.store_options = elsewhere
    assert "postgresql_retention_missing" not in {one["check"] for one in place.done(check=True)["checks"]}


@lab_test
def test_rows_that_somebody_put_in_their_place_are_not_restored(place: Place) -> None:
    """Object and description fit each other, and are not those that the ledger means."""
    places.fill(place)
    place.done()
    about = place.objects("/about.json")[0]
    rows = next(one for one in place.objects() if "rows.copy" in one)
    forged = zstandard.compress(b"1\t2020-01-01\tforged\t{}\n")
    told = json.loads(place.store.get(about).data)
    told.update(sha256=hashlib.sha256(forged).hexdigest(), size=len(forged))
    place.store.put(rows, forged)
    place.store.put(about, json.dumps(told).encode())
    result = place.restore()
    assert result["error"]["kind"] == "refused" and "checksum" in result["msg"] and len(place.rows()) == 2000


@lab_test
@pytest.mark.parametrize("which", range(1, 4))
def test_the_removal_of_an_archive_that_was_cut_short_is_finished(place: Place, which: int) -> None:
    places.fill(place)
    place.policies = [places.policy(archive_delete_after="30d")]
    place.accept()
    place.done()
    later = in_days(place, 31)
    place.killed(later + die_in("_store.folder", "FolderStore.delete", when=f"n == {which}"))
    assert len(place.objects()) == 4 - which
    assert place.restored()["actions"] == []
    told = place.done()
    assert place.objects() == [] and told["actions"] == []
    assert "postgresql_retention_missing" not in {one["check"] for one in told["checks"]}


@lab_test
def test_a_void_archive_goes_in_its_time_too(place: Place, past: Any) -> None:
    places.fill(place)
    place.policies = [places.policy(archive_delete_after="30d", older_than="99d")]
    place.accept()
    then = past()
    place.done()
    then.back()
    place.done(adopt="database")
    result = place.done(patch=in_days(place, 31))
    assert [one["action"] for one in result["actions"]] == ["delete_archive"] * 2 and place.objects() == []


@lab_test
def test_archives_are_not_removed_by_a_policy_of_which_nobody_saw_a_plan(place: Place) -> None:
    places.fill(place)
    place.done()
    place.policies = [places.policy(archive_delete_after="1d")]
    later = in_days(place, 2)
    assert "needs an approved plan" in place.retain(patch=later)["msg"] and len(place.objects()) == 3
    assert "needs an approved plan" in place.done(patch=later, check=True)["actions"][0]["reason"]


# What takes its time in :func:`test_random_kills`, so that a kill may come at any of it.
SLOW = (
    ("_retention.copy", "Pass._one", 0.05),
    ("_retention.copy", "Pass._stored", 0.05),
    ("_postgresql.connect", "Session.rows", 0.005),
    ("_retention.delete", "Deleter._count", 0.05),
    ("_retention.chunk", "close", 0.1),
)
OURS = "FROM pg_stat_activity WHERE application_name LIKE 'day2/%%' AND datname IN (current_database(), 'postgres')"
DUE = "SELECT count(*) FROM events WHERE at < now() - interval '95 days'"


@lab_test
def test_random_kills(place: Place) -> None:
    """20 ends at random moments, of the module or of its sessions; rows come and change meanwhile."""
    seed = int(os.environ.get("DAY2_SEED") or time.time())
    print(f"seed: DAY2_SEED={seed}")
    dice = random.Random(seed)
    places.fill(place, 2000, 1500)
    expected = dict(place.database.execute("SELECT id, events::text FROM events"))
    slow = places.small_chunks() + "".join(
        places.do_in(module, name, f"time.sleep({seconds} * random.random())") for module, name, seconds in SLOW
    )
    struck = sure = 0
    for turn in range(20):
        first, before = 10000 + turn * 3000, place.deleted()
        insert = (
            f"INSERT INTO events SELECT g, now() - interval '100 days', 'turn {turn}', NULL "
            f"FROM generate_series({first}, {first + 2999}) g RETURNING id, events::text"
        )
        update = f"UPDATE events SET note = note || '!' WHERE id % 97 = {turn} RETURNING id, events::text"
        expected.update(place.database.execute(insert, user=demo.OWNER))
        if turn % 5 == 0:
            # Whatever the machine is at: this one comes after some batches and before the last.
            until_gone(place)
            folder = Path(place.store_options["store"]).parent / f"turn-{turn}"
            folder.mkdir()
            hold = places.wait_in(folder, "_retention.delete", "Deleter._count", when=f"n == {dice.randint(1, 5)}")
            module = place.start(patch=slow + hold)
            places.there(folder)
            expected.update(place.database.execute(update, user=demo.OWNER))
            assert module.process.poll() is None and place.deleted() > before
            sure += 1
        else:
            module = place.start(patch=slow)
            time.sleep(dice.uniform(0.2, 0.6))
            expected.update(place.database.execute(update, user=demo.OWNER))
            time.sleep(dice.uniform(0.0, 0.6))
            if dice.random() < 0.3:
                place.database.execute(f"SELECT pg_terminate_backend(pid) {OURS} ORDER BY random() LIMIT 1")
                time.sleep(dice.uniform(0.0, 0.2))
        alive = module.process.poll() is None
        module.kill()
        # Rows of this turn are gone, and others are not.
        struck += alive and place.deleted() > before and bool(place.database.value(DUE))
    until_gone(place)
    result = place.done()
    remaining = place.rows()
    print(f"{struck} of 20 kills, {sure} of them by arrangement, came between rows; {result['plan_summary']}")
    assert struck >= sure == 4
    assert len(remaining) == 500 and len(remaining) + place.deleted() == len(expected) == 2000 + 20 * 3000
    closed = {key.rpartition("/")[0] for key in place.objects("/manifest.json")}
    assert closed == {row[0] for row in place.ledger()} and not place.done()["changed"]
    place.restored()
    assert places.differences(place.rows(), expected.values()) == []


def until_gone(place: Place) -> None:
    """No session of the run before is there any more."""
    wait_until(lambda: not place.database.execute(f"SELECT {OURS}"), "its sessions to end", 20.0)


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
        kept("removed", "about.json"),
        kept("no_rows", "about.json"),
    ]
    some = Sums(batches=1, deleted=5)
    sums = {
        "open": some, "standing": some, "unmarked": Sums(void=True), "marked": some,
        "removed": Sums(batches=1, deleted=5, void=True), "elsewhere": some, "no_rows": some,
        "again": Sums(batches=1, deleted=5, restored=True),
    }  # fmt: skip
    left = resolve.sort(Policy("p", (None, "t"), "at", "plain", "h"), found, sums)
    assert [one.prefix for one in left.orphans] == ["orphan"] and [one.prefix for one in left.open] == ["open"]
    assert [one.prefix for one in left.standing] == ["standing", "marked"]
    assert [(one.prefix, missing) for one, missing in left.differ] == [("differs", -1)]
    assert [one.prefix for one in left.unmarked] == ["unmarked"]
    assert [one.prefix for one in left.marked] == ["marked"]
    assert [one.prefix for one in left.voided] == ["void", "unmarked"]
    assert [one.prefix for one in left.removed] == ["removed"]
    assert left.missing == {"elsewhere": 5, "no_rows": 5}


def test_only_old_orphans_are_swept() -> None:
    for one, hours in ((kept("part", "rows.copy.zst"), 24), (kept("whole", "rows.copy.zst", "about.json"), 40 * 24)):
        assert resolve.old([one], one.touched + timedelta(hours=hours - 1)) == []
        assert resolve.old([one], one.touched + timedelta(hours=hours + 1)) == [one]


def test_what_the_ledger_does_not_know_of_a_batch() -> None:
    def batch(first: int, last: int, *stayed: int) -> Batch:
        return Batch("delete", first, last, last - first + 1 - len(stayed), stayed, f"k{first}", f"k{last}")

    told = [batch(1, 10, 3, 9), batch(11, 20)]
    assert adopt.uncovered(told, []) == told and adopt.uncovered(told, told) == []
    assert adopt.uncovered(told, [batch(11, 20), batch(1, 4, 3)]) == [Batch("delete", 5, 10, 5, (9,), "", "k10")]
    assert adopt.uncovered(told, [batch(4, 12)]) == [
        Batch("delete", 1, 3, 2, (3,), "k1", ""), Batch("delete", 13, 20, 8, (), "", "k20"),
    ]  # fmt: skip


def test_a_manifest_is_about_and_the_ledger(tmp_path: Path) -> None:
    told = chunk.manifest({"rows": 3}, [], "2026-11-21T00:00:00Z")
    assert json.dumps(told) and told["deleted"] == 0 and told["batches"] == [] and told["rows"] == 3
