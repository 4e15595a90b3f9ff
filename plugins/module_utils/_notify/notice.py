# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A notice as a whole: what the report says of a run, to the channels that want it. The module is only its options."""

from __future__ import annotations

from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, StoreError
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._notify import memory
from ansible_collections.day2.ops.plugins.module_utils._notify.plan import LOCAL, Notice, Verdict
from ansible_collections.day2.ops.plugins.module_utils._notify.send import tell
from ansible_collections.day2.ops.plugins.module_utils._notify.spec import checked
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store

NO_STORE = "There is no store that would know what was sent before, so every run is told (ops_store)."


def work(run: Run) -> Result:
    """What became of each channel, as ``notices``, and what to print of it, as ``summary``."""
    channels = checked(run.params["channels"])
    notice = _notice(run.params)
    if run.params["most_per_hour"] < 1 or run.params["remind_after"] < 0:
        raise BadInput("most_per_hour, remind_after: give a number above 0; for no notices, leave channels empty.")
    store, summary = _memory(run)
    if any(channel["type"] not in LOCAL for channel in channels) and store is None and not notice.rehearsal:
        summary = summary or [NO_STORE]
    notices = [tell(run, notice, channel, store) for channel in channels]
    if run.params["folder"] and not run.check_mode:
        summary += _leave(run.params["folder"], notices)
    summary += memory.unreached(notices)
    return {"checks": [], "actions": [], "changed": False, "notices": notices, "summary": summary}


def _memory(run: Run) -> tuple[Optional[Store], list[str]]:
    if not run.params["store"]:
        return None, []
    try:
        return open_store(run.params, read_only=run.check_mode), []
    except StoreError as error:
        return None, [f"What was sent before is not known, so every run is told: {error}"]


def _leave(folder: str, notices: list[dict[str, Any]]) -> list[str]:
    try:
        memory.leave(folder, notices)
    except OpsError as error:
        return [f"What became of the notices could not be kept: {error}"]
    return []


def _notice(params: dict[str, Any]) -> Notice:
    result = params["result"]
    missing = [key for key in ("run_id", "playbook", "status") if not isinstance(result.get(key), str)]
    if missing:
        raise BadInput(f"result: it has no {missing[0]}; give what day2.ops.report returns as result.")
    try:
        verdicts = {
            str(host): Verdict(str(one["status"]), bool(one["failed"]), str(one["why"]))
            for host, one in params["verdicts"].items()
        }
    except (KeyError, TypeError) as error:
        raise BadInput("verdicts: give what day2.ops.report returns as verdicts.") from error
    return Notice(
        run_id=result["run_id"],
        playbook=result["playbook"],
        status=result["status"],
        lines=tuple(params["lines"]),
        targets=verdicts,
        links=result.get("links") or {},
        rehearsal=bool(result.get("check_mode")),
        result=result,
    )
