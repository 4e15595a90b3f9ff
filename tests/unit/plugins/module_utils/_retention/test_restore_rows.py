# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Original = remaining + restored: for every type, for tables with a past, for names that nobody should choose."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from psycopg2 import sql

from tests.lab import demo
from tests.lab.age import new_key
from tests.lab.fixtures import majors
from tests.unit.plugins.module_utils._retention import places
from tests.unit.plugins.module_utils._retention.places import Place, number

pytestmark = pytest.mark.lab

# (type, values): each value is an expression of SQL.
TYPES: list[tuple[str, list[str]]] = [
    ("smallint", ["-32768", "32767"]),
    ("integer", ["-2147483648", "2147483647"]),
    ("bigint", ["-9223372036854775808", "9223372036854775807"]),
    ("numeric", ["'NaN'", "1e131071::numeric", "0.000", "-1.10", "1e-300::numeric", "'Infinity'", "'-Infinity'"]),
    ("numeric(12,3)", ["1.100", "-0.001"]),
    ("real", ["'NaN'", "'Infinity'", "'-0'", "1e-45", "3.4028235e38", "0.1"]),
    ("double precision", ["'-Infinity'", "'-0'", "5e-324", "1.7976931348623157e308", "0.1 + 0.2", "1/3.0"]),
    ("boolean", ["true", "false"]),
    ("char(5)", ["'a'", "'a  b'"]),
    ('"char"', ["'x'", "''"]),
    ("varchar(20)", ["''", "' blanks '"]),
    ("name", ["'a name'"]),
    (
        "text",
        [r"E'\t\n\r\b\f\v\\'", r"E'\\N'", r"'\N'", r"'\.'", "'NULL'", "'\"'", "'{}'", "'ä€𐍈'", "repeat('x', 3000000)"],
    ),
    ("bytea", [r"'\x'", r"'\x00ff5c0a09'", r"'\x5c4e'"]),
    ("json", ['\'{"b": 1,   "a": [1, null], "b": 2}\'', "'\"\\t\\u0041\"'", "'null'"]),
    ("jsonb", ['\'{"b": 1, "a": [1.10, null]}\'', '\'"\\""\'', "'1e400'"]),
    ("timestamptz", ["'infinity'", "'-infinity'", "'2024-03-31 01:30:00.123456+00'", "'4713-01-01 00:00:00+00 BC'"]),
    ("timestamp", ["'infinity'", "'294276-12-31 23:59:59.999999'"]),
    ("date", ["'infinity'", "'0044-03-15 BC'", "'5874897-12-31'"]),
    ("time", ["'24:00'", "'00:00:00.000001'"]),
    ("timetz", ["'23:59:59.999999+15:59'"]),
    ("interval", ["'-1 year 2 mons -3 days 04:05:06.000007'", "'178000000 years'", "'0'", "'-00:00:01'"]),
    ("interval day to second", ["'1 02:03:04'"]),
    ("uuid", ["'00000000-0000-0000-0000-000000000000'"]),
    ("inet", ["'10.0.0.1'", "'10.0.0.1/8'", "'::1/128'"]),
    ("cidr", ["'10.0.0.0/8'"]),
    ("macaddr", ["'08:00:2b:01:02:03'"]),
    ("macaddr8", ["'08:00:2b:01:02:03:04:05'"]),
    ("bit(3)", ["B'101'"]),
    ("bit varying(9)", ["B''", "B'10101'"]),
    ("money", ["'-1234.56'", "'92233720368547758.07'"]),
    ("tsvector", ["'a:1A fat:2B,4C ''it''''s'''", "''"]),
    ("tsquery", ["'fat & (rat | !cat:*)'"]),
    ("xml", ["'<a b=\"c\">x &amp; y</a>'", "'text <b/>'"]),
    ("point", ["'(0.1,-1e300)'"]),
    ("box", ["'((0,0),(1,1))'"]),
    ("path", ["'[(0,0),(1,1)]'"]),
    ("polygon", ["'((0,0),(1,1),(2,0))'"]),
    ("circle", ["'<(0,0),5>'"]),
    ("pg_lsn", ["'16/B374D848'"]),
    ("oid", ["4294967295"]),
    ("regclass", ["'pg_class'", "'public.things'"]),
    ("jsonpath", ["'$.a[*] ? (@ > 1)'"]),
    ("int[]", ["'{}'", "'{1,NULL,3}'", "'[0:1][2:3]={{1,2},{3,4}}'"]),
    ("text[]", [r"ARRAY['a,b', E'\t\n\\', 'NULL', NULL, '', '\"{}']"]),
    ("timestamptz[]", ["ARRAY['infinity'::timestamptz, NULL]"]),
    ("bytea[]", [r"ARRAY['\x00'::bytea, '\x5c']"]),
    ("int4range", ["'empty'", "'[1,)'", "'(,)'"]),
    ("tstzrange", ["'[\"2024-01-01 00:00:00+00\",infinity)'"]),
    ("int4multirange", ["'{}'", "'{[1,3),[5,)}'"]),
    ("public.mood", ["'so, so'", "'\"ok\"'"]),
    ("public.positive", ["7"]),
    ("public.pair", [r"ROW(1, E'a," " \t\\ b')", "ROW(NULL, NULL)", "ROW(NULL, '')"]),
    ("public.pair[]", ["ARRAY[ROW(1, 'x')::public.pair, NULL]"]),
    ("public.mood[]", ["ARRAY['so, so'::public.mood]"]),
    ('"Odd Schema"."Ty""pe"', ["'a'"]),
]
# Their bytes hold oids that a dump and restore of the database changes: a binary archive refuses them.
NUMBERED = ("regclass", "public.pair[]", "public.mood[]")
KEYS = [
    ("text", r"E'k\t\n\\\\N\"{},' || g"),
    ("uuid", "md5(g::text)::uuid"),
    ("timestamptz", "'2020-01-01 00:00:00.5+00'::timestamptz + g * interval '1 second'"),
    ("double precision", "g + 0.1"),
    ("bytea", "decode(lpad(to_hex(g), 8, '0'), 'hex')"),
    ("int[]", "ARRAY[g, NULL, 0]"),
    ("char(6)", "g::text"),
    ("varchar(9)", "' ' || g || ' '"),
    ("public.mine", "ROW(g, 'x,\"')::public.mine"),
    ("int4range", "int4range(g, NULL)"),
    ("inet", "'10.0.0.0'::inet + g"),
    ("interval", "g * interval '1 hour'"),
]
# The others are for the soak.
USUAL = ("text", "timestamptz", "public.mine")
# What these are as text is not what a cast to text makes of them, or holds letters that a line has to escape.
CAST = ("text", "bytea", "char(6)", "public.mine", "inet")
MADE = (
    "CREATE TYPE mood AS ENUM ('so, so', '\"ok\"')",
    "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
    "CREATE TYPE pair AS (a int, b text)",
    'CREATE SCHEMA "Odd Schema"',
    'CREATE DOMAIN "Odd Schema"."Ty""pe" AS varchar(3)',
)


