# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many rows of each table an archive holds, and where their data begin, counted while it passes.

The layout is told in :mod:`archive`.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import Iterable, Iterator, Optional

from ansible_collections.day2.ops.plugins.module_utils._backup.archive import BrokenArchive, Toc, read_toc

DATA_BLOCK, LARGE_OBJECTS_BLOCK = 1, 3
# COPY data end with these.
END_OF_DATA = b"\\.\n\n\n"
# Up to this version of pg_dump each row is a chunk of its own.
ROWS_ARE_CHUNKS_BEFORE = 19
_CHUNK = struct.Struct("<xI")
# Rows hold no NUL, so the end of one and the sign of the next chunk's length stand out; and so does the last chunk.
_ROW_END = b"\n\0"
_LAST_CHUNK = _CHUNK.pack(len(END_OF_DATA)) + END_OF_DATA + _CHUNK.pack(0)
# Lengths that look like the end of a row: the byte 10 in them, and a zero after it.
_LIKE_ROW_END = re.compile(rb"\n\0(?:\n\0\0\0|[\s\S]\n\0\0|[\s\S]{2}\n\0)")
_LENGTH = 6


@dataclass
class Census:
    """What :func:`take_census` saw: the contents, rows by dump id, and where each block begins."""

    toc: Optional[Toc] = None
    rows: dict[int, int] = field(default_factory=dict)
    blocks: dict[int, int] = field(default_factory=dict)
    size: int = 0


def take_census(pieces: Iterable[bytes], census: Census) -> Iterator[bytes]:
    """Pass an archive through unchanged, and fill ``census`` with what it holds. Memory: the contents and one piece.

    Raises :class:`BrokenArchive` at the end of a stream that is not a whole archive.
    """
    walker = _Walker(census)
    for piece in pieces:
        census.size += len(piece)
        walker.feed(piece)
        yield piece
    walker.end()


class _Walker:
    """Goes through the blocks as they come. What a piece leaves unfinished waits for the next one."""

    def __init__(self, census: Census) -> None:
        self._census = census
        self._rest = b""
        self._start = 0  # where _rest begins in the archive
        self._skip = 0  # bytes of the current chunk that are still to come
        self._table = 0  # dump id of the block we are in; 0 between blocks
        self._large_objects = False
        self._in_object = False
        self._rows_are_chunks = False
        self._first = False

    def feed(self, piece: bytes) -> None:
        buffer = self._rest + piece if self._rest else piece
        position = 0
        if self._census.toc is None:
            position = self._contents(buffer)
            if position == 0:
                self._rest = buffer
                return
        position = self._blocks(buffer, position)
        self._start += position
        self._rest = buffer[position:]

    def _contents(self, buffer: bytes) -> int:
        at = 0

        def read(size: int) -> bytes:
            nonlocal at
            at += size
            return buffer[at - size : at]

        try:
            toc = read_toc(read)
        except BrokenArchive:
            if at <= len(buffer):
                raise
            return 0
        self._census.toc = toc
        major = re.match(r"\d+", toc.program)
        self._rows_are_chunks = major is not None and int(major.group()) < ROWS_ARE_CHUNKS_BEFORE
        return toc.size

    def _blocks(self, buffer: bytes, position: int) -> int:
        """Go as far as the buffer allows; returns where."""
        end = len(buffer)
        while True:
            if self._skip:
                step = min(self._skip, end - position)
                self._count(buffer, position, position + step)
                self._skip -= step
                position += step
            whole = self._skip == 0
            if self._table and whole:
                position = self._chunks(buffer, position, end)
                if self._skip:
                    continue
            # Inside a block whose next chunk is not here yet, or before a block that is not here yet.
            if self._skip or self._table or end - position < 6:
                return position
            position = self._begin(buffer, position)

    def _begin(self, buffer: bytes, position: int) -> int:
        kind = buffer[position]
        if kind not in (DATA_BLOCK, LARGE_OBJECTS_BLOCK):
            raise BrokenArchive(f"the archive has a block of the unknown type {kind}")
        (self._table,) = _CHUNK.unpack_from(buffer, position + 1)
        self._large_objects = kind == LARGE_OBJECTS_BLOCK
        self._in_object = False
        self._first = True
        self._census.blocks[self._table] = self._start + position
        self._census.rows.setdefault(self._table, 0)
        return position + 6

    def _chunks(self, buffer: bytes, position: int, end: int) -> int:
        """The chunks of one block, as far as they are here."""
        if self._large_objects:
            return self._objects(buffer, position, end)
        if self._rows_are_chunks:
            return self._rows(buffer, position, end)
        rows, unpack, count, last = 0, _CHUNK.unpack_from, buffer.count, end - 5
        while position <= last:
            (size,) = unpack(buffer, position)
            position += 5
            if size == 0:
                self._census.rows[self._table] += rows - END_OF_DATA.count(b"\n")
                self._table = 0
                return position
            if position + size > end:
                self._skip = size
                break
            rows += count(b"\n", position, position + size)
            position += size
        self._census.rows[self._table] += rows
        return position

    def _rows(self, buffer: bytes, position: int, end: int) -> int:
        """The rows of one block, counted without a look at each: there may be billions."""
        last = buffer.find(_LAST_CHUNK, position)
        to = last if last >= 0 else end - len(_LAST_CHUNK)
        if to > position:
            if self._first:  # no row ends before the first length
                self._census.rows[self._table] -= buffer.count(_ROW_END, position, position + _CHUNK.size)
                self._first = False
            lengths = _LIKE_ROW_END.finditer(buffer, position, to + _LENGTH)
            like = sum(one.group().count(_ROW_END, 2) for one in lengths if one.start() < to)
            self._census.rows[self._table] += buffer.count(_ROW_END, position, to + 1) - like
            position = to
        if last >= 0:
            self._table = 0
            return last + len(_LAST_CHUNK)
        return position

    def _objects(self, buffer: bytes, position: int, end: int) -> int:
        """Large objects: an id, its chunks and a zero for each; an id of zero ends them."""
        while end - position >= 5:
            (size,) = _CHUNK.unpack_from(buffer, position)
            position += 5
            if not self._in_object:
                if size == 0:
                    self._table = 0
                    return position
                self._in_object = True
                self._census.rows[self._table] += 1
            elif size == 0:
                self._in_object = False
            else:
                self._skip = size
                return position
        return position

    def _count(self, buffer: bytes, start: int, end: int) -> None:
        if not self._large_objects:
            self._census.rows[self._table] += buffer.count(b"\n", start, end)

    def end(self) -> None:
        toc = self._census.toc
        if toc is None:
            raise BrokenArchive("the archive is empty" if not self._rest else "the archive ends in its contents")
        if self._table or self._skip or self._rest:
            raise BrokenArchive("the archive ends in the middle of a table's rows")
        lacking = [entry for entry in toc.entries if entry.has_data and entry.dump_id not in self._census.blocks]
        if lacking:
            one = lacking[0]
            raise BrokenArchive(f"the archive ends before the data of {one.namespace}.{one.tag}")
