# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes into a chunk, and what is said of it: its size, its table, the text of its rows, its rows in the ledger."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._retention import chunk
from ansible_collections.day2.ops.plugins.module_utils._retention.policy import policies_of, policy_options
from tests.lab import demo
from tests.lab.age import new_key
from tests.lab.fixtures import majors
from tests.unit.plugins.module_utils._retention import places
from tests.unit.plugins.module_utils._retention.places import TARGET, Place, number

pytestmark = pytest.mark.lab
MIB = 1 << 20


def own(place: Place, *statements: str) -> None:
    for statement in statements:
        place.database.execute(statement, user=demo.OWNER)


def told(place: Place, name: str = "about") -> list[dict[str, Any]]:
    return [json.loads(place.store.get(key).data) for key in place.objects(f"/{name}.json")]


# -- size


@pytest.mark.parametrize("how", ["text", pytest.param("binary", marks=pytest.mark.soak)])
def test_wide_rows_after_narrow_ones_make_no_larger_chunks(place: Place, how: str) -> None:
    own(
        place,
        "CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz NOT NULL, note text)",
        "INSERT INTO events SELECT g, now() - interval '100 days', 'x' FROM generate_series(1, 40000) g",
        "INSERT INTO events SELECT g, now() - interval '100 days', repeat(md5(g::text), 600)"
        " FROM generate_series(40001, 43000) g",
    )
    place.let()
    place.policies = [places.policy(archive_format=how)]
    place.accept()
    place.options = {"chunk_bytes": 16 * MIB, "batch_rows": 10000}
    before = place.rows()
    assert number(place.done(), "rows_deleted") == 43000
    sizes = [one["bytes"] for one in told(place)]
    assert max(sizes) <= 17 * MIB and sum(sizes) > 55 * MIB, sizes
    # All but the first, which tells how wide rows are, and the last.
    assert min(sizes[1:-1]) > 12 * MIB, sizes
    place.restored()
    assert place.rows() == before


@pytest.mark.parametrize(("mebibytes", "chunks"), [(16, 4), (64, 2)])
def test_chunk_bytes_says_how_large_chunks_are(place: Place, mebibytes: int, chunks: int) -> None:
    own(
        place,
        "CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz NOT NULL, note text)",
        "INSERT INTO events SELECT g, now() - interval '100 days', repeat(md5(g::text), 60)"
        " FROM generate_series(1, 22000) g",
    )
    place.let()
    place.accept()
    place.options = {"chunk_bytes": mebibytes * MIB, "batch_rows": 10000}
    assert number(place.done(), "chunks") == chunks
    sizes = [one["bytes"] for one in told(place)]
    assert max(sizes) <= (mebibytes + 1) * MIB and (len(sizes) == 2 or max(sizes) > 0.8 * mebibytes * MIB), sizes


# -- what it says


def test_generated_columns_are_made_again_by_the_archive_s_statement(place: Place) -> None:
    own(
        place,
        "CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz NOT NULL, note text DEFAULT 'n',"
        " size int GENERATED ALWAYS AS (length(note) * 2) STORED,"
        ' "up %" text GENERATED ALWAYS AS (upper(note)) VIRTUAL)',
        "INSERT INTO events SELECT g, now() - interval '100 days', 'abc' FROM generate_series(1, 10) g",
    )
    place.let()
    place.accept()
    before = place.rows()
    place.done()
    ddl = told(place)[0]["ddl"]
    assert "size integer GENERATED ALWAYS AS ((length(note) * 2)) STORED" in ddl
    assert '"up %" text GENERATED ALWAYS AS (upper(note)) VIRTUAL' in ddl and "note text DEFAULT 'n'::text" in ddl
    own(place, ddl.replace("public.events", "public.again"))
    kinds = "SELECT attname, attgenerated FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY 1"
    assert place.database.execute(kinds, ["again"]) == place.database.execute(kinds, ["events"])
    place.let(("public", "events"), ("public", "again"))
    place.restored(into="public.again")
    assert place.rows(("public", "again")) == before
    place.restored()
    assert place.rows() == before