def do(place: Place, *statements: str) -> None:
    with place.database.connect(demo.OWNER) as connection, connection.cursor() as cursor:
        cursor.execute("SET client_min_messages = warning")
        for statement in statements:
            cursor.execute(statement)


def there_and_back(place: Place, table: tuple[str, str], due: int, **given: object) -> None:
    """The due rows go and come back, and every row is what it was."""
    place.let(table)
    place.accept()
    before = place.rows(table)
    result = place.done(patch=places.small_chunks(50))
    assert number(result, "rows_deleted") == due and number(result, "rows_stayed") == 0, result
    remaining = place.rows(table)
    assert len(remaining) == len(before) - due and set(remaining) <= set(before)
    assert len(place.restored(**given)["actions"]) == number(result, "chunks")
    assert place.rows(table) == before
    assert not place.restored(**given)["changed"]


@majors(18, soak=(14,))
@pytest.mark.parametrize("how", ["text", "binary"])
def test_every_type(place: Place, how: str) -> None:
    types = [one for one in TYPES if how == "text" or one[0] not in NUMBERED]
    do(place, *(statement for statement in MADE))
    place.database.execute('GRANT CREATE ON DATABASE "' + place.database.name + f'" TO {demo.OWNER}')
    columns = ", ".join(f"c{number} {kind}" for number, (kind, _values) in enumerate(types))
    do(place, f"CREATE TABLE things (id int PRIMARY KEY, at timestamptz NOT NULL, {columns})")
    most = max(len(values) for _kind, values in types)
    for row in range(2 * most):
        values = ", ".join(
            f"({values[row % len(values)] if row != most else 'NULL'})::{kind}" for kind, values in types
        )
        do(place, f"INSERT INTO things SELECT {row}, now() - interval '100 days', {values}")
    do(place, "INSERT INTO things SELECT 1000, now()")
    place.database.execute(f'GRANT USAGE ON SCHEMA "Odd Schema" TO {demo.RETENTION}')
    place.policies = [places.policy(table="things", archive_format=how)]
    there_and_back(place, ("public", "things"), 2 * most)
    (about,) = place.objects("/about.json")
    assert json.loads(place.store.get(about).data)["format"] == how


