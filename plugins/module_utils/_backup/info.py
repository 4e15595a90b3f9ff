# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue, looked at: for the module, the gate and the lookup."""

from __future__ import annotations

from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._backup import catalogue, plan
from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store

MONTH = 31 * 86400.0


def options() -> ArgumentSpec:
    return ArgumentSpec(
        {
            "max_age": {"type": "float", "default": plan.Policy().max_age},
            "max_verified_age": {"type": "float", "default": MONTH},
        }
    )


def look(run: Run) -> Result:
    """The work of module ``postgresql_backup_info``."""
    store = open_store(run.params, read_only=True, deadline=run.deadline)
    sets = catalogue.read_all(store, run.target)
    now = clock.now()
    return {
        "checks": [
            plan.check_age(sets, now, run.params["max_age"]),
            plan.check_verified(sets, now, run.params["max_verified_age"]),
            plan.check_sets(sets),
        ],
        "actions": [],
        "sets": [told(each) for each in reversed(sets) if each.complete],
    }


def told(each: catalogue.BackupSet) -> dict[str, Any]:
    """A set, for people and playbooks."""
    verified: Optional[str] = clock.iso(each.verified_at) if each.verified_at else None
    return {
        "id": each.id,
        "taken": clock.iso(each.taken),
        "bytes": each.size,
        "verified": each.verified,
        "verified_at": verified,
    }
