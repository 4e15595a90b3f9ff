# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the way back calls for: from the databases that are there and the state that is wanted to actions. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, Refused
from ansible_collections.day2.ops.plugins.module_utils._core.records import Action, Scalar
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import amount, count, duration
from ansible_collections.day2.ops.plugins.module_utils._restore import types
from ansible_collections.day2.ops.plugins.module_utils._restore.databases import (
    CLOSED,
    DISCARDED,
    LIVE,
    NEW,
    OLD,
    RESCUE,
    Database,
    Family,
    derived,
)
from ansible_collections.day2.ops.plugins.module_utils._restore.loss import Loss, Written, span


@dataclass(frozen=True)
class Chosen:
    """A set: ``taken`` as ISO text, ``rows`` by table, ``bytes`` what its database took."""

    id: str
    taken: str
    rows: Mapping[str, int] = field(default_factory=dict)
    bytes: int = 0


@dataclass
class Step:
    """An action, what kind it is and the database it is done to."""

    action: Action
    kind: str
    database: Optional[Database] = None
    name: str = ""
    measured: dict[str, Scalar] = field(default_factory=dict)


def reopening(family: Family) -> list[Step]:
    """What a run that was killed in a swap left closed or unfinished."""
    steps = []
    for one in family.all():
        closed = one.mark is not None and (one.mark.closed or one.role == CLOSED)
        if one.mark is None or not closed:
            continue
        why = f"{one.mark.owner} closed it for a swap and did not come back"
        why = why if not one.open else f"{one.mark.owner} left its mark on it and did not come back"
        steps.append(Step(types.OPEN.plan(one.name, why, before={"role": one.role}), "open", one, one.name))
    return steps


def beside(
    family: Family, chosen: Chosen, *, named: bool, tables: Sequence[str] = (), replace: bool = True
) -> list[Step]:
    """The set, or only ``tables`` of it, in a database beside the live one. ``named``: the set was asked for by id."""
    role = RESCUE if tables else NEW
    there = family.rescue if tables else family.new
    wanted = ", ".join(sorted(tables))
    live = family.live.mark if family.live else None
    if not tables and live and live.role == LIVE and (live.set == chosen.id or not (named or replace)):
        return []
    steps = []
    if there and not there.mark and not there.untouched:
        raise Refused(
            f"Failed to restore beside {family.name}: there is a database {there.name} that this collection has not "
            "made; rename or drop it."
        )
    if there:
        mark = there.mark
        same = mark and mark.complete and mark.set == chosen.id and mark.tables == wanted
        kept = mark and mark.complete and mark.tables == wanted and not (named or replace)
        if same or kept:
            return []
        why = "it was created and never filled"
        if mark:
            why = f"{mark.owner} began it and did not complete it"
        if mark and mark.complete:
            why = f"it holds the set {mark.set}" if mark.set != chosen.id else f"it holds only {mark.tables}"
        drop = types.DROP_INCOMPLETE.plan(there.name, why, before={"set": mark.set if mark else ""})
        steps.append(Step(drop, "drop", there, there.name))
    name = derived(family.name, role)
    predicted: dict[str, Scalar] = {
        "set": chosen.id,
        "taken": chosen.taken,
        "tables": len(chosen.rows),
        "rows": sum(chosen.rows.values()),
    }
    if tables:
        action = types.RESCUE.plan(name, f"{wanted} of the set {chosen.id} were asked for", predicted=predicted)
    else:
        why = f"the set {chosen.id} does not stand beside {family.name} yet"
        action = types.RESTORE.plan(name, why, predicted=predicted)
    return [*steps, Step(action, "restore", None, name)]


def swap(
    family: Family,
    incoming: Optional[Chosen],
    lost: Sequence[Loss],
    *,
    now: datetime,
    accept: Optional[str],
    wanted: Optional[str] = None,
    sessions: int = 0,
) -> list[Step]:
    """The databases change names. ``incoming`` is the set of the new database, or of the one a rehearsed step will
    make. Raises :class:`Refused` for what stands against it, the last thing being what was not accepted."""
    live, new = family.live, family.new
    if live and live.role == LIVE and live.mark:
        if wanted and wanted != live.mark.set:
            raise Refused(
                f"Failed to swap {family.name}: it was swapped to the set {live.mark.set} at {live.mark.at}; confirm "
                "that or roll it back first."
            )
        return []
    if incoming is None:
        raise Refused(
            f"Failed to swap {family.name}: no set stands complete beside it; restore one first, with state: beside."
        )
    if wanted and wanted != incoming.id:
        raise Refused(f"Failed to swap {family.name}: the set {incoming.id} stands beside it, not {wanted}.")
    total = sum(one.lost or 0 for one in lost)
    unknown = any(one.lost is None for one in lost)
    if live:
        _accepted(family.name, incoming, now, accept, total, unknown)
    why = f"the set {incoming.id} is to take the place of {family.name}" + ("" if live else ", which is gone")
    if live:
        why += f": {duration(span(incoming.taken, now))} of changes since {incoming.taken} go, {_rows(total, unknown)}"
    predicted: dict[str, Scalar] = {
        "set": incoming.id,
        "taken": incoming.taken,
        "span_seconds": round(span(incoming.taken, now)),
        "rows_lost": None if unknown else total,
        "tables_losing": None if unknown else len(lost),
        "sessions": sessions,
    }
    return [Step(types.SWAP.plan(family.name, why, predicted=predicted), "swap", new, derived(family.name, OLD, now))]


