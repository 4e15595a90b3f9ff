# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The numbers of a run as a whole: from its record to where they go. The module is only its options."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Stopped
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._metrics import export
from ansible_collections.day2.ops.plugins.module_utils._metrics.families import groups
from ansible_collections.day2.ops.plugins.module_utils._observability.service import http_constraints, http_options
from ansible_collections.day2.ops.plugins.module_utils._report.read import read_run, run_folders
from ansible_collections.day2.ops.plugins.module_utils._report.summarise import FAIL_ON, summarise

T = TypeVar("T")


def metrics_spec() -> ArgumentSpec:
    return ArgumentSpec(
        {
            "run_dir": {"type": "list", "elements": "path", "required": True},
            "run_id": {"type": "str"},
            "fail_on": {"type": "str", "choices": list(FAIL_ON), "default": "crit"},
            "textfile_dir": {"type": "path"},
            "pushgateway": {"type": "dict", "options": http_options(), **http_constraints()},
        },
        required_one_of=[["textfile_dir", "pushgateway"]],
    )


def work(run: Run) -> Result:
    """``files`` that were written, how many groups were ``pushed``, and in ``summary`` what did not arrive."""
    folder, gateway = run.params["textfile_dir"], run.params["pushgateway"]
    if folder and not os.path.isdir(folder):
        raise BadInput(f"textfile_dir: there is no folder {folder}; give the one that the textfile collector reads.")
    record = read_run(run_folders(run.params["run_dir"], run.params["run_id"]))
    report = summarise(record, run.params["fail_on"], clock.now_iso())
    files: list[str] = []
    pushed = 0
    summary: list[str] = []
    if not (run.check_mode or report.check_mode):
        found = groups(report, record.headers)
        if folder:
            files = _tried(lambda: export.write_files(folder, found), [], summary)
        if gateway:
            pushed = _tried(lambda: export.push(run, gateway, found), 0, summary)
    return {"checks": [], "actions": [], "changed": False, "files": files, "pushed": pushed, "summary": summary}


def _tried(act: Callable[[], T], otherwise: T, summary: list[str]) -> T:
    """A run is no worse because its numbers did not arrive: that is told, and the other way is tried as well."""
    try:
        return act()
    except (BadInput, Stopped):
        raise
    except OpsError as error:
        summary.append(str(error))
        return otherwise
