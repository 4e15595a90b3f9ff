# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A reading on its scale: where it was, where it is, and where trouble begins, in per cent of its width. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from ansible_collections.day2.ops.plugins.module_utils._report.model import Check, Measured

# The part of the scale that is left free beyond the outermost mark.
_MARGIN = 0.12


@dataclass(frozen=True)
class Meter:
    """``zones`` are ``(left, width, look)``; ``before`` is None where the run did not see the reading move."""

    zones: tuple[tuple[float, float, str], ...]
    before: Optional[float]
    now: float


def meter(reading: Measured) -> Optional[Meter]:
    """None where there is no number, or no threshold to hold it against."""
    check = reading.last
    limits = [float(check[key]) for key in ("warn", "crit") if check[key] is not None]
    if check["value"] is None or not limits or check["bad"] not in ("above", "below"):
        return None
    first = reading.first["value"] if reading.moved else None
    marks = [float(check["value"]), *limits, *([float(first)] if first is not None else [])]
    low, high = _range(marks, check)

    def at(value: float) -> float:
        return round(100 * min(1.0, max(0.0, (value - low) / (high - low))), 2)

    edges = [(at(float(check[key])), key) for key in ("warn", "crit") if check[key] is not None]
    return Meter(_zones(edges, check["bad"]), at(float(first)) if first is not None else None, at(marks[0]))


def _range(marks: list[float], check: Check) -> tuple[float, float]:
    low, high = min(0.0, *marks), max(marks)
    if high <= 0 or low < 0:
        spread = (high - low) or 1.0
        return low - _MARGIN * spread, high + _MARGIN * spread
    if min(marks) > high / 2:
        # All marks lie close together, far from zero: a scale from zero would press them into a corner.
        low = max(0.0, min(marks) - 2 * (high - min(marks)) - 0.01 * high)
    ceiling = 1.0 if check["unit"] == "ratio" and high <= 1 else high + _MARGIN * (high - low)
    return low, ceiling


def _zones(edges: list[tuple[float, str]], bad: str) -> tuple[tuple[float, float, str], ...]:
    """From the good end of the scale to the bad one; each threshold begins a zone."""
    if bad == "below":
        mirrored = _zones([(100 - place, look) for place, look in edges], "above")
        return tuple((round(100 - left - width, 2), width, look) for left, width, look in mirrored)
    begins = [(0.0, "ok"), *sorted(edges)]
    ends = [place for place, _look in begins[1:]] + [100.0]
    return tuple((left, round(end - left, 2), look) for (left, look), end in zip(begins, ends))
