# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The check of a maintenance window: the decision as the report shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check, CheckType

WINDOW = CheckType(
    "maintenance_window",
    unit="seconds",
    bad="below",
    evidence=(
        "environment", "window", "opens", "closes", "deadline",
        "next_window", "next_opens", "frozen_by", "override_reason",
    ),
)  # fmt: skip


def window_check(decision: Mapping[str, Any], now: datetime) -> Check:
    """One per risk class; the value is the time left for work. Closed, and open by override, are ``warn``: a closed
    window is no defect, but whoever reads the report should know why nothing was done, or why something was."""
    deadline: Optional[str] = decision["deadline"]
    window, coming = decision["window"] or {}, decision["next"] or {}
    left = (clock.parse(deadline) - now).total_seconds() if deadline else None if decision["open"] else 0
    regular = decision["open"] and not decision["override_reason"]
    return WINDOW(
        decision["risk"],
        left,
        status="ok" if regular else "warn",
        summary=decision["reason"],
        advice=_advice(decision),
        environment=decision["environment"],
        window=window.get("name"),
        opens=window.get("opens"),
        closes=window.get("closes"),
        deadline=deadline,
        next_window=coming.get("name"),
        next_opens=coming.get("opens"),
        frozen_by=decision["frozen_by"],
        override_reason=decision["override_reason"],
    )


def _advice(decision: Mapping[str, Any]) -> str:
    if decision["override_reason"]:
        return "Remove ops_override_reason when the exception is over."
    if decision["next"]:
        return "Run it in the next window; if it cannot wait, set ops_override_reason, which is recorded."
    return "Define a window in ops_windows; if it cannot wait, set ops_override_reason, which is recorded."
