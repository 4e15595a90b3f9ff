# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timezone
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.clock import DAY
from ansible_collections.day2.ops.plugins.module_utils._report import data, html, markdown, overview
from ansible_collections.day2.ops.plugins.module_utils._report.model import Past, Report
from ansible_collections.day2.ops.plugins.module_utils._report.trends import ahead

from .conftest import MORNING, leading


def test_what_grows_steadily_is_foreseen(run: Callable[..., Report]) -> None:
    report = leading(run, [0.60, 0.62, 0.64, 0.66, 0.68])
    (one,) = ahead(report)
    assert (one.status, one.limit) == ("crit", 0.9)
    assert one.per_day == pytest.approx(0.02)
    assert one.seconds == pytest.approx(11 * DAY)
    when, text = "in 11 days", "68 % now and 2 % more each day; it is critical at 90 %."
    (told,) = overview.coming(report)["told"]
    assert (told[0], told[3]) == (when, text)
    page = html.render(report, timezone.utc)
    assert "What is coming" in page and when in page and text in page
    assert "## What is coming" in markdown.render(report, timezone.utc)
    (found,) = json.loads(data.render(report))["targets"][0]["checks"]
    assert found["ahead"]["status"] == "crit" and found["ahead"]["seconds"] == pytest.approx(11 * DAY)


def test_what_runs_out_is_foreseen_as_well(run: Callable[..., Report]) -> None:
    values = [float(days * DAY) for days in (29, 28, 27, 26, 25)]
    report = leading(run, values, unit="seconds", warn=30.0 * DAY, crit=14.0 * DAY, bad="below")
    (one,) = ahead(report)
    assert one.per_day == pytest.approx(-DAY) and one.seconds == pytest.approx(11 * DAY)
    assert overview.coming(report)["told"][0][3] == "25 d now and 24 h less each day; it is critical at 14 d."


@pytest.mark.parametrize(
    ("values", "given"),
    [
        ([0.60, 0.62, 0.64, 0.66], {}),  # seen too few times
        ([0.60, 0.60, 0.60, 0.60, 0.60], {}),  # does not move
        ([0.80, 0.60, 0.85, 0.62, 0.86], {}),  # a saw
        ([0.80, 0.78, 0.76, 0.74, 0.72], {}),  # gets better
        ([0.100, 0.101, 0.102, 0.103, 0.104], {}),  # would take years
        ([0.82, 0.85, 0.88, 0.91, 0.94], {}),  # is there already
        ([0.60, 0.62, 0.64, 0.66, 0.68], {"warn": None, "crit": None, "bad": None}),  # has no limit
    ],
)
def test_what_leads_nowhere_is_not_foreseen(
    run: Callable[..., Report], values: Sequence[float], given: dict[str, Any]
) -> None:
    report = leading(run, values, **given)
    assert ahead(report) == []
    assert "What is coming" not in html.render(report, timezone.utc)
    assert "What is coming" not in markdown.render(report, timezone.utc)


def test_runs_within_one_day_say_nothing_of_days(run: Callable[..., Report]) -> None:
    report = leading(run, [0.5, 0.6])
    hourly = tuple((MORNING + hour * 3600, 0.5 + hour / 100) for hour in range(20))
    target = replace(report.targets[0], past=Past(trends={"disk_usage /": hourly}))
    assert ahead(replace(report, targets=(target,))) == []


def test_without_a_limit_for_critical_the_warning_counts(run: Callable[..., Report]) -> None:
    (one,) = ahead(leading(run, [0.60, 0.61, 0.62, 0.63, 0.64], crit=None))
    assert (one.status, one.limit) == ("warn", 0.7)


def test_a_former_month_does_not_count(run: Callable[..., Report]) -> None:
    long_ago = [0.1] * 40
    (one,) = ahead(leading(run, [*long_ago, *(0.60 + day / 100 for day in range(31))], crit=0.95))
    assert one.per_day == pytest.approx(0.01)
