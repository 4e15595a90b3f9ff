# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The brake: measured load, judged against limits. Pure; each domain reads its own signals.

A signal is a number or None (could not be read). What could not be read does not block, unless its limit says so, but
it is always told: nobody should believe a brake that saw nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping, Optional, Sequence

GO, WAIT, STOP = "go", "wait", "stop"


@dataclass(frozen=True)
class Limit:
    """At ``wait`` nothing new begins, at ``stop`` what runs is cancelled; None never does. ``text`` words a finding.

    ``text`` is filled with ``value`` and ``limit``: "replicas are {value:.0f} s behind (limit {limit:.0f} s)".
    """

    signal: str
    text: str
    wait: Optional[float] = None
    stop: Optional[float] = None
    bad: str = "above"
    required: bool = False


@dataclass(frozen=True)
class Verdict:
    word: str
    reason: str = ""
    unknown: tuple[str, ...] = field(default_factory=tuple)


def judge_brake(signals: Mapping[str, Optional[float]], limits: Sequence[Limit]) -> Verdict:
    """The worst word over all limits, the reason for it, and the names of the signals that could not be read.

    >>> judge_brake({"lag": 90.0}, [Limit("lag", "{value:.0f} s behind (limit {limit:.0f} s)", wait=60)])
    Verdict(word='wait', reason='90 s behind (limit 60 s)', unknown=())
    """
    word, reason = GO, ""
    unknown: list[str] = []
    for limit in limits:
        value = signals.get(limit.signal)
        if limit.wait is None and limit.stop is None:
            continue
        if value is None:
            unknown.append(limit.signal)
            if limit.required and word == GO:
                word, reason = WAIT, f"{limit.signal} could not be read"
            continue
        for said, bound in ((STOP, limit.stop), (WAIT, limit.wait)):
            if bound is not None and reached(value, bound, limit.bad):
                if (said == STOP and word != STOP) or word == GO:
                    word, reason = said, limit.text.format(value=value, limit=bound)
                break
    return Verdict(word, reason, tuple(unknown))


def reached(value: float, bound: float, bad: str) -> bool:
    return value >= bound if bad == "above" else value <= bound
