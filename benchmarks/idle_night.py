# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A night on which nothing is due: what it costs, against vacuumdb and reindexdb on the same data.

Interleaved runs, medians, ratios. CPU is that of the server's processes, then that of whoever asked them as well; our
side is the module in a process of its own, from installed files.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.measure import Figure, client_cpu, server_cpu
from tests.lab import Lab, demo
from tests.lab import module as modules
from tests.lab.postgres import Postgres

ROUNDS = 5
# The pages of an index that is built, and the files made for it; pages that are only read write none of these.
_REBUILT = """
SELECT coalesce(sum(combined_size), 0)::float8 FROM pg_get_wal_stats(%s, %s, true)
 WHERE "resource_manager/record_type" IN ('XLOG/FPI', 'Storage/CREATE')
"""


@dataclass(frozen=True)
class Night:
    """Seconds of CPU of the server, and with its clients'; of wall; bytes of WAL, and where it begins and ends."""

    server: float
    both: float
    wall: float
    wal: float
    began: str
    ended: str


def measured(server: Postgres, work: Callable[[], object]) -> Night:
    """What ``work`` costs, which waits for the processes that it starts."""
    cpu, clients = server_cpu(server), client_cpu()
    since, began = time.monotonic(), str(server.value("SELECT pg_current_wal_insert_lsn()"))
    work()
    wall, ended = time.monotonic() - since, str(server.value("SELECT pg_current_wal_insert_lsn()"))
    cpu, clients = server_cpu(server) - cpu, client_cpu() - clients
    written = float(server.value("SELECT pg_wal_lsn_diff(%s, %s)", [ended, began]))
    return Night(cpu, cpu + clients, wall, written, began, ended)


def rebuilt(server: Postgres, night: Night) -> float:
    """Bytes of WAL of rebuilt indexes."""
    server.execute("SELECT pg_switch_wal()")  # only what is on disk can be inspected
    return float(server.value(_REBUILT, [night.began, night.ended])) if night.wal else 0.0


def run() -> Iterator[Figure]:
    with Lab() as lab:
        settings = {"max_wal_size": "4GB", "shared_buffers": "256MB", "autovacuum": "off", "wal_keep_size": "4GB"}
        server = lab.postgres(settings=settings)
        server.execute("CREATE EXTENSION pg_walinspect")
        print(f"PostgreSQL {server.major}, {sum(demo.fill(server).rows.values()):,} rows", file=sys.stderr, flush=True)
        arguments = {**server.login(demo.DATABASE, demo.MAINTENANCE), "index_min_bytes": 1 << 20}
        env = {**os.environ, **server.env(demo.DATABASE)}

        def ours() -> dict[str, Any]:
            result = modules.start("postgresql_maintenance", arguments, fresh=True, target="bench").result(600.0)
            assert not result.get("failed"), result["msg"]
            return result

        def theirs() -> None:
            for tool, *options in (("vacuumdb", "--analyze"), ("reindexdb", "--concurrently", "--jobs=2")):
                command = [str(server.tool(tool)), "--quiet", *options, demo.DATABASE]
                subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)

        ours()  # what is due is done; from here on nothing is
        theirs()
        said = ours()
        assert not said["actions"], said["plan_summary"]
        turns = [(measured(server, ours), measured(server, theirs)) for _round in range(ROUNDS)]
        wal = [statistics.median(rebuilt(server, turn[side]) for turn in turns) for side in (0, 1)]
    for name, field, goal in (
        ("server_cpu_seconds", "server", 0.02),
        ("cpu_seconds", "both", 0.05),
        ("wal_bytes", "wal", 0.001),
    ):
        mine, other = (statistics.median(getattr(turn[side], field) for turn in turns) for side in (0, 1))
        yield Figure(f"idle_night.{name}", mine, other, goal)
    mine, other = wal
    yield Figure("idle_night.rebuild_wal_bytes", mine, other, 0)
