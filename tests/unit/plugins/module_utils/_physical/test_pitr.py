# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A copy of a server as it was: which backup and how far by rule; made, proven, killed and refused for real."""

from __future__ import annotations

import bz2
import gzip
import importlib.util
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import zstandard

from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._core.liveness import Liveness
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._physical import copy_place, pitr, pitr_plan, stanza, waltail
from tests.lab import module as modules
from tests.lab.lab import Lab
from tests.lab.pgbackrest import PgBackRest
from tests.lab.processes import give, wait_until

MODULE = "postgresql_point_in_time_restore"
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)


def backup(label: str, minutes: float, *, damaged: bool = False) -> stanza.Backup:
    """One that ended so many minutes before noon."""
    ended = NOON - timedelta(minutes=minutes)
    return stanza.Backup(label, "full", ended - timedelta(seconds=30), ended, None, 1 << 30, 1 << 20, damaged, "", "")


def known(*backups: stanza.Backup) -> stanza.Stanza:
    return stanza.Stanza("main", 0, "ok", False, "1", "15", "15-1", None, "0" * 24, backups)


def test_the_newest_good_backup_before_the_target_is_taken():
    found = known(backup("old", 60), backup("bad", 20, damaged=True), backup("late", 1))
    span = pitr_plan.span_of(found, NOON + timedelta(minutes=5), True)
    assert pitr_plan.choose(found, NOON - timedelta(minutes=10), span).label == "old"
    assert pitr_plan.choose(found, NOON, span).label == "late"


@pytest.mark.parametrize("minutes", [-61, -60, 5, 6])
def test_times_out_of_the_span_are_refused_with_the_span(minutes):
    found = known(backup("old", 60), backup("late", 1))
    span = pitr_plan.span_of(found, NOON + timedelta(minutes=5), True)
    with pytest.raises(BadInput, match=r"from 2026-11-21T11:00:01Z until before 2026-11-21T12:05:00Z"):
        pitr_plan.choose(found, NOON + timedelta(minutes=minutes), span)


def test_without_backup_or_wal_nothing_is_possible():
    for found, last in ((known(), NOON), (known(backup("old", 60)), None)):
        with pytest.raises(BadInput, match="nothing can be restored yet"):
            pitr_plan.choose(found, NOON, pitr_plan.span_of(found, last, True))


@pytest.mark.parametrize(
    ("last", "following", "status"),
    [
        (-10, 5, "ok"),
        (0, 5, "ok"),
        (None, 5, "ok"),
        (1, 5, "crit"),
        (-10, None, "crit"),
        (-10, -5, "crit"),
        (-10, 0, "crit"),
    ],
)
def test_what_proves_a_stop_point(last, following, status):
    moments = [None if one is None else NOON + timedelta(seconds=one) for one in (last, following)]
    check = pitr_plan.stop_check(NOON, *moments, "set", 2, "promoted")
    assert check["status"] == status
    assert bool(check["advice"]) == (status != "ok")


@pytest.mark.parametrize(
    "stamp", ["2026-11-21 12:00:00+00", "2026-11-21 17:30:00.000000+05:30", "2026-11-21 11:00:00-01"]
)
def test_the_log_in_any_zone(stamp):
    assert pitr_plan.stopped_before(f"recovery stopping before abort of transaction 7, time {stamp}") == NOON
    assert pitr_plan.stopped_before("recovery stopping after commit of nothing") is None


def test_what_the_log_says_is_wrong():
    log = "FATAL:  the database system is starting up\nFATAL:  could not open file: gone.\n"
    assert pitr_plan.trouble_in(log) == "could not open file: gone"
    assert pitr_plan.trouble_in("FATAL:  the database system is not yet accepting connections") is None
    early = "FATAL:  recovery ended before configured recovery target was reached"
    assert "archive ends before the target" in str(pitr_plan.trouble_in(early))


def test_what_a_restore_copied_and_kept():
    copied = pitr_plan.Copied()
    lines = (
        "P01 DETAIL: restore file /d/base/1/1255 (632KB, 50.50%) checksum 12ab",
        "P01 DETAIL: restore file /d/base/1/2 - exists and matches backup (1.5MB, 80.00%) checksum 12ab",
        "P01 DETAIL: restore file /d/base/1/3 - exists and is zero size (0B, 100.00%)",
        "P00   INFO: restore size = 21.3MB, file total = 966",
    )
    assert [copied.read(line) for line in lines] == [0.505, 0.8, 1.0, None]
    assert (copied.files, copied.kept, copied.bytes) == (1, 2, 632 << 10)


