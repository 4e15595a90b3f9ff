# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is due and what stands against it, on real servers, as the least-privilege role."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from psycopg2 import sql

from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Refused
from ansible_collections.day2.ops.plugins.module_utils._core.liveness import Liveness
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql import preflight
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session, connect
from ansible_collections.day2.ops.plugins.module_utils._postgresql.spec import postgresql_spec
from ansible_collections.day2.ops.plugins.module_utils._retention import find as finding
from ansible_collections.day2.ops.plugins.module_utils._retention import predicate
from ansible_collections.day2.ops.plugins.module_utils._retention.find import find
from ansible_collections.day2.ops.plugins.module_utils._retention.policy import policies_of, policy_options
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Found
from tests.lab import demo
from tests.lab.fixtures import Database, majors

DEFAULTS = {name: one.get("default") for name, one in policy_options().items()}
EVENTS = """
CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz, kind text, payload jsonb);
INSERT INTO events SELECT i, date_trunc('day', now()) - interval '1 day' * i, CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END
  FROM generate_series(1, 100) i;
"""


def run_of(database: Database, user: str = demo.RETENTION) -> Run:
    params = {name: one.get("default") for name, one in postgresql_spec().argument_spec.items()}
    params.update(database.login(user), run={"id": "r1", "target": "shop"})
    return Run(params, False, Deadline(None), Liveness())


def policy(**given: Any) -> dict[str, Any]:
    return {
        **DEFAULTS,
        "name": "p",
        "table": "events",
        "column": "at",
        "archive": "plain",
        "max_fraction": 1.0,
        **given,
    }


class Place:
    """A database with the ledger, and ``find`` on it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        demo.let_retain(database.postgres, database.name)

    def sql(self, *statements: str) -> None:
        """Run statements as the owner; the role may work on all tables."""
        with closing(self.database.connect(demo.OWNER)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        rows = self.database.execute(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_|^information_schema$|^day2$'"
        )
        demo.let_retain(self.database.postgres, self.database.name, [(schema, name) for schema, name in rows])

    def find(self, *given: dict[str, Any], user: str = demo.RETENTION) -> list[Found]:
        run = run_of(self.database, user)
        with closing(connect(run, "watch")) as session:
            before = session.rows("SELECT current_setting('search_path') AS path")
            found = find(run, session, policies_of({"policies": list(given)}))
            assert session.rows("SELECT current_setting('search_path') AS path") == before
        return found

    def one(self, **given: Any) -> Found:
        return self.find(policy(**given))[0]

    def ids(self, found: Found) -> list[Any]:
        """The keys of the rows that the condition lets go, read as the copy will read them."""
        return [row["id"] for row in self.rows(found, as_is)]

    def rows(self, found: Found, wrap: Callable[[Any], Any]) -> list[dict[str, Any]]:
        with closing(connect(run_of(self.database), "watch")) as session:
            return rows_due(session, found, wrap)


def as_is(statement: Any) -> Any:
    return statement


def rows_due(session: Session, found: Found, wrap: Callable[[Any], Any], args: Any = None) -> list[dict[str, Any]]:
    session.configure(**predicate.settings(found.policy, found.relation))
    due = predicate.due(found.policy, found.relation, found.cutoff)
    key = sql.SQL(", ").join(sql.Identifier("t", name) for name in found.relation.key)
    statement = sql.SQL("SELECT {} FROM {} AS t WHERE {} ORDER BY {}").format(
        key, predicate.table(found.relation), due, key
    )
    return session.rows(wrap(statement) + sql.SQL(" LIMIT %s") if args else statement, args)


def names(found: Found) -> list[str]:
    return [one.name for one in found.obstacles]


def text(found: Found, name: str) -> str:
    (one,) = [one.text for one in found.obstacles if one.name == name]
    return one


@pytest.fixture
def place(database: Database) -> Place:
    return Place(database)


@majors(18, soak=(14,))
def test_rows_older_than_a_time_aligned_to_the_day_in_utc(place: Place) -> None:
    place.database.execute(f"ALTER DATABASE {place.database.name} SET timezone = 'Pacific/Auckland'")
    place.sql(EVENTS, "INSERT INTO events VALUES (0, NULL, 'a')")
    found = place.one(older_than="90d")
    midnight = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    assert found.cutoff == midnight - timedelta(days=90)
    # The session's zone decided on the rows' days here; in UTC the row of the ninetieth day is older than the cut-off.
    assert (
        found.due.rows
        == len(place.ids(found))
        == place.database.value("SELECT count(*) FROM events WHERE at < %s", [found.cutoff])
    )
    assert found.due.total == 101 and 0 < found.due.bytes < found.relation.bytes
    assert found.relation.key == ("id",) and found.relation.walk == ("id",)
    assert (found.obstacles, found.known, found.partitions) == ((), False, ())


def test_months_are_the_calendar_s_and_hours_are_not_aligned(place: Place) -> None:
    place.sql(EVENTS)
    month = place.one(older_than="3mo").cutoff
    hours = place.one(older_than="1000h").cutoff
    expected = place.database.value("SELECT (date_trunc('day', now() AT TIME ZONE 'UTC') - interval '3 months')")
    assert month is not None and month.replace(tzinfo=None) == expected
    assert hours is not None and abs(datetime.now(timezone.utc) - hours - timedelta(hours=1000)).total_seconds() < 60


def test_conditions_of_the_policy(place: Place) -> None:
    place.sql(
        EVENTS,
        "CREATE TABLE kept (event bigint)",
        "INSERT INTO kept VALUES (92), (94), (NULL)",
        'CREATE TABLE "100% ""odd""" (id bigint)',
    )
    found = place.one(
        older_than="90d",
        where="kind LIKE 'a%' -- and no more",
        protect="SELECT event AS id FROM kept -- these",
        legal_hold="t.id = 96 OR t.payload IS NOT NULL",
    )
    assert place.ids(found) == [98, 100] and (found.due.rows, found.due.held) == (2, 1)
    # Beside arguments, too: percent signs are doubled.
    with closing(connect(run_of(place.database), "watch")) as session:
        assert [row["id"] for row in rows_due(session, found, predicate.with_args, [1])] == [98]
    assert found.relation.protects == ("id",)


