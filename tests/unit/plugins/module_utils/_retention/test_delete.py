# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copy, prove, delete on real servers: rows that change meanwhile, locks, stalls, deadlines; what is said of it."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyrage
import pytest
import zstandard

from tests.lab import demo
from tests.lab.age import new_key
from tests.lab.fixtures import majors
from tests.lab.s3 import S3
from tests.unit.plugins.module_utils._retention import places
from tests.unit.plugins.module_utils._retention.places import Place, number

pytestmark = pytest.mark.lab


@majors(18, soak=(14,))
def test_what_is_due_goes_and_a_second_run_finds_nothing(place: Place) -> None:
    before = places.fill(place)
    result = place.done()
    assert result["changed"] and len(place.rows()) == 2000
    assert [number(result, name) for name in ("rows_deleted", "rows_stayed", "chunks")] == [3000, 0, 1]
    assert place.deleted() == 3000 and place.ledger("accept")
    (about,) = place.objects("/about.json")
    told = json.loads(place.store.get(about).data)
    manifest = json.loads(place.store.get(about.replace("about", "manifest")).data)
    assert told["rows"] == manifest["deleted"] == 3000 and manifest["stayed"] == 0
    assert "CREATE TABLE public.events" in told["ddl"] and told["columns"][0] == {"name": "id", "type": "bigint"}
    plain = zstandard.ZstdDecompressor().decompressobj().decompress(b"".join(place.store.stream(told["object"])))
    assert plain.count(b"\n") == 3000 and len(plain) == told["bytes"]
    again = place.done()
    assert not again["changed"] and again["actions"] == []
    assert place.restored()["changed"] and place.rows() == before
    assert not place.restored()["changed"] and place.rows() == before


def test_check_mode_changes_nothing(place: Place) -> None:
    before = places.fill(place)
    result = place.done(check=True)
    assert result["changed"] and [one["status"] for one in result["actions"]] == ["planned"]
    assert place.rows() == before and place.objects() == [] and place.ledger() == []


def test_encrypted_in_a_bucket_in_several_chunks(place: Place, s3: S3, tmp_path: Path) -> None:
    key = new_key(tmp_path)
    place.store_options = places.s3_options(s3)
    place.policies = [places.policy(archive="age")]
    place.options = {"recipients": [key.public]}
    before = places.fill(place)
    result = place.done(patch=places.small_chunks())
    assert number(result, "chunks") == 3 and len(place.objects("/manifest.json")) == 3
    first = place.objects("/rows.copy.zst.age")[0]
    identity = pyrage.x25519.Identity.from_str(
        next(line for line in Path(key.path).read_text(encoding="utf-8").splitlines() if line.startswith("AGE-"))
    )
    packed = pyrage.decrypt(b"".join(place.store.stream(first)), [identity])
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed).count(b"\n") == 1000
    assert "identity_file" in place.restore()["msg"]
    one = first.split("/", 4)[4].rpartition("/")[0]
    assert len(place.restored(identity_file=key.path, chunks=[one])["actions"]) == 1
    assert len(place.restored(identity_file=key.path)["actions"]) == 2
    assert place.rows() == before


def test_rows_that_change_between_copy_and_delete_stay_and_are_listed(place: Place, tmp_path: Path) -> None:
    places.fill(place)
    module = place.start(patch=places.wait_in(tmp_path))
    places.there(tmp_path)
    owner = {"user": demo.OWNER}
    place.database.execute("UPDATE events SET note = 'kept' WHERE id = 7", **owner)
    # It is due as before, and another version of the same row.
    place.database.execute("UPDATE events SET note = note WHERE id = 8", **owner)
    place.database.execute("DELETE FROM events WHERE id = 9", **owner)
    place.database.execute("DELETE FROM events WHERE id = 10", **owner)
    place.database.execute("INSERT INTO events VALUES (10, now() - interval '100 days', 'again')", **owner)
    (tmp_path / "go").touch()
    result = module.result()
    assert [number(result, name) for name in ("rows_deleted", "rows_stayed")] == [2996, 4]
    assert place.ledger()[0][4:] == ([7, 8, 9, 10], ['["7"]', '["8"]', '["9"]', '["10"]'])
    assert {one["check"]: one["status"] for one in result["checks"]}["postgresql_retention_stayed"]
    live = place.database.execute("SELECT id, note FROM events WHERE id < 100 ORDER BY 1")
    assert [row[0] for row in live] == [7, 8, 10] and live[0][1] == "kept"
    # What stayed comes from no archive: the application's own delete is not undone.
    place.restored()
    assert place.database.value("SELECT count(*) FROM events WHERE id = 9") == 0
    assert place.database.value("SELECT note FROM events WHERE id = 10") == "again"


