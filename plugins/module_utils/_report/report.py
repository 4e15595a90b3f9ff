# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole of a report, from the record of a run to files, result and what the next run finds in the store."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Optional

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError, StoreError
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run, missing_library
from ansible_collections.day2.ops.plugins.module_utils._notify.memory import failures
from ansible_collections.day2.ops.plugins.module_utils._report import keep, out, past, words
from ansible_collections.day2.ops.plugins.module_utils._report.model import Report
from ansible_collections.day2.ops.plugins.module_utils._report.read import read_run, run_folders
from ansible_collections.day2.ops.plugins.module_utils._report.summarise import FAIL_ON, summarise
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store, store_spec


def report_spec() -> ArgumentSpec:
    own = ArgumentSpec(
        {
            "run_dir": {"type": "list", "elements": "path", "required": True},
            "run_id": {"type": "str"},
            "dest": {"type": "path"},
            "formats": {
                "type": "list",
                "elements": "str",
                "choices": list(out.FILES),
                "default": list(out.FILES),
            },
            "fail_on": {"type": "str", "choices": list(FAIL_ON), "default": "crit"},
            "timezone": {"type": "str", "default": "UTC"},
        }
    )
    return own.merge(store_spec())


def work(run: Run) -> Result:
    """The result, with ``result`` as AWX keeps it, ``verdicts`` per host and ``summary`` to be printed."""
    zone = clock.zone(run.params["timezone"], "timezone")
    folders = run_folders(run.params["run_dir"], run.params["run_id"])
    report = summarise(read_run(folders), run.params["fail_on"], clock.now_iso())
    report = replace(report, notes=(*report.notes, *failures(folders)))
    report, store, told = _recall(run, report)
    try:
        links = out.write(report, run.params["dest"] or folders[0], run.params["formats"], zone)
    except ImportError:
        missing_library("jinja2", sys.executable)
    return {
        "checks": [],
        "actions": [],
        "changed": False,
        "folder": folders[0],
        "result": out.ops_result(report, links),
        "verdicts": out.verdicts(report),
        "summary": [*words.summary(report), *told, *_leave(store, report, folders, links)],
    }


def _recall(run: Run, report: Report) -> tuple[Report, Optional[Store], list[str]]:
    """The report with what former runs left; the store to leave something in, if there is one; what to say of it."""
    if not run.params["store"]:
        return keep.without_store(report), None, []
    try:
        store = open_store(run.params, read_only=run.check_mode)
    except StoreError as error:
        told = f"The record could not be kept in the store: {error}"
        return keep.without_store(report, past.unread(error)), None, [told]
    return keep.recall(store, report), None if run.check_mode else store, []


def _leave(store: Optional[Store], report: Report, folders: list[str], links: dict[str, str]) -> list[str]:
    """Keep record, memory and page in the store; what to say about it. The report is made, whatever happens here."""
    if store is None:
        return []
    try:
        keep.keep_lines(store, folders)
        keep.remember(store, report)
        keep.keep_page(store, report, links.get("html"))
    except OpsError as error:
        return [f"The record could not be kept in the store: {error}"]
    return []
