# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opening and closing a target of a run: what ``opening`` decides, carried out on record, window and store."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check, CheckType
from ansible_collections.day2.ops.plugins.module_utils._run import folder, memory, opening
from ansible_collections.day2.ops.plugins.module_utils._store import lease as leases
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store
from ansible_collections.day2.ops.plugins.module_utils._store.history import change_history
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store
from ansible_collections.day2.ops.plugins.module_utils._store.stop import read_stop
from ansible_collections.day2.ops.plugins.module_utils._window import options as window
from ansible_collections.day2.ops.plugins.module_utils._window.checks import window_check

HISTORY = CheckType("run_history")


def open_target(run: Run) -> Result:
    """The result of ``run_open``. Raises what keeps the work from starting; in check mode it is a check instead."""
    now = window.moment(run.params)
    store = open_store(run.params, read_only=run.check_mode) if run.params["store"] else None
    found = _find(run, store, now)
    checks = [window_check(found.window, now)]
    hindrance = opening.obstacle(found)
    if hindrance is not None and not run.check_mode:
        hindrance.result["checks"] = checks
        raise hindrance
    if hindrance is not None:
        checks.append(opening.OBSTACLE(run.target, None, status="warn", summary=str(hindrance)))
    claimed = found.due > 0 and run.params["lease"]
    return {
        "checks": checks,
        "actions": [],
        "changed": claimed,
        "due": found.due > 0,
        "planned": found.due,
        "deferred": found.deferred,
        "deadline": found.window["deadline"],
        "lease": _claim(run, store) if claimed and store and not run.check_mode else None,
    }


def _find(run: Run, store: Optional[Store], now: datetime) -> opening.Found:
    record = run.about.get("folder")
    if not record:
        raise BadInput("run.folder: there is no record of this run; use the module inside role day2.ops.run.")
    order = read_stop(store, run.target, clock.now()) if store else None
    lines = folder.lines_of(folder.record_path(record, run.about["host"]))
    return opening.Found(
        due=len(opening.due_actions(lines)),
        deferred=len(opening.due_actions(lines, "deferred")),
        window=window.decision(run.params, run.params["risk"], now),
        stop=f"{order.reason} (for {order.scope})." if order else None,
        failed=opening.failed_targets(folder.records_with_failures(record), but=run.about["host"]),
        max_failed=run.params["max_failed"],
    )


def _claim(run: Run, store: Store) -> dict[str, Any]:
    me = leases.identity(run.owner, run.about.get("playbook") or "", run.about.get("controller_pid"))
    leases.claim(store, run.target, me, clock.now())
    return asdict(me)


def close_target(run: Run) -> Result:
    """The result of ``run_close``."""
    held, released = run.params["lease"], False
    checks = _remember(run)
    if held:
        holder = leases.Holder(**held)
        store = open_store(run.params, read_only=run.check_mode)
        if run.check_mode:
            there = leases.read_lease(store, run.target)
            released = there is not None and there.holder.claim == holder.claim
        else:
            released = leases.release(store, run.target, holder)
    return {"checks": checks, "actions": [], "changed": released}


def _remember(run: Run) -> list[Check]:
    """Leave to the next run what this one has learnt. That it cannot be written is a check: the work is done."""
    record = run.about.get("folder")
    if run.check_mode or not run.params["store"] or not record:
        return []
    lines = folder.lines_of(folder.record_path(record, run.about["host"]))
    if not memory.worked_lines(lines):
        return []
    try:
        store = open_store(run.params, read_only=False)
        now = clock.now_iso()
        change_history(store, run.target, lambda old: memory.remembered(old, lines, run.params["learnt"], run.id, now))
    except OpsError as error:
        advice = "The next run plans with what was known before; look after the store."
        return [HISTORY(run.target, None, status="warn", summary=str(error), advice=advice)]
    return []
