# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks between runs: advisory locks, held by a session of their own for as long as the work lasts.

They live in ``lock_db``, because only in a common database do the targets of one server see each other. One says "this
purpose works on this database", one is of the server's few slots for heavy work. An action that excludes another
purpose holds that purpose's lock shared meanwhile, so neither can begin while the other is at it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Refused, Stopped
from ansible_collections.day2.ops.plugins.module_utils._core.given import all_above_zero, none_negative
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Action, defer
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import (
    Row,
    Session,
    connect,
    refuse_pooler,
)

# The first key of each lock ("day2" in ASCII, and up). Other releases lock with the same numbers: never renumber.
CLASSES = {
    "slot": 0x64617932,
    "maintain": 0x64617933,
    "backup": 0x64617934,
    "retention": 0x64617935,
    "restore": 0x64617936,
}
# Which purposes must not be at work on the same database, by purpose or by kind of action.
EXCLUDES: dict[str, tuple[str, ...]] = {
    "maintain": ("restore",),
    "backup": ("restore",),
    "retention": ("restore",),
    "restore": (),
    "vacuum": (),
    "analyze": (),
    "reindex": ("backup",),
    "drop_index": ("backup",),
    "detach": ("backup",),
    "swap": ("backup", "maintain", "retention"),
}
_HOLDER = """
SELECT l.pid, a.application_name AS application, extract(epoch FROM now() - a.backend_start)::float8 AS seconds
  FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
 WHERE l.locktype = 'advisory' AND l.classid = %s AND l.objid = %s AND l.objsubid = 2 AND l.granted
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.pid <> pg_backend_pid()
 ORDER BY seconds DESC NULLS LAST LIMIT 1
"""


def slot_spec() -> ArgumentSpec:
    """How heavy work shares the server with that of other runs: options of all modules that do some."""
    return ArgumentSpec(
        {"server_slots": {"type": "int", "default": 1}, "slot_wait": {"type": "float", "default": 60.0}}
    )


def check_slots(params: Mapping[str, Any]) -> None:
    """:class:`BadInput` for what cannot be meant."""
    all_above_zero(params, "lock_timeout", "server_slots")
    none_negative(params, "slot_wait")


class Locks:
    """The locks of one run on one database (``oid``), on a dedicated session to lock_db. Close it to release them.

    With ``look``, as in check mode, nothing is locked: only who is in the way is told.
    """

    def __init__(self, run: Run, oid: int, *, look: bool = False) -> None:
        self.session: Session = connect(run, "locks", database=run.params["lock_db"])
        refuse_pooler(self.session)
        self._look = look or run.check_mode
        self._run = run
        self._oid = oid
        self._held: set[tuple[str, int, bool]] = set()
        # Several workers of one run share the session, and what they exclude.
        self._mutex = threading.RLock()
        self._wanted: Counter[str] = Counter()

    def take(self, purpose: str) -> None:
        """Claim the database for ``purpose``; :class:`Refused` names who has it."""
        for name, shared in ((purpose, False), *((other, True) for other in EXCLUDES[purpose])):
            holder = self._try(name, self._oid, shared)
            if holder is not None:
                raise Refused(f"Failed to lock {self._run.params['login_db']} for {purpose}: {holder}.")

    def exclude(self, kind: str) -> Optional[str]:
        """Keep away the purposes that a kind of action excludes; who is in the way, or None."""
        with self._mutex:
            self._wanted.update(EXCLUDES[kind])
            for name in EXCLUDES[kind]:
                holder = self._try(name, self._oid, True)
                if holder is not None:
                    self.admit(kind)
                    return holder
        return None

    def admit(self, kind: str) -> None:
        """The end of :meth:`exclude`: nothing is let in that another worker still excludes."""
        with self._mutex:
            self._wanted.subtract(EXCLUDES[kind])
            for name in EXCLUDES[kind]:
                if self._wanted[name] <= 0:
                    self._release(name, self._oid, True)

    def slot(self, actions: Sequence[Action]) -> None:
        """One of the server's slots for heavy work, where any of it is planned; deferred when others keep them all."""
        heavy = [action for action in actions if action["status"] == "planned"]
        holder = self._slot() if heavy else None
        for action in heavy if holder else []:
            defer(action, str(holder))

    def _slot(self) -> Optional[str]:
        slots, wait = self._run.params["server_slots"], self._run.params["slot_wait"]
        if self._has_slot():
            return None
        if self._look and wait > 0:
            return None  # a run would wait, and whoever keeps them now may be done by then
        until = time.monotonic() + wait
        while True:
            first: Optional[str] = None
            for number in range(slots):
                holder = self._try("slot", number, False)
                if holder is None:
                    return None
                first = first or holder
            self._run.deadline.check()
            if time.monotonic() >= until:
                return first
            self._run.live.progress(f"waiting for a slot: {first}")
            self._run.live.sleep(1.0)

    def free_slot(self) -> None:
        for name, number, shared in list(self._held):
            if name == "slot":
                self._release(name, number, shared)

    def still_held(self) -> None:
        """Raise :class:`Stopped` when a lock is lost; a lost session raises Unreachable by itself."""
        statement = (
            "SELECT count(*) AS held FROM pg_locks "
            "WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND pid = pg_backend_pid() AND classid = ANY(%s)"
        )
        with self._mutex:
            held, ours = self.session.rows(statement, [list(CLASSES.values())])[0]["held"], len(self._held)
        if held < ours:
            raise Stopped(f"Stopped: the locks on {self._run.params['login_db']} were lost.")

    def close(self) -> None:
        self.session.close()

    def _has_slot(self) -> bool:
        return any(name == "slot" for name, _number, _shared in self._held)

    def _try(self, name: str, number: int, shared: bool) -> Optional[str]:
        if (name, number, shared) in self._held:
            return None
        keys = [CLASSES[name], number if number < 2**31 else number - 2**32]
        if not self._look:
            call = "pg_try_advisory_lock_shared" if shared else "pg_try_advisory_lock"
            if self.session.rows(f"SELECT {call}(%s, %s) AS got", keys)[0]["got"]:
                self._held.add((name, number, shared))
                return None
        holders = self.session.rows(_HOLDER, [CLASSES[name], number])
        if holders:
            return describe(name, holders[0])
        return None if self._look else "another run that has just begun or ended holds the lock"

    def _release(self, name: str, number: int, shared: bool) -> None:
        if (name, number, shared) in self._held:
            call = "pg_advisory_unlock_shared" if shared else "pg_advisory_unlock"
            self.session.rows(f"SELECT {call}(%s, %s)", [CLASSES[name], number if number < 2**31 else number - 2**32])
            self._held.discard((name, number, shared))


def describe(name: str, holder: Row) -> str:
    """Who holds a lock, for people. Pure."""
    what = "the server's slot for heavy work" if name == "slot" else f"the {name} lock"
    who = holder["application"] or "a session without a name"
    since = f" for {holder['seconds']:.0f} s" if holder["seconds"] is not None else ""
    return f"{who} (pid {holder['pid']}) holds {what}{since}"
