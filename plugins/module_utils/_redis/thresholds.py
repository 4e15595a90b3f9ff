# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a value becomes a finding: the defaults, and what a user says instead."""

from __future__ import annotations

from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core import limits

Thresholds = limits.Limits
# Reached: warn, crit. `lag`, `save_age`, `fork` and `latency` are seconds, `blocked_clients`, `slow_commands` and
# `big_keys` are counts, the others ratios.
DEFAULTS: dict[str, dict[str, Optional[float]]] = {
    "memory": {"warn": 0.8, "crit": 0.95},
    "fragmentation": {"warn": 1.5, "crit": 3.0},
    "hit_rate": {"warn": 0.8, "crit": 0.5},
    "keys_without_ttl": {"warn": 0.5, "crit": 0.9},
    "evictions": {"warn": 0.05, "crit": 0.25},
    "connections": {"warn": 0.8, "crit": 0.95},
    "lag": {"warn": 30, "crit": 120},
    "save_age": {"warn": None, "crit": None},
    # A queue's consumers wait by design, so nobody but the user knows how many are too many.
    "blocked_clients": {"warn": None, "crit": None},
    "rejected_connections": {"warn": 0.001, "crit": 0.05},
    "fork": {"warn": 0.5, "crit": 2.0},
    "latency": {"warn": 0.05, "crit": 0.5},
    "slow_commands": {"warn": 1, "crit": None},
    "big_keys": {"warn": 1, "crit": None},
}


def complete(given: Optional[Mapping[str, Any]]) -> Thresholds:
    """The thresholds with what a user left out; one given as null is off. :class:`BadInput` names a mistake."""
    return limits.complete(given, DEFAULTS)
