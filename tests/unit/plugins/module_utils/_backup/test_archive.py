# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archives of real pg_dumps, and what is made of damaged ones."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from ansible_collections.day2.ops.plugins.module_utils._backup import archive
from ansible_collections.day2.ops.plugins.module_utils._backup.census import Census, _Walker, take_census
from tests.lab.fixtures import Database, all_majors

SEED = r"""
CREATE TABLE plain (id int PRIMARY KEY, note text);
INSERT INTO plain SELECT g, repeat(E'a\n\\.b', g % 5) FROM generate_series(1, 20000) g;
CREATE TABLE ends (x text);
INSERT INTO ends VALUES (E'\\.'), (NULL), (''), (E'\n');
CREATE TABLE nothing (x int);
CREATE TABLE columnless ();
INSERT INTO columnless DEFAULT VALUES;
INSERT INTO columnless DEFAULT VALUES;
CREATE TABLE whole (id int) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF whole FOR VALUES FROM (0) TO (10);
INSERT INTO whole VALUES (1), (2);
CREATE TABLE lengths (x text);
CREATE SEQUENCE counter;
SELECT lo_from_bytea(0, decode(repeat('ab', 50000), 'hex')), lo_from_bytea(0, '');
"""
# Rows whose chunks have lengths with the byte 10 in them, which is what a row ends with.
LENGTHS = [1, 2, 9, 10, 11, 255, 256, 266, 2560, 2570, 2571, 2815, 2816, 65536, 655360, 655370, 657930, 720895, 2631690]
EXPECTED = {"plain": 20000, "ends": 4, "nothing": 0, "columnless": 2, "part": 2, "lengths": 3 * len(LENGTHS)}


def dump(database: Database, *more: str) -> bytes:
    server = database.postgres
    command = [str(server.tool("pg_dump")), "-Fc", "-Z0", *more]
    done = subprocess.run(command, env={**os.environ, **server.env(database.name)}, capture_output=True, check=True)
    return done.stdout


def census_of(data: bytes, step: int | None = None) -> Census:
    census = Census()
    step = step or len(data)
    passed = b"".join(take_census((data[at : at + step] for at in range(0, len(data), step)), census))
    assert passed == data and census.size == len(data)
    return census


@pytest.fixture
def seeded(database: Database) -> Database:
    database.execute(SEED)
    for _turn in range(3):
        for length in LENGTHS:
            database.execute("INSERT INTO lengths VALUES (repeat('x', %s))", [length - 1])
    return database


@all_majors
def test_rows_are_counted_and_a_parallel_restore_seeks(seeded: Database, tmp_path: Path) -> None:
    data = dump(seeded)
    for step in (None, 1 << 20, 65536, 777 if len(data) < 1 << 20 else 7777):
        census = census_of(data, step)
        assert census.toc is not None
        rows = {entry.tag: census.rows[entry.dump_id] for entry in census.toc.tables()}
        assert rows == EXPECTED, step
    objects = [entry for entry in census.toc.entries if entry.desc == "BLOBS"]
    assert sum(census.rows[entry.dump_id] for entry in objects) == 2
    # The general way, of later pg_dumps that put many rows into a chunk, comes to the same.
    patient = Census()
    walker = _Walker(patient)
    head = census.toc.size
    walker.feed(data[:head])
    walker._rows_are_chunks = False
    for at in range(head, len(data), 100_003):
        walker.feed(data[at : at + 100_003])
    walker.end()
    assert patient.rows == census.rows and patient.blocks == census.blocks

    path = tmp_path / "spooled.dump"
    path.write_bytes(data)
    with path.open("r+b") as file:
        archive.make_seekable(file, census.toc, census.blocks)
    server = seeded.postgres
    server.create_database("seekable")
    try:
        command = [str(server.tool("pg_restore")), "-j2", "-d", "seekable", str(path)]
        done = subprocess.run(
            command, env={**os.environ, **server.env("seekable")}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        for table, count in EXPECTED.items():
            assert server.value(f"SELECT count(*) FROM {table}", dbname="seekable") == count
    finally:
        server.drop_database("seekable")


def test_a_damaged_archive_is_told(seeded: Database) -> None:
    data = dump(seeded)
    for cut, words in ((0, "empty"), (3, "ends in its contents"), (100, "ends in its contents")):
        with pytest.raises(archive.BrokenArchive, match=words):
            census_of(data[:cut] or b"", 1 << 20)
    for cut in [len(data) // 2, len(data) - 1, *random.Random(1).sample(range(200, len(data)), 20)]:
        with pytest.raises(archive.BrokenArchive):
            census_of(data[:cut], 1 << 20)
    with pytest.raises(archive.BrokenArchive, match="not an archive"):
        census_of(b"hello" + data)
    with pytest.raises(archive.BrokenArchive, match="compressed inside"):
        census_of(dump(seeded, "--compress=6"))


def test_the_same_definitions_have_the_same_fingerprint(seeded: Database) -> None:
    def fingerprint() -> str:
        toc = census_of(dump(seeded)).toc
        assert toc is not None
        return archive.fingerprint(toc)

    before = fingerprint()
    seeded.execute("INSERT INTO plain VALUES (-1, 'more'); SELECT nextval('counter')")
    assert fingerprint() == before
    seeded.execute("ALTER TABLE plain ADD COLUMN more int")
    assert fingerprint() != before
