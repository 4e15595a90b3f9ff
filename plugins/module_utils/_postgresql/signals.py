# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the brake looks at: small signals, each read in one way. Judging them is not their business.

Whatever a reading fails by is in its signal: the next one may succeed, or the grant that it lacks is told.
"""

from __future__ import annotations

import re
import statistics
import time
from collections import Counter, deque
from dataclasses import replace
from typing import Any, Callable, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.brake import Signal
from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Refused, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._core.liveness import Liveness
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._observability.prometheus import Prometheus
from ansible_collections.day2.ops.plugins.module_utils._postgresql import trouble
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Row, Session, connect
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote

Signals = dict[str, Signal]
READ_SECONDS = 5.0
# Errors that no waiting mends: what is not allowed or not there, what changes something, and what this kind of server
# cannot do.
NEVER = ("42", "25006", "0A")
# A single slow answer is no slow server: the middle one of so many counts.
PROBES = 3
PROBE = "SELECT relname FROM pg_catalog.pg_class WHERE oid = 'pg_catalog.pg_class'::pg_catalog.regclass"

# ``ours``: all processes of the run. They may wait for each other; nobody else is held up by that.
_LOAD = """
WITH run AS (SELECT ARRAY(SELECT pid FROM pg_stat_activity
                           WHERE usename = current_user AND starts_with(application_name, %(own)s)) AS ours),
     work AS (SELECT ours, CASE WHEN %(pid)s > 0 THEN ARRAY[%(pid)s] ELSE ours END AS pids FROM run)
SELECT count(*)::float8 AS blocked,
       coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart))
                FILTER (WHERE work.pids && pg_blocking_pids(l.pid)), 0)::float8 AS held_up,
       (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - w.waitstart)), 0)::float8 FROM pg_locks w
         WHERE w.pid = %(pid)s AND NOT w.granted AND w.locktype = 'relation') AS waiting
  FROM pg_locks l, work WHERE NOT l.granted AND l.pid <> ALL (work.ours) AND l.pid <> ALL (work.pids)
"""
# Where hosted servers have no function for it, nothing asks while there is neither replica nor slot.
_HERE = """CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
                ELSE pg_current_wal_lsn() END"""
# Tools that only receive WAL do not replay, and the workers of a subscription that copy its tables come and go.
_REPLICAS = f"""
SELECT state IS NULL AS hidden, coalesce(nullif(application_name, ''), 'without a name') AS name,
       concat_ws(' ', application_name, client_addr, usename) AS key, pid, state, replay_lsn::text AS replayed,
       pg_wal_lsn_diff({_HERE}, replay_lsn)::float8 AS bytes, extract(epoch FROM replay_lag)::float8 AS seconds
  FROM pg_stat_replication
 WHERE state IS NULL OR (state IN ('streaming', 'catchup') AND replay_lsn IS NOT NULL
                         AND application_name !~ '^pg_[0-9]+_sync_[0-9]+')
"""
_SLOTS = f"""
SELECT slot_name AS name, pg_wal_lsn_diff({_HERE}, restart_lsn)::float8 AS bytes
  FROM pg_replication_slots WHERE restart_lsn IS NOT NULL AND wal_status IS DISTINCT FROM 'lost'
 ORDER BY 2 DESC LIMIT 1