def test_room_is_needed_beside_the_data():
    assert pitr_plan.lacking(1 << 30, 2 << 30) is None
    assert "1.3 GiB" in str(pitr_plan.lacking(1 << 30, 1 << 30))


def test_segments_in_every_form():
    content = bytes(range(256)) * 99
    stream = zstandard.ZstdCompressor(write_content_size=False).compress(content)
    for packed in (content, gzip.compress(content), bz2.compress(content), stream):
        assert waltail.unpack(packed) == content
    assert waltail.unpack(b"\x04\x22\x4d\x18rest") is None


def test_the_last_transaction_of_a_segment():
    lines = [
        "rmgr: Transaction len, tx: 728, lsn: 0/1, prev 0/0, desc: COMMIT 2026-11-21 12:00:00.000000 UTC",
        "rmgr: Transaction len, desc: ABORT 2026-11-21 12:00:02.500000 UTC; rels: base/5/16384",
        "rmgr: Transaction len, desc: COMMIT_PREPARED 4711: 2026-11-21 12:00:01.000000 UTC",
        "rmgr: Transaction len, desc: ASSIGNMENT xtop 728: subxacts: 729",
    ]
    assert waltail.latest(lines) == NOON + timedelta(seconds=2.5)
    assert waltail.latest(lines[3:]) is None


# -- the folder


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder whose owner is no root, and can get there."""
    with tempfile.TemporaryDirectory(prefix="day2-test-", dir="/tmp") as name:
        place = Path(name).resolve()
        if os.geteuid() == 0:
            os.chown(place, 65534, 65534)
        yield place


def test_what_may_be_a_copys_folder(home: Path):
    path = home / "copy"
    assert copy_place.look(str(path)).state == "absent"
    place = copy_place.look(str(path))
    with copy_place.held(place):
        assert copy_place.look(str(path)).state == "empty"
        marker = copy_place.write_marker(place, {"status": "restored"}, inner=True)
    assert copy_place.look(str(path)).state == "ours"
    assert copy_place.look(str(path)).marker["id"] == marker["id"]
    assert path.stat().st_uid == home.stat().st_uid

    # Somebody else's data in our folder, and in a folder that took its name.
    (path / copy_place.INNER).unlink()
    (path / "PG_VERSION").write_text("15\n", encoding="utf-8")
    assert copy_place.look(str(path)).state == "foreign"
    copy_place.write_marker(place, {"status": "restoring"})
    assert copy_place.look(str(path)).state == "ours"
    path.rename(home / "moved")
    path.mkdir()
    os.chown(path, home.stat().st_uid, -1)
    (path / "PG_VERSION").write_text("15\n", encoding="utf-8")
    assert copy_place.look(str(path)).state == "foreign"


def test_folders_that_cannot_be_meant(home: Path):
    (home / "file").write_text("", encoding="utf-8")
    (home / "link").symlink_to(home)
    for path in ("copy", "/", f"{home}/nowhere/copy", f"{home}/file", f"{home}/link", f"{home}/link/copy"):
        with pytest.raises(BadInput, match="data_dir"):
            copy_place.look(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes folders of root")
def test_nothing_runs_as_root_or_where_its_user_cannot_go(tmp_path: Path):
    with pytest.raises(BadInput, match="belongs to root"):
        copy_place.look(str(tmp_path.resolve() / "copy"))
    closed = tmp_path.resolve() / "closed"
    closed.mkdir(mode=0o700)
    (closed / "home").mkdir()
    os.chown(closed / "home", 65534, 65534)
    with pytest.raises(BadInput, match="nobody may not enter"):
        copy_place.look(str(closed / "home" / "copy"))


def test_a_missing_library_is_found_before_anything_is_made(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    params = {"data_dir": str(home / "copy"), "state": "started"}
    with pytest.raises(BadInput, match="psycopg2-binary is not installed"):
        pitr.point_in_time(Run(params, False, Deadline(None), Liveness()))
    assert list(home.iterdir()) == []


# -- for real


@dataclass
class Past:
    """A server with a past: row 1 before ``target``, row 2 after it in ``segment``, and a folder for copies."""

    repository: PgBackRest
    home: Path
    target: str
    segment: str
    started: list[modules.Module] = field(default_factory=list)

    def start(self, name: str = "copy", *, check: bool = False, **given: Any) -> modules.Module:
        arguments = {
            "data_dir": str(self.home / name),
            "target_time": self.target,
            "pgbackrest": self.repository.options(),
            "bin_dir": str(self.repository.postgres.tool("postgres").parent),
            **given,
        }
        seconds = arguments.pop("seconds", None)
        end = datetime.now(timezone.utc) + timedelta(seconds=seconds or 0)
        more = {"deadline": end.strftime("%Y-%m-%dT%H:%M:%SZ")} if seconds else {}
        self.started.append(modules.start(MODULE, arguments, check=check, **more))
        return self.started[-1]

    def restore(self, name: str = "copy", *, check: bool = False, **given: Any) -> dict[str, Any]:
        return self.start(name, check=check, **given).result()

    def remove(self, name: str = "copy") -> None:
        assert self.restore(name, state="absent").get("failed") is None
        assert not (self.home / name).exists()
        assert not (self.home / f"{name}.day2").exists()

    def rows(self, name: str = "copy") -> list[int]:
        return [row[0] for row in self.query("SELECT n FROM past ORDER BY n", name)]

    def query(self, statement: str, name: str = "copy") -> list[tuple[Any, ...]]:
        place = str(self.home / f"{name}.day2")
        with closing(psycopg2.connect(host=place, port=5433, user="postgres", dbname="postgres")) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    def server(self, name: str = "copy") -> int:
        return int((self.home / name / "postmaster.pid").read_text(encoding="utf-8").split()[0])

    def config(self, name: str, script: str) -> dict[str, Any]:
        """pgBackRest's options with another program for the server to fetch WAL with."""
        folder = self.repository.folder
        program, config = folder / name, folder / f"{name}.conf"
        program.write_text(f'#!/bin/sh\n{script}\nexec {self.repository.program} "$@"\n', encoding="utf-8")
        text = self.repository.config.read_text(encoding="utf-8")
        config.write_text(text.replace(f"cmd={self.repository.program}", f"cmd={program}"), encoding="utf-8")
        for path in (program, config):
            give(path, self.repository.postgres.account, 0o755)
        return {**self.repository.options(), "config": str(config)}


