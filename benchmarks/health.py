# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the health of a large estate costs to show: the page of 50,000 checks."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import timezone
from pathlib import Path
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils._report import html
from ansible_collections.day2.ops.plugins.module_utils._report.keep import without_store
from ansible_collections.day2.ops.plugins.module_utils._report.read import read_run
from ansible_collections.day2.ops.plugins.module_utils._report.summarise import summarise
from benchmarks.measure import Figure

ROUNDS = 3
TARGETS, CHECKS = 500, 100
# Of a thousand checks so many are not ok: an estate on a bad day.
CRITICAL, WARNING, UNKNOWN = 20, 50, 10
MOMENT = "2026-12-06T02:00:00Z"


def run() -> Iterator[Figure]:
    """Seconds from the record on disk to the page, and its bytes."""
    with tempfile.TemporaryDirectory() as place:
        write_estate(Path(place))
        seconds, size = [], 0
        for _round in range(ROUNDS):
            began = time.monotonic()
            page = html.render(without_store(summarise(read_run([place]), "crit", MOMENT)), timezone.utc)
            seconds.append(time.monotonic() - began)
            size = len(page.encode())
    yield Figure("report_50000.seconds", statistics.median(seconds), None, 3.0)
    yield Figure("report_50000.bytes", size, None, 5_000_000)


def write_estate(folder: Path) -> None:
    """A record of 500 targets with 100 checks each, as a health check of them leaves it."""
    hosts = [f"db-{number:03}" for number in range(TARGETS)]
    for number, host in enumerate(hosts):
        checks = [_check(number * CHECKS + place, place) for place in range(CHECKS)]
        rows = [_header(host, hosts), _line(host, checks)]
        (folder / f"{host}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _check(number: int, place: int) -> dict[str, Any]:
    draw = number * 7919 % 1000
    status = "ok"
    for name, share in (("crit", CRITICAL), ("warn", WARNING), ("unknown", UNKNOWN)):
        if status == "ok" and draw < share:
            status = name
        draw -= share
    return {
        "check": f"postgresql_check_{place % 20}",
        "subject": f"shop.public.orders_{place:03}",
        "status": status,
        "value": None if status == "unknown" else {"ok": 0.3, "warn": 0.75, "crit": 0.95}[status],
        "unit": "ratio",
        "warn": 0.7,
        "crit": 0.9,
        "bad": "above",
        "summary": f"The table orders_{place:03} holds a share of dead rows, as its statistics say.",
        "advice": "Vacuum it in the next window." if status != "ok" else "",
        "evidence": {"dead_rows": number, "live_rows": 3 * number, "bytes": 8192 * number},
    }


def _header(host: str, hosts: list[str]) -> dict[str, Any]:
    return {
        "schema": "day2.ops/header/1",
        "run_id": "50000",
        "host": host,
        "target": host,
        "playbook": "daily-health-check",
        "hosts_expected": hosts,
        "started": MOMENT,
    }


def _line(host: str, checks: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "schema": "day2.ops/record/1",
        "run_id": "50000",
        "seq": 1,
        "host": host,
        "target": host,
        "step": "",
        "task": "Read the health",
        "module": "day2.ops.postgresql_health_info",
        "check_mode": False,
        "failed": False,
        "changed": False,
        "started": MOMENT,
        "ended": "2026-12-06T02:00:09Z",
        "error": None,
        "checks": checks,
        "actions": [],
    }
