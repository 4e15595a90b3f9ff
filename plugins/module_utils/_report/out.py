# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a report to files (their schemas are in ``docs/schemas``), and to the small result that AWX keeps."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from datetime import tzinfo
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.files import replace_file
from ansible_collections.day2.ops.plugins.module_utils._report import data, html, markdown, words
from ansible_collections.day2.ops.plugins.module_utils._report.model import EXIT_2, Report

SCHEMA = "day2.ops/result/1"
FILES = {"html": "report.html", "markdown": "report.md", "json": "result.json", "full": "report.json"}
# AWX keeps what set_stats is given: one key that stays small, however many targets there are.
MOST_BYTES = 9000


def write(report: Report, folder: str, formats: Iterable[str], zone: tzinfo) -> dict[str, str]:
    """Write the report into ``folder``; returns ``{format: path}``. A file appears whole, or stays as it was."""
    links = {name: os.path.join(folder, FILES[name]) for name in FILES if name in set(formats)}
    rest = FILES["full"] if "full" in links else "the run record"
    makers = {
        "html": lambda: html.render(report, zone, rest),
        "markdown": lambda: markdown.render(report, zone, rest),
        "full": lambda: data.render(report),
        "json": lambda: json.dumps(result(report, links), indent=2, sort_keys=True, ensure_ascii=False) + "\n",
    }
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise OpsError(f"Failed to write the report to {folder}: {error.strerror}.") from error
    for name, path in links.items():
        replace_file(path, makers[name]().encode("utf-8", "replace"))
    return links


def result(report: Report, links: Mapping[str, str]) -> dict[str, Any]:
    """The content of ``result.json``."""
    return {
        "schema": SCHEMA,
        **data.head(report),
        **data.details(report),
        "targets": {
            target.host: {
                "target": target.target,
                "status": target.status,
                "error": {"kind": target.problems[0].kind, "message": words.why(target)} if target.problems else None,
                "why": words.why(target),
                "counts": {"checks": target.check_counts, "actions": target.action_counts},
            }
            for target in report.targets
        },
        "links": dict(links),
    }


def ops_result(report: Report, links: Mapping[str, str]) -> dict[str, Any]:
    """The same in less than 10 kB: of many targets the worst are named, and ``targets_left_out`` counts the others."""
    small = {**data.head(report), "links": dict(links), "targets": {}, "targets_left_out": 0}
    room = MOST_BYTES - len(json.dumps(small))
    for target in report.targets:
        room -= len(json.dumps({target.host: target.status})) + 2
        if room > 0:
            small["targets"][target.host] = target.status
        else:
            small["targets_left_out"] += 1
    return small


def verdicts(report: Report) -> dict[str, dict[str, Any]]:
    """What each target ends with: ``{host: {status, failed, why}}``; ``failed`` where the exit status must be 2."""
    return {
        target.host: {"status": target.status, "failed": target.status in EXIT_2, "why": words.why(target)}
        for target in report.targets
    }
