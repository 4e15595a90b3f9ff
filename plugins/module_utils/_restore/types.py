# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of checks and actions of a restore, with the units, evidence and measures they may hold."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils._core import brake
from ansible_collections.day2.ops.plugins.module_utils._core.records import ActionType, CheckType

LOST_ROWS = CheckType("postgresql_rows_lost", "count", "above", ("live_rows", "set_rows"))
DISCARDED_ROWS = CheckType("postgresql_rows_discarded", "count", "above", ("inserted", "updated", "deleted"))
SESSIONS = CheckType("postgresql_sessions", "count", "above", ("database", "names"))
SPACE = CheckType("postgresql_restore_space", "bytes", "below", ("needed",))
RESCUED_ROWS = CheckType("postgresql_rescued_rows", "count", None, ("set_rows",))
LEFT_OUT = CheckType("postgresql_restore_left_out", "count", "above")

DROP_INCOMPLETE = ActionType("drop_incomplete_restore", "maintain", ("set",))
_RESTORED = ("set", "taken", "seconds", "tables", "rows", "bytes", "warnings", *brake.MEASURES)
RESTORE = ActionType("restore_database", "maintain", _RESTORED)
RESCUE = ActionType("rescue_tables", "maintain", _RESTORED)
OPEN = ActionType("open_database", "maintain", ("role",))
_SWAPPED = (
    "set", "taken", "span_seconds", "rows_lost", "tables_losing", "sessions", "sessions_terminated", "closed_seconds",
    "old",
)  # fmt: skip
SWAP = ActionType("swap_databases", "disrupt", _SWAPPED)
ROLL_BACK = ActionType("roll_back_databases", "disrupt", (*_SWAPPED, "rows_discarded", "discarded"))
DROP_DATABASE = ActionType("drop_database", "disrupt", ("role", "set", "bytes"))
