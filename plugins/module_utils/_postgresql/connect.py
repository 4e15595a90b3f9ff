# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one way to a PostgreSQL server: sessions that never wait blindly.

Every connect and every statement is polled, four times a second, between looks at signals, the controller and the
deadline; a server that accepts and never answers therefore holds up nobody. Statements are bounded on both sides: by
``statement_timeout`` there and by our own clock here.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any, Callable, Mapping, Optional, Sequence, Union

from ansible_collections.day2.ops.plugins.module_utils._core.errors import Expired, OpsError, Refused, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql import spec, trouble
from ansible_collections.day2.ops.plugins.module_utils._postgresql.dial import dial, poll

Row = dict[str, Any]
Watch = Callable[[], None]
# How much longer than the server we wait before we call it stalled.
GRACE_SECONDS = 5.0
READ_SECONDS = 60.0
# What a server gets to answer a cancel request, and a last look after a stop.
ANSWER_SECONDS = 3.0
FINAL_SECONDS = 2.0
CANCEL_SECONDS = 1.0
POOLER_TRIES = 25


def compose(template: str, **identifiers: Union[str, Sequence[str]]) -> Any:
    """SQL with ``{name}`` replaced by identifiers (one, or the parts of a qualified one), quoted by the driver."""
    from psycopg2 import sql

    quoted = {
        name: sql.Identifier(*([parts] if isinstance(parts, str) else parts)) for name, parts in identifiers.items()
    }
    return sql.SQL(template).format(**quoted)


class Session:
    """One connection. ``pid`` is the server process as the server knows it; ``tls`` whether it is encrypted."""

    def __init__(self, run: Run, raw: Any, place: str, act: bool) -> None:
        self.read_only = not act
        self.place = place
        self.pid = 0
        self.version = int(raw.server_version)
        self.tls = bool(raw.info.ssl_in_use)
        self.pooler = ""
        # How many rows the last statement changed or returned; of several at once, the last one of them.
        self.affected = 0
        self.control: Optional[Session] = None
        self._run = run
        self._raw = raw
        # Nobody answers any more: the driver is not asked again.
        self._lost = False

    def rows(
        self, statement: Any, args: Any = None, *, timeout: float = READ_SECONDS, final: bool = False
    ) -> list[Row]:
        """The rows a reading statement returns, as dicts.

        Near the deadline a read gets what is left, and five seconds at least. A ``final`` read, after a stop, heeds
        neither signal nor deadline, and gets two seconds.
        """
        left = self._run.deadline.left()
        bound = FINAL_SECONDS if final else timeout if left is None else min(timeout, max(left, GRACE_SECONDS))
        if self.pooler != "transaction":
            return self._execute(statement, args, bound + GRACE_SECONDS * (not final), final=final)
        # A transaction pooler hands the server on after each transaction: nothing may be set beyond it.
        self._execute("BEGIN READ ONLY", None, bound, final=final)
        try:
            self._execute(
                "SELECT set_config('statement_timeout', %s, true)", [_milliseconds(bound)], bound, final=final
            )
            return self._execute(statement, args, bound, final=final)
        finally:
            if not self.closed and not self._raw.isexecuting():
                self._execute("ROLLBACK", None, bound, final=True)

    def run(
        self,
        statement: Any,
        args: Any = None,
        *,
        timeout: Optional[float] = None,
        overrun: bool = False,
        settings: Optional[Mapping[str, str]] = None,
        watch: Optional[Watch] = None,
    ) -> list[str]:
        """Carry out a changing statement; return the server's warnings.

        It ends at the deadline (unless it may ``overrun``) or after ``timeout`` seconds, then :class:`Expired` comes;
        ``watch`` is called at each tick and may raise. Whatever ends it, it is cancelled on the server too.
        """
        if self.read_only:
            raise AssertionError("Contract violation: a statement that changes something, on a read-only session")
        left = None if overrun else self._run.deadline.left()
        limits = [limit for limit in (left, timeout) if limit is not None]
        bound = min(limits) if limits else None
        if bound is not None and bound <= 0:
            raise Expired("no time is left")
        self.configure(statement_timeout=_milliseconds(bound or 0), **(settings or {}))
        del self._raw.notices[:]
        began = time.monotonic()

        def both() -> None:
            if not overrun:
                self._run.deadline.check()
            if watch is not None:
                watch()

        try:
            self._execute(statement, args, None if bound is None else bound + GRACE_SECONDS, watch=both)
        except trouble.SqlError as error:
            over = bound is not None and time.monotonic() - began >= bound - 0.5
            if over and error.sqlstate == trouble.QUERY_CANCELED:
                raise (
                    self._run.deadline.came() if bound == left else Expired(f"its time of {bound:.0f} s is over")
                ) from error
            raise
        return [trouble.plain(text) for text in self._raw.notices]

    def configure(self, **settings: str) -> None:
        """Set server variables for this session, in one round trip."""
        calls = ", ".join(["set_config(%s, %s, false)"] * len(settings))
        self._execute(f"SELECT {calls}", [text for pair in settings.items() for text in pair], READ_SECONDS)

    def close(self) -> None:
        # The driver would wait for a cancel that hangs.
        if not self._lost:
            self._raw.close()

    @property
    def closed(self) -> bool:
        return self._lost or bool(self._raw.closed)

    def _execute(
        self, statement: Any, args: Any, bound: Optional[float], *, watch: Optional[Watch] = None, final: bool = False
    ) -> list[Row]:
        import psycopg2

        if self.closed:
            raise Unreachable(f"The connection to {self.place} was lost.")
        try:
            cursor = self._raw.cursor()
            cursor.execute(statement, args)
            self._wait(bound, watch, final)
            self.affected = cursor.rowcount
            if cursor.description is None:
                return []
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row)) for row in cursor.fetchall()]
        except psycopg2.Error as error:
            text = error.diag.message_primary or str(error)
            raise trouble.from_server(error.pgcode, text, self.place) from error
        except OpsError:
            self._cancel()
            raise

    def _wait(self, bound: Optional[float], watch: Optional[Watch], final: bool) -> None:
        until = None if bound is None else time.monotonic() + bound
        while not poll(self._raw):
            if not final:
                self._run.live.check()
            if watch is not None:
                watch()
            if until is not None and time.monotonic() > until:
                raise Unreachable(f"Failed to get an answer from {self.place} within {bound:.0f} s.")

    def _cancel(self) -> None:
        """Stop the running statement on the server, and wait a moment for it to say so."""
        import psycopg2

        if not self._cancel_through_control() and not self._cancel_by_protocol():
            self._lost = True
            return
        until = time.monotonic() + ANSWER_SECONDS
        with contextlib.suppress(psycopg2.Error):  # the server's answer: cancelled
            while not poll(self._raw) and time.monotonic() < until:
                pass
            if self._raw.isexecuting():
                self._raw.close()

    def _cancel_through_control(self) -> bool:
        if self.control is None or self.control.closed:
            return False
        try:
            self.control.rows("SELECT pg_cancel_backend(%s)", [self.pid], final=True)
        except OpsError:
            return False
        return True

    def _cancel_by_protocol(self) -> bool:
        # The driver's cancel connects on its own, unbounded and with the interpreter locked: only another process can
        # be left waiting for it.
        child = os.fork()
        if child == 0:
            try:
                self._raw.cancel()
            finally:
                os._exit(0)
        until = time.monotonic() + CANCEL_SECONDS
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > until:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return False
            time.sleep(0.02)
        return True


