# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan: what is due, why, in which order, and what fits into the time left. Pure: no connection, no clock, no file."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any, Callable, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.records import Action
from ansible_collections.day2.ops.plugins.module_utils._postgresql import costs, needs, types
from ansible_collections.day2.ops.plugins.module_utils._postgresql.hindrances import (
    behind_holder,
    behind_lock,
    granting,
    hold_back,
    leave_to_others,
)
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import is_leftover, spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.needs import Need
from ansible_collections.day2.ops.plugins.module_utils._postgresql.order import (
    Step,
    fit,
    fit_all,
    in_order,
    set_apart,
)
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import Index, Policy, State, Table
from ansible_collections.day2.ops.plugins.module_utils._postgresql.thresholds import policies_of

# From 14.4 on: before, concurrent builds could corrupt what they built.
BROKEN_CONCURRENTLY = range(140000, 140004)
LOCKS = (
    "it is rebuilt by the plain form, which takes SHARE on {0} and ACCESS EXCLUSIVE on the index: nobody can write to "
    "{0} meanwhile, and new queries of it wait"
)


def plan(
    state: State, policy: Policy, left: Optional[float], unlisted: Callable[[Action], bool] = lambda _action: False
) -> list[Step]:
    """The steps in the order in which they run; those that cannot run now are in it too, and say why.

    First tables that near the wraparound are vacuumed; then leftovers go, because they slow every write; then comes
    what earlier runs had to leave; then the worst table. A table's rebuilds come before its vacuum, which then has less
    to read. What is ``unlisted`` takes no time from the rest.
    """
    policies = policies_of(policy, state.tables)
    leaves = leaves_of(state.tables)
    covered = _covered_by_parents(state.tables, policies, leaves)
    indexes: dict[int, list[Index]] = {}
    for index in state.indexes:
        indexes.setdefault(index.table, []).append(index)
    drops: list[Step] = []
    groups: list[list[Step]] = []
    for table in state.tables:
        own = policies[table.oid]
        steps = [step for index in indexes.get(table.oid, ()) for step in _index_steps(index, table, state, own)]
        drops += [step for step in steps if step.kind == "drop_index"]
        steps = [step for step in steps if step.kind == "reindex"]
        steps += _table_steps(table, state, own, leaves.get(table.oid, ()), analyze=table.oid not in covered)
        set_apart(steps, policy)
        if steps:
            groups.append(steps)
    left = fit([step for step in drops if not unlisted(step.action)], left)
    ordered = in_order(groups, state.history, policy.jobs)
    fit_all([[step for step in group if not unlisted(step.action)] for group in ordered], left, policy.jobs)
    steps = [step for group in ordered for step in group]
    return [*(step for step in steps if step.need.urgent), *drops, *(step for step in steps if not step.need.urgent)]


def leaves_of(tables: Sequence[Table]) -> dict[int, list[Table]]:
    """The partitions that hold rows, by the oid of their root."""
    found: dict[int, list[Table]] = {}
    for table in tables:
        if table.root is not None and table.kind != "p":
            found.setdefault(table.root, []).append(table)
    return found


def assume(state: State, actions: Sequence[Mapping[str, Any]]) -> State:
    """The state after what an earlier step has planned: rows it will delete (``predicted.rows_deleted``) are dead.

    The table is ``predicted.table``, or the action's subject; of a partitioned one ``predicted.parts`` has the rows of
    each partition, as JSON. Partitions that are dropped (``predicted.partition``) are gone.
    """
    rows: Counter[str] = Counter()
    dropped = set()
    for action in actions:
        predicted = action.get("predicted") or {}
        if action.get("status") not in ("planned", "done"):
            continue
        if predicted.get("partition"):
            dropped.add(str(predicted["partition"]))
        elif predicted.get("rows_deleted"):
            name = str(predicted.get("table") or action.get("subject"))
            rows.update(
                json.loads(predicted["parts"]) if predicted.get("parts") else {name: int(predicted["rows_deleted"])}
            )
    if not rows and not dropped:
        return state
    tables = []
    for table in state.tables:
        name = spell(table.schema, table.name)
        if name in dropped:
            continue
        gone = min(rows[name], table.live)
        tables.append(replace(table, live=table.live - gone, dead=table.dead + gone, changed=table.changed + gone))
    return replace(state, tables=tuple(tables))


def obstructed(state: State, obstacles: Mapping[str, str]) -> State:
    return replace(state, obstacles=obstacles)


def _covered_by_parents(
    tables: Sequence[Table], policies: Mapping[int, Policy], leaves: Mapping[int, Sequence[Table]]
) -> set[int]:
    """Partitions whose parent is due for analyze: that analyses them too."""
    due = {
        table.oid
        for table in tables
        if table.kind == "p" and needs.analyze(table, policies[table.oid], leaves.get(table.oid, ())).reason
    }
    return {table.oid for table in tables if table.root in due}


