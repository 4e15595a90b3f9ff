# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The brake's signals, read by a session of its own while another works; and stop orders in the database."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.brake import GO, STOP, Limit, judge_brake
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Braked, Refused, Stopped
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql import trouble
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Row, Session

EVERY_SECONDS = 1.0
EARLY = 0.75
STOP_ROW_SECONDS = 5.0
DISK_SECONDS = 15.0
SIGNAL_READ_SECONDS = 5.0


@dataclass(frozen=True)
class BrakePolicy:
    """Limits in seconds, sessions and bytes; None switches one off. ``required``: what cannot be read blocks."""

    lock_timeout: float = 2.0
    blocked_sessions: Optional[int] = 20
    replica_lag: Optional[float] = 60.0
    replica_lag_bytes: Optional[int] = 1 << 30
    disk_capacity_bytes: Optional[int] = None
    disk_free_bytes: Optional[int] = None
    wait: float = 60.0
    required: bool = False

    def limits(self) -> list[Limit]:
        """Twice the lag at which nothing new begins, running work is cancelled."""
        lag, lag_bytes, must = self.replica_lag, self.replica_lag_bytes, self.required
        sessions = self.blocked_sessions
        free = self.disk_free_bytes if self.disk_capacity_bytes else None
        # The server needs a moment to cancel, and we to look: nobody shall wait longer than the limit all the same.
        held_up = f"another session waited {{value:.1f}} s for it (limit {self.lock_timeout:.1f} s)"
        behind = "a replica is {value:.0f} bytes behind (limit {limit:.0f})"
        return [
            # Waiting for older transactions may take its time; waiting for a table's lock is no use.
            Limit("waiting", "it waited {value:.0f} s for its lock (limit {limit:.0f} s)", stop=self.lock_timeout * 3),
            Limit("held_up", held_up, stop=self.lock_timeout * EARLY),
            Limit("blocked", "{value:.0f} sessions wait for locks (limit {limit:.0f})", sessions, _twice(sessions)),
            Limit("lag", "a replica is {value:.0f} s behind (limit {limit:.0f} s)", lag, _twice(lag), required=must),
            Limit("lag_bytes", behind, lag_bytes, _twice(lag_bytes), required=must),
            Limit("disk", "{value:.0f} bytes of disk are free (limit {limit:.0f})", free, free, "below", must),
        ]


def brake_spec() -> ArgumentSpec:
    """Option ``brake``: shared by all modules that put load on a server."""
    given = BrakePolicy()
    options = {
        "blocked_sessions": {"type": "int", "default": given.blocked_sessions},
        "replica_lag": {"type": "float", "default": given.replica_lag},
        "replica_lag_bytes": {"type": "int", "default": given.replica_lag_bytes},
        "disk_capacity_bytes": {"type": "int"},
        "disk_free_bytes": {"type": "int"},
        "wait": {"type": "float", "default": given.wait},
        "required": {"type": "bool", "default": given.required},
    }
    return ArgumentSpec({"brake": {"type": "dict", "apply_defaults": True, "options": options}})


def brake_of(params: Mapping[str, Any]) -> BrakePolicy:
    """From the options of :func:`brake_spec`, and ``lock_timeout``."""
    return BrakePolicy(lock_timeout=params["lock_timeout"], **params["brake"])


_LOAD = """
SELECT count(*)::float8 AS blocked,
       coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart))
                FILTER (WHERE %(pid)s = ANY(pg_blocking_pids(l.pid))), 0)::float8 AS held_up,
       (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - w.waitstart)), 0)::float8 FROM pg_locks w
         WHERE w.pid = %(pid)s AND NOT w.granted AND w.locktype = 'relation') AS waiting
  FROM pg_locks l WHERE NOT l.granted AND l.pid <> %(pid)s
"""
# Idle replicas have confirmed everything and report no delay: zero. Tools that only receive WAL do not replay.
_LAG = """
SELECT count(*) FILTER (WHERE state IS NULL) AS hidden,
       coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)), 0)::float8 AS lag_bytes,
       coalesce(max(extract(epoch FROM replay_lag)) FILTER (WHERE replay_lsn < pg_current_wal_lsn()), 0)::float8 AS lag
  FROM pg_stat_replication WHERE state IS NULL OR (state IN ('streaming', 'catchup') AND replay_lsn IS NOT NULL)
"""
_SIZES = "SELECT sum(pg_database_size(oid))::float8 AS bytes FROM pg_database WHERE datallowconn"
_WAL = "SELECT coalesce(sum(size), 0)::float8 AS bytes FROM pg_ls_waldir()"
_STOP_READABLE = """
SELECT coalesce(has_table_privilege(to_regclass('day2.stop'), 'SELECT'), false) AS readable
 WHERE EXISTS (SELECT FROM pg_namespace WHERE nspname = 'day2' AND has_schema_privilege(oid, 'USAGE'))
"""
_STOP = """
SELECT reason FROM day2.stop WHERE target_id IN (%s, '_all') AND (until IS NULL OR until > now()) LIMIT 1
"""


