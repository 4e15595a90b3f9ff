# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The charts: which there are, that they are plain SVG, and that a page without their library has tables."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timezone
from xml.etree import ElementTree

import pytest

from ansible_collections.day2.ops.plugins.module_utils._report import charts, html, trends
from ansible_collections.day2.ops.plugins.module_utils._report.drawings import Drawing, Series, drawings, numbers, ticks
from ansible_collections.day2.ops.plugins.module_utils._report.model import Past, Report

from .conftest import action, check, line

Make = Callable[..., Report]
DAY = 86400
POINTS = tuple((1_790_000_000 + day * DAY, 0.3 + day / 100) for day in range(40))
MARKUP = "<script>alert(1)</script>"


@pytest.fixture
def whole(run: Make) -> Report:
    """A run that has something for every kind of chart."""
    times = {"started": "2026-12-06T02:00:00Z", "ended": "2026-12-06T02:30:00Z"}
    work = action(action="reindex", subject=MARKUP, before={"bytes": 4096**2}, after={"bytes": 2048**2}, **times)
    bloat = check(check="postgresql_dead_rows", subject=MARKUP, value=0.6, status="crit")
    way = check(check="postgresql_backup_restore_seconds", unit="seconds", value=900.0, warn=None, crit=3600)
    report = run(
        line(checks=[bloat]),
        line(checks=[{**bloat, "value": 0.1, "status": "ok"}, way, check(value=0.69)], actions=[work]),
        deadline="2026-12-06T05:00:00Z",
    )
    past = Past(trends={"disk_usage /": POINTS, f"postgresql_dead_rows {MARKUP}": POINTS[:2]})
    return replace(report, targets=tuple(replace(target, past=past) for target in report.targets))


def test_each_has_what_it_is_for(whole: Report) -> None:
    found = {drawing.title: drawing for drawing in drawings(whole, timezone.utc)}
    assert list(found) == [
        "Size before and after",
        "Bloat before and after",
        "The way back",
        "Time against the window",
        "Disk usage",
    ]
    assert [one.values for one in found["Size before and after"].series] == [(4096.0**2,), (2048.0**2,)]
    assert [one.values for one in found["Bloat before and after"].series] == [(0.6,), (0.1,)]
    assert [one.values for one in found["The way back"].series] == [(900.0,), (3600,)]
    assert [one.values for one in found["Time against the window"].series] == [(1800.0,), (9000.0,)]
    disk = found["Disk usage"]
    assert [one.name for one in disk.series] == ["measured", "warns", "critical"]
    assert disk.at[-1] == POINTS[-1][0] and disk.labels[0].startswith("2026-")


def test_a_run_without_numbers_has_none(run: Make) -> None:
    assert drawings(run(line()), timezone.utc) == []


@pytest.mark.parametrize("place", range(5))
def test_they_are_svg_and_nothing_else(whole: Report, place: int) -> None:
    pytest.importorskip("pygal")
    text = charts.draw(drawings(whole, timezone.utc)[place])
    root = ElementTree.fromstring(text)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "g", "path", "rect", "text", "circle", "defs"}
    assert "<script" not in text and "id=" not in text and "#" not in text, "no colour of its own, no id twice"
    assert root.get("viewBox") and root.get("role") == "img" and root.get("aria-label")
    assert re.search(r'class="series look-\w+', text)


@pytest.mark.parametrize("kind", ["bars", "stacked", "line"])
@pytest.mark.parametrize(
    "values", [(0.0, 0.0, 0.0), (5.0, 5.0, 5.0), (-3.0, 0.0, 1e-7), (1.0, 1e15, 2.0), (1.0, None, 2.0)]
)
def test_any_values_can_be_drawn(kind: str, values: tuple[float, ...]) -> None:
    pytest.importorskip("pygal")
    drawing = Drawing(kind, "t", "", "bytes", ("a", "b", "c"), (Series("s", "data", values),), (1, 2, 3))
    assert ElementTree.fromstring(charts.draw(drawing)) is not None


def test_without_the_library_the_page_has_tables_and_says_so(whole: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "available", lambda: False)
    page = html.render(whole, timezone.utc)
    assert "The charts are tables here: the Python library pygal" in page
    assert 'class="chart"' not in page
    for text in ("16 MiB", "4 MiB", "15 min", "2 h 30 min", "69 %"):
        assert text in page


def test_the_table_of_a_line_has_its_ends_and_its_bounds() -> None:
    drawing = Drawing("line", "t", "", "ratio", ("a", "b", "c"), (Series("s", "data", (0.5, 0.1, 0.3)),), (1, 2, 3))
    assert list(numbers(drawing)) == [
        ("first", ["50 %"]),
        ("lowest", ["10 %"]),
        ("highest", ["50 %"]),
        ("now", ["30 %"]),
    ]


@pytest.mark.parametrize("unit", ["bytes", "seconds", "ratio", ""])
@pytest.mark.parametrize(
    ("low", "high"), [(0, 0), (0, 1), (0.31, 0.32), (-5, 5), (0, 3e12), (1e9, 1.1e9), (0, 1e-6), (0, 4000)]
)
def test_an_axis_has_few_round_marks_around_its_values(unit: str, low: float, high: float) -> None:
    marks = ticks(low, high, unit)
    assert 2 <= len(marks) <= 6 or low == high
    assert marks[0] <= low or math.isclose(marks[0], low, abs_tol=1e-9)
    assert marks[-1] >= high or math.isclose(marks[-1], high, abs_tol=1e-9)


def test_a_line_needs_three_points_and_stays_in_its_box() -> None:
    assert trends.line(POINTS[:2]) is None
    for points in (POINTS, POINTS[:3], tuple((when, 5.0) for when, _value in POINTS)):
        drawn = trends.line(points)
        assert drawn is not None
        places = [tuple(map(float, pair.split(","))) for pair in drawn.split(" ")]
        assert len(places) == min(len(points), 60)
        assert all(0 <= left <= 120 and 0 <= top <= 24 for left, top in places)


def test_a_long_series_is_thinned_and_keeps_its_end() -> None:
    points = [(number, float(number)) for number in range(401)]
    thin = trends.thinned(points, 60)
    assert len(thin) == 60 and thin[0] == points[0] and thin[-1] == points[-1]


def test_what_is_not_well_is_shown_before_what_moved(run: Make) -> None:
    checks = [check(subject="still"), check(subject="moved"), check(subject="bad", status="crit")]
    report = run(line(checks=checks))
    still = tuple((when, 0.5) for when, _value in POINTS)
    past = Past(trends={"disk_usage still": still, "disk_usage moved": POINTS, "disk_usage bad": still})
    report = replace(report, targets=tuple(replace(target, past=past) for target in report.targets))
    shown, more = trends.worth_showing(report, 8)
    assert [trend.check["subject"] for trend in shown] == ["bad", "moved"] and more == 1
