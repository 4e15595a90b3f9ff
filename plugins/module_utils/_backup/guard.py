# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module has started ends with it, even when it is killed: a process that waits for the module's end.

Parent-death signals do not reach children of another user, and no ``finally`` runs on SIGKILL; the end of a pipe does
reach whoever reads it.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Iterator, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput

PATIENCE_SECONDS = 5.0


class Guard:
    """Knows the child processes and folders of this module. Make it before any thread and any connection.

    When the module ends without :meth:`close`, the processes get ``SIGTERM`` and then ``SIGKILL``, and the folders are
    removed, together with whoever lives in them.
    """

    def __init__(self) -> None:
        reading, self._pipe = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                _alone(reading)
                _end(*_listen(reading))
            finally:
                os._exit(0)
        os.close(reading)

    def process(self, pid: int, number: int = signal.SIGTERM) -> None:
        """The child ``pid`` must not outlive us. It leads a process group of its own; ``number`` asks it to end."""
        self._tell(f"+{pid}:{int(number)}")

    def process_ended(self, pid: int) -> None:
        self._tell(f"-{pid}")

    def folder(self, path: str) -> None:
        """The folder is ours alone and must not outlive us."""
        self._tell(f"/{os.path.abspath(path)}")

    def folder_removed(self, path: str) -> None:
        self._tell(f"!{os.path.abspath(path)}")

    def _tell(self, line: str) -> None:
        os.write(self._pipe, line.encode() + b"\0")

    def close(self) -> None:
        """Whatever was named to it is ended and removed now; usually nothing is left."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
            os.waitpid(self._pid, 0)

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()


def _alone(reading: int) -> None:
    """Nobody's signals reach us, and we hold nothing of the module open: its output and its connections end with it."""
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1, 2):
        os.dup2(nothing, handle)
    os.closerange(3, reading)
    os.closerange(reading + 1, os.sysconf("SC_OPEN_MAX"))


def _listen(reading: int) -> tuple[dict[int, int], set[str]]:
    """What is named when the pipe ends."""
    processes: dict[int, int] = {}
    folders: set[str] = set()
    buffer = b""
    while True:
        data = os.read(reading, 65536)
        if not data:
            return processes, folders
        *lines, buffer = (buffer + data).split(b"\0")
        for line in lines:
            kind, rest = line[:1], line[1:].decode()
            if kind == b"+":
                pid, _colon, number = rest.partition(":")
                processes[int(pid)] = int(number)
            elif kind == b"-":
                processes.pop(int(rest), None)
            elif kind == b"/":
                folders.add("/" + rest.lstrip("/"))
            else:
                folders.discard(rest)


def _end(processes: dict[int, int], folders: set[str]) -> None:
    for last in (False, True):
        for pid, number in processes.items():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL if last else number)
        until = time.monotonic() + PATIENCE_SECONDS
        while any(_there(pid) for pid in processes) and time.monotonic() < until:
            time.sleep(0.1)
    for path in folders:
        remove(path)


def remove(path: str) -> None:
    """The folder goes, and whoever lives in it: children of a killed server that have not noticed yet."""
    until = time.monotonic() + PATIENCE_SECONDS
    while (pids := inhabitants(path)) and time.monotonic() < until:
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def workplace(guard: Guard, base: Optional[str], option: str, prefix: str) -> Iterator[str]:
    """A folder of our own in ``base``, which goes whatever happens. :class:`BadInput` names ``option``."""
    place = base or tempfile.gettempdir()
    try:
        path = os.path.realpath(tempfile.mkdtemp(prefix=prefix, dir=place))
    except OSError as error:
        raise BadInput(
            f"{option}: no folder can be made in {place} ({error.strerror}); give one that is there and ours."
        ) from None
    guard.folder(path)
    try:
        yield path
    finally:
        remove(path)
        guard.folder_removed(path)


def inhabitants(path: str) -> list[int]:
    """The processes that work inside a folder, where the system tells."""
    inside = os.path.realpath(path) + "/"
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else []:
        # Those that end meanwhile, and those of others, do not say.
        with suppress(OSError):
            if name.isdigit() and f"{os.readlink(f'/proc/{name}/cwd')}/".startswith(inside):
                found.append(int(name))
    return [pid for pid in found if pid != os.getpid()]


def _there(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