class Brake:
    """Reads signals through ``control`` and says whether work may begin or go on."""

    def __init__(self, run: Run, control: Session, policy: BrakePolicy) -> None:
        self._run = run
        self._control = control
        self._limits = policy.limits()
        # To begin, whatever would stop running work counts too.
        self._begin = [replace(one, wait=one.stop if one.wait is None else one.wait, stop=None) for one in self._limits]
        self._patience = policy.wait
        self._policy = policy
        self._read_at = 0.0
        self._every = 0.0
        self._stop_at = 0.0
        self._disk_at = 0.0
        self._disk: Optional[float] = None
        self.unknown: set[str] = set()

    def start(self) -> None:
        """Refuse to begin against a stop order."""
        reason = self.stop_order()
        if reason is not None:
            raise Refused(f"Failed to start on {self._run.target}: a stop is ordered in day2.stop: {reason}.")

    def stop_order(self) -> Optional[str]:
        readable = self._control.rows(_STOP_READABLE, timeout=SIGNAL_READ_SECONDS)
        if not readable or not readable[0]["readable"]:
            return None
        found = self._control.rows(_STOP, [self._run.target], timeout=SIGNAL_READ_SECONDS)
        return str(found[0]["reason"]) if found else None

    def clear(self) -> None:
        """Wait until work may begin; :class:`Braked` when it may not within the policy's wait."""
        until = time.monotonic() + self._patience
        while True:
            self._obey()
            verdict = judge_brake(self.signals(0), self._begin)
            self.unknown.update(verdict.unknown)
            if verdict.word == GO:
                self._patience = self._policy.wait
                return
            self._run.deadline.check()
            if time.monotonic() >= until:
                # What waited in vain is not waited for again by each action that follows.
                self._patience = 0.0
                raise Braked(verdict.reason)
            self._run.live.progress(f"waiting: {verdict.reason}")
            self._run.live.sleep(EVERY_SECONDS)

    def watch(self, pid: int) -> None:
        """Look, every second, at what the work of server process ``pid`` does to others; oftener once somebody waits.

        Raises :class:`Braked` and, for a stop order, :class:`Stopped`.
        """
        if time.monotonic() - self._read_at < self._every:
            return
        self._obey()
        signals = self.signals(pid)
        verdict = judge_brake(signals, self._limits)
        self.unknown.update(verdict.unknown)
        self._read_at = time.monotonic()
        self._every = 0.0 if signals["held_up"] else min(EVERY_SECONDS, self._policy.lock_timeout / 4)
        if verdict.word == STOP:
            raise Braked(verdict.reason)

    def signals(self, pid: int) -> dict[str, Optional[float]]:
        found: dict[str, Optional[float]] = {"lag": None, "lag_bytes": None}
        load = self._rows(_LOAD, {"pid": pid})[0]
        found.update(load)
        replicas = self._rows(_LAG)[0]
        if not replicas["hidden"]:
            found.update(lag=replicas["lag"], lag_bytes=replicas["lag_bytes"])
        found["disk"] = self.disk_free()
        return found

    def disk_free(self) -> Optional[float]:
        """Bytes: the capacity that was given, less what databases and WAL take. None when unknown."""
        if not self._policy.disk_capacity_bytes:
            return None
        if time.monotonic() - self._disk_at >= DISK_SECONDS:
            self._disk_at = time.monotonic()
            try:
                used = sum(self._rows(statement)[0]["bytes"] for statement in (_SIZES, _WAL))
                self._disk = self._policy.disk_capacity_bytes - used
            except trouble.SqlError:
                self._disk = None
        return self._disk

    def _obey(self) -> None:
        if time.monotonic() - self._stop_at < STOP_ROW_SECONDS:
            return
        self._stop_at = time.monotonic()
        reason = self.stop_order()
        if reason is not None:
            raise Stopped(f"Stopped: a stop was ordered in day2.stop: {reason}.")

    def _rows(self, statement: str, args: Optional[dict[str, int]] = None) -> Sequence[Row]:
        return self._control.rows(statement, args, timeout=SIGNAL_READ_SECONDS)


def _twice(value: Optional[float]) -> Optional[float]:
    return None if value is None else value * 2