def test_what_the_server_does_not_understand_is_bad_input(place: Place) -> None:
    place.sql(EVENTS, "CREATE TABLE other (event bigint)")
    for option, value, words in (
        ("where", "missing = 1", 'column "missing" does not exist'),
        ("where", "kind", "must be type boolean"),
        ("where", "true); DELETE FROM events; --", "syntax error"),
        ("legal_hold", "kind = = 1", "syntax error"),
        # Inside the condition this id would have been that of the table itself.
        ("protect", "SELECT id FROM other", 'column "id" does not exist'),
        ("protect", "SELECT event FROM nowhere", "schema.table"),
        ("protect", "SELECT kind FROM events", "operator does not exist"),
        ("protect", "SELECT event, event AS more FROM other", "it gives 2 columns"),
    ):
        with pytest.raises(BadInput, match=rf"policies\[p\]\.{option}: .*") as refused:
            place.one(older_than="90d", **{option: value})
        assert words in str(refused.value)
    assert place.database.value("SELECT count(*) FROM events") == 100
    with pytest.raises(BadInput, match=r"policies\[p\]\.column: public\.events has no column 'missing'; its columns"):
        place.one(older_than="90d", column="missing")
    with pytest.raises(BadInput, match=r"policies\[p\]\.table: there is no user table day2\.retention_ledger"):
        place.one(older_than="90d", table="day2.retention_ledger")
    place.sql("CREATE VIEW seen AS SELECT * FROM events", "CREATE SCHEMA more", "CREATE TABLE more.events (id int)")
    with pytest.raises(BadInput, match="seen is a view; name the table"):
        place.one(older_than="90d", table="seen")
    with pytest.raises(BadInput, match=r"events is more than one table \(more\.events, public\.events\)"):
        place.one(older_than="90d")


