# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Series as Prometheus tells them, spans of time, and what becomes of many points. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Callable, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput

# The server refuses more points than that of one series in one answer.
MOST_POINTS = 11000
# So many questions are enough for 90 days at one point a minute, with room.
MOST_PARTS = 20
# What a range has without a step of its own: enough for a peak to show, little enough to be quick.
USUAL_POINTS = 1000
SHORTEST_STEP = 15.0
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_DURATION = re.compile(r"(\d+)(ms|[smhdwy])")
Point = tuple[float, float]
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Series:
    """Labels, and points as (seconds of the epoch, value). A series of histograms has no point."""

    labels: Mapping[str, str]
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Found:
    """``kind`` is vector, scalar, matrix or string. ``warnings``: why the answer may lack something."""

    kind: str
    series: tuple[Series, ...]
    warnings: tuple[str, ...] = field(default_factory=tuple)

    @property
    def partial(self) -> bool:
        """Whether something may be missing. What is said of the query itself, since Prometheus 2.48, does not count."""
        return any(not words.startswith("PromQL") for words in self.warnings)


@dataclass(frozen=True)
class Span:
    """From ``start`` to ``end`` (seconds of the epoch), a point every ``step`` seconds."""

    start: float
    end: float
    step: float

    def parts(self) -> list[Span]:
        """Spans of at most :data:`MOST_POINTS` points each; together they have exactly the points of this one.

        >>> [part.end for part in Span(0, 25000, 1).parts()]
        [10999, 21999, 25000]
        """
        length = self.step * MOST_POINTS
        count = max(1, math.ceil(((self.end - self.start) // self.step + 1) / MOST_POINTS))
        starts = [self.start + number * length for number in range(count)]
        return [Span(start, min(start + length - self.step, self.end), self.step) for start in starts]


def parse(told: Mapping[str, Any]) -> Found:
    """An answer of the API. Raises KeyError, TypeError and the like for one of another form."""
    kind, result = told["data"]["resultType"], told["data"]["result"]
    warnings = tuple(str(words) for words in told.get("warnings") or ())
    if kind in ("scalar", "string"):
        points = (_point(result),) if kind == "scalar" else ()
        return Found(kind, (Series({}, points),), warnings)
    return Found(kind, tuple(Series(dict(one["metric"]), _points(one)) for one in result), warnings)


def _points(one: Mapping[str, Any]) -> tuple[Point, ...]:
    return tuple(map(_point, [one["value"]] if "value" in one else one.get("values", ())))


def _point(told: Sequence[Any]) -> Point:
    return float(told[0]), float(told[1])


def merge(parts: Sequence[Found]) -> Found:
    """Answers to the same query about one span after the other, as one."""
    if len(parts) == 1:
        return parts[0]
    together: dict[tuple[tuple[str, str], ...], list[Point]] = {}
    for part in parts:
        for one in part.series:
            together.setdefault(tuple(sorted(one.labels.items())), []).extend(one.points)
    warnings = dict.fromkeys(words for part in parts for words in part.warnings)
    return Found(
        parts[0].kind, tuple(Series(dict(key), tuple(points)) for key, points in together.items()), tuple(warnings)
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of all do not exceed.

    >>> percentile([4, 1, 3, 2], 0.5), percentile([7], 0.95)
    (2, 7)
    """
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


TAKES: dict[str, Callable[[Sequence[float]], float]] = {
    "max": max,
    "min": min,
    "last": lambda values: values[-1],
    "avg": lambda values: math.fsum(values) / len(values),
    "p95": lambda values: percentile(values, 0.95),
}


def seconds(text: object, option: str) -> float:
    """A length of time: a number of seconds, or as Prometheus writes it.

    >>> seconds("1h30m", "step"), seconds("90", "step"), seconds(0.5, "step")
    (5400.0, 90.0, 0.5)
    """
    written = str(text).strip()
    parts = _DURATION.findall(written)
    try:
        plain = float(sum(int(count) * _UNITS[unit] for count, unit in parts)) if parts else float(written)
    except ValueError:
        plain = math.nan
    if not math.isfinite(plain) or plain <= 0 or "".join(map("".join, parts)) not in ("", written):
        raise BadInput(f"{option}: {written!r} is no length of time; write it like 30s, 5m or 1h30m.")
    return plain


def moment(text: object, option: str, now: float) -> float:
    """A time: ISO 8601, seconds of the epoch, ``now``, or so long ago, as in ``-6h``.

    >>> moment("-1h", "at", 10000.0), moment("now", "at", 3.0), moment("1970-01-01T00:01:00Z", "at", 0)
    (6400.0, 3.0, 60.0)
    """
    written = str(text).strip()
    if written == "now":
        return now
    if written.startswith("-"):
        return now - seconds(written[1:], option)
    try:
        return float(written)
    except ValueError:
        pass
    try:
        return clock.parse(written, option).timestamp()
    except BadInput:
        raise BadInput(f"{option}: {written!r} is no time; write it like 2026-11-21T02:00:00Z, -6h or now.") from None


def span(given: Mapping[str, Any], option: str, now: float) -> Span:
    """A span from the options ``start``, ``end`` and ``step``, below ``option`` ("": at the top)."""
    option = f"{option}." if option else ""
    start = moment(given["start"], f"{option}start", now)
    end = moment(given.get("end") or "now", f"{option}end", now)
    if end <= start:
        raise BadInput(f"{option}end: is not after {option}start; exchange them.")
    usual = max(SHORTEST_STEP, math.ceil((end - start) / USUAL_POINTS))
    step = seconds(given["step"], f"{option}step") if given.get("step") else min(usual, end - start)
    shortest = math.ceil((end - start) / (MOST_POINTS * MOST_PARTS - 1))
    if step < shortest:
        raise BadInput(f"{option}step: {step:g} s is too short for so long a range; give {shortest}s or more.")
    return Span(start, end, step)


def value_of(one: Series, take: Optional[str]) -> Optional[float]:
    """What a series comes to: its only value, or one made of its points. NaN counts as nothing; infinity counts."""
    values = [value for _time, value in one.points if not math.isnan(value)]
    if not values:
        return None
    return TAKES[take or "last"](values)
