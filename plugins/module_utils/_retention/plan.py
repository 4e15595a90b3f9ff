# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan: what goes, why, in which order; or why not. Pure: no connection, no clock, no file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.records import Action
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Found, Partition


@dataclass
class Step:
    """An action with what it needs to be carried out; ``partition`` for those that drop one."""

    action: Action
    found: Found
    partition: Optional[Partition] = None

    @property
    def kind(self) -> str:
        return str(self.action["action"])

    @property
    def seconds(self) -> float:
        return float(self.action["predicted"].get("seconds") or 0.0)


def plan(
    found: Sequence[Found], left: Optional[float], approved: Callable[[Action], bool], check_mode: bool
) -> list[Step]:
    """The steps in the order in which they run: tables that reference others first, partitions before rows.

    ``left``: seconds until the deadline. Raises :class:`Refused`, with all reasons, where an obstacle was not accepted
    or a policy has not run here as it is and no approved plan says that it may; in check mode the latter is only told.
    """
    raise NotImplementedError


def summarize(found: Sequence[Found], steps: Sequence[Step]) -> str:
    """One sentence on what was measured and what follows."""
    raise NotImplementedError
