# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Act: the steps one by one, in order, each under the locks, the brake and the deadline, and measured again."""

from __future__ import annotations

import time
from typing import Any, Callable, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core import records
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Deferred, OpsError, Stopped, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._postgresql import (
    holders,
    needs,
    read,
    rebuild,
    trouble,
    types,
)
from ansible_collections.day2.ops.plugins.module_utils._postgresql.care import read_at_work
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Row, compose
from ansible_collections.day2.ops.plugins.module_utils._postgresql.order import Step, fit, leave_at_work
from ansible_collections.day2.ops.plugins.module_utils._postgresql.site import (
    Site,
    await_holders,
    left_at_end,
    limited,
    quoted,
    seconds_since,
    sentence,
)
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import Table
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import so_far

# Servers before 15 count through a collector that takes its time.
STATS_SECONDS = 5.0
# How much of what was there before must be left for "nothing was removed".
STILL_THERE = 0.95


def act(site: Site, steps: Sequence[Step]) -> None:
    """Carry out the planned steps; their actions say what became of them.

    A failing step does not stop the others. Raises Stopped and Unreachable when nothing further can be done; then the
    rest is deferred.
    """
    for position, step in enumerate(steps):
        if not step.planned:
            continue
        try:
            _refit(site, step)
            if step.planned:
                _one(site, step)
        except (Stopped, Unreachable) as error:
            leave(steps[position:], error)
            raise


def leave(steps: Sequence[Step], error: OpsError) -> None:
    """Defer what was still to be done when the work ended."""
    for step in steps:
        if step.planned:
            records.defer(step.action, sentence(error))


def _one(site: Site, step: Step) -> None:
    try:
        site.run.deadline.check()
        site.look()
        site.locks.still_held()
        site.same_server()
        site.brake.clear()
        await_holders(site, step)
        if not step.need.urgent:
            leave_at_work(step, read_at_work(site.control, site.own))
        if not step.planned:
            return
        holder = site.locks.exclude(step.kind)
        if holder is not None:
            records.defer(step.action, holder)
            return
        records.begin(step.action)
        began = time.monotonic()
        try:
            _ACTS[step.kind](site, step)
        except (Deferred, trouble.SqlError):
            site.locks.admit(step.kind)
            raise
        site.locks.admit(step.kind)
        _learn(site, step, time.monotonic() - began)
        _prove(step)
    except Deferred as error:
        records.defer(step.action, sentence(error))
    except Stopped as error:
        if step.action["started"]:
            records.defer(step.action, sentence(error))
        raise
    except trouble.SqlError as error:
        records.fail(step.action, sentence(error))
    except OpsError as error:
        if step.action["started"]:
            records.fail(step.action, sentence(error))
        raise
    finally:
        site.brake.tell(step.action, types.ACTIONS[step.kind])


def _refit(site: Site, step: Step) -> None:
    """Predictions follow what this run has learnt of the server; what fits no longer is deferred in time."""
    left = site.run.deadline.left()
    if left is not None:
        fit([step], left, site.rates)


def _learn(site: Site, step: Step, seconds: float) -> None:
    """The rate at which the predicted amount of work was done, averaged with what was known."""
    predicted_by = step.action["predicted"].get("rate")
    if seconds > 0.5 and step.seconds > 0.5 and step.kind in site.rates and predicted_by:
        seen = predicted_by * step.seconds / seconds
        site.rates[step.kind] = (site.rates[step.kind] + seen) / 2


def _prove(step: Step) -> None:
    """Put actual and predicted side by side: how many times the predicted seconds and bytes it took and brought."""
    action = step.action
    for measure, names in (
        ("actual_seconds_ratio", ("seconds",)),
        ("actual_bytes_ratio", ("bytes_reclaimed", "bytes_reusable")),
    ):
        for name in names:
            predicted, actual = action["predicted"].get(name), action["after"].get(name)
            if predicted and actual is not None:
                action["after"][measure] = round(actual / predicted, 3)
                break


