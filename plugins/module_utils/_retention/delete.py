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

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError, Stopped, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._postgresql import trouble
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import spell
from ansible_collections.day2.ops.plugins.module_utils._retention import ledger, predicate
from ansible_collections.day2.ops.plugins.module_utils._retention.copy import Chunk, source, walk_of
from ansible_collections.day2.ops.plugins.module_utils._retention.rows import BLOCK
from ansible_collections.day2.ops.plugins.module_utils._retention.site import Site
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Found

# What the next try of the same batch may succeed at.
AGAIN = (trouble.LOCK_NOT_AVAILABLE, "40001", "40P01")
# Rows that no running transaction has locked, as far as one is enough to lock them; what several have locked together
# has a number of its own, which tells nothing. Then only rows that nobody touched before we began, but for ourselves.
_UNLOCKED = (
    "t.xmax <> ALL (ARRAY(SELECT day2_l.transactionid FROM pg_catalog.pg_locks AS day2_l"
    " WHERE day2_l.locktype = 'transactionid' AND day2_l.transactionid IS NOT NULL))"
)
_UNTOUCHED = " AND (t.xmax = '0'::xid OR t.xmax::text::bigint >= {})"
FREE = ("true", _UNLOCKED, _UNLOCKED + _UNTOUCHED)
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
        pause = 0.0
        if seconds > 1.5 * self._seconds:
            self._rows = max(self._rows / 2, BLOCK)
            pause = seconds
        elif seconds < 0.75 * self._seconds:
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
        self._statement = Statement(found, ledger.note(site.run, found.policy, self._name, self._kind))
        self._settings = {
            **predicate.settings(found.policy, found.relation),
            "lock_timeout": f"{int(params['lock_timeout'] * 1000)}ms",
            "synchronous_commit": "off",
            # The key's index it is, even if the server thinks the table empty: never the whole table for each batch.
            "enable_seqscan": "off",
            "enable_mergejoin": "off",
            "jit": "off",
        }
        self.done = Done()
        site.prepare(self._settings)
        self._began = int(site.worker.rows(_NOW)[0]["number"])

    def delete(self, chunk: Chunk) -> None:
        """Delete the rows of ``chunk`` batch by batch. The last COMMIT waits for the disk, and so for all before it."""
        at = 0
        while at < len(chunk.keys.blocks):
            self._site.allowed()
            began = time.monotonic()
            pace = self._site.brake.pace()
            count, columns = chunk.keys.batch(at, self._pace.rows(pace))
            first, at = at * BLOCK + 1, at + (count + BLOCK - 1) // BLOCK
            deleted, stayed = self._batch(chunk, first, count, columns, last=at >= len(chunk.keys.blocks))
            self._count(deleted, stayed, time.monotonic() - began, pace)

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
        known = self._place(chunk, first, count)
        span = chunk.keys.span(first, count)
        for free in FREE:
            statement = self._statement.batch(columns, span, first, count, known, free.format(self._began))
            try:
                found = self._transaction(statement, known, durable=last)
                if found is not None:
                    return found
            except trouble.SqlError as error:
                self._roll_back()
                if error.sqlstate not in AGAIN:
                    raise
        # Nobody can have these now: the ledger says that all of them stayed.
        statement = self._statement.batch(columns, span, first, count, known, "false")
        found = self._transaction(statement, known, durable=last)
        if found is None:
            raise Unreachable(f"The connection to {self._site.worker.place} was lost again and again.")
        return found

    def _place(self, chunk: Chunk, first: int, count: int) -> dict[str, Any]:
        """What the ledger says of a batch before it is done."""
        stored = chunk.stored
        last = first + count - 1
        place: dict[str, Any] = {"chunk": chunk.prefix, "first_row": first, "last_row": last}
        place.update(first_key=chunk.keys.text(first), last_key=chunk.keys.text(last))
        if stored is not None:
            place.update(object=stored.key, version=stored.etag, sha256=stored.sha256)
        return place

    def _transaction(self, statement: Any, place: dict[str, Any], *, durable: bool) -> Optional[tuple[int, int]]:
        """Delete and COMMIT. None when the COMMIT got lost and did not happen."""
        from psycopg2 import sql

        worker = self._site.worker
        begin = "BEGIN; "
        if durable:
            begin += f"SET LOCAL synchronous_commit = {self._site.durable}; "
        row = worker.rows(sql.SQL(begin) + statement)[0]
        try:
            worker.rows("COMMIT")
        except Unreachable as error:
            return self._lost(error, row["xid"], place)
        return int(row["deleted"]), int(row["stayed"])

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