def test_what_is_encrypted_has_no_keys_in_clear_text_beside_it(place: Place, tmp_path: Path) -> None:
    key = new_key(tmp_path)
    own(
        place,
        "CREATE TABLE people (email text PRIMARY KEY, at timestamptz NOT NULL)",
        "INSERT INTO people SELECT 'p' || g || '@example.org', now() - interval '100 days'"
        " FROM generate_series(1, 9) g",
    )
    place.let(("public", "people"))
    place.policies = [
        places.policy(name="sealed", table="people", where="email < 'p5'", archive="age"),
        places.policy(name="open", table="people"),
    ]
    place.options = {"recipients": [key.public]}
    place.accept()
    before = place.rows(("public", "people"))
    place.done()
    for about in (*told(place), *told(place, "manifest")):
        assert ("example.org" in json.dumps(about)) is (about["policy"] == "open"), about
    assert place.database.value(
        "SELECT first_key FROM day2.retention_ledger WHERE policy = 'sealed' AND kind = 'delete'"
    )
    place.restored(policy="sealed", identity_file=key.path)
    place.restored(policy="open")
    assert place.rows(("public", "people")) == before


SETTINGS = {
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "TimeZone": "Asia/Kathmandu",
}


@majors(18, soak=(14,))
def test_settings_of_role_and_database_change_no_archived_row(place: Place) -> None:
    """Written under some and read under others: days and months would change places, digits would be lost."""
    own(
        place,
        "CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz NOT NULL, day date, naive timestamp,"
        " lasts interval, bytes bytea, wide float8, small float4, price money, many float8[], span tstzrange)",
        "INSERT INTO events SELECT g, '2020-03-04 05:06:07.891011', '2020-03-04'::date + g, '2020-03-04 05:06:07.89',"
        " make_interval(months => g, days => -g, secs => 1.5), decode(md5(g::text), 'hex'), g / 3.0::float8, g / 3.0,"
        " g * 1.1::numeric, ARRAY[g / 3.0::float8, 'NaN'], tstzrange('2020-03-04', '2020-05-06')"
        " FROM generate_series(1, 40) g",
    )
    place.let()
    place.accept()
    before = place.rows()
    name = place.database.name
    for setting, value in SETTINGS.items():
        place.database.execute(f"ALTER ROLE {demo.RETENTION} IN DATABASE {name} SET {setting} = '{value}'")
    try:
        assert number(place.done(), "rows_deleted") == 40
        place.database.execute(f"ALTER ROLE {demo.RETENTION} IN DATABASE {name} RESET ALL")
        # And back with other ones.
        place.database.execute(f"ALTER DATABASE {name} SET DateStyle = 'SQL, MDY'")
        place.database.execute(f"ALTER DATABASE {name} SET IntervalStyle = 'postgres'")
        place.restored()
    finally:
        place.database.execute(f"ALTER ROLE {demo.RETENTION} IN DATABASE {name} RESET ALL")
    assert place.rows() == before


# -- what the ledger says of it


def test_the_ledger_says_what_was_deleted_where_its_copy_is_and_by_whom(place: Place) -> None:
    places.fill(place)
    place.done(patch=places.small_chunks(1500), batch_rows=1000)
    columns = "run, target, policy, policy_hash, relation, object, version, sha256, first_row, last_row, first_key"
    found = place.database.execute(
        f"SELECT chunk, {columns}, last_key, deleted, stayed FROM day2.retention_ledger"
        " WHERE kind = 'delete' ORDER BY id"
    )
    defaults = {name: one.get("default") for name, one in policy_options().items()}
    (policy,) = policies_of({"policies": [{**defaults, **place.policies[0]}]})
    assert [row[9:11] for row in found] == [(1, 1000), (1001, 1500)] * 2
    assert [(row[11], row[12]) for row in found] == [
        (f'["{first}"]', f'["{last}"]') for first, last in ((1, 1000), (1001, 1500), (1501, 2500), (2501, 3000))
    ]
    for row in found:
        assert row[1:6] == ("t1", TARGET, "old", policy.hash, "public.events") and row[14] == []
        about = chunk.read(place.store, row[0], chunk.ABOUT)
        assert row[6:9] == (about["object"], about["version"], about["sha256"])
        assert hashlib.sha256(b"".join(place.store.stream(row[6]))).hexdigest() == row[8]
    assert sum(row[13] for row in found) == 3000 and len({row[0] for row in found}) == 2