def _table_steps(table: Table, state: State, policy: Policy, leaves: Sequence[Table], *, analyze: bool) -> list[Step]:
    vacuum = needs.vacuum(table, policy, state.holders) if "vacuum" in policy.operations else Need()
    stats = needs.analyze(table, policy, leaves) if analyze and "analyze" in policy.operations else Need()
    if not (vacuum.reason or stats.reason):
        return []
    subject = spell(table.schema, table.name)
    before = {
        "bytes": table.bytes + table.toast_bytes,
        "live_rows": table.live,
        "dead_rows": table.dead,
        "dead_ratio": needs.dead_ratio(table),
        "xid_age": table.xid_age,
        "changed_rows": table.changed,
        "method": table.method,
        "confidence": table.confidence if not table.lost or table.useful_bytes is not None else "none",
    }
    steps: list[Step] = []
    if vacuum.reason:
        # By the indexes as they are now: their rebuilds may be deferred, and then it must end in time as well.
        seconds = costs.vacuum_seconds(table, state)
        both = bool(stats.reason) and not vacuum.held
        reason = f"{vacuum.reason}; {stats.reason}" if both and stats.reason != vacuum.reason else vacuum.reason
        predicted: dict[str, Any] = {
            "seconds": round(seconds + (costs.analyze_seconds(table, state) if both else 0), 1),
            "bytes_reusable": int(table.bytes * (needs.dead_ratio(table) or 0)),
            "rate": state.rates["vacuum"],
            "analyze": both,
            "freeze": vacuum.freeze,
        }
        action = types.VACUUM.plan(subject, reason, predicted=predicted, before=before)
        step = Step(action, table, need=replace(vacuum, analyze=both), policy=policy)
        behind_holder(step, policy)
        behind_lock(step, state, policy)
        leave_to_others(step, state)
        steps.append(step)
        if both:
            return steps
    if stats.reason:
        predicted = {"seconds": round(costs.analyze_seconds(table, state), 1), "rate": state.rates["analyze"]}
        step = Step(types.ANALYZE.plan(subject, stats.reason, predicted=predicted, before=before), table)
        behind_lock(step, state, policy)
        leave_to_others(step, state)
        steps.append(step)
    return steps


def _index_steps(index: Index, table: Table, state: State, policy: Policy) -> list[Step]:
    before = {"bytes": index.bytes}
    need, exclusive = Need(), ""
    if not index.valid and is_leftover(index.name):
        if "drop_index" not in policy.operations:
            return []
        reason = "it is invalid: an interrupted concurrent rebuild left it behind, and every write may maintain it"
        predicted: dict[str, Any] = {"seconds": 1.0, "bytes_reclaimed": index.bytes}
        action = types.DROP_INDEX.plan(spell(index.schema, index.name), reason, predicted=predicted, before=before)
    elif "reindex" in policy.operations:
        # Of tens of thousands of indexes few are due: what is dear is done for those only.
        known = state.history.raised
        raised = known.get(spell(index.schema, index.name), 0.0) if known else 0.0
        need = needs.reindex(index, table, policy, state.holders, raised)
        if not need.reason:
            return []
        subject = spell(index.schema, index.name)
        predicted = {
            "seconds": round(costs.reindex_seconds(index, table, state), 1),
            "bytes_reclaimed": max(0, int(index.bytes - need.useful)) if need.useful else 0,
            "disk_bytes": costs.copy_bytes(index),
            "rate": state.rates["reindex"],
            "method": index.measured,
            "confidence": index.confidence,
        }
        exclusive = _exclusive(index, state)
        kind = types.REINDEX_LOCKED if exclusive and policy.allow_exclusive_lock else types.REINDEX
        reason = f"{need.reason}; {exclusive}, so {LOCKS.format(spell(table.schema, table.name))}"
        reason = reason if kind is types.REINDEX_LOCKED else need.reason
        action = kind.plan(subject, reason, predicted=predicted, before={**before, "bloat": need.bloat})
    else:
        return []
    step = Step(action, table, index, need, exclusive=exclusive, policy=policy)
    if step.kind == "reindex":
        step.reserve = 0.0 if exclusive else policy.cleanup_reserve
        step.remedy = _remedy(step, index, state, policy)
    hold_back(step, index, state, policy)
    leave_to_others(step, state)
    return [step]


def _exclusive(index: Index, state: State) -> str:
    """Why it cannot be rebuilt concurrently; empty when it can."""
    if index.exclusion:
        return "the index of an exclusion constraint cannot be rebuilt concurrently"
    if state.version in BROKEN_CONCURRENTLY:
        return "PostgreSQL 14.0 to 14.3 can corrupt indexes that it rebuilds concurrently"
    return ""


def _remedy(step: Step, index: Index, state: State, policy: Policy) -> str:
    """What a person has to do before it may be rebuilt; empty when nothing."""
    if step.exclusive and not policy.allow_exclusive_lock:
        update = "" if index.exclusion else "update first, or "
        return f"{update}set allow_exclusive_lock to rebuild it behind a lock"
    return granting(step, state, index.lacking.split(","))
