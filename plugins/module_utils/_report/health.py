# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How well the whole is: the unit is the target, or the service that targets are part of. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Optional

from ansible_collections.day2.ops.plugins.module_utils._core.records import rank, worst_status
from ansible_collections.day2.ops.plugins.module_utils._report.model import Health, Problem, Target

# Worst last. What is not known is no better than it would be if it were bad, and no worse than what is known to be.
HEALTHY_PERCENT = 95
DEGRADED_PERCENT = 80
# These say that the run knows less of a target than it was to find out.
_BLIND = frozenset(("failed", "bad_input", "unreachable", "no_result", "interrupted"))


def overall(worst: Mapping[str, str]) -> str:
    """From the worst check of each unit to one word: ``healthy``, ``degraded`` or ``unhealthy``.

    A unit is healthy when its worst check is ok or warn. Whole numbers are compared, so that a border is a border.

    >>> overall({"a": "ok", "b": "warn"}), overall({"a": "ok", "b": "crit"}), overall(dict.fromkeys(range(9), "crit"))
    ('healthy', 'unhealthy', 'unhealthy')
    """
    healthy = 100 * sum(status in ("ok", "warn") for status in worst.values())
    if healthy >= HEALTHY_PERCENT * len(worst) and "crit" not in worst.values():
        return "healthy"
    return "degraded" if healthy >= DEGRADED_PERCENT * len(worst) else "unhealthy"


def health_of(targets: Iterable[Target]) -> Optional[Health]:
    """None when no target was to be looked at: no check was made anywhere."""
    units: dict[str, list[str]] = {}
    named, looked = False, False
    for target in targets:
        units.setdefault(target.service or target.target, []).append(_worst(target))
        named, looked = named or bool(target.service), looked or bool(target.checks)
    if not looked:
        return None
    worst = {unit: worst_status(statuses) for unit, statuses in units.items()}
    worst = dict(sorted(worst.items(), key=lambda one: (-rank(one[1]), one[0])))
    return Health(overall(worst), worst, "service" if named else "target")


def _worst(target: Target) -> str:
    statuses = [check.last["status"] for check in target.checks]
    return worst_status([*statuses, "unknown"] if any(map(_blind, target.problems)) else statuses)


def _blind(problem: Problem) -> bool:
    return problem.kind in _BLIND
