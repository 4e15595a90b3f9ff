# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The custom format of pg_dump, as far as proof needs it: what the archive holds, and how many rows of each table.

Layout (the formats 1.14 to 1.16, which PostgreSQL 14 to 18 write): a head, the table of contents, then data blocks. An
integer is a sign byte and ``int_size`` bytes, little end first; a text its length and its bytes, -1 for none. A block
is a type byte, the entry's dump id, and chunks, each after its length, up to one of length zero. Uncompressed, the
chunks of a table are its rows as COPY writes them, one line feed in each, and a last chunk that ends the data.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import BinaryIO, Callable, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError

MAGIC = b"PGDMP"
OLDEST, NEWEST = (1, 14), (1, 16)
CUSTOM = 1
OFFSET_SET, OFFSET_NOT_SET, OFFSET_NO_DATA = 2, 1, 3


class BrokenArchive(OpsError):
    """This is no archive, or not a whole one, or one of a format that is not known."""


@dataclass(frozen=True)
class Entry:
    """One entry of the table of contents. ``at`` is where its offset stands in the archive."""

    dump_id: int
    has_data: bool
    table_oid: str
    oid: str
    tag: str
    desc: str
    section: int
    definition: str
    copy: str
    namespace: str
    owner: str
    dependencies: tuple[int, ...]
    at: int


@dataclass(frozen=True)
class Toc:
    """``size`` is where the data blocks begin, ``offset_size`` the bytes of an offset."""

    version: tuple[int, int, int]
    database: str
    server: str
    program: str
    entries: tuple[Entry, ...]
    int_size: int
    offset_size: int
    size: int

    def tables(self) -> list[Entry]:
        """The entries with a table's rows."""
        return [entry for entry in self.entries if entry.desc == "TABLE DATA"]


Read = Callable[[int], bytes]


class _Reader:
    """Integers and texts of the format, from anything that reads exactly so many bytes."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self.position = 0
        self.int_size = 4

    def raw(self, size: int) -> bytes:
        data = self._read(size)
        if len(data) != size:
            raise BrokenArchive("the archive ends in its table of contents")
        self.position += size
        return data

    def byte(self) -> int:
        return self.raw(1)[0]

    def integer(self) -> int:
        negative = self.byte()
        value = int.from_bytes(self.raw(self.int_size), "little")
        return -value if negative else value

    def text(self) -> Optional[str]:
        size = self.integer()
        return None if size < 0 else self.raw(size).decode("utf-8", "surrogateescape")


def read_toc(read: Read) -> Toc:
    """The table of contents at the beginning of an archive. Raises :class:`BrokenArchive`."""
    reader = _Reader(read)
    try:
        magic = reader.raw(5)
    except BrokenArchive:
        raise BrokenArchive("the archive is empty") from None
    if magic != MAGIC:
        raise BrokenArchive("this is not an archive of pg_dump")
    version = (reader.byte(), reader.byte(), reader.byte())
    if not OLDEST <= version[:2] <= NEWEST:
        raise BrokenArchive(f"archives of format {version[0]}.{version[1]} are not known")
    reader.int_size = reader.byte()
    offset_size = reader.byte()
    if reader.byte() != CUSTOM or reader.int_size != 4:
        raise BrokenArchive("this is not an archive in the custom format")
    compression = reader.byte() if version >= (1, 15) else reader.integer()
    if compression != 0:
        raise BrokenArchive("the archive is compressed inside")
    for _field in range(7):  # when it was made, in the local time of whoever made it
        reader.integer()
    database, server, program = (reader.text() or "" for _text in range(3))
    entries = tuple(_entry(reader, version, offset_size) for _number in range(reader.integer()))
    return Toc(version, database, server, program, entries, reader.int_size, offset_size, reader.position)


def _entry(reader: _Reader, version: tuple[int, int, int], offset_size: int) -> Entry:
    dump_id = reader.integer()
    has_data = reader.integer() != 0
    table_oid, oid, tag, desc = (reader.text() or "" for _text in range(4))
    section = reader.integer()
    definition, _drop, copy, namespace = (reader.text() or "" for _text in range(4))
    reader.text()  # tablespace
    reader.text()  # table access method
    if version >= (1, 16):
        reader.integer()  # kind of relation
    owner = reader.text() or ""
    reader.text()  # with oids
    dependencies = tuple(int(text) for text in iter(reader.text, None))
    at = reader.position
    reader.raw(1 + offset_size)
    return Entry(
        dump_id, has_data, table_oid, oid, tag, desc, section, definition, copy, namespace, owner, dependencies, at
    )


def make_seekable(archive: BinaryIO, toc: Toc, blocks: dict[int, int]) -> None:
    """Write into a spooled archive where each data block begins: what pg_dump cannot know when it writes to a pipe.

    Without it each worker of a parallel restore reads through everything before its table, row by row.
    """
    for entry in toc.entries:
        if not entry.has_data:
            continue
        archive.seek(entry.at)
        archive.write(bytes([OFFSET_SET]) + blocks[entry.dump_id].to_bytes(toc.offset_size, "little"))


def fingerprint(toc: Toc) -> str:
    """sha256 of what the archive defines: the same for the same definitions, whatever their order and object ids."""
    digest = hashlib.sha256()
    for line in sorted(
        "\0".join((entry.desc, entry.namespace, entry.tag, entry.owner, entry.definition))
        for entry in toc.entries
        if entry.desc not in VALUES
    ):
        digest.update(line.encode("utf-8", "surrogateescape") + b"\0\0")
    return digest.hexdigest()


# Entries that hold data, not definitions.
VALUES = ("TABLE DATA", "SEQUENCE SET", "BLOB", "BLOBS", "BLOB METADATA", "LARGE OBJECTS", "STATISTICS DATA")
