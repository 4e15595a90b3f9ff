# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Findings of foreign collections, brought into the shape of the records."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._core.records import Action, ActionType, Check, CheckType


def foreign_checks(given: Sequence[Mapping[str, Any]]) -> list[Check]:
    """Checks from the options of module ``record``; a missing status follows from the value."""
    found = []
    for entry in given:
        kind = CheckType(entry["check"], entry["unit"], entry["bad"])
        rest = {name: entry[name] for name in ("warn", "crit", "summary", "advice", "status")}
        found.append(kind(entry["subject"], entry["value"], **rest))
    return found


def foreign_actions(given: Sequence[Mapping[str, Any]]) -> list[Action]:
    """Actions from the options of module ``record``."""
    for number, entry in enumerate(given):
        if not entry["reason"]:
            raise BadInput(f"actions[{number}].reason: is empty; say why {entry['action']} was done or left.")
    kinds = ((ActionType(entry["action"], entry["risk"]), entry) for entry in given)
    return [kind.plan(entry["subject"], entry["reason"], status=entry["status"]) for kind, entry in kinds]
