# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What checks measured over the last runs: which are worth a look, their lines, and where they lead. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Optional

from ansible_collections.day2.ops.plugins.module_utils._core.clock import DAY
from ansible_collections.day2.ops.plugins.module_utils._core.records import rank
from ansible_collections.day2.ops.plugins.module_utils._report.model import Check, Report, Target, key_of

LEAST_POINTS = 3
_DRAWN_POINTS = 60
_WIDTH, _HEIGHT, _EDGE = 120.0, 24.0, 3.0
# Less than this share of itself is no movement that anybody would look at.
_STILL = 0.02

# What leads somewhere: seen so often over so long, most of the time in one direction, and there within the horizon.
HORIZON = 30 * DAY
_FEWEST, _SHORTEST, _LONGEST = 5, 2 * DAY, 30 * DAY
_STEADY = 0.75
_PACE_POINTS = 12

Points = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Trend:
    target: Target
    check: Check
    points: tuple[tuple[int, float], ...]

    @property
    def low(self) -> float:
        return min(value for _when, value in self.points)

    @property
    def high(self) -> float:
        return max(value for _when, value in self.points)


@dataclass(frozen=True)
class Ahead:
    """A check that reaches ``limit``, and with it ``status``, in ``seconds`` at the pace of its last runs."""

    target: Target
    check: Check
    limit: float
    status: str
    per_day: float
    seconds: float


def ahead(report: Report) -> list[Ahead]:
    """What reaches a limit within the horizon, the soonest first."""
    found = [ahead_of(target, one.last) for target in report.targets if target.past.trends for one in target.checks]
    return sorted((one for one in found if one), key=lambda one: (one.seconds, one.target.target))


def ahead_of(target: Target, check: Check) -> Optional[Ahead]:
    """Where one check leads; None where that is nowhere near, or not known."""
    status = "warn" if check["crit"] is None else "crit"
    limit, value = check[status], check["value"]
    sign = {"above": 1.0, "below": -1.0}.get(str(check["bad"]))
    if limit is None or value is None or sign is None or sign * (limit - value) <= 0:
        return None
    per_second = pace(target.past.trends.get(key_of(check), ()), sign)
    if per_second is None or (limit - value) / per_second > HORIZON:
        return None
    return Ahead(target, check, limit, status, per_second * DAY, (limit - value) / per_second)


def pace(points: Points, sign: float) -> Optional[float]:
    """What is added in a second, seen as the median of all slopes of the last month; None where there is no steady
    movement up (``sign`` 1) or down (-1). A saw has none.

    >>> pace([(day * 86400, 10.0 + day * 86.4) for day in range(6)], 1.0)
    0.001
    >>> pace([(day * 86400, float(day % 2)) for day in range(6)], 1.0)
    """
    recent = [point for point in points if point[0] >= points[-1][0] - _LONGEST]
    if len(recent) < _FEWEST or recent[-1][0] - recent[0][0] < _SHORTEST or sign * (recent[-1][1] - recent[0][1]) <= 0:
        return None
    pairs = combinations(thinned(recent, _PACE_POINTS), 2)
    slopes = [(value - before) / (when - then) for (then, before), (when, value) in pairs if when > then]
    there = sum(sign * slope > 0 for slope in slopes)
    return median(slopes) if there >= _STEADY * len(slopes) else None


def worth_showing(report: Report, most: int) -> tuple[list[Trend], int]:
    """Checks that are not ok, then those that moved most; and how many more have a line."""
    found = []
    for target in report.targets:
        for one in target.checks if target.past.trends else ():
            points = target.past.trends.get(key_of(one.last), ())
            if len(points) >= LEAST_POINTS:
                found.append(Trend(target, one.last, tuple(points)))
    found.sort(key=lambda trend: (-rank(trend.check["status"]), -_movement(trend.points)))
    shown = [trend for trend in found if rank(trend.check["status"]) or _movement(trend.points) > _STILL][:most]
    return shown, len(found) - len(shown)


def _movement(points: Points) -> float:
    values = [value for _when, value in points]
    return (max(values) - min(values)) / (max(map(abs, values)) or 1.0)


def line(points: Points) -> Optional[str]:
    """A small line, as the points of an SVG polyline in a box of 120 by 24; None with too few to make one."""
    if len(points) < LEAST_POINTS:
        return None
    chosen = thinned(points, _DRAWN_POINTS)
    low, high = min(value for _when, value in chosen), max(value for _when, value in chosen)
    begin, length = chosen[0][0], chosen[-1][0] - chosen[0][0]
    height, width = _HEIGHT - 2 * _EDGE, _WIDTH - 2 * _EDGE
    return " ".join(
        f"{_EDGE + width * (when - begin) / length:.1f},"
        f"{_EDGE + height * (1 - ((value - low) / (high - low) if high > low else 0.5)):.1f}"
        for when, value in chosen
    )


def thinned(points: Points, most: int) -> Points:
    """At most so many of them, evenly, the last one included."""
    if len(points) <= most:
        return points
    return [points[round(number * (len(points) - 1) / (most - 1))] for number in range(most)]
