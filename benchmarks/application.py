# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A steady application beside the work, and how long its transactions take: pgbench, so many a second."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.lab.postgres import Postgres

# One update, one insert, two reads; of recent rows, as applications do.
SCRIPT = """
\\set id random(4000000, 5000000)
\\set other random(4000000, 5000000)
BEGIN;
UPDATE audit_events SET actor = 'user-' || :other WHERE id = :id;
INSERT INTO audit_events (created_at, org_id, actor, payload) VALUES (now(), :id % 500, 'user-' || :id, '{}');
SELECT payload FROM audit_events WHERE id = :other;
SELECT count(*) FROM audit_events WHERE id BETWEEN :id AND :id + 20;
END;
"""
CLIENTS, PER_SECOND = 4, 100


@dataclass(frozen=True)
class Felt:
    """Milliseconds that 99 of 100 transactions stayed below, from when they were due, and the longest."""

    p99: float
    longest: float


def beside(server: Postgres, database: str, work: Callable[[], object]) -> Felt:
    """Run ``work`` beside the application; what the application felt from its beginning to its end."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "transaction.sql")
        script.write_text(SCRIPT, encoding="ascii")
        command = [
            str(server.tool("pgbench")), "--no-vacuum", f"--client={CLIENTS}", f"--rate={PER_SECOND}", "--time=3600",
            f"--file={script}", "--log", f"--log-prefix={folder}/log",
        ]  # fmt: skip
        application = subprocess.Popen(
            command, env={**os.environ, **server.env(database)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            work()
        finally:
            application.terminate()
            application.wait()
        lines = [line.split() for log in Path(folder).glob("log*") for line in log.read_text().splitlines()]
    felt = sorted(float(fields[2]) / 1000 for fields in lines if len(fields) > 5 and fields[2].isdigit())
    return Felt(felt[int(len(felt) * 0.99)], felt[-1])
