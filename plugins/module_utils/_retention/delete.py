# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deleting the rows of a chunk: short transactions, each with its row in the ledger.

Exactly the row versions that were copied go: key, version and condition are compared again. A row that is locked by
somebody is not waited for beyond ``lock_timeout``; further tries leave out rows that carry a lock. (SKIP LOCKED would
need the privilege to update the table.)
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.errors import Deferred, OpsError, Stopped, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._postgresql import trouble
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import milliseconds
from ansible_collections.day2.ops.plugins.module_utils._retention import ledger, predicate
from ansible_collections.day2.ops.plugins.module_utils._retention.copy import Chunk
from ansible_collections.day2.ops.plugins.module_utils._retention.rows import BLOCK
from ansible_collections.day2.ops.plugins.module_utils._retention.site import Site
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Found
from ansible_collections.day2.ops.plugins.module_utils._retention.statement import FREE, Plain, Rows

# A row is referenced, by one of which the condition did not know.
REFERENCED = ("23503", "23001")
# What the next try of the same batch may succeed at.
AGAIN = (trouble.LOCK_NOT_AVAILABLE, "40001", "40P01", *REFERENCED)
_NOW = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint % (1::bigint << 32) AS number"
# A transaction whose COMMIT got no answer: how long its end is waited for.
STATUS_SECONDS = 30.0
LONGEST_PAUSE = 2.0


@dataclass
class Done:
    """What became of the rows so far; seconds of the longest batch and of pauses."""

    deleted: int = 0
    stayed: int = 0
    batches: int = 0
    longest: float = 0.0
    paused: float = 0.0


class Pace:
    """How many rows a batch takes so that it lasts ``seconds``, and how long to pause after it."""

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = max(most, BLOCK)
        self._rows = float(min(self._most, 4 * BLOCK))

    def rows(self, pace: float) -> int:
        return max(BLOCK, int(min(self._rows, self._most * pace)))

    def learn(self, seconds: float, pace: float) -> float:
        """Heed how long a batch took; the pause in seconds."""
        pause = seconds if seconds > 1.5 * self._seconds else 0.0
        if seconds > self._seconds:
            self._rows = max(self._rows / 2, BLOCK)
        elif seconds < 0.4 * self._seconds:  # batches differ by half, and none of them should take longer
            self._rows = min(self._rows * 1.25, self._most)
        return min(pause + seconds * (1 / max(pace, 0.1) - 1), LONGEST_PAUSE)


