# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A night on which much is due, the same reclaimed: against vacuum, then reindexdb; and what an application feels."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from benchmarks import predictions
from benchmarks.application import Felt, beside
from benchmarks.idle_night import Night, measured
from benchmarks.measure import Figure
from benchmarks.predictions import Seen
from benchmarks.retention import BUSY, PRISTINE, events
from tests.lab import Lab
from tests.lab import module as modules
from tests.lab.postgres import Postgres

ROUNDS = 3
ROWS = 2_000_000
# Two updates of most rows in turn leave dead rows, and indexes half of which are bloat.
NEGLECT = (
    "UPDATE audit_events SET actor = actor || 'x' WHERE id % 3 <> 0",
    f"DELETE FROM audit_events WHERE id % 5 = 0 AND id < {ROWS * 4 // 5}",
    "ANALYZE audit_events",
    "CREATE EXTENSION pgstattuple",
)
LITTLE_BLOAT = 0.05
SIZE = "SELECT pg_indexes_size('audit_events')"
# With this limit the peer's way from fast to slow is measured; the delay is that of autovacuum.
TRIED, DELAY = 2000, 2


class Bench:
    def __init__(self, lab: Lab, seen: Seen) -> None:
        settings = {
            "max_wal_size": "8GB", "checkpoint_timeout": "1h", "shared_buffers": "1GB", "autovacuum": "off",
        }  # fmt: skip
        self.server: Postgres = lab.postgres(settings=settings)
        self.server.create_database(PRISTINE)
        for statement in (*events(ROWS), *NEGLECT):
            self.server.execute(statement, dbname=PRISTINE)
        self.env = {**os.environ, **self.server.env(BUSY)}
        self.seen = seen

    def fresh(self) -> None:
        self.server.drop_database(BUSY)
        self.server.execute(f"CREATE DATABASE {BUSY} TEMPLATE {PRISTINE} STRATEGY file_copy")
        self.server.execute("CHECKPOINT")

    def ours(self, **given: Any) -> None:
        arguments = {**self.server.login(BUSY, "postgres"), "history": {"throughput": self.seen.throughput}, **given}
        result = modules.start("postgresql_maintenance", arguments, fresh=True, target="bench").result(600.0)
        assert not result.get("failed"), result["msg"]
        assert result["actions"] and {one["status"] for one in result["actions"]} == {"done"}, result["plan_summary"]
        self.seen.learn(result)

    def tool(self, name: str, *arguments: str, **settings: int) -> None:
        options = " ".join(f"-c {setting}={value}" for setting, value in settings.items())
        command = [str(self.server.tool(name)), "--quiet", *arguments, BUSY]
        subprocess.run(command, env={**self.env, "PGOPTIONS": options}, check=True)

    def vacuum(self, limit: float) -> None:
        """The peer's; with ``limit`` 0 as fast as it can."""
        costs = {"vacuum_cost_delay": DELAY, "vacuum_cost_limit": max(1, min(10_000, round(limit)))} if limit else {}
        self.tool("vacuumdb", "--analyze", **costs)

    def theirs(self) -> None:
        self.vacuum(0)
        self.tool("reindexdb", "--concurrently")

    def night(self, work: Callable[[], None]) -> tuple[Night, int]:
        self.fresh()
        return measured(self.server, work), int(self.server.value(SIZE, dbname=BUSY))

    def felt(self, work: Callable[[], None]) -> Felt:
        self.fresh()
        return beside(self.server, BUSY, work, ROWS)


def run(seen: Seen | None = None) -> Iterator[Figure]:
    """``seen`` takes what was predicted and done; without it, it is told here."""
    with Lab() as lab:
        bench = Bench(lab, seen or Seen())
        yield from _nights(bench)
        yield from _index_work(bench)
        yield from _vacuum(bench)
    if seen is None:
        yield from predictions.figures(bench.seen.actions)


def _nights(bench: Bench) -> Iterator[Figure]:
    def ours() -> None:
        # The peer rebuilds everything; so that both reclaim the same, a little bloat is enough for us, too.
        bench.ours(index_bloat_ratio=LITTLE_BLOAT)

    turns = []
    for _round in range(ROUNDS):
        turns.append((bench.night(ours), bench.night(bench.theirs)))
        print(f"night: {turns[-1]}", file=sys.stderr, flush=True)
    sizes = [[turn[side][1] for turn in turns] for side in (0, 1)]
    assert statistics.median(sizes[0]) < 1.02 * statistics.median(sizes[1]), sizes
    for name, field, goal in (
        ("server_cpu_seconds", "server", 0.76),
        ("cpu_seconds", "both", 0.76),
        ("wal_bytes", "wal", 0.88),
        ("wall", "wall", 1.0),
    ):
        mine, peer = (statistics.median(getattr(turn[side][0], field) for turn in turns) for side in (0, 1))
        yield Figure(f"bloated_night.{name}", mine, peer, goal)


def _index_work(bench: Bench) -> Iterator[Figure]:
    works: dict[str, Callable[[], None]] = {
        "ours": lambda: bench.ours(operations=["reindex"], index_bloat_ratio=LITTLE_BLOAT),
        "blocking": lambda: bench.tool("reindexdb"),
        "concurrent": lambda: bench.tool("reindexdb", "--concurrently", "--jobs=1"),
    }
    turns = [_turn(bench, works) for _round in range(ROUNDS)]
    p99 = {name: statistics.median(turn[name].p99 for turn in turns) for name in works}
    yield Figure("index_work.p99_against_blocking", p99["ours"], p99["blocking"], 0.02)
    yield Figure("index_work.p99_against_concurrent", p99["ours"], p99["concurrent"], 1.0)


def _vacuum(bench: Bench) -> Iterator[Figure]:
    """Against the fixed limit with which the peer takes as long as we do: every lower one takes longer."""

    def ours() -> None:
        bench.ours(operations=["vacuum", "analyze"])

    tried: dict[str, Callable[[], None]] = {
        "ours": ours, "fast": lambda: bench.vacuum(0), "slow": lambda: bench.vacuum(TRIED),
    }  # fmt: skip
    walls = [_turn(bench, tried) for _round in range(ROUNDS)]
    target, fast, slow = (statistics.median(turn[side].wall for turn in walls) for side in tried)
    # All of its pauses together are as long as the limit is low.
    limit = TRIED * (slow - fast) / (target - fast) if target > fast and slow > fast else 0.0
    limit = 0.0 if limit > 10_000 else limit
    print(f"vacuum: {target:.1f} s; the peer's {fast:.1f} s, {slow:.1f} s, limit {limit:.0f}", file=sys.stderr)
    turns = [_turn(bench, {"ours": ours, "peer": lambda: bench.vacuum(limit)}) for _round in range(ROUNDS)]
    mine, peer = (statistics.median(turn[side].p99 for turn in turns) for side in ("ours", "peer"))
    yield Figure("vacuum.p99_at_equal_wall", mine, peer, 1.0)
    mine, peer = (statistics.median(turn[side].wall for turn in turns) for side in ("ours", "peer"))
    yield Figure("vacuum.wall", mine, peer, 1.05)


def _turn(bench: Bench, works: Mapping[str, Callable[[], None]]) -> dict[str, Felt]:
    """What the application felt of each of them, one after the other."""
    felt = {name: bench.felt(work) for name, work in works.items()}
    told = (f"{name} p99 {one.p99:.1f} ms, {one.wall:.1f} s" for name, one in felt.items())
    print("; ".join(told), file=sys.stderr, flush=True)
    return felt
