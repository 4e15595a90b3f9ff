# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""History as maintenance reads it: option ``history``, as a run left it, into plain values. Pure."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence, Union

from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import RATES, History, Index, Table

MODULE = "postgresql_maintenance"
# A rebuild that gave back less than this has shown that the measurement misjudges the index.
LITTLE = 0.1
# So much more than what was measured then it must be, and never everything.
STEP, HIGHEST = 0.1, 0.95
# Sizes per row of so many objects are handed on, the largest ones.
MOST = 500


def history_from(given: Mapping[str, Any]) -> History:
    """What an earlier run wrote. Values that are no numbers are left out: history makes better, it never stops work."""
    deferred = given.get("deferred")
    mine = deferred.get(MODULE) if isinstance(deferred, Mapping) else None
    return History(
        known=bool(given),
        throughput={kind: rate for kind, rate in throughput_from(given).items() if kind in RATES},
        deferred={name: int(times) for name, times in _numbers(mine).items()},
        raised=_numbers(given.get("raised")),
        bytes_per_row=_numbers(given.get("bytes_per_row")),
    )


def throughput_from(given: Mapping[str, Any]) -> dict[str, float]:
    """How fast each kind of action was, in what its kind of work counts per second."""
    return {kind: rate for kind, rate in _numbers(given.get("throughput")).items() if rate > 0}


def _numbers(values: Any) -> dict[str, float]:
    if not isinstance(values, Mapping):
        return {}
    return {
        str(name): value
        for name, value in values.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def rates_of(history: History, given: Mapping[str, Optional[float]]) -> dict[str, float]:
    """Bytes per second by kind of work: what was given, else what was learnt, else what a slow disk gives."""
    return {**RATES, **history.throughput, **{name: rate for name, rate in given.items() if rate}}


def raised_to(before_bytes: int, reclaimed: int, bloat: Optional[float]) -> Optional[float]:
    """The ratio that an index must reach from now on, when its rebuild gave back little; else None.

    >>> raised_to(1000, 20, 0.42), raised_to(1000, 400, 0.42)
    (0.52, None)
    """
    if bloat is None or not before_bytes or reclaimed >= LITTLE * before_bytes:
        return None
    return round(min(HIGHEST, bloat + STEP), 4)


def sizes_per_row(tables: Sequence[Table], indexes: Sequence[Index], at_least: int) -> dict[str, float]:
    """Bytes per row of what is large enough to matter, for the days on which nothing else tells."""
    things: list[Union[Table, Index]] = [
        *(one for one in tables if one.kind != "p"),
        *(one for one in indexes if one.valid),
    ]
    large = sorted((one for one in things if one.bytes >= at_least and one.rows >= 1), key=lambda one: -one.bytes)
    return {spell(one.schema, one.name): round(one.bytes / one.rows, 3) for one in large[:MOST]}
