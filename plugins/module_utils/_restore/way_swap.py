# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""States swapped, rolled_back and confirmed: what stands against them, what they lose, and the acts."""

from __future__ import annotations

from dataclasses import replace
from typing import Optional

from ansible_collections.day2.ops.plugins.module_utils._backup import catalogue
from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Refused
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import count
from ansible_collections.day2.ops.plugins.module_utils._restore import beside, facts, obstacles, types
from ansible_collections.day2.ops.plugins.module_utils._restore import loss as restore_loss
from ansible_collections.day2.ops.plugins.module_utils._restore import needs as restore_needs
from ansible_collections.day2.ops.plugins.module_utils._restore import plan as restore_plan
from ansible_collections.day2.ops.plugins.module_utils._restore import swap as swaps
from ansible_collections.day2.ops.plugins.module_utils._restore.databases import (
    CLOSED,
    DISCARDED,
    LIVE,
    NEW,
    OLD,
    RESCUE,
    Database,
    Mark,
    derived,
    marking,
    together,
)
from ansible_collections.day2.ops.plugins.module_utils._restore.way import Way, counters, require_rights, rows_of_set
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store


def plan_swap(way: Way) -> list[restore_plan.Step]:
    run, family = way.run, way.family
    live, new = family.live, family.new
    incoming = None
    if not (live and live.role == LIVE):
        incoming = _incoming(way)
    lost: list[restore_loss.Loss] = []
    if incoming is not None:
        there = [one for one in (live, new) if one]
        obstacles.refuse_obstacles(way.control, family.name, there)
        if live:
            seen = counters(run, live)
            lost = restore_loss.losses(seen.rows if seen else None, incoming.rows)
            way.checks += restore_loss.loss_checks(lost)
        wanted = facts.read(way.control, live) if live else _from_set(way, incoming.id)
        require_rights(way, wanted, {one.owner for one in there}, f"swap {family.name}")
        way.extra = wanted
    return restore_plan.swap(
        family,
        incoming,
        lost,
        now=clock.now(),
        accept=run.params["accept_loss_since"],
        wanted=run.params["set"],
        sessions=_tell_sessions(way, [live, new]) if incoming else 0,
    )


def _incoming(way: Way) -> Optional[restore_plan.Chosen]:
    """The set that stands beside, or in a rehearsal the one that an earlier step would put there."""
    run, new = way.run, way.family.new
    mark = new.mark if new else None
    for action in run.params["assume_actions"] if run.check_mode else []:
        if action["action"] == types.RESTORE.name and action["status"] == "planned":
            told = action["predicted"]
            return restore_plan.Chosen(told["set"], told["taken"], rows_of_set(run, told["set"]) or {})
    if new is None or mark is None or not mark.complete:
        return None
    rows = rows_of_set(run, mark.set)
    if rows is None:
        seen = counters(run, new)
        rows = seen.rows if seen else {}
    return restore_plan.Chosen(mark.set, mark.taken, rows)


def _from_set(way: Way, id_: str) -> facts.Facts:
    """The live database is gone: what it was, only the set can tell."""
    store = open_store(way.run.params, read_only=True, deadline=way.run.deadline)
    chosen = catalogue.choose(catalogue.read(store, way.run.target), id_)
    return facts.from_manifest(way.control, catalogue.manifest_of(store, chosen))


def _tell_sessions(way: Way, databases: list[Optional[Database]]) -> int:
    there = obstacles.sessions(way.control, [one for one in databases if one])
    if there:
        ends = way.run.params["terminate_sessions"]
        then = "then they are ended" if ends else "else nothing is done"
        text = f"{count(len(there), 'session')} must leave within {way.run.params['drain_timeout']:g} s, {then}."
        advice = "Stop what they belong to first."
        way.checks.append(
            types.SESSIONS(
                way.family.name,
                len(there),
                warn=1,
                summary=text,
                advice=advice,
                database=way.family.name,
                names=obstacles.who(there),
            )
        )
    return len(there)


def swap(way: Way, step: restore_plan.Step) -> None:
    run, family, new, now = way.run, way.family, step.database, clock.now_iso()
    if new is None or new.mark is None:
        raise AssertionError("Contract violation: a swap without a restored database")
    run.deadline.check()
    site = swaps.Site(run, way.control, way.acting, way.locks, way.superuser)
    swaps.bring_over(site, way.extra, new)
    mark = Mark(run.owner, family.name, LIVE, new.mark.set, new.mark.taken, now)
    plan = swaps.Exchange(
        name=family.name,
        out=family.live,
        into=new,
        aside=step.name,
        out_mark=replace(mark, role=OLD),
        # Without an old one there is nothing to confirm or to roll back to.
        into_mark=mark if family.live else replace(mark, role=CLOSED),
    )
    measured = swaps.exchange(site, plan, way.extra)
    step.measured = {"set": mark.set, "taken": mark.taken, "old": step.name if family.live else None, **measured}


