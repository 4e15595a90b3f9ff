# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole report as data, ``report.json`` (``docs/schemas/report-1.json``): every check, action and change. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.records import ACTION_KEYS, CHECK_KEYS
from ansible_collections.day2.ops.plugins.module_utils._report import words
from ansible_collections.day2.ops.plugins.module_utils._report.model import Change, Measured, Report, Target, key_of
from ansible_collections.day2.ops.plugins.module_utils._report.trends import ahead_of

SCHEMA = "day2.ops/report/1"


def head(report: Report) -> dict[str, Any]:
    """What every form of the result begins with."""
    return {
        "run_id": report.run_id,
        "playbook": report.playbook,
        "check_mode": report.check_mode,
        "status": report.status,
        "headline": words.headline(report),
        "counts": {"checks": report.check_counts, "actions": report.action_counts},
        **_judged(report),
    }


def details(report: Report) -> dict[str, Any]:
    """What every file tells besides; what AWX keeps has no room for it."""
    return {
        "fail_on": report.fail_on,
        "started": report.started,
        "ended": report.ended,
        "not_included": list(report.not_included),
        "notes": list(report.notes),
    }


def _judged(report: Report) -> dict[str, Any]:
    """Health and changes in a few numbers."""
    known = report.health
    compared = any(target.past.compared_with for target in report.targets)
    return {
        "health": None
        if known is None
        else {
            "status": known.status,
            "unit": known.noun,
            "healthy": known.healthy,
            "total": known.total,
            "ratio": round(known.healthy / known.total, 4),
        },
        "changes": words.change_counts(report) if compared else None,
    }


def render(report: Report) -> str:
    """One line per target, so that tools and eyes find their way in a large one."""
    whole = content(report)
    targets = whole.pop("targets")
    head = json.dumps(whole, sort_keys=True, ensure_ascii=False)
    lines = ",\n".join(json.dumps(target, sort_keys=True, ensure_ascii=False, allow_nan=False) for target in targets)
    return f'{head[:-1]}, "targets": [\n{lines}\n]}}\n'


def content(report: Report) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        **head(report),
        **details(report),
        "generated": report.generated,
        "units": dict(report.health.worst) if report.health else {},
        "compared": words.compared(report),
        "facts": [{"label": fact.label, "value": fact.value} for fact in report.facts],
        "targets": [_target(target) for target in report.targets],
    }


def _target(target: Target) -> dict[str, Any]:
    with_whom = target.past.compared_with
    return {
        "host": target.host,
        "target": target.target,
        "service": target.service or None,
        "status": target.status,
        "why": words.why(target),
        "started": target.started,
        "ended": target.ended,
        "deadline": target.deadline,
        "problems": [
            {"kind": one.kind, "message": one.message, "task": one.task, "step": one.step} for one in target.problems
        ],
        "compared_with": {"run_id": with_whom[0], "at": with_whom[1]} if with_whom else None,
        "changes": [_change(change) for change in target.past.changes],
        "checks": [_check(one, target) for one in target.checks],
        "actions": [_only(action, ACTION_KEYS) for action in target.actions],
    }


def _check(one: Measured, target: Target) -> dict[str, Any]:
    first = {"status": one.first["status"], "value": _number(one.first["value"])} if one.moved else None
    since, leads = target.past.since.get(key_of(one.last)), ahead_of(target, one.last)
    ahead = {key: getattr(leads, key) for key in ("status", "limit", "per_day", "seconds")} if leads else None
    return {**_only(one.last, CHECK_KEYS), "first": first, "since": since, "ahead": ahead}


def _change(change: Change) -> dict[str, Any]:
    sides = {"was": change.was, "now": change.now}
    told = {name: {"status": side[0], "value": _number(side[1])} if side else None for name, side in sides.items()}
    return {"kind": change.kind, "check": change.check, "subject": change.subject, **told}


def _only(entry: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """An allow-list again: whatever else a record holds stays there."""
    return {key: _plain(entry.get(key)) for key in keys}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _number(one) for key, one in value.items()}
    return _number(value)


def _number(value: Any) -> Optional[Any]:
    """JSON has no word for what is not a number."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
