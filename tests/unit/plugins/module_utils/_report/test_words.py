# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers and sentences for people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timezone
from typing import Union

import pytest

from ansible_collections.day2.ops.plugins.module_utils._report import out, units, view, words
from ansible_collections.day2.ops.plugins.module_utils._report.meter import meter
from ansible_collections.day2.ops.plugins.module_utils._report.model import Measured, Report
from ansible_collections.day2.ops.plugins.module_utils._report.timeline import timeline

from .conftest import action, check, line

Make = Callable[..., Report]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "bytes", "not measured"),
        (0, "bytes", "0 B"),
        (1023, "bytes", "1023 B"),
        (1024, "bytes", "1 KiB"),
        (1536, "bytes", "1.5 KiB"),
        (1024**2 - 1, "bytes", "1 MiB"),
        (2040109466, "bytes", "1.9 GiB"),
        (687194767, "bytes", "655 MiB"),
        (5 * 1024**5, "bytes", "5 PiB"),
        (-1536, "bytes", "−1.5 KiB"),
        (0, "seconds", "0 s"),
        (0.0004, "seconds", "0.4 ms"),
        (0.18, "seconds", "180 ms"),
        (0.9999, "seconds", "1 s"),
        (4.25, "seconds", "4.2 s"),
        (59.99, "seconds", "1 min"),
        (192, "seconds", "3 min 12 s"),
        (4350, "seconds", "1 h 12 min"),
        (90000, "seconds", "25 h"),
        (1040400, "seconds", "12 d 1 h"),
        (9000000, "seconds", "104 d"),
        (0, "ratio", "0 %"),
        (0.7, "ratio", "70 %"),
        (0.873, "ratio", "87.3 %"),
        (0.0004, "ratio", "0.04 %"),
        (2.5, "ratio", "250 %"),
        (1204331, "count", "1,204,331"),
        (12.0, "", "12"),
        (0.25, "", "0.25"),
        (1234.56, "", "1,234.6"),
        (3, "rows", "3 rows"),
        (float("nan"), "ratio", "not a number"),
        (True, "", "yes"),
        ("a\x1b[31m\u202eb", "", "a [31m b"),
    ],
)
def test_a_value_reads_well(value: Union[float, str, None], unit: str, text: str) -> None:
    assert units.show(value, unit) == text


@pytest.mark.parametrize(
    ("key", "label", "unit"),
    [
        ("size_bytes", "size", "bytes"),
        ("bytes", "size", "bytes"),
        ("bytes_reclaimed", "reclaimed", "bytes"),
        ("bloat", "bloat", "ratio"),
        ("replay_lag_seconds", "replay lag", "seconds"),
        ("seconds", "time", "seconds"),
        ("bloat_ratio", "bloat ratio", "ratio"),
        ("dead_rows", "dead rows", ""),
    ],
)
def test_a_measure_s_name_carries_its_unit(key: str, label: str, unit: str) -> None:
    assert (units.label_of(key), units.unit_of(key)) == (label, unit)


@pytest.mark.parametrize(
    ("playbook", "title"),
    [
        ("monthly-maintenance", "Monthly maintenance"),
        ("playbooks/monthly-maintenance.yml", "Monthly maintenance"),
        ("day2.ops.monthly_maintenance", "Monthly maintenance"),
        ("", "Run"),
    ],
)
def test_a_playbook_s_title(playbook: str, title: str) -> None:
    assert words.playbook_title(playbook) == title


def test_before_predicted_and_after_stand_side_by_side() -> None:
    shown = {
        one.label: (one.shown, one.aside)
        for one in view.measures(
            action(
                started="2026-12-06T02:00:00Z",
                ended="2026-12-06T02:03:12Z",
                predicted={"size_bytes": 1024, "seconds": 240},
                before={"size_bytes": 4096, "valid": True},
                after={"size_bytes": 2048, "valid": True},
            )
        )
    }
    assert shown == {
        "size": ("4 KiB → 2 KiB", "predicted 1 KiB"),
        "valid": ("yes, as before", ""),
        "took": ("3 min 12 s", "predicted 4 min"),
    }


