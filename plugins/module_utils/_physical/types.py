# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of checks and actions of backups that are copies of a whole server, with its WAL archive."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils._core.records import ActionType, CheckType

ENGINE = CheckType("postgresql_backup_engine", "count", "above", ("source", "version", "failed"))
FULL_AGE = CheckType(
    "postgresql_full_backup_age", "seconds", "above", ("set", "taken", "earliest_restorable", "retention_days")
)
WAL_AGE = CheckType(
    "postgresql_wal_archive_age", "seconds", "above",
    ("newest", "pending_bytes", "archived", "archive_timeout", "failed_wal"),
)  # fmt: skip
STOP_POINT = CheckType(
    "postgresql_pitr_stop_point", "seconds", "above",
    ("target", "last_transaction", "next_transaction", "set", "timeline", "state"),
)  # fmt: skip
PITR_SECONDS = CheckType("postgresql_pitr_seconds", "seconds", "above", ("restore_seconds", "replay_seconds", "bytes"))

BACKUP = ActionType(
    "backup", "protect", ("type", "set", "seconds", "bytes", "repository_bytes", "age_seconds")
)  # fmt: skip
EXPIRE = ActionType("expire_backups", "protect", ("sets", "removed"))
RESTORE = ActionType(
    "restore", "protect",
    ("set", "bytes", "seconds", "delta", "files", "files_kept", "bytes_copied", "backup_age_seconds"),
)  # fmt: skip
REPLAY = ActionType("replay", "protect", ("seconds", "target", "last_transaction", "timeline", "port"))
START = ActionType("start_copy", "protect", ("port",))
STOP = ActionType("stop_copy", "protect", ("port",))
REMOVE = ActionType("remove_copy", "protect", ("bytes",))
