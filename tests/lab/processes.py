# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starting and ending server processes, ports, and the user they run as."""

from __future__ import annotations

import os
import pwd
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .sweep import started_at


class LabError(Exception):
    """The lab could not do what was asked. The message is one sentence for people."""


@dataclass(frozen=True)
class Account:
    """The user that servers run as when the lab itself is root: PostgreSQL and PgBouncer refuse root."""

    uid: int
    gid: int


def service_account() -> Account | None:
    """nobody when we are root; None (ourselves) otherwise."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def give(path: Path, account: Account | None, mode: int) -> Path:
    """Hand a file or folder to the servers' user."""
    path.chmod(mode)
    if account:
        os.chown(path, account.uid, account.gid)
    return path


def reachable(path: Path, account: Account | None) -> bool:
    """Whether the servers' user may walk down to this folder."""
    if account is None:
        return os.access(path, os.R_OK | os.X_OK)
    return all(place.stat().st_mode & 0o001 for place in (path, *path.parents))


_random = random.SystemRandom()


def free_port() -> int:
    """A free port below the range of outgoing connections, so that it is still free after a server was killed."""
    try:
        low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        low = 32768
    for _ in range(500):
        port = _random.randrange(min(15000, low - 5000), low)
        with socket.socket() as probe:
            # Without this a connection of the past in TIME_WAIT would make a free port look taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise LabError("Failed to find a free port: 500 ports tried")


def wait_until(
    ready: Callable[[], Any], what: str = "it to come to that", seconds: float = 30.0, every: float = 0.02
) -> Any:
    """What ``ready`` returns once that is true; :class:`LabError` when it does not come to that in time."""
    end = time.monotonic() + seconds
    while True:
        found = ready()
        if found:
            return found
        if time.monotonic() > end:
            raise LabError(f"Failed to wait for {what}: it took more than {seconds:.0f} s.")
        time.sleep(every)


@dataclass
class Process:
    """One process, told apart from a later one with the same id."""

    pid: int
    started: int
    popen: subprocess.Popen[bytes] | None = None

    def alive(self) -> bool:
        if self.popen is not None and self.popen.poll() is not None:
            return False
        return started_at(self.pid) == self.started

    def send(self, number: int) -> None:
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def gone(self, seconds: float) -> bool:
        """Wait for its end; False when it is still there."""
        end = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def stop(self, number: int = signal.SIGTERM, seconds: float = 10.0) -> None:
        """Ask to end, insist after the given time."""
        self.send(number)
        if not self.gone(seconds):
            self.send(signal.SIGKILL)
            self.gone(10.0)


def children(pid: int) -> list[Process]:
    """The direct children of a process."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = Path(f"/proc/{entry}/stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            fields = text.rpartition(")")[2].split()
            if int(fields[1]) == pid and fields[0] not in "ZX":
                found.append(Process(int(entry), int(fields[19])))
    return found


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a server gets to see of our environment: next to nothing."""
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "HOME": "/nonexistent",
        **(extra or {}),
    }


def spawn(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    log: Path,
    account: Account | None,
    env: Mapping[str, str] | None = None,
) -> Process:
    """Start a server in its own session (a Ctrl-C at the terminal is not meant for it), writing to its log."""
    with log.open("ab") as out:
        popen = subprocess.Popen(
            [str(word) for word in argv],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=clean_environment(env),
            start_new_session=True,
            umask=0o077,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    # A process that ended at once has no start time any more; its zombie keeps the pid until it is polled.
    return Process(popen.pid, started_at(popen.pid) or -1, popen)


def serve(
    what: str,
    argv: Sequence[str | Path],
    *,
    folder: Path,
    account: Account | None,
    answers: Callable[[], object],
    silent: type[Exception] | tuple[type[Exception], ...] = OSError,
    libraries: str = "",
    env: Mapping[str, str] | None = None,
    seconds: float = 30.0,
) -> Process:
    """Start a server in its folder, and return once ``answers`` no longer raises ``silent``."""
    log = folder / "server.log"
    env = {**(env or {}), **({"LD_LIBRARY_PATH": libraries} if libraries else {})}
    process = spawn(argv, cwd=folder, log=log, account=account, env=env)

    def up() -> bool:
        if not process.alive():
            words = log.read_text(encoding="utf-8", errors="replace")
            raise LabError(f"Failed to start {what}: {words.strip()[-1500:]}")
        try:
            answers()
        except silent:
            return False
        return True

    try:
        wait_until(up, f"{what} to start", seconds, every=0.05)
    except LabError:
        process.stop()
        raise
    return process


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    account: Account | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 300.0,
) -> str:
    """Run a tool to its end and return what it printed; LabError with its last words when it fails."""
    try:
        done = subprocess.run(
            [str(word) for word in argv],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=clean_environment(env),
            timeout=timeout,
            check=False,
            start_new_session=True,
            umask=0o077,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except OSError as error:
        raise LabError(f"Failed to run {argv[0]}: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"Failed to run {Path(argv[0]).name}: not finished after {timeout:.0f} s") from error
    output = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0:
        raise LabError(f"Failed to run {Path(argv[0]).name}: exit status {done.returncode}: {output.strip()[-2000:]}")
    return output
