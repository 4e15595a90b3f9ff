# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The brake: measured load, judged against limits. Pure; each domain reads its own signals.

A signal that could not be read is unknown, and unknown is not fine: it holds work back, unless its limit does not
require it. It is always told: nobody should believe a brake that saw nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping, Optional, Sequence

GO, WAIT, STOP = "go", "wait", "stop"
# What an action's after may say of the brake, in seconds and words; the types of actions that it holds declare them.
MEASURES = ("braked_seconds", "braked_by", "unread_signals")
_RANK = {GO: 0, WAIT: 1, STOP: 2}


@dataclass(frozen=True)
class Signal:
    """A reading. ``who`` is what the number is of, such as a replica's name.

    Without a value, ``why`` says what was in the way and what helps; ``lasting`` that waiting does not.
    """

    value: Optional[float]
    who: str = ""
    why: str = ""
    lasting: bool = False


NOT_READ = Signal(None, why="nothing has read it")


@dataclass(frozen=True)
class Limit:
    """At ``wait`` nothing new begins, at ``stop`` what runs is cancelled; None never does. ``text`` words a finding.

    ``text`` is filled with ``value``, ``limit`` and ``who``: "replica {who} is {value:.0f} s behind". ``what`` names
    the signal for people, where it could not be read: "the lag of replicas".
    """

    signal: str
    text: str
    wait: Optional[float] = None
    stop: Optional[float] = None
    bad: str = "above"
    required: bool = False
    what: str = ""


@dataclass(frozen=True)
class Verdict:
    """``signal`` is the one that decided; ``lasting``: what it lacks does not come by waiting."""

    word: str
    reason: str = ""
    unknown: tuple[str, ...] = field(default_factory=tuple)
    signal: str = ""
    lasting: bool = False


def judge_brake(signals: Mapping[str, Signal], limits: Sequence[Limit]) -> Verdict:
    """The worst word over all limits, the reason for it, and the names of the signals that could not be read.

    >>> judge_brake({"lag": Signal(90.0)}, [Limit("lag", "{value:.0f} s behind (limit {limit:.0f} s)", wait=60)])
    Verdict(word='wait', reason='90 s behind (limit 60 s)', unknown=(), signal='lag', lasting=False)
    """
    worst = Verdict(GO)
    unknown: list[str] = []
    for limit in limits:
        if limit.wait is None and limit.stop is None:
            continue
        signal = signals.get(limit.signal, NOT_READ)
        if signal.value is None:
            unknown.append(limit.signal)
        found = _judge(signal, limit)
        # Of two that say the same, the one that no waiting mends is the one to tell.
        if (_RANK[found.word], found.lasting) > (_RANK[worst.word], worst.lasting):
            worst = found
    return Verdict(worst.word, worst.reason, tuple(unknown), worst.signal, worst.lasting)


def _judge(signal: Signal, limit: Limit) -> Verdict:
    if signal.value is None:
        if not limit.required:
            return Verdict(GO)
        reason = f"{limit.what or limit.signal} could not be read: {signal.why}"
        return Verdict(WAIT if limit.stop is None else STOP, reason, (), limit.signal, signal.lasting)
    for word, bound in ((STOP, limit.stop), (WAIT, limit.wait)):
        if bound is not None and reached(signal.value, bound, limit.bad):
            reason = limit.text.format(value=signal.value, limit=bound, who=signal.who)
            return Verdict(word, reason, (), limit.signal)
    return Verdict(GO)


def reached(value: float, bound: float, bad: str) -> bool:
    return value >= bound if bad == "above" else value <= bound


def pace(signals: Mapping[str, Signal], limits: Sequence[Limit]) -> float:
    """How fast work may go: 1.0 while every signal is well away from its limit, falling to 0.0 where one reaches it.

    Half of a limit is well away, for what must stay above one its double. A required signal that is unknown is at it.

    >>> pace({"lag": Signal(45.0)}, [Limit("lag", "", wait=60)])
    0.5
    """
    return min((_room(signals.get(limit.signal, NOT_READ), limit) for limit in limits), default=1.0)


def _room(signal: Signal, limit: Limit) -> float:
    bound = limit.wait if limit.wait is not None else limit.stop
    if bound is None:
        return 1.0
    if signal.value is None:
        return 0.0 if limit.required else 1.0
    if reached(signal.value, bound, limit.bad):
        return 0.0
    if bound <= 0:
        return 1.0
    share = (bound - signal.value) / (bound / 2) if limit.bad == "above" else (signal.value - bound) / bound
    return min(1.0, share)
