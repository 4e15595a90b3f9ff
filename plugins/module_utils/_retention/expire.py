# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that have stood for as long as their policy asks (``archive_delete_after``)."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core import clock, records
from ansible_collections.day2.ops.plugins.module_utils._core.records import Scalar
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import spell
from ansible_collections.day2.ops.plugins.module_utils._retention import ledger, resolve, types
from ansible_collections.day2.ops.plugins.module_utils._retention.chunk import Kept
from ansible_collections.day2.ops.plugins.module_utils._retention.plan import Step
from ansible_collections.day2.ops.plugins.module_utils._retention.resolve import Left
from ansible_collections.day2.ops.plugins.module_utils._retention.site import Site
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Found, Span


@dataclass
class Removal(Step):
    """The removal of one chunk from the store. ``void``: it counts no more, and the ledger says so."""

    kept: Optional[Kept] = None
    void: bool = False


def expired(left: Sequence[Left], found: Sequence[Found]) -> list[Step]:
    """Steps that remove the archives of which a policy says that they have stood long enough."""
    by_name = {one.policy.name: one for one in found}
    steps: list[Step] = []
    for one in left:
        after = one.policy.archive_delete_after
        if after is None:
            continue
        since, known = before(clock.now(), after), by_name[one.policy.name]
        for void, stood in ((False, one.standing), (True, one.voided)):
            old = (kept for kept in stood if kept.taken < since)
            steps += [Removal(_action(kept, known), known, kept=kept, void=void) for kept in old]
    return steps


def _action(kept: Kept, found: Found) -> records.Action:
    table = spell(found.relation.schema, found.relation.name)
    taken = clock.iso(kept.taken)
    measures: dict[str, Scalar] = {
        "policy": found.policy.name, "table": table, "taken": taken, "bytes": kept.size,
    }  # fmt: skip
    reason = f"taken {taken}, longer ago than archive_delete_after of policy {found.policy.name}"
    return types.DELETE_ARCHIVE.plan(kept.prefix, reason, predicted=measures)


def before(now: datetime, span: Span) -> datetime:
    """The moment a span ago; months are the calendar's, a day that a month does not have is its last. Pure."""
    months = now.year * 12 + now.month - 1 - span.months
    year, month = months // 12, months % 12 + 1
    day = min(now.day, calendar.monthrange(year, month)[1])
    return now.replace(year=year, month=month, day=day) - timedelta(days=span.days, seconds=span.seconds)


def remove(site: Site, step: Step) -> None:
    """The ledger knows it first: what a killed run leaves of it is removed by the next one."""
    if not isinstance(step, Removal) or step.kept is None:
        raise AssertionError("Contract violation: the removal of no archive")
    if not step.void:
        table = spell(step.found.relation.schema, step.found.relation.name)
        place = {"chunk": step.kept.prefix, "first_row": 0}
        site.worker.rows(ledger.insert(ledger.note(site.run, step.found.policy, table, ledger.VOID, **place)))
        site.flush()
    resolve.remove(site.chunks, step.kept)
    records.finish(step.action, types.DELETE_ARCHIVE.measured(step.action["predicted"]))
