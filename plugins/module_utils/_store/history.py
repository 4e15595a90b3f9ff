# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs on a target leave to the next ones: one small object in the store, ``v1/history/<target_id>.json``.

Its schema is ``docs/schemas/history-1.json``. Keys that this version does not know are kept as they are.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.errors import StoreError
from ansible_collections.day2.ops.plugins.module_utils._store.base import (
    Store,
    change_json,
    check_key,
    find,
    from_json,
)
from ansible_collections.day2.ops.plugins.module_utils._store.lease import target_name

PREFIX = "v1/history/"
SCHEMA = "day2.ops/history/1"
# What the report alone reads, and no plan: it may be large.
FOR_REPORTS = ("checks", "trends")
# What the schema asks of every history.
_EMPTY: dict[str, Any] = {"throughput": {}, "deferred": {}, "raised": {}, "bytes_per_row": {}, "outcomes": []}


def history_key(target: str) -> str:
    return check_key(f"{PREFIX}{target_name(target)}.json")


def read_history(store: Store, target: str) -> dict[str, Any]:
    """What is known of a target, empty when nothing is; :class:`StoreError` for what this version cannot read."""
    key = history_key(target)
    got = find(store, key)
    return _known(store, key, from_json(got.data, f"{store.location}/{key}") if got else None)


def change_history(store: Store, target: str, change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
    """Write what ``change`` makes of the history, unless somebody else wrote meanwhile: then it is asked again."""
    key = history_key(target)
    change_json(store, key, lambda old: document(target, change(_known(store, key, old))))


def document(target: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """The object as its schema wants it."""
    return {**_EMPTY, **value, "schema": SCHEMA, "target": target}


def _known(store: Store, key: str, value: Optional[dict[str, Any]]) -> dict[str, Any]:
    if value and value.get("schema") != SCHEMA:
        raise StoreError(
            f"Failed to read {store.location}/{key}: this is not a history that this version understands; move it away."
        )
    return value or {}
