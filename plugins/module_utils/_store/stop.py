# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop orders: an object in the store that says of one target, or of all, that work has to stop."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, StoreError
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store, check_key, find, from_json, to_json
from ansible_collections.day2.ops.plugins.module_utils._store.lease import target_name

STOPS = "v1/stop/"
FLEET = "_all"


@dataclass(frozen=True)
class StopOrder:
    """``scope`` is the target or ``_all``; ``until`` is None for an order without an end."""

    scope: str
    reason: str
    until: Optional[datetime] = None
    by: str = ""


def read_stop(store: Store, target: str, now: datetime) -> Optional[StopOrder]:
    """The order that stops ``target`` now: its own, else the fleet's. JSON ``{reason, until?, by?}`` or plain text."""
    for scope in (target_name(target), FLEET):
        got = find(store, f"{STOPS}{scope}")
        order = _order(scope, got.data) if got is not None else None
        if order is not None and (order.until is None or order.until > now):
            return order
    return None


def put_stop(store: Store, target: str, reason: str, until: Optional[datetime] = None, by: str = "") -> None:
    """Order ``target`` (or ``_all``) to stop."""
    order = {"reason": reason, "by": by, "until": clock.iso(until) if until else None}
    store.put(_stop_key(target), to_json(order))


def clear_stop(store: Store, target: str) -> None:
    store.delete(_stop_key(target))


def _stop_key(target: str) -> str:
    return check_key(f"{STOPS}{target if target == FLEET else target_name(target)}")


def _order(scope: str, data: bytes) -> StopOrder:
    """What cannot be understood stops all the same: somebody wrote it in a hurry."""
    text = data.decode(errors="replace").strip()
    try:
        value: dict[str, Any] = from_json(data, scope)
        until = clock.parse(str(value["until"])) if value.get("until") else None
    except (StoreError, BadInput):
        return StopOrder(scope, text or "no reason given")
    return StopOrder(scope, str(value.get("reason") or "no reason given"), until, str(value.get("by") or ""))
