# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup calls for: a set when the newest is too old, and the removal of what nobody has to keep. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._backup import types
from ansible_collections.day2.ops.plugins.module_utils._backup.catalogue import BackupSet, kept, newest
from ansible_collections.day2.ops.plugins.module_utils._core import clock, records
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Refused
from ansible_collections.day2.ops.plugins.module_utils._core.given import all_above_zero, none_negative
from ansible_collections.day2.ops.plugins.module_utils._core.records import Action, Check
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import duration, size

# Bytes of content per second, until an earlier set tells how fast this server is.
RATE = 50 * 1024 * 1024
# An unfinished set that was touched this recently may be somebody's who works right now.
UNFINISHED_SECONDS = 3600.0


@dataclass(frozen=True)
class Policy:
    """Ages in seconds; how many days, weeks and months keep a set."""

    max_age: float = 86400.0
    force: bool = False
    max_logical_bytes: int = 200 << 30
    max_snapshot_age: float = 3600.0
    keep_daily: int = 30
    keep_weekly: int = 8
    keep_monthly: int = 12
    keep_all_within: float = 172800.0


@dataclass(frozen=True)
class State:
    """``logical_bytes`` is what a dump will read, ``rate`` how many bytes of it in a second, ``locked`` sets by id."""

    now: datetime
    sets: tuple[BackupSet, ...]
    logical_bytes: int = 0
    rate: float = RATE
    locked: Mapping[str, datetime] = field(default_factory=dict)


@dataclass
class Step:
    """An action, and the set that it removes."""

    action: Action
    chosen: Optional[BackupSet] = None


def policy_of(params: Mapping[str, Any]) -> Policy:
    """The policy from the options; :class:`BadInput` for a value that cannot be meant."""
    all_above_zero(params, "max_age", "max_snapshot_age", "max_logical_bytes")
    none_negative(params, "keep_daily", "keep_weekly", "keep_monthly", "keep_all_within")
    return Policy(**{name: params[name] for name in Policy.__dataclass_fields__})


def due(state: State, policy: Policy) -> str:
    """Why a new set is due; empty when none is."""
    last = newest(state.sets)
    if policy.force:
        return "a backup was asked for (force)"
    if last is None:
        return "there is no set that can be relied on" if state.sets else "there is no set yet"
    age = last.age(state.now)
    if age < policy.max_age:
        return ""
    return f"the newest set is {duration(age)} old (threshold {duration(policy.max_age)})"


def plan(state: State, policy: Policy) -> list[Step]:
    """The backup, then the removals. Raises :class:`Refused` when a dump is the wrong way for this database."""
    steps = []
    reason = due(state, policy)
    if reason:
        seconds = _possible(state, policy)
        predicted = {"logical_bytes": state.logical_bytes, "seconds": round(seconds, 1)}
        steps.append(Step(types.BACKUP.plan("database", reason, predicted=predicted)))
    return steps + _removals(state, policy, fresh=bool(reason))


def _possible(state: State, policy: Policy) -> float:
    """How long the dump will hold its snapshot."""
    seconds = state.logical_bytes / state.rate
    why = ""
    if state.logical_bytes > policy.max_logical_bytes:
        why = f"it holds {size(state.logical_bytes)} (max_logical_bytes is {size(policy.max_logical_bytes)})"
    elif seconds > policy.max_snapshot_age:
        why = (
            f"the dump would hold back vacuum for {duration(seconds)} (max_snapshot_age is "
            f"{duration(policy.max_snapshot_age)})"
        )
    if why:
        raise Refused(
            f"Failed to plan a dump of this database: {why}. Back it up with pgBackRest (engine: pgbackrest), or have "
            "what already backs it up looked at (engine: external)."
        )
    return seconds