@majors(18, soak=(14,))
def test_what_a_binary_archive_would_not_bring_back_is_refused(place: Place) -> None:
    """Each column in a sentence of its own, before anything is read; as text all of them are archived."""
    do(
        place,
        *MADE[:3],
        "CREATE DOMAIN moods AS mood[]",
        "CREATE TYPE nest AS (a int4range, b pair)",
        "CREATE TABLE things (id int PRIMARY KEY, at timestamptz, fine pair, a regclass, b mood[], c nest, d moods,"
        " e aclitem, f aclitem[], one mood, twice int GENERATED ALWAYS AS (id * 2) STORED, g regtype[])",
        "INSERT INTO things VALUES (1, now() - interval '100 days')",
    )
    place.policies = [places.policy(table="things", archive_format="binary")]
    place.let(("public", "things"))
    place.accept()
    result = place.retain()
    assert result["error"]["kind"] == "refused" and place.objects() == []
    told = dict(re.findall(r"column (\w+) of public.things is of type .+?, which (.+?);", result["msg"]))
    numbers, none = "is written in numbers that only this database knows", "has no binary form"
    assert told == {"a": numbers, "b": numbers, "c": numbers, "d": numbers, "e": none, "f": none, "g": numbers}
    assert "column a of public.things is of type regclass" in result["msg"] and "archive_format" in result["msg"]
    place.policies = [places.policy(table="things")]
    place.accept()
    assert number(place.done(), "rows_deleted") == 1


@pytest.mark.parametrize(
    "kind, value, how",
    [
        pytest.param(kind, value, how, marks=() if kind in USUAL else pytest.mark.soak)
        for kind, value in KEYS
        for how in ("text", "binary")
        if how == "text" or kind in CAST
    ],
)
def test_keys_of_any_type(place: Place, kind: str, value: str, how: str) -> None:
    do(
        place,
        "CREATE TYPE mine AS (a int, b text)",
        f"CREATE TABLE things (n int, k {kind}, at timestamptz NOT NULL, PRIMARY KEY (k, n))",
        f"INSERT INTO things SELECT g % 3, {value}, now() - interval '100 days' FROM generate_series(1, 700) g",
        "INSERT INTO things SELECT g % 3 + 9, k, now() FROM (SELECT row_number() OVER () AS g, k FROM things) x",
    )
    place.policies = [places.policy(table="things", archive_format=how)]
    there_and_back(place, ("public", "things"), 700)


def test_generated_identity_and_dropped_columns(place: Place) -> None:
    do(
        place,
        "CREATE TABLE things (gone1 int, a int, gone2 text, id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
        "twice int GENERATED ALWAYS AS (a * 2) STORED, at timestamptz NOT NULL, gone3 int, other text DEFAULT 'd')",
        "INSERT INTO things (a, at, other) SELECT g, now() - interval '100 days', CASE WHEN g % 2 = 0 THEN 'o' END "
        "FROM generate_series(1, 300) g",
        "ALTER TABLE things DROP gone1",
        "ALTER TABLE things DROP gone2, DROP gone3, ADD added int DEFAULT 5",
        "INSERT INTO things (a, at) VALUES (1, now())",
    )
    place.policies = [places.policy(table="things")]
    there_and_back(place, ("public", "things"), 300)


def test_hostile_names(place: Place, tmp_path: Path) -> None:
    table = 'T"; DROP TABLE x; -- %s \\ 😀'
    names = ['i"d %s', "a t%", "day2_o", "t", "d", "xmax%(x)s", 'c"."c', "select"]
    place.database.execute(f'CREATE SCHEMA "S %s""." AUTHORIZATION {demo.OWNER}')
    with place.database.connect(demo.OWNER) as connection, connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("CREATE TABLE {} ({} int PRIMARY KEY, {} timestamptz NOT NULL, {})").format(
                sql.Identifier('S %s".', table),
                sql.Identifier(names[0]),
                sql.Identifier(names[1]),
                sql.SQL(", ").join(sql.SQL("{} text DEFAULT '%s'").format(sql.Identifier(name)) for name in names[2:]),
            )
        )
        cursor.execute(
            sql.SQL(
                "INSERT INTO {} SELECT g, now() - CASE WHEN g > 20 THEN interval '1 day' ELSE interval '1 year' END "
                "FROM generate_series(1, 100) g"
            ).format(sql.Identifier('S %s".', table))
        )
    key = new_key(tmp_path)
    quoted = ".".join('"' + part.replace('"', '""') + '"' for part in ('S %s".', table))
    place.policies = [places.policy(table=quoted, column=names[1], archive="age")]
    place.options = {"recipients": [key.public]}
    there_and_back(place, ('S %s".', table), 20, identity_file=key.path)