@pytest.fixture(scope="module")
def made(lab: Lab) -> Past:
    repository = lab.pgbackrest("past")
    server = repository.postgres
    place = lab.shared_folder("extra")
    server.execute(f"CREATE TABLESPACE extra LOCATION '{place}'")
    server.execute("CREATE TABLE past (n int) TABLESPACE extra")
    repository("backup", "--type=full")
    server.execute("INSERT INTO past VALUES (1)")
    # pgBackRest knows the end of a backup to the second.
    time.sleep(1.1)
    target = server.value("SELECT clock_timestamp()").astimezone(timezone.utc).isoformat()
    server.execute("INSERT INTO past VALUES (2)")
    return Past(repository, repository.copies, target, repository.switch())


@pytest.fixture
def past(made: Past) -> Iterator[Past]:
    yield made
    for module in made.started:
        module.kill()
    made.started.clear()


def checks(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {check["check"].removeprefix("postgresql_"): check for check in result["checks"]}


@pytest.mark.lab
def test_check_make_again_and_another_time(past: Past):
    planned = past.restore(check=True)
    assert list(past.home.iterdir()) == []
    assert [one["status"] for one in planned["actions"]] == ["planned", "planned"]

    done = past.restore()
    assert done.get("msg") is None
    assert [one["reason"] for one in done["actions"]] == [one["reason"] for one in planned["actions"]]
    assert past.rows() == [1]
    stop = checks(done)["pitr_stop_point"]
    assert (stop["status"], stop["evidence"]["timeline"], stop["evidence"]["state"]) == ("ok", 2, "promoted")
    assert checks(done)["pitr_seconds"]["value"] > 0
    # Its own tablespace, and the original's still in place.
    assert past.query("SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'extra'") == [
        (f"{past.home}/copy.day2/tablespaces/extra",)
    ]
    assert past.repository.postgres.execute("SELECT n FROM past ORDER BY n") == [(1,), (2,)]
    assert past.query("SELECT setting FROM pg_settings WHERE name = 'archive_mode'") == [("off",)]

    again = past.restore()
    assert (again["changed"], again["actions"]) == (False, [])
    assert again["checks"] == done["checks"]

    # Another time: never over a running server, and then only what differs.
    later = (datetime.fromisoformat(past.target) - timedelta(milliseconds=1)).isoformat()
    refused = past.restore(target_time=later)
    assert refused["error"]["kind"] == "refused"
    assert "state=stopped" in refused["msg"]
    assert past.rows() == [1]
    assert past.restore(state="stopped")["changed"]
    assert not past.restore(state="stopped")["changed"]
    started = past.restore()
    assert [one["action"] for one in started["actions"]] == ["start_copy"]
    assert past.rows() == [1]
    assert past.restore(state="stopped")["changed"]
    moved = past.restore(target_time=later, target_action="pause")
    first, second = done["actions"][0]["after"], moved["actions"][0]["after"]
    assert second["bytes_copied"] < first["bytes_copied"] / 5
    assert second["files_kept"] > 900
    assert second["seconds"] < first["seconds"]
    assert checks(moved)["pitr_stop_point"]["evidence"]["state"] == "paused"
    assert past.query("SELECT pg_is_in_recovery(), n FROM past") == [(True, 1)]
    past.remove()


@pytest.mark.lab
def test_times_that_cannot_be_reached_are_refused_untouched(past: Past):
    now = datetime.now(timezone.utc).isoformat()
    for target, words in (("2020-01-01T00:00:00Z", "before the end of the first backup"), (now, "pg_switch_wal")):
        result = past.restore(target_time=target)
        assert result["error"]["kind"] == "bad_input"
        assert words in result["msg"]
        assert "possible are times from 20" in result["msg"]
    assert list(past.home.iterdir()) == []


@pytest.mark.lab
def test_the_data_of_others_is_refused(past: Past):
    server = past.repository.postgres
    for state in ("started", "stopped", "absent"):
        result = past.restore(data_dir=str(server.data_dir), state=state)
        assert result["error"]["kind"] == "refused"
        assert f"pid {server.process.pid if server.process else 0}" in result["msg"]
    assert server.value("SELECT count(*) FROM past") == 2
    for given, words in (
        ({"settings": {"archive_mode": "on"}}, "settings: archive_mode"),
        ({"bin_dir": "/nowhere"}, "bin_dir"),
        ({"target_time": "yesterday"}, "target_time"),
        ({"data_dir": f"{past.home}/{'x' * 80}"}, "too long for a socket"),
    ):
        result = past.restore(**given)
        assert result["error"]["kind"] == "bad_input"
        assert words in result["msg"]


@pytest.mark.lab
def test_a_hole_in_the_archive_a_kill_and_a_deadline(past: Past):
    """Nothing that went wrong is called a copy, nothing runs on, and the next try goes on from what is there."""
    broken = past.config("broken", f'case "$*" in *archive-get*{past.segment}*) exit 1;; esac')
    result = past.restore(pgbackrest=broken)
    assert result["error"]["kind"] == "failed"
    assert "segment is missing" in result["msg"]
    assert [one["status"] for one in result["actions"]] == ["done", "failed"]
    assert not (past.home / "copy" / "postmaster.pid").exists()

    slow = past.config("slow", 'case "$*" in *archive-get*0000*) sleep 60;; esac')
    module = past.start(pgbackrest=slow)
    # The file is there a moment before the number in it.
    wait_until(lambda: copy_place.look(str(past.home / "copy")).pid is not None, "the copy to start", 20)
    pid = past.server()
    os.kill(module.process.pid, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the server to end", 15)

    assert past.restore(seconds=1)["error"]["kind"] == "deferred"
    # What does not fit in is not begun, and this depends on how long the backup took.
    took = past.repository.info()["backup"][0]["timestamp"]
    result = past.start(pgbackrest=slow, seconds=took["stop"] - took["start"] + 3).result()
    assert result["error"]["kind"] == "deferred"
    assert [one["status"] for one in result["actions"]] == ["done", "deferred"]
    assert result["actions"][0]["after"]["files_kept"] > 900
    assert copy_place.look(str(past.home / "copy")).pid is None

    assert past.restore().get("msg") is None
    assert past.rows() == [1]
    past.remove()
