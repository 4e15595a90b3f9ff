# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which charts a page has, as plain numbers: what was there before and after, times against their limits, trends. Pure.

``charts`` draws them. Where it cannot, the page shows the same numbers as tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo
from typing import Optional

from ansible_collections.day2.ops.plugins.module_utils._report import units, view
from ansible_collections.day2.ops.plugins.module_utils._report.model import Action, Report, Target
from ansible_collections.day2.ops.plugins.module_utils._report.trends import Trend, thinned, worth_showing

MOST_BARS = 8
MOST_TRENDS = 8
_TREND_POINTS = 60
_SIZES = ("total_bytes", "size_bytes", "bytes")
# The way back: how long it takes (RTO), and how old the data is then (RPO).
_WAY_BACK = {
    "postgresql_backup_restore_seconds": "RTO",
    "postgresql_pitr_seconds": "RTO to a moment",
    "postgresql_backup_data_age": "RPO",
}
_BLOAT = ("postgresql_dead_rows", "postgresql_index_bloat")


@dataclass(frozen=True)
class Series:
    """``values`` stand beside the drawing's labels; ``look`` is what they mean: before, after, data, a limit …"""

    name: str
    look: str
    values: tuple[Optional[float], ...]


@dataclass(frozen=True)
class Drawing:
    """``kind`` is bars, stacked or line; ``at`` are the moments of a line, in seconds since 1970."""

    kind: str
    title: str
    note: str
    unit: str
    labels: tuple[str, ...]
    series: tuple[Series, ...]
    at: tuple[int, ...] = ()


def drawings(report: Report, zone: tzinfo) -> list[Drawing]:
    """Those that this run has something for, the work before the trends."""
    made = [_sizes(report), _bloat(report), _way_back(report), _window(report)]
    shown, _more = worth_showing(report, MOST_TRENDS)
    return [one for one in made if one] + [_trend(trend, zone, len(report.targets) > 1) for trend in shown]


def _sizes(report: Report) -> Optional[Drawing]:
    found = []
    for target in report.targets:
        for action in target.having("done"):
            sizes = sizes_of(action)
            if sizes and sizes[0] > sizes[1]:
                found.append((sizes[0] - sizes[1], units.clean(action["subject"]), *sizes))
    found.sort(key=lambda one: -one[0])
    rows = [one[1:] for one in found[:MOST_BARS]]
    note = f"The {len(rows)} that shrank most" if len(found) > len(rows) else ""
    return _pairs("Size before and after", note, "bytes", rows)


def sizes_of(action: Action, side: str = "after") -> Optional[tuple[float, float]]:
    """An object's size before and after its action; with ``side`` predicted, as it was foreseen."""
    for key in _SIZES:
        before, after = action["before"].get(key), action[side].get(key)
        if isinstance(before, (int, float)) and isinstance(after, (int, float)):
            return float(before), float(after)
    return None


def _bloat(report: Report) -> Optional[Drawing]:
    found = [
        (
            abs(one.first["value"] - one.last["value"]),
            _subject(one.last["subject"]),
            one.first["value"],
            one.last["value"],
        )
        for target in report.targets
        for one in target.moved
        if one.last["check"] in _BLOAT and one.first["value"] is not None and one.last["value"] is not None
    ]
    found.sort(key=lambda one: -one[0])
    return _pairs("Bloat before and after", "", "ratio", [one[1:] for one in found[:MOST_BARS]])


def _pairs(title: str, note: str, unit: str, rows: list[tuple[str, float, float]]) -> Optional[Drawing]:
    if not rows:
        return None
    labels, before, after = zip(*rows)
    return Drawing(
        "bars", title, note, unit, labels, (Series("before", "before", before), Series("after", "after", after))
    )


