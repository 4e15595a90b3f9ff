# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client programs of PostgreSQL: which ones fit a server, and running them without losing sight of the run."""

from __future__ import annotations

import fcntl
import os
import re
import select
import shutil
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, Iterator, Mapping, Optional, Sequence, Union

from ansible_collections.day2.ops.plugins.module_utils._backup.guard import Guard
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Refused
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql import spec
from ansible_collections.day2.ops.plugins.module_utils._postgresql.dial import TICK_SECONDS, application_name

# Where distributions keep the programs of each major version.
PLACES = ("/usr/lib/postgresql/{major}/bin", "/usr/pgsql-{major}/bin", "/opt/homebrew/opt/postgresql@{major}/bin")
PIECE = 1 << 20
F_SETPIPE_SZ = 1031  # of Linux; Python names it from 3.10 on
LAST_WORDS = 64 * 1024
PATIENCE_SECONDS = 5.0
# libpq's parameters as the variables that its programs read; a password must not be an argument.
VARIABLES = {
    "host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE",
    "application_name": "PGAPPNAME", "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY", "client_encoding": "PGCLIENTENCODING",
}  # fmt: skip


@dataclass(frozen=True)
class Tools:
    """The programs in ``folder``; ``version`` is that of pg_dump, such as ``18.6``."""

    folder: str
    version: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    def path(self, program: str) -> str:
        path = os.path.join(self.folder, program)
        if not os.access(path, os.X_OK):
            raise Refused(f"Failed to find {program} in {self.folder}; install it there, or set bin_dir.")
        return path


def find_tools(bin_dir: Optional[str], major: int) -> Tools:
    """Programs for a server of version ``major``: those of the same version if there are any, else the next newer ones.

    Raises :class:`BadInput` for a ``bin_dir`` without pg_dump or with one older than the server, :class:`Refused`
    when there is none on this host.
    """
    if bin_dir:
        found = _tools(bin_dir)
        if found is None:
            raise BadInput(f"bin_dir: there is no pg_dump in {bin_dir}; give the folder of PostgreSQL's programs.")
        if found.major < major:
            raise BadInput(
                f"bin_dir: pg_dump {found.version} is older than the server; give that of version {major} or newer."
            )
        return found
    fitting = [one for one in _installed(major) if one.major >= major]
    if fitting:
        return min(fitting, key=lambda one: one.major)
    raise Refused(
        f"Failed to find pg_dump of version {major} or newer on this host; install the client of PostgreSQL {major} "
        f"(Debian: postgresql-client-{major}), or set bin_dir."
    )


def _installed(major: int) -> Iterator[Tools]:
    for number in range(major, major + 10):
        for place in PLACES:
            found = _tools(place.format(major=number))
            if found:
                yield found
    path = shutil.which("pg_dump")
    found = _tools(os.path.dirname(os.path.realpath(path))) if path else None
    if found:
        yield found


def _tools(folder: str) -> Optional[Tools]:
    path = os.path.join(folder, "pg_dump")
    if not os.access(path, os.X_OK):
        return None
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"(\d+(?:\.\d+)+|\d+\w+)", said)
    return Tools(folder, match.group(1)) if match else None


def environment(run: Run, params: Mapping[str, Any], action: str, database: str) -> dict[str, str]:
    """The variables with which a program connects as the module does."""
    options = spec.libpq_options(params, database, application_name(run.id, action))
    given = {VARIABLES[name]: str(value) for name, value in options.items() if name in VARIABLES}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, **given, "PGCONNECT_TIMEOUT": str(params["connect_timeout"]), "LC_ALL": "C"}


class Program:
    """A child process: its last words are kept, its exit status is checked, and it ends when we do.

    Used as a context manager: leaving it ends a program that still runs.
    """

    def __init__(
        self,
        run: Run,
        guard: Guard,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        stdin: Optional[IO[bytes]] = None,
        reads: bool = False,
        **more: Any,
    ) -> None:
        self.name = os.path.basename(arguments[0])
        self._run = run
        self._guard = guard
        self._said = bytearray()
        self.process = subprocess.Popen(
            arguments,
            env=dict(environment),
            stdin=stdin or (subprocess.PIPE if reads else subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            **more,
        )
        guard.process(self.process.pid)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        stream = self.process.stderr
        while stream is not None:
            data = stream.read1(65536)  # type: ignore[attr-defined]
            if not data:
                return
            self._said += data
            del self._said[:-LAST_WORDS]

    @property
    def said(self) -> str:
        """The end of what it wrote to its standard error."""
        return bytes(self._said).decode(errors="replace")

    def output(self) -> Iterator[bytes]:
        """What it writes, in pieces, until it ends; then its exit status is checked (:meth:`finish`)."""
        stream = self.process.stdout
        if stream is None:
            raise AssertionError("Contract violation: a program without output")
        handle = stream.fileno()
        with suppress(OSError):  # a pipe holds 64 KiB; with more, the two sides wait for each other less often
            fcntl.fcntl(handle, F_SETPIPE_SZ, PIECE)
        while True:
            while not select.select([handle], [], [], TICK_SECONDS)[0]:
                self._look()
            self._look()
            data = os.read(handle, PIECE)
            if not data:
                break
            yield data
        self.finish()

    def _look(self) -> None:
        self._run.live.check()
        self._run.deadline.check()

    def finish(self) -> None:
        """Wait for its end; :class:`OpsError` with its last words when it failed."""
        while self.process.poll() is None:
            self._look()
            time.sleep(0.05)
        self._listener.join(PATIENCE_SECONDS)
        if self.process.returncode != 0:
            raise OpsError(f"{self.name} failed: {last_words(self.said, self.process.returncode)}")

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        process = self.process
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._guard.process_ended(process.pid)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def last_words(said: str, status: Union[int, None]) -> str:
    """What a program said that tells most: its first error, without its own name; or how it ended. Pure.

    >>> last_words("pg_dump: error: query failed: ERROR:  permission denied for table t", 1)
    'query failed: ERROR:  permission denied for table t.'
    """
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\b(error|fatal|ERROR|FATAL)\b", line)]
    if not lines:
        return f"it was ended by signal {-status}." if status is not None and status < 0 else f"exit status {status}."
    words = re.sub(r"^[\w-]+: (error: )?", "", (errors or lines[-1:])[0])
    return words if words.endswith(".") else words + "."
