# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Act: the steps one by one, in order, each under the locks, the brake and the deadline, and measured again."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Callable, Optional

from ansible_collections.day2.ops.plugins.module_utils._core import records
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Deferred, OpsError, Stopped, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql import needs, read, trouble, types
from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake import Brake
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Row, Session, compose
from ansible_collections.day2.ops.plugins.module_utils._postgresql.dial import application_name
from ansible_collections.day2.ops.plugins.module_utils._postgresql.history_of import raised_to
from ansible_collections.day2.ops.plugins.module_utils._postgresql.leftovers import Leftovers
from ansible_collections.day2.ops.plugins.module_utils._postgresql.locks import Locks
from ansible_collections.day2.ops.plugins.module_utils._postgresql.order import Step, fit
from ansible_collections.day2.ops.plugins.module_utils._postgresql.progress import Progress
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import Index, Policy, Table

LOCK_TRIES = 3
# Servers before 15 count through a collector that takes its time.
STATS_SECONDS = 5.0
# How much of what was there before must be left for "nothing was removed".
STILL_THERE = 0.95


@dataclass
class Site:
    """Everything the work needs: who works, who watches, what holds the place, and what allows to go on."""

    run: Run
    policy: Policy
    worker: Session
    control: Session
    locks: Locks
    brake: Brake
    same_server: Callable[[], None]
    rates: dict[str, float] = field(default_factory=dict)


def act(site: Site, steps: list[Step]) -> None:
    """Carry out the planned steps; their actions say what became of them.

    A failing step does not stop the others. Raises Stopped and Unreachable when nothing further can be done; then the
    rest is deferred.
    """
    for position, step in enumerate(steps):
        if step.action["status"] != "planned":
            continue
        try:
            _refit(site, steps[position:])
            if step.action["status"] == "planned":
                _one(site, step)
        except (Stopped, Unreachable) as error:
            for later in steps[position:]:
                if later.action["status"] == "planned":
                    records.defer(later.action, _sentence(error))
            raise


def _one(site: Site, step: Step) -> None:
    try:
        site.run.deadline.check()
        site.locks.still_held()
        site.same_server()
        site.brake.clear()
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
    except Deferred as error:
        records.defer(step.action, _sentence(error))
    except Stopped as error:
        if step.action["started"]:
            records.defer(step.action, _sentence(error))
        raise
    except trouble.SqlError as error:
        records.fail(step.action, _sentence(error))
    except OpsError as error:
        if step.action["started"]:
            records.fail(step.action, _sentence(error))
        raise
    finally:
        site.brake.tell(step.action, types.ACTIONS[step.kind])


def _refit(site: Site, steps: list[Step]) -> None:
    """Predictions follow what this run has learnt of the server; what fits no longer is deferred in time."""
    left = site.run.deadline.left()
    if left is not None:
        # Only the next one: the rest is judged when its turn comes.
        fit(steps[:1], left, site.rates)


def _learn(site: Site, step: Step, seconds: float) -> None:
    """The rate at which the predicted amount of work was done, averaged with what was known."""
    predicted_by = step.action["predicted"].get("rate")
    if seconds > 0.5 and step.seconds > 0.5 and step.kind in site.rates and predicted_by:
        seen = predicted_by * step.seconds / seconds
        site.rates[step.kind] = (site.rates[step.kind] + seen) / 2


def _vacuum(site: Site, step: Step) -> None:
    options = [option for option, wanted in (("FREEZE", step.need.freeze), ("ANALYZE", step.need.analyze)) if wanted]
    options.append("TRUNCATE" if site.policy.vacuum_truncate else "TRUNCATE FALSE")
    warnings, seconds = _locking(site, step, "VACUUM (" + ", ".join(options) + ") {table}")
    table = _recounted(site, step, lambda now: now.vacuums > step.table.vacuums)
    if table is None:
        records.fail(step.action, "the server skipped it" + _quoted(warnings))
        return
    after = _table_after(step.table, table, seconds)
    left = site.run.deadline.left()
    if left is not None and left < 0:
        after["overrun_seconds"] = round(-left, 1)
    records.finish(step.action, types.VACUUM.measured(after))
    _told_held(site, step, table, after)


def _told_held(site: Site, step: Step, table: Table, after: Row) -> None:
    """A vacuum that removed nothing is not done: it is left, with the name of who keeps the rows."""
    need = needs.vacuum(table, site.policy, ())
    if not need.reason:
        return
    removed_nothing = table.dead + table.toast_dead >= STILL_THERE * (step.table.dead + step.table.toast_dead)
    holders = read.read_holders(site.control, _own(site))
    if holders and (need.freeze or removed_nothing):
        after["held_by"] = holders[0].what
        step.action["after"] = types.VACUUM.measured(after)
        records.defer(step.action, f"dead rows could not be removed while {holders[0].what} is open")


def _analyze(site: Site, step: Step) -> None:
    warnings, seconds = _locking(site, step, "ANALYZE {table}")
    table = _recounted(site, step, lambda now: now.analyzes > step.table.analyzes)
    if table is None:
        records.fail(step.action, "the server skipped it" + _quoted(warnings))
        return
    records.finish(step.action, types.ANALYZE.measured(_table_after(step.table, table, seconds)))


