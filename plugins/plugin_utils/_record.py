# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PRIVATE to the collection: the run record on the controller, one file of JSON lines per target.

Written to ``<ops_run_dir>/<run_id>/<host>.jsonl``: a header line, then one line per task result (schemas in
``docs/schemas``). A line is an allow-list: never the invocation, a diff, or what ``no_log`` hides.
"""

from __future__ import annotations

import json
import os
import secrets
from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.records import ACTION_KEYS, CHECK_KEYS
from ansible_collections.day2.ops.plugins.module_utils._core.scrub import scrub
from ansible_collections.day2.ops.plugins.module_utils._run.folder import record_path

RECORD_SCHEMA = "day2.ops/record/1"
HEADER_SCHEMA = "day2.ops/header/1"


def new_run_id(scratch: str) -> str:
    """Time and a little randomness, one for all workers of a controller process.

    ``scratch`` is the controller's own temporary folder: made at its start, removed at its end.
    """
    path = os.path.join(scratch, "day2-run-id")
    mine = f"{path}.{secrets.token_hex(4)}"
    with open(mine, "w", encoding="utf-8") as out:
        out.write(f"{clock.now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}")
    try:
        os.link(mine, path)  # the first worker decides
    except FileExistsError:
        pass
    finally:
        os.unlink(mine)
    with open(path, encoding="utf-8") as known:
        return known.read()


def append(folder: str, host: str, line: Mapping[str, Any]) -> None:
    """Add one line: numbered, in one write, on disk when this returns. The folder is readable by its owner only."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = record_path(folder, host)
    known = _read(path)
    start = b"\n" if known and not known.endswith(b"\n") else b""  # what a killed writer left stays its own line
    numbered = {**line, "seq": known.count(b"\n") + len(start)}
    data = start + json.dumps(numbered, separators=(",", ":"), default=str).encode() + b"\n"
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as known:
            return known.read()
    except FileNotFoundError:
        return b""


def has_header(folder: str, host: str) -> bool:
    return bool(_read(record_path(folder, host)))


def line_of(result: Mapping[str, Any], about: Mapping[str, Any], hidden: bool) -> dict[str, Any]:
    """The record line of a task result. ``about`` holds the keys that the task knows; ``hidden`` is its no_log."""
    failed = bool(result.get("failed") or result.get("error"))
    return {
        "schema": RECORD_SCHEMA,
        **about,
        "failed": failed,
        "changed": bool(result.get("changed")),
        "error": _error(result, hidden) if failed else None,
        "checks": [] if hidden else [_only(check, CHECK_KEYS) for check in result.get("checks") or []],
        "actions": [] if hidden else [_action(action) for action in result.get("actions") or []],
    }


def _only(entry: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: entry.get(key) for key in keys}


def _action(action: Mapping[str, Any]) -> dict[str, Any]:
    """Its error is what a server or a library said, and may quote what nobody else should read."""
    kept = _only(action, ACTION_KEYS)
    return {**kept, "error": scrub(kept["error"])} if kept["error"] else kept


def _error(result: Mapping[str, Any], hidden: bool) -> dict[str, str]:
    said: Optional[Mapping[str, Any]] = result.get("error")
    if not isinstance(said, Mapping):  # the module did not get as far as saying it in our way
        said = {"kind": "failed", "message": result.get("msg") or "The module gave no reason."}
    return {"kind": str(said["kind"]), "message": "hidden by no_log" if hidden else scrub(str(said["message"]))}
