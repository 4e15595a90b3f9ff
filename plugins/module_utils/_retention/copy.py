# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The read pass: chunks of due rows, copied and stored, ahead of whoever deletes them.

One thread reads, another uploads. A chunk is whole in memory (compressed) before its upload needs the network, and each
is one statement of its own: no transaction is open while bytes travel, and a store that stalls holds up nobody.
"""

from __future__ import annotations

import secrets
import struct
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Iterator, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._backup import codec
from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.threads import threaded
from ansible_collections.day2.ops.plugins.module_utils._postgresql.copying import Copier
from ansible_collections.day2.ops.plugins.module_utils._retention import chunk, predicate
from ansible_collections.day2.ops.plugins.module_utils._retention.reach import Referred
from ansible_collections.day2.ops.plugins.module_utils._retention.rows import HEADER, Keys, binary_lines, text_lines
from ansible_collections.day2.ops.plugins.module_utils._retention.site import Site
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Found, Policy, Relation
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store, Stored, to_json

# Rows of a chunk, whatever their width: their keys are held in memory.
FEWEST, MOST = 1, 500_000
# The first chunk is small: it tells how wide rows are, and deleting begins sooner.
FIRST = 8
# Rows are asked for that should make so much of a chunk: few are read in vain when they turn out to be wider.
FILLED = 0.9
AHEAD = 1
# What a binary COPY ends with, and how it says how many columns and bytes follow.
TRAILER = b"\xff\xff"
_COUNT, _LENGTH = struct.Struct("!h"), struct.Struct("!i")


@dataclass
class Chunk:
    """Rows that were read, and where their copy is. Erased rows have none; their ``prefix`` is only a name.
    ``deleted``: how many of them are gone since."""

    keys: Keys
    prefix: str
    about: dict[str, Any]
    stored: Optional[Stored] = None
    deleted: int = 0


@dataclass(frozen=True)
class Target:
    """Where chunks go, and how they are written; without a store only their keys are read. ``about``: what each says of
    itself (``chunk.about``)."""

    folder: str
    about: dict[str, Any]
    store: Optional[Store] = None
    recipients: Sequence[Any] = ()


def target_of(site: Site, found: Found) -> Target:
    """Where a new pass over the policy puts its chunk."""
    policy, relation = found.policy, found.relation
    folder = chunk.run_folder(site.run.target, policy.name, clock.now(), secrets.token_hex(2))
    if policy.erase:
        return Target(folder, {})
    recipients = site.recipients if policy.archive == "age" else ()
    about = chunk.about(
        relation,
        run=site.run.id,
        target=site.run.target,
        policy=policy.name,
        policy_hash=policy.hash,
        cutoff=found.cutoff,
        database=site.server.database,
        system_identifier=site.server.system_identifier,
        settings=predicate.settings(policy, relation),
        heads=heads_of(policy, relation),
        encryption="age" if recipients else "none",
    )
    return Target(folder, about, site.chunks, recipients)


def walk_of(policy: Policy, relation: Relation) -> tuple[str, ...]:
    """The order of reading. Only columns that are read and never NULL in due rows will do; else it is the key's."""
    names = {one.name for one in relation.copied}
    fit = all(
        name in names and (relation.column(name).not_null or (name == policy.column and policy.older_than is not None))
        for name in relation.walk
    )
    return relation.walk if fit else relation.key


def heads_of(policy: Policy, relation: Relation) -> tuple[str, ...]:
    """The columns that a binary archive holds as text, too, because we read them: those of key and order."""
    if policy.archive_format != "binary":
        return ()
    return tuple(dict.fromkeys((*relation.key, *walk_of(policy, relation))))


