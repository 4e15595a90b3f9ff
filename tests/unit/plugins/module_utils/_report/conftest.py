# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.clock import DAY
from ansible_collections.day2.ops.plugins.module_utils._report.model import Past, Report, key_of
from ansible_collections.day2.ops.plugins.module_utils._report.read import read_run
from ansible_collections.day2.ops.plugins.module_utils._report.summarise import summarise

RECORDS = Path(__file__).parents[3] / "fixtures" / "record"
NOW = "2026-12-06T03:00:00Z"


def folders(name: str) -> list[str]:
    """The run's folders of a sample record."""
    return [str(path.parent) for path in sorted((RECORDS / name).rglob("*.jsonl"))]


@pytest.fixture
def report() -> Callable[..., Report]:
    """Makes the report of a sample record."""

    def make(name: str, fail_on: str = "crit") -> Report:
        return summarise(read_run(sorted(set(folders(name)))), fail_on, NOW)

    return make


def check(**given: Any) -> dict[str, Any]:
    known = {"check": "disk_usage", "subject": "/", "status": "ok", "value": 0.5, "unit": "ratio", "warn": 0.7}
    rest = {"crit": 0.9, "bad": "above", "summary": "The disk is half full.", "advice": "", "evidence": {}}
    return {**known, **rest, **given}


def action(**given: Any) -> dict[str, Any]:
    known = {"action": "vacuum_table", "subject": "t", "risk": "maintain", "status": "done", "reason": "It is due."}
    rest = {"error": None, "started": None, "ended": None, "predicted": {}, "before": {}, "after": {}}
    return {**known, **rest, **given}


def line(**given: Any) -> dict[str, Any]:
    known = {"schema": "day2.ops/record/1", "run_id": "1", "seq": 1, "host": "db", "target": "db", "step": ""}
    rest = {"task": "Look", "module": "day2.ops.postgresql_health_info", "check_mode": False, "failed": False}
    times = {"changed": False, "started": "2026-12-06T02:00:00Z", "ended": "2026-12-06T02:00:05Z", "error": None}
    return {**known, **rest, **times, "checks": [], "actions": [], **given}


def header(**given: Any) -> dict[str, Any]:
    known = {"schema": "day2.ops/header/1", "seq": 0, "run_id": "1", "host": "db", "target": "db", "playbook": "p"}
    rest = {"window": None, "deadline": None, "override_reason": None, "commit": None, "policy_hash": "0" * 64}
    more = {"who": {"user": "me", "launcher": None, "approver": None}, "hosts_expected": ["db"], "not_included": []}
    versions = {"versions": {"collection": "0.1.0", "ansible": "2.19.14", "python": "3.11.7"}, "check_mode": False}
    return {**known, **rest, **more, **versions, "job_url": None, "started": "2026-12-06T02:00:00Z", **given}


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Report]:
    """Makes the report of a record written here, one host: its header and its lines."""

    def make(*lines: dict[str, Any], fail_on: str = "crit", **about: Any) -> Report:
        rows = [header(**about), *({**one, "seq": number} for number, one in enumerate(lines, 1))]
        (tmp_path / "db.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return summarise(read_run([str(tmp_path)]), fail_on, NOW)

    return make


MORNING = 1_796_000_000


def daily(values: Sequence[float]) -> tuple[tuple[int, float], ...]:
    return tuple((MORNING + day * DAY, value) for day, value in enumerate(values))


def leading(run: Callable[..., Report], values: Sequence[float], **given: Any) -> Report:
    """A run whose disk check measured ``values``, one a morning, the last of them now."""
    measured = check(value=values[-1], **given)
    report = run(line(checks=[measured]))
    past = Past(trends={key_of(measured): daily(values)})
    return replace(report, targets=tuple(replace(target, past=past) for target in report.targets))
