# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""May this run start work on this target now? Pure: from what was found to a verdict in one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.errors import Deferred, OpsError, Refused
from ansible_collections.day2.ops.plugins.module_utils._core.records import Action, CheckType

# What would keep a rehearsed run from starting.
OBSTACLE = CheckType("start_of_work")
FAILURES = ("failed", "unreachable", "bad_input")


@dataclass(frozen=True)
class Found:
    """``due``: actions that the rehearsal plans, ``deferred``: those that it leaves.

    ``window``: the decision of ``_window.windows.decide``.

    ``stop``: why the target or the fleet is stopped, or None. ``failed``: targets of this run that have failed.
    """

    due: int
    window: Mapping[str, Any]
    stop: Optional[str]
    failed: tuple[str, ...]
    max_failed: int
    deferred: int = 0


def obstacle(found: Found) -> Optional[OpsError]:
    """Why the work may not start, as the error to raise, or None. The order is that of what a person must do first."""
    if not found.due:
        return None
    if found.stop is not None:
        return Refused(f"Refused to start: a stop is set: {found.stop} Clear it in the store to run again.")
    if not found.window["open"]:
        return Refused(
            f"Refused to start: {found.window['reason']} "
            "Run it inside the window; if it cannot wait, set ops_override_reason, which is recorded."
        )
    if len(found.failed) >= found.max_failed:
        return Deferred(
            f"Left to another run: {len(found.failed)} of the targets before this one failed "
            f"({', '.join(found.failed[:5])}), and ops_max_failed is {found.max_failed}."
        )
    return None


def due_actions(lines: list[dict[str, Any]], status: str = "planned") -> list[Action]:
    """The actions that the rehearsal would carry out, or those that it ends with another status."""
    rehearsed = (action for line in lines if line.get("step") == "plan" for action in line["actions"])
    return [action for action in rehearsed if action["status"] == status]


def failed_targets(records: Mapping[str, list[dict[str, Any]]], but: str = "") -> tuple[str, ...]:
    """The hosts, but for one, whose work failed. A refusal or a stop speaks of the moment and does not count."""
    return tuple(
        sorted(
            host
            for host, lines in records.items()
            if host != but and any(line.get("failed") and line["error"]["kind"] in FAILURES for line in lines)
        )
    )
