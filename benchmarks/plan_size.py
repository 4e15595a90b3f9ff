# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan for 10,000 tables and 50,000 indexes: how long the module takes for it, and how much memory.

The module runs in check mode with the options that it has by itself, as Ansible starts it; memory is the most that its
process ever held.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.measure import Figure, server_cpu
from tests.lab import Lab, demo
from tests.lab.postgres import Postgres
from tests.lab.preloaded import MODULES

TABLES, INDEXES = 10_000, 50_000
ROUNDS = 3
# Locks of a transaction are limited: so many tables are made in one.
AT_ONCE = 500


def fill(server: Postgres) -> None:
    server.create_database("many", owner=demo.OWNER)
    with server.connect("many", demo.OWNER, autocommit=True) as connection, connection.cursor() as cursor:
        for first in range(0, TABLES, AT_ONCE):
            statements = []
            for number in range(first, min(first + AT_ONCE, TABLES)):
                statements.append(f"CREATE TABLE t{number} (id int PRIMARY KEY, a int, b text, c timestamptz, d int)")
                columns = ("a", "b", "c", "d")[: INDEXES // TABLES - 1]
                statements += [f"CREATE INDEX t{number}_{column} ON t{number} ({column})" for column in columns]
                statements.append(f"INSERT INTO t{number} SELECT g, g, 'x', now(), g FROM generate_series(1, 20) g")
            cursor.execute("; ".join(statements))
        cursor.execute("ANALYZE")


def plan(server: Postgres) -> tuple[float, float, float, str]:
    """(seconds, bytes, CPU seconds of module and server, the plan in one sentence) of one run in check mode."""
    arguments = {**server.login("many", demo.MAINTENANCE), "_ansible_check_mode": True}
    arguments["run"] = {"id": "bench"}
    cpu, began = server_cpu(server), time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", f"{MODULES}postgresql_maintenance"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    process.stdin.close()
    result = json.loads(process.stdout.read())
    _pid, _status, used = os.wait4(process.pid, 0)
    assert result["error"] is None, result["error"]
    wall = time.monotonic() - began
    cpu = server_cpu(server) - cpu + used.ru_utime + used.ru_stime
    return wall, used.ru_maxrss * 1024.0, cpu, str(result["plan_summary"])


def run() -> Iterator[Figure]:
    with Lab() as lab:
        server = lab.postgres(settings={"autovacuum": "off", "fsync": "off", "max_locks_per_transaction": "1024"})
        demo.create_roles(server)
        fill(server)
        runs = [plan(server) for _round in range(ROUNDS)]
        print(runs[-1][3], file=sys.stderr, flush=True)
    yield Figure("plan_size.wall_seconds", statistics.median(one[0] for one in runs), None, 5.0)
    yield Figure("plan_size.memory_bytes", max(one[1] for one in runs), None, 200e6)
    # What the wall would be on a machine of its own.
    yield Figure("plan_size.cpu_seconds", statistics.median(one[2] for one in runs), None, 5.0)