def test_drift_is_told_and_another_table_will_do(place: Place) -> None:
    before = places.fill(place)
    place.done()
    do(place, "ALTER TABLE events ALTER note TYPE varchar(1024)", "CREATE TABLE aside (LIKE events)")
    result = place.restore()
    assert result["error"]["kind"] == "refused" and "note" in result["msg"] and "into" in result["msg"]
    assert "note" in place.restore(into="aside")["msg"]
    do(place, "ALTER TABLE aside ALTER note TYPE text")
    place.let(("public", "events"), ("public", "aside"))
    place.restored(into="aside")
    assert sorted(place.rows() + place.rows(("public", "aside"))) == before
    # What went elsewhere is still missing here.
    do(place, "ALTER TABLE events ALTER note TYPE text")
    place.restored()
    assert place.rows() == before


def test_rows_that_are_there_already(place: Place) -> None:
    before = places.fill(place)
    place.done()
    do(place, "INSERT INTO events VALUES (17, now() - interval '100 days', 'another')")
    result = place.restore()
    assert "existing" in result["msg"] and len(place.rows()) == 2001 and place.ledger("restore") == []
    result = place.restored(existing="skip")
    assert [number(result, name) for name in ("rows", "rows_skipped")] == [2999, 1]
    assert len(place.rows()) == 5000 and len(set(before) - set(place.rows())) == 1
    assert not place.restored()["changed"]


def test_what_came_back_and_is_due_goes_again_and_comes_back_again(place: Place) -> None:
    before = places.fill(place)
    for _turn in range(2):
        assert number(place.done(), "rows_deleted") == 3000
        place.restored()
        assert place.rows() == before


def test_a_damaged_archive_gives_nothing_back(place: Place) -> None:
    places.fill(place)
    place.done()
    (key,) = place.objects("/rows.copy.zst")
    path = Path(place.store_options["store"]) / key
    path.write_bytes(path.read_bytes()[:-20] + bytes(20))
    result = place.restore()
    assert "changed since it was written" in result["msg"], result["msg"]
    assert len(place.rows()) == 2000 and place.ledger("restore") == []


def test_check_mode_tells_what_would_come_back(place: Place) -> None:
    places.fill(place)
    place.done()
    result = place.restored(check=True)
    assert result["changed"] and result["actions"][0]["predicted"]["rows"] == 3000
    assert len(place.rows()) == 2000 and place.ledger("restore") == []


def test_a_missing_grant_is_told_before_anything(place: Place) -> None:
    places.fill(place)
    place.done()
    place.database.execute(f"REVOKE INSERT ON events FROM {demo.RETENTION}")
    assert f"GRANT INSERT ON TABLE public.events TO {demo.RETENTION};" in place.restore()["msg"]


def test_a_policy_that_nobody_knows_and_other_slips_are_named(place: Place) -> None:
    """A second restore finds nothing and is content; one of a name that was never used is not."""
    places.fill(place)
    place.done()
    for given, words in (
        ({"policy": "odl"}, "policy: neither store nor ledger knows of rows that policy 'odl' let go on target shop"),
        ({"run": {"target": "shopp"}}, "check its name, and that of the target"),
        ({"lock_timeout": 0}, "lock_timeout: 0 is too little; give a number above 0."),
        ({"chunks": ["20200101T000000Z-0000/00000"]}, "there is no chunk '20200101T000000Z-0000/00000'"),
        ({"into": "nowhere"}, "into: there is no user table nowhere in this database; check name, case and schema."),
    ):
        result = place.restore(**given)
        assert result["error"]["kind"] == "bad_input" and words in result["msg"], result
    assert len(place.rows()) == 2000 and place.ledger("restore") == []
    do(place, "ALTER TABLE events RENAME id TO number")
    assert (
        "their column id (bigint) is not there in public.events now; give a table as it was" in place.restore()["msg"]
    )
    do(place, "ALTER TABLE events RENAME number TO id")
    assert place.restored()["changed"] and not place.restored()["changed"]
