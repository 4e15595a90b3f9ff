# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a value becomes a finding: the defaults of a domain, and what a user says instead."""

from __future__ import annotations

import math
from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput

# By kind of finding, `warn` and `crit`: numbers, or None for none.
Limits = Mapping[str, Mapping[str, Any]]


def complete(given: Optional[Mapping[str, Any]], defaults: Limits, option: str = "thresholds") -> Limits:
    """``defaults`` with what is given laid over them; one given as null is off. :class:`BadInput` names a mistake."""
    limits = {name: dict(pair) for name, pair in defaults.items()}
    for name, pair in (given or {}).items():
        if name not in limits:
            raise BadInput(f"{option}.{name}: is not a kind of finding; use {', '.join(defaults)}.")
        if not isinstance(pair, Mapping):
            raise BadInput(f"{option}.{name}: {pair!r} is no dictionary; use for example {{warn: 0.8, crit: 0.95}}.")
        for level, value in pair.items():
            if level not in ("warn", "crit"):
                raise BadInput(f"{option}.{name}.{level}: is not a level; use warn and crit.")
            limits[name][level] = _number(f"{option}.{name}.{level}", value)
    return limits


def _number(option: str, value: Any) -> Optional[float]:
    """Numbers come as text from templates and the command line."""
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number):  # nothing is ever above or below it
        raise BadInput(f"{option}: {value!r} is not a number; give a number, or null to turn it off.")
    return number