"""
_SIZES = "SELECT sum(pg_database_size(oid))::float8 AS bytes FROM pg_database WHERE datallowconn"
_WAL = "SELECT coalesce(sum(size), 0)::float8 AS bytes FROM pg_ls_waldir()"
_ROLE = "SELECT current_user AS role"


def unread(session: Session, error: OpsError, grant: str = "pg_monitor") -> Signal:
    """The signal that could not be read, with the statement that would help where a grant is missing."""
    why = str(error).rstrip(".")
    if not isinstance(error, trouble.SqlError):
        return Signal(None, why=why)
    if error.sqlstate == trouble.INSUFFICIENT_PRIVILEGE:
        return Signal(None, why=f"{why}; {granting(session, grant)}", lasting=True)
    return Signal(None, why=why, lasting=error.sqlstate.startswith(NEVER))


def granting(session: Session, grant: str) -> str:
    role = quote(str(session.rows(_ROLE, timeout=READ_SECONDS)[0]["role"]))
    return f"let an administrator run: GRANT {grant} TO {role};"


def load(session: Session, pid: int, own: str) -> Signals:
    """Signals ``blocked``, ``held_up`` and ``waiting``, in sessions and seconds.

    ``pid`` is the server process that works, 0 when many do: those whose application name begins with ``own``.
    """
    try:
        row = session.rows(_LOAD, {"pid": pid, "own": own}, timeout=READ_SECONDS)[0]
    except trouble.SqlError as error:
        return dict.fromkeys(("blocked", "held_up", "waiting"), unread(session, error))
    return {name: Signal(row[name]) for name in ("blocked", "held_up", "waiting")}


class Replicas:
    """Signals ``lag``, ``lag_bytes`` and ``gone`` of the replicas, and of the subscribers, of this server.

    It remembers who streamed at the first reading, and since when a replica has not moved: one that hangs reports
    its last good delay for ever.
    """

    def __init__(self, session: Session, clock: Callable[[], float] = time.monotonic) -> None:
        self._session = session
        self._clock = clock
        self._first: Optional[Counter[str]] = None
        self._names: dict[str, str] = {}
        self._missing: dict[str, float] = {}
        self._still: dict[int, tuple[str, float]] = {}

    def read(self) -> Signals:
        try:
            rows = self._session.rows(_REPLICAS, timeout=READ_SECONDS)
        except trouble.SqlError as error:
            return dict.fromkeys(("lag", "lag_bytes", "gone"), unread(self._session, error))
        if any(row["hidden"] for row in rows):
            why = f"replicas are hidden from this user; {granting(self._session, 'pg_monitor')}"
            return dict.fromkeys(("lag", "lag_bytes", "gone"), Signal(None, why=why, lasting=True))
        return self.judge(rows)

    def judge(self, rows: list[Row]) -> Signals:
        """The signals of one reading and those before it. Without replicas nothing lags."""
        now = self._clock()
        seconds = [Signal(self._delay(row, now), row["name"]) for row in rows]
        behind = [Signal(max(row["bytes"], 0.0), row["name"]) for row in rows]
        self._still = {row["pid"]: self._still[row["pid"]] for row in rows if row["pid"] in self._still}
        return {
            "lag": _worst(seconds),
            "lag_bytes": _worst(behind),
            "gone": self._gone(rows, now),
        }

    def _delay(self, row: Row, now: float) -> float:
        """What it reports or, where that is longer, since when it is behind without moving."""
        if row["bytes"] <= 0:
            # Idle replicas have confirmed everything.
            self._still.pop(row["pid"], None)
            return 0.0
        replayed, since = self._still.get(row["pid"], ("", now))
        if replayed != row["replayed"]:
            since = now
        self._still[row["pid"]] = (row["replayed"], since)
        return max(row["seconds"] or 0.0, now - since)

    def _gone(self, rows: list[Row], now: float) -> Signal:
        there = Counter(row["key"] for row in rows)
        if self._first is None:
            self._first = Counter(row["key"] for row in rows if row["state"] == "streaming")
            self._names = {row["key"]: row["name"] for row in rows}
        missing = {key for key, many in self._first.items() if there[key] < many}
        self._missing = {key: self._missing.get(key, now) for key in missing}
        return _worst([Signal(now - since, self._names[key]) for key, since in self._missing.items()])


def _worst(signals: list[Signal]) -> Signal:
    return max(signals, key=lambda one: one.value or 0.0, default=Signal(0.0))


def slots(session: Session) -> Signals:
    """Signal ``slots``: the bytes of WAL that the greediest replication slot keeps."""
    try:
        rows = session.rows(_SLOTS, timeout=READ_SECONDS)
    except trouble.SqlError as error:
        return {"slots": unread(session, error)}
    return {"slots": Signal(max(rows[0]["bytes"], 0.0), rows[0]["name"]) if rows else Signal(0.0)}


class Aside:
    """A session of its own for a signal that takes its time, read from a thread of its own: it never hears of stops
    or of the deadline, each statement has its own end, and a lost connection is made again."""

    def __init__(self, run: Run, name: str, timeout: float) -> None:
        self._run = replace(run, live=Liveness(), deadline=Deadline(None))
        self._name = name
        self._timeout = timeout
        self._session: Optional[Session] = None

    def __call__(self, read: Callable[[Session], Signal]) -> Signal:
        try:
            if self._session is None or self._session.closed:
                self._session = connect(self._run, self._name)
                self._session.configure(statement_timeout=str(int(self._timeout * 1000)))
            return read(self._session)
        except trouble.SqlError as error:
            return Signal(None, why=str(error)) if self._session is None else unread(self._session, error)
        except Unreachable as error:
            self._session = None
            return Signal(None, why=str(error).rstrip("."))


class Latency:
    """Signal ``latency``: the seconds that a small query takes, the middle one of the last few.

    Connecting is not counted; a query that takes longer than ``most`` seconds is ended and counts as that.
    """

    def __init__(self, run: Run, query: Optional[str], most: float) -> None:
        self._aside = Aside(run, "probe", most)
        self._query = query or PROBE
        self._taken: deque[float] = deque(maxlen=PROBES)

    def __call__(self) -> Signal:
        return self._aside(self._read)

    def _read(self, session: Session) -> Signal:
        began = time.monotonic()
        try:
            session.rows(self._query)
        except trouble.SqlError as error:
            if error.sqlstate == trouble.INSUFFICIENT_PRIVILEGE:
                return unread(session, error, _wanted(str(error)))
            if error.sqlstate != trouble.QUERY_CANCELED:
                lasting = error.sqlstate.startswith(NEVER)
                return Signal(None, why=f"brake.latency_query fails: {error}", lasting=lasting)
        self._taken.append(time.monotonic() - began)
        return Signal(statistics.median(self._taken))


def _wanted(text: str) -> str:
    """The grant that the server's words ask for; servers translate them, so there may be only a hint of it."""
    found = re.search(r"permission denied for (table|view|materialized view|function|schema) (\S+)", text)
    if not found:
        return "<what brake.latency_query needs>"
    kind, name = found.groups()
    what = {"function": "EXECUTE ON FUNCTION", "schema": "USAGE ON SCHEMA"}.get(kind, "SELECT ON")
    return f"{what} {quote(name)}"


