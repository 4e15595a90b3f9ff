# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much of a run goes onto the page: what matters whole, what is well as counts, all of it bounded. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ansible_collections.day2.ops.plugins.module_utils._report.model import Action, Measured, Report, Target

MOST_ROWS = 1000
MOST_CARDS = 400
# For one target, and for all of them together.
_MOST = {"open": (50, 800), "fine": (60, 300), "moved": (40, 400), "actions": (50, 800)}
T = TypeVar("T")


@dataclass(frozen=True)
class Portion:
    """What is shown of one target; ``more`` counts what is not, by ``open``, ``moved`` and the statuses of actions.

    ``fine`` are the checks that are ok, listed; where they are too many, ``kinds`` counts them by check instead.
    """

    open: tuple[Measured, ...]
    fine: tuple[Measured, ...]
    kinds: tuple[tuple[str, int], ...]
    moved: tuple[Measured, ...]
    actions: Mapping[str, tuple[Action, ...]]
    more: Mapping[str, int]


def portions(report: Report) -> dict[str, Portion]:
    """By host, for as many targets as get a section of their own. The report has the worst first."""
    room = {name: total for name, (_one, total) in _MOST.items()}
    return {target.host: _portion(target, room) for target in report.targets[:MOST_CARDS]}


def _portion(target: Target, room: dict[str, int]) -> Portion:
    more: dict[str, int] = {}
    wanted = target.reading("ok")
    listed = len(wanted) <= min(_MOST["fine"][0], room["fine"])
    fine = wanted if listed else []
    room["fine"] -= len(fine)
    actions = {
        status: _take("actions", status, target.having(status), room, more)
        for status in ("failed", "deferred", "done", "planned", "skipped")
    }
    return Portion(
        open=_take("open", "open", target.reading("crit", "warn", "unknown"), room, more),
        fine=tuple(fine),
        kinds=() if listed else tuple(Counter(str(one.last["check"]) for one in wanted).most_common()),
        moved=_take("moved", "moved", target.moved, room, more),
        actions=actions,
        more=more,
    )


def _take(kind: str, name: str, items: Sequence[T], room: dict[str, int], more: dict[str, int]) -> tuple[T, ...]:
    shown = tuple(items[: min(_MOST[kind][0], room[kind])])
    room[kind] -= len(shown)
    more[name] = len(items) - len(shown)
    return shown
