# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Quick looks into the folder of the run under way. (The report reads it whole, and strictly: see ``_report``.)"""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import quote

FAILED = b'"failed":true'


def record_path(folder: str, host: str) -> str:
    """The file of one target's record; any inventory name makes a safe file name."""
    return os.path.join(folder, quote(host, safe="-_.@ ") + ".jsonl")


def lines_of(path: str) -> list[dict[str, Any]]:
    """The lines of one target's record; a line that a kill cut off is left out."""
    lines = []
    with open(path, "rb") as record:
        for line in record.read().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                continue
    return lines


def records_with_failures(folder: str) -> dict[str, list[dict[str, Any]]]:
    """The lines of the targets of this run that had a failure, by host; quick for hundreds of targets."""
    found = {}
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".jsonl"):
            continue
        path = os.path.join(folder, name)
        with open(path, "rb") as record:
            if FAILED in record.read():
                lines = lines_of(path)
                found[lines[0]["host"]] = lines
    return found
