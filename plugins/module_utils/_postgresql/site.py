# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the work is done: sessions, locks and brake of one worker, and what all its statements share."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.errors import Deferred, Expired, OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql import holders, lockers, trouble
from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake import Brake
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.dial import application_name
from ansible_collections.day2.ops.plugins.module_utils._postgresql.locks import Locks
from ansible_collections.day2.ops.plugins.module_utils._postgresql.order import Step
from ansible_collections.day2.ops.plugins.module_utils._postgresql.progress import Progress
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import Blocker, Policy
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import duration, milliseconds, so_far

LOCK_TRIES = 3


class Locked(Deferred):
    """Others hold the table; a second connection has ended our wait for it."""


@dataclass
class Site:
    """Everything the work needs: who works, who watches, what holds the place, and what allows to go on.

    ``costs``: settings of vacuum and analyze, this worker's share of the whole. ``look`` raises when another worker has
    failed; ``alone`` is False when there are others.
    """

    run: Run
    policy: Policy
    worker: Session
    control: Session
    locks: Locks
    brake: Brake
    same_server: Callable[[], None]
    rates: dict[str, float] = field(default_factory=dict)
    costs: Mapping[str, str] = field(default_factory=dict)
    look: Callable[[], None] = lambda: None
    alone: bool = True
    # Until when, in monotonic time, who is waited for: by all that he keeps from being done, together.
    patience: dict[str, float] = field(default_factory=dict)

    @property
    def own(self) -> list[int]:
        return [self.worker.pid, self.control.pid, self.locks.session.pid]

    def settings(self, step: Step, lock_timeout: float) -> dict[str, str]:
        return {
            "lock_timeout": milliseconds(lock_timeout),
            "application_name": application_name(self.run.id, step.kind),
            **(self._costs(step) if step.kind in ("vacuum", "analyze") else {}),
        }

    def _costs(self, step: Step) -> Mapping[str, str]:
        """This worker's share; a vacuum slower, the nearer the load is to a limit."""
        slower = self.brake.vacuum_costs(urgent=step.need.urgent) if step.kind == "vacuum" else {}
        delays = [costs["vacuum_cost_delay"] for costs in (self.costs, slower) if "vacuum_cost_delay" in costs]
        longest = max(delays, key=lambda delay: float(delay[:-2]), default=None)
        return {**self.costs, **({"vacuum_cost_delay": longest} if longest else {})}

    def watch(self, step: Step, view: str) -> Callable[[], None]:
        progress = Progress(self.control, self.worker.pid, view, f"{step.kind} {step.action['subject']}")

        def look() -> None:
            self.look()
            # Workers of one run may wait for each other: only what they do to others counts.
            self.brake.watch(self.worker.pid if self.alone else 0)
            progress.tell(self.run.live)

        return look


def limited(site: Site, step: Step, statement: Any, view: str) -> list[str]:
    """Run a statement that needs one lock at its start: a few short tries, so that nobody queues behind us for long.

    Returns the server's warnings.
    """

    def once() -> list[str]:
        try:
            return site.worker.run(
                statement,
                overrun=step.need.urgent,
                settings=site.settings(step, site.policy.lock_timeout),
                watch=site.watch(step, view),
            )
        except trouble.SqlError as error:
            if error.sqlstate != trouble.LOCK_NOT_AVAILABLE:
                raise
            raise Locked("") from error

    return _tries(site, step, once)


def patient(
    site: Site,
    step: Step,
    statement: Any,
    view: str,
    untouched: Callable[[], bool],
    reserve: float,
    most: Optional[float] = None,
) -> list[str]:
    """Run a concurrent form, which waits for others between its phases: that holds up nobody, and may take its time.

    The server's lock_timeout would end those waits too, so it is off; instead ``control`` looks whether our process
    waits for a table or an index, and cancels it. It is tried again while the statement has left nothing
    (``untouched``). ``reserve``: seconds before the deadline at which it ends. ``most``: seconds for which anybody is
    waited for, by all that he keeps from being done together. Who was waited for in vain is told.
    """

    def once() -> list[str]:
        left = site.run.deadline.left()
        look, looked = site.watch(step, view), time.monotonic()
        blocker: Optional[Blocker] = None

        def watch() -> None:
            nonlocal looked, blocker
            look()
            if time.monotonic() - looked < site.policy.lock_timeout / 4:
                return
            looked = time.monotonic()
            queued, blocker = lockers.waited_for(site.control, site.worker.pid)
            if queued >= site.policy.lock_timeout:
                raise Locked("")
            if most is not None and blocker is not None:
                until = site.patience.setdefault(blocker.what, looked + most)
                if looked >= until:
                    raise Deferred(f"it waited {duration(most)} for {open_since(blocker)}")

        timeout = None if left is None else left - reserve
        try:
            return site.worker.run(statement, timeout=timeout, settings=site.settings(step, 0), watch=watch)
        except Expired as error:
            if blocker is None:
                raise
            raise Expired(f"{sentence(error)}, and it waited for {open_since(blocker)}") from error

    return _tries(site, step, once, untouched)


def open_since(blocker: Blocker) -> str:
    return f"{blocker.what}, open for {duration(blocker.age)}"


def _tries(
    site: Site, step: Step, once: Callable[[], list[str]], untouched: Callable[[], bool] = lambda: True
) -> list[str]:
    tried = 0
    for attempt in range(1, LOCK_TRIES + 1):
        tried = attempt
        try:
            return once()
        except Locked:
            if attempt == LOCK_TRIES or not untouched():
                break
        # Jittered, so that two who wait for each other do not meet again.
        site.run.live.sleep(random.uniform(0.5, 1.5) * attempt)
    tries = f"{tried} tries of {site.policy.lock_timeout:g} s" if tried > 1 else f"{site.policy.lock_timeout:g} s"
    index = step.index.oid if step.exclusive and step.index else None
    holder, age = lockers.lock_holder(site.control, site.own, step.relation, index)
    raise Deferred(f"{holder} kept it locked through {tries}" + (f"; it is open{so_far(age)}" if age else ""))


def await_holders(site: Site, step: Step) -> None:
    """With ``holders: wait``, until whoever makes this work useless is gone; :class:`Deferred` when it stays.

    What waited in vain is not waited for again by each action that follows.
    """
    if site.policy.holders != "wait" or not step.held_by:
        return
    while _there(site, step):
        until = site.patience.setdefault(step.held_by, time.monotonic() + site.policy.holders_wait)
        site.run.deadline.check()
        site.look()
        if time.monotonic() >= until:
            raise Deferred(f"{step.held_by} was still open after {duration(site.policy.holders_wait)}")
        site.run.live.progress(f"waiting: {step.held_by} is open")
        site.run.live.sleep(2.0)


def _there(site: Site, step: Step) -> bool:
    there = {one.what for one in lockers.read_lockers(site.control, site.own).values()}
    there |= {one.what for one in holders.read_holders(site.control, site.own)}
    there |= {one.what for one in holders.read_blockers(site.control, site.own, site.policy.max_transaction_age)}
    return step.held_by in there


def quoted(warnings: list[str]) -> str:
    return f": {'; '.join(warnings)}" if warnings else ""


def sentence(error: OpsError) -> str:
    return str(error).rstrip(".").replace("Stopped: ", "", 1)


def seconds_since(began: float) -> float:
    return round(time.monotonic() - began, 1)


def left_at_end(site: Site) -> Optional[float]:
    """Seconds by which the work has overrun the deadline, negative; None within it."""
    left = site.run.deadline.left()
    return left if left is not None and left < 0 else None
