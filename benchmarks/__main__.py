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
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.lab import Lab, demo
from tests.lab.postgres import Postgres

TOP = Path(__file__).resolve().parent.parent
ROUNDS = 5
PLAY = [{"hosts": "all", "gather_facts": False, "roles": ["day2.ops.postgresql_maintenance"]}]


def server_cpu(server: Postgres) -> float:
    """Seconds of CPU of the postmaster and of all its children, ended ones included."""
    assert server.process is not None
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text(encoding="ascii", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = text.rpartition(")")[2].split()
        if int(stat.parent.name) == server.process.pid:
            ticks += sum(map(int, fields[11:15]))
        elif int(fields[1]) == server.process.pid:
            ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def measured(server: Postgres, work: Callable[[], None]) -> tuple[float, float]:
    """(CPU seconds, bytes of WAL) that ``work`` cost the server."""
    cpu, wal = server_cpu(server), server.value("SELECT pg_current_wal_insert_lsn()")
    work()
    written = server.value("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s::pg_lsn)", [wal])
    return server_cpu(server) - cpu, float(written)


def main() -> int:
    with Lab() as lab:
        server = lab.postgres(settings={"max_wal_size": "4GB", "shared_buffers": "256MB", "autovacuum": "off"})
        print(f"PostgreSQL {server.major}, {sum(demo.fill(server).rows.values()):,} rows", flush=True)
        folder = lab.shared_folder("bench")
        login = server.login(demo.DATABASE, demo.MAINTENANCE)
        variables = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        variables |= {"ansible_pipelining": True, "postgresql_maintenance_index_min_bytes": 1048576}
        inventory = {"all": {"hosts": {"db": variables}}}
        play = [{**PLAY[0], "module_defaults": {"group/day2.ops.postgresql": login}}]
        (folder / "inventory.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")
        (folder / "play.yml").write_text(yaml.safe_dump(play), encoding="utf-8")

        def run(*command: str) -> None:
            env = {**os.environ, **server.env(demo.DATABASE)}
            subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL, cwd=TOP)

        def ours() -> None:
            run("ansible-playbook", "-i", str(folder / "inventory.yml"), str(folder / "play.yml"))

        def theirs() -> None:
            run(str(server.tool("vacuumdb")), "--analyze", "--quiet", demo.DATABASE)
            run(str(server.tool("reindexdb")), "--concurrently", "--jobs=2", "--quiet", demo.DATABASE)

        ours()  # what is due is done; from here on nothing is
        theirs()
        costs = [(measured(server, ours), measured(server, theirs)) for _round in range(ROUNDS)]
    for unit, index in (("CPU seconds", 0), ("bytes of WAL", 1)):
        mine = statistics.median(cost[0][index] for cost in costs)
        other = statistics.median(cost[1][index] for cost in costs)
        print(f"{unit}: day2.ops {mine:,.2f}, vacuumdb and reindexdb {other:,.2f}, ratio {mine / other:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