def plan_roll_back(way: Way) -> list[restore_plan.Step]:
    run, live = way.run, way.family.live
    old = next(iter(way.family.olds), None)
    changes: list[restore_loss.Written] = []
    sessions = 0
    if old:
        there = [one for one in (live, old) if one]
        obstacles.refuse_obstacles(way.control, way.family.name, there)
        restore_needs.require_rights(way.control, {one.owner for one in there}, f"roll {way.family.name} back")
        seen = counters(run, live)
        if seen and live and live.mark:
            changes = restore_loss.written(seen.changes, rows_of_set(run, live.mark.set))
            way.checks += restore_loss.written_checks(changes)
        sessions = _tell_sessions(way, [live, old])
    return restore_plan.roll_back(way.family, changes, now=clock.now(), sessions=sessions)


def roll_back(way: Way, step: restore_plan.Step) -> None:
    run, family, old, live = way.run, way.family, step.database, way.family.live
    if old is None:
        raise AssertionError("Contract violation: a rollback to nothing")
    site = swaps.Site(run, way.control, way.acting, way.locks, way.superuser)
    mark = live.mark if live else None
    now = clock.now_iso()
    aside = Mark(run.owner, family.name, DISCARDED, mark.set if mark else "", mark.taken if mark else "", now)
    plan = swaps.Exchange(
        name=family.name,
        out=live,
        into=old,
        aside=step.name,
        out_mark=aside,
        into_mark=Mark(run.owner, family.name, CLOSED, at=now),
        comment=old.comment,
    )
    measured = swaps.exchange(site, plan, None)
    step.measured = {"discarded": step.name if live else None, **measured}


def reopen(way: Way, step: restore_plan.Step) -> None:
    """Go on where a killed run stopped: what was swapped is compared and opened, what was only closed is opened."""
    database, family = step.database, way.family
    if database is None:
        raise AssertionError("Contract violation: nothing to open")
    old = next(iter(family.olds), None)
    if database.role != LIVE or old is None or old.mark is None or database.mark is None:
        way.acting.run(together(swaps.opening(database)))
        return
    plan = swaps.Exchange(
        name=family.name,
        out=replace(old, name=family.name, mark=None, open=True),
        into=replace(
            database,
            name=derived(family.name, NEW),
            mark=replace(database.mark, role=NEW, closed=False),
            comment="",
            open=True,
        ),
        aside=old.name,
        out_mark=replace(old.mark, closed=False),
        into_mark=replace(database.mark, closed=False),
    )
    site = swaps.Site(way.run, way.control, way.acting, way.locks, way.superuser)
    swaps.finish(site, plan, facts.read(way.control, old))


def plan_confirm(way: Way) -> list[restore_plan.Step]:
    steps = restore_plan.confirm(way.family, way.run.params["confirm"])
    for step in steps:
        found = way.control.rows(
            "SELECT pg_database_size(oid) AS bytes FROM pg_database WHERE datname = %s", [step.name]
        )
        step.action["before"] = types.DROP_DATABASE.measured({**step.action["before"], "bytes": found[0]["bytes"]})
    if steps:
        owners = {step.database.owner for step in steps if step.database}
        restore_needs.require_rights(way.control, owners, f"drop what a restore of {way.family.name} has made")
    return steps


def confirm(way: Way, step: restore_plan.Step) -> None:
    database, live = step.database, way.family.live
    if database is None or database.role not in (OLD, DISCARDED, NEW, RESCUE):
        raise AssertionError("Contract violation: a drop of what no restore has made")
    there = obstacles.sessions(way.control, [database])
    ends = way.run.params["terminate_sessions"]
    if there and not ends:
        raise Refused(
            f"Failed to drop {step.name}: {obstacles.who(there)} is connected. End that, or set terminate_sessions."
        )
    if database.role == OLD and live and live.role == LIVE:
        # First: with the old database gone there is no swap any more that could be rolled back.
        way.acting.run(marking(live.marked(None)))
    beside.drop(way.run, way.acting, step.name, force=ends)
