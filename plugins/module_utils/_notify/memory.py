# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each channel was given: one object per channel in the store, and what became of it beside the run's record.

The object is changed by conditional puts alone, so of two who send the same run one is first, and the other sees it.
Its schema is ``docs/schemas/notices-1.json``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Optional, TypeVar

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import StoreError
from ansible_collections.day2.ops.plugins.module_utils._core.files import replace_file
from ansible_collections.day2.ops.plugins.module_utils._notify.plan import Decision, Notice, Sent
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store, change_json, find, from_json
from ansible_collections.day2.ops.plugins.module_utils._store.history import PREFIX

SCHEMA = "day2.ops/notices/1"
FILE = "notices.json"
# What is remembered besides the last notice of each playbook and set of targets: enough for the hourly limit, and to
# know a run again that is reported on once more.
KEEP = timedelta(days=7)
MOST = 1000

Decide = Callable[[Sequence[Sent]], Decision]
T = TypeVar("T")


def memory_key(channel: str) -> str:
    """Targets begin with a letter or digit, so this folder can be none."""
    return f"{PREFIX}_notices/{channel}.json"


def read(store: Store, channel: str) -> list[Sent]:
    """What the channel was given, oldest first."""
    key = memory_key(channel)
    got = find(store, key)
    return _known(store, key, from_json(got.data, f"{store.location}/{key}") if got else None)


def claim(store: Store, channel: str, notice: Notice, now: datetime, decide: Decide) -> Decision:
    """The decision; when it is to send, the notice is claimed, and nobody else will send it."""

    def add(known: list[Sent]) -> tuple[list[Sent], Decision]:
        decision = decide(known)
        mine = Sent(notice.run_id, now, notice.key, notice.state, notice.status, bool(notice.bad), False)
        return ([*known, mine] if decision.send else known), decision

    return _change(store, channel, now, add)


def settle(store: Store, channel: str, notice: Notice, now: datetime, *, done: bool) -> None:
    """The claimed notice was given; or, not ``done``, it was not, and whoever comes next may try."""

    def mark(known: list[Sent]) -> tuple[list[Sent], None]:
        mine = [one.run_id == notice.run_id and one.key == notice.key for one in known]
        kept = [replace(one, done=True) if own else one for one, own in zip(known, mine) if done or not own]
        return kept, None

    _change(store, channel, now, mark)


def _change(store: Store, channel: str, now: datetime, change: Callable[[list[Sent]], tuple[list[Sent], T]]) -> T:
    key, answers = memory_key(channel), []

    def changed(old: Optional[dict[str, Any]]) -> Optional[dict[str, Any]]:
        known = _known(store, key, old)
        wanted, answer = change(known)
        answers.append(answer)
        if wanted == known:
            return None
        entries = [{**vars(one), "at": clock.iso(one.at)} for one in _kept(wanted, now)]
        return {"schema": SCHEMA, "channel": channel, "sent": entries}

    change_json(store, key, changed)
    return answers[-1]


def _kept(known: Iterable[Sent], now: datetime) -> list[Sent]:
    last: dict[str, Sent] = {}
    ordered = sorted(known, key=lambda one: one.at)
    for one in ordered:
        if one.done:
            last[one.key] = one
    return [one for one in ordered if last.get(one.key) is one or now - one.at < KEEP][-MOST:]


def _known(store: Store, key: str, value: Optional[dict[str, Any]]) -> list[Sent]:
    if not value:
        return []
    if value.get("schema") != SCHEMA:
        raise StoreError(
            f"Failed to read {store.location}/{key}: this version does not understand what was sent; move it away."
        )
    return [Sent(**{**one, "at": clock.parse(one["at"])}) for one in value["sent"]]


def leave(folder: str, told: Sequence[dict[str, Any]]) -> None:
    """Write what became of each channel beside the run's record, for the report."""
    whole = {"schema": SCHEMA, "notices": list(told)}
    replace_file(os.path.join(folder, FILE), json.dumps(whole, indent=1).encode())


def failures(folders: Iterable[str]) -> list[str]:
    """A sentence for each channel that was not reached, from what :func:`leave` left in these folders."""
    found = []
    for folder in folders:
        try:
            with open(os.path.join(folder, FILE), encoding="utf-8") as left:
                notices = json.load(left)["notices"]
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError):
            found.append(f"What became of the notices cannot be read from {FILE}.")
            continue
        found += unreached(notices)
    return found


def unreached(told: Iterable[dict[str, Any]]) -> list[str]:
    """A sentence for each channel that was not reached."""
    return [f"The notice did not reach {one['channel']}: {one['reason']}" for one in told if one["status"] == "failed"]
