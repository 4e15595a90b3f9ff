# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a run's folder: one ``<host>.jsonl`` per target, its first line the header, then a line per task result."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, Optional
from urllib.parse import unquote

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.scrub import flat, scrub, suspect
from ansible_collections.day2.ops.plugins.module_utils._report.model import Header, Line, Record

HEADERS = frozenset(["day2.ops/header/1"])
RECORDS = frozenset(["day2.ops/record/1"])
HEADER_KEYS = ("run_id", "host", "target")
LINE_KEYS = ("run_id", "seq", "host", "target", "step", "task", "failed", "started", "ended", "checks", "actions")
_CHECK_TEXTS, _EVIDENCE = ("summary", "advice"), ("evidence",)
_ACTION_TEXTS, _MEASURES = ("reason", "error"), ("predicted", "before", "after")


class RecordError(OpsError):
    """A file of the run record is not what a run, or a killed run, leaves. The message names file and line."""


def run_folders(run_dirs: Sequence[str], run_id: Optional[str]) -> list[str]:
    """The folders that hold the run's files: ``<run_dir>/<run_id>``, or ``run_dir`` itself where it is the run's own.

    Raises :class:`BadInput` when there is none, or one of them does not exist.
    """
    if not run_dirs:
        raise BadInput("run_dir: name the folder that holds the run (the playbooks take it from ops_run_dir).")
    found = []
    for run_dir in run_dirs:
        base = os.path.abspath(os.path.expanduser(run_dir))
        inside = os.path.join(base, run_id) if run_id else base
        folder = base if run_id and os.path.basename(base) == run_id and not os.path.isdir(inside) else inside
        if not os.path.isdir(folder):
            raise BadInput(f"run_dir: there is no run record at {folder}; check run_dir and run_id.")
        if folder not in found:
            found.append(folder)
    return found


def read_run(folders: Sequence[str]) -> Record:
    """All that the files of one run say; the folders of an AWX job's slices are joined.

    A line cut off by a kill is left out, and a last line so cut is noted in ``Record.torn``. Anything else that is not
    a header or a line raises :class:`RecordError`; a folder without a record raises :class:`BadInput`.
    """
    headers: list[Header] = []
    lines: dict[tuple[Any, ...], Line] = {}
    torn = set()
    for folder in folders:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".jsonl"))
        if not names:
            raise BadInput(f"run_dir: {folder} holds no run record (no *.jsonl file); check run_dir and run_id.")
        for name in names:
            rows, cut = _read_file(os.path.join(folder, name))
            if cut:
                torn.add(str(rows[0]["host"]) if rows else unquote(name[: -len(".jsonl")]))
            for row in rows:
                if row["schema"] in HEADERS:
                    headers.append(row)
                else:
                    # A slice's folder that was copied twice must not count twice.
                    lines.setdefault((row["run_id"], row["host"], row["seq"], row["started"]), row)
    if not headers:
        raise BadInput(f"run_dir: {folders[0]} holds no complete header line; the run was killed before it began.")
    return Record(tuple(headers), tuple(lines.values()), frozenset(torn), len(folders))


def _read_file(path: str) -> tuple[list[dict[str, Any]], bool]:
    """``(rows, cut)``: the header and lines of one file, and whether its last line was cut off."""
    with open(path, encoding="utf-8", errors="replace") as handle:
        texts = handle.read().split("\n")
    last = len(texts)
    if not texts[-1]:
        texts.pop()
    rows, cut = [], False
    for number, text in enumerate(texts, 1):
        row = _row(path, number, text)
        if row is None:
            cut = number == last
        else:
            rows.append(row)
    if any(row["schema"] in HEADERS for row in rows[1:]):
        raise RecordError(f"Failed to read {path}: it has a header that is not its first line.")
    return rows, cut


def _torn(text: str) -> bool:
    """Whether ``text`` is the beginning of a JSON object and no more: what is left of a write that did not finish."""
    depth, quoted, escaped = 0, False, False
    for mark in text:
        if quoted:
            quoted = escaped or mark != '"'
            escaped = mark == "\\" and not escaped
        elif mark == '"':
            quoted = True
        elif mark in "{[":
            depth += 1
        elif mark in "}]":
            depth -= 1
    return text.startswith("{") and (quoted or depth > 0)


def _row(path: str, number: int, text: str) -> Optional[dict[str, Any]]:
    """A header or a line; None for what a kill left of one."""
    where = f"Failed to read {path}: line {number}"
    try:
        row = json.loads(text)
    except ValueError as error:
        if _torn(text):
            return None
        raise RecordError(f"{where} is not JSON ({error}).") from error
    schema = row.get("schema") if isinstance(row, dict) else None
    if schema not in HEADERS | RECORDS:
        raise RecordError(f"{where} has the schema {schema!r}; known are {', '.join(sorted(HEADERS | RECORDS))}.")
    missing = [key for key in (HEADER_KEYS if schema in HEADERS else LINE_KEYS) if key not in row]
    if missing:
        raise RecordError(f"{where} lacks {', '.join(missing)}.")
    found: dict[str, Any] = row
    if schema in RECORDS:
        _harmless(found, suspect(text))
    return found


def _harmless(line: Line, doubtful: bool) -> None:
    """What other programs wrote into the line's texts is not passed on, nor is anything that is not flat."""
    for entries, texts, measures in (("checks", _CHECK_TEXTS, _EVIDENCE), ("actions", _ACTION_TEXTS, _MEASURES)):
        for entry in line[entries]:
            for key in measures:
                known = entry.get(key)
                if doubtful or not known or any(isinstance(value, (dict, list)) for value in known.values()):
                    entry[key] = flat(known)
            for key in texts if doubtful else ():
                entry[key] = scrub(entry[key]) if entry.get(key) else entry.get(key)
    error = line.get("error")
    if error:
        error["message"] = scrub(str(error.get("message") or ""))
