# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan comes to: one sentence, and the checks that ask for a person. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Optional, Sequence, Union

from ansible_collections.day2.ops.plugins.module_utils._core import records
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._postgresql import needs, types
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.order import Step
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import Index, Policy, State, Table
from ansible_collections.day2.ops.plugins.module_utils._postgresql.thresholds import policies_of
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import (
    amount,
    count,
    duration,
    listed,
    percent,
    size,
)

# So often in a row may an action be left before somebody should know.
OFTEN = 3
UNKNOWN = "predictions use defaults, as no history is known"


def summarize(state: State, policy: Policy, steps: Sequence[Step]) -> str:
    """One sentence on what was measured and what follows; an empty plan says why."""
    what = f"{count(len(state.tables), 'table')}, {count(len(state.indexes), 'index')} measured"
    totals = {status: sum(step.action["status"] == status for step in steps) for status in records.ACTION_STATUSES}
    said = [f"{amount(total)} {status}" for status, total in totals.items() if total]
    if said:
        guessed = "" if state.history.known else f"; {UNKNOWN}"
        return f"{what}: {', '.join(said)}{guessed}."
    parts = _nothing(state, policy)
    return f"{what}; nothing is due{': ' + ', '.join(parts) if parts else ''}."


def _nothing(state: State, policy: Policy) -> list[str]:
    """Why nothing is due."""
    parts = []
    live = [table for table in state.tables if table.kind != "p" and table.live + table.dead]
    if live:
        worst = max(live, key=lambda table: needs.dead_ratio(table) or 0)
        parts.append(f"most dead rows {percent(needs.dead_ratio(worst) or 0)} ({spell(worst.schema, worst.name)})")
        parts.append(f"oldest transaction id {amount(max(table.xid_age for table in live))} back")
    told = [index for index in state.indexes if index.useful_bytes is not None]
    if told:
        worst_index = max(told, key=lambda index: needs.index_bloat(index, None) or 0.0)
        bloat = needs.index_bloat(worst_index, None) or 0.0
        parts.append(f"most index bloat {percent(bloat)} ({spell(worst_index.schema, worst_index.name)})")
    policies = policies_of(policy, state.tables)
    valid = [(index, policies.get(index.table, policy).index_min_bytes) for index in state.indexes if index.valid]
    small = Counter(least for index, least in valid if index.bytes < least)
    parts += [f"{count(number, 'index')} below {size(least)}" for least, number in sorted(small.items())]
    untold = sum(1 for index, least in valid if index.bytes >= least and index.useful_bytes is None)
    if untold:
        parts.append(f"{count(untold, 'index')} not to be told without pgstattuple")
    return parts


def warnings(state: State, policy: Policy, steps: Sequence[Step]) -> list[Check]:
    """What needs a person: actions that no window is long enough for, and those that are left again and again."""
    found = [*_care(state), *_locked(state), *_holders(policy, steps), *_bloated(steps)]
    for step in steps:
        subject = str(step.action["subject"])
        if step.oversize and policy.max_window is not None:
            found.append(_oversize(step, subject, policy.max_window))
        times = state.history.deferred.get(step.key, 0) + 1
        if step.action["status"] == "deferred" and times >= OFTEN:
            why = str(step.action["reason"]).rpartition("; deferred: ")[2]
            text = f"{step.kind} of {subject} was left {times} times in a row, now because: {why}."
            advice = "Give it a longer window, remove what stands in its way, or do it by hand."
            found.append(
                types.DEFERRED(subject, times, warn=OFTEN, summary=text, advice=advice, action=step.kind, reason=why)
            )
    return found


def _care(state: State) -> list[Check]:
    """Who takes care of tables already, where somebody does."""
    at_work, jobs, parents = set(state.care.at_work.values()), set(state.care.jobs.values()), state.care.parents
    if not (at_work or jobs or parents):
        return []
    said = [f"{one} is at work" for one in sorted(at_work)] + [f"{one} has its tables" for one in sorted(jobs)]
    if parents:
        said.append(f"pg_partman makes and drops the partitions of {count(len(parents), 'table')}")
    text = f"Others take care here too, and are left to it: {'; '.join(said[:10])}."
    return [
        types.CARE(
            "database",
            len(said),
            summary=text,
            at_work=len(at_work),
            jobs=len(jobs),
            partitioned=", ".join(parents[:20]),
        )
    ]