def test_the_last_of_each_group_stay(place: Place) -> None:
    place.sql(
        "CREATE TABLE versions (id bigint PRIMARY KEY, a int, b text, at timestamptz)",
        # Group (1, x): a tie of three at the newest moment; (2, y) is short; NULL is no group, nor a moment.
        "INSERT INTO versions VALUES (1, 1, 'x', '2024-01-01'), (2, 1, 'x', '2024-01-02'), (3, 1, 'x', '2024-01-02'),"
        " (4, 1, 'x', '2024-01-02'), (5, 1, 'x', NULL), (6, 2, 'y', '2020-01-01'), (7, 2, 'y', '2020-01-01'),"
        " (8, NULL, 'x', '2020-01-01'), (9, NULL, 'x', '2020-01-02'), (10, NULL, 'x', '2020-01-03'),"
        " (11, 1, 'z', '2020-01-03'), (12, 1, 'z', '2020-01-02'), (13, 1, 'z', '2020-01-01')",
    )
    given = {"table": "versions", "keep_last": 2, "per": ["a", "b"]}
    found = place.one(**given)
    assert place.ids(found) == [1, 2, 13] and found.cutoff is None and found.due.rows == 3
    assert place.ids(place.one(**given, where="b = 'x'")) == [1, 2]
    assert place.ids(place.one(**given, protect="SELECT 1 AS a, 'z'::text AS b")) == [1, 2]
    assert place.ids(place.one(**given, protect="SELECT 2::bigint")) == [1, 13]
    assert place.ids(place.one(**{**given, "keep_last": 1})) == [1, 2, 3, 6, 12, 13]
    with pytest.raises(BadInput, match="it is unclear what its column means"):
        place.one(**{**given, "per": ["a"]}, protect="SELECT 1 AS what")


def test_protected_groups_with_null(place: Place) -> None:
    place.sql(
        "CREATE TABLE versions (id bigint PRIMARY KEY, a int, at timestamptz)",
        "INSERT INTO versions SELECT i, i % 3, '2020-01-01' FROM generate_series(1, 9) i",
        "INSERT INTO versions VALUES (10, NULL, '2020-01-01')",
        "CREATE TABLE kept (a int)",
        "INSERT INTO kept VALUES (1), (NULL)",
    )
    found = place.one(table="versions", keep_last=1, per=["a"], protect="SELECT a FROM kept")
    assert place.ids(found) == [2, 3, 5, 6]
    assert found.relation.protects == ("a",) and not found.relation.column("a").not_null


HOSTILE = [
    'Or"ders',
    "with space",
    "100%s %(x)s",
    "semi;colon--",
    "ünïcödé ☃",
    "x" * 63,
    "select",
    "a.b",
    "back\\slash",
]


@majors(18, soak=(14,))
def test_names_are_data(place: Place) -> None:
    for number, name in enumerate(HOSTILE):
        quoted = '"' + name.replace('"', '""') + '"'
        create = [
            f"CREATE SCHEMA {quoted}",
            f"CREATE TABLE {quoted}.{quoted} ({quoted} timestamptz, day2_x int, PRIMARY KEY ({quoted}, day2_x))",
            f"INSERT INTO {quoted}.{quoted} SELECT '2020-01-01', i FROM generate_series(1, 5) i",
        ]
        place.sql(*create)
        given = policy(
            name=f"p{number}",
            table=f"{quoted}.{quoted}",
            column=name,
            older_than="1y",
            protect=f"SELECT day2_x, {quoted} FROM {quoted} WHERE day2_x = 1",
            legal_hold=f"t.{quoted} > now()",
            keep_last=None,
        )
        for one in (given, {**given, "older_than": None, "keep_last": 1, "per": [name]}):
            (found,) = place.find(one)
            assert found.relation.key == (name, "day2_x") and found.relation.walk == (name, "day2_x")
            with closing(connect(run_of(place.database), "watch")) as session:
                rows = rows_due(session, found, as_is)
                assert rows_due(session, found, predicate.with_args, [10]) == rows
            kept = {1} if one["older_than"] else {1, 5}
            assert {row["day2_x"] for row in rows} == {1, 2, 3, 4, 5} - kept
            assert found.due.rows == len(rows)


