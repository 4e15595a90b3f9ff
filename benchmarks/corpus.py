# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a plan names what is bloated, all of it and nothing else, after the server has lost its statistics.

Tables and indexes of many shapes, neglected at random: the seed comes from the clock and is printed, DAY2_SEED sets it.
The module plans in check mode; then the truth is taken of a copy of the same files: dead rows by pgstattuple, b-trees
by pgstatindex once a vacuum is through, and indexes of which that can tell nothing by rebuilding them.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg2.extensions

from benchmarks.measure import Figure
from benchmarks.predictions import Seen
from tests.lab import Lab
from tests.lab import module as modules
from tests.lab.postgres import Postgres

BUILT, NIGHT, TRUTH = "corpus", "night", "truth"
# The module's own thresholds, but for indexes smaller than those of a large database.
DEAD_ROWS, DEAD_RATIO, BLOAT_RATIO, INDEX_BYTES = 10_000, 0.1, 0.3, 1 << 20
# Twice: by chance a corpus may be nearly all bloat, or nearly none.
COPIES = 2
Cursor = psycopg2.extensions.cursor


@dataclass(frozen=True)
class Shape:
    """``create``: statements, with the table's name as {t}; ``row``: the values of row g; ``churn``: an assignment that
    no update of which is HOT."""

    name: str
    rows: int
    create: tuple[str, ...]
    row: str
    churn: str
    tables: tuple[str, ...] = ("{t}",)


def _padded(count: int) -> str:
    return ", ".join(f"repeat(chr(97 + (g + {number}) % 26), 20 + g % 17)" for number in range(count))


NARROW = Shape(
    "narrow", 300_000, ("CREATE TABLE {t} (id int PRIMARY KEY, v int)", "CREATE INDEX ON {t} (v)"),
    "g, g::bigint * 7919 % 300000", "v = v + 1",
)  # fmt: skip
SHAPES = (
    NARROW,
    Shape(
        "wide", 60_000,
        (
            f"CREATE TABLE {{t}} (id bigint PRIMARY KEY, at timestamptz, {', '.join(f'c{n} text' for n in range(24))})",
            "CREATE INDEX ON {t} (at)", "CREATE INDEX ON {t} (c1, c2)",
        ),
        f"g, now() - g * interval '1 minute', {_padded(24)}", "at = at + interval '1 hour', c1 = c1 || 'x'",
    ),
    Shape(
        "documents", 100_000,
        ("CREATE TABLE {t} (id int PRIMARY KEY, doc jsonb)", "CREATE INDEX ON {t} USING gin (doc)"),
        "g, jsonb_build_object('a', g % 5000, 'b', md5(g::text), 'c', g % 7)",
        "doc = jsonb_set(doc, '{{a}}', to_jsonb(id % 4999))",
    ),
    Shape(
        "log", 300_000,
        (
            "CREATE TABLE {t} (id bigint, at timestamptz, note text)", "CREATE INDEX ON {t} USING brin (at)",
            "CREATE INDEX ON {t} (id)",
        ),
        "g, now() - g * interval '1 second', 'note ' || g", "id = id + 1000000",
    ),
    Shape(
        "people", 200_000,
        ("CREATE TABLE {t} (id int PRIMARY KEY, mail text)", "CREATE UNIQUE INDEX ON {t} (lower(mail))"),
        "g, 'User.' || g || '@Example.com'", "mail = mail || 'x'",
    ),
    Shape(
        "queue", 300_000,
        (
            "CREATE TABLE {t} (id bigint PRIMARY KEY, state text, at timestamptz)",
            "CREATE INDEX ON {t} (at) WHERE state <> 'done'",
        ),
        "g, CASE WHEN g % 3 = 0 THEN 'done' ELSE 'open' END, now() - g * interval '1 second'",
        "state = CASE state WHEN 'done' THEN 'open' ELSE 'done' END",
    ),
    Shape(
        "bookings", 30_000,
        ("CREATE TABLE {t} (id int PRIMARY KEY, room int, during int4range, EXCLUDE USING gist (during WITH &&))",),
        "g, g % 50, int4range(g * 20, g * 20 + 10)", "during = int4range(lower(during), upper(during) + 1)",
    ),
    Shape(
        "files", 12_000,
        ("CREATE TABLE {t} (id int PRIMARY KEY, name text, body text)", "CREATE INDEX ON {t} (name)"),
        "g, 'file ' || g, (SELECT string_agg(md5((g * 200 + n)::text), '') FROM generate_series(1, 150) n)",
        "body = reverse(body), name = name || 'x'",
    ),
    Shape(
        "parts", 300_000,
        (
            "CREATE TABLE {t} (id int, region int, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region)",
            *(f"CREATE TABLE {{t}}_{n} PARTITION OF {{t}} FOR VALUES IN ({n})" for n in range(3)),
            "CREATE INDEX ON {t} (v)",
        ),
        "g, g % 3, 'value ' || g", "v = v || 'x'",
        ("{t}_0", "{t}_1", "{t}_2"),
    ),
    Shape(
        "keys", 200_000, ("CREATE TABLE {t} (id uuid PRIMARY KEY, at timestamptz)", "CREATE INDEX ON {t} (at)"),
        "md5(g::text)::uuid, now() - g * interval '1 second'", "at = at + interval '1 day'",
    ),
    Shape(
        "tags", 400_000, ("CREATE TABLE {t} (id int, tag int)", "CREATE INDEX ON {t} (tag)"),
        "g, g % 40", "tag = (tag + 1) % 40",
    ),
    Shape(
        "loose", 200_000,
        (
            "CREATE TABLE {t} (id int, a int, b text) WITH (fillfactor = 70)",
            "CREATE INDEX ON {t} (a, b) WITH (fillfactor = 70)", "CREATE INDEX ON {t} (id) INCLUDE (a)",
        ),
        "g, g % 9999, 'text ' || g % 777", "a = a + 1",
    ),
    Shape(
        "hashed", 200_000, ("CREATE TABLE {t} (id int, session text)", "CREATE INDEX ON {t} USING hash (session)"),
        "g, md5(g::text)", "session = md5(session)",
    ),
)  # fmt: skip


