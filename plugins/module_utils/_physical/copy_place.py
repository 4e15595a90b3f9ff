# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of a restored copy: whether it is free, ours or somebody else's, and whether a server runs in it.

Beside the data folder lies one of our own, ``<data_dir>.day2``, with the marker, the settings, the log and the socket.
A folder is ours only while both markers agree: nobody's data is ever taken for a copy.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._backup.account import Account, by_id
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, Refused

BESIDE = ".day2"
MARKER, INNER = "copy.json", "day2.copy"
ABSENT, EMPTY, OURS, FOREIGN = "absent", "empty", "ours", "foreign"


@dataclass(frozen=True)
class Place:
    """``marker`` is what we wrote of the copy; ``pid`` the server that runs in the folder."""

    path: str
    account: Account
    state: str
    marker: Mapping[str, Any]
    pid: Optional[int]

    @property
    def beside(self) -> str:
        return self.path + BESIDE

    def file(self, name: str) -> str:
        return os.path.join(self.beside, name)


def look(path: str) -> Place:
    """What is there. :class:`BadInput` for a path that cannot be a copy's. Changes nothing."""
    path = path.rstrip("/")
    parent = os.path.dirname(path)
    if not path.startswith("/") or os.path.islink(path) or os.path.realpath(parent) != parent or not path:
        raise BadInput(f"data_dir: {path!r} is not an absolute path without links; give the folder itself.")
    if not os.path.isdir(parent):
        raise BadInput(f"data_dir: there is no folder {parent}; create it, owned by the server's user.")
    there = os.path.lexists(path)
    if there and not os.path.isdir(path):
        raise BadInput(f"data_dir: {path} is not a folder; give one that is empty or not there.")
    account = by_id(os.stat(path if there else parent).st_uid)
    if account.uid == 0:
        which = path if there else parent
        raise BadInput(
            f"data_dir: {which} belongs to root, and PostgreSQL does not run as root; create {path}, owned by the "
            "server's user."
        )
    if not account.ours and os.geteuid() != 0:
        raise BadInput(f"data_dir: it would belong to {account.name}; become that user (become_user).")
    with account.files():
        if not os.access(parent, os.X_OK, effective_ids=True):
            raise BadInput(f"data_dir: {account.name} may not enter {parent}; give a folder that its owner can reach.")
    marker = _marker(path)
    if not there:
        return Place(path, account, ABSENT, marker, None)
    if not os.listdir(path):
        return Place(path, account, EMPTY, marker, None)
    return Place(path, account, OURS if _ours(path, marker) else FOREIGN, marker, _running(path))


def require_free(place: Place) -> None:
    """:class:`Refused` unless a copy may be restored there."""
    if place.state == FOREIGN:
        what = f"a server runs in it (pid {place.pid})" if place.pid else "it holds something this module did not make"
        raise Refused(f"Failed to restore into {place.path}: {what}; give a folder that is empty or not there.")
    if place.pid:
        raise Refused(
            f"Failed to restore into {place.path}: the copy of {place.marker.get('target')} runs there (pid "
            f"{place.pid}); stop it with state=stopped first, or give another data_dir."
        )


def _marker(path: str) -> dict[str, Any]:
    try:
        with open(os.path.join(path + BESIDE, MARKER), encoding="utf-8") as file:
            found = json.load(file)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _ours(path: str, marker: Mapping[str, Any]) -> bool:
    """The very folder that we made or took when it was empty, and inside what we put there."""
    if not marker or marker.get("folder") != _identity(path):
        return False
    if marker.get("status") == "restoring":  # a restore begins by removing what it does not know
        return True
    try:
        with open(os.path.join(path, INNER), encoding="utf-8") as file:
            return file.read().strip() == marker.get("id")
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def _identity(path: str) -> str:
    found = os.stat(path)
    return f"{found.st_dev}:{found.st_ino}"


def _running(path: str) -> Optional[int]:
    try:
        with open(os.path.join(path, "postmaster.pid"), encoding="utf-8") as file:
            pid = int(file.readline())
    except (FileNotFoundError, ValueError):
        return None
    try:
        os.kill(pid, 0)
        # After a crash of the host the number may be another program's.
        here = not os.path.isdir("/proc/self") or os.path.samefile(f"/proc/{pid}/cwd", path)
    except (ProcessLookupError, FileNotFoundError):
        return None
    except PermissionError:
        return pid
    return pid if here else None


@contextlib.contextmanager
def held(place: Place) -> Iterator[None]:
    """Make the folders, and keep other runs away from them."""
    for path in (place.path, place.beside):
        _make(path, place.account)
    with place.account.files():
        handle = os.open(place.file("lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"Failed to lock {place.path}: another run is at work there.") from None
        yield
    finally:
        os.close(handle)


def _make(path: str, account: Account) -> None:
    if os.path.isdir(path):
        return
    try:
        with account.files():
            os.mkdir(path, 0o700)
    except PermissionError:
        if account.ours:
            raise BadInput(f"data_dir: {account.name} may not create {path}; create it, or become root.") from None
        os.mkdir(path, 0o700)
        os.chown(path, account.uid, account.gid)


def write_marker(place: Place, values: Mapping[str, Any], *, inner: bool = False) -> dict[str, Any]:
    """Note what the copy is; with ``inner`` inside the data too. The marker as it now stands."""
    known = {"id": secrets.token_hex(8), **_marker(place.path), **values, "folder": _identity(place.path)}
    write_file(place, MARKER, json.dumps(known, indent=1) + "\n")
    if inner:
        with place.account.files():
            _write(os.path.join(place.path, INNER), str(known["id"]) + "\n")
    return known


def write_file(place: Place, name: str, text: str) -> str:
    """A file in our own folder, there at once or not at all; its path."""
    with place.account.files():
        _write(place.file(name), text)
    return place.file(name)


def _write(path: str, text: str) -> None:
    with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.replace(path + ".new", path)


def remove(place: Place) -> None:
    """The copy and our own folder are gone afterwards; the marker goes last."""
    for path in (place.path, place.beside):
        if not os.path.isdir(path):
            continue
        with place.account.files():
            for entry in sorted(os.scandir(path), key=lambda one: one.name == MARKER):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    os.unlink(entry.path)
        # Who may not remove it from its parent leaves it empty.
        with contextlib.suppress(PermissionError):
            os.rmdir(path)


def used_bytes(place: Place) -> int:
    total = 0
    for folder, _folders, files in os.walk(place.path):
        for name in files:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total
