# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings on many objects of one kind, bounded: the worst ones by name, and how many more there are. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.records import Check, CheckType, judge, rank
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote

# So many subjects of a check stand by themselves; the page stays readable, and nothing is kept quiet.
SHOWN = 5
# Seconds since the statistics of ``d`` (pg_stat_database) began, or since the server (``w``, pg_stat_wal) lost all.
STATISTICS_AGE = "extract(epoch FROM now() - greatest(d.stats_reset, w.stats_reset))::float8"


@dataclass(frozen=True)
class Finding:
    """One object. ``status`` only where no number tells it; ``weight`` orders those that are equally bad."""

    subject: str
    value: Optional[float]
    summary: str
    advice: str = ""
    status: Optional[str] = None
    weight: float = 0.0
    evidence: Mapping[str, Any] = field(default_factory=dict)


def bounded(
    kind: CheckType, limit: Mapping[str, Any], whole: str, found: Sequence[Finding], fine: str, what: str = "more"
) -> list[Check]:
    """A check for each of the worst that are not fine, and one on ``whole``, which is always there: that all is fine,
    or how it stands with the others. Its value is the worst of what stands under no other subject."""
    bad: list[tuple[str, Finding]] = []
    good: list[Finding] = []
    for one in found:
        status = one.status or judge(one.value, limit.get("warn"), limit.get("crit"), kind.bad)
        if status == "ok":
            good.append(one)
        else:
            bad.append((status, one))
    sign = -1 if kind.bad == "below" else 1
    bad.sort(key=lambda pair: (-rank(pair[0]), -sign * (pair[1].value or 0), -pair[1].weight, pair[1].subject))
    checks = [
        kind(one.subject, one.value, **limit, summary=one.summary, advice=one.advice, status=status, **one.evidence)
        for status, one in bad[:SHOWN]
    ]
    rest = bad[SHOWN:]
    if rest:
        status, worst = rest[0]
        text = f"And {len(rest)} {what} like these, the worst of them: {worst.summary}"
        checks.append(kind(whole, worst.value, **limit, summary=text, advice=worst.advice, status=status))
        return checks
    values = [one.value for one in good if one.value is not None]
    value = (max(values) if sign > 0 else min(values)) if values else None
    text = "Nothing else is wrong here." if bad else fine
    return [*checks, kind(whole, value, **limit, summary=text, status="ok")]


def ask_for(grant: str, role: str) -> str:
    """The sentence that has an administrator give what is missing.

    >>> ask_for("pg_monitor", "Day 2")
    'Let an administrator run: GRANT pg_monitor TO "Day 2";'
    """
    return f"Let an administrator run: GRANT {grant} TO {quote(role)};"
