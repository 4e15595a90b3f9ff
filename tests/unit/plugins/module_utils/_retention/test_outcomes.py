# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The right outcome and clear words: for users of every kind, standbys, subscribers, outboxes, names; and Ctrl-C."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from psycopg2 import sql

from ansible_collections.day2.ops.plugins.module_utils._postgresql.grants import LEDGER_SQL, role_sql
from tests.lab import demo
from tests.lab.fixtures import Database
from tests.lab.lab import Lab
from tests.lab.postgres import Postgres
from tests.lab.processes import wait_until
from tests.unit.plugins.module_utils._retention import places
from tests.unit.plugins.module_utils._retention.places import Place, number

pytestmark = pytest.mark.lab


def own(place: Place, *statements: Any) -> None:
    for statement in statements:
        place.database.execute(statement, user=demo.OWNER)


def refused(result: dict[str, Any]) -> str:
    """The message: on one line, and whole sentences or statements."""
    assert result["failed"] and result["error"]["kind"] == "refused", result
    message: str = result["msg"]
    assert "Traceback" not in message and len(message.splitlines()) == 1 and message[-1] in ".;", message
    return message


# -- users


@contextmanager
def user(server: Postgres, name: str, attributes: str = "LOGIN") -> Iterator[str]:
    """A role that is gone afterwards with all that it was granted, in databases that are still there."""
    server.create_role(name, attributes=attributes)
    try:
        yield name
    finally:
        for database in server.databases(""):
            if server.value("SELECT datallowconn FROM pg_database WHERE datname = %s", [database]):
                server.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)), dbname=database)
        server.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
        del server.passwords[name]