def _rows(total: int, unknown: bool) -> str:
    return "nobody can say how many rows" if unknown else f"about {count(total, 'row')} by number"


def _accepted(name: str, incoming: Chosen, now: datetime, accept: Optional[str], total: int, unknown: bool) -> None:
    given = clock.parse(accept, "accept_loss_since") if accept else None
    if given is not None and given <= clock.parse(incoming.taken):
        return
    said = f"accept_loss_since is {accept}" if accept else "accept_loss_since is not given"
    raise Refused(
        f"Failed to swap {name}: whatever was written in the {duration(span(incoming.taken, now))} since "
        f"{incoming.taken} would be lost ({_rows(total, unknown)}), and {said}. To accept that, set "
        f"accept_loss_since: {incoming.taken}"
    )


def roll_back(family: Family, changes: Sequence[Written], *, now: datetime, sessions: int = 0) -> list[Step]:
    """The old database gets its name back; the restored one is set aside."""
    live, old = family.live, next(iter(family.olds), None)
    swapped = live is not None and live.role == LIVE
    if old is None:
        if swapped:
            raise Refused(f"Failed to roll {family.name} back: the database from before the swap is gone.")
        return []
    if live is not None and not swapped:
        raise Refused(
            f"Failed to roll {family.name} back: the database of that name does not come from a swap, and {old.name} "
            "is there; see who renamed them."
        )
    at = live.mark.at if live and live.mark else ""
    total = sum(one.total for one in changes)
    why = f"the database from before the swap ({old.name}) is to be {family.name} again"
    if live:
        why += f"; {count(total, 'change')} since {at} are set aside"
    predicted: dict[str, Scalar] = {"rows_discarded": total, "sessions": sessions, "old": old.name}
    if live and live.mark:
        predicted["set"] = live.mark.set
    action = types.ROLL_BACK.plan(family.name, why, predicted=predicted)
    return [Step(action, "roll_back", old, derived(family.name, DISCARDED, now))]


def confirm(family: Family, name: Optional[str]) -> list[Step]:
    """What is dropped when ``name`` is confirmed: the old database, and with it those that rollbacks set aside; or
    another one that a restore has made, alone. The live database never."""
    old = next(iter(family.olds), None)
    made = [one for one in (family.new, family.rescue, *family.discarded) if one and one.mark]
    if old is None and not made:
        return []
    exact = f"; to drop {old.name}, set confirm: {old.name}" if old else ""
    if not name:
        others = "" if old else f"; there are {', '.join(one.name for one in made)}"
        raise BadInput(f"confirm: say which database is to be dropped, by its exact name{exact or others}.")
    chosen = family.named(name)
    if chosen is None:
        if old is None:
            return []
        raise BadInput(f"confirm: there is no database {name} from a restore of {family.name}{exact}.")
    if chosen.role not in (OLD, DISCARDED, NEW, RESCUE) or chosen.name == family.name:
        raise BadInput(f"confirm: {name} is not a database that a restore has set aside{exact}.")
    doomed = [chosen]
    if chosen.role == OLD:
        doomed += [one for one in family.discarded if one.name != name]
    return [
        Step(
            types.DROP_DATABASE.plan(
                one.name,
                f"it is {_WORDS[one.role]}, and its drop was confirmed",
                before={"role": one.role, "set": one.mark.set if one.mark else ""},
            ),
            "confirm",
            one,
            one.name,
        )
        for one in doomed
    ]


_WORDS = {
    OLD: "the database from before the swap",
    DISCARDED: "a restored database that was rolled back",
    NEW: "a set restored beside and not swapped",
    RESCUE: "a rescue of single tables",
}


def summarize(family: Family, state: str, steps: Sequence[Step]) -> str:
    """The plan in one sentence; why nothing is due where nothing is."""
    if steps:
        parts = [f"{one.action['action']} {one.action['subject']}: {one.action['reason']}" for one in steps]
        return f"Planned: {'; '.join(parts)}."
    live = family.live.mark if family.live else None
    stands = family.new.mark if family.new else None
    if live and live.role == LIVE:
        why = f"{family.name} holds the set {live.set} since {live.at}"
    elif state == "beside" and stands:
        why = f"the set {stands.set} stands in {family.new.name if family.new else ''} since {stands.at}"
    else:
        why = f"no swap of {family.name} stands"
    told = [f"{amount(len(family.olds))} old", f"{amount(len(family.discarded))} discarded"]
    return f"Nothing is due: {why} ({' and '.join(told)} beside it)."
