# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PRIVATE to the collection: how heavy work shares a server with that of other runs."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  server_slots:
    description: How many runs may do heavy work on one server at a time, over all its databases.
    type: int
    default: 1
  slot_wait:
    description: How many seconds to wait for such a slot before heavy work is left for the next run.
    type: float
    default: 60
"""
