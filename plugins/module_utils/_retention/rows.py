# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows as COPY writes them, and the keys that the deleter needs of them. Pure.

A line begins with the row's version (``xmin``) and its key; only these are looked at. They are held column by column in
blocks of a few hundred rows, as the text that a parameter of the server needs almost as it is: millions of small
objects would cost more than the deletes.

A binary COPY begins with these columns as text; a line is made of them, as COPY would write it.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass, field
from typing import Callable, Iterable, Iterator, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError

# Rows of a block; a batch is made of whole ones.
BLOCK = 500
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPES = {b"\n": b"n", b"\t": b"t"}
_LETTERS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_BARE = re.compile(rb"[\\\n\t]")
# What a binary COPY begins with: its signature, no flags, nothing added.
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COUNT, _LENGTH = struct.Struct("!h"), struct.Struct("!i")

Block = tuple[bytes, ...]
Cut = Callable[[bytes], list[bytes]]


def text_lines() -> Cut:
    """Cuts the pieces of a COPY into lines; what is not whole yet waits for the next piece."""
    rest = b""

    def cut(piece: bytes) -> list[bytes]:
        nonlocal rest
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()
        return lines

    return cut


def binary_lines(heads: int) -> Cut:
    """The same for a binary COPY: the lines are those of its first ``heads`` columns, which are text."""
    rest, begun = b"", False

    def cut(piece: bytes) -> list[bytes]:
        nonlocal rest, begun
        data, at, lines = rest + piece, 0, []
        if not begun and len(data) >= len(HEADER):
            if not data.startswith(HEADER):
                raise OpsError("The server's binary COPY begins with something unknown; set archive_format to text.")
            at, begun = len(HEADER), True
        while begun:
            found, end = _row(data, at, heads)
            if end == at:
                break
            if found:
                lines.append(b"\t".join(map(_escape, found)))
            at = end
        rest = data[at:]
        return lines

    return cut


def _row(data: bytes, at: int, heads: int) -> tuple[list[bytes], int]:
    """The first columns of the row at ``at`` and where it ends: there, while it is not whole. The last row has none."""
    if at + _COUNT.size > len(data):
        return [], at
    found, end = [], at + _COUNT.size
    for number in range(_COUNT.unpack_from(data, at)[0]):
        begin = end + _LENGTH.size
        if begin > len(data):
            return [], at
        end = begin + max(_LENGTH.unpack_from(data, end)[0], 0)
        if number < heads:
            found.append(data[begin:end])
    return (found, end) if end <= len(data) else ([], at)


def _escape(value: bytes) -> bytes:
    return _BARE.sub(lambda match: b"\\" + _ESCAPES.get(match.group(), match.group()), value)


@dataclass
class Keys:
    """The versions and keys of a chunk's rows, in order: ``blocks`` of :data:`BLOCK` rows (the last one less), each
    with one text per column, its values between newlines. ``width``: columns of the key, after the version. ``size``:
    bytes of all lines. ``walk``: where in the line the columns stand that say how far the reading came."""

    width: int
    walk: tuple[int, ...]
    cut: Cut = field(default_factory=text_lines, repr=False)
    blocks: list[Block] = field(default_factory=list)
    # Where each block begins and ends in the first column of the walk.
    spans: list[tuple[str, str]] = field(default_factory=list)
    rows: int = 0
    size: int = 0
    first: tuple[str, ...] = ()
    last: tuple[str, ...] = ()

    def through(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The bytes of a COPY as they pass; what is needed of them is kept."""
        held: list[bytes] = []
        line = b""
        for piece in pieces:
            self.size += len(piece)
            lines = self.cut(piece)
            if lines:
                line = lines[-1]
                if not self.first:
                    self.first = self._place(lines[0])
                held += lines
                full = len(held) - len(held) % BLOCK
                for at in range(0, full, BLOCK):
                    self._block(held[at : at + BLOCK])
                del held[:full]
            yield piece
        if held:
            self._block(held)
        if line:
            self.last = self._place(line)

    def _block(self, lines: Sequence[bytes]) -> None:
        width = self.width + 1
        columns = zip(*[line.split(b"\t", width) for line in lines])
        self.blocks.append(tuple(b"\n".join(column) for _number, column in zip(range(width), columns)))
        self.spans.append((self._place(lines[0])[0], self._place(lines[-1])[0]))
        self.rows += len(lines)

    def _place(self, line: bytes) -> tuple[str, ...]:
        values = line.split(b"\t")
        return tuple(plain(values[at]) for at in self.walk)

    def batch(self, at: int, rows: int) -> tuple[int, list[str]]:
        """How many rows the blocks from number ``at`` on make that hold ``rows`` at most (one block at least), and
        their columns as array literals of the server."""
        taken = self.blocks[at : at + max(1, rows // BLOCK)]
        count = min(self.rows - at * BLOCK, len(taken) * BLOCK)
        return count, [array(b"\n".join(parts)) for parts in zip(*taken)]

    def span(self, first: int, count: int) -> tuple[str, str]:
        """Between which values of the walk's first column these rows (from 1, whole blocks) lie."""
        return self.spans[(first - 1) // BLOCK][0], self.spans[(first + count - 2) // BLOCK][1]

    def text(self, row: int) -> str:
        """The key of a row (from 1) for people: a JSON array of texts."""
        at, place = divmod(row - 1, BLOCK)
        return json.dumps([plain(column.split(b"\n")[place]) for column in self.blocks[at][1:]], ensure_ascii=False)


def array(joined: bytes) -> str:
    r"""Values between newlines, as COPY wrote them, as an array literal.

    >>> print(array(b"1\n2"), array(rb"a\\b"))
    {"1","2"} {"a\\b"}
    """
    if b"\\" in joined or b'"' in joined:
        values = [_unescape(value) for value in joined.split(b"\n")]
        quoted = [value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') for value in values]
        return (b'{"' + b'","'.join(quoted) + b'"}').decode()
    return (b'{"' + joined.replace(b"\n", b'","') + b'"}').decode()


def plain(value: bytes) -> str:
    r"""A value as COPY wrote it, as text. NULL is not expected.

    >>> print(plain(rb"a\\b"))
    a\b
    """
    return _unescape(value).decode()


def _unescape(value: bytes) -> bytes:
    if b"\\" not in value:
        return value
    return _ESCAPED.sub(lambda match: _LETTERS.get(match.group(1), match.group(1)), value)
