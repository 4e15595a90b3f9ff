# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs on a target leave to the next ones: one small object in the store, ``v1/history/<target_id>.json``.

Its schema is ``docs/schemas/history-1.json``. Keys that this version does not know are kept as they are.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.errors import StoreConflict, StoreError
from ansible_collections.day2.ops.plugins.module_utils._store.base import (
    Got,
    Store,
    check_key,
    find,
    from_json,
)
from ansible_collections.day2.ops.plugins.module_utils._store.lease import target_name

PREFIX = "v1/history/"
SCHEMA = "day2.ops/history/1"
# What the report alone reads, and no plan: it may be large.
FOR_REPORTS = ("checks", "trends")
# Two runs on one target exclude each other; those without a lease may still meet here.
TRIES = 5


def history_key(target: str) -> str:
    return check_key(f"{PREFIX}{target_name(target)}.json")


def read_history(store: Store, target: str) -> dict[str, Any]:
    """What is known of a target, empty when nothing is; :class:`StoreError` for what this version cannot read."""
    key = history_key(target)
    return _value(store, key, find(store, key))


def change_history(store: Store, target: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Write what ``change`` makes of the history, unless somebody else wrote meanwhile: then it is asked again."""
    key = history_key(target)
    for _try in range(TRIES):
        got = find(store, key)
        value = {**change(_value(store, key, got)), "schema": SCHEMA, "target": target}
        # Without indentation: it holds many small points, and what is read back is 1 MiB at most.
        data = json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"
        try:
            if got is None:
                store.put(key, data, if_none_match=True)
            else:
                store.put(key, data, if_match=got.etag)
        except StoreConflict:
            continue
        return value
    raise StoreError(f"Failed to write {store.location}/{key}: it changes under our hands.")


def _value(store: Store, key: str, got: Optional[Got]) -> dict[str, Any]:
    if got is None:
        return {}
    value = from_json(got.data, f"{store.location}/{key}")
    if value.get("schema") != SCHEMA:
        raise StoreError(
            f"Failed to read {store.location}/{key}: this is not a history that this version understands; move it away."
        )
    return value
