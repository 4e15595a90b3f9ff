# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The brake at work: its signals read by a session of its own while another works; and stop orders in the database.

What it can do depends on the work. Batches ask :meth:`Brake.clear` before and :meth:`Brake.pace` after each one, so
they slow down; a vacuum takes its cost settings before each table; a rebuild, a dump and a restore are not begun, or
are cancelled.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Callable, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core import brake
from ansible_collections.day2.ops.plugins.module_utils._core.brake import GO, STOP, Signal, Verdict, judge_brake
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Braked, Refused, Stopped
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Action, ActionType, Scalar
from ansible_collections.day2.ops.plugins.module_utils._core.sampler import Sampler
from ansible_collections.day2.ops.plugins.module_utils._postgresql import signals
from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake_policy import (
    BrakePolicy,
    brake_of,
    brake_spec,
)
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.dial import application_name

__all__ = ["Brake", "BrakePolicy", "brake_of", "brake_spec"]

EVERY_SECONDS = 1.0
# Short batches share a reading; a wait for the load to pass has a new one each time.
FRESH_SECONDS = 0.5
STOP_ROW_SECONDS = 5.0
DISK_SECONDS = 15.0
# So long the last good reading stands in for one that failed: a monitoring that restarts ends no rebuild of hours.
BRIDGE_SECONDS = 30.0
# What a vacuum pauses, in milliseconds, each time it has spent its cost limit, while a signal is at its limit.
SLOWEST_VACUUM = 10.0
# Signals that are looked at only because an option asks for them; what an operator can do instead for the others.
ASKED = ("slots", "latency", "disk")
CHOICE = "; or set brake.required to false."

_STOP_READABLE = """
SELECT has_schema_privilege(n.oid, 'USAGE') AS usable,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS readable
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'day2' AND c.relname = 'stop'
"""
_STOP = """
SELECT reason FROM day2.stop WHERE target_id IN (%s, '_all') AND (until IS NULL OR until > now()) LIMIT 1
"""
_COST_DELAY = "SELECT setting::float8 AS milliseconds FROM pg_settings WHERE name = 'vacuum_cost_delay'"


