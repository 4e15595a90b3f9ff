# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan: what is due, why, in which order, and what fits into the time left. Pure: no connection, no clock, no file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Iterable, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core import records
from ansible_collections.day2.ops.plugins.module_utils._core.records import Action
from ansible_collections.day2.ops.plugins.module_utils._postgresql import needs, types
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import is_leftover, spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.needs import Need
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import Index, Policy, State, Table
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import amount, count, duration, percent, size

# From 14.4 on: before, concurrent builds could corrupt what they built.
BROKEN_CONCURRENTLY = range(140000, 140004)


@dataclass
class Step:
    """An action with what it needs to be carried out."""

    action: Action
    table: Table
    index: Optional[Index] = None
    need: Need = field(default_factory=Need)

    @property
    def kind(self) -> str:
        return str(self.action["action"])

    @property
    def seconds(self) -> float:
        return float(self.action["predicted"].get("seconds") or 0.0)


def plan(state: State, policy: Policy, left: Optional[float]) -> list[Step]:
    """The steps in the order in which they run; those that cannot run now are in it too, and say why.

    First leftovers go, because they slow every write; then tables that near the wraparound; then the worst table
    first, and its rebuilds before its vacuum, which then has less to read.
    """
    covered = _covered_by_parents(state.tables, policy)
    groups: list[tuple[float, str, list[Step]]] = []
    drops: list[Step] = []
    for table in state.tables:
        steps = [
            step
            for index in state.indexes
            if index.table == table.oid
            for step in _index_steps(index, table, state, policy)
        ]
        drops += [step for step in steps if step.kind == "drop_index"]
        steps = [step for step in steps if step.kind == "reindex"]
        steps += _table_steps(table, state, policy, analyze=table.oid not in covered)
        if steps:
            urgent = any(step.need.urgent for step in steps)
            worth = sum(float(step.action["predicted"].get("bytes_reclaimed") or 0) for step in steps)
            worth += sum(float(step.action["predicted"].get("bytes_reusable") or 0) for step in steps)
            groups.append((float("-inf") if urgent else -worth, spell(table.schema, table.name), steps))
    ordered = [drops, *(group for _worth, _name, group in sorted(groups, key=lambda group: group[:2]))]
    for group in ordered:
        _lean(group, left)
        left = fit(group, left)
        _lean(group, None)
    return [step for group in ordered for step in group]


def fit(steps: Iterable[Step], left: Optional[float]) -> Optional[float]:
    """Defer what would not end in time; smaller ones further down may still fit. The time that is left then."""
    for step in steps:
        if left is None or step.action["status"] != "planned" or step.need.urgent:
            continue
        if step.seconds > left:
            records.defer(step.action, f"it needs about {duration(step.seconds)}, {duration(max(left, 0))} are left")
        else:
            left -= step.seconds
    return left


def _lean(group: Sequence[Step], left: Optional[float]) -> None:
    """Leave rebuilds that owe to dead rows when the vacuum does not run, or not both fit.

    A rebuild leaves dead rows out, but as long as they are counted the new index would look as bloated as the old one.
    """
    planned = [step for step in group if step.action["status"] == "planned"]
    leaning = [step for step in planned if step.need.leans]
    vacuums = [step for step in planned if step.kind == "vacuum"]
    needed = sum(step.seconds for step in leaning + vacuums)
    if vacuums and (left is None or needed <= left):
        return
    for step in leaning:
        records.defer(step.action, "much of that owes to dead rows, and there is no vacuum of its table with it")


def assume(state: State, actions: Sequence[Mapping[str, Any]]) -> State:
    """The state after what an earlier step has planned: rows it will delete (``predicted.rows_deleted``) are dead."""
    rows: dict[str, int] = {}
    for action in actions:
        deleted = (action.get("predicted") or {}).get("rows_deleted")
        if deleted and action.get("status") in ("planned", "done"):
            subject = str(action.get("subject"))
            rows[subject] = rows.get(subject, 0) + int(deleted)
    tables = []
    for table in state.tables:
        gone = min(rows.get(spell(table.schema, table.name), 0), table.live)
        tables.append(replace(table, live=table.live - gone, dead=table.dead + gone, changed=table.changed + gone))
    return replace(state, tables=tuple(tables))


def obstructed(state: State, obstacles: Mapping[str, str]) -> State:
    return replace(state, obstacles=obstacles)


def _covered_by_parents(tables: Sequence[Table], policy: Policy) -> set[int]:
    """Partitions whose parent is due for analyze: that analyses them too."""
    due = {table.oid for table in tables if table.kind == "p" and needs.analyze(table, policy, tables).reason}
    return {table.oid for table in tables if table.root in due}


def _table_steps(table: Table, state: State, policy: Policy, *, analyze: bool) -> list[Step]:
    subject = spell(table.schema, table.name)
    vacuum = needs.vacuum(table, policy, state.holders) if "vacuum" in policy.operations else Need()
    stats = needs.analyze(table, policy, state.tables) if analyze and "analyze" in policy.operations else Need()
    before = {
        "bytes": table.bytes + table.toast_bytes,
        "live_rows": table.live,
        "dead_rows": table.dead,
        "dead_ratio": needs.dead_ratio(table),
        "xid_age": table.xid_age,
        "changed_rows": table.changed,
    }
    steps: list[Step] = []
    if vacuum.reason:
        seconds = vacuum_seconds(table, state)
        both = bool(stats.reason) and not vacuum.held
        reason = f"{vacuum.reason}; {stats.reason}" if both and stats.reason != vacuum.reason else vacuum.reason
        predicted: dict[str, Any] = {
            "seconds": round(seconds + (analyze_seconds(table, state) if both else 0), 1),
            "bytes_reusable": int(table.bytes * (needs.dead_ratio(table) or 0)),
            "analyze": both,
            "freeze": vacuum.freeze,
        }
        action = types.VACUUM.plan(subject, reason, predicted=predicted, before=before)
        if vacuum.held:
            action["predicted"]["held_by"] = vacuum.held
            records.defer(action, f"nothing can be removed while {vacuum.held} is open")
        steps.append(Step(action, table, need=replace(vacuum, analyze=both)))
        if both:
            return steps
    if stats.reason:
        predicted = {"seconds": round(analyze_seconds(table, state), 1)}
        steps.append(Step(types.ANALYZE.plan(subject, stats.reason, predicted=predicted, before=before), table))
    return steps


