# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maintenance where things are not as at home: hosted servers, standbys, odd names, logical replication."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab import demo
from tests.lab.fixtures import Database
from tests.lab.lab import Lab
from tests.lab.postgres import Postgres, Subscription
from tests.unit.plugins.module_utils._postgresql.place import Place, statuses

pytestmark = pytest.mark.lab
SMALL = {"index_min_bytes": 1 << 20}
HOSTED = "Rds Admin"


@pytest.fixture
def hosted(place: Place) -> Iterator[Place]:
    """An administrator as providers give one: no superuser, and no owner either where pg_maintain does."""
    server = place.database.postgres
    # Of the owner only what others are left to inherit.
    server.create_role(HOSTED, member_of=["pg_maintain"] if server.major >= 17 else [demo.OWNER])
    yield place
    for name in (place.database.name, "postgres"):
        server.execute(f'DROP OWNED BY "{HOSTED}"', dbname=name)
    server.execute(f'DROP ROLE "{HOSTED}"')


def test_a_hosted_administrator_is_told_what_it_lacks_and_then_does_it_all(hosted: Place) -> None:
    login = hosted.database.login(HOSTED)
    wanted = [f'GRANT pg_monitor TO "{HOSTED}";', f'GRANT CONNECT ON DATABASE postgres TO "{HOSTED}";']
    if hosted.database.postgres.major >= 17:
        # What it needs on the tables is told once it has what it needs at all. Members of the owner have that.
        wanted.append(f'GRANT USAGE ON SCHEMA "Odd.Schema" TO "{HOSTED}";')
    told: list[str] = []
    while (done := hosted.maintain(**login, **SMALL))["error"]:
        assert done["error"]["kind"] == "refused" and done["actions"] == [], done
        statements = re.findall(r"GRANT [^;]+;", done["msg"])
        assert statements and not set(statements) & set(told), done["msg"]
        for statement in statements:
            hosted.database.execute(statement)
        told += statements
    assert told == wanted
    assert {status for _, status in statuses(done)} == {"done"} and ("reindex", "done") in statuses(done), done
    again = hosted.maintain(**login, **SMALL)
    assert again["actions"] == [] and not again["changed"]


NAMES = ('s"; DROP SCHEMA public; --', "t'%s {x} \\", 'i"%(table)s\n' + "ü" * 26)


def test_names_are_data_in_every_statement(place: Place) -> None:
    schema, table, index = ('"' + name.replace('"', '""') + '"' for name in NAMES)
    cursor = place.database.connect(demo.OWNER).cursor()
    for statement in (
        f"CREATE SCHEMA {schema}",
        f"CREATE TABLE {schema}.{table} (id int, note text) WITH (autovacuum_enabled = off)",
        f"INSERT INTO {schema}.{table} SELECT g, 'x' FROM generate_series(1, 60000) g",
        f"CREATE INDEX {index} ON {schema}.{table} (id)",
        f"ALTER TABLE {schema}.{table} ADD EXCLUDE USING btree (id WITH =)",
        f"DELETE FROM {schema}.{table} WHERE id % 4 > 0",
    ):
        cursor.execute(statement)
    cursor.connection.close()
    time.sleep(1.0)
    given = {"schemas": [NAMES[0]], "allow_exclusive_lock": True, "index_min_bytes": 1 << 19}
    done = place.maintain(**given)
    assert sorted(statuses(done)) == [("reindex", "done"), ("reindex", "done"), ("vacuum", "done")], done
    assert place.maintain(**given)["actions"] == [] and place.invalid() == []
    named = place.maintain(**{**given, "schemas": [], "scope": "all"}, tables=[f"{schema}.{table}"])
    assert {status for _, status in statuses(named)} == {"done"}, named
    assert place.database.value("SELECT count(*) FROM orders") == 150_000


@pytest.fixture(scope="module")
def publisher(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Postgres]:
    major = request.config.getoption("major") or 18
    server = lab.postgres(major, "publishing", {"wal_level": "logical"})
    demo.create_roles(server)
    yield server
    for one in (*server.standbys, server):
        one.stop("immediate")


def test_a_standby_is_refused_in_one_sentence(publisher: Postgres, lab: Lab) -> None:
    standby = lab.standby(publisher, "publishing-standby")
    place = Place(Database(standby, "postgres"))
    login = standby.login("postgres", demo.MAINTENANCE) | {
        "login_password": publisher.login("postgres", demo.MAINTENANCE)["login_password"]
    }
    for check in (True, False):
        result = place.maintain(**login, _ansible_check_mode=check)
        assert result["error"]["kind"] == "refused" and result["actions"] == [] and not result["changed"]
        assert "it is a standby; give the primary as login_host" in result["msg"] and result["msg"].count(". ") == 0
    standby.stop("immediate")


@pytest.fixture
def subscription(
    publisher: Postgres, lab: Lab, new_database: Callable[..., Database]
) -> Iterator[tuple[Database, Database, Subscription]]:
    """A table that is replicated from one server to another."""
    source = new_database(publisher)
    subscriber = lab.subscriber(publisher, "subscribing")
    demo.create_roles(subscriber)
    subscriber.create_database(source.name, owner=demo.OWNER)
    target = Database(subscriber, source.name)
    target.execute(f"CREATE EXTENSION pgstattuple; GRANT ALL ON SCHEMA public TO {demo.OWNER}")
    table = "CREATE TABLE orders (id int PRIMARY KEY, note text) WITH (autovacuum_enabled = off)"
    for end in (source, target):
        end.execute(table, user=demo.OWNER)
    publisher.publish(source.name, "public.orders")
    made = subscriber.subscribe(publisher, source.name)
    yield source, target, made
    made.drop()
    subscriber.stop("immediate")


def test_both_ends_of_a_subscription_are_maintained_while_it_replicates(
    subscription: tuple[Database, Database, Subscription],
) -> None:
    source, target, replicated = subscription
    source.execute("INSERT INTO orders SELECT g, repeat('x', 40) FROM generate_series(1, 80000) g", user=demo.OWNER)
    source.execute("DELETE FROM orders WHERE id % 2 = 0", user=demo.OWNER)
    replicated.caught_up()
    time.sleep(1.0)
    over, written = threading.Event(), [0]

    def application() -> None:
        while not over.wait(0.002):
            written[0] += 1
            source.execute("INSERT INTO orders VALUES (%s, 'new')", [1_000_000 + written[0]], user=demo.OWNER)

    beside = threading.Thread(target=application)
    beside.start()
    places = [Place(end) for end in (source, target)]
    started = [place.start(**SMALL) for place in places]
    results: list[dict[str, Any]] = [module.result() for module in started]
    over.set()
    beside.join()
    for result, place in zip(results, places, strict=True):
        assert sorted(statuses(result)) == [("reindex", "done"), ("vacuum", "done")], result
        assert place.invalid() == []
    replicated.caught_up()
    counted = "SELECT count(*), sum(id) FROM orders"
    assert source.execute(counted) == target.execute(counted) and written[0] > 10
    assert source.value("SELECT active FROM pg_replication_slots WHERE slot_name = 'lab'")
    assert "ERROR" not in target.postgres.log()
