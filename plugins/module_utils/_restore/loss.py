# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a swap loses and what a rollback sets aside, table by table: estimates from the server's statistics. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import count
from ansible_collections.day2.ops.plugins.module_utils._restore import types

# How many tables are told by name; the sums are of all.
NAMED = 50


@dataclass(frozen=True)
class Loss:
    """A table and the rows it is estimated to lose. ``live`` is None where the live database could not be asked."""

    table: str
    live: Optional[int]
    set: int
    lost: Optional[int]


def losses(live: Optional[Mapping[str, int]], rows: Mapping[str, int]) -> list[Loss]:
    """Tables that will have fewer rows than now, the worst first. Tables that are not in the set lose all of theirs."""
    if live is None:
        return [Loss(name, None, rows[name], None) for name in sorted(rows)]
    found = [Loss(name, live[name], rows.get(name, 0), max(0, live[name] - rows.get(name, 0))) for name in sorted(live)]
    return sorted((one for one in found if one.lost), key=lambda one: (-(one.lost or 0), one.table))


def loss_checks(lost: Sequence[Loss]) -> list[Check]:
    """One for each table that will lose rows."""
    if lost and lost[0].lost is None:
        text = "The live database cannot be asked for its rows, so nobody can say how many will be lost."
        return [types.LOST_ROWS("database", None, summary=text, advice="Look at it before it is swapped.")]
    return [
        types.LOST_ROWS(
            one.table,
            one.lost,
            warn=1,
            summary=f"About {count(one.lost or 0, 'row')} of {one.table} will be gone.",
            advice="They stay in the old database until its drop is confirmed.",
            live_rows=one.live,
            set_rows=one.set,
        )
        for one in lost[:NAMED]
    ]


def span(taken: str, now: datetime) -> float:
    return (now - clock.parse(taken)).total_seconds()


@dataclass(frozen=True)
class Written:
    """What was written to a table since the swap. ``inserted`` is None where nobody knows what was there before."""

    table: str
    inserted: Optional[int]
    updated: int
    deleted: int

    @property
    def total(self) -> int:
        return (self.inserted or 0) + self.updated + self.deleted


def written(counters: Mapping[str, tuple[int, int, int]], rows: Optional[Mapping[str, int]]) -> list[Written]:
    """Counters (inserted, updated, deleted) less what the restore itself inserted; the most first."""
    found = []
    for table, (inserted, updated, deleted) in sorted(counters.items()):
        since = None if rows is None else max(0, inserted - rows.get(table, 0))
        found.append(Written(table, since, updated, deleted))
    return sorted((one for one in found if one.total), key=lambda one: (-one.total, one.table))


def written_checks(changes: Sequence[Written]) -> list[Check]:
    return [
        types.DISCARDED_ROWS(
            one.table,
            one.total,
            warn=1,
            summary=f"{count(one.total, 'change')} to {one.table} since the swap will be set aside.",
            advice="They stay in the discarded database until its drop is confirmed.",
            inserted=one.inserted,
            updated=one.updated,
            deleted=one.deleted,
        )
        for one in changes[:NAMED]
    ]