def apply(database: Database, text: str) -> None:
    """A script as an administrator runs it."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET client_min_messages = warning")
        cursor.execute(text)


def test_a_user_that_owns_nothing_needs_only_the_documented_grants(place: Place) -> None:
    """The generated script is all that it has; without any one of its grants on a table, that grant is asked for."""
    places.fill(place)
    server, database = place.database.postgres, place.database
    with user(server, "documented", "NOLOGIN"):
        script = role_sql(
            "postgresql_retention", role="documented", database=database.name, tables=[("public", "events")]
        )
        apply(database, script.replace("CREATE ROLE", "ALTER ROLE"))
        place.login = database.login("documented")
        assert not database.value("SELECT pg_has_role('documented', %s, 'MEMBER')", [demo.OWNER])
        assert database.value("SELECT NOT has_table_privilege('documented', 'events', 'INSERT, UPDATE, TRUNCATE')")
        for grant in ("SELECT ON TABLE public.events", "DELETE ON TABLE public.events", "USAGE ON SCHEMA day2"):
            apply(database, f"REVOKE {grant} FROM documented")
            message = refused(place.retain())
            asked = f"GRANT {grant} TO documented;"
            assert asked in message and place.objects() == [], message
            apply(database, asked)
        assert number(place.done(), "rows_deleted") == 3000
        assert not place.done()["changed"]


def test_the_user_of_a_managed_service(place: Place) -> None:
    """No superuser there: one that may create roles, in a group of the provider with pg_monitor and not with
    pg_read_all_data. What it owns it may delete from, and make the ledger itself; the control file may be hidden."""
    server, database = place.database.postgres, place.database
    with user(server, "provider", "NOLOGIN"), user(server, "master", "LOGIN CREATEROLE CREATEDB") as master:
        server.execute("GRANT pg_monitor, pg_signal_backend TO provider")
        apply(
            database,
            f"GRANT ALL ON DATABASE {database.name} TO master; GRANT ALL ON SCHEMA public TO master;"
            "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC",
        )
        for statement in (
            "CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz NOT NULL, note text)",
            "INSERT INTO events SELECT g, now() - interval '100 days', 'x' FROM generate_series(1, 2000) g",
            "INSERT INTO events SELECT g, now(), 'x' FROM generate_series(2001, 5000) g",
            *LEDGER_SQL,
        ):
            database.execute(statement, user=master)
        server.execute("GRANT CONNECT ON DATABASE postgres TO master")
        place.login = database.login(master)
        message = refused(place.retain())
        assert "The user master lacks 1 grant. Let an administrator run: GRANT pg_monitor TO master;" in message
        server.execute("GRANT provider TO master")
        place.accept()
        before = place.rows()
        assert number(place.done(), "rows_deleted") == 2000
        assert not place.done()["changed"]
        place.restored()
        assert place.rows() == before


# -- servers


@pytest.fixture(scope="module")
def publisher(lab: Lab, request: pytest.FixtureRequest) -> Postgres:
    made = lab.postgres(request.config.getoption("major") or 18, "retention-publisher", {"wal_level": "logical"})
    demo.create_roles(made)
    return made


def on(server: Postgres, name: str, tmp_path: Path) -> Place:
    server.create_database(name, owner=demo.OWNER)
    database = Database(server, name)
    database.execute(f"GRANT ALL ON SCHEMA public TO {demo.OWNER}")
    return Place(database, places.folder_store(tmp_path))


def test_a_standby_is_refused_before_anything_is_written(publisher: Postgres, lab: Lab, tmp_path: Path) -> None:
    place = on(publisher, "standing", tmp_path)
    places.fill(place)
    standby = lab.standby(publisher, "retention-standby")
    publisher.caught_up(standby)
    place.login = {"login_host": standby.host, "login_port": standby.port}
    for result in (place.retain(), place.retain(check=True), place.restore()):
        message = refused(result)
        assert message.count(".") == message.count("127.0.0.1") * 3 + 1, "one sentence"
        assert "it is a standby; give the primary as login_host" in message
    assert place.objects() == [] and place.deleted() == 0
    place.login = {}
    assert number(place.done(), "rows_deleted") == 3000
    publisher.caught_up(standby)
    assert standby.value("SELECT count(*) FROM events", dbname="standing") == 2000
    standby.stop("immediate")
    publisher.execute("SELECT pg_drop_replication_slot('retention_standby')")


def test_subscribers_delete_too_or_keep_as_the_publication_says(publisher: Postgres, lab: Lab, tmp_path: Path) -> None:
    """Whether they do stands in the plan that somebody approves."""
    place = on(publisher, "published", tmp_path)
    before = places.fill(place)
    subscriber = lab.subscriber(publisher, "retention-subscriber")
    subscriber.create_database("published")
    subscriber.execute(
        "CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz NOT NULL, note text, data jsonb)",
        dbname="published",
    )
    publisher.publish("published", "public.events")
    there = "SELECT count(*) FROM events"
    subscription = subscriber.subscribe(publisher, "published")
    try:
        message = refused(place.retain())
        said = "a change of public.events is published by lab, so subscribers delete the rows too"
        assert f"{said}; publish no deletes, or accept: [publication]." in message
        place.policies = [places.policy(accept=["publication"])]
        place.accept()
        assert place.done(check=True)["actions"][0]["reason"].endswith(f"; {said}")
        assert number(place.done(), "rows_deleted") == 3000
        subscription.caught_up()
        assert subscriber.value(there, dbname="published") == 2000
        place.restored()
        subscription.caught_up()
        assert subscriber.value(there, dbname="published") == 5000 and place.rows() == before

        publisher.execute("ALTER PUBLICATION lab SET (publish = 'insert, update')", dbname="published")
        place.policies = [places.policy()]
        place.accept()
        assert place.done(check=True)["actions"][0]["reason"].endswith("; subscribers of lab keep these rows")
        assert number(place.done(), "rows_deleted") == 3000
        subscription.caught_up()
        assert subscriber.value(there, dbname="published") == 5000 and len(place.rows()) == 2000
    finally:
        subscription.drop()


# -- triggers


OUTBOX = (
    "CREATE TABLE outbox (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event bigint)",
    "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN INSERT INTO public.outbox (event) VALUES (OLD.id); RETURN NULL; END'",
    "CREATE TRIGGER telling AFTER DELETE ON events FOR EACH ROW EXECUTE FUNCTION tell()",
    f"GRANT INSERT ON outbox TO {demo.RETENTION}",
)
TWICE = "SELECT count(*), count(DISTINCT event) FROM outbox"


def test_an_outbox_gets_each_deleted_row_once_also_after_a_kill(place: Place) -> None:
    places.fill(place)
    own(place, *OUTBOX)
    message = refused(place.retain())
    said = "a change of public.events runs trigger telling"
    assert f"{said}; disable it meanwhile, or accept: [triggers]." in message and place.objects() == []
    place.policies = [places.policy(accept=["triggers"])]
    place.accept()
    assert place.done(check=True)["actions"][0]["reason"].endswith(f"; {said}")
    place.killed(places.die_in("_retention.delete", "Deleter._count", when="n == 3"))
    gone = place.deleted()
    assert 0 < gone < 3000 and place.database.execute(TWICE) == [(gone, gone)]
    assert number(place.done(), "rows_deleted") == 3000 - gone
    assert place.database.execute(TWICE) == [(3000, 3000)]
    assert not place.done()["changed"]
    assert place.database.execute(TWICE) == [(3000, 3000)]


def test_partitions_are_not_dropped_past_a_trigger_that_was_accepted(place: Place) -> None:
    """A partition that goes as a whole tells neither triggers nor subscribers; then its rows are deleted."""
    own(
        place,
        "CREATE TABLE events (id bigint, at timestamptz NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
        "CREATE TABLE p1 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
        "CREATE TABLE p2 PARTITION OF events FOR VALUES FROM ('2021-01-01') TO (MAXVALUE)",
        "INSERT INTO events SELECT g, '2020-06-01' FROM generate_series(1, 700) g",
        "INSERT INTO events SELECT g, now() FROM generate_series(1, 100) g",
        *OUTBOX,
    )
    place.policies = [places.policy(partitions=True, accept=["triggers"])]
    place.let()
    place.accept()
    place.database.execute(f"GRANT {demo.OWNER} TO {demo.RETENTION}")
    try:
        result = place.done()
    finally:
        place.database.execute(f"REVOKE {demo.OWNER} FROM {demo.RETENTION}")
    assert [(one["action"], one["after"]["rows_deleted"]) for one in result["actions"]] == [("delete_rows", 700)]
    assert place.database.execute(TWICE) == [(700, 700)] and len(place.rows()) == 100


# -- names


def test_names_of_every_kind_all_the_way(place: Place, tmp_path: Path) -> None:
    """Quotes, percent signs, backslashes, line breaks and letters of other scripts: in the names of database, schema,
    table, columns, an index and a table that references it, in a condition, in check mode, there and back."""
    odd = "o'd\"d %s %(x)s \\ ünï☃"
    line = f"{odd}\n\t-- x"
    server = place.database.postgres
    server.create_database(odd, owner=demo.OWNER)
    far = Place(Database(server, odd), places.folder_store(tmp_path))
    try:
        far.database.execute(f"GRANT ALL ON SCHEMA public TO {demo.OWNER}")
        far.database.execute(
            sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(*map(sql.Identifier, (line, demo.OWNER)))
        )
        table, key, at, note = (
            sql.Identifier(*one) for one in ((line, line), ("k" + line,), ("a" + line,), ("n" + line,))
        )
        other, index = sql.Identifier(line, "c" + line), sql.Identifier("i" + line)
        for text in (
            "CREATE TABLE {table} ({key} text PRIMARY KEY, {at} timestamptz NOT NULL, {note} text)",
            "INSERT INTO {table} SELECT {odd} || g, now() - (200 - g) * interval '1 day', {odd}"
            " FROM generate_series(1, 199) g",
            "CREATE TABLE {other} ({key} text REFERENCES {table})",
            "CREATE INDEX {index} ON {other} ({key})",
        ):
            names = {"table": table, "key": key, "at": at, "note": note, "other": other, "index": index}
            own(far, sql.SQL(text).format(odd=sql.Literal(line), **names))
        quoted = '"' + line.replace('"', '""') + '"'
        condition = f"t.{quoted.replace(chr(34), chr(34) + 'n', 1)} = '{line.replace(chr(39), chr(39) * 2)}'"
        far.policies = [places.policy(table=f"{quoted}.{quoted}", column="a" + line, where=condition)]
        far.let((line, line))
        far.accept()
        before = far.rows((line, line))
        planned = far.done(check=True)["actions"]
        result = far.done()
        assert [one["subject"] for one in planned] == [one["subject"] for one in result["actions"]]
        assert number(result, "rows_deleted") == 109 and len(far.rows((line, line))) == 90
        assert not far.done()["changed"]
        far.restored()
        assert far.rows((line, line)) == before
        for name in ("Ünï", "a b", "a\nb", "../up", "p%s", "'", ""):
            result = far.retain(policies=[places.policy(name=name)])
            assert result["error"]["kind"] == "bad_input" and "begin with a-z or 0-9" in result["msg"], result
    finally:
        for module in far.started:
            module.kill()
        server.drop_database(odd)


# -- check mode, second run, Ctrl-C


def test_check_mode_shows_what_is_then_done_and_a_second_run_does_nothing(place: Place) -> None:
    place.policies = [
        places.policy(where="id % 3 = 0", legal_hold="id = 9"),
        places.policy(name="few", where="id % 3 = 1"),
    ]
    before = places.fill(place)
    # Estimates change with statistics, and the server's own analyze would come when it likes.
    place.database.execute("ALTER TABLE events SET (autovacuum_enabled = off)")
    place.database.execute("ANALYZE events")
    first, second = place.done(check=True), place.done(check=True)
    assert (
        place.rows() == before and place.objects() == [] and list(Path(place.store_options["store"]).rglob("*")) == []
    )
    done = place.done()
    shown = [
        [(one["action"], one["subject"], one["reason"], one["predicted"]) for one in each["actions"]]
        for each in (first, second, done)
    ]
    assert shown[0] == shown[1] == shown[2] and len(shown[0]) == 2
    assert first["changed"] and done["changed"]
    for check in (True, False):
        there = place.database.execute("SELECT count(*), max(id) FROM day2.retention_ledger"), place.objects()
        again = place.done(check=check)
        assert not again["changed"] and again["actions"] == [] and "nothing is to be done" in again["plan_summary"]
        assert there == (place.database.execute("SELECT count(*), max(id) FROM day2.retention_ledger"), place.objects())


@pytest.mark.parametrize(
    "moment", ["storing", *(pytest.param(one, marks=pytest.mark.soak) for one in ("reading", "deleting"))]
)
def test_ctrl_c_leaves_no_session_no_transaction_and_no_temporary_file(
    place: Place, tmp_path: Path, moment: str
) -> None:
    before = places.fill(place, 8000, 6000)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    patch = places.small_chunks() + f"import tempfile\ntempfile.tempdir = {str(scratch)!r}\n"
    held = {
        "reading": ("_retention.copy", "Pass._one"),
        "storing": ("_retention.copy", "Pass._stored"),
        "deleting": ("_retention.delete", "Deleter._count"),
    }[moment]
    module = place.start(patch=patch + places.wait_in(tmp_path, *held))
    places.there(tmp_path)
    os.kill(module.process.pid, signal.SIGINT)
    result = module.result(20)
    assert result["failed"] and result["msg"] == "Stopped: the module received SIGINT.", result["msg"]
    (action,) = result["actions"]
    assert action["status"] == "deferred" and "SIGINT" in action["reason"]
    ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'day2/t1/%%'"
    wait_until(lambda: not place.database.value(ours), "its sessions to end", 5.0)
    assert list(scratch.iterdir()) == []
    assert [path for path in Path(place.store_options["store"]).rglob("*") if path.name.startswith(".")] == []
    gone = place.deleted()
    assert len(place.rows()) == 8000 - gone and (gone > 0) is (moment == "deleting")
    (tmp_path / "go").touch()
    assert number(place.done(), "rows_deleted") == 6000 - gone
    place.restored()
    assert place.rows() == before