def test_types_of_an_extension_mean_what_they_mean_there(place: Place) -> None:
    place.database.execute("CREATE EXTENSION citext")
    place.sql(
        "CREATE TABLE people (name citext PRIMARY KEY, team citext NOT NULL, at timestamptz)",
        "INSERT INTO people VALUES ('a', 'Red', '2020-01-01'), ('B', 'red', '2020-01-01'), ('c', 'RED', '2020-01-01')",
    )
    found = place.one(table="people", keep_last=1, per=["team"], protect="SELECT 'A'::citext AS name")
    assert [row["name"] for row in place.rows(found, as_is)] == ["B"]
    assert found.relation.path == ("public",) and found.relation.columns[0].type == "public.citext"


def test_the_key_and_the_order_of_reading(place: Place) -> None:
    place.sql(
        "CREATE DOMAIN moment AS timestamptz(3)",
        "CREATE TABLE a (id int, code text NOT NULL, at moment, size int GENERATED ALWAYS AS (id * 2) STORED)",
        "CREATE UNIQUE INDEX ON a (id)",
        "CREATE UNIQUE INDEX ON a (code) WHERE id > 0",
        "CREATE INDEX ON a (at DESC)",
    )
    found = place.one(table="a", older_than="1y")
    assert found.relation.key == () and "no primary key" in text(found, "") and found.due.rows == 0
    place.sql("CREATE UNIQUE INDEX ON a (code)", "INSERT INTO a VALUES (1, 'x', '2020-01-01')")
    found = place.one(table="a", older_than="1y")
    assert (found.relation.key, found.relation.walk) == (("code",), ("at", "code"))
    at = found.relation.column("at")
    assert (at.type, predicate.base_type(at), found.due.rows) == ("public.moment", predicate.AWARE, 1)
    assert [one.name for one in found.relation.copied] == ["code", "id", "at"]


def test_columns_that_tell_no_age(place: Place) -> None:
    place.sql(
        "CREATE TABLE a (id int PRIMARY KEY, naive timestamp(3), day date, what json, word text)",
        "INSERT INTO a VALUES (1, now() - interval '2 days', (now() AT TIME ZONE 'UTC')::date - 2)",
        "INSERT INTO a VALUES (2, now(), (now() AT TIME ZONE 'UTC')::date - 1)",
    )
    found = place.one(table="a", column="naive", older_than="1d", min_age="1d")
    assert names(found) == ["naive_timestamp"] and place.ids(found) == [1]
    found = place.one(table="a", column="day", older_than="1d", min_age="1d")
    assert names(found) == [] and place.ids(found) == [1]
    assert "knows no hours" in text(place.one(table="a", column="day", older_than="12h"), "")
    assert "of type text, which tells no age" in text(place.one(table="a", column="word", older_than="1y"), "")
    assert "of type json, which has no order" in text(place.one(table="a", column="what", keep_last=1, per=["id"]), "")


def test_limits(place: Place) -> None:
    place.sql(EVENTS)
    found = place.one(older_than="2d", max_fraction=0.2, max_rows=50)
    assert names(found) == ["min_age", "max_fraction", "max_rows"]
    assert "max_fraction allows 20 %" in text(found, "max_fraction")
    assert names(place.one(older_than="7d")) == names(place.one(older_than="168h")) == []
    assert names(place.one(older_than="167h")) == ["min_age"]


@majors(18, soak=(14,))
def test_what_a_delete_reaches(place: Place) -> None:
    place.sql(
        EVENTS,
        "CREATE TABLE child (id int PRIMARY KEY, event bigint REFERENCES events ON DELETE CASCADE)",
        'CREATE TABLE "Grand child" (child int REFERENCES child ON DELETE SET NULL)',
        'CREATE INDEX ON "Grand child" (child) WHERE child IS NOT NULL',
        "CREATE TABLE friend (event bigint REFERENCES events)",
        "CREATE INDEX ON friend (event)",
        "CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
        "CREATE TRIGGER outbox AFTER DELETE ON child FOR EACH ROW EXECUTE FUNCTION noop()",
        "CREATE TRIGGER harmless AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION noop()",
        "CREATE TRIGGER off BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION noop()",
        "ALTER TABLE events DISABLE TRIGGER off",
        'CREATE RULE kept AS ON UPDATE TO "Grand child" DO ALSO NOTHING',
    )
    found = place.one(older_than="90d")
    assert names(found) == ["unindexed_reference", "cascade", "set_null", "triggers", "rules"]
    assert "public.child (event) references public.events" in text(found, "unindexed_reference")
    assert "rows of public.child go with those of public.events" in text(found, "cascade")
    assert 'public."Grand child" (child) is set to NULL' in text(found, "set_null")
    assert "public.child, which a delete from public.events reaches, runs trigger outbox" in text(found, "triggers")
    oids = {
        oid
        for (oid,) in place.database.execute(
            "SELECT oid::bigint FROM pg_class WHERE relkind = 'r' AND relname IN ('child', 'Grand child', 'friend')"
        )
    }
    assert found.referenced_by == oids
    assert names(place.one(table="friend", column="event", keep_last=1, per=["event"])) == [""]


