# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of checks and actions of backups, with the units, evidence and measures they may hold."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils._core.records import ActionType, CheckType

BACKUP_AGE = CheckType("postgresql_backup_age", "seconds", "above", ("set", "taken", "source"))
VERIFIED_AGE = CheckType("postgresql_backup_verified_age", "seconds", "above", ("set", "verified"))
SETS = CheckType("postgresql_backup_sets", "count", None, ("bytes", "verified", "refuted", "unfinished"))

BACKUP = ActionType(
    "backup", "protect",
    ("set", "seconds", "bytes", "logical_bytes", "tables", "rows", "encryption", "snapshot_seconds"),
)  # fmt: skip
DELETE_BACKUP = ActionType("delete_backup", "protect", ("bytes", "taken"))
