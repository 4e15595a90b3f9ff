# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Act on indexes: rebuilt and dropped concurrently, and what an interrupted rebuild leaves removed at once."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._core import records
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Deferred, OpsError
from ansible_collections.day2.ops.plugins.module_utils._postgresql import read, trouble, types
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import compose
from ansible_collections.day2.ops.plugins.module_utils._postgresql.history_of import raised_to
from ansible_collections.day2.ops.plugins.module_utils._postgresql.leftovers import Leftovers
from ansible_collections.day2.ops.plugins.module_utils._postgresql.order import Step
from ansible_collections.day2.ops.plugins.module_utils._postgresql.site import (
    Site,
    limited,
    patient,
    quoted,
    seconds_since,
)
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import Index

_VIEW = "pg_stat_progress_create_index"


def reindex(site: Site, step: Step) -> None:
    index = _index(step)
    file = _file(site, index)
    began = time.monotonic()
    warnings = (_alone if step.exclusive else _concurrently)(site, step, index)
    now = [one for one in read.read_indexes(site.control, [step.table]) if one.name == index.name]
    if not now or not now[0].valid or _file(site, now[0]) == file:
        records.fail(step.action, "the server skipped it" + quoted(warnings))
        return
    reclaimed = index.bytes - now[0].bytes
    after: dict[str, Any] = {
        "seconds": seconds_since(began),
        "bytes": now[0].bytes,
        "bytes_reclaimed": reclaimed,
        "rows": now[0].rows,
    }
    raised = raised_to(index.bytes, reclaimed, step.need.bloat)
    if raised is not None:
        after["threshold"] = raised
    records.finish(step.action, types.REINDEX.measured(after))


def _file(site: Site, index: Index) -> Optional[int]:
    """The number of its file, which each rebuild changes; None when it is gone."""
    file: Optional[int] = site.control.rows("SELECT pg_relation_filenode(%s)::bigint AS file", [index.oid])[0]["file"]
    return file


def _concurrently(site: Site, step: Step, index: Index) -> list[str]:
    debris = Leftovers(site.control, step.relation)
    statement = compose("REINDEX INDEX CONCURRENTLY {index}", index=(index.schema, index.name))
    try:
        # What an interrupted rebuild leaves is dropped before the deadline, not after it.
        return patient(site, step, statement, _VIEW, lambda: not debris.found(), site.policy.cleanup_reserve)
    except OpsError as error:
        _clean(site, step, debris, error)
        raise


def _alone(site: Site, step: Step, index: Index) -> list[str]:
    """The plain form: one transaction, which leaves nothing when it ends. The brake ends it once somebody has waited
    for it as long as anybody may."""
    return limited(site, step, compose("REINDEX INDEX {index}", index=(index.schema, index.name)), _VIEW)


def _clean(site: Site, step: Step, debris: Leftovers, error: OpsError) -> None:
    """Drop what the interrupted rebuild left, or record it as its cost; the next run removes it."""
    try:
        names = debris.found(final=True)
        if names and isinstance(error, (Deferred, trouble.SqlError)):
            # Whatever else the brake says: room is made here. But nobody may queue behind that.
            watch = partial(site.brake.watch, site.worker.pid, only=("held_up",))
            names = debris.drop(site.worker, names, watch)
    except OpsError:
        names = [(step.index.schema, f"{step.index.name}_ccnew")] if step.index else []
    if names:
        step.action["after"] = types.REINDEX.measured({"invalid_index": ", ".join(name for _schema, name in names)})


def drop_index(site: Site, step: Step) -> None:
    index = _index(step)
    began = time.monotonic()
    statement = compose("DROP INDEX CONCURRENTLY {index}", index=(index.schema, index.name))
    # Who is waited for longer counts as a holder. A drop that was ended half-way is simply tried again.
    policy = site.policy
    most = {"skip": policy.max_transaction_age, "wait": policy.holders_wait}.get(policy.holders)
    patient(site, step, statement, "", lambda: True, 0.0, most)
    after = {"seconds": seconds_since(began), "bytes": 0, "bytes_reclaimed": index.bytes}
    records.finish(step.action, types.DROP_INDEX.measured(after))


def _index(step: Step) -> Index:
    if step.index is None:
        raise AssertionError(f"Contract violation: {step.action['action']} was planned without an index")
    return step.index
