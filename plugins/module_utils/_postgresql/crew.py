# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Act over several connections: each takes the next table, longest first, so that no two work on one table at once."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Callable, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError, Stopped
from ansible_collections.day2.ops.plugins.module_utils._postgresql.apply import act, leave
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.order import Step
from ansible_collections.day2.ops.plugins.module_utils._postgresql.site import Site
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import Policy

TICK_SECONDS = 0.25
_COSTS = "SELECT current_setting('vacuum_cost_limit')::int AS whole"


def cost_settings(worker: Session, policy: Policy, workers: int) -> dict[str, str]:
    """One worker's share of the I/O budget. The server counts it for each session, so that the whole is divided.

    As the server means it: the limit has no effect while the delay is 0.
    """
    whole = policy.vacuum_cost_limit or int(worker.rows(_COSTS)[0]["whole"])
    settings = {"vacuum_cost_limit": str(max(1, whole // workers))}
    if policy.vacuum_cost_delay is not None:
        settings["vacuum_cost_delay"] = f"{policy.vacuum_cost_delay:g}ms"
    return settings


def by_table(steps: Sequence[Step]) -> list[list[Step]]:
    """The steps in groups of one table each, in their order."""
    groups: dict[int, list[Step]] = {}
    for step in steps:
        groups.setdefault(step.table.oid, []).append(step)
    return list(groups.values())


def act_all(sites: Sequence[Site], steps: Sequence[Step]) -> None:
    """:func:`act` over all sites, in the order of the plan: danger, leftovers, the rest."""
    if len(sites) == 1:
        act(sites[0], steps)
        return
    danger = [step for step in steps if step.need.urgent]
    drops = [step for step in steps if step.kind == "drop_index"]
    rest = [step for step in steps if not step.need.urgent and step.kind != "drop_index"]
    try:
        Crew(sites, [group for part in (danger, drops, rest) for group in by_table(part)]).work()
    except OpsError as error:
        leave(steps, error)
        raise


class Crew:
    def __init__(self, sites: Sequence[Site], groups: Sequence[Sequence[Step]]) -> None:
        self._sites = sites
        self._groups = list(groups)
        self._busy: set[int] = set()
        self._mutex = threading.Lock()
        self._asking = threading.Lock()
        self._error: Optional[BaseException] = None

    def work(self) -> None:
        """Until all groups are done. The first failure that ends the work of one ends that of all, and is raised."""
        for site in self._sites:
            site.look, site.same_server, site.alone = self._look, self._in_turn(site.same_server), False
        with ThreadPoolExecutor(len(self._sites)) as pool:
            members = {pool.submit(self._member, site) for site in self._sites}
            while members:
                try:
                    over, members = wait(members, timeout=TICK_SECONDS, return_when=FIRST_COMPLETED)
                    for member in over:
                        self._ended(member.exception())
                except OpsError as error:  # a signal that has waited too long is raised here, in the main thread
                    self._ended(error)
        if self._error is not None:
            raise self._error

    def _member(self, site: Site) -> None:
        while True:
            group = self._next()
            if group is None:
                return
            try:
                act(site, group)
            finally:
                with self._mutex:
                    self._busy.discard(group[0].table.oid)

    def _next(self) -> Optional[Sequence[Step]]:
        """The first group on whose table nobody is at work; whoever is there takes what is left of that table."""
        with self._mutex:
            for position, group in enumerate(self._groups if self._error is None else ()):
                if group[0].table.oid not in self._busy:
                    self._busy.add(group[0].table.oid)
                    return self._groups.pop(position)
        return None

    def _ended(self, error: Optional[BaseException]) -> None:
        with self._mutex:
            self._error = self._error or error

    def _in_turn(self, ask: Callable[[], None]) -> Callable[[], None]:
        def one() -> None:
            with self._asking:
                ask()

        return one

    def _look(self) -> None:
        if self._error is not None:
            raise Stopped(str(self._error))
