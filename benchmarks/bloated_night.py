# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A night on which much is due, the same reclaimed: against vacuum, then reindexdb; and what an application feels."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.application import beside
from benchmarks.idle_night import measured
from benchmarks.measure import Figure
from benchmarks.retention import BUSY, PRISTINE
from benchmarks.retention import DATA as ROWS
from tests.lab import Lab
from tests.lab import module as modules
from tests.lab.postgres import Postgres

ROUNDS = 3
# Two updates of most rows in turn leave dead rows, and indexes half of which are bloat.
NEGLECT = (
    "UPDATE audit_events SET actor = actor || 'x' WHERE id % 3 <> 0",
    "DELETE FROM audit_events WHERE id % 5 = 0 AND id < 4000000",
    "ANALYZE audit_events",
)
SIZE = "SELECT pg_indexes_size('audit_events')"


class Bench:
    def __init__(self, lab: Lab) -> None:
        settings = {"max_wal_size": "8GB", "shared_buffers": "1GB", "autovacuum": "off"}
        self.server: Postgres = lab.postgres(settings=settings)
        self.server.create_database(PRISTINE)
        for statement in (*ROWS, *NEGLECT):
            self.server.execute(statement, dbname=PRISTINE)
        self.env = {**os.environ, **self.server.env(BUSY)}

    def fresh(self) -> None:
        self.server.drop_database(BUSY)
        self.server.execute(f"CREATE DATABASE {BUSY} TEMPLATE {PRISTINE} STRATEGY file_copy")
        # A copy has no statistics of its dead rows; a night after an ordinary week would.
        self.server.execute("CREATE EXTENSION pgstattuple", dbname=BUSY)
        self.server.execute("CHECKPOINT")

    def ours(self, **given: Any) -> None:
        login = self.server.login(BUSY, "postgres")
        result = modules.start("postgresql_maintenance", {**login, **given}, target="bench").result(600.0)
        assert not result.get("failed"), result["msg"]
        assert {action["status"] for action in result["actions"]} == {"done"}, result["plan_summary"]

    def tool(self, name: str, *arguments: str) -> None:
        subprocess.run([str(self.server.tool(name)), "--quiet", *arguments, BUSY], env=self.env, check=True)

    def theirs(self) -> None:
        self.tool("vacuumdb", "--analyze")
        self.tool("reindexdb", "--concurrently")

    def night(self, work: Callable[[], None]) -> tuple[float, float, int]:
        self.fresh()
        cpu, wal = measured(self.server, work)
        return cpu, wal, int(self.server.value(SIZE, dbname=BUSY))

    def felt(self, work: Callable[[], None]) -> float:
        self.fresh()
        return beside(self.server, BUSY, work).p99


def run() -> Iterator[Figure]:
    with Lab() as lab:
        bench = Bench(lab)
        nights = [(bench.night(bench.ours), bench.night(bench.theirs)) for _ in range(ROUNDS)]
        sizes = [[night[side][2] for night in nights] for side in (0, 1)]
        print(f"bytes of indexes after it: {sizes[0]} and {sizes[1]}", file=sys.stderr, flush=True)
        for unit, index, goal in (("cpu_seconds", 0, 0.76), ("wal_bytes", 1, 0.88)):
            mine, peer = (statistics.median(night[side][index] for night in nights) for side in (0, 1))
            yield Figure(f"bloated_night.{unit}", mine, peer, goal)
        works: dict[str, Callable[[], None]] = {
            "ours": lambda: bench.ours(operations=["reindex"]),
            "blocking": lambda: bench.tool("reindexdb"),
            "concurrent": lambda: bench.tool("reindexdb", "--concurrently", "--jobs=1"),
        }
        turns = [{name: bench.felt(work) for name, work in works.items()} for _ in range(ROUNDS)]
        p99 = {name: statistics.median(turn[name] for turn in turns) for name in works}
        yield Figure("index_work.p99_against_blocking", p99["ours"], p99["blocking"], 0.02)
        yield Figure("index_work.p99_against_concurrent", p99["ours"], p99["concurrent"], 1.0)