def test_an_object_s_parts_are_not_counted_twice(run: Make) -> None:
    both = action(before={"total_bytes": 3 * 1024, "size_bytes": 1024}, after={"total_bytes": 1024, "size_bytes": 512})
    own = action(subject="u", before={"size_bytes": 4096}, after={"size_bytes": 0, "bytes_reclaimed": 1024})
    grown = action(subject="v", before={"size_bytes": 1024}, after={"size_bytes": 9999})
    assert words.totals(run(line(actions=[both, own, grown]))) == ["3 KiB reclaimed"]


def test_nothing_due_says_so(run: Make) -> None:
    quiet = run(line(step="plan", actions=[action(status="skipped")]), line(step="open"))
    assert words.headline(quiet) == "Nothing was due. 1 target, no action done."


@pytest.mark.parametrize(
    ("bad", "value", "looks"),
    [("above", 0.95, ["ok", "warn", "crit"]), ("below", 0.5, ["ok", "warn", "crit"])],
)
def test_the_scale_covers_it_without_gaps(bad: str, value: float, looks: list[str]) -> None:
    limits = {"warn": 0.7, "crit": 0.9} if bad == "above" else {"warn": 0.9, "crit": 0.7}
    now = check(value=value, bad=bad, **limits)
    found = meter(Measured(check(value=0.1), now, 2))
    assert found is not None
    assert [look for _left, _width, look in found.zones] == looks
    assert sum(width for _left, width, _look in found.zones) == pytest.approx(100, abs=0.1)
    zone = next(look for left, width, look in found.zones if left <= found.now <= left + width)
    assert zone == "crit"


@pytest.mark.parametrize("value", [-5, 0, 1e-9, 0.994, 36_000_000, 1e18])
def test_any_value_lies_on_its_scale(value: float) -> None:
    found = meter(Measured(check(), check(value=value, unit="count", warn=10, crit=20), 1))
    assert found is not None
    assert 0 <= found.now <= 100


def test_the_small_result_stays_small(run: Make) -> None:
    many = [f"database-with-a-long-name-{number:04}.example.com" for number in range(2000)]
    report = run(line(), hosts_expected=many)
    small = out.ops_result(report, {"html": "/x/report.html"})
    assert len(str(small)) < 10_000
    assert len(small["targets"]) + small["targets_left_out"] == 2001
    assert set(small["targets"].values()) == {"failed"}, "the worst come first"


def test_times_are_shown_in_the_reader_s_zone() -> None:
    assert units.when("2026-12-06T02:00:00Z", timezone.utc) == "2026-12-06 02:00"
    assert units.when(None, timezone.utc) == "–"


def test_the_timeline_shows_work_and_long_looks_only(run: Make) -> None:
    start, end = "2026-12-06T02:00:00Z", "2026-12-06T02:10:00Z"
    assert timeline(run(line()), timezone.utc) is None
    assert timeline(run(line(ended=end)), timezone.utc) is not None
    acted = timeline(run(line(actions=[action(started=start, ended="2026-12-06T02:00:05Z")])), timezone.utc)
    assert acted is not None
    assert [bar.look for row in acted.rows for bar in row.actions] == ["done"]


def test_the_timeline_s_bars_stay_inside_and_the_deadline_is_drawn_when_near(run: Make) -> None:
    moments = [f"2026-12-06T02:{minute:02}:00Z" for minute in (0, 1, 1, 20, 40)]
    lines = [line(started=begin, ended=end) for begin, end in zip(moments, moments[1:])]
    drawn = timeline(run(*lines, deadline="2026-12-06T03:00:00Z"), timezone.utc)
    assert drawn is not None
    assert all(0 <= bar.left <= bar.left + bar.width <= 100 for row in drawn.rows for bar in row.tasks)
    assert drawn.deadline == 100
    assert [label for _left, label in drawn.ticks] == ["02:00", "02:15", "02:30", "02:45", "03:00"]
    far = timeline(run(*lines, deadline="2026-12-06T09:00:00Z"), timezone.utc)
    assert far is not None
    assert far.deadline is None
