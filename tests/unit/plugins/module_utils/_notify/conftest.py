# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._notify.plan import Notice, Sent, Verdict

NOW = clock.parse("2026-12-06T12:00:00Z")


def notice(status: str = "failed", run: str = "r1", lines: tuple[str, ...] = (), **more: Any) -> Notice:
    """A run on two targets, of which ``orders`` has the run's status."""
    bad = status not in ("ok", "deferred")
    targets = {"orders": Verdict(status, bad, "The disk is full." if bad else ""), "billing": Verdict("ok", False, "")}
    given: dict[str, Any] = {"targets": targets, "links": {"html": "/var/lib/day2/r1/report.html"}, **more}
    return Notice(run, "monthly-maintenance", status, lines or ("Monthly maintenance, run r1: it ended.",), **given)


def many(number: int, why: str = "The disk is full.") -> Mapping[str, Verdict]:
    return {f"db{one:03}": Verdict("failed", True, why) for one in range(number)}


def sent(of: Notice, hours_ago: float, *, done: bool = True, run: str = "r0") -> Sent:
    at: datetime = NOW - timedelta(hours=hours_ago)
    return Sent(run, at, of.key, of.state, of.status, bool(of.bad), done)