def test_rows_that_others_reference_stay(place: Place) -> None:
    place.sql(
        EVENTS,
        "ALTER TABLE events ADD UNIQUE (kind, id)",
        'CREATE TABLE "100%" (id bigint PRIMARY KEY, "A b" text, at timestamptz, event bigint,'
        ' FOREIGN KEY ("A b", event) REFERENCES events (kind, id))',
        'CREATE INDEX ON "100%" (event, "A b")',
        "INSERT INTO \"100%\" VALUES (1, 'a', now(), 10), (2, NULL, now(), 96)",
    )
    assert place.ids(place.one(older_than="90d")) == [*range(91, 101)]
    place.sql("INSERT INTO \"100%\" VALUES (3, 'a', '2020-01-01', 96), (4, 'a', now(), 98)")
    found = place.one(older_than="90d")
    assert names(found) == [] and (found.due.rows, found.due.held, found.due.referenced) == (8, 2, 2)
    assert place.ids(found) == [91, 92, 93, 94, 95, 97, 99, 100]
    # Its own policy deletes there first.
    given = policy(older_than="90d"), policy(name="c", table='"100%"', older_than="90d")
    for some in (given, given[::-1]):
        by_name = {one.policy.name: one for one in place.find(*some)}
        assert (by_name["p"].due.rows, by_name["c"].due.rows) == (9, 1)
        assert place.ids(by_name["p"]) == place.ids(found), "as long as the others are there"
    # Whoever may not read that table learns it from the delete.
    place.database.execute('REVOKE SELECT ON "100%" FROM day2_retention')
    assert place.one(older_than="90d").due.rows == 10
    place.database.execute('GRANT SELECT (event) ON "100%" TO day2_retention')
    assert place.one(older_than="90d").due.rows == 10
    place.database.execute('GRANT SELECT ("A b", event) ON "100%" TO day2_retention')
    assert place.one(older_than="90d").due.rows == 8
    place.sql('ALTER TABLE "100%" ENABLE ROW LEVEL SECURITY')
    assert place.one(older_than="90d").due.rows == 10


def test_references_of_partitioned_tables_are_told_once(place: Place) -> None:
    place.sql(
        "CREATE TABLE logs (id bigint, at timestamptz, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
        "CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
        "CREATE TABLE logs_2 PARTITION OF logs FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')",
        "CREATE TABLE notes (log bigint, at timestamptz, FOREIGN KEY (log, at) REFERENCES logs ON DELETE CASCADE)"
        " PARTITION BY HASH (log)",
        "CREATE TABLE notes_1 PARTITION OF notes FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
        "CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
        "CREATE TRIGGER outbox AFTER DELETE ON logs FOR EACH ROW EXECUTE FUNCTION noop()",
    )
    found = place.one(table="logs", older_than="1y")
    assert names(found) == ["unindexed_reference", "cascade", "triggers"]
    place.sql("CREATE INDEX ON notes (at, log)")
    assert names(place.one(table="logs", older_than="1y")) == ["cascade", "triggers"]
    # A partition by its own name: what references the whole table references it too.
    assert names(place.one(table="logs_1", older_than="1y")) == ["cascade", "triggers"]


def test_heirs_and_foreign_partitions_cannot_be_accepted(place: Place) -> None:
    place.sql(EVENTS, "CREATE TABLE heir () INHERITS (events)")
    assert "has heirs" in text(place.one(older_than="90d"), "")


