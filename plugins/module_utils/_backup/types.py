# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of checks and actions of backups, with the units, evidence and measures they may hold."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils._core import brake
from ansible_collections.day2.ops.plugins.module_utils._core.records import ActionType, CheckType

BACKUP_AGE = CheckType("postgresql_backup_age", "seconds", "above", ("set", "taken", "source"))
VERIFIED_AGE = CheckType("postgresql_backup_verified_age", "seconds", "above", ("set", "verified"))
SETS = CheckType("postgresql_backup_sets", "count", None, ("bytes", "verified", "refuted", "unfinished"))

BACKUP = ActionType(
    "backup", "protect",
    ("set", "seconds", "bytes", "logical_bytes", "tables", "rows", "encryption", "snapshot_seconds",
     *brake.MEASURES),
)  # fmt: skip
DELETE_BACKUP = ActionType("delete_backup", "protect", ("bytes", "taken"))

# What a verification finds. The subject is the target, so that values can be followed from set to set.
RESTORED = CheckType("postgresql_backup_restored", "", None, ("set", "taken", "verified", "server", "tables", "rows"))
ROWS = CheckType("postgresql_backup_rows", "count", "above", ("tables", "rows", "differing"))
STRUCTURE = CheckType(
    "postgresql_backup_structure", "count", "above", ("objects", "differing", "left_out", "owners", "comparable")
)
EXTENSIONS = CheckType("postgresql_backup_extensions", "count", "above", ("extensions", "differing"))
COLLATIONS = CheckType("postgresql_backup_collations", "count", "above", ("collations", "differing"))
SEQUENCES = CheckType("postgresql_backup_sequences", "count", "above", ("sequences", "differing"))
LARGE_OBJECTS = CheckType("postgresql_backup_large_objects", "count", None, ("expected",))
ASSERTIONS = CheckType("postgresql_backup_assertions", "count", "above", ("assertions", "failing"))
RESTORE_SECONDS = CheckType("postgresql_backup_restore_seconds", "seconds", "above", ("set", "previous"))
DATA_AGE = CheckType("postgresql_backup_data_age", "seconds", "above", ("set", "taken", "previous"))
ISOLATION = CheckType("postgresql_backup_isolation", "count", "above", ("network", "left_out", "reaching"))

VERIFY_BACKUP = ActionType(
    "verify_backup", "protect",
    ("taken", "seconds", "restore_seconds", "data_age_seconds", "bytes", "tables", "rows", "server", "verified",
     *brake.MEASURES),
)  # fmt: skip