def test_rows_that_somebody_locks_stay(place: Place, tmp_path: Path) -> None:
    places.fill(place)
    module = place.start(patch=places.wait_in(tmp_path))
    places.there(tmp_path)
    with closing(place.database.connect(demo.OWNER, autocommit=False)) as other, other.cursor() as cursor:
        cursor.execute("SELECT FROM events WHERE id IN (600, 601) FOR UPDATE")
        (tmp_path / "go").touch()
        result = module.result()
        other.rollback()
    assert [number(result, name) for name in ("rows_deleted", "rows_stayed")] == [2998, 2], result
    assert [row[0] for row in place.database.execute("SELECT id FROM events WHERE id <= 3000 ORDER BY 1")] == [600, 601]
    result = place.done()
    assert number(result, "rows_deleted") == 2 and len(place.rows()) == 2000


def test_a_row_that_is_changed_while_its_delete_waits_stays(place: Place, tmp_path: Path) -> None:
    places.fill(place)
    place.options = {"lock_timeout": 10}
    module = place.start(patch=places.wait_in(tmp_path))
    places.there(tmp_path)
    with closing(place.database.connect(demo.OWNER, autocommit=False)) as other, other.cursor() as cursor:
        cursor.execute("UPDATE events SET note = 'newer' WHERE id = 5")
        (tmp_path / "go").touch()
        places.somebody_waits(place)
        other.commit()
    result = module.result()
    assert [number(result, name) for name in ("rows_deleted", "rows_stayed")] == [2999, 1]
    assert place.database.value("SELECT note FROM events WHERE id = 5") == "newer"


def test_the_condition_is_asked_again(place: Place, tmp_path: Path) -> None:
    """What protects a row need not change the row."""
    place.policies = [places.policy(protect="SELECT id FROM public.holds")]
    place.database.execute("CREATE TABLE holds (id bigint)", user=demo.OWNER)
    places.fill(place)
    place.let(("public", "events"), ("public", "holds"))
    module = place.start(patch=places.wait_in(tmp_path))
    places.there(tmp_path)
    place.database.execute("INSERT INTO holds VALUES (17), (2999)", user=demo.OWNER)
    (tmp_path / "go").touch()
    result = module.result()
    assert [number(result, name) for name in ("rows_deleted", "rows_stayed")] == [2998, 2], result
    assert place.database.value("SELECT count(*) FROM events WHERE id IN (17, 2999)") == 2


def test_the_deadline_leaves_the_rest_and_closes_what_is_gone(place: Place) -> None:
    before = places.fill(place, 30000, 20000)
    slow = f"import time, {places.UTILS}._retention.delete as d\nold = d.Deleter._count\n"
    slow += "def new(*a):\n    time.sleep(0.3)\n    return old(*a)\nd.Deleter._count = new\n"
    slow += f"import {places.UTILS}._retention.plan as p\np.LEAST_SECONDS = 0\n"
    end = datetime.now(timezone.utc) + timedelta(seconds=7)
    result = place.retain(patch=slow, run={"deadline": end.strftime("%Y-%m-%dT%H:%M:%SZ")})
    (action,) = result["actions"]
    assert action["status"] == "deferred" and "deadline" in action["reason"], result
    gone = action["after"]["rows_deleted"]
    assert 0 < gone < 20000 and gone == place.deleted() and len(place.objects("/manifest.json")) == 1
    assert number(place.done(), "rows_deleted") == 20000 - gone
    place.restored()
    assert place.rows() == before


def test_erase_needs_no_store_and_says_so_in_the_ledger(place: Place) -> None:
    place.policies = [places.policy(archive="none", erase=True)]
    place.store_options = {}
    places.fill(place)
    result = place.done()
    assert number(result, "rows_deleted") == 3000 and len(place.rows()) == 2000
    assert sum(row[3] for row in place.ledger("erase")) == 3000