@majors(18, soak=(14,))
def test_row_security(place: Place) -> None:
    place.sql(EVENTS, "ALTER TABLE events ENABLE ROW LEVEL SECURITY", "CREATE POLICY few ON events USING (id > 95)")
    found = place.one(older_than="90d")
    assert names(found) == ["row_security"] and found.due.rows == 0
    assert "hides rows of public.events from the user day2_retention" in text(found, "row_security")
    found = place.one(older_than="90d", accept=["row_security"])
    assert place.ids(found) == [96, 97, 98, 99, 100] and found.due.rows == 5


@majors(18, soak=(14,))
def test_row_security_of_what_a_condition_reads(place: Place) -> None:
    """In silence nothing would be kept by rows that the user does not see."""
    place.sql(
        EVENTS,
        "CREATE TABLE holds (id bigint)",
        "INSERT INTO holds VALUES (95)",
        "CREATE VIEW held AS SELECT id FROM holds",
        "ALTER TABLE holds ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY none ON holds USING (false)",
    )
    place.database.execute("GRANT SELECT ON held TO day2_retention")
    for accept in ([], ["row_security"]):
        for option, value in (
            ("protect", "SELECT id FROM holds"),
            ("legal_hold", "t.id IN (SELECT h.id FROM holds h)"),
            ("where", "id NOT IN (SELECT h.id FROM holds h)"),
        ):
            found = place.one(older_than="90d", accept=accept, **{option: value})
            assert names(found) == ["protect_row_security"] and found.due.rows == 0, option
            said = text(found, "protect_row_security")
            assert f"row-level security hides rows that {option} reads from the user day2_retention" in said
            assert 'policy for table "holds"); give the user BYPASSRLS, or accept: [protect_row_security].' in said
            hidden = place.one(older_than="90d", accept=[*accept, "protect_row_security"], **{option: value})
            assert hidden.due.rows == 10, "that is what it accepts"
        # The view's owner sees them all.
        found = place.one(older_than="90d", accept=accept, protect="SELECT id FROM held")
        assert names(found) == [] and 95 not in place.ids(found) and found.due.rows == 9
    # Nor is it silent where the table itself was accepted.
    place.sql("ALTER TABLE events ENABLE ROW LEVEL SECURITY", "CREATE POLICY few ON events USING (id > 94)")
    found = place.one(older_than="90d", accept=["row_security"], legal_hold="id IN (SELECT h.id FROM holds h)")
    assert names(found) == ["protect_row_security", "row_security"]
    found = place.one(older_than="90d", accept=["row_security"], protect="SELECT id FROM held")
    assert place.ids(found) == [96, 97, 98, 99, 100]


@majors(18, soak=(14,))
def test_publications(place: Place) -> None:
    place.sql(EVENTS, "CREATE TABLE keyless (id bigint NOT NULL UNIQUE, at timestamptz)")
    place.database.execute('CREATE PUBLICATION "Every%" FOR TABLE events, keyless')
    found = place.one(older_than="90d")
    assert names(found) == ["publication"] and 'is published by "Every%"' in text(found, "publication")
    found = place.one(table="keyless", older_than="90d")
    assert names(found) == ["", "publication"] and "has no replica identity" in text(found, "")
    place.sql("ALTER TABLE keyless REPLICA IDENTITY FULL")
    assert names(place.one(table="keyless", older_than="90d")) == ["publication"]
    place.database.execute("ALTER PUBLICATION \"Every%\" SET (publish = 'insert')")
    assert names(place.one(older_than="90d")) == []


@majors(18, soak=(14,))
def test_publications_of_partitioned_tables(place: Place) -> None:
    place.sql(
        "CREATE TABLE logs (id bigint, at timestamptz, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
        "CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
        "CREATE TABLE logs_2 PARTITION OF logs FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')",
        "CREATE TABLE others (id bigint PRIMARY KEY, at timestamptz)",
    )
    for how, whole in (("false", ["publication"] * 2), ("true", ["publication"])):
        place.database.execute(f"CREATE PUBLICATION p FOR TABLE logs WITH (publish_via_partition_root = {how})")
        assert names(place.one(table="logs", older_than="1y")) == whole
        assert names(place.one(table="logs_1", older_than="1y")) == ["publication"]
        assert names(place.one(table="others", older_than="1y")) == []
        place.sql("ALTER TABLE logs_2 REPLICA IDENTITY NOTHING")
        assert "public.logs_2 has no replica identity" in text(place.one(table="logs", older_than="1y"), "")
        place.sql("ALTER TABLE logs_2 REPLICA IDENTITY DEFAULT")
        place.database.execute("DROP PUBLICATION p")