class Brake:
    """Reads signals through ``control`` and says whether work may begin or go on. Close it when the work is over."""

    def __init__(self, run: Run, control: Session, policy: BrakePolicy) -> None:
        self._run = run
        self._control = control
        self._policy = policy
        self._limits = policy.limits()
        # To begin, whatever would stop running work counts too.
        self._begin = [replace(one, wait=one.stop if one.wait is None else one.wait, stop=None) for one in self._limits]
        self._patience = policy.wait
        self._own = application_name(run.id, "")
        self._replicas = signals.Replicas(control)
        self._aside = _samplers(run, policy)
        self._known: dict[str, tuple[Signal, float]] = {}
        self._read_at = self._stop_at = float("-inf")
        self._every = 0.0
        self._cost_delay: Optional[float] = None
        self._braked = 0.0
        self._by: dict[str, str] = {}
        self.unknown: set[str] = set()

    def start(self) -> None:
        """Refuse to begin against a stop order, and where a signal that must be readable will never be."""
        reason = self.stop_order()
        if reason is not None:
            raise Refused(f"Failed to start on {self._run.target}: a stop is ordered in day2.stop: {reason}.")
        verdict = self._judge(0, self._begin)
        if verdict.lasting:
            reason = verdict.reason.rstrip(".;")
            choice = "; or leave out the option that asks for it." if verdict.signal in ASKED else CHOICE
            raise Refused(f"Failed to start on {self._run.target}: {reason}{choice}")

    def close(self) -> None:
        """The end of what is read aside."""
        for sampler in self._aside.values():
            sampler.close()

    def stop_order(self) -> Optional[str]:
        """Why somebody ordered a stop, or None. :class:`Refused` when the orders are there and cannot be read."""
        found = self._control.rows(_STOP_READABLE, timeout=signals.READ_SECONDS)
        if not found:
            return None
        if not found[0]["readable"]:
            self._hidden_orders(usable=found[0]["usable"])
            return None
        orders = self._control.rows(_STOP, [self._run.target], timeout=signals.READ_SECONDS)
        return str(orders[0]["reason"]) if orders else None

    def _hidden_orders(self, *, usable: bool) -> None:
        if self._policy.required:
            needed = "SELECT ON day2.stop" if usable else "USAGE ON SCHEMA day2"
            granting = signals.granting(self._control, needed)
            raise Refused(
                f"Failed to look for stop orders for {self._run.target}: day2.stop is closed to this user; "
                f"{granting.rstrip(';')}{CHOICE}"
            )
        self.unknown.add("stop")

    def clear(self) -> None:
        """Wait until work may begin; :class:`Braked` when it may not within the policy's wait."""
        until = time.monotonic() + self._patience
        while True:
            self._obey()
            verdict = self._judge(0, self._begin, FRESH_SECONDS)
            if verdict.word == GO:
                self._patience = self._policy.wait
                return
            self._by[verdict.signal] = verdict.reason
            self._run.deadline.check()
            if verdict.lasting or time.monotonic() >= until:
                # What waited in vain is not waited for again by each action that follows.
                self._patience = 0.0
                raise Braked(verdict.reason)
            self._wait(verdict)

    def _wait(self, verdict: Verdict) -> None:
        began = time.monotonic()
        try:
            self._run.live.progress(f"waiting: {verdict.reason}")
            self._run.live.sleep(EVERY_SECONDS)
        finally:
            self._braked += time.monotonic() - began

    def watch(self, pid: int, only: Sequence[str] = ()) -> None:
        """Look, every second, at what the work of server process ``pid`` does to others; oftener once somebody waits.

        With ``pid`` 0 at what all processes of this run do. ``only``: the signals that count; all without it. Raises
        :class:`Braked` and, for a stop order, :class:`Stopped`.
        """
        if time.monotonic() - self._read_at < self._every:
            return
        self._obey()
        verdict = self._judge(pid, [one for one in self._limits if not only or one.signal in only])
        waits = self._known.get("held_up", (Signal(0.0), 0.0))[0].value
        self._every = 0.0 if waits else min(EVERY_SECONDS, self._policy.lock_timeout / 4)
        if verdict.word == STOP:
            self._by[verdict.signal] = verdict.reason
            raise Braked(verdict.reason)

    def pace(self) -> float:
        """How fast work may go by the latest reading: 1.0 as fast as it can, 0.0 not at all; nothing is read anew.

        It falls from half of a limit on: batches get smaller by it, and pauses longer, before the brake stops them.
        """
        return brake.pace({name: signal for name, (signal, _at) in self._known.items()}, self._begin)

    def vacuum_costs(self, *, urgent: bool = False) -> dict[str, str]:
        """The cost settings with which the next table is to be vacuumed: slower, the nearer the load is to a limit.

        Never faster than the server's own setting for this user, and not slower where it is ``urgent``.
        """
        if self._cost_delay is None:
            self._cost_delay = float(self._control.rows(_COST_DELAY)[0]["milliseconds"])
        delay = max(self._cost_delay, 0.0 if urgent else SLOWEST_VACUUM * (1 - self.pace()))
        return {"vacuum_cost_delay": f"{delay:.1f}ms"}

    def told(self) -> dict[str, Scalar]:
        """``MEASURES`` of the brake since last asked: the seconds of waiting, for what, and what could not be read."""
        said: dict[str, Scalar] = {}
        if self._by:
            said = {"braked_seconds": round(self._braked, 1), "braked_by": "; ".join(self._by.values())}
        if self.unknown:
            said["unread_signals"] = ", ".join(sorted(self.unknown))
        self._braked, self._by = 0.0, {}
        return said

    def tell(self, action: Action, kind: ActionType) -> None:
        """Put :meth:`told` into the action's after; its type has to declare ``MEASURES``."""
        action["after"] = {**action["after"], **kind.measured(self.told())}

    def disk_free(self) -> Optional[float]:
        """Bytes, as the options say; None when unknown."""
        sampler = self._aside.get("disk")
        return None if sampler is None else sampler.latest().value

    def _judge(self, pid: int, limits: list[brake.Limit], fresh: float = 0.0) -> Verdict:
        if time.monotonic() - self._read_at >= fresh:
            self._read(pid)
        verdict = judge_brake({name: signal for name, (signal, _at) in self._known.items()}, limits)
        self.unknown.update(verdict.unknown)
        return verdict

    def _read(self, pid: int) -> None:
        found = signals.load(self._control, pid, self._own)
        if self._policy.replica_lag or self._policy.replica_lag_bytes or self._policy.replica_gone:
            found.update(self._replicas.read())
        if self._policy.slot_retained_bytes:
            found.update(signals.slots(self._control))
        found.update({name: sampler.latest() for name, sampler in self._aside.items()})
        self._read_at = now = time.monotonic()
        for name, signal in found.items():
            before, at = self._known.get(name, (signal, now))
            if signal.value is not None or before.value is None or now - at > BRIDGE_SECONDS:
                self._known[name] = signal, now

    def _obey(self) -> None:
        if time.monotonic() - self._stop_at < STOP_ROW_SECONDS:
            return
        self._stop_at = time.monotonic()
        reason = self.stop_order()
        if reason is not None:
            raise Stopped(f"Stopped: a stop was ordered in day2.stop: {reason}.")


def _samplers(run: Run, policy: BrakePolicy) -> dict[str, Sampler]:
    """What takes its time to read, by signal; nothing is read before somebody asks."""
    found: dict[str, Sampler] = {}
    disk = _disk(run, policy)
    if disk is not None:
        found["disk"] = Sampler(disk, DISK_SECONDS)
    if policy.latency:
        # Far enough beyond the limit at which work is cancelled to tell it from one that is just reached.
        most = max(1.0, policy.latency * 3)
        found["latency"] = Sampler(signals.Latency(run, policy.latency_query, most), EVERY_SECONDS, late=most + 5)
    return found


def _disk(run: Run, policy: BrakePolicy) -> Optional[Callable[[], Signal]]:
    if policy.disk_capacity_bytes:
        return signals.DiskByCapacity(run, policy.disk_capacity_bytes)
    if policy.disk_available_bytes:
        return signals.DiskByFacts(run, policy.disk_available_bytes)
    if policy.disk_free_query and policy.prometheus:
        return signals.DiskByQuery(policy.prometheus, policy.disk_free_query)
    return None