class Statement:
    """The statement of a batch; everything but the keys is put together once."""

    def __init__(self, found: Found, fixed: dict[str, Any]) -> None:
        from psycopg2 import sql

        relation = found.relation
        self._fixed = fixed
        self._table = source(relation)
        self._lead = relation.column(walk_of(found.policy, relation)[0])
        self._due = predicate.due(found.policy, relation, found.cutoff)
        names = [f"day2_k{number}" for number in range(len(relation.key))]
        own = [sql.Identifier(name) for name in names]
        types = [relation.column(name).type for name in relation.key]
        self._names = sql.SQL(", ").join(own)
        # Arrays of arrays and of rows come out of unnest in their parts: what may be one goes through text.
        self._arrays = ["xid[]", *("text[]" if "." in kind or kind.endswith("]") else f"{kind}[]" for kind in types)]
        self._typed = sql.SQL(", ").join(
            sql.SQL("{}::{} AS {}").format(one, sql.SQL(kind), one) for one, kind in zip(own, types)
        )
        self._key = sql.SQL("jsonb_build_array({})::text").format(
            sql.SQL(", ").join(sql.SQL("format('%s', {})").format(one) for one in own)
        )
        self._same = sql.SQL(" AND ").join(
            sql.SQL("{} = day2_d.{}").format(sql.Identifier("t", name), one) for name, one in zip(relation.key, own)
        )

    def batch(
        self,
        columns: list[str],
        span: tuple[str, str],
        first: int,
        count: int,
        place: dict[str, Any],
        free: str,
    ) -> Any:
        """Delete ``count`` rows from ordinal ``first`` on, and say so in the ledger; returns xid, deleted and stayed.

        ``columns``: array literals of the versions and of each column of the key. ``span``: where they lie in the first
        column of the walk; it changes nothing, but lets the server read neighbours together. ``free``: one of
        :data:`FREE`.
        """
        from psycopg2 import sql

        note = ledger.insert(
            {
                **self._fixed,
                **place,
                "deleted": sql.SQL("(SELECT count(*) FROM day2_gone)"),
                "stayed": sql.SQL("ARRAY(SELECT day2_o FROM day2_stay ORDER BY 1)"),
                "stayed_keys": sql.SQL("ARRAY(SELECT {} FROM day2_stay ORDER BY day2_o)").format(self._key),
            }
        )
        return sql.SQL(
            "WITH day2_d AS MATERIALIZED (SELECT {typed}, day2_x, day2_i + {before} AS day2_o"
            " FROM unnest({arrays}) WITH ORDINALITY AS day2_u(day2_x, {names}, day2_i)),"
            " day2_gone AS (DELETE FROM {table} AS t USING day2_d WHERE {same} AND t.xmin = day2_d.day2_x AND {due}"
            " AND {lead} >= {least} AND {lead} <= {most} AND {free} RETURNING day2_d.day2_o),"
            " day2_stay AS (SELECT * FROM day2_d WHERE (SELECT count(*) FROM day2_gone) < {count}"
            " AND day2_o NOT IN (SELECT day2_o FROM day2_gone)),"
            " day2_note AS ({note} RETURNING deleted, cardinality(stayed) AS stayed)"
            " SELECT pg_current_xact_id()::text AS xid, deleted, stayed FROM day2_note"
        ).format(
            names=self._names,
            typed=self._typed,
            before=sql.Literal(first - 1),
            # Each in a query of its own: a server that knows how many keys there are would rather read all partitions
            # from end to end than look the rows up.
            arrays=sql.SQL(", ").join(
                sql.SQL("(SELECT {}::{})").format(sql.Literal(one), sql.SQL(kind))
                for one, kind in zip(columns, self._arrays)
            ),
            table=self._table,
            same=self._same,
            lead=sql.Identifier("t", self._lead.name),
            least=sql.SQL("{}::{}").format(sql.Literal(span[0]), sql.SQL(self._lead.type)),
            most=sql.SQL("{}::{}").format(sql.Literal(span[1]), sql.SQL(self._lead.type)),
            due=self._due,
            free=sql.SQL(free),
            count=sql.Literal(count),
            note=note,
        )
