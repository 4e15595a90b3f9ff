# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What killed runs left in a store: leases nobody holds any more and unfinished uploads, to be found and removed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Optional, Union

from ansible_collections.day2.ops.plugins.module_utils._core import clock, records
from ansible_collections.day2.ops.plugins.module_utils._core.errors import StoreConflict, StoreError
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import ActionType, CheckType
from ansible_collections.day2.ops.plugins.module_utils._store import lease
from ansible_collections.day2.ops.plugins.module_utils._store.base import Partial, Store

STORE_LEFTOVERS = CheckType("store_leftovers", "count", "above", ("leases", "unfinished"))
DELETE_LEASE = ActionType("delete_lease", "protect", ("owner", "taken", "expires"))
ABORT_UPLOAD = ActionType("abort_upload", "protect", ("upload_id", "started"))
DELETE_PARTIAL = ActionType("delete_partial", "protect", ("file", "started"))


@dataclass(frozen=True)
class State:
    """``leases`` of the targets looked at; ``partials`` younger ones too; ``now`` aware."""

    location: str
    now: datetime
    leases: tuple[lease.Lease, ...]
    partials: tuple[Partial, ...]


@dataclass
class Step:
    """An action and the thing it is about."""

    action: dict[str, Any]
    thing: Union[lease.Lease, Partial]


def find(store: Store, target: Optional[str], now: datetime) -> State:
    """Leases and unfinished puts of ``target``, or of all targets."""
    targets = [lease.target_name(target)] if target else sorted(lease.leased_targets(store))
    leases = [held for held in (lease.read_lease(store, name) for name in targets) if held is not None]
    partials = [partial for partial in store.partials("v1/") if target in (None, _target(partial))]
    return State(store.location, now, tuple(leases), tuple(partials))


def plan(state: State, older_than: float) -> list[Step]:
    """Leases that are over, and unfinished puts older than ``older_than`` seconds unless their target is leased."""
    steps: list[Step] = []
    live = {held.target: held for held in state.leases if not held.over(state.now)}
    for held in state.leases:
        why = held.over(state.now)
        if why:
            before = {
                "owner": held.holder.owner,
                "taken": clock.iso(held.taken),
                "expires": clock.iso(held.expires),
            }
            steps.append(Step(DELETE_LEASE.plan(held.key, f"the lease is over: {why}", before=before), held))
    for partial in sorted(state.partials, key=lambda each: (each.key, each.id)):
        if state.now - partial.started < timedelta(seconds=older_than):
            continue
        upload = partial.kind == "upload"
        kind, name = (ABORT_UPLOAD, "upload_id") if upload else (DELETE_PARTIAL, "file")
        began = clock.iso(partial.started)
        action = kind.plan(
            f"{partial.key} ({partial.id})",
            f"the {'upload, begun' if upload else 'file, last written'} {began}, was never finished",
            before={name: partial.id, "started": began},
        )
        holder = live.get(_target(partial))
        steps.append(Step(records.skip(action, f"held by {holder.held_by()}") if holder else action, partial))
    return steps


def act(store: Store, steps: list[Step], run: Run) -> None:
    """Carry out what is planned, in order. One that fails does not stop the others; the first failure is raised."""
    failures: list[StoreError] = []
    for done, step in enumerate(steps):
        if step.action["status"] != "planned":
            continue
        run.live.check()
        if run.deadline.expired():
            records.defer(step.action, "the deadline has come")
            continue
        run.live.progress(f"sweeping {store.location}: {step.action['subject']}", done / len(steps))
        records.begin(step.action)
        try:
            if isinstance(step.thing, Partial):
                store.drop(step.thing)
            else:
                store.delete(step.thing.key, if_match=step.thing.etag)
            records.finish(step.action)
        except StoreConflict:
            step.action["started"] = None
            records.skip(step.action, "the lease was taken up again meanwhile")
        except StoreError as error:
            failures.append(error)
            records.fail(step.action, str(error))
    if failures:
        raise failures[0]


def check(state: State, steps: list[Step]) -> dict[str, Any]:
    """One check: how many leftovers there are."""
    due = [step for step in steps if step.action["status"] == "planned"]
    leases = sum(isinstance(step.thing, lease.Lease) for step in due)
    return STORE_LEFTOVERS(
        state.location,
        len(due),
        warn=1,
        summary=f"{leases} leases that nobody holds and {len(due) - leases} unfinished uploads lie in the store.",
        advice="Run day2.ops.store_sweep without check mode.",
        leases=leases,
        unfinished=len(due) - leases,
    )


def _target(partial: Partial) -> str:
    """The target of a key like ``v1/backups/<target_id>/…``."""
    return [*partial.key.split("/"), "", ""][2]