def _update(cursor: Cursor, shape: Shape, table: str, share: float) -> None:
    cursor.execute(f"UPDATE {table} SET {shape.churn.format()} WHERE random() < {share}")


def _delete(cursor: Cursor, _shape: Shape, table: str, share: float) -> None:
    cursor.execute(f"DELETE FROM {table} WHERE random() < {share * 0.8}")


def _delete_oldest(cursor: Cursor, _shape: Shape, table: str, share: float) -> None:
    cursor.execute("SELECT (pg_relation_size(%s) / 8192 * %s)::bigint", [table, share * 0.8])
    row = cursor.fetchone()
    assert row is not None
    cursor.execute(f"DELETE FROM {table} WHERE ctid < '({row[0]},0)'::tid")


def _roll_back(cursor: Cursor, shape: Shape, table: str, share: float) -> None:
    cursor.execute(f"BEGIN; UPDATE {table} SET {shape.churn.format()} WHERE random() < {share}; ROLLBACK")


NEGLECTS: tuple[Callable[[Cursor, Shape, str, float], None], ...] = (_update, _delete, _delete_oldest, _roll_back)


@dataclass
class Corpus:
    server: Postgres
    chance: random.Random
    told: list[str] = field(default_factory=list)
    learnt: dict[str, Any] = field(default_factory=dict)

    def build(self) -> None:
        """What there is, a night that learns of it, and then the neglect."""
        self.server.create_database(BUILT)
        tables = [(shape, f"{shape.name}_{copy}") for copy in range(COPIES) for shape in SHAPES]
        with self.server.cursor(BUILT) as cursor:
            cursor.execute("CREATE EXTENSION pgstattuple; SELECT setseed(%s)", [self.chance.random()])
            cursor.execute("SET synchronous_commit = off; SET maintenance_work_mem = '256MB'")
            for shape, table in tables:
                rows = int(shape.rows * self.chance.uniform(0.7, 1.3))
                for statement in shape.create:
                    cursor.execute(statement.format(t=table))
                cursor.execute(f"INSERT INTO {table} SELECT {shape.row} FROM generate_series(1, {rows}) g")
                # As good as indexes get: as after a restore.
                cursor.execute(f"REINDEX TABLE {table}")
            for copy in range(COPIES):
                name = f"summary_{copy}"
                cursor.execute(f"CREATE MATERIALIZED VIEW {name} AS SELECT id, md5(v::text) AS m FROM narrow_{copy}")
                cursor.execute(f"CREATE UNIQUE INDEX ON {name} (id); CREATE INDEX ON {name} (m)")
            cursor.execute("VACUUM ANALYZE")
            self.learnt = self.module(BUILT, check=True)["learnt"]
            for shape, table in tables:
                self._neglect(cursor, shape, table)
            for copy in range(COPIES):
                self._refresh(cursor, f"summary_{copy}", f"narrow_{copy}")

    def _neglect(self, cursor: Cursor, shape: Shape, table: str) -> None:
        done = []
        # Some are healthy, some have had more than one bad week.
        for _week in range(self.chance.choice((0, 1, 1, 2))):
            neglect, share = self.chance.choice(NEGLECTS), self.chance.choice((0.02, 0.3, 0.6, 0.9))
            leaf = self.chance.choice(shape.tables).format(t=table)
            neglect(cursor, shape, leaf, share)
            done.append(f"{neglect.__name__.strip('_')} {share}")
            if self.chance.random() < 0.4:
                cursor.execute(f"VACUUM (TRUNCATE FALSE) {table}")
                done.append("vacuum")
        if self.chance.random() < 0.5:
            cursor.execute(f"ANALYZE {table}")
        self.told.append(f"{table}: {', '.join(done) or 'healthy'}")

    def _refresh(self, cursor: Cursor, name: str, table: str) -> None:
        changed = self.chance.choice((0.02, 0.3, 0.8))
        cursor.execute(f"UPDATE {table} SET v = v + 1 WHERE random() < {changed}")
        cursor.execute(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {name}")
        self.told.append(f"{name}: refresh {changed}")

    def lose_statistics(self) -> None:
        """A night on a copy, or after a reset; and what the truth is taken of."""
        how = self.chance.choice(("copy", "reset"))
        print(f"statistics lost by a {how}; {'; '.join(self.told)}", file=sys.stderr, flush=True)
        self._copy(NIGHT, BUILT)
        if how == "reset":
            with self.server.cursor(NIGHT) as cursor:
                cursor.execute("ANALYZE narrow_0; SELECT pg_stat_reset()")
        self._copy(TRUTH, NIGHT)

    def _copy(self, name: str, of: str) -> None:
        self.server.execute(f"CREATE DATABASE {name} TEMPLATE {of} STRATEGY file_copy")

    def named(self, **given: Any) -> set[str]:
        """What a plan would vacuum and rebuild."""
        return {
            f"{one['action']} {one['subject']}"
            for one in self.module(NIGHT, check=True, **given)["actions"]
            if one["action"] in ("vacuum", "reindex") and one["status"] == "planned"
        }

    def module(self, database: str, *, check: bool = False, **given: Any) -> dict[str, Any]:
        arguments = {**self.server.login(database), "index_min_bytes": INDEX_BYTES, **given}
        arguments["allow_exclusive_lock"] = True  # the index of an exclusion constraint has no other way
        result = modules.start("postgresql_maintenance", arguments, check=check, fresh=True, target="bench").result(
            600.0
        )
        assert not result.get("failed"), result["msg"]
        return result


TABLES = """
SELECT c.oid, n.nspname || '.' || c.relname, c.reltoastrelid
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND c.relkind IN ('r', 'm') ORDER BY 2
"""
# BRIN indexes hold no rows.
INDEXES = """
SELECT c.oid, n.nspname || '.' || c.relname, a.amname,
       coalesce((SELECT option_value::int FROM pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor'), 90)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
  JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_class t ON t.reltoastrelid = i.indrelid
 WHERE coalesce(t.relnamespace, c.relnamespace) = 'public'::regnamespace AND c.relkind = 'i' AND a.amname <> 'brin'
 ORDER BY 2
"""
# A page that is as full as a fresh one would be is not bloat; the meta page and the inner pages stay.
DENSITY = """
SELECT (leaf_pages * coalesce(nullif(avg_leaf_density, 'NaN'), 0) / %s + internal_pages + 1) * 8192
  FROM pgstatindex(%s::oid::regclass)
"""


def truly(server: Postgres) -> dict[str, float]:
    """By "action subject", how large a share of it is bloat, where that is more than the thresholds."""
    bloated: dict[str, float] = {}
    with server.cursor(TRUTH) as cursor:
        cursor.execute(TABLES)
        for oid, name, toast in cursor.fetchall():
            share = max(_dead(cursor, one) for one in (oid, toast) if one)
            if share >= DEAD_RATIO:
                bloated[f"vacuum {name}"] = share
        cursor.execute(INDEXES)
        indexes = cursor.fetchall()
        before = {oid: _size(cursor, oid) for oid, *_rest in indexes}
        cursor.execute("VACUUM")
        for oid, name, method, fillfactor in indexes:
            if before[oid] < INDEX_BYTES:
                continue
            if method == "btree":
                cursor.execute(DENSITY, [fillfactor, oid])
                row = cursor.fetchone()
                assert row is not None
                useful = float(row[0])
            else:
                cursor.execute(f"REINDEX INDEX {name}")
                useful = _size(cursor, oid)
            if 1 - useful / before[oid] >= BLOAT_RATIO:
                bloated[f"reindex {name}"] = 1 - useful / before[oid]
    return bloated


def _dead(cursor: Cursor, oid: int) -> float:
    """The share of dead rows; 0 for so few that they are not worth a vacuum."""
    cursor.execute("SELECT tuple_count, dead_tuple_count FROM pgstattuple(%s::oid::regclass)", [oid])
    row = cursor.fetchone()
    assert row is not None
    live, dead = row
    return dead / (live + dead) if dead >= DEAD_ROWS else 0.0


def _size(cursor: Cursor, oid: int) -> float:
    cursor.execute("SELECT pg_relation_size(%s::oid::regclass)::float8", [oid])
    row = cursor.fetchone()
    assert row is not None
    return float(row[0])


def run(seen: Seen | None = None) -> Iterator[Figure]:
    """With ``seen`` the plan is carried out, and it takes what was predicted and done."""
    seed = int(os.environ.get("DAY2_SEED") or time.time_ns() % (1 << 32))
    print(f"DAY2_SEED={seed}", file=sys.stderr, flush=True)
    with Lab() as lab:
        server = lab.postgres(settings={"max_wal_size": "8GB", "shared_buffers": "1GB", "autovacuum": "off"})
        corpus = Corpus(server, random.Random(seed))
        corpus.build()
        corpus.lose_statistics()
        # Once as the very first night here, and once with the sizes that an earlier one has kept in a store.
        first, later = corpus.named(), corpus.named(history=corpus.learnt)
        truth = truly(server)
        yield from _judged("corpus.first_night", first, truth)
        yield from _judged("corpus", later, truth)
        if seen is not None:
            seen.learn(corpus.module(NIGHT, history={**corpus.learnt, "throughput": seen.throughput}))


def _judged(name: str, named: set[str], truth: dict[str, float]) -> Iterator[Figure]:
    missed, wrong = sorted(truth.keys() - named), sorted(named - truth.keys())
    for what, some in (("missed", missed), ("named and not bloated", wrong)):
        print(f"{what}: {', '.join(f'{one} ({truth.get(one, 0):.2f})' for one in some) or 'nothing'}", file=sys.stderr)
    both = len(named & truth.keys())
    print(f"{len(truth)} are bloated, {len(named)} are named, {both} are both", file=sys.stderr, flush=True)
    yield Figure(f"{name}.recall", both / len(truth), None, 0.95, at_least=True)
    yield Figure(f"{name}.precision", both / len(named), None, 0.9, at_least=True)
