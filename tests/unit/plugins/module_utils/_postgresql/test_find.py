# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is found on a real server: without statistics, of every kind of index and table, and what others do already."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab import demo
from tests.lab.fixtures import Database, majors
from tests.lab.lab import Lab
from tests.lab.postgres import Postgres
from tests.unit.plugins.module_utils._postgresql.place import Place, statuses

both = majors(14, 18)
pytestmark = pytest.mark.lab
CHECK = {"_ansible_check_mode": True}


def due(result: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    assert result["error"] is None, result["error"]
    return {one["subject"]: one for one in result["actions"] if one["action"] == kind}


@pytest.fixture
def bloated(place: Place) -> Place:
    """Half of ``orders`` is dead; ``compact`` is as large, and nothing of it is."""
    for statement in (
        "CREATE TABLE compact (id bigint PRIMARY KEY, note text) WITH (autovacuum_enabled = off)",
        "INSERT INTO compact SELECT g, repeat('x', 40) FROM generate_series(1, 150000) g",
        "ANALYZE",
    ):
        place.database.execute(statement, user=demo.OWNER)
    return place


@pytest.fixture
def lost(bloated: Place) -> Place:
    bloated.database.execute("SELECT pg_stat_reset()")
    time.sleep(1.0)
    return bloated


@both
def test_without_statistics_size_tells_which_table_is_bloated(lost: Place) -> None:
    lost.database.execute("DROP EXTENSION pgstattuple")
    found = due(lost.maintain(**CHECK, operations=["vacuum"]), "vacuum")
    assert list(found) == ["public.orders"], found
    assert found["public.orders"]["before"]["method"] == "width"
    assert found["public.orders"]["before"]["confidence"] == "low"


def test_without_statistics_the_best_size_known_tells_more(lost: Place) -> None:
    lost.database.execute("DROP EXTENSION pgstattuple")
    size = lost.database.value("SELECT pg_relation_size('compact') / 150000.0")
    history = {"bytes_per_row": {"public.orders": float(size), "public.compact": float(size)}}
    found = due(lost.maintain(**CHECK, operations=["vacuum"], history=history), "vacuum")
    assert list(found) == ["public.orders"] and found["public.orders"]["before"]["method"] == "size_per_row"


def test_without_statistics_pgstattuple_counts(lost: Place) -> None:
    found = due(lost.maintain(**CHECK, operations=["vacuum"]), "vacuum")
    assert list(found) == ["public.orders"]
    before = found["public.orders"]["before"]
    assert (before["method"], before["confidence"], before["dead_rows"]) == ("pgstattuple_approx", "high", 150_000)


def test_after_a_vacuum_of_lost_tables_a_second_run_plans_nothing(lost: Place) -> None:
    lost.database.execute("DROP EXTENSION pgstattuple")
    first = lost.maintain(index_min_bytes=1 << 20)
    assert {status for _, status in statuses(first)} == {"done"}
    assert lost.maintain(index_min_bytes=1 << 20)["actions"] == []


def test_a_server_that_crashed_still_shows_its_bloated_table(
    lab: Lab, pg: Postgres, new_database: Callable[..., Database]
) -> None:
    server = lab.postgres(pg.major, f"crashed-{pg.major}")
    demo.create_roles(server)
    place = Place(new_database(server, extensions=()))
    for statement in (
        "CREATE TABLE orders (id bigint PRIMARY KEY, note text) WITH (autovacuum_enabled = off)",
        "INSERT INTO orders SELECT g, repeat('x', 40) FROM generate_series(1, 200000) g",
        "CREATE TABLE compact AS SELECT * FROM orders",
        "DELETE FROM orders WHERE id % 2 = 0",
        "ANALYZE",
    ):
        place.database.execute(statement, user=demo.OWNER)
    server.kill9()
    server.start()
    assert place.database.value("SELECT pg_stat_get_dead_tuples('orders'::regclass)") == 0
    found = due(place.maintain(**CHECK, operations=["vacuum"]), "vacuum")
    assert list(found) == ["public.orders"]
    server.stop()


@pytest.fixture
def kinds(place: Place) -> Place:
    """An index of each kind on a table of which then four fifths go, and vacuum has already been there."""
    statements = (
        "CREATE TABLE many (id int, tags text[], span int4range, part text, born timestamptz)"
        " WITH (autovacuum_enabled = off)",
        "INSERT INTO many SELECT g, ARRAY['a' || g % 500, 'b' || g % 7], int4range(g, g + 1), 'p' || g % 3,"
        " now() - g * interval '1 s' FROM generate_series(1, 60000) g",
        "CREATE INDEX many_id ON many (id)",
        "CREATE INDEX many_expression ON many ((id * 2))",
        "CREATE INDEX many_partial ON many (id) WHERE id % 2 = 0",
        "CREATE INDEX many_gin ON many USING gin (tags) WITH (fastupdate = off)",
        "CREATE INDEX many_hash ON many USING hash (id)",
        "CREATE INDEX many_brin ON many USING brin (born) WITH (pages_per_range = 1)",
        "ALTER TABLE many ADD CONSTRAINT many_exclusion EXCLUDE USING gist (span WITH &&) WHERE (id % 3 = 0)",
        "CREATE MATERIALIZED VIEW seen AS SELECT id FROM many",
        "CREATE INDEX seen_id ON seen (id)",
        "CREATE TABLE parted (id int, note text) PARTITION BY RANGE (id)",
        "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100000) WITH (autovacuum_enabled = off)",
        "INSERT INTO parted SELECT g, 'x' FROM generate_series(1, 60000) g",
        "CREATE INDEX parted_id ON parted (id)",
        "DELETE FROM many WHERE id % 5 > 0",
        "DELETE FROM parted WHERE id % 5 > 0",
        "VACUUM (ANALYZE) many",
        "VACUUM (ANALYZE) parted_1",
        "ANALYZE parted",
        "ANALYZE seen",
    )
    for statement in statements:
        place.database.execute(statement, user=demo.OWNER)
    time.sleep(1.0)
    return place


def test_every_kind_of_index_is_judged_by_what_can_tell(kinds: Place) -> None:
    sizes = dict(
        kinds.database.execute("SELECT relname, pg_relation_size(oid) FROM pg_class WHERE relname LIKE 'many%'")
    )
    best = {name: sizes[name] / 60000.0 for name in ("many_gin", "many_hash", "many_brin")}
    best["many_exclusion"] = sizes["many_exclusion"] / 20000.0
    history = {"bytes_per_row": {f"public.{name}": value for name, value in best.items()}}
    given = {
        "index_min_bytes": 1 << 17,
        "operations": ["reindex"],
        "history": history,
        "allow_exclusive_lock": True,
    }
    found = due(kinds.maintain(**CHECK, **given, tables=["many", "parted", "seen"]), "reindex")
    told = {name.partition(".")[2]: one["predicted"]["method"] for name, one in found.items()}
    assert told == {
        "many_id": "pgstatindex",
        "many_expression": "pgstatindex",
        "many_partial": "pgstatindex",
        "many_gin": "size_per_row",
        "many_hash": "size_per_row",
        "many_exclusion": "size_per_row",
        "parted_1_id_idx": "pgstatindex",
    }
    done = kinds.maintain(**given, tables=["many", "parted", "seen"])
    assert {status for _, status in statuses(done)} == {"done"}, done["msg"]
    assert kinds.maintain(**given, tables=["many", "parted", "seen"])["actions"] == []


def test_without_pgstattuple_estimates_tell_most_of_it(kinds: Place) -> None:
    kinds.database.execute("DROP EXTENSION pgstattuple")
    found = due(
        kinds.maintain(**CHECK, index_min_bytes=1 << 17, operations=["reindex"], tables=["many", "parted", "seen"]),
        "reindex",
    )
    assert {name.partition(".")[2] for name in found} == {
        "many_id",
        "many_expression",
        "many_partial",
        "parted_1_id_idx",
    }
    assert {one["predicted"]["method"] for one in found.values()} == {"estimate"}
    assert {one["predicted"]["confidence"] for one in found.values()} == {"medium"}


def test_a_materialised_view_is_vacuumed_and_its_index_rebuilt(kinds: Place) -> None:
    for statement in ("DELETE FROM many WHERE id % 2 = 1", "REFRESH MATERIALIZED VIEW seen"):
        kinds.database.execute(statement, user=demo.OWNER)
    result = kinds.maintain(tables=["seen"], scope="all")
    assert {(kind, status) for kind, status in statuses(result)} == {("vacuum", "done"), ("reindex", "done")}


def test_sizes_per_row_are_handed_on(kinds: Place) -> None:
    learnt = kinds.maintain(**CHECK, index_min_bytes=1 << 17)["learnt"]["bytes_per_row"]
    assert learnt["public.many_gin"] > 1 and learnt["public.many"] > 20


@pytest.fixture
def autovacuum_at_work(place: Place) -> Iterator[None]:
    """An autovacuum that takes for ever on ``orders``."""
    server = place.database.postgres
    server.configure(autovacuum_naptime="1s", autovacuum="on")
    place.database.execute(
        "ALTER TABLE orders SET (autovacuum_enabled = on, autovacuum_vacuum_threshold = 1,"
        " autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)"
    )
    place.until_running("autovacuum: VACUUM")
    yield
    server.configure(autovacuum_naptime=None, autovacuum=None)
    place.database.execute("ALTER TABLE orders SET (autovacuum_enabled = off)")


def test_a_running_autovacuum_is_left_at_its_work(place: Place, autovacuum_at_work: None) -> None:
    result = place.maintain(tables=["orders"], index_min_bytes=1 << 20)
    assert set(statuses(result)) == {("vacuum", "skipped"), ("reindex", "deferred")}, result["actions"]
    assert all("an autovacuum (pid " in one["reason"] for one in result["actions"])
    place.until_running("autovacuum: VACUUM")
    assert any(check["check"] == "postgresql_maintenance_care" for check in result["checks"])


def test_a_job_of_pg_cron_is_left_its_table(place: Place) -> None:
    """The extension's table, as the collection sees it; pg_cron itself needs a server that preloads it."""
    for statement in (
        "CREATE SCHEMA cron",
        "CREATE TABLE cron.job (jobid bigint, schedule text, command text, database text, active bool, username text)",
        f"INSERT INTO cron.job VALUES (4, '0 3 * * *', 'VACUUM orders', '{place.database.name}', true, 'postgres'),"
        " (5, '0 4 * * *', 'REINDEX TABLE orders', 'another', true, 'postgres'),"
        f" (6, '0 4 * * *', 'REINDEX TABLE orders', '{place.database.name}', false, 'postgres')",
        f"GRANT USAGE ON SCHEMA cron TO {demo.MAINTENANCE}",
        f"GRANT SELECT ON cron.job TO {demo.MAINTENANCE}",
    ):
        place.database.execute(statement)
    given = {**CHECK, "schemas": ["public"], "index_min_bytes": 1 << 20}
    told = {(one["action"], one["status"]): one["reason"] for one in place.maintain(**given)["actions"]}
    assert "pg_cron's job 4 (0 3 * * *) takes care of it" in told["vacuum", "skipped"]
    assert ("reindex", "skipped") not in told
    # Which table a name without a schema is, the job's user decides: by a schema of its own, or by another path.
    database = place.database
    database.execute(f"ALTER ROLE postgres IN DATABASE {database.name} SET search_path = elsewhere, public")
    assert ("vacuum", "planned") in statuses(place.maintain(**given))
    database.execute(f"ALTER ROLE postgres IN DATABASE {database.name} RESET search_path")
    assert ("vacuum", "skipped") in statuses(place.maintain(**given))
    database.execute("CREATE SCHEMA postgres")
    assert ("vacuum", "planned") in statuses(place.maintain(**given))


def test_who_makes_partitions_is_told(place: Place) -> None:
    """The extension's table, as the collection sees it, in whatever schema it was put."""
    for statement in (
        "CREATE TABLE events (at timestamptz) PARTITION BY RANGE (at)",
        "CREATE SCHEMA parts",
        "CREATE TABLE parts.part_config (parent_table text, control text, partition_interval text)",
        "INSERT INTO parts.part_config VALUES ('public.events', 'at', '1 day'), ('public.gone', 'at', '1 day')",
        f"GRANT USAGE ON SCHEMA parts TO {demo.MAINTENANCE}",
        f"GRANT SELECT ON parts.part_config TO {demo.MAINTENANCE}",
    ):
        place.database.execute(statement, user=demo.OWNER)
    result = place.maintain(**CHECK, schemas=["public"])
    (check,) = [one for one in result["checks"] if one["check"] == "postgresql_maintenance_care"]
    assert "pg_partman makes and drops the partitions of 1 table" in check["summary"]
    assert check["evidence"]["partitioned"] == "public.events"
