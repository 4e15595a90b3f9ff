# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What former runs left about a target, compared with this one; and what this one leaves. Pure.

Both live in the target's history (``docs/schemas/history-1.json``): ``checks`` by playbook, because another playbook
makes other checks, and ``trends`` by check.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._report.health import RANKS
from ansible_collections.day2.ops.plugins.module_utils._report.model import Change, Measured, Past, Target, key_of

MOST_POINTS = 400
MOST_SERIES = 500
MOST_CHECKS = 2000
MOST_PLAYBOOKS = 12
# A store gives back small objects of 1 MiB at most, and what other modules keep in a history needs room as well.
MOST_BYTES = 700_000
_STEPS = ((400, 2000), (200, 2000), (100, 1000), (40, 500), (10, 200), (0, 50), (0, 0))

NO_STORE = "There is no store, so there is nothing to compare with."
FIRST = "This is the first run of this playbook here that is remembered."
LATER = "A later run of this playbook has been here since."
_EMPTY: dict[str, Any] = {"throughput": {}, "deferred": {}, "raised": {}, "bytes_per_row": {}, "outcomes": []}

Seen = dict[str, Any]


def unread(error: Exception) -> str:
    """Why there is nothing to compare with, where the store did not give it."""
    return f"What former runs left cannot be read: {str(error).rstrip('.')}."


def playbook_key(playbook: str) -> str:
    """One name for a playbook, however it was called: ``playbooks/a-b.yml`` and ``day2.ops.a_b`` are ``a-b``."""
    name = playbook.rsplit("/", 1)[-1]
    for ending in (".yml", ".yaml"):
        name = name[: -len(ending)] if name.endswith(ending) else name
    return name.rsplit(".", 1)[-1].replace("_", "-").strip() or "run"


def past_of(history: Mapping[str, Any], target: Target, playbook: str, run_id: str, at: str) -> Past:
    """What there is to say of ``target`` now that its history is known. ``at`` is when the run began."""
    trends = {key: points for key, points in _trends(history, target, at).items() if len(points) > 1}
    known = (history.get("checks") or {}).get(playbook_key(playbook))
    with_whom, before = _baseline(known, run_id, at)
    if with_whom is None or before is None:
        why = LATER if known and known["run_id"] != run_id else FIRST
        return Past(why_not=why, trends=trends)
    left_out = int((known or {}).get("left_out") or 0)
    now = {key_of(one.last): one for one in target.checks}
    return Past(
        compared_with=with_whom,
        changes=tuple(_compare(before, now, left_out > 0, whole=not target.problems)),
        since={key: _since(before.get(key), one.last["status"], at) for key, one in now.items()},
        trends=trends,
    )


def remembered(old: Mapping[str, Any], target: Target, playbook: str, run_id: str, at: str) -> dict[str, Any]:
    """The history with what this run saw. The same run again changes nothing; an older one adds its points only."""
    name, checks = playbook_key(playbook), dict(old.get("checks") or {})
    known = checks.get(name)
    if known is None or known["run_id"] == run_id or known["at"] <= at:
        checks[name] = _snapshot(known, target, run_id, at)
    kept = sorted(checks.items(), key=lambda one: one[1]["at"])[-MOST_PLAYBOOKS:]
    trends = {key: {"points": [list(point) for point in points]} for key, points in _trends(old, target, at).items()}
    newest = sorted(trends.items(), key=lambda one: one[1]["points"][-1][0])[-MOST_SERIES:]
    wrote = {"run_id": run_id, "updated": at} if at >= str(old.get("updated") or "") else {}
    return _fit({**_EMPTY, **old, **wrote, "checks": dict(kept), "trends": dict(newest)})


def _baseline(
    known: Optional[Mapping[str, Any]], run_id: str, at: str
) -> tuple[Optional[tuple[str, str]], Optional[Mapping[str, Seen]]]:
    """The run to compare with and what it saw. A run that is reported on again is compared with its own predecessor."""
    if known is None or (known["run_id"] != run_id and known["at"] > at):
        return None, None
    if known["run_id"] != run_id:
        return (known["run_id"], known["at"]), known["last"]
    with_whom = known["compared_with"]
    if with_whom is None:
        return None, None
    before = {**known["last"], **known["before"]}
    return (with_whom["run_id"], with_whom["at"]), {key: seen for key, seen in before.items() if seen is not None}


