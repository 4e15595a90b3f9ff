# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What only a folder can get wrong."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import (
    StoreConflict,
    StoreDenied,
    StoreError,
    StoreMissing,
    StoreUnreachable,
)
from ansible_collections.day2.ops.plugins.module_utils._store import folder
from ansible_collections.day2.ops.plugins.module_utils._store.base import ConditionalPutUnsupported, Store
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store({"store": str(tmp_path)}, read_only=False)


def test_modes_are_private_whatever_the_umask(store: Store, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store.put("v1/a/b", b"1")
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "v1", tmp_path / "v1/a")] == [0o700, 0o700]
    assert (tmp_path / "v1/a/b").stat().st_mode & 0o777 == 0o600


def test_a_missing_folder_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing, match=r"Create it or mount it"):
        open_store({"store": str(tmp_path / "mount")}, read_only=False)
    assert not (tmp_path / "mount").exists()


def test_links_and_hidden_files_are_not_objects(store: Store, tmp_path: Path) -> None:
    store.put("a", b"1")
    (tmp_path / "b").symlink_to("/etc/passwd")
    (tmp_path / "c").symlink_to("/etc")
    (tmp_path / ".hidden").write_text("x")
    os.mkfifo(tmp_path / "fifo")
    assert [entry.key for entry in store.list("")] == ["a"]


def test_partials_name_their_goal(store: Store, tmp_path: Path) -> None:
    store.put("v1/backups/db1/base-1.tar", b"1")
    (tmp_path / "v1/backups/db1/.partial-0123-base-2.tar").write_bytes(b"half")
    (partial,) = store.partials("v1/")
    assert (partial.kind, partial.key) == ("file", "v1/backups/db1/base-2.tar")
    assert list(store.partials("v1/archives/")) == []
    store.drop(partial)
    store.drop(partial)
    assert list(store.partials("")) == [] and store.get("v1/backups/db1/base-1.tar").data == b"1"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EACCES, StoreDenied),
        (errno.EROFS, StoreDenied),
        (errno.ESTALE, StoreUnreachable),
        (errno.EIO, StoreUnreachable),
        (errno.ENOSPC, StoreError),
        (errno.EDQUOT, StoreError),
    ],
)
def test_what_the_system_says(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[StoreError]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(folder.os, "fsync", refuse)
    with pytest.raises(kind, match=rf"^Failed to write {tmp_path}/v: {os.strerror(number)}\.") as error:
        store.put("v", b"1")
    assert type(error.value) is kind
    monkeypatch.undo()
    assert list(store.list("")) == [] and list(store.partials("")) == []


def test_a_filesystem_without_hard_links(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(folder.os, "link", refuse)
    with pytest.raises(ConditionalPutUnsupported, match="no hard links"):
        store.put("a", b"1", if_none_match=True)


def test_waiting_for_the_lock_is_bounded(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = store.put("a", b"1")
    monkeypatch.setattr(folder, "LOCK_SECONDS", 0.1)
    with open(tmp_path / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreUnreachable, match="somebody has held it"):
            store.put("a", b"2", if_match=stored.etag)
    store.put("a", b"2", if_match=stored.etag)


def test_one_of_many_changes_wins(store: Store) -> None:
    etag = store.put("a", b"0").etag
    won: list[int] = []

    def change(number: int) -> None:
        try:
            store.put("a", b"%d" % number, if_match=etag)
        except StoreConflict:
            return
        won.append(number)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(1, 17)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and store.get("a").data == b"%d" % won[0]


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    code = """
import sys
from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store
store = open_store({"store": sys.argv[1]}, read_only=False)
try:
    store.put("a", (b"x" * 65536 for _ in range(64)))
except OpsError as error:
    print(type(error).__name__, error)
print([e.key for e in store.list("")], list(store.partials("")))
"""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True, preexec_fn=limit
    )
    assert done.stdout.splitlines() == [f"StoreError Failed to write {tmp_path}/a: File too large.", "[] []"]