def _way_back(report: Report) -> Optional[Drawing]:
    rows = [
        (f"{_WAY_BACK[one.last['check']]} {target.target}", float(one.last["value"]), one.last["crit"])
        for target in report.targets
        for one in target.checks
        if one.last["check"] in _WAY_BACK and one.last["value"] is not None
    ][:MOST_BARS]
    if not rows:
        return None
    labels, measured, goals = zip(*rows)
    series = [Series("measured", "after", measured)]
    if any(goal is not None for goal in goals):
        series.append(Series("goal", "room", goals))
    return Drawing("bars", "The way back", "time to restore, and age of the data", "seconds", labels, tuple(series))


def _window(report: Report) -> Optional[Drawing]:
    rows = []
    for target in report.targets:
        times = _used_and_left(target)
        if times:
            rows.append((target.target, *times))
    if not rows:
        return None
    rows.sort(key=lambda row: row[2])
    labels, used, left = zip(*rows[:MOST_BARS])
    note = f"The {MOST_BARS} with the least time left" if len(rows) > MOST_BARS else ""
    series = (Series("used", "after", used), Series("left until the deadline", "room", left))
    return Drawing("stacked", "Time against the window", note, "seconds", labels, series)


def _used_and_left(target: Target) -> Optional[tuple[float, float]]:
    moments = [moment for action in target.actions for moment in (action["started"], action["ended"]) if moment]
    if not moments or not target.deadline:
        return None
    used = units.between(min(moments), max(moments)) or 0.0
    left = units.between(max(moments), target.deadline) or 0.0
    return (used, max(0.0, left)) if used > 0 else None


def _trend(trend: Trend, zone: tzinfo, several: bool) -> Drawing:
    points = thinned(trend.points, _TREND_POINTS)
    check, unit = trend.check, str(trend.check["unit"] or "")
    moments, values = zip(*points)
    labels = tuple(
        datetime.fromtimestamp(at, timezone.utc).astimezone(zone).strftime("%Y-%m-%d %H:%M") for at in moments
    )
    series = [Series("measured", "data", values)]
    reach = max(map(abs, values)) * 2
    for name in ("warn", "crit"):
        if check[name] is not None and abs(check[name]) <= reach:  # a limit far away would press the line flat
            series.append(
                Series({"warn": "warns", "crit": "critical"}[name], f"limit-{name}", (check[name],) * len(values))
            )
    subject = units.clean(check["subject"])
    note = ", ".join(dict.fromkeys(part for part in (trend.target.target if several else "", subject) if part))
    return Drawing("line", view.label(check["check"]), note, unit, labels, tuple(series), moments)


def _subject(text: object) -> str:
    return units.clean(text)


def numbers(drawing: Drawing) -> Iterable[tuple[str, list[str]]]:
    """The rows of the table that stands in for a chart: of a line its beginning, its end, and its bounds."""
    if drawing.kind != "line":
        for place, label in enumerate(drawing.labels):
            column = [series.values[place] for series in drawing.series]
            yield label, ["–" if value is None else units.show(value, drawing.unit) for value in column]
        return
    values = [value for value in drawing.series[0].values if value is not None]
    for label, value in (("first", values[0]), ("lowest", min(values)), ("highest", max(values)), ("now", values[-1])):
        yield label, [units.show(value, drawing.unit)]


_TENS: tuple[int, ...] = (2, 5, 10)
_BINARY: tuple[int, ...] = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


def ticks(low: float, high: float, unit: str, most: int = 4) -> list[float]:
    """Round numbers from at or below ``low`` to at or above ``high``, for an axis."""
    span = (high - low) or abs(high) or 1.0
    step = next(step for step in _steps(unit, span) if span / step <= most)
    begin = int(low // step)
    count = begin
    found = [begin * step]
    while found[-1] < high and len(found) < 4 * most:
        count += 1
        found.append(count * step)
    return found


def _steps(unit: str, span: float) -> Iterable[float]:
    """Steps that make round labels, growing."""
    if unit == "seconds" and span > 20:
        yield from (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
        base, factors = 86400.0, _TENS
    elif unit == "bytes":
        base, factors = 1.0, _BINARY
    else:
        base, factors = 1e-9, _TENS
    while True:
        for factor in factors:
            yield base * factor
        base *= factors[-1]