@majors(18, soak=(14,))
def test_partitions_that_go_as_a_whole(place: Place) -> None:
    place.sql(
        "CREATE TABLE logs (id bigint, at timestamptz, n int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
        "CREATE TABLE logs_new PARTITION OF logs FOR VALUES FROM ('2024-01-01') TO (MAXVALUE)",
        "CREATE TABLE logs_old PARTITION OF logs FOR VALUES FROM (MINVALUE) TO ('2020-01-01')",
        "CREATE TABLE \"Logs'21\" PARTITION OF logs FOR VALUES FROM ('2020-01-01') TO ('2024-01-01')"
        " PARTITION BY HASH (id)",
        'CREATE TABLE logs_21_a PARTITION OF "Logs\'21" FOR VALUES WITH (MODULUS 2, REMAINDER 0)',
        'CREATE TABLE logs_21_b PARTITION OF "Logs\'21" FOR VALUES WITH (MODULUS 2, REMAINDER 1)',
        "INSERT INTO logs SELECT i, '2019-01-01', i FROM generate_series(1, 10) i",
        "INSERT INTO logs SELECT i, '2022-01-01', i FROM generate_series(1, 20) i",
        "INSERT INTO logs SELECT i, '2024-01-02', i FROM generate_series(1, 5) i",
        "INSERT INTO logs SELECT i, now(), i FROM generate_series(100, 139) i",
    )
    given = {"table": "logs", "older_than": "90d", "partitions": True}
    with pytest.raises(Refused, match="GRANT orchestrator TO day2_retention;"):
        place.one(**given)
    place.database.execute("GRANT orchestrator TO day2_retention")
    try:
        found = place.one(**given)
        assert [(one.name, one.rows, one.pending) for one in found.partitions] == [
            ("logs_old", 10, False), ("Logs'21", 20, False),
        ]  # fmt: skip
        assert (found.due.rows, found.due.apart, found.due.total) == (35, 30, 75)
        found = place.one(**given, legal_hold="n = 11")
        assert [one.name for one in found.partitions] == ["logs_old"]
        assert (found.due.rows, found.due.held, found.due.apart) == (34, 1, 10)
        # Interrupted: it is no longer seen through its parent, and still waits to be detached.
        with closing(place.database.connect(autocommit=False)) as holder, holder.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM logs")
            with closing(place.database.connect(demo.OWNER)) as other, other.cursor() as detaching:
                detaching.execute("SET statement_timeout = 500")
                with pytest.raises(Exception, match="statement timeout"):
                    detaching.execute("ALTER TABLE logs DETACH PARTITION logs_old CONCURRENTLY")
        found = place.one(**given)
        assert [(one.name, one.pending) for one in found.partitions] == [("logs_old", True), ("Logs'21", False)]
        assert (found.due.rows, found.due.apart) == (25, 20)
        assert place.one(table="logs", older_than="90d").partitions == ()
        place.database.execute("CREATE TABLE logs_rest PARTITION OF logs DEFAULT")
        with pytest.raises(Exception, match=r"default partition|pending"):
            place.sql('ALTER TABLE logs DETACH PARTITION "Logs\'21" CONCURRENTLY')
        assert place.one(**given).partitions == ()
    finally:
        place.database.execute("REVOKE orchestrator FROM day2_retention")
    place.sql("CREATE TABLE whole (id int PRIMARY KEY, at timestamptz)")
    assert place.one(table="whole", older_than="90d", partitions=True).partitions == ()