def _index_steps(index: Index, table: Table, state: State, policy: Policy) -> list[Step]:
    subject = spell(index.schema, index.name)
    before = {"bytes": index.bytes}
    need = Need()
    if not index.valid and is_leftover(index.name):
        if "drop_index" not in policy.operations:
            return []
        reason = "it is invalid: an interrupted concurrent rebuild left it behind, and every write may maintain it"
        predicted: dict[str, Any] = {"seconds": 1.0, "bytes_reclaimed": index.bytes}
        action = types.DROP_INDEX.plan(subject, reason, predicted=predicted, before=before)
    elif "reindex" in policy.operations and not index.toast:
        need = needs.reindex(index, table, policy, state.holders)
        if not need.reason:
            return []
        predicted = {
            "seconds": round(reindex_seconds(index, table, state), 1),
            "bytes_reclaimed": max(0, int(index.bytes - need.useful)) if need.useful else 0,
            "method": index.measured,
        }
        action = types.REINDEX.plan(subject, need.reason, predicted=predicted, before={**before, "bloat": need.bloat})
    else:
        return []
    step = Step(action, table, index, need)
    _hold_back(step, index, table, state)
    return [step]


def _hold_back(step: Step, index: Index, table: Table, state: State) -> None:
    """What stands against touching an index now."""
    action = step.action
    if index.builder is not None:
        records.skip(action, f"the session with pid {index.builder} is building it now")
        return
    if step.kind == "reindex" and state.version in BROKEN_CONCURRENTLY:
        records.skip(action, "PostgreSQL 14.0 to 14.3 can corrupt indexes that it rebuilds concurrently; update first")
        return
    if step.kind in state.obstacles:
        records.defer(action, state.obstacles[step.kind])
        return
    for blocker in state.blockers:
        if not blocker.tables or blocker.tables & {table.oid, index.oid}:
            records.defer(action, f"it would wait for {blocker.what}, open for {duration(blocker.age)}")
            return
    room = index.bytes * 1.1
    if step.kind == "reindex" and state.disk_free is not None and state.disk_free < room:
        records.defer(action, f"a copy needs {size(room)} of disk, {size(state.disk_free)} are free")


def vacuum_seconds(table: Table, state: State) -> float:
    """Pages known to be clean are not read; indexes are, once there are rows to remove."""
    unclean = max(0.0, 1 - table.visible_pages / table.pages) if table.pages else 1.0
    read = table.bytes * unclean + table.toast_bytes * unclean + (table.index_bytes if table.dead else 0)
    return 0.1 + read / state.rates["vacuum"]


def analyze_seconds(table: Table, state: State) -> float:
    return 0.1 + min(table.bytes, 30_000 * 8192) / state.rates["analyze"]


def reindex_seconds(index: Index, table: Table, state: State) -> float:
    """The table is read twice (build and validation), the index is written once."""
    return 0.2 + (2 * table.bytes + index.bytes) / state.rates["reindex"]


def summarize(state: State, policy: Policy, steps: Sequence[Step]) -> str:
    """One sentence on what was measured and what follows; an empty plan says why."""
    told = [index for index in state.indexes if index.useful_bytes is not None]
    small = sum(1 for index in state.indexes if index.valid and index.bytes < policy.index_min_bytes)
    untold = sum(
        1 for index in state.indexes
        if index.valid and index.bytes >= policy.index_min_bytes and index.useful_bytes is None
    )  # fmt: skip
    what = f"{count(len(state.tables), 'table')}, {count(len(state.indexes), 'index')} measured"
    totals = {status: sum(step.action["status"] == status for step in steps) for status in records.ACTION_STATUSES}
    said = [f"{amount(total)} {status}" for status, total in totals.items() if total]
    if said:
        return f"{what}: {', '.join(said)}."
    parts = []
    live = [table for table in state.tables if table.kind != "p" and table.live + table.dead]
    if live:
        worst = max(live, key=lambda table: needs.dead_ratio(table) or 0)
        parts.append(f"most dead rows {percent(needs.dead_ratio(worst) or 0)} ({spell(worst.schema, worst.name)})")
        parts.append(f"oldest transaction id {amount(max(table.xid_age for table in live))} back")
    if told:
        bloat = {index: needs.index_bloat(index, None) or 0.0 for index in told}
        worst_index = max(told, key=lambda index: bloat[index])
        parts.append(f"most index bloat {percent(bloat[worst_index])} ({spell(worst_index.schema, worst_index.name)})")
    if small:
        parts.append(f"{count(small, 'index')} below {size(policy.index_min_bytes)}")
    if untold:
        parts.append(f"{count(untold, 'index')} not to be told without pgstattuple")
    return f"{what}; nothing is due{': ' + ', '.join(parts) if parts else ''}."
