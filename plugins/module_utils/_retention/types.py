# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of checks and actions of retention, with the units, evidence and measures they may hold."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils._core.records import ActionType, CheckType

# One per policy. The value: rows that are due.
DUE = CheckType(
    "postgresql_retention_due", "count", None,
    ("policy", "table", "cutoff", "held", "total", "bytes", "known", "partitions"),
)  # fmt: skip
# Rows that were read and then changed by somebody: they stay, and the next run looks at them again.
STAYED = CheckType("postgresql_retention_stayed", "count", "above", ("policy", "table", "chunks"))
# What earlier runs left: chunks that were closed now, and objects that belong to no deletion.
LEFT = CheckType("postgresql_retention_left", "count", "above", ("policy", "closed", "orphans", "swept", "adopted"))
# Rows of which the ledger says that they are archived, while the store does not have them.
MISSING = CheckType("postgresql_retention_missing", "count", "above", ("policy", "chunks", "store"))

_ROWS = (
    "policy", "policy_hash", "table", "cutoff", "seconds", "rate", "rows", "rows_deleted", "rows_stayed", "rows_held",
    "bytes", "bytes_archived", "chunks",
)  # fmt: skip
DELETE_ROWS = ActionType(
    "delete_rows", "maintain",
    (*_ROWS, "parts", "batches", "longest_batch_seconds", "paused_seconds", "braked_seconds", "braked_by", "archive"),
)  # fmt: skip
DROP_PARTITION = ActionType("drop_partition", "maintain", (*_ROWS, "partition", "upper", "pending", "archive"))
# Where store and ledger differ, and somebody said which is right.
DELETE_AGAIN = ActionType(
    "delete_rows_again", "maintain",
    ("policy", "table", "chunk", "rows", "rows_deleted", "rows_stayed", "seconds", "bytes"),
)  # fmt: skip
VOID_ARCHIVE = ActionType("void_archive", "protect", ("policy", "table", "chunk", "rows"))
DELETE_ARCHIVE = ActionType(
    "delete_archive", "protect", ("policy", "table", "chunk", "chunks", "rows", "bytes", "taken")
)
RESTORE_ROWS = ActionType(
    "restore_rows", "maintain", ("policy", "table", "chunk", "chunks", "rows", "rows_skipped", "seconds", "bytes")
)
