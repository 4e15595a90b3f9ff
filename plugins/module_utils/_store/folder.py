# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store in a folder: the same promises as S3, by temporary files, fsync, rename, hard links and a lock file."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
import uuid
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import Iterator, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import (
    StoreConflict,
    StoreDenied,
    StoreError,
    StoreMissing,
    StoreUnreachable,
)
from ansible_collections.day2.ops.plugins.module_utils._store.base import (
    CHUNK,
    GET_LIMIT,
    ConditionalPutUnsupported,
    Data,
    Entry,
    Got,
    Partial,
    Stored,
    check_key,
    chunks,
)
from ansible_collections.day2.ops.plugins.module_utils._store.spec import FolderLocation

# Keys have no segment that begins with a dot, so neither name can be an object's.
PARTIAL = ".partial-"
LOCK = ".lock"
LOCK_SECONDS = 10.0
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_AWAY = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENOTCONN)
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@contextmanager
def _said(verb: str, path: str) -> Iterator[None]:
    """OSError as a typed error that says what failed."""
    try:
        yield
    except OSError as error:
        text = f"Failed to {verb} {path}: {os.strerror(error.errno or 0)}."
        if error.errno in _DENIED:
            remedy = f" Give the user with id {os.geteuid()} access to it."
            raise StoreDenied(text + (" It is mounted read-only." if error.errno == errno.EROFS else remedy)) from None
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise StoreMissing(text) from None
        if error.errno in _AWAY:
            raise StoreUnreachable(text) from None
        raise StoreError(text) from None


