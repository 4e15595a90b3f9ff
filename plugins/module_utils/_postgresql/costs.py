# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an action takes: seconds, from learnt bytes per second, and bytes of disk. Pure."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import Index, State, Table

# A rebuild keeps the old index until the new one is valid, and sorts on disk.
COPY_ROOM = 1.1


def vacuum_seconds(table: Table, state: State) -> float:
    """Pages known to be clean are not read; indexes are, once there are rows to remove."""
    unclean = max(0.0, 1 - table.visible_pages / table.pages) if table.pages else 1.0
    read = table.bytes * unclean + table.toast_bytes * unclean + (table.index_bytes if table.dead else 0)
    return 0.1 + read / state.rates["vacuum"]


def analyze_seconds(table: Table, state: State) -> float:
    return 0.1 + min(table.bytes, 30_000 * 8192) / state.rates["analyze"]


def reindex_seconds(index: Index, table: Table, state: State) -> float:
    """The table is read twice (build and validation, or the check of a constraint), the index is written once."""
    return 0.2 + (2 * (table.toast_bytes if index.toast else table.bytes) + index.bytes) / state.rates["reindex"]


def copy_bytes(index: Index) -> int:
    return int(index.bytes * COPY_ROOM)
