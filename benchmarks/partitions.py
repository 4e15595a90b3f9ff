# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows of a partitioned table: whole partitions, detached, archived and dropped, against DELETE and VACUUM; and row by
row, where a policy does not let partitions go, against a copy, an upload and one DELETE."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.idle_night import measured
from benchmarks.measure import Figure
from benchmarks.retention import COLUMNS, POLICY, Bench, filling, older
from tests.lab import Lab

ROUNDS = 3
# A partition a month, of events as those of the other measurements.
ROWS, DAYS, WIDTH = 2_500_000, 150, 30
# Two whole partitions by the first, half a million rows by the second.
WHOLE_DAYS, ROW_DAYS = 90, 120
TABLE = "audit_parts"
POLICY_OF_PARTS: dict[str, Any] = {**POLICY, "table": TABLE}


def tables() -> tuple[str, ...]:
    today = "date_trunc('day', now())"
    return (
        f"CREATE TABLE {TABLE} ({COLUMNS.format('NOT NULL')}, PRIMARY KEY (id, created_at)) "
        "PARTITION BY RANGE (created_at)",
        f"""DO $$ BEGIN FOR day IN 0..{DAYS - WIDTH} BY {WIDTH} LOOP
            EXECUTE format('CREATE TABLE {TABLE}_%s PARTITION OF {TABLE} FOR VALUES FROM (%L) TO (%L)', day,
                           {today} - interval '{DAYS} days' + day * interval '1 day',
                           {today} - interval '{DAYS} days' + (day + {WIDTH}) * interval '1 day');
            END LOOP; END $$""",
        filling(TABLE, ROWS, DAYS),
        f"CREATE INDEX ON {TABLE} (created_at)",
        f"CREATE INDEX ON {TABLE} (org_id, created_at)",
        f"CREATE INDEX ON {TABLE} (actor)",
        f"VACUUM ANALYZE {TABLE}",
    )


def run() -> Iterator[Figure]:
    with Lab() as lab:
        bench = Bench(lab, TABLE, tables())
        yield from _whole(bench)
        yield from _rows(bench)


def _whole(bench: Bench) -> Iterator[Figure]:
    policy = {**POLICY_OF_PARTS, "older_than": f"{WHOLE_DAYS}d", "partitions": True}
    plan = bench.approve(policy, "postgres")

    def ours() -> None:
        done = bench.ours(plan, policy, "postgres")
        assert {one["action"] for one in done} == {"drop_partition"}, done

    def theirs() -> None:
        bench.statement(f"DELETE FROM {TABLE} WHERE {older(WHOLE_DAYS)}")
        bench.statement(f"VACUUM {TABLE}")

    def wal(work: Callable[[], None]) -> float:
        bench.fresh()
        written = measured(bench.server, work).wal
        assert bench.left(WHOLE_DAYS) == 0
        return written

    turns = [(wal(ours), wal(theirs)) for _round in range(ROUNDS)]
    mine, peer = (statistics.median(turn[side] for turn in turns) for side in (0, 1))
    yield Figure("partitions.whole.wal_bytes", mine, peer, 0.001)


def _rows(bench: Bench) -> Iterator[Figure]:
    policy = {**POLICY_OF_PARTS, "older_than": f"{ROW_DAYS}d"}
    plan = bench.approve(policy)

    def wall(work: Callable[[], object]) -> float:
        bench.fresh()
        began = time.monotonic()
        work()
        took = time.monotonic() - began
        assert bench.left(ROW_DAYS) == 0
        return took

    turns = [(wall(lambda: bench.ours(plan, policy)), wall(lambda: bench.theirs(ROW_DAYS))) for _ in range(ROUNDS)]
    mine, peer = (statistics.median(turn[side] for turn in turns) for side in (0, 1))
    yield Figure("partitions.rows.wall", mine, peer, 1.0)