def _holders(policy: Policy, steps: Sequence[Step]) -> list[Check]:
    """Who makes work useless, or would keep it waiting."""
    held: dict[str, list[str]] = {}
    less: dict[str, list[str]] = {}
    for step in steps:
        if step.held_by:
            held.setdefault(step.held_by, []).append(step.key)
        elif step.need.short:
            less.setdefault(step.need.short.what, []).append(step.key)
    what = {"skip": "it is left", "wait": "it waits", "report": "it is done all the same"}[policy.holders]
    advice = "End it, or let its owner end it: a forgotten transaction, a slot nobody reads, a prepared transaction."
    return [
        types.HOLDERS(
            holder, len(keys), warn=1, advice=advice, actions=", ".join(keys[:20]), policy=policy.holders,
            summary=f"{count(len(keys), 'action')} cannot do what it should while {holder} is open; {then}.",
        )
        for holder, keys, then in (
            *((holder, keys, what) for holder, keys in held.items()),
            *((holder, keys, "it does as much as it can") for holder, keys in less.items() if holder not in held),
        )
    ]  # fmt: skip


def _locked(state: State) -> list[Check]:
    """Who keeps everybody out of a table, whether or not anything is due there."""
    found: dict[str, list[str]] = {}
    ages: dict[str, float] = {}
    things: list[Union[Table, Index]] = [*state.tables, *state.indexes]
    for thing in things:
        locker = state.lockers.get(thing.oid)
        if locker is not None:
            found.setdefault(locker.what, []).append(spell(thing.schema, thing.name))
            ages[locker.what] = locker.age
    advice = "Look whether it is still at work; what is due there is left or waited for, as option holders says."
    return [
        types.LOCKED(
            what, len(names), warn=1, advice=advice, relations=", ".join(names[:20]), seconds=round(ages[what], 1),
            summary=f"{listed(names, 3)}: nobody can even "
            f"read it because of {what}, open for {duration(ages[what])}; its size is that of its last vacuum.",
        )
        for what, names in found.items()
    ]  # fmt: skip


def _bloated(steps: Sequence[Step]) -> list[Check]:
    """Indexes that stay as they are until a person allows more."""
    found: dict[str, list[Step]] = {}
    for step in steps:
        if step.remedy and step.need.reason != needs.ASKED:
            found.setdefault("exclusive lock" if step.exclusive else "TOAST tables", []).append(step)
    checks = []
    for subject, those in found.items():
        reasons, remedies = {step.exclusive or needs.TOAST: 1 for step in those}, {step.remedy: 1 for step in those}
        text = f"{count(len(those), 'index')} should be rebuilt and cannot: {'; '.join(reasons)}."
        advice = "; ".join(remedies)
        names = ", ".join(str(step.action["subject"]) for step in those[:20])
        room = sum(int(step.action["predicted"]["bytes_reclaimed"]) for step in those)
        advice = f"{advice[0].upper()}{advice[1:]}"
        checks.append(
            types.BLOATED(subject, len(those), warn=1, summary=text, advice=advice, indexes=names, bytes_reclaimed=room)
        )
    return checks


def _oversize(step: Step, subject: str, longest: float) -> Check:
    text = f"{step.kind} of {subject} {step.told(step.seconds)}; no window is longer than {duration(longest)}."
    choices = "a longer window once (ops_override_reason and ops_override_duration); by hand, at a quiet time; "
    choices += "partitions, so that each part fits"
    own: Optional[str] = {"reindex": "index_bloat_ratio", "vacuum": "vacuum_dead_ratio"}.get(step.kind)
    if own and not step.need.freeze:
        choices += f"; a higher {own} for it in thresholds"
    if step.need.freeze:
        choices += "; wait until it nears the wraparound: then it runs past the window's end"
    return types.OVERSIZE(
        subject, step.needed, crit=longest, summary=text, advice=f"Choose: {choices}.", action=step.kind
    )
