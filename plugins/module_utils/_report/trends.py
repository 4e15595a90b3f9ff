# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What checks measured over the last runs: which are worth a look, and their lines. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from ansible_collections.day2.ops.plugins.module_utils._core.records import rank
from ansible_collections.day2.ops.plugins.module_utils._report.model import Check, Report, Target, key_of

LEAST_POINTS = 3
_DRAWN_POINTS = 60
_WIDTH, _HEIGHT, _EDGE = 120.0, 24.0, 3.0
# Less than this share of itself is no movement that anybody would look at.
_STILL = 0.02

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
