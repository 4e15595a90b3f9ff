# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find: the tables of the policies, the rows that are due, and what stands against deleting them."""

from __future__ import annotations

from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Found, Policy


def find(run: Run, session: Session, policies: Sequence[Policy]) -> list[Found]:
    """What each policy finds, in the order of the policies. ``session`` only reads.

    Raises BadInput (a table, column or condition that cannot be meant), Refused (a grant is missing).
    """
    raise NotImplementedError
