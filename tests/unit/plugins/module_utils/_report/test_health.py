# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How well the whole is, at its borders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._report import html, out, words
from ansible_collections.day2.ops.plugins.module_utils._report.health import health_of, overall
from ansible_collections.day2.ops.plugins.module_utils._report.model import Problem, Report, Target

from .conftest import action, check, line

Make = Callable[..., Report]


def units(total: int, **bad: int) -> dict[str, str]:
    """So many units, of which some are not ok."""
    names = [status for status, number in bad.items() for _one in range(number)]
    return {str(place): status for place, status in enumerate([*names, *["ok"] * (total - len(names))])}


@pytest.mark.parametrize(
    ("worst", "status"),
    [
        (units(1), "healthy"),
        (units(1, warn=1), "healthy"),
        (units(1, unknown=1), "unhealthy"),
        (units(1, crit=1), "unhealthy"),
        (units(20, unknown=1), "healthy"),  # 95 %
        (units(100, unknown=5), "healthy"),
        (units(100, unknown=6), "degraded"),
        (units(19, unknown=1), "degraded"),  # 94.7 %
        (units(20, crit=1), "degraded"),  # 95 %, but critical
        (units(1000, crit=1), "degraded"),
        (units(1000, warn=1000), "healthy"),
        (units(5, unknown=1), "degraded"),  # 80 %
        (units(5, crit=1), "degraded"),
        (units(100, unknown=20), "degraded"),
        (units(100, unknown=21), "unhealthy"),
        (units(4, crit=1), "unhealthy"),
        (units(3, unknown=3), "unhealthy"),
    ],
)
def test_the_borders(worst: dict[str, str], status: str) -> None:
    assert overall(worst) == status


def target(name: str, *statuses: str, service: str = "", problem: str = "", **more: Any) -> Target:
    from ansible_collections.day2.ops.plugins.module_utils._report.model import Measured

    checks = tuple(Measured(one, one, 1) for one in (check(subject=str(n), status=s) for n, s in enumerate(statuses)))
    problems = (Problem(problem, "It is."),) if problem else ()
    known = {"host": name, "target": name, "status": "ok", "actions": (), "spans": ()}
    times = {"started": None, "ended": None, "deadline": None}
    return Target(**known, **times, checks=checks, problems=problems, service=service, **more)


def test_targets_of_one_service_are_one_unit() -> None:
    known = health_of(
        [target("a", "ok", service="shop"), target("b", "crit", service="shop"), target("c", "ok", service="search")]
    )
    assert known is not None
    assert dict(known.worst) == {"shop": "crit", "search": "ok"}
    assert (known.status, known.healthy, known.total, known.noun) == ("unhealthy", 1, 2, "service")


def test_a_target_without_a_service_stands_for_itself() -> None:
    known = health_of([target("a", "ok", service="shop"), target("b", "warn")])
    assert known is not None
    assert dict(known.worst) == {"shop": "ok", "b": "warn"} and known.status == "healthy"


@pytest.mark.parametrize(
    ("problem", "worst"),
    [("unreachable", "unknown"), ("no_result", "unknown"), ("interrupted", "unknown"), ("failed", "unknown"),
     ("refused", "ok"), ("stopped", "ok"), ("deferred", "ok")],
)  # fmt: skip
def test_what_was_not_looked_at_is_unknown(problem: str, worst: str) -> None:
    known = health_of([target("a", "ok", problem=problem)])
    assert known is not None and dict(known.worst) == {"a": worst}


def test_a_target_that_was_never_reached_counts() -> None:
    known = health_of([target("a", "ok"), target("b", problem="no_result")])
    assert known is not None and dict(known.worst) == {"b": "unknown", "a": "ok"}


def test_a_run_without_checks_has_no_health(run: Make) -> None:
    quiet = run(line(actions=[action()]))
    assert quiet.health is None
    assert out.ops_result(quiet, {})["health"] is None
    assert not any(text.startswith("Health") for text in words.summary(quiet))


def test_it_is_told_everywhere(run: Make) -> None:
    from datetime import timezone

    made = run(line(checks=[check(status="crit")]), service="shop", fail_on="never")
    told = {"status": "unhealthy", "unit": "service", "healthy": 0, "total": 1, "ratio": 0.0}
    assert out.result(made, {})["health"] == out.ops_result(made, {})["health"] == told
    assert "Health: unhealthy: 0 of 1 service is healthy; critical: shop." in words.summary(made)
    assert "Unhealthy" in html.render(made, timezone.utc)
