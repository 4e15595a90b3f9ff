# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Needs: what one table or index calls for, and the measurement that says so. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import Holder, Index, Policy, Table
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import amount, percent

LOST = "the server's statistics of it were lost, so its dead and changed rows are unknown"
CARE = 0.1
# What freezing has to gain to be worth its while: this share of the age or, in danger, of the room that is left.
GAIN = 0.1
ROOM = 1 << 31
TOAST = "this user may not rebuild the index of a TOAST table"
ASKED = "nothing calls for it; it was asked for (scope: all)"


@dataclass(frozen=True)
class Need:
    """``reason`` is empty when nothing is due. ``held`` is who makes the work useless now, ``short`` who lets it do
    less than it could."""

    reason: str = ""
    freeze: bool = False
    urgent: bool = False
    held: Optional[Holder] = None
    short: Optional[Holder] = None
    analyze: bool = False
    bloat: Optional[float] = None
    useful: Optional[float] = None
    # The rebuild is due only together with the vacuum of its table.
    leans: bool = False


def dead_ratio(table: Table) -> Optional[float]:
    """Dead rows as a share of all rows; None when there are none, or nobody knows."""
    total = table.live + table.dead
    return None if table.lost or not total else round(table.dead / total, 4)


def dead_ratio_of(index: Index, table: Table) -> Optional[float]:
    """:func:`dead_ratio` of what the index is on: the table, or its TOAST table."""
    if not index.toast:
        return dead_ratio(table)
    total = table.toast_live + table.toast_dead
    return None if table.lost or not total else round(table.toast_dead / total, 4)


def many_dead(live: int, dead: int, policy: Policy) -> bool:
    return dead >= max(policy.vacuum_min_dead_rows, policy.vacuum_dead_ratio * (live + dead), 1)


def vacuum(table: Table, policy: Policy, holders: Sequence[Holder]) -> Need:
    """Due for age (freeze), for dead rows in the table or its TOAST table, or because nobody knows."""
    if table.kind == "p":
        return Need()
    if table.xid_age >= policy.freeze_age or table.mxid_age >= policy.freeze_mxid_age:
        return _freeze(table, policy, holders)
    if table.lost:
        return _by_size(table, policy)
    share = percent(policy.vacuum_dead_ratio)
    if many_dead(table.live, table.dead, policy):
        total = table.live + table.dead
        reason = f"{percent(table.dead / total)} of {amount(total)} rows are dead (threshold {share})"
    elif many_dead(table.toast_live, table.toast_dead, policy):
        total = table.toast_live + table.toast_dead
        reason = f"{percent(table.toast_dead / total)} of {amount(total)} TOAST rows are dead (threshold {share})"
    else:
        return _asked(policy)
    return Need(reason, held=holder_since_vacuum(table, holders))


def _asked(policy: Policy) -> Need:
    return Need(ASKED) if policy.scope == "all" else Need()


def _by_size(table: Table, policy: Policy) -> Need:
    """Due when nobody can tell, or when the table is larger than its rows need."""
    if table.useful_bytes is None:
        return Need(LOST)
    share = 1 - table.useful_bytes / table.bytes if table.bytes else 0.0
    # As many rows as would fit into what is too much.
    rows = table.rows * share / (1 - share) if share < 1 else float(policy.vacuum_min_dead_rows)
    # What was computed from widths knows nothing of padding.
    limit = policy.vacuum_dead_ratio + (CARE if table.confidence == "low" else 0.0)
    if share < limit or rows < policy.vacuum_min_dead_rows:
        return _asked(policy)
    told = "the best size per row known" if table.method == "size_per_row" else "the widths of its columns"
    return Need(f"{percent(share)} of it is more than its rows need by {told} (threshold {percent(limit)}); {LOST}")


