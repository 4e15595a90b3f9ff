# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verdicts on health where the condition is really made, on real servers, as the least-privilege role."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.lab import demo
from tests.lab import module as modules
from tests.lab.fixtures import Database
from tests.lab.lab import Lab
from tests.lab.postgres import Postgres

pytestmark = pytest.mark.lab


def judged(database: Database, user: str = demo.OBSERVE, **given: Any) -> dict[tuple[str, str], dict[str, Any]]:
    result = modules.start("postgresql_health_info", {**database.login(user), **given}).result()
    assert result["error"] is None, result
    return {(one["check"].replace("postgresql_", "", 1), one["subject"]): one for one in result["checks"]}


def until(look: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, f"not so after {seconds} s"
        time.sleep(0.1)


def test_every_read_succeeds_as_the_observing_role(database: Database) -> None:
    found = judged(database, memory_bytes=1 << 30, cpu_count=2, query_text=True)
    assert {key: one["summary"] for key, one in found.items() if one["status"] == "unknown"} == {}


def test_what_is_in_the_database(database: Database) -> None:
    for statement in (
        "CREATE TABLE a (id serial PRIMARY KEY, n int)",
        "SELECT setval('a_id_seq', 2000000000)",
        "CREATE INDEX a_n ON a (n)",
        "CREATE INDEX a_n_again ON a (n)",
        "CREATE INDEX a_n_other ON a (n) WHERE n > 0",
        "ALTER TABLE a SET (autovacuum_enabled = off)",
        "CREATE TABLE e (at timestamptz NOT NULL) PARTITION BY RANGE (at)",
        "CREATE TABLE e_old PARTITION OF e FOR VALUES FROM (now() - interval '9 days') TO (now() - interval '2 days')",
        "CREATE TABLE e_rest PARTITION OF e DEFAULT",
        "INSERT INTO e VALUES (now())",
        "ANALYZE e_rest",
    ):
        database.execute(statement, user=demo.OWNER)
    hidden = judged(database)
    grant = hidden["key_exhaustion", "hidden sequences"]["advice"].partition("run: ")[2]
    assert grant == f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {demo.OBSERVE};"
    database.execute(grant, user=demo.OWNER)
    found = judged(database)
    assert found["key_exhaustion", "public.a.id"]["status"] == "crit"
    assert found["duplicate_indexes", "public.a_n_again"]["status"] == "warn"
    assert ("duplicate_indexes", "public.a_n_other") not in found
    assert found["autovacuum_off", database.name]["evidence"]["tables"] == "public.a"
    assert found["default_partition_rows", "public.e"]["status"] == "warn"
    ended = found["future_partitions", "public.e"]
    assert ended["status"] == "crit"
    # The remedy is a statement that works.
    database.execute("TRUNCATE e_rest", user=demo.OWNER)
    database.execute(ended["advice"].partition("; and")[0], user=demo.OWNER)


def test_extensions_that_a_package_has_left_behind(database: Database) -> None:
    """As when a package brings a newer one: the database keeps what it has until somebody updates it."""
    asked = ("extensions", database.name)
    assert judged(database)[asked]["status"] == "ok"
    version = database.value("SELECT extversion FROM pg_extension WHERE extname = 'pgstattuple'")
    database.execute("UPDATE pg_extension SET extversion = '1.4' WHERE extname = 'pgstattuple'")
    check = judged(database)[asked]
    assert (check["value"], check["status"], check["evidence"]) == (1, "warn", {"extensions": "pgstattuple"})
    assert f"pgstattuple is 1.4, its package brought {version}" in check["summary"]
    # The remedy is a statement that works.
    database.execute(check["advice"].partition("run: ")[2])
    assert judged(database)[asked]["status"] == "ok"
    # To a version that no script leads away from.
    database.execute("UPDATE pg_extension SET extversion = '99' WHERE extname = 'pgstattuple'")
    assert "No update leads there for pgstattuple" in judged(database)[asked]["advice"]


def test_what_goes_on_in_the_server(lab: Lab, pg: Postgres, new_database: Callable[..., Database]) -> None:
    settings = {"archive_mode": "on", "archive_command": "false", "wal_level": "logical"}
    server = lab.postgres(pg.major, f"health-{pg.major}", settings)
    demo.create_roles(server)
    database = new_database(server)
    database.execute("SELECT pg_create_physical_replication_slot('nobody', true)")
    database.execute("SELECT pg_switch_wal()")
    until(lambda: bool(server.value("SELECT failed_count > 0 FROM pg_stat_archiver")))
    found = judged(database, expected_replicas=["db2"], thresholds={"slot_state": {"warn": 0}})
    assert found["archiver", "server"]["status"] == "warn"
    assert found["slot_state", "nobody"]["status"] == "warn"
    assert found["missing_replicas", "server"]["status"] == "crit"
    subscriber = lab.subscriber(server, f"health-{pg.major}-subscriber")
    subscriber.create_database(database.name)
    for one in (server, subscriber):
        one.execute("CREATE TABLE s (id int PRIMARY KEY)", dbname=database.name)
    server.publish(database.name, "public.s")
    subscription = subscriber.subscribe(server, database.name)
    there = Database(subscriber, database.name)
    whole = ("subscription_errors", database.name)
    assert judged(there, subscriber.superuser)[whole]["status"] == "ok"
    subscription.pause()
    disabled = judged(there, subscriber.superuser)["subscription_errors", f"{database.name}.lab"]
    assert disabled["status"] == "warn" and "ALTER SUBSCRIPTION lab ENABLE;" in disabled["advice"]
    subscription.drop()
    subscriber.stop("immediate")
