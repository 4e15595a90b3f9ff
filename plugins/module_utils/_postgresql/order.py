# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order the steps of a plan run, and which of them fit into the time left. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Iterable, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core import records
from ansible_collections.day2.ops.plugins.module_utils._core.records import Action
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.needs import Need
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import History, Index, Policy, Table
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import duration


@dataclass
class Step:
    """An action with what it needs to be carried out. ``oversize``: no window is long enough for it."""

    action: Action
    table: Table
    index: Optional[Index] = None
    need: Need = field(default_factory=Need)
    oversize: bool = False
    # Who makes it useless, or keeps it waiting, now.
    held_by: str = ""
    # Seconds that must be left when it ends.
    reserve: float = 0.0
    # Why it cannot be done in a way that locks nobody out; and what would allow it, where that is not allowed.
    exclusive: str = ""
    remedy: str = ""
    # That of its table, when it is not everybody's.
    policy: Optional[Policy] = None

    @property
    def kind(self) -> str:
        return str(self.action["action"])

    @property
    def relation(self) -> int:
        """The table that is worked on: a TOAST table has locks of its own."""
        return self.table.toast if self.index is not None and self.index.toast and self.table.toast else self.table.oid

    @property
    def seconds(self) -> float:
        return float(self.action["predicted"].get("seconds") or 0.0)

    @property
    def needed(self) -> float:
        """Seconds of a window: those to clean up, too."""
        return self.seconds + self.reserve

    def told(self, seconds: float) -> str:
        """How long a window it needs, for people."""
        kept = f" and {duration(self.reserve)} to clean up" if self.reserve else ""
        return f"needs about {duration(seconds)}{kept}"

    def seconds_at(self, rates: Mapping[str, float]) -> float:
        """What it takes by rates that were learnt after it was planned."""
        predicted_by = self.action["predicted"].get("rate")
        now = rates.get(self.kind)
        return self.seconds * predicted_by / now if predicted_by and now else self.seconds

    @property
    def key(self) -> str:
        """Under which history keeps it."""
        return key_of(self.action)

    @property
    def planned(self) -> bool:
        return bool(self.action["status"] == "planned")


def key_of(action: Action) -> str:
    return f"{action['action']} {action['subject']}"


def in_order(groups: Iterable[Sequence[Step]], history: History, jobs: int = 1) -> list[list[Step]]:
    """The steps of one table each, ordered: what nears the wraparound, what earlier runs had to leave, the worst.

    Over several connections the longest goes before the worst, or it would be the last one to end.
    """
    return sorted((list(group) for group in groups), key=lambda group: _rank(group, history, jobs))


def _rank(group: Sequence[Step], history: History, jobs: int) -> tuple[bool, int, float, str]:
    urgent = any(step.need.urgent for step in group)
    left = max((history.deferred.get(step.key, 0) for step in group), default=0)
    worth = sum(
        float(step.action["predicted"].get(name) or 0)
        for step in group
        for name in ("bytes_reclaimed", "bytes_reusable")
    )
    if jobs > 1:
        worth = sum(step.seconds for step in group if step.planned)
    return not urgent, -left, -worth, spell(group[0].table.schema, group[0].table.name)


def set_apart(steps: Iterable[Step], policy: Policy) -> None:
    """Leave to a person what no window is long enough for. A vacuum against wraparound runs all the same."""
    longest = policy.max_window
    for step in steps:
        if longest is None or not step.planned or step.need.urgent:
            continue
        if step.needed > longest:
            step.oversize = True
            why = f"it {step.told(step.seconds)}, and no window is longer than {duration(longest)}"
            records.skip(step.action, why)


def fit(steps: Iterable[Step], left: Optional[float], rates: Optional[Mapping[str, float]] = None) -> Optional[float]:
    """Defer what would not end in time; smaller ones further down may still fit. The time that is left then.

    ``rates``: bytes per second as they are known by now, where the prediction was made by others.
    """
    for step in steps:
        if left is None or not step.planned or step.need.urgent:
            continue
        seconds = step.seconds_at(rates or {})
        if seconds + step.reserve > left:
            records.defer(step.action, f"it {step.told(seconds)}, {duration(max(left, 0))} are left")
        else:
            left -= seconds
    return left


def leave_at_work(step: Step, at_work: Mapping[int, str]) -> None:
    """Leave the table to whoever vacuums or analyses it now; a lock of ours would cancel an autovacuum."""
    worker = at_work.get(step.table.oid)
    if worker is None or step.kind == "drop_index":
        return
    if step.kind == "reindex":
        records.defer(step.action, f"{worker} is at work on its table, and would be cancelled by it")
    else:
        records.skip(step.action, f"{worker} is at work on it now")


def fit_all(groups: Sequence[Sequence[Step]], left: Optional[float], jobs: int) -> None:
    """:func:`fit_group` for all: each group goes to the connection that is free first, as in the work itself."""
    free = [left] * jobs
    for group in groups:
        most = max(range(jobs), key=lambda number: free[number] or 0.0)
        free[most] = fit_group(group, free[most])


def fit_group(group: Sequence[Step], left: Optional[float]) -> Optional[float]:
    """:func:`fit` for the steps of one table, which partly make sense only together."""
    _lean(group, left)
    left = fit(group, left)
    _lean(group, None)
    return left


def _lean(group: Sequence[Step], left: Optional[float]) -> None:
    """Leave rebuilds that owe to dead rows when the vacuum does not run, or not both fit.

    A rebuild leaves dead rows out, but as long as they are counted the new index would look as bloated as the old one.
    """
    planned = [step for step in group if step.planned]
    leaning = [step for step in planned if step.need.leans]
    vacuums = [step for step in planned if step.kind == "vacuum"]
    needed = sum(step.seconds for step in leaning + vacuums)
    if vacuums and (left is None or needed <= left):
        return
    for step in leaning:
        records.defer(step.action, "much of that owes to dead rows, and there is no vacuum of its table with it")
