# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Leave nothing behind: find and end the lab's processes, remove its temporary folder.

Every server of a lab runs with its working directory inside the lab's temporary folder. That is how its processes are
found again, also orphaned children whose parent was killed, and without trusting recorded process ids.

Run as a script this is the lab's guard: it waits on its standard input and removes the folder when the process
that started it goes away in any manner. A byte on the input releases the guard instead.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import stat
import sys
import time
from pathlib import Path

PREFIX = "day2-lab-"
MARKER = "lab-folder"
_IPC_RMID = 0


def started_at(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; with the pid it names one process for ever. None: gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _ancestors() -> set[int]:
    pids, pid = {os.getpid()}, os.getppid()
    while pid > 1 and pid not in pids:
        pids.add(pid)
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            break
        pid = int(text.rpartition(")")[2].split()[1])
    return pids


def members(root: Path) -> list[int]:
    """Processes that live in the folder, without the caller and those above it."""
    inside, ours = f"{root}/", _ancestors()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in ours:
            continue
        try:
            cwd = os.readlink(f"/proc/{entry}/cwd")
        except OSError:
            continue
        if f"{cwd.removesuffix(' (deleted)')}/".startswith(inside) and started_at(int(entry)) is not None:
            found.append(int(entry))
    return found


def kill_members(root: Path, seconds: float = 20.0) -> list[int]:
    """End every process of the folder. Returns those that are still there after the given time."""
    end = time.monotonic() + seconds
    quiet = 0
    # Twice nobody: a process that was just being started is not overlooked.
    while quiet < 2 and time.monotonic() < end:
        left = members(root)
        quiet = 0 if left else quiet + 1
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return members(root)


def _free_shared_memory(root: Path) -> None:
    # A killed postmaster leaves its small System V segment; postmaster.pid (line 7: key, id) says which.
    known = set()
    try:
        for line in Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[6] == "0":  # nobody is attached
                known.add((int(fields[0]), int(fields[1])))
    except OSError:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for lock in root.glob("*/data/postmaster.pid"):
        try:
            key, number = (int(word) for word in lock.read_text(encoding="utf-8").splitlines()[6].split())
        except (OSError, ValueError, IndexError):
            continue
        if (key, number) in known or (key - (1 << 32), number) in known:
            libc.shmctl(number, _IPC_RMID, None)


def is_lab_folder(root: Path) -> bool:
    """Only a folder that a lab of this user made is ever removed."""
    try:
        marker = os.lstat(root / MARKER)
        folder = os.lstat(root)
    except OSError:
        return False
    ours = marker.st_uid == folder.st_uid == os.geteuid()
    return root.name.startswith(PREFIX) and stat.S_ISDIR(folder.st_mode) and ours


def remove(root: Path) -> None:
    """Kill what lives in the lab's folder and remove it. Harmless when it is gone already."""
    if not is_lab_folder(root):
        return
    kill_members(root)
    _free_shared_memory(root)
    # The marker goes last, so that an interrupted removal can be taken up again.
    for entry in root.iterdir():
        if entry.name != MARKER:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
    shutil.rmtree(root, ignore_errors=True)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if not os.read(0, 1):
        remove(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
