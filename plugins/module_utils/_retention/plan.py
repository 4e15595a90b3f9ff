# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan: what goes, why, in which order; or why not. Pure: no connection, no clock, no file."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core import records
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Refused
from ansible_collections.day2.ops.plugins.module_utils._core.records import Action, Check
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote, spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import amount, count, duration
from ansible_collections.day2.ops.plugins.module_utils._retention import types
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Due, Found, Partition

# What a slow disk and a store some way off still do: rows and bytes per second, and what compression leaves. Earlier
# runs on a server teach how many rows it really does; its bytes are as much faster or slower.
ROWS_PER_SECOND = 20_000.0
BYTES_PER_SECOND = 20e6
COMPRESSED = 0.3
CHUNK_BYTES = 64 << 20
# Below this nothing is begun: a chunk has to be copied whole before the first row goes.
LEAST_SECONDS = 30.0
# A table may be referenced by thousands.
MOST_TOLD = 20
NEEDS_APPROVAL = "needs an approved plan: this policy has not run here as it is"


@dataclass
class Step:
    """An action with what it needs to be carried out; ``partition`` for those that drop one."""

    action: Action
    found: Found
    partition: Optional[Partition] = None

    @property
    def kind(self) -> str:
        return str(self.action["action"])

    @property
    def seconds(self) -> float:
        return float(self.action["predicted"].get("seconds") or 0.0)


def plan(
    found: Sequence[Found],
    left: Optional[float],
    approved: Callable[[Action], bool],
    check_mode: bool,
    rates: Mapping[str, float],
    first: Sequence[Step] = (),
    last: Sequence[Step] = (),
) -> list[Step]:
    """The steps in the order in which they run: tables that reference others first, partitions before rows.

    ``left``: seconds until the deadline. ``rates``: learnt rows per second by kind of action. ``first``, ``last``: what
    else is to be done, before and after. Raises :class:`Refused`, with all reasons, where an obstacle was not accepted
    or a policy has not run here as it is and no approved plan says that it may; in check mode the latter is only told.
    """
    _refuse_obstacles(found)
    # Which rows are due is known once those of the archives are gone.
    again = {step.found.policy.name for step in first if step.kind == types.DELETE_AGAIN.name}
    free = [one for one in in_order(found) if one.policy.name not in again]
    steps = _once([step for one in free for step in _steps(one, subject(one, found), rates)])
    steps = [*first, *steps, *last]
    _refuse_unknown(steps, approved, check_mode)
    _fit(steps, left)
    for position, step in enumerate(steps):
        leave_to_parts(step, steps[:position])
    return steps


def subject(one: Found, found: Sequence[Found]) -> str:
    """The table, and the policy where it is not the only one for that table."""
    name = spell(one.relation.schema, one.relation.name)
    alone = sum(other.relation.oid == one.relation.oid for other in found) == 1
    return name if alone else f"{name} ({one.policy.name})"


def in_order(found: Sequence[Found]) -> list[Found]:
    """Tables before those that they reference, else as they were given; what goes round in a circle is as given too."""
    waiting, ordered = list(found), []
    while waiting:
        oids = {one.relation.oid for one in waiting}
        free = next((one for one in waiting if not (one.referenced_by - {one.relation.oid}) & oids), waiting[0])
        waiting.remove(free)
        ordered.append(free)
    return ordered


def leave_to_parts(step: Step, before: Sequence[Step]) -> bool:
    """Whether rows are left, because a partition that was to go before them does not, and they are its rows, too."""
    if step.kind != types.DELETE_ROWS.name or step.action["status"] != "planned":
        return False
    parts = (one.action for one in before if one.partition is not None and one.found.policy == step.found.policy)
    staying = next((action["subject"] for action in parts if action["status"] not in ("planned", "done")), None)
    if staying is not None:
        records.defer(step.action, f"{staying} has not gone as a whole yet, and is not to go row by row")
    return staying is not None


def checks(found: Sequence[Found]) -> list[Check]:
    """One check for each policy: what is due now."""
    made = []
    for one in found:
        due, total = count(one.due.rows, "row"), amount(one.due.total)
        made.append(
            types.DUE(
                f"{spell(one.relation.schema, one.relation.name)} ({one.policy.name})",
                one.due.rows,
                summary=f"{due} of about {total} {'is' if one.due.rows == 1 else 'are'} due{_held(one.due)}.",
                policy=one.policy.name,
                table=spell(one.relation.schema, one.relation.name),
                cutoff=_cutoff(one),
                held=one.due.held,
                total=one.due.total,
                bytes=one.due.bytes,
                known=one.known,
                partitions=len(one.partitions),
            )
        )
    return made


def summarize(found: Sequence[Found], steps: Sequence[Step]) -> str:
    """One sentence on what was measured and what follows; an empty plan says why."""
    referenced = sum(one.due.referenced for one in found)
    held = sum(one.due.held for one in found) - referenced
    kept = f", {count(held, 'row')} under legal hold" if held else ""
    kept += f", {count(referenced, 'row')} kept by references" if referenced else ""
    what = f"{len(found)} {'policy' if len(found) == 1 else 'policies'}, {count(_rows(found), 'row')} due{kept}"
    totals = {status: sum(step.action["status"] == status for step in steps) for status in records.ACTION_STATUSES}
    said = [f"{amount(total)} {status}" for status, total in totals.items() if total]
    return f"{what}: {', '.join(said)}." if said else f"{what}; nothing is to be done."


def _rows(found: Sequence[Found]) -> int:
    return sum(one.due.rows for one in found)


