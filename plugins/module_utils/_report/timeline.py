# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When what happened, as rectangles in per cent of the run's length, for any width. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Optional

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._report import units, words
from ansible_collections.day2.ops.plugins.module_utils._report.model import Report, Target

MOST_ROWS = 40
_MOST_TICKS = 5
_STEPS = tuple(
    timedelta(seconds=seconds)
    for seconds in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
)
_WORTH_DRAWING = timedelta(minutes=1)
_THINNEST = 0.5  # per cent: what took no time must still be seen


@dataclass(frozen=True)
class Bar:
    """``left`` and ``width`` in per cent; ``look`` is a step name for tasks, a status for actions."""

    left: float
    width: float
    look: str
    title: str


@dataclass(frozen=True)
class Row:
    target: Target
    tasks: tuple[Bar, ...]
    actions: tuple[Bar, ...]


@dataclass(frozen=True)
class Timeline:
    rows: tuple[Row, ...]
    left_out: int
    ticks: tuple[tuple[float, str], ...]
    deadline: Optional[float]


def timeline(report: Report, zone: tzinfo) -> Optional[Timeline]:
    """None when nothing was done and looking took no time worth drawing.

    The deadline is shown where all targets share one and it is near.
    """
    timed = [target for target in report.targets if target.spans or any(action["started"] for action in target.actions)]
    edges = [clock.parse(moment) for target in timed for moment in _moments(target)]
    if not edges or max(edges) == min(edges):
        return None
    start, end = min(edges), max(edges)
    acted = any(action["started"] for target in timed for action in target.actions)
    if not acted and end - start < _WORTH_DRAWING:
        return None
    deadlines = {target.deadline for target in timed}
    shared = deadlines.pop() if len(deadlines) == 1 else None
    limit = clock.parse(shared) if shared else None
    if limit is not None and not start < limit <= end + (end - start):
        limit = None
    scale = _Scale(start, max(end, limit or end))
    rows = [_row(target, scale) for target in timed]
    # Bars are most worth the room where something was done.
    rows.sort(key=lambda row: not row.actions)
    return Timeline(
        tuple(rows[:MOST_ROWS]),
        max(0, len(rows) - MOST_ROWS),
        tuple(_ticks(scale, zone)),
        scale.at(limit) if limit else None,
    )


class _Scale:
    def __init__(self, start: datetime, end: datetime) -> None:
        self.start, self.end = start, end

    def at(self, moment: datetime) -> float:
        return round(100 * ((moment - self.start) / (self.end - self.start)), 3)

    def draw(self, started: str, ended: str, look: str, title: str) -> Bar:
        left = self.at(clock.parse(started))
        width = max(_THINNEST, self.at(clock.parse(ended)) - left)
        return Bar(min(left, 100 - width), round(width, 3), look, title)


def _moments(target: Target) -> Iterable[str]:
    for span in target.spans:
        yield from (span.started, span.ended)
    for action in target.actions:
        yield from (moment for moment in (action["started"], action["ended"]) if moment)


def _row(target: Target, scale: _Scale) -> Row:
    tasks = [
        scale.draw(
            span.started,
            span.ended,
            span.look,
            f"{span.label} ({span.step})" if span.step else span.label,
        )
        for span in target.spans
    ]
    actions = [
        scale.draw(
            action["started"],
            action["ended"],
            action["status"],
            f"{words.title(action['action'])} {units.clean(action['subject'])}: {action['status']}, "
            + units.show(units.between(action["started"], action["ended"]), "seconds"),
        )
        for action in target.actions
        if action["started"] and action["ended"]
    ]
    return Row(target, tuple(tasks), tuple(actions))


def _ticks(scale: _Scale, zone: tzinfo) -> Iterable[tuple[float, str]]:
    """Round times of day, at most five."""
    length = scale.end - scale.start
    step = next((step for step in _STEPS if length / step <= _MOST_TICKS), length / _MOST_TICKS)
    form = "%H:%M" if step >= timedelta(minutes=1) else "%H:%M:%S"
    if step >= timedelta(days=1):
        form = "%d %b"
    day = datetime(2000, 1, 1, tzinfo=timezone.utc)
    moment = scale.start + (-((scale.start - day) % step) % step)
    while moment <= scale.end:
        yield scale.at(moment), moment.astimezone(zone).strftime(form)
        moment += step