def _compare(before: Mapping[str, Seen], now: Mapping[str, Measured], unsure: bool, *, whole: bool) -> Iterable[Change]:
    """``unsure``: not every check of the run before is known. ``whole``: this run came to its end."""
    for key, one in now.items():
        check, was = one.last, before.get(key)
        state = (str(check["status"]), check["value"])
        if was is None:
            kind = "" if unsure and check["status"] == "ok" else "new"
        else:
            kind = _direction(str(was["status"]), str(check["status"]))
        if kind:
            then = (str(was["status"]), was["value"]) if was else None
            name, subject = str(check["check"]), str(check["subject"])
            yield Change(kind, name, subject, then, state, str(check["unit"] or ""), str(check["summary"]))
    if whole:
        for key in (key for key in before if key not in now):
            check_id, _space, subject = key.partition(" ")
            yield Change("vanished", check_id, subject, (before[key]["status"], before[key]["value"]), None)


def _direction(was: str, now: str) -> str:
    """``worse``, ``better`` or nothing. To lose sight of something is never better, whatever it was."""
    if was == now:
        return ""
    return "worse" if now == "unknown" or _rank(now) > _rank(was) else "better"


def _rank(status: str) -> int:
    return RANKS.index(status) if status in RANKS else RANKS.index("unknown")


def _since(was: Optional[Seen], status: str, at: str) -> str:
    return str(was["since"]) if was and was["status"] == status else at


def _snapshot(known: Optional[Mapping[str, Any]], target: Target, run_id: str, at: str) -> dict[str, Any]:
    with_whom, before = _baseline(known, run_id, at)
    then = before or {}
    last = {
        key_of(one.last): {
            "status": one.last["status"],
            "value": _finite(one.last["value"]),
            "since": _since(then.get(key_of(one.last)), one.last["status"], at),
        }
        for one in sorted(target.checks, key=lambda one: -_rank(one.last["status"]))[:MOST_CHECKS]
    }
    if target.problems:  # what was not reached this time is not gone
        last = {**then, **last}
    differs = [key for key in {**then, **last} if then.get(key, {}).get("status") != last.get(key, {}).get("status")]
    return {
        "run_id": run_id,
        "at": at,
        "compared_with": {"run_id": with_whom[0], "at": with_whom[1]} if with_whom else None,
        "left_out": max(0, len(target.checks) - MOST_CHECKS),
        "last": last,
        "before": {key: then.get(key) for key in differs} if with_whom else {},
    }


def _finite(value: Optional[float]) -> Optional[float]:
    return value if value is not None and math.isfinite(value) else None


def _trends(history: Mapping[str, Any], target: Target, at: str) -> dict[str, tuple[tuple[int, float], ...]]:
    """The points of each series with those of this run; of one moment there is one point."""
    moment = int(clock.parse(target.ended or at).timestamp())
    found = {
        key: {int(when): float(value) for when, value in known["points"]}
        for key, known in (history.get("trends") or {}).items()
    }
    for one in target.checks:
        value = _finite(one.last["value"])
        if value is not None:
            found.setdefault(key_of(one.last), {})[moment] = float(f"{value:.6g}")
    return {key: tuple(sorted(points.items())[-MOST_POINTS:]) for key, points in found.items() if points}


def _fit(history: dict[str, Any]) -> dict[str, Any]:
    """Less of it, until it is small enough: the newest points and the worst checks stay."""
    for points, checks in _STEPS:
        made = {
            **history,
            "checks": {name: _less(one, checks) for name, one in history["checks"].items()},
            "trends": {
                key: {"points": series["points"][-points:]} for key, series in history["trends"].items() if points
            },
        }
        if len(json.dumps(made)) <= MOST_BYTES:
            break
    return made


def _less(snapshot: dict[str, Any], most: int) -> dict[str, Any]:
    if max(len(snapshot["last"]), len(snapshot["before"])) <= most:
        return snapshot
    worst_first = sorted(snapshot["last"].items(), key=lambda one: -_rank(one[1]["status"]))
    last = dict(worst_first[:most])
    left_out = snapshot["left_out"] + len(snapshot["last"]) - len(last)
    before = {key: seen for key, seen in snapshot["before"].items() if key in last}
    return {**snapshot, "left_out": left_out, "last": last, "before": before}
