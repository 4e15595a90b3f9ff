# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Act: the steps one by one. Rows are copied, proven to be safe in the store, deleted; then their chunk is closed."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

from ansible_collections.day2.ops.plugins.module_utils._core import clock, records
from ansible_collections.day2.ops.plugins.module_utils._core.errors import (
    Deferred,
    OpsError,
    Stopped,
    StoreError,
    Unreachable,
)
from ansible_collections.day2.ops.plugins.module_utils._core.threads import TICK_SECONDS, Task
from ansible_collections.day2.ops.plugins.module_utils._postgresql.copying import Copier
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import spell
from ansible_collections.day2.ops.plugins.module_utils._retention import adopt, expire, ledger, types, whole
from ansible_collections.day2.ops.plugins.module_utils._retention import chunk as chunks
from ansible_collections.day2.ops.plugins.module_utils._retention.copy import Chunk, Pass, Target, target_of
from ansible_collections.day2.ops.plugins.module_utils._retention.delete import Deleter
from ansible_collections.day2.ops.plugins.module_utils._retention.plan import Step, leave_to_parts
from ansible_collections.day2.ops.plugins.module_utils._retention.site import Site
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Found

# Errors after which nothing further can be done here.
ENDS = (Stopped, Unreachable, StoreError)
# How long a manifest is waited for past the deadline; the next run closes what has none.
CLOSING_SECONDS = 15.0


def act(site: Site, steps: list[Step]) -> None:
    """Carry out the planned steps; their actions say what became of them.

    A step that fails does not stop the others. Raises what ends all work; then the rest is deferred.
    """
    for position, step in enumerate(steps):
        if step.action["status"] != "planned":
            continue
        if leave_to_parts(step, steps[:position]):
            continue
        try:
            _one(site, step)
        except OpsError as error:
            for later in steps[position:]:
                if later.action["status"] == "planned":
                    records.defer(later.action, _sentence(error))
            raise


def _one(site: Site, step: Step) -> None:
    """Raises what ends all work: :data:`ENDS`, and whatever does not allow to begin but for the time and the brake."""
    try:
        site.allowed()
    except Deferred as error:
        records.defer(step.action, _sentence(error))
        return
    records.begin(step.action)
    try:
        site.begin(step.kind)
        accept(site, step.found)
        _ACTS[step.kind](site, step)
    except Deferred as error:
        records.defer(step.action, _sentence(error))
    except Stopped as error:
        records.defer(step.action, _sentence(error))
        raise
    except OpsError as error:
        records.fail(step.action, _sentence(error))
        if isinstance(error, ENDS):
            raise


def _delete_rows(site: Site, step: Step) -> None:
    found = step.found
    work = Work(site, found, target_of(site, found))
    try:
        work.go()
    finally:
        step.action["after"] = types.DELETE_ROWS.measured(work.measured())
    records.finish(step.action, step.action["after"])


def accept(site: Site, found: Found) -> None:
    """From now on the policy is known here."""
    relation = found.relation
    if not found.known:
        note = ledger.note(site.run, found.policy, spell(relation.schema, relation.name), ledger.ACCEPT)
        site.worker.rows(ledger.insert(note))


@dataclass
class Work:
    """One pass over one policy, and what became of it."""

    site: Site
    found: Found
    target: Target
    began: float = field(default_factory=time.monotonic)
    chunks: int = 0
    bytes: int = 0
    archived: int = 0
    closings: list[Task[Any]] = field(default_factory=list)
    deleter: Optional[Deleter] = None

    def go(self) -> None:
        site = self.site
        self.deleter = Deleter(site, self.found)
        with closing(Copier(site.run, "read", site.control)) as copier:
            reading = Pass(copier, self.found, self.target, site.run.params["chunk_bytes"])
            for chunk in reading.chunks(site.look):
                self._delete(self.deleter, chunk)
        for task in self.closings:
            task.result(site.look)

    def _delete(self, deleter: Deleter, chunk: Chunk) -> None:
        self.chunks += 1
        self.bytes += chunk.keys.size
        self.archived += chunk.stored.size if chunk.stored else 0
        try:
            deleter.delete(chunk)
        except Deferred:
            # The rest stays for the next run; what is gone is closed now, or by that run.
            self.site.flush()
            if self._close(chunk):
                self._wait(self.closings[-1])
            raise
        self._close(chunk)

    def _close(self, chunk: Chunk) -> bool:
        """Begin to put the manifest, from what the ledger says. Without a row there, the chunk stays an orphan."""
        store = self.target.store
        gone = ledger.batches(self.site.control, chunk.prefix) if store is not None else []
        if store is None or not gone:
            return False
        self.closings = [task for task in self.closings if not _fine(task)]
        self.closings.append(Task(lambda: chunks.close(store, chunk.prefix, chunk.about, gone)))
        return True

    def _wait(self, task: Task[Any]) -> None:
        until = time.monotonic() + CLOSING_SECONDS
        while not task.over and time.monotonic() < until:
            self.site.run.live.sleep(TICK_SECONDS)
        _fine(task)

    def measured(self) -> dict[str, Any]:
        """For the action's after."""
        policy, relation = self.found.policy, self.found.relation
        measures: dict[str, Any] = {
            "policy": policy.name,
            "table": spell(relation.schema, relation.name),
            "cutoff": clock.iso(self.found.cutoff) if self.found.cutoff else None,
            "seconds": round(time.monotonic() - self.began, 1),
            "rows_held": self.found.due.held,
            "bytes": self.bytes,
            "bytes_archived": self.archived,
            "chunks": self.chunks,
            "archive": None if policy.erase else self.target.folder,
        }
        if self.deleter is not None:
            done = self.deleter.done
            measures.update(
                rows_deleted=done.deleted,
                rows_stayed=done.stayed,
                batches=done.batches,
                longest_batch_seconds=round(done.longest, 3),
                paused_seconds=round(done.paused, 1),
            )
        told = self.site.brake.told()
        return {**measures, **{name: value for name, value in told.items() if name in types.DELETE_ROWS.measures}}


def _fine(task: Task[Any]) -> bool:
    """Whether it is over; its error, if any, is raised."""
    if task.over:
        task.result()
    return task.over


def _sentence(error: OpsError) -> str:
    return str(error).rstrip(".").replace("Stopped: ", "", 1)


_ACTS: dict[str, Callable[[Site, Step], None]] = {
    types.DELETE_ROWS.name: _delete_rows,
    types.DROP_PARTITION.name: whole.drop,
    types.DELETE_AGAIN.name: adopt.delete_again,
    types.VOID_ARCHIVE.name: adopt.void,
    types.DELETE_ARCHIVE.name: expire.remove,
}