class Deleter:
    """Deletes the chunks of one policy."""

    def __init__(self, site: Site, found: Found) -> None:
        self._site = site
        self._found = found
        params = site.run.params
        self._pace = Pace(params["batch_seconds"], params["batch_rows"])
        self._kind = ledger.ERASE if found.policy.erase else ledger.DELETE
        self._name = spell(found.relation.schema, found.relation.name)
        self._statement = Plain(found, ledger.note(site.run, found.policy, self._name, self._kind))
        self._settings = {
            **predicate.settings(found.policy, found.relation),
            "lock_timeout": milliseconds(params["lock_timeout"]),
            "synchronous_commit": "off",
            # The key's index it is, even if the server thinks the table empty: never the whole table for each batch.
            "enable_seqscan": "off",
            "enable_mergejoin": "off",
            "jit": "off",
        }
        self.done = Done()
        # Why rows of the chunk have to stay, in the server's words.
        self._kept = ""
        site.prepare(self._settings)
        self._began = int(site.worker.rows(_NOW)[0]["number"])

    def delete(self, chunk: Chunk) -> None:
        """Delete the rows of ``chunk`` batch by batch. The last COMMIT waits for the disk, and so for all before it.

        Raises Deferred when rows had to stay because others, which nobody let us see, reference them.
        """
        at, self._kept = 0, ""
        while at < len(chunk.keys.blocks):
            self._site.allowed()
            began = time.monotonic()
            pace = self._site.brake.pace()
            count, columns = chunk.keys.batch(at, self._pace.rows(pace))
            first, at = at * BLOCK + 1, at + (count + BLOCK - 1) // BLOCK
            deleted, stayed = self._batch(chunk, first, count, columns, last=at >= len(chunk.keys.blocks))
            chunk.deleted += deleted
            self._count(deleted, stayed, time.monotonic() - began, pace)
        if self._kept:
            raise Deferred(
                f"rows of {self._name} are referenced by some that this user does not see ({self._kept}); let it "
                "SELECT from that table, so that these stay and the others go"
            )

    def _count(self, deleted: int, stayed: int, seconds: float, pace: float) -> None:
        done = self.done
        done.deleted += deleted
        done.stayed += stayed
        done.batches += 1
        done.longest = max(done.longest, seconds)
        due = max(self._found.due.rows, done.deleted, 1)
        self._site.run.live.progress(f"deleting from {self._name}: {done.deleted} of {due} rows", done.deleted / due)
        pause = self._pace.learn(seconds, pace)
        if pause > 0.001:
            done.paused += pause
            self._site.run.live.sleep(pause)

    def _batch(self, chunk: Chunk, first: int, count: int, columns: list[str], *, last: bool) -> tuple[int, int]:
        """(deleted, stayed) of one transaction, in one of a few tries."""
        place = self._place(chunk, first, count)
        rows = Rows(columns, chunk.keys.span(first, count), first, count)
        tries: tuple[str, ...] = FREE
        kept = ""
        try:
            if self._all(rows, place, durable=last):
                return count, 0
        except trouble.SqlError as error:
            self._roll_back()
            if error.sqlstate not in AGAIN:
                raise
            tries = FREE[1:]
            if error.sqlstate in REFERENCED and count > BLOCK:
                return self._blocks(chunk, first, count, last=last)
        # At last nobody can have these now: the ledger says that all of them stayed.
        for free in (*tries, "false"):
            try:
                found = self._some(rows, place, free.format(self._began), durable=last)
                if found is not None:
                    self._kept = kept if free == "false" and kept else self._kept
                    return found
            except trouble.SqlError as error:
                self._roll_back()
                if error.sqlstate not in AGAIN:
                    raise
                kept = str(error).rstrip(".") if error.sqlstate in REFERENCED else kept
        raise Unreachable(f"The connection to {self._site.worker.place} was lost again and again.")

    def _blocks(self, chunk: Chunk, first: int, count: int, *, last: bool) -> tuple[int, int]:
        """The batch in parts, as small as can be: only that with a row which is referenced stays."""
        sums = (0, 0)
        for at in range(first, first + count, BLOCK):
            size, columns = chunk.keys.batch(at // BLOCK, BLOCK)
            done = self._batch(chunk, at, size, columns, last=last and at + size == first + count)
            sums = (sums[0] + done[0], sums[1] + done[1])
        return sums

    def _place(self, chunk: Chunk, first: int, count: int) -> dict[str, Any]:
        """What the ledger says of a batch before it is done."""
        stored = chunk.stored
        last = first + count - 1
        place: dict[str, Any] = {"chunk": chunk.prefix, "first_row": first, "last_row": last}
        place.update(first_key=chunk.keys.text(first), last_key=chunk.keys.text(last))
        if stored is not None:
            place.update(object=stored.key, version=stored.etag, sha256=stored.sha256)
        return place

    def _all(self, rows: Rows, place: dict[str, Any], *, durable: bool) -> bool:
        """The usual way, at half the cost: whether all rows were there as they were copied, and went."""
        worker = self._site.worker
        worker.rows(self._begin(durable) + self._statement.all(rows))
        if worker.affected != rows.count:
            self._roll_back()
            return False
        noted = worker.rows(self._statement.note(rows, place))[0]
        return self._commit(str(noted["xid"]), (rows.count, 0), place) == (rows.count, 0)

    def _some(self, rows: Rows, place: dict[str, Any], free: str, *, durable: bool) -> Optional[tuple[int, int]]:
        """Delete what is there and COMMIT. None when that has to be tried again: the COMMIT got lost."""
        worker = self._site.worker
        if "rules" in self._found.policy.accept:
            return self._some_plainly(rows, place, free, durable=durable)
        row = worker.rows(self._begin(durable) + self._statement.batch(rows, place, free))[0]
        return self._commit(str(row["xid"]), (int(row["deleted"]), int(row["stayed"])), place)

    def _some_plainly(
        self, rows: Rows, place: dict[str, Any], free: str, *, durable: bool
    ) -> Optional[tuple[int, int]]:
        """The same for tables with rules; None, too, when rows changed in between."""
        worker = self._site.worker
        there = worker.rows(self._begin(durable) + self._statement.choose(rows, free))
        chosen = [int(row["day2_o"]) for row in there]
        worker.rows(self._statement.chosen(rows, chosen))
        if worker.affected != len(chosen):
            self._roll_back()
            return None
        stayed = sorted(set(range(1, rows.count + 1)) - set(chosen))
        noted = worker.rows(self._statement.partly(rows, place, stayed))[0]
        return self._commit(str(noted["xid"]), (len(chosen), len(stayed)), place)

    def _begin(self, durable: bool) -> Any:
        from psycopg2 import sql

        return sql.SQL("BEGIN; " + (f"SET LOCAL synchronous_commit = {self._site.durable}; " if durable else ""))

    def _commit(self, xid: str, done: tuple[int, int], place: dict[str, Any]) -> Optional[tuple[int, int]]:
        try:
            self._site.worker.rows("COMMIT")
        except Unreachable as error:
            return self._lost(error, xid, place)
        return done

    def _lost(self, error: Unreachable, xid: str, place: dict[str, Any]) -> Optional[tuple[int, int]]:
        """A COMMIT without an answer: wait for that transaction to end; the ledger tells how.

        A server that crashed gives the number of a transaction that it lost to another one: only the ledger counts.
        """
        try:
            worker = self._site.reconnect(self._settings)
        except OpsError as again:
            if isinstance(again, Stopped):
                raise
            raise error from again
        until = time.monotonic() + STATUS_SECONDS
        while _status(worker, xid) == "in progress":
            if time.monotonic() > until:
                raise error
            self._site.run.live.sleep(0.2)
        return ledger.there(worker, place["chunk"], self._kind, place["first_row"])

    def _roll_back(self) -> None:
        self._site.worker.rows("ROLLBACK")


def _status(session: Session, xid: str) -> Optional[str]:
    try:
        status: Optional[str] = session.rows("SELECT pg_xact_status(%s::xid8) AS status", [xid])[0]["status"]
    except trouble.SqlError:  # a number that the server has not given out (again) yet
        return None
    return status