def connect(run: Run, action: str, *, database: Optional[str] = None, act: bool = False) -> Session:
    """A session to ``database`` (default: login_db). Without ``act`` it can only read; in check mode no other exists.

    Raises BadInput, Refused or Unreachable with a remedy, Stopped and Expired.
    """
    if act and run.check_mode:
        raise AssertionError("Contract violation: a session that can change something, in check mode")
    name = database or run.params["login_db"]
    session = Session(run, dial(run, action, name), spec.where(run.params, name), act)
    session.pid = int(session.rows("SELECT pg_backend_pid() AS pid")[0]["pid"])
    if session.pid != session._raw.info.backend_pid:
        session.pooler = _pooler(run, action, session, name)
    if session.pooler == "transaction":
        if act:
            refuse_pooler(session)
        return session
    # Not as startup options: poolers refuse those. Not before we know the pooler: settings would leak to others.
    session.configure(
        default_transaction_read_only="off" if act else "on",
        statement_timeout=_milliseconds(READ_SECONDS),
        lock_timeout=_milliseconds(READ_SECONDS / 2),
        idle_in_transaction_session_timeout="60s",
        client_min_messages="warning",
        tcp_keepalives_idle="30",
        tcp_keepalives_interval="10",
        tcp_keepalives_count="3",
        **({"idle_session_timeout": "0"} if session.version >= 140000 else {}),
    )
    if act and session.version >= 140000:
        with contextlib.suppress(trouble.SqlError):  # not every operating system of a server can do it
            session.configure(client_connection_check_interval="5s")
    return session


def refuse_pooler(session: Session) -> None:
    """:class:`Refused` when locks and settings of this session would stay behind with another client's."""
    if session.pooler == "transaction":
        session.close()
        raise Refused(
            f"Failed to work on {session.place}: a transaction pooler stands between, and locks and settings do not "
            "survive there; connect to the server directly or through a session pool."
        )


def _pooler(run: Run, action: str, session: Session, database: str) -> str:
    """``transaction`` when two open clients can share one server process, else ``session``."""
    for _try in range(POOLER_TRIES):
        other = Session(run, dial(run, action, database), session.place, False)
        pids = [
            one._execute("SELECT pg_backend_pid() AS pid", None, READ_SECONDS)[0]["pid"] for one in (other, session)
        ]
        other.close()
        if pids[0] in (pids[1], session.pid) or pids[1] != session.pid:
            return "transaction"
    return "session"


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))
