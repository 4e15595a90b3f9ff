# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts modules for tests, each as a process of its own, from one that has imported what they import.

Most of a module's short life are imports. Ansible itself still starts modules from nothing in the integration
targets. :func:`launch` asks the parent, which runs ``python -m tests.lab.preloaded FD`` until its socket closes.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

MODULES = "ansible_collections.day2.ops.plugins.modules."
TOP = Path(__file__).resolve().parents[2]
LARGEST = 1 << 18  # bytes of a request


@dataclass
class Launched:
    """A started process, as :class:`subprocess.Popen` shows one."""

    pid: int
    output: list[IO[str]]  # where its standard output and its standard error go
    ended: IO[bytes]  # says how, when it has
    returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self.ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            self.returncode = int(self.ended.readline())
        return self.returncode

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        self.wait(timeout)
        for stream in self.output:
            stream.seek(0)
        out, err = (stream.read() for stream in self.output)
        return out, err

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@functools.cache
def _parent() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST)
    with theirs:
        command = [sys.executable, "-m", "tests.lab.preloaded", str(theirs.fileno())]
        process = subprocess.Popen(
            command, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
        )
    return ours, process


def launch(module: str, given: str, patch: str = "") -> Launched:
    """Start a module with ``given`` on its standard input, in this directory and environment.

    ``patch`` is what is run before it, in its process.
    """
    wish = {"module": module, "patch": patch, "cwd": os.getcwd(), "environment": dict(os.environ)}
    stdin, *output = (os.fdopen(os.memfd_create(name), "w+") for name in ("stdin", "stdout", "stderr"))
    ended, end = os.pipe()
    with stdin:
        stdin.write(given)
        stdin.seek(0)
        connection, _process = _parent()
        files = [stdin.fileno(), *(stream.fileno() for stream in output), end]
        socket.send_fds(connection, [json.dumps(wish).encode()], files)
    os.close(end)
    report = os.fdopen(ended, "rb", buffering=0)
    started = report.readline()
    assert started, "the parent of the modules is gone; its last words are above"
    return Launched(int(started), output, report)


class Parent:
    """Forks one process for each request, and reports when it has started and how it ended."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.selector = selectors.DefaultSelector()
        self.selector.register(connection, selectors.EVENT_READ)
        self.running: dict[int, tuple[int, int]] = {}  # by its descriptor: process id, and where to report

    def serve(self) -> dict[str, Any] | None:
        """Return in each child what it is to do, and in the parent nothing once the tests have gone."""
        while True:
            for key, _events in self.selector.select():
                if key.fd in self.running:
                    self._reap(key.fd)
                    continue
                message, files, _flags, _address = socket.recv_fds(self.connection, LARGEST, 4)
                if not message:
                    return None
                wish = json.loads(message)
                with suppress(ImportError, SyntaxError):  # of a broken module its own process tells
                    importlib.import_module(MODULES + wish["module"])
                pid = os.fork()
                if not pid:
                    self._become(files)
                    return wish  # type: ignore[no-any-return]
                *streams, report = files
                for one in streams:
                    os.close(one)
                os.write(report, b"%d\n" % pid)
                descriptor = os.pidfd_open(pid)
                self.running[descriptor] = pid, report
                self.selector.register(descriptor, selectors.EVENT_READ)

    def _reap(self, descriptor: int) -> None:
        pid, report = self.running.pop(descriptor)
        self.selector.unregister(descriptor)
        os.close(descriptor)
        _pid, status = os.waitpid(pid, 0)
        with suppress(BrokenPipeError):  # nobody may be left to read it
            os.write(report, b"%d\n" % os.waitstatus_to_exitcode(status))
        os.close(report)

    def _become(self, files: list[int]) -> None:
        self.selector.close()
        self.connection.close()
        for descriptor, (_pid, report) in self.running.items():
            os.close(descriptor)
            os.close(report)
        *streams, report = files
        os.close(report)
        for number, one in enumerate(streams):
            os.dup2(one, number)
            os.close(one)


def main() -> None:
    # An interrupt at the terminal is for the modules and the tests; this process ends with the latter.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wish = Parent(socket.socket(fileno=int(sys.argv[1]))).serve()
    if wish is None:
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(wish["environment"])
    os.chdir(wish["cwd"])
    sys.argv[1:] = []  # AnsibleModule would take it for a file of arguments
    exec(wish["patch"], {"__name__": "patch"})
    importlib.import_module(MODULES + wish["module"]).main()


if __name__ == "__main__":
    main()
