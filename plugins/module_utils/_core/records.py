# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two records that are all the content there is: checks and actions (``docs/schemas/record-1.json``).

A domain declares its kinds once, as module-level :class:`CheckType` and :class:`ActionType` constants; an instance is
a plain ``dict`` that goes into results, the run record and the report as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Optional, Union

from ansible_collections.day2.ops.plugins.module_utils._core import clock

Number = Union[int, float]
Scalar = Union[str, int, float, bool, None]
Check = dict[str, Any]
Action = dict[str, Any]

CHECK_STATUSES = ("ok", "warn", "crit", "unknown")
# From good to bad. What nobody could measure is worse than what is to be watched: anything may be behind it.
RANKS = ("ok", "warn", "unknown", "crit")
ACTION_STATUSES = ("planned", "done", "skipped", "deferred", "failed")
RISKS = ("observe", "protect", "maintain", "disrupt")
CHECK_KEYS = ("check", "subject", "status", "value", "unit", "warn", "crit", "bad", "summary", "advice", "evidence")
ACTION_KEYS = (
    "action", "subject", "risk", "status", "reason", "error", "started", "ended", "predicted", "before", "after",
)  # fmt: skip


def worst_status(statuses: Iterable[str]) -> str:
    """The worst status of some checks; ``unknown`` when there are none, or for a word that is not known.

    >>> worst_status(["ok", "unknown", "warn"]), worst_status([])
    ('unknown', 'unknown')
    """
    return RANKS[max(map(rank, statuses), default=rank("unknown"))]


def rank(status: str) -> int:
    """The place of a check's status among all, the better ones first; a word that is not known is ``unknown``."""
    return RANKS.index(status if status in RANKS else "unknown")


def judge(value: Optional[Number], warn: Optional[Number], crit: Optional[Number], bad: Optional[str]) -> str:
    """The status of a value against its thresholds; no value is ``unknown``, a threshold reached is not ok.

    >>> judge(0.9, 0.7, 0.9, "above"), judge(29, 30, 14, "below"), judge(None, 1, 2, "above")
    ('crit', 'warn', 'unknown')
    """
    if value is None:
        return "unknown"
    if bad is None:
        return "ok"
    sign = 1 if bad == "above" else -1
    for status, limit in (("crit", crit), ("warn", warn)):
        if limit is not None and (value - limit) * sign >= 0:
            return status
    return "ok"


def _allowed(kind: str, name: str, given: Mapping[str, Scalar], declared: tuple[str, ...]) -> dict[str, Scalar]:
    """Evidence is flat and declared: nothing is copied through wholesale, so nothing secret slips in."""
    for key, value in given.items():
        if key not in declared:
            raise AssertionError(f"Contract violation: {kind} {name} does not declare {key!r}")
        if value is not None and not isinstance(value, (str, int, float, bool)):
            raise AssertionError(f"Contract violation: {kind} {name}: {key} is a {type(value).__name__}, not a scalar")
    return dict(given)


@dataclass(frozen=True)
class CheckType:
    """A kind of check: ``unit`` is bytes, seconds, ratio, count or empty; ``bad`` is above, below or None."""

    name: str
    unit: str = ""
    bad: Optional[str] = None
    evidence: tuple[str, ...] = ()

    def __call__(
        self,
        subject: str,
        value: Optional[Number],
        *,
        summary: str,
        warn: Optional[Number] = None,
        crit: Optional[Number] = None,
        advice: str = "",
        status: Optional[str] = None,
        **evidence: Scalar,
    ) -> Check:
        """One finding. ``status`` follows from the thresholds unless it is given (for checks without a number)."""
        verdict = status or judge(value, warn, crit, self.bad)
        if verdict not in CHECK_STATUSES:
            raise AssertionError(f"Contract violation: check {self.name} has no status {verdict!r}")
        return {
            "check": self.name,
            "subject": subject,
            "status": verdict,
            "value": value,
            "unit": self.unit,
            "warn": warn,
            "crit": crit,
            "bad": self.bad,
            "summary": summary,
            "advice": advice if verdict != "ok" else "",
            "evidence": _allowed("check", self.name, evidence, self.evidence),
        }


@dataclass(frozen=True)
class ActionType:
    """A kind of action, with its risk class and the measures its predicted, before and after may hold."""

    name: str
    risk: str
    measures: tuple[str, ...] = ()

    def plan(
        self,
        subject: str,
        reason: str,
        *,
        status: str = "planned",
        predicted: Optional[Mapping[str, Scalar]] = None,
        before: Optional[Mapping[str, Scalar]] = None,
    ) -> Action:
        """An action that a measurement calls for (or, with another ``status``, one that is left, and why)."""
        if status not in ACTION_STATUSES or not reason:
            raise AssertionError(f"Contract violation: action {self.name} needs a status and a reason")
        return {
            "action": self.name,
            "subject": subject,
            "risk": self.risk,
            "status": status,
            "reason": reason,
            "error": None,
            "started": None,
            "ended": None,
            "predicted": _allowed("action", self.name, predicted or {}, self.measures),
            "before": _allowed("action", self.name, before or {}, self.measures),
            "after": {},
        }

    def measured(self, values: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """``values`` as this action's before or after, refused when undeclared."""
        return _allowed("action", self.name, values, self.measures)


def begin(action: Action) -> Action:
    action["started"] = clock.now_iso()
    return action


def finish(action: Action, after: Optional[Mapping[str, Scalar]] = None) -> Action:
    action.update(status="done", ended=clock.now_iso(), after=dict(after or {}))
    return action


def fail(action: Action, error: str) -> Action:
    action.update(status="failed", ended=clock.now_iso(), error=error)
    return action


def defer(action: Action, reason: str) -> Action:
    """Leave it to the next run: time, brake or stop came first. Why it was due stays readable."""
    action.update(status="deferred", reason=f"{action['reason']}; deferred: {reason}")
    if action["started"]:
        action["ended"] = clock.now_iso()
    return action


def skip(action: Action, reason: str) -> Action:
    action.update(status="skipped", reason=f"{action['reason']}; skipped: {reason}")
    return action


def told(actions: list[Action]) -> str:
    """The actions as ``--diff`` shows them, one line each."""
    return "".join(f"{one['status']}: {one['action']} {one['subject']}: {one['reason']}\n" for one in actions)


def changed(actions: list[Action]) -> bool:
    """True exactly when something was, or in check mode would be, carried out."""
    return any(action["status"] in ("planned", "done") or bool(action["started"]) for action in actions)
