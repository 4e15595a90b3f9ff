# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""COPY on a connection of its own: whole, stoppable, bounded; and the keys of what passes."""

from __future__ import annotations

import json
import struct
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, Optional

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Expired, OpsError, Stopped, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._core.liveness import Liveness
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.threads import Task, threaded
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import connect
from ansible_collections.day2.ops.plugins.module_utils._postgresql.copying import Copier
from ansible_collections.day2.ops.plugins.module_utils._retention import copy, rows
from tests.lab import demo
from tests.lab.fixtures import Database, majors

lab = pytest.mark.lab


def a_run(database: Database, seconds: Optional[float] = None) -> Run:
    end = None if seconds is None else datetime.now(timezone.utc) + timedelta(seconds=seconds)
    options = {"ssl_mode": None, "ca_cert": None, "ssl_cert": None, "ssl_key": None, "login_unix_socket": ""}
    params = {**options, **database.login(demo.RETENTION), "connect_timeout": 5, "run": {"id": "t1"}}
    return Run(params, False, Deadline(end), Liveness())


@pytest.fixture
def copier(database: Database) -> Any:
    run = a_run(database)
    with closing(connect(run, "watch")) as control, closing(Copier(run, "read", control)) as made:
        yield made


def gone(database: Database, pid: int) -> bool:
    for _try in range(50):
        if not database.value("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [pid]):
            return True
        time.sleep(0.1)
    return False


@lab
@majors(18, soak=(14,))
def test_out_and_in_again(database: Database) -> None:
    database.execute(f"GRANT TEMPORARY ON DATABASE {database.name} TO {demo.RETENTION}")
    run = a_run(database)
    query = "SELECT g, repeat(E'x\\t\\n\\\\', g % 40) FROM generate_series(1, 50000) g"
    with closing(connect(run, "watch")) as control, closing(Copier(run, "both", control, act=True)) as copier:
        copier.rows("CREATE TEMPORARY TABLE there (id int, note text)")
        pieces = list(threaded(lambda write: copier.out(f"COPY ({query}) TO STDOUT", write)))
        copier.into("COPY there FROM STDIN", pieces)
        same = f"SELECT (SELECT count(*) FROM there), (SELECT count(*) FROM (TABLE there EXCEPT {query}) x)"
        assert copier.rows(same) == [(50000, 0)]
    assert max(map(len, pieces)) <= 1 << 20 and len(pieces) > 1


@lab
def test_a_reader_cannot_change_anything(copier: Copier) -> None:
    with pytest.raises(OpsError, match="read-only"):
        copier.rows("CREATE TABLE x ()")


@lab
def test_money_is_written_the_same_wherever_it_is_read(database: Database) -> None:
    database.execute(f"ALTER DATABASE {database.name} SET lc_monetary = 'C.UTF-8'")
    run = a_run(database)
    with closing(connect(run, "watch")) as control, closing(Copier(run, "read", control)) as copier:
        assert control.rows("SELECT current_setting('lc_monetary') AS now") == [{"now": "C.UTF-8"}]
        assert copier.rows("SELECT current_setting('lc_monetary')") == [("C",)]


@lab
def test_waiting_ends_with_the_deadline_and_so_does_the_statement(database: Database) -> None:
    run = a_run(database, 1.5)
    with closing(connect(run, "watch")) as control, closing(Copier(run, "read", control)) as copier:
        pid, began = copier.pid, time.monotonic()
        with pytest.raises(Expired):
            copier.wait(lambda: copier.rows("SELECT pg_sleep(60)"))
        assert time.monotonic() - began < 5 and gone(database, pid)


@lab
def test_what_stops_the_wait_stops_the_server(database: Database, copier: Copier) -> None:
    began = time.monotonic()

    def stop() -> None:
        if time.monotonic() - began > 0.5:
            raise Stopped("Stopped: a test.")

    pid = copier.pid
    with pytest.raises(Stopped):
        copier.wait(lambda: copier.out("COPY (SELECT pg_sleep(60)) TO STDOUT", lambda piece: None), stop)
    assert gone(database, pid)


@lab
def test_a_lost_connection_is_told(database: Database, copier: Copier) -> None:
    task = Task(lambda: copier.rows("SELECT pg_sleep(60)"))
    time.sleep(0.3)
    database.execute("SELECT pg_terminate_backend(%s)", [copier.pid])
    with pytest.raises(Unreachable, match="lost"):
        task.result()


@lab
def test_an_error_of_the_source_is_what_is_told(database: Database) -> None:
    database.execute(f"GRANT TEMPORARY ON DATABASE {database.name} TO {demo.RETENTION}")

    def source() -> Any:
        yield b"1\n"
        raise OpsError("the archive is broken")

    run = a_run(database)
    with closing(connect(run, "watch")) as control, closing(Copier(run, "in", control, act=True)) as copier:
        copier.rows("CREATE TEMPORARY TABLE there (id int)")
        with pytest.raises(OpsError, match="the archive is broken"):
            copier.into("COPY there FROM STDIN", source())


def test_what_nobody_wants_any_more_is_not_made() -> None:
    made = 0

    def produce(put: Callable[[int], None]) -> None:
        nonlocal made
        for made in range(1000):
            put(made)

    pieces = threaded(produce, 1)
    assert [next(pieces), next(pieces)] == [0, 1]
    pieces.close()  # type: ignore[attr-defined]
    time.sleep(0.6)
    assert made < 6


def test_whoever_waits_looks_around() -> None:
    def look() -> None:
        raise Stopped("Stopped: a test.")

    with pytest.raises(Stopped):
        next(threaded(lambda put: time.sleep(2), 1, look))


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_keys_of_lines_cut_anywhere(size: int) -> None:
    lines = b"".join(b"%d\t%d\tk\\t%d\tpayload\n" % (700 + g, g, g) for g in range(1, 1203))
    keys = rows.Keys(2, (1,))
    passed = list(keys.through(lines[at : at + size] for at in range(0, len(lines), size)))
    assert b"".join(passed) == lines and keys.size == len(lines)
    assert keys.rows == 1202 and keys.first == ("1",) and keys.last == ("1202",)
    assert [block[1].count(b"\n") + 1 for block in keys.blocks] == [500, 500, 202]
    count, columns = keys.batch(1, 1000)
    assert count == 702 and len(columns) == 3
    assert columns[1].startswith('{"501","502"') and columns[2].endswith('"k\t1202"}')


def row(*fields: Optional[bytes]) -> bytes:
    """As a binary COPY writes one."""
    sized = (struct.pack("!i", -1) if one is None else struct.pack("!i", len(one)) + one for one in fields)
    return struct.pack("!h", len(fields)) + b"".join(sized)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("size", [1, 7, 64, 1000, 1 << 20])
def test_a_chunk_ends_with_a_row_wherever_pieces_do(binary: bool, size: int) -> None:
    """Whatever the bytes are: \\xff\\xff ends a binary COPY, and may be all that a value is."""
    made = [
        row(b"%d" % g, None, b"\xff\xff" * (g % 50)) if binary else b"%d\t\\N\t%s\n" % (g, b"x" * (g % 50))
        for g in range(300)
    ]
    header, trailer = (rows.HEADER, copy.TRAILER) if binary else (b"", b"")
    data = header + b"".join(made) + trailer
    whole = [len(header) + sum(map(len, made[:number])) for number in range(1, 301)]
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    for most in (1, 500, 5000, len(data) - 3, len(data), len(data) + 1):
        left = iter(pieces)
        bound = copy.Bound(most, copy.binary_end() if binary else copy.text_end, trailer)
        passed = b"".join(bound.through(left))
        assert next(left, None) is None, "the server has sent it all"
        if bound.full:
            end = len(passed) - len(trailer)
            assert passed == data[:end] + trailer and end in whole
            # The row with which it is full, and what of the same piece is whole.
            assert end <= max(most, len(header) + len(made[0])) + size + max(map(len, made))
        else:
            assert passed == data and most >= whole[-1] - size


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_keys_of_binary_rows_cut_anywhere(size: int) -> None:
    made = [
        row(b"%d" % (700 + g), b"%d" % g, b'k\t\n\\"%d' % g, b"2024", None, b"", bytes(g % 300)) for g in range(1, 1203)
    ]
    data = rows.HEADER + b"".join(made) + struct.pack("!h", -1)
    keys = rows.Keys(2, (3, 1), rows.binary_lines(4))
    passed = list(keys.through(data[at : at + size] for at in range(0, len(data), size)))
    assert b"".join(passed) == data and keys.size == len(data)
    assert keys.rows == 1202 and keys.first == ("2024", "1") and keys.last == ("2024", "1202")
    assert [block[1].count(b"\n") + 1 for block in keys.blocks] == [500, 500, 202]
    count, columns = keys.batch(1, 1000)
    assert count == 702 and columns[0].endswith('"1902"}')
    assert columns[1].startswith('{"501","502"') and columns[2].startswith('{"k\t\n\\\\\\"501",')
    assert json.loads(keys.text(7)) == ["7", 'k\t\n\\"7']


def test_a_binary_copy_that_begins_otherwise_is_told() -> None:
    with pytest.raises(OpsError, match="archive_format"):
        list(rows.Keys(1, (1,), rows.binary_lines(2)).through([b"PGCOPY\n\xff\r\n\0" + b"\1" * 8]))