def _refuse_obstacles(found: Sequence[Found]) -> None:
    texts: list[str] = []
    for one in found:
        by_name: dict[str, list[str]] = {}
        for obstacle in one.obstacles:
            if not obstacle.name or obstacle.name not in one.policy.accept:
                by_name.setdefault(obstacle.name, []).append(f"policies[{one.policy.name}]: {obstacle.text}")
        for name, some in by_name.items():
            more = len(some) - MOST_TOLD
            texts += [*some[:MOST_TOLD], *([f"And {amount(more)} more of {name}."] if more > 0 else [])]
    if texts:
        raise Refused("Failed to start retention: " + " ".join(texts))


def _refuse_unknown(steps: Sequence[Step], approved: Callable[[Action], bool], check_mode: bool) -> None:
    unknown = [step for step in steps if not step.found.known and not approved(step.action)]
    if check_mode:
        for step in unknown:
            step.action["reason"] += f"; {NEEDS_APPROVAL}"
        return
    names = dict.fromkeys(step.found.policy.name for step in unknown)
    if names:
        texts = [f"policies[{name}] {NEEDS_APPROVAL}." for name in names]
        raise Refused(
            f"Failed to start retention: {' '.join(texts)} Save a plan in check mode, look at it, and give it back "
            "(ops_plan_out, ops_plan_in)."
        )


def _steps(one: Found, name: str, rates: Mapping[str, float]) -> list[Step]:
    steps = [_drop(one, part, _rate(types.DROP_PARTITION, rates)) for part in one.partitions]
    rows = one.due.rows - one.due.apart
    if rows > 0:
        steps.append(_delete(one, name, rows, _rate(types.DELETE_ROWS, rates)))
    return steps


def _rate(kind: records.ActionType, rates: Mapping[str, float]) -> float:
    return rates.get(kind.name) or ROWS_PER_SECOND


def _once(steps: Sequence[Step]) -> list[Step]:
    """A partition that two policies let go is dropped by the first."""
    dropped: dict[int, Step] = {}
    for step in steps:
        if step.partition is not None:
            dropped.setdefault(step.partition.oid, step)
    return [step for step in steps if step.partition is None or dropped[step.partition.oid] is step]


def _delete(one: Found, name: str, rows: int, rate: float) -> Step:
    size = int(one.due.bytes * rows / one.due.rows)
    before = {"rows": int(one.due.total), "rows_held": one.due.held, "bytes": one.relation.bytes}
    reason = f"{amount(rows)} of about {amount(one.due.total)} rows {_why(one, rows)}{_held(one.due)}{_accepted(one)}"
    predicted = _predicted(one, rows, size, rate)
    if one.due.parts:
        # For the rehearsal of whatever vacuums the partitions.
        predicted["parts"] = json.dumps(dict(one.due.parts))
    return Step(types.DELETE_ROWS.plan(name, reason, predicted=predicted, before=before), one)


def _held(due: Due) -> str:
    """Rows that would go, if nothing kept them."""
    legal = due.held - due.referenced
    said = f"; {count(legal, 'row')} more under legal hold" if legal else ""
    return said + (f"; {count(due.referenced, 'row')} more kept by references" if due.referenced else "")


def _accepted(one: Found) -> str:
    """What else the deletes do, as the policy accepted it, and who does not hear of them."""
    facts = [obstacle.fact for obstacle in one.obstacles if obstacle.fact and obstacle.name in one.policy.accept]
    facts += [f"subscribers of {quote(name)} keep these rows" for name in one.silent]
    return "".join(f"; {fact}" for fact in facts[:MOST_TOLD])


def _drop(one: Found, part: Partition, rate: float) -> Step:
    rows = int(part.rows)
    predicted = {
        **_predicted(one, rows, part.bytes, rate),
        "partition": spell(part.schema, part.name),
        "upper": part.upper,
        "pending": part.pending,
    }
    left = "; an earlier run began to detach it" if part.pending else ""
    reason = f"all its rows are older than {_cutoff(one)}: it ends at {part.upper}{left}"
    return Step(types.DROP_PARTITION.plan(spell(part.schema, part.name), reason, predicted=predicted), one, part)


def _why(one: Found, rows: int) -> str:
    if one.cutoff is not None:
        return f"{'is' if rows == 1 else 'are'} older than {_cutoff(one)} by {quote(one.policy.column)}"
    groups = ", ".join(map(quote, one.policy.per))
    return f"{'is' if rows == 1 else 'are'} not among the last {amount(one.policy.keep_last or 0)} of their {groups}"


def _predicted(one: Found, rows: int, size: int, rate: float) -> dict[str, Any]:
    archived = 0 if one.policy.erase else size
    slow = rows / ROWS_PER_SECOND + archived / BYTES_PER_SECOND
    return {
        "policy": one.policy.name,
        "policy_hash": one.policy.hash,
        "table": spell(one.relation.schema, one.relation.name),
        "cutoff": _cutoff(one),
        "rows_deleted": rows,
        "bytes": size,
        "bytes_archived": int(archived * COMPRESSED),
        "chunks": math.ceil(archived / CHUNK_BYTES),
        "seconds": round(1.0 + slow * ROWS_PER_SECOND / rate, 1),
        "rate": rate,
        "archive": one.policy.archive,
    }


def _cutoff(one: Found) -> Optional[str]:
    return one.cutoff.isoformat().replace("+00:00", "Z") if one.cutoff is not None else None


def _fit(steps: Sequence[Step], left: Optional[float]) -> None:
    """Defer what cannot begin in time. Rows go in batches, so a part of them fits; a partition goes whole."""
    if left is None:
        return
    for step in steps:
        least = LEAST_SECONDS if step.partition is None else max(LEAST_SECONDS, step.seconds)
        if left < least:
            records.defer(step.action, f"it needs about {duration(step.seconds)}, {duration(max(left, 0))} are left")
        else:
            left -= step.seconds
