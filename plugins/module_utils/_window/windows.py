# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether work may begin now, and how long it may last: a pure function of windows, freezes, override and time.

Intervals are pairs of UTC times, the end not included. Windows that touch or overlap are one window; a freeze cuts its
time out of them, so that work inside an open window is over before a freeze begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from typing import Any, Iterator, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._window.definitions import Freeze, Window

Decision = dict[str, Any]
HORIZON = timedelta(days=400)
EVER = datetime.max.replace(tzinfo=timezone.utc)
NO_WINDOW_NEEDED = {"observe": "Reading", "protect": "Protecting data"}


@dataclass(frozen=True)
class Span:
    """An open time. ``names`` are the windows it is made of, ``notice`` the longest notice among them."""

    opens: datetime
    closes: datetime
    names: tuple[str, ...]
    notice: Optional[timedelta] = None

    @property
    def name(self) -> str:
        return " and ".join(self.names)


def decide(
    windows: Sequence[Window],
    freezes: Sequence[Freeze],
    *,
    now: datetime,
    environment: str,
    risk: str,
    override_reason: str = "",
    override_duration: int = 7200,
    close_reserve: int = 300,
) -> Decision:
    """The decision for one risk class. ``override_duration`` and ``close_reserve`` are seconds."""
    decision: Decision = {
        "open": True,
        "reason": "",
        "environment": environment,
        "risk": risk,
        "window": None,
        "deadline": None,
        "longest": None,
        "next": None,
        "override_reason": override_reason or None,
        "frozen_by": None,
    }
    if risk in NO_WINDOW_NEEDED:
        decision["reason"] = f"{NO_WINDOW_NEEDED[risk]} needs no maintenance window (risk class {risk})."
        return decision
    mine = [window for window in windows if window.environment == environment and risk in window.risk]
    cold = [freeze for freeze in freezes if freeze.environment in (None, environment) and risk in freeze.risk]
    reserve = timedelta(seconds=close_reserve)
    spans = _without(_merged(_spans(mine, now)), cold)
    current = next((span for span in spans if span.opens <= now < span.closes), None)
    coming = next((span for span in spans if span.opens > now and span.closes - span.opens > reserve), None)
    frozen = next((freeze for freeze in cold if freeze.start <= now < freeze.end), None)

    if current:
        decision["window"] = _window(current, environment, risk)
    if coming:
        decision["next"] = _next(coming)
    decision["frozen_by"] = frozen.name if frozen else None
    what = f"{risk} in {environment or 'this environment'}"
    others = "" if mine else _others(windows, risk)
    decision["open"], decision["reason"], end = _verdict(current, coming, frozen, now, reserve, what, others)
    if override_reason:
        end = max(end, now + timedelta(seconds=override_duration))
        needed = "" if decision["open"] else f" Without it: {decision['reason']}"
        decision["open"] = True
        decision["reason"] = f"Open by override: {override_reason.rstrip('.')}.{needed or ' A window is open as well.'}"
    decision["longest"] = _longest(spans, now, reserve, end)
    if decision["open"] and end != EVER:
        decision["deadline"] = clock.iso(end)
    return decision


def _verdict(
    current: Optional[Span],
    coming: Optional[Span],
    frozen: Optional[Freeze],
    now: datetime,
    reserve: timedelta,
    what: str,
    others: str,
) -> tuple[bool, str, datetime]:
    """Open or not, why, and until when work may last (``now`` where it may not begin)."""
    then = f"the next one, {coming.name}, opens at {clock.iso(coming.opens)}" if coming else "no later one is in sight"
    if frozen:
        until = f"until {clock.iso(frozen.end)} ({frozen.reason.rstrip('.')})"
        return False, f"The freeze {frozen.name} holds back {what} {until}; {then}.", now
    if current is None:
        return False, f"No window is open for {what}; {then}{others}.", now
    if current.closes == EVER:
        return True, f"The window {current.name} is always open for {what}.", EVER
    if current.closes - reserve <= now:
        closes, kept = clock.iso(current.closes), int(reserve.total_seconds())
        why = f"it closes at {closes}, and the last {kept} s are kept for closing (close_reserve)"
        return False, f"Nothing may begin any more in the window {current.name}: {why}; {then}.", now
    until = clock.iso(current.closes)
    return True, f"The window {current.name} is open for {what} until {until}.", current.closes - reserve