def used(session: Session) -> float:
    """Bytes that databases and WAL take."""
    return float(sum(session.rows(statement)[0]["bytes"] for statement in (_SIZES, _WAL)))


class DiskByCapacity:
    """Signal ``disk``: a disk of ``capacity`` bytes, less what databases and WAL take."""

    def __init__(self, run: Run, capacity: int) -> None:
        self._aside = Aside(run, "disk", READ_SECONDS * 6)
        self._capacity = capacity

    def __call__(self) -> Signal:
        return self._aside(lambda session: Signal(self._capacity - used(session)))


class DiskByFacts:
    """Signal ``disk``: the bytes that were ``available`` when the work began, less what was taken since."""

    def __init__(self, run: Run, available: int) -> None:
        self._aside = Aside(run, "disk", READ_SECONDS * 6)
        self._available = available
        self._first: Optional[float] = None

    def __call__(self) -> Signal:
        return self._aside(self._read)

    def _read(self, session: Session) -> Signal:
        now = used(session)
        self._first = now if self._first is None else self._first
        return Signal(self._available - (now - self._first))


class DiskByQuery:
    """Signal ``disk``: what a Prometheus answers to a query."""

    def __init__(self, params: Mapping[str, Any], query: str) -> None:
        self._prometheus = Prometheus(params, "brake.prometheus")
        self._query = query

    def __call__(self) -> Signal:
        try:
            found = self._prometheus.number(self._query)
        except (BadInput, Refused) as error:
            return Signal(None, why=f"brake.disk_free_query: {str(error).rstrip('.')}", lasting=True)
        except OpsError as error:
            return Signal(None, why=f"brake.disk_free_query: {str(error).rstrip('.')}")
        return Signal(found.value, why=f"brake.disk_free_query: {found.why}" if found.why else "")