@majors(18, soak=(14,))
def test_grants_are_looked_at_before_anything_is_read(place: Place) -> None:
    place.sql(EVENTS)
    place.database.execute("REVOKE SELECT ON events FROM day2_retention")
    with pytest.raises(Refused, match=r"GRANT SELECT ON TABLE public\.events TO day2_retention;"):
        place.one(older_than="90d")
    place.database.execute("GRANT SELECT ON events TO day2_retention; REVOKE DELETE ON events FROM day2_retention")
    with pytest.raises(Refused, match=r"GRANT DELETE ON TABLE public\.events TO day2_retention;"):
        place.one(older_than="90d")
    place.database.execute("GRANT DELETE ON events TO day2_retention; DROP TABLE day2.retention_ledger")
    with pytest.raises(Refused, match=r"CREATE TABLE IF NOT EXISTS day2\.retention_ledger"):
        place.one(older_than="90d")
    demo.let_retain(place.database.postgres, place.database.name)
    assert place.one(older_than="90d").due.rows
    place.database.execute("CREATE TABLE secret (id bigint)")
    with pytest.raises(Refused, match=r"policies\[p\]\.protect: permission denied for table secret; let an admin"):
        place.one(older_than="90d", protect="SELECT id FROM secret")


@majors(18, soak=(14,))
def test_what_a_restore_needs(place: Place) -> None:
    place.sql(EVENTS)
    (oid,) = place.database.execute("SELECT 'events'::regclass::oid::bigint")[0]
    with closing(connect(run_of(place.database), "watch")) as session:
        check = preflight.grants_check(session, "postgresql_retention_restore", "postgres", [oid])
        assert check["advice"] == "GRANT INSERT ON TABLE public.events TO day2_retention;"
        name = place.database.name
        place.database.execute(f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC")
        demo.let_retain(place.database.postgres, name, [("public", "events")], restore=True)
        check = preflight.grants_check(session, "postgresql_retention_restore", "postgres", [oid])
        assert check["advice"] == f"GRANT TEMPORARY ON DATABASE {name} TO day2_retention;"
        place.database.execute(check["advice"])
        check = preflight.grants_check(session, "postgresql_retention_restore", "postgres", [oid])
        assert check["status"] == "ok"


def test_a_policy_is_known_when_it_ran_on_this_target_as_it_is(place: Place) -> None:
    place.sql(EVENTS)
    found = place.one(older_than="90d")
    for target, kind in (("elsewhere", "accept"), ("shop", "delete")):
        place.database.execute(
            "INSERT INTO day2.retention_ledger (run, target, policy, policy_hash, relation, kind) "
            "VALUES ('r', %s, 'p', %s, 'public.events', %s)",
            [target, found.policy.hash, kind],
        )
        assert not place.one(older_than="90d").known
    place.database.execute("UPDATE day2.retention_ledger SET kind = 'accept'")
    assert place.one(older_than="90d").known and not place.one(older_than="91d").known


def test_a_count_that_takes_too_long_says_what_would_help(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.sql(EVENTS)
    monkeypatch.setattr(finding, "COUNT_SECONDS", 0.5)
    with pytest.raises(OpsError, match=r"lets go in public\.events: .* create an index on \(at\)\."):
        place.one(older_than="90d", where="pg_sleep(0.2) IS NOT NULL")


def test_large_tables_are_estimated_where_all_rows_are_asked_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.sql(EVENTS, "ANALYZE events", "INSERT INTO events SELECT i, now() FROM generate_series(1000, 1009) i")
    monkeypatch.setattr(finding, "COUNTED_BYTES", 0)
    assert place.one(older_than="90d").due.total == 100


def test_two_policies_see_one_moment(place: Place) -> None:
    place.sql(EVENTS)
    found = place.find(policy(name="a", older_than="12h"), policy(name="b", older_than="12h"))
    assert found[0].cutoff == found[1].cutoff


def test_nothing_is_written(place: Place) -> None:
    place.sql(EVENTS)
    query = "SELECT pg_current_wal_insert_lsn(), (SELECT count(*) FROM day2.retention_ledger)"
    with closing(connect(run_of(place.database), "watch")) as session:
        assert session.read_only
    before = place.database.execute("SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables")
    place.one(older_than="90d", legal_hold="id = 3", protect="SELECT 4::bigint AS id")
    assert place.database.execute(query)[0][1] == 0
    assert place.database.execute("SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables") == before