def _longest(spans: Sequence[Span], now: datetime, reserve: timedelta, end: datetime) -> Optional[int]:
    """Seconds for work in the longest window there is, or until ``end`` where an override gives more; None where one
    never closes, and where there is none: an override may be as long as one likes."""
    lasting = [span for span in spans if span.closes > now]
    if not lasting or any(span.closes == EVER for span in lasting):
        return None
    longest = max(end - now, *(span.closes - span.opens - reserve for span in lasting))
    return max(0, int(longest.total_seconds()))


def _others(windows: Sequence[Window], risk: str) -> str:
    """For somebody whose environment has no window at all: perhaps its name is misspelt."""
    names = sorted({window.environment for window in windows if risk in window.risk})
    return f" (windows are defined for {', '.join(names)})" if names else f" (no window for {risk} is defined)"


def _window(span: Span, environment: str, risk: str) -> dict[str, Any]:
    """An end that never comes is null."""
    start = span.opens.year > 1
    return {
        "name": span.name,
        "environment": environment,
        "risk": risk,
        "opens": clock.iso(span.opens) if start else None,
        "closes": clock.iso(span.closes) if span.closes != EVER else None,
    }


def _next(span: Span) -> dict[str, Any]:
    """``announce_by``: when a notice is due, null where the window asks for none."""
    closes = clock.iso(span.closes) if span.closes != EVER else None
    announce = clock.iso(span.opens - span.notice) if span.notice else None
    return {"name": span.name, "opens": clock.iso(span.opens), "closes": closes, "announce_by": announce}


def _spans(windows: Sequence[Window], now: datetime) -> Iterator[Span]:
    """Every interval of ``windows`` as far as :data:`HORIZON`, and those just over: one that is open may join them."""
    for window in windows:
        if window.always:
            yield Span(datetime.min.replace(tzinfo=timezone.utc), EVER, (window.name,), window.notice)
        elif window.once:
            yield Span(*window.once, (window.name,), window.notice)
        else:
            for opens, closes in _recurring(window, now):
                yield Span(opens, closes, (window.name,), window.notice)


def _recurring(window: Window, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    local = now.astimezone(window.zone).replace(tzinfo=None)
    # The rule is read from the first day of last year: far enough back that no first, partial week or month shows.
    rule = window.occurrences(date(local.year - 1, 1, 1))
    for start in rule.between(local - window.duration - timedelta(days=1), local + HORIZON, inc=True):
        opens, closes = _utc(start, window.zone), _utc(start + window.duration, window.zone)
        # A window that lies wholly in the hour which the clocks skip is held as soon as they have moved.
        yield opens, closes if closes > opens else opens + window.duration


def _utc(wall: datetime, zone: tzinfo) -> datetime:
    """The first moment at which clocks in ``zone`` show ``wall`` or, where they skip it, a later time."""
    moment = wall.replace(tzinfo=zone).astimezone(timezone.utc)
    if moment.astimezone(zone).replace(tzinfo=None) == wall:
        return moment
    # Skipped: fold=0 reads it with the offset before the change, fold=1 with the one after it; the change lies between.
    early, late = wall.replace(tzinfo=zone, fold=1).astimezone(timezone.utc), moment
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) // 2
        if middle.astimezone(zone).replace(tzinfo=None) < wall:
            early = middle
        else:
            late = middle
    return late.replace(microsecond=0)


def _merged(spans: Iterator[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.opens, span.closes)):
        last = merged[-1] if merged else None
        if last is None or span.opens > last.closes:
            merged.append(span)
            continue
        names = last.names + tuple(name for name in span.names if name not in last.names)
        notice = max(filter(None, (last.notice, span.notice)), default=None)
        merged[-1] = Span(last.opens, max(last.closes, span.closes), names, notice)
    return merged


def _without(spans: Sequence[Span], freezes: Sequence[Freeze]) -> list[Span]:
    """``spans`` less the frozen times."""
    left = list(spans)
    for freeze in freezes:
        cut: list[Span] = []
        for span in left:
            before = Span(span.opens, min(span.closes, freeze.start), span.names, span.notice)
            after = Span(max(span.opens, freeze.end), span.closes, span.names, span.notice)
            cut.extend(part for part in (before, after) if part.opens < part.closes)
        left = cut
    return left