def _vacuum(site: Site, step: Step) -> None:
    options = [option for option, wanted in (("FREEZE", step.need.freeze), ("ANALYZE", step.need.analyze)) if wanted]
    options.append("TRUNCATE" if (step.policy or site.policy).vacuum_truncate else "TRUNCATE FALSE")
    began = time.monotonic()
    statement = _on_table("VACUUM (" + ", ".join(options) + ") {table}", step)
    warnings = limited(site, step, statement, "pg_stat_progress_vacuum")
    seconds = seconds_since(began)
    table = _recounted(site, step, lambda now: now.vacuums > step.table.vacuums)
    if table is None:
        records.fail(step.action, "the server skipped it" + quoted(warnings))
        return
    after = {**_table_after(step.table, table, seconds), "bytes_reusable": _reusable(step.table, table)}
    late = left_at_end(site)
    if late is not None:
        after["overrun_seconds"] = round(-late, 1)
    records.finish(step.action, types.VACUUM.measured(after))
    _told_held(site, step, table, after)


def _reusable(before: Table, now: Table) -> int:
    """The bytes of the rows that are gone. They stay in the table's file, for new rows: nothing is given back."""
    rows = before.live + before.dead
    return int(before.bytes * max(0, before.dead - now.dead) / rows) if rows else 0


def _told_held(site: Site, step: Step, table: Table, after: Row) -> None:
    """A vacuum that removed nothing is not done, whatever the server says: it failed, and somebody has to act."""
    need = needs.vacuum(table, step.policy or site.policy, ())
    if not need.reason or need.reason == needs.ASKED:
        return
    found = holders.read_holders(site.control, site.own)
    if not found:
        return
    if need.freeze:
        in_vain, what = not _younger(step.table, table), "its age could not be lowered"
    else:
        before = step.table.dead + step.table.toast_dead
        in_vain, what = table.dead + table.toast_dead >= STILL_THERE * before, "dead rows could not be removed"
    if need.freeze or in_vain:
        after["held_by"] = found[0].what
        step.action["after"] = types.VACUUM.measured(after)
    if in_vain:
        records.fail(step.action, f"{what} while {found[0].what} is open{so_far(found[0].age)}")


def _younger(before: Table, now: Table) -> bool:
    """Whether a vacuum has lowered the age of transaction ids or multixacts, whichever was nearer to its wraparound."""
    if before.mxid_age > before.xid_age:
        return now.mxid_age < STILL_THERE * before.mxid_age
    return now.xid_age < STILL_THERE * before.xid_age


def _analyze(site: Site, step: Step) -> None:
    began = time.monotonic()
    warnings = limited(site, step, _on_table("ANALYZE {table}", step), "pg_stat_progress_analyze")
    seconds = seconds_since(began)
    table = _recounted(site, step, lambda now: now.analyzes > step.table.analyzes)
    if table is None:
        records.fail(step.action, "the server skipped it" + quoted(warnings))
        return
    records.finish(step.action, types.ANALYZE.measured(_table_after(step.table, table, seconds)))


_ACTS: dict[str, Callable[[Site, Step], None]] = {
    "vacuum": _vacuum,
    "analyze": _analyze,
    "reindex": rebuild.reindex,
    "drop_index": rebuild.drop_index,
}


def _on_table(template: str, step: Step) -> Any:
    return compose(template, table=(step.table.schema, step.table.name))


def _recounted(site: Site, step: Step, arrived: Callable[[Table], bool]) -> Optional[Table]:
    """The table read again once the server has counted the work; None when it never does."""
    until = time.monotonic() + STATS_SECONDS
    while True:
        found = read.read_tables(site.control, oids=[step.table.oid])
        if found and arrived(found[0]):
            return found[0]
        if not found or time.monotonic() > until:
            return None
        site.run.live.sleep(0.2)


def _table_after(before: Table, now: Table, seconds: float) -> Row:
    return {
        "seconds": seconds,
        "bytes": now.bytes + now.toast_bytes,
        "bytes_reclaimed": before.bytes + before.toast_bytes - now.bytes - now.toast_bytes,
        "live_rows": now.live,
        "dead_rows": now.dead,
        "dead_ratio": needs.dead_ratio(now),
        "xid_age": now.xid_age,
        "changed_rows": now.changed,
    }
