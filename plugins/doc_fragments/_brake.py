# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PRIVATE to the collection: the load at which a module that puts load on a server holds back."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  brake:
    description:
      - Load at which nothing new is begun. At twice the given waiting sessions and lag, running work is cancelled.
    type: dict
    suboptions:
      blocked_sessions:
        description: So many sessions wait for locks.
        type: int
        default: 20
      replica_lag:
        description: A replica is so many seconds behind.
        type: float
        default: 60
      replica_lag_bytes:
        description: A replica is so many bytes behind.
        type: int
        default: 1073741824
      disk_capacity_bytes:
        description: The size of the server's disk, which the server cannot tell.
        type: int
      disk_free_bytes:
        description: At least so much of the disk must be free. Needs O(brake.disk_capacity_bytes).
        type: int
      wait:
        description: How many seconds to wait for the load to pass before an action is left for the next run.
        type: float
        default: 60
      required:
        description: Whether lag or disk that cannot be read count as too much.
        type: bool
        default: false
"""
