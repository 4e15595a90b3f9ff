# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A night on which nothing is due: what it costs the server, against vacuumdb and reindexdb on the same data.

Interleaved runs, medians, ratios. CPU is that of the server's processes, WAL is what they wrote.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measure import Figure, server_cpu
from tests.lab import Lab, demo
from tests.lab.postgres import Postgres

TOP = Path(__file__).resolve().parent.parent
ROUNDS = 5
PLAY = [{"hosts": "all", "gather_facts": False, "roles": ["day2.ops.postgresql_maintenance"]}]


def measured(server: Postgres, work: Callable[[], None]) -> tuple[float, float]:
    """(CPU seconds, bytes of WAL) that ``work`` cost the server."""
    cpu, wal = server_cpu(server), server.value("SELECT pg_current_wal_insert_lsn()")
    work()
    written = server.value("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s::pg_lsn)", [wal])
    return server_cpu(server) - cpu, float(written)


def run() -> Iterator[Figure]:
    with Lab() as lab:
        server = lab.postgres(settings={"max_wal_size": "4GB", "shared_buffers": "256MB", "autovacuum": "off"})
        print(f"PostgreSQL {server.major}, {sum(demo.fill(server).rows.values()):,} rows", file=sys.stderr, flush=True)
        folder = lab.shared_folder("bench")
        login = server.login(demo.DATABASE, demo.MAINTENANCE)
        variables: dict[str, Any] = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        variables |= {"ansible_pipelining": True, "postgresql_maintenance_index_min_bytes": 1048576}
        inventory = {"all": {"hosts": {"db": variables}}}
        play = [{**PLAY[0], "module_defaults": {"group/day2.ops.postgresql": login}}]
        (folder / "inventory.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")
        (folder / "play.yml").write_text(yaml.safe_dump(play), encoding="utf-8")

        def call(*command: str) -> None:
            env = {**os.environ, **server.env(demo.DATABASE)}
            subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL, cwd=TOP)

        def ours() -> None:
            call("ansible-playbook", "-i", str(folder / "inventory.yml"), str(folder / "play.yml"))

        def theirs() -> None:
            call(str(server.tool("vacuumdb")), "--analyze", "--quiet", demo.DATABASE)
            call(str(server.tool("reindexdb")), "--concurrently", "--jobs=2", "--quiet", demo.DATABASE)

        ours()  # what is due is done; from here on nothing is
        theirs()
        costs = [(measured(server, ours), measured(server, theirs)) for _round in range(ROUNDS)]
    for unit, index, goal in (("cpu_seconds", 0, 0.02), ("wal_bytes", 1, 0.001)):
        mine = statistics.median(cost[0][index] for cost in costs)
        other = statistics.median(cost[1][index] for cost in costs)
        yield Figure(f"idle_night.{unit}", mine, other, goal)
