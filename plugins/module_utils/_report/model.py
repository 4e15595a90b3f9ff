# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run came to, as values: read from the run record, shown by the renderers, and without a clock of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

Check = dict[str, Any]
Action = dict[str, Any]
Header = dict[str, Any]
Line = dict[str, Any]

# Worst last. Everything from "findings" on makes the run exit with 2.
STATUSES = ("ok", "deferred", "findings", "refused", "stopped", "failed")
EXIT_2 = frozenset(STATUSES[2:])
CHECK_STATUSES = ("crit", "warn", "unknown", "ok")
ACTION_STATUSES = ("failed", "deferred", "done", "planned", "skipped")


def worst(statuses: list[str]) -> str:
    """The worst of some status words; ``ok`` when there are none.

    >>> worst(["ok", "refused", "deferred"])
    'refused'
    """
    return max(statuses, key=STATUSES.index, default="ok")


@dataclass(frozen=True)
class Record:
    """A run as it lies in its folder. ``torn`` names the hosts whose last line was cut off by a kill."""

    headers: tuple[Header, ...]
    lines: tuple[Line, ...]
    torn: frozenset[str] = frozenset()
    folders: int = 1


@dataclass(frozen=True)
class Problem:
    """Why a target is not well. ``kind`` is an error kind, ``no_result`` or ``interrupted``."""

    kind: str
    message: str
    task: str = ""
    step: str = ""


@dataclass(frozen=True)
class Measured:
    """One check of one target: its first reading in this run, and its last, which counts."""

    first: Check
    last: Check
    readings: int

    @property
    def moved(self) -> bool:
        """Whether the run saw the reading change."""
        return (self.first["value"], self.first["status"]) != (self.last["value"], self.last["status"])


def key_of(check: Check) -> str:
    """What a check is called in the memory of former runs. Ids have no space, so it can be taken apart again."""
    return f"{check['check']} {check['subject']}"


@dataclass(frozen=True)
class Change:
    """A check that stands differently from the last run. ``kind`` is worse, better, new or vanished.

    ``was`` and ``now`` are its status and value then and now; None where it was not made.
    """

    kind: str
    check: str
    subject: str
    was: Optional[tuple[str, Optional[float]]]
    now: Optional[tuple[str, Optional[float]]]
    unit: str = ""
    summary: str = ""


@dataclass(frozen=True)
class Past:
    """What former runs left about a target.

    ``compared_with`` is ``(run_id, when)``; where it is None, ``why_not`` says why. ``since`` says since when a check
    has the status that it has now, ``trends`` what it measured, oldest first, as ``(seconds since 1970, value)``.
    """

    compared_with: Optional[tuple[str, str]] = None
    why_not: str = ""
    changes: tuple[Change, ...] = ()
    since: Mapping[str, str] = field(default_factory=dict)
    trends: Mapping[str, tuple[tuple[int, float], ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Health:
    """``worst`` is the worst check of each unit: of each target, or of each service where services are named."""

    status: str
    worst: Mapping[str, str]
    noun: str

    @property
    def total(self) -> int:
        return len(self.worst)

    @property
    def healthy(self) -> int:
        return sum(status in ("ok", "warn") for status in self.worst.values())


@dataclass(frozen=True)
class Span:
    """A task on the timeline. Times are ISO 8601; ``look`` is a status word, or ``task`` when all is well."""

    step: str
    label: str
    started: str
    ended: str
    look: str


@dataclass(frozen=True)
class Target:
    """One target of the run. ``actions`` hold the rehearsal's only where nothing later speaks of the same object.

    ``service`` is what the target is part of, where that is named; ``window`` is when it opened and closes.
    """

    host: str
    target: str
    status: str
    problems: tuple[Problem, ...]
    checks: tuple[Measured, ...]
    actions: tuple[Action, ...]
    spans: tuple[Span, ...]
    started: Optional[str]
    ended: Optional[str]
    deadline: Optional[str]
    service: str = ""
    window: Optional[tuple[str, str]] = None
    past: Past = Past()

    def having(self, *statuses: str) -> list[Action]:
        return [action for action in self.actions if action["status"] in statuses]

    def reading(self, *statuses: str) -> list[Measured]:
        return [check for check in self.checks if check.last["status"] in statuses]

    @property
    def moved(self) -> list[Measured]:
        return [check for check in self.checks if check.moved]

    @property
    def check_counts(self) -> dict[str, int]:
        found = Counter(check.last["status"] for check in self.checks)
        return {status: found[status] for status in ("ok", "warn", "crit", "unknown")}

    @property
    def action_counts(self) -> dict[str, int]:
        found = Counter(action["status"] for action in self.actions)
        return {status: found[status] for status in ("planned", "done", "skipped", "deferred", "failed")}


@dataclass(frozen=True)
class Fact:
    """Something the headers say of the run. Where hosts differ, ``value`` says which has what."""

    label: str
    value: str
    url: str = ""


@dataclass(frozen=True)
class Report:
    """The whole run. ``targets`` stand worst first, then by name."""

    run_id: str
    playbook: str
    check_mode: bool
    status: str
    fail_on: str
    started: Optional[str]
    ended: Optional[str]
    targets: tuple[Target, ...]
    facts: tuple[Fact, ...]
    not_included: tuple[dict[str, str], ...]
    notes: tuple[str, ...]
    generated: str
    health: Optional[Health] = None

    @property
    def check_counts(self) -> dict[str, int]:
        return _added([target.check_counts for target in self.targets])

    @property
    def action_counts(self) -> dict[str, int]:
        return _added([target.action_counts for target in self.targets])

    @property
    def changes(self) -> list[tuple[Target, Change]]:
        return [(target, change) for target in self.targets for change in target.past.changes]

    def with_status(self, *statuses: str) -> list[Target]:
        return [target for target in self.targets if target.status in statuses]


def _added(counts: list[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(total)
