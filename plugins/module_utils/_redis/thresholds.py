# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a value becomes a finding: the defaults, and what a user says instead."""

from __future__ import annotations

from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput

Thresholds = Mapping[str, Mapping[str, Any]]
# Reached: warn, crit. `lag` and `save_age` are seconds, the others ratios.
DEFAULTS: dict[str, dict[str, Optional[float]]] = {
    "memory": {"warn": 0.8, "crit": 0.95},
    "fragmentation": {"warn": 1.5, "crit": 3.0},
    "hit_rate": {"warn": 0.8, "crit": 0.5},
    "keys_without_ttl": {"warn": 0.5, "crit": 0.9},
    "evictions": {"warn": 0.05, "crit": 0.25},
    "connections": {"warn": 0.8, "crit": 0.95},
    "lag": {"warn": 30, "crit": 120},
    "save_age": {"warn": None, "crit": None},
}


def complete(given: Optional[Mapping[str, Any]]) -> Thresholds:
    """The thresholds with what a user left out; one given as null is off. :class:`BadInput` names a mistake."""
    limits = {name: dict(pair) for name, pair in DEFAULTS.items()}
    for name, pair in (given or {}).items():
        if name not in limits:
            raise BadInput(f"thresholds.{name}: is not a kind of finding; use {', '.join(DEFAULTS)}.")
        if not isinstance(pair, Mapping):
            raise BadInput(f"thresholds.{name}: {pair!r} is no dictionary; use for example {{warn: 0.8, crit: 0.95}}.")
        for level, value in pair.items():
            if level not in ("warn", "crit"):
                raise BadInput(f"thresholds.{name}.{level}: is not a level; use warn and crit.")
            limits[name][level] = _number(f"thresholds.{name}.{level}", value)
    return limits


def _number(option: str, value: Any) -> Optional[float]:
    """Numbers come as text from templates and the command line."""
    if value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{option}: {value!r} is not a number; give a number, or null to turn it off.") from error
