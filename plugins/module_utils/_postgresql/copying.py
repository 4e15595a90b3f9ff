# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""COPY, out and in. The driver's asynchronous connections cannot, so these are synchronous ones that work in threads.

Nothing in such a thread can be interrupted from here; the server process is ended through the control session instead,
and whatever waits for the thread goes on looking at signals, the controller and the deadline.
"""

from __future__ import annotations

import io
from contextlib import ExitStack, suppress
from typing import Any, Callable, Iterable, Mapping, Optional, TypeVar

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.threads import Task
from ansible_collections.day2.ops.plugins.module_utils._postgresql import spec, trouble
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import GRACE_SECONDS, Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.dial import dial_blocking

T = TypeVar("T")
# The driver hands out single rows; they are passed on in pieces of about this many bytes.
PIECE = 1 << 20
# Where there is no deadline: no statement of ours takes so long.
LONGEST_SECONDS = 6 * 3600.0
SETTINGS = {
    "client_encoding": "UTF8",
    "client_min_messages": "warning",
    "idle_in_transaction_session_timeout": "60s",
    "lock_timeout": "30s",
    # Money is written the same wherever it is read.
    "lc_monetary": "C",
}


class Copier:
    """One synchronous connection. All methods but :meth:`wait` and :meth:`stop` block: call them from a thread.

    ``control`` is the session through which it is stopped. Without ``act`` it only reads.
    """

    def __init__(self, run: Run, action: str, control: Session, *, act: bool = False) -> None:
        if act and run.check_mode:
            raise AssertionError("Contract violation: a connection that can change something, in check mode")
        self.place = spec.where(run.params, run.params["login_db"])
        self.pid = 0
        self._run = run
        self._control = control
        self._raw: Any = None
        self.wait(lambda: self._connect(action, act))

    def _connect(self, action: str, act: bool) -> None:
        self._raw = dial_blocking(self._run, action, self._run.params["login_db"])
        self.configure({**SETTINGS, "default_transaction_read_only": "off" if act else "on"})
        with suppress(trouble.SqlError):  # not every operating system of a server can do it
            self.configure({"client_connection_check_interval": "5s"})
        self.pid = int(self.rows("SELECT pg_backend_pid()")[0][0])

    def configure(self, settings: Mapping[str, str]) -> None:
        """Set server variables for this connection."""
        calls = ", ".join(["set_config(%s, %s, false)"] * len(settings))
        self.rows(f"SELECT {calls}", [text for pair in settings.items() for text in pair])

    def rows(self, statement: Any, args: Any = None) -> list[tuple[Any, ...]]:
        """Carry out a statement, within the time there is; its rows, if any."""
        return self._do(lambda cursor: cursor.execute(statement, args))

    def out(self, statement: Any, write: Callable[[bytes], Any]) -> None:
        """COPY ... TO STDOUT: ``write`` gets the bytes in pieces, not ending with rows."""
        sink = _Sink(write)
        with io.BufferedWriter(sink, PIECE) as file:
            whole = False
            try:
                self._do(lambda cursor: cursor.copy_expert(statement, file))
                whole = True
            finally:
                sink.dead = not whole

    def into(self, statement: Any, pieces: Iterable[bytes]) -> None:
        """COPY ... FROM STDIN of the bytes in ``pieces``."""
        source = _Source(pieces)
        with io.BufferedReader(source, PIECE) as file:
            try:
                self._do(lambda cursor: cursor.copy_expert(statement, file, size=1 << 16))
            except OpsError as error:
                raise source.error or error from None

    def _do(self, work: Callable[[Any], None]) -> list[tuple[Any, ...]]:
        import psycopg2

        self._run.deadline.check()
        left = self._run.deadline.left()
        milliseconds = int((LONGEST_SECONDS if left is None else left + GRACE_SECONDS) * 1000)
        try:
            with self._raw.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, false)", [str(milliseconds)])
                work(cursor)
                return list(cursor.fetchall()) if cursor.description else []
        except psycopg2.Error as error:
            raise trouble.from_server(error.pgcode, error.diag.message_primary or str(error), self.place) from error

    def wait(self, work: Callable[[], T], look: Callable[[], Any] = lambda: None) -> T:
        """What ``work`` returns, done in a thread while this one looks around; what ends the wait stops the work."""

        def tick() -> None:
            self._run.live.check()
            self._run.deadline.check()
            look()

        with ExitStack() as stack:
            stack.callback(self.stop)
            result = Task(work).result(tick)
            stack.pop_all()
        return result

    def stop(self) -> None:
        """End the server process, whatever it is at. Its thread then sees a lost connection."""
        if self.pid and not self._control.closed:
            with suppress(OpsError):
                self._control.rows("SELECT pg_terminate_backend(%s)", [self.pid], final=True)
        self.pid = 0

    def close(self) -> None:
        self.stop()


class _Sink(io.RawIOBase):
    """What a buffered writer writes to; once ``dead``, what is left in there goes nowhere."""

    def __init__(self, write: Callable[[bytes], Any]) -> None:
        self._write = write
        self.dead = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        if not self.dead:
            self._write(piece)
        return len(piece)


class _Source(io.RawIOBase):
    """What a buffered reader reads from: the bytes of ``pieces``. An error there is kept; the driver hides it."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")
        self.error: Optional[OpsError] = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            try:
                piece = next(self._pieces, None)
            except OpsError as error:
                self.error = error
                raise
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