def _freeze(table: Table, policy: Policy, holders: Sequence[Holder]) -> Need:
    """For transaction ids or for multixacts, whichever are nearer to their wraparound."""
    xid = (table.xid_age, policy.freeze_age, "transaction id")
    multixact = (table.mxid_age, policy.freeze_mxid_age, "multixact")
    age, limit, what = max((one for one in (xid, multixact) if one[0] >= one[1]), key=lambda one: one[0])
    urgent = age >= policy.wraparound_age
    reason = f"its oldest {what} is {amount(age)} back (threshold {amount(policy.wraparound_age if urgent else limit)})"
    need = Need(reason, freeze=True, urgent=urgent)
    holder = max(holders, key=lambda one: one.xids, default=None)
    if holder is None or holder.xids < policy.freeze_age or table.mxid_age >= policy.freeze_mxid_age:
        return need
    # No table gets younger than what somebody may still see.
    if table.xid_age - holder.xids < GAIN * min(table.xid_age, ROOM - table.xid_age):
        return replace(need, urgent=False, held=holder)
    so_far = f"it gets no further than {amount(holder.xids)} while {holder.what} is open"
    return replace(need, reason=f"{reason}; {so_far}", short=holder)


def holder_since_vacuum(table: Table, holders: Sequence[Holder]) -> Optional[Holder]:
    """Who keeps every dead row of the table: whoever was there before its last vacuum, and still is.

    What was dead before that holder came, that vacuum has removed; what died since, the holder may still see.
    """
    if table.vacuumed is None:
        return None
    return next((one for one in holders if one.age is not None and one.age > table.vacuumed), None)


def analyze(table: Table, policy: Policy, leaves: Sequence[Table]) -> Need:
    """Due when never done on rows, or after enough changes. A partitioned parent counts those of its partitions."""
    changed, rows = table.changed, float(table.live)
    if table.kind == "p":
        if table.root is not None:
            return Need()
        changed, rows = (
            sum(one.changed for one in leaves),
            sum(max(one.rows, 1.0) if one.lost else one.live for one in leaves),
        )
    if table.lost:
        return Need(LOST)
    if table.analyzed is None and rows > 0:
        return Need(
            "it was never analysed" if table.kind != "p" else "the statistics across its partitions are missing"
        )
    if changed >= max(policy.analyze_min_rows, policy.analyze_ratio * rows, 1):
        share = f", {percent(changed / rows)} of {amount(rows)}" if rows else ""
        limit = percent(policy.analyze_ratio)
        return Need(f"{amount(changed)} rows changed since the last analyze{share} (threshold {limit})")
    return _asked(policy)


def index_bloat(index: Index, live_share: Optional[float]) -> Optional[float]:
    """The share of the index that a rebuild gives back, once dead rows are gone (``live_share`` of the entries)."""
    if index.useful_bytes is None or not index.bytes:
        return None
    share = live_share if live_share is not None and index.measured == "pgstatindex" else 1.0
    useful = index.useful_bytes * share
    if live_share is not None and index.at_most is not None:
        useful = min(useful, index.at_most)
    return round(max(0.0, 1 - useful / index.bytes), 4)


def reindex(index: Index, table: Table, policy: Policy, holders: Sequence[Holder], raised: float = 0.0) -> Need:
    """Due when invalid, or when bloated and large enough to matter.

    ``raised``: the ratio that this index must reach since its last rebuild gave back little.
    """
    if not index.valid:
        return Need("it is invalid: the server does not use it, but may maintain it")
    if index.method == "brin":
        return Need()
    if index.bytes < policy.index_min_bytes:
        return _asked(policy)
    # Dead rows that somebody may still see go into a rebuilt index too.
    ratio = None if holder_since_vacuum(table, holders) else dead_ratio_of(index, table)
    bloat = index_bloat(index, None if ratio is None else 1 - ratio)
    limit = max(policy.index_bloat_ratio, raised)
    if bloat is None or bloat < limit:
        return _asked(policy)
    told = "measured" if index.measured == "pgstatindex" else "estimated"
    why = ", raised because its last rebuild gave back little" if raised > policy.index_bloat_ratio else ""
    reason = f"{percent(bloat)} of it is bloat, {told} (threshold {percent(limit)}{why})"
    alone = index_bloat(index, None) or 0.0
    # So few dead rows are no excuse: their entries, or those of rows that are gone, are what the index is full of.
    leans = alone < limit and not (index.at_most is not None and ratio is not None and ratio < limit)
    return Need(reason, bloat=bloat, useful=index.bytes * (1 - bloat), leans=leans and policy.scope != "all")