def test_keep_last_of_each_group(place: Place) -> None:
    place.policies = [places.policy(keep_last=2, per=["grp"], column="version", table="versions")]
    for statement in (
        "CREATE TABLE versions (grp int NOT NULL, version int NOT NULL, note text, PRIMARY KEY (grp, version))",
        "INSERT INTO versions SELECT g % 100, g / 100, 'v' FROM generate_series(0, 999) g",
    ):
        place.database.execute(statement, user=demo.OWNER)
    place.let(("public", "versions"))
    place.accept()
    before = place.rows(("public", "versions"))
    assert number(place.done(), "rows_deleted") == 800
    assert place.database.value("SELECT min(version) FROM versions") == 8
    place.restored()
    assert place.rows(("public", "versions")) == before


@pytest.mark.parametrize("index", ["", "CREATE INDEX ON events (at)"])
def test_the_rows_of_a_partitioned_table_are_not_all_read_for_each_batch(place: Place, index: str) -> None:
    days = 30
    for statement in (
        "CREATE TABLE events (id bigint, at timestamptz, note text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
        f"""DO $$ BEGIN FOR day IN 0..{days - 1} LOOP
            EXECUTE format('CREATE TABLE events_%s PARTITION OF events FOR VALUES FROM (%L) TO (%L)', day,
                           current_date - 120 + day, current_date - 119 + day); END LOOP; END $$""",
        f"""INSERT INTO events SELECT g, current_date - 120 + (g - 1) * interval '1 day' * {days} / 12000, 'note ' || g
              FROM generate_series(1, 12000) g""",
        *([index] if index else []),
        "VACUUM ANALYZE events",
    ):
        place.database.execute(statement, user=demo.OWNER)
    place.let()
    place.policies = [places.policy(older_than="100d")]
    place.accept()

    def read() -> int:
        """Rows that somebody read in the partitions; those of a connection count once it is gone."""
        query = (
            "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables WHERE relname ~ 'events_'"
        )
        return int(place.database.value(query))

    before = read()
    assert number(place.done(), "rows_deleted") == 8000
    # Counted, copied and deleted; 16 batches would else read all of them 16 times.
    assert read() - before < 6 * 12000


def test_archives_go_when_they_have_stood_long_enough(place: Place) -> None:
    place.policies = [places.policy(archive_delete_after="30d")]
    places.fill(place)
    place.done()
    assert place.objects("/manifest.json")
    later = f"import {places.UTILS}._core.clock as c, datetime\nold = c.now\n"
    later += "c.now = lambda: old() + datetime.timedelta(days=31)\n"
    result = place.done(patch=later)
    assert [one["action"] for one in result["actions"]] == ["delete_archive"] and place.objects() == []
    assert not place.done()["changed"]


def test_a_reference_that_nobody_let_us_see_is_told_and_the_others_go(place: Place) -> None:
    before = places.fill(place)
    for statement in (
        "CREATE TABLE notes (event bigint REFERENCES events)",
        "CREATE INDEX ON notes (event)",
        "INSERT INTO notes VALUES (700)",
    ):
        place.database.execute(statement, user=demo.OWNER)
    (action,) = place.done(batch_rows=10000)["actions"]
    assert action["status"] == "deferred" and action["after"]["rows_deleted"] == 2500, action
    assert '"notes"); let it SELECT from that table, so that these stay and the others go' in action["reason"]
    assert len(place.objects("/manifest.json")) == 1
    place.let(("public", "events"), ("public", "notes"))
    assert number(place.done(), "rows_deleted") == 499
    assert place.database.execute("SELECT id FROM events WHERE id <= 3000") == [(700,)]
    assert not place.done()["changed"]
    place.restored()
    assert place.rows() == before


def test_a_session_says_what_it_does(place: Place, tmp_path: Path) -> None:
    places.fill(place)
    running = place.start(patch=places.wait_in(tmp_path))
    places.there(tmp_path)
    names = {row[0] for row in place.database.execute("SELECT application_name FROM pg_stat_activity")}
    assert {"day2/t1/delete_rows", "day2/t1/read", "day2/t1/watch"} <= names
    (tmp_path / "go").touch()
    assert not running.result().get("failed")


def test_nothing_is_begun_with_options_that_cannot_be_meant(place: Place) -> None:
    places.fill(place)
    for given, word in (
        ({"chunk_bytes": 5}, "chunk_bytes"),
        ({"batch_rows": 0}, "batch_rows"),
        ({"policies": [places.policy(archive="age")]}, "recipients"),
        ({"store": None}, "store"),
    ):
        assert word in place.retain(**given)["msg"]
