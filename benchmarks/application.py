# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A steady application beside the work, and how long its transactions take: pgbench, so many a second."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab.postgres import Postgres

# One update, one insert, two reads; of the newest fifth of the rows, as applications do.
SCRIPT = """
\\set id random(:newest * 4 / 5, :newest)
\\set other random(:newest * 4 / 5, :newest)
BEGIN;
UPDATE audit_events SET actor = 'user-' || :other WHERE id = :id;
INSERT INTO audit_events (created_at, org_id, actor, payload) VALUES (now(), :id % 500, 'user-' || :id, '{}');
SELECT payload FROM audit_events WHERE id = :other;
SELECT count(*) FROM audit_events WHERE id BETWEEN :id AND :id + 20;
END;
"""
CLIENTS, PER_SECOND = 4, 100
# It has connected and found its pace; and what fell due while it was held up is done.
BEFORE_SECONDS, AFTER_SECONDS = 2.0, 3.0


@dataclass(frozen=True)
class Felt:
    """Milliseconds that 99 of 100 transactions stayed below, from when they were due, and the longest; the seconds
    that the work beside them took."""

    p99: float
    longest: float
    wall: float


def beside(server: Postgres, database: str, work: Callable[[], object], newest: int) -> Felt:
    """Run ``work`` beside the application; what its transactions felt that were due between beginning and end.

    ``newest``: the highest id of the rows that there were.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "transaction.sql")
        script.write_text(SCRIPT, encoding="ascii")
        command = [
            str(server.tool("pgbench")), "--no-vacuum", f"--client={CLIENTS}", f"--rate={PER_SECOND}", "--time=3600",
            f"--define=newest={newest}", f"--file={script}", "--log", f"--log-prefix={folder}/log",
        ]  # fmt: skip
        application = subprocess.Popen(
            command, env={**os.environ, **server.env(database)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            time.sleep(BEFORE_SECONDS)
            began = time.time()
            work()
            ended = time.time()
            time.sleep(AFTER_SECONDS)
            application.send_signal(signal.SIGALRM)  # as if its time were over: it writes its log to the end
            application.wait(60)
        finally:
            application.kill()
            application.wait()
        felt = sorted(took for due, took in _transactions(Path(folder)) if began <= due <= ended)
    return Felt(felt[int(len(felt) * 0.99)] * 1000, felt[-1] * 1000, ended - began)


def _transactions(folder: Path) -> Iterator[tuple[float, float]]:
    """When each was due, and the seconds until it was done."""
    for log in folder.glob("log*"):
        for line in log.read_text(encoding="ascii").splitlines():
            _client, _number, took, _script, seconds, micros, *_lag = line.split()
            if took.isdigit():
                took_seconds = int(took) / 1e6
                yield int(seconds) + int(micros) / 1e6 - took_seconds, took_seconds
