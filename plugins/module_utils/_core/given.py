# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was given as options and cannot be meant: :class:`BadInput` with one sentence that names option and remedy."""

from __future__ import annotations

import math
from typing import Any, Iterable, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput


def above_zero(option: str, value: Optional[float], what: str = "a number") -> None:
    """None is no value. What is not finite passes for a float, and is no number that anything could wait for."""
    if value is None:
        return
    if not math.isfinite(value):
        raise BadInput(f"{option}: {value} is no number to work with; give {what} above 0.")
    if value <= 0:
        raise BadInput(f"{option}: {value:g} is too little; give {what} above 0.")


def all_above_zero(params: Mapping[str, Any], *names: str) -> None:
    for name in names:
        above_zero(name, params[name])


def none_negative(params: Mapping[str, Any], *names: str) -> None:
    """None is no value."""
    for name in names:
        value = params[name]
        if value is not None and not math.isfinite(value):
            raise BadInput(f"{name}: {value} is no number to work with; give 0 or more.")
        if value is not None and value < 0:
            raise BadInput(f"{name}: {value} is negative; give 0 or more.")


def each_once(names: Iterable[tuple[str, str]]) -> None:
    """``names``: pairs of the option and the name that it gives; reports tell things apart by them."""
    known: set[str] = set()
    for option, name in names:
        if name in known:
            raise BadInput(f"{option}: {name!r} is there twice; give each one a name of its own.")
        known.add(name)