def _index(step: Step) -> Index:
    if step.index is None:
        raise AssertionError(f"Contract violation: {step.action['action']} was planned without an index")
    return step.index


def _reindex(site: Site, step: Step) -> None:
    index = _index(step)
    debris = Leftovers(site.control, step.table.oid)
    left = site.run.deadline.left()
    # What an interrupted rebuild leaves is dropped before the deadline, not after it.
    reserve = 0.0 if left is None else min(15.0, left / 10)
    began = time.monotonic()
    statement = compose("REINDEX INDEX CONCURRENTLY {index}", index=(index.schema, index.name))
    try:
        # lock_timeout would also end the waits between its phases, which hold up nobody; the brake sees to the rest.
        warnings = site.worker.run(
            statement,
            timeout=None if left is None else left - reserve,
            settings=_settings(site, step, 0),
            watch=_watch(site, step, "pg_stat_progress_create_index"),
        )
    except OpsError as error:
        _clean(site, step, debris, error)
        raise
    now = [one for one in read.read_indexes(site.control, [step.table]) if one.name == index.name]
    if not now or now[0].oid == index.oid or not now[0].valid:
        records.fail(step.action, "the server skipped it" + _quoted(warnings))
        return
    after = {
        "seconds": round(time.monotonic() - began, 1),
        "bytes": now[0].bytes,
        "bytes_reclaimed": index.bytes - now[0].bytes,
        "rows": now[0].rows,
    }
    raised = raised_to(index.bytes, index.bytes - now[0].bytes, step.need.bloat)
    if raised is not None:
        after["threshold"] = raised
    records.finish(step.action, types.REINDEX.measured(after))


def _clean(site: Site, step: Step, debris: Leftovers, error: OpsError) -> None:
    """Drop what the interrupted rebuild left, or record it as its cost; the next run removes it."""
    try:
        names = debris.found(final=True)
        if names and isinstance(error, (Deferred, trouble.SqlError)):
            names = debris.drop(site.worker, names)
    except OpsError:
        names = [(step.index.schema, f"{step.index.name}_ccnew")] if step.index else []
    if names:
        step.action["after"] = types.REINDEX.measured({"invalid_index": ", ".join(name for _schema, name in names)})


def _drop_index(site: Site, step: Step) -> None:
    index = _index(step)
    began = time.monotonic()
    statement = compose("DROP INDEX CONCURRENTLY {index}", index=(index.schema, index.name))
    site.worker.run(statement, settings=_settings(site, step, 0), watch=_watch(site, step, ""))
    after = {"seconds": round(time.monotonic() - began, 1), "bytes": 0, "bytes_reclaimed": index.bytes}
    records.finish(step.action, types.DROP_INDEX.measured(after))


_ACTS: dict[str, Callable[[Site, Step], None]] = {
    "vacuum": _vacuum,
    "analyze": _analyze,
    "reindex": _reindex,
    "drop_index": _drop_index,
}


def _locking(site: Site, step: Step, template: str) -> tuple[list[str], float]:
    """Run a statement that needs one lock at its start: a few short tries, so that nobody queues behind us for long."""
    began = time.monotonic()
    costs = site.brake.vacuum_costs(urgent=step.need.urgent) if step.kind == "vacuum" else {}
    view = "pg_stat_progress_vacuum" if step.kind == "vacuum" else "pg_stat_progress_analyze"
    for attempt in range(1, LOCK_TRIES + 1):
        try:
            warnings = site.worker.run(
                compose(template, table=(step.table.schema, step.table.name)),
                overrun=step.need.urgent,
                settings={**_settings(site, step, site.policy.lock_timeout), **costs},
                watch=_watch(site, step, view),
            )
            return warnings, round(time.monotonic() - began, 1)
        except trouble.SqlError as error:
            if error.sqlstate != trouble.LOCK_NOT_AVAILABLE:
                raise
        if attempt < LOCK_TRIES:
            site.run.live.sleep(random.uniform(0.5, 1.5) * attempt)
    tries = f"{LOCK_TRIES} tries of {site.policy.lock_timeout:g} s"
    raise Deferred(f"{read.lock_holder(site.control, step.table.oid)} kept it locked through {tries}")


def _settings(site: Site, step: Step, lock_timeout: float) -> dict[str, str]:
    return {
        "lock_timeout": f"{int(lock_timeout * 1000)}ms",
        "application_name": application_name(site.run.id, step.kind),
    }


def _watch(site: Site, step: Step, view: str) -> Callable[[], None]:
    progress = Progress(site.control, site.worker.pid, view, f"{step.kind} {step.action['subject']}")

    def look() -> None:
        site.brake.watch(site.worker.pid)
        progress.tell(site.run.live)

    return look


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


def _own(site: Site) -> list[int]:
    return [site.worker.pid, site.control.pid, site.locks.session.pid]


def _quoted(warnings: list[str]) -> str:
    return f": {'; '.join(warnings)}" if warnings else ""


def _sentence(error: OpsError) -> str:
    return str(error).rstrip(".").replace("Stopped: ", "", 1)