def _removals(state: State, policy: Policy, fresh: bool) -> list[Step]:
    last = newest(state.sets)
    # When backups have ceased, the old ones are all there is.
    if not fresh and (last is None or last.age(state.now) >= policy.max_age):
        return []
    complete = [each for each in state.sets if each.complete]
    reasons = kept(
        complete,
        state.now,
        daily=policy.keep_daily,
        weekly=policy.keep_weekly,
        monthly=policy.keep_monthly,
        all_within=policy.keep_all_within,
    )
    steps = []
    for each in state.sets:
        before: dict[str, records.Scalar] = {"bytes": each.size, "taken": clock.iso(each.taken)}
        if each.id in reasons:
            continue
        if each.complete:
            why = "no day, week or month needs it" if each.counts else "it was refuted, so it cannot be relied on"
        elif (state.now - each.touched).total_seconds() >= UNFINISHED_SECONDS:
            why = f"it was never finished, and last touched {clock.iso(each.touched)}"
        else:
            continue
        action = types.DELETE_BACKUP.plan(each.id, why, before=before)
        until = state.locked.get(each.id)
        if until is not None and until > state.now:
            records.skip(action, f"the store keeps it locked until {clock.iso(until)}")
        steps.append(Step(action, each))
    return steps


def lean(steps: Sequence[Step]) -> None:
    """Leave the removals when the backup that they count on does not happen."""
    if any(step.chosen is None and step.action["status"] in ("deferred", "failed") for step in steps):
        for step in steps:
            if step.chosen is not None and step.action["status"] == "planned":
                records.defer(step.action, "there is no new backup")


def summarize(state: State, policy: Policy, steps: Sequence[Step]) -> str:
    """The plan in one sentence."""
    if not steps:
        last = newest(state.sets)
        age = f"the newest set is {duration(last.age(state.now))} old" if last else "there is no set"
        return f"Nothing is due: {age} (threshold {duration(policy.max_age)})."
    removed = sum(step.chosen is not None and step.action["status"] == "planned" for step in steps)
    parts = [f"a backup, because {steps[0].action['reason']}"] if steps[0].chosen is None else []
    parts += [f"the removal of {removed} sets"] if removed else []
    return f"Planned: {' and '.join(parts) or 'nothing that the store would let go'}."


def check_age(sets: Sequence[BackupSet], now: datetime, max_age: float) -> Check:
    """How old the newest set is that can be relied on; crit at twice the age at which a new one is due."""
    last = newest(sets)
    if last is None:
        text, advice = "There is no backup set that can be relied on.", "Take one with day2.ops.postgresql_backup."
        return types.BACKUP_AGE("database", None, status="crit", summary=text, advice=advice)
    age = round(last.age(now))
    return types.BACKUP_AGE(
        "database",
        age,
        warn=max_age,
        crit=2 * max_age,
        summary=f"The newest backup set is {duration(age)} old ({last.id}).",
        advice="Look why backups have ceased, then take one with day2.ops.postgresql_backup.",
        set=last.id,
        taken=clock.iso(last.taken),
        source="pg_dump",
    )


def check_verified(sets: Sequence[BackupSet], now: datetime, max_age: float) -> Check:
    """How long ago a set was last restored and found whole."""
    proven = [each for each in sets if each.verified_at]
    if not proven:
        text = "No backup set has been restored and compared yet."
        advice = "Verify one with day2.ops.postgresql_backup_verify."
        return types.VERIFIED_AGE("database", None, status="crit", summary=text, advice=advice)
    last = max(proven, key=lambda each: each.verified_at or now)
    at = last.verified_at or now
    age = round((now - at).total_seconds())
    return types.VERIFIED_AGE(
        "database",
        age,
        warn=max_age,
        crit=2 * max_age,
        summary=f"A backup set was last restored and compared {duration(age)} ago ({last.id}).",
        advice="Verify the newest one with day2.ops.postgresql_backup_verify.",
        set=last.id,
        verified=clock.iso(at),
    )


def check_sets(sets: Sequence[BackupSet]) -> Check:
    complete = [each for each in sets if each.complete]
    total = sum(each.size for each in complete)
    verified = sum(each.verified is True for each in complete)
    return types.SETS(
        "database",
        len(complete),
        summary=f"{len(complete)} sets, {size(total)}, {verified} of them verified.",
        bytes=total,
        verified=verified,
        refuted=sum(each.verified is False for each in complete),
        unfinished=len(sets) - len(complete),
    )