class Pass:
    """Reads all rows of ``found`` that are due, chunk by chunk, through ``copier``."""

    def __init__(self, copier: Copier, found: Found, target: Target, chunk_bytes: int) -> None:
        self._copier = copier
        self._found = found
        self._target = target
        self._bytes = chunk_bytes
        relation = found.relation
        self._walk = walk_of(found.policy, relation)
        copied = relation.copied
        if target.store is None:
            copied = tuple(one for one in copied if one.name in relation.key or one.name in self._walk)
        self._columns = [one.name for one in copied]
        self._heads = heads_of(found.policy, relation)
        self._number = 0
        # Rows that others of the table reference are due only once those are gone.
        self._again = isinstance(relation, Referred) and any(one.own for one in relation.referrers)
        copier.wait(lambda: copier.configure(predicate.settings(found.policy, relation)))

    def chunks(self, look: Callable[[], Any]) -> Iterator[Chunk]:
        """The chunks as they become safe in the store. ``look``, which may raise, is called while waiting.

        Whoever takes one has said how many of its rows are gone when he asks for the next.
        """
        deleted = 1
        while deleted:
            deleted = 0
            for one in self._round(look):
                yield one
                deleted += one.deleted if self._again else 0

    def _round(self, look: Callable[[], Any]) -> Iterator[Chunk]:
        read = threaded(self._read, AHEAD)
        return threaded(lambda put: self._upload(read, put), AHEAD, look)

    def _read(self, put: Callable[[tuple[Keys, list[bytes]]], None]) -> None:
        """In the reading thread."""
        last: tuple[str, ...] = ()
        due = self._found.due
        width = max(due.bytes / max(due.rows, 1), 40.0)
        rows = _rows(self._bytes / FIRST, width)
        while True:
            keys, pieces, full = self._one(last, rows)
            if keys.rows:
                put((keys, pieces))
            if keys.rows < rows and not full:
                return
            last = keys.last
            rows = _rows(self._bytes * FILLED, keys.size / keys.rows)

    def _one(self, last: tuple[str, ...], rows: int) -> tuple[Keys, list[bytes], bool]:
        """The next rows, sealed, and whether there would have been more than a chunk holds."""
        relation = self._found.relation
        statement = self.statement(last, rows)
        line = self._heads or self._columns
        cut = binary_lines(1 + len(line)) if self._heads else text_lines()
        keys = Keys(len(relation.key), tuple(1 + line.index(name) for name in self._walk), cut)
        bound = Bound(self._bytes, binary_end() if self._heads else text_end, TRAILER if self._heads else b"")
        passing = keys.through(bound.through(threaded(lambda write: self._copier.out(statement, write))))
        if self._target.store is None:
            return keys, [piece for piece in passing if not piece], bound.full
        return keys, list(codec.seal(passing, self._target.recipients)), bound.full

    def _upload(self, read: Iterator[tuple[Keys, list[bytes]]], put: Callable[[Chunk], None]) -> None:
        """In the uploading thread."""
        for keys, pieces in read:
            put(self._stored(keys, pieces))
            del keys, pieces

    def _stored(self, keys: Keys, pieces: list[bytes]) -> Chunk:
        target = self._target
        prefix = f"{target.folder}/{self._number:05d}"
        self._number += 1
        if target.store is None:
            return Chunk(keys, prefix, {})
        stored = target.store.put(f"{prefix}/{chunk.rows_name(bool(target.recipients))}", iter(pieces))
        about = {
            **target.about,
            "object": stored.key,
            "version": stored.etag,
            "sha256": stored.sha256,
            "size": stored.size,
            "rows": keys.rows,
            "bytes": keys.size,
            "walk": list(self._walk),
        }
        if not target.recipients:  # what is encrypted has no keys in clear text beside it
            about.update(first=list(keys.first), last=list(keys.last))
        target.store.put(f"{prefix}/{chunk.ABOUT}", to_json(about))
        return Chunk(keys, prefix, about, stored)

    def statement(self, last: tuple[str, ...], rows: int) -> Any:
        """COPY of the next ``rows`` due rows after the place ``last``, each beginning with xmin and the key."""
        from psycopg2 import sql

        found, relation = self._found, self._found.relation
        columns = [sql.Identifier("t", name) for name in ("xmin", *self._columns)]
        if self._heads:
            # Not by a cast, of which a type may have ideas of its own, but by what COPY would write.
            heads = (sql.Identifier("t", name) for name in ("xmin", *self._heads))
            names = sql.SQL(", ").join([*(sql.SQL("format('%s', {})").format(one) for one in heads), *columns[1:]])
        else:
            names = sql.SQL(", ").join(columns)
        order = sql.SQL(", ").join(sql.Identifier("t", name) for name in self._walk)
        after: sql.Composable = sql.SQL("true")
        if last:
            place = [
                sql.SQL("{}::{}").format(sql.Literal(text), sql.SQL(relation.column(name).type))
                for text, name in zip(last, self._walk)
            ]
            after = sql.SQL("({}) > ({})").format(order, sql.SQL(", ").join(place))
        query = "COPY (SELECT {} FROM {} AS t WHERE {} AND {} ORDER BY {} LIMIT {}) TO STDOUT"
        return sql.SQL(query + (" (FORMAT binary)" if self._heads else "")).format(
            names,
            source(relation),
            predicate.due(found.policy, relation, found.cutoff),
            after,
            order,
            sql.Literal(rows),
        )


class Bound:
    """Lets pass the bytes of a COPY up to the row with which they are ``most``; then it is ``full``, and the rest is
    read and forgotten: rows may be far wider than those before them. ``end``: how much of a piece belongs to rows that
    are whole with it; ``closing``: what comes after the last row."""

    def __init__(self, most: int, end: Callable[[bytes], int], closing: bytes) -> None:
        self._most = most
        self._end = end
        self._closing = closing
        self._passed = 0
        self.full = False

    def through(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            if self.full:
                continue
            end = self._end(piece)
            self._passed += len(piece)
            self.full = self._passed >= self._most and end > 0
            yield piece[:end] + self._closing if self.full else piece


def text_end(piece: bytes) -> int:
    return piece.rfind(b"\n") + 1


def binary_end() -> Callable[[bytes], int]:
    """As :func:`text_end` for the pieces of one binary COPY, in which nothing but lengths tells where rows end."""
    rest = b""
    at = len(HEADER)

    def end(piece: bytes) -> int:
        nonlocal rest, at
        data = rest + piece
        begin, after = at, _row_end(data, at)
        while after > at:
            at, after = after, _row_end(data, after)
        found = at - len(rest) if at > begin else 0
        rest, at = data[at:], max(at - len(data), 0)
        return found

    return end


def _row_end(data: bytes, at: int) -> int:
    """Where the row that begins there ends; there, when it is not whole or the last row was before it."""
    end = at + _COUNT.size
    if end > len(data):
        return at
    for _number in range(_COUNT.unpack_from(data, at)[0]):
        if end + _LENGTH.size > len(data):
            return at
        end += _LENGTH.size + max(_LENGTH.unpack_from(data, end)[0], 0)
    return end if end <= len(data) and data[at : at + _COUNT.size] != TRAILER else at


def source(relation: Relation) -> Any:
    """The table alone: what inherits from it has keys of its own. A partitioned table is its partitions."""
    from psycopg2 import sql

    table = predicate.table(relation)
    return table if relation.kind == "p" else sql.SQL("ONLY {}").format(table)


def _rows(size: float, width: float) -> int:
    return int(min(max(size / width, FEWEST), MOST))