class FolderStore:
    """``etag`` is the sha256 of the content. Files are 0600, folders 0700."""

    def __init__(self, location: FolderLocation, *, read_only: bool, deadline: Deadline) -> None:
        self.location = str(location)
        self._root = location.path
        self._read_only = read_only
        self._deadline = deadline
        # Never created: an unmounted disk must not turn into a folder on another one.
        if not os.path.isdir(self._root):
            raise StoreMissing(f"Failed to open {self._root}: the folder is not there. Create it or mount it.")

    def put(self, key: str, data: Data, *, if_none_match: bool = False, if_match: Optional[str] = None) -> Stored:
        self._changes()
        path = self._path(key)
        folder, name = os.path.split(path)
        temporary = os.path.join(folder, f"{PARTIAL}{uuid.uuid4().hex}-{name}")
        with _said("write", path):
            self._make(folder)
        try:
            size, digest = self._fill(temporary, path, data)
            with _said("write", path):
                if if_none_match:
                    self._link(temporary, path)
                elif if_match is not None:
                    with self._locked():
                        self._expect(path, if_match)
                        os.rename(temporary, path)
                else:
                    os.rename(temporary, path)
                _sync(folder)
        finally:
            with _said("clean up after", path):
                _remove(temporary)
        return Stored(key, size, digest, digest)

    def _fill(self, temporary: str, path: str, data: Data) -> tuple[int, str]:
        size, digest = 0, hashlib.sha256()
        with _said("write", path):
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            for chunk in chunks(data):  # outside of _said: the source may have OSErrors of its own
                if size > CHUNK:  # small objects are written late, too: they tell how the run ended
                    self._deadline.check()
                digest.update(chunk)
                size += len(chunk)
                left = memoryview(chunk)
                with _said("write", path):
                    while left:
                        left = left[os.write(handle, left) :]
            with _said("write", path):
                os.fsync(handle)
        finally:
            os.close(handle)
        return size, digest.hexdigest()

    def _link(self, temporary: str, path: str) -> None:
        """Atomic, and refused when something is there."""
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise StoreConflict(f"Failed to write {path}: it is there already.") from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            raise ConditionalPutUnsupported(
                f"Failed to write {path} safely: its filesystem has no hard links. Use a folder on one that has."
            ) from None

    def _expect(self, path: str, etag: str) -> None:
        try:
            with open(path, "rb") as file:
                digest = hashlib.sha256()
                for chunk in iter(lambda: file.read(CHUNK), b""):
                    digest.update(chunk)
        except FileNotFoundError:
            raise StoreConflict(f"Failed to change {path}: it is gone.") from None
        if digest.hexdigest() != etag:
            raise StoreConflict(f"Failed to change {path}: it is not what it was.")

    def get(self, key: str) -> Got:
        path = self._path(key)
        with _said("read", path), open(path, "rb") as file:
            data = file.read(GET_LIMIT + 1)
        if len(data) > GET_LIMIT:
            raise StoreError(f"Failed to read {path}: it is larger than the 1 MiB such an object can have.")
        return Got(data, hashlib.sha256(data).hexdigest())

    def stream(self, key: str, *, sha256: Optional[str] = None) -> Iterator[bytes]:
        path = self._path(key)
        digest, read = hashlib.sha256(), 0
        with _said("read", path):
            file = open(path, "rb")  # noqa: SIM115 - closed by the with below, which must not wrap the yield in _said
        with file:
            while True:
                if read > CHUNK:
                    self._deadline.check()
                with _said("read", path):
                    chunk = file.read(CHUNK)
                if not chunk:
                    break
                digest.update(chunk)
                read += len(chunk)
                yield chunk
        if sha256 is not None and digest.hexdigest() != sha256:
            raise StoreError(f"Failed to read {path}: its content has changed since it was written (sha256 differs).")

    def list(self, prefix: str) -> Iterator[Entry]:
        for key, path in self._walk(prefix):
            if os.path.basename(path).startswith("."):
                continue
            try:
                found = os.stat(path, follow_symlinks=False)
            except FileNotFoundError:  # deleted meanwhile
                continue
            yield Entry(key, found.st_size, datetime.fromtimestamp(found.st_mtime, timezone.utc))

    def delete(self, key: str, *, if_match: Optional[str] = None) -> None:
        self._changes()
        path = self._path(key)
        with _said("delete", path):
            if if_match is None:
                _remove(path)
                return
            with self._locked():
                if os.path.exists(path):
                    self._expect(path, if_match)
                    _remove(path)

    def locked_until(self, key: str) -> Optional[datetime]:
        return None

    def partials(self, prefix: str) -> Iterator[Partial]:
        for key, path in self._walk(""):
            folder, name = os.path.split(key)
            if not name.startswith(PARTIAL):
                continue
            goal = os.path.join(folder, name[len(PARTIAL) :].partition("-")[2])
            if not goal.startswith(prefix):
                continue
            try:
                touched = os.stat(path, follow_symlinks=False).st_mtime
            except FileNotFoundError:
                continue
            yield Partial("file", goal, name, datetime.fromtimestamp(touched, timezone.utc))

    def drop(self, partial: Partial) -> None:
        self._changes()
        path = os.path.join(os.path.dirname(self._path(partial.key)), partial.id)
        with _said("delete", path):
            _remove(path)

    def _changes(self) -> None:
        if self._read_only:
            raise AssertionError("contract violation: a store opened for reading was asked to change something")

    def _path(self, key: str) -> str:
        return os.path.join(self._root, *check_key(key).split("/"))

    def _walk(self, prefix: str) -> Iterator[tuple[str, str]]:
        """(key, path) of every regular file under ``prefix``, in the order S3 lists them. Links are not followed."""
        start = prefix.rpartition("/")[0]
        if start:
            check_key(start)
        pending = [start]
        while pending:
            key = pending.pop()
            path = os.path.join(self._root, key)
            if not key.endswith("/") and key != start:
                yield key, path
                continue
            try:
                with _said("list", path), os.scandir(path) as entries:
                    found = [
                        os.path.join(key, entry.name) + ("/" if entry.is_dir(follow_symlinks=False) else "")
                        for entry in entries
                        if entry.name.startswith(PARTIAL) or not entry.name.startswith(".")
                        if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)
                    ]
            except StoreMissing:
                continue
            pending.extend(sorted((each for each in found if _meets(each, prefix)), key=str.encode, reverse=True))

    def _make(self, folder: str) -> None:
        if os.path.isdir(folder):
            return
        above = os.path.dirname(folder)
        self._make(above)
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            return
        _sync(above)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Conditional changes one after the other, between processes and hosts that share the folder."""
        handle = os.open(os.path.join(self._root, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            until = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > until:
                        raise StoreUnreachable(
                            f"Failed to lock {self._root}/{LOCK}: somebody has held it for {LOCK_SECONDS:.0f} s."
                        ) from None
                    time.sleep(0.01)
            yield
        finally:
            os.close(handle)


def _meets(key: str, prefix: str) -> bool:
    """Whether ``key`` starts with ``prefix``, or is a folder in which such keys may lie."""
    return key.startswith(prefix) or (key.endswith("/") and prefix.startswith(key))


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _sync(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
