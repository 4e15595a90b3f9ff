# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What users write as windows and freezes, read into types; a mistake gets one sentence that names the element.

A window is one of: a rule (``rrule``, ``start``, ``duration``), a single interval (``start``, ``end``), or ``always``.
Times without a zone are wall clock in the definition's ``timezone``, which is UTC unless said otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any, Mapping, NoReturn, Optional, Sequence

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput

if TYPE_CHECKING:
    from dateutil.rrule import rrule

WINDOW_RISKS = ("maintain", "disrupt")
WINDOW_KEYS = (
    "name", "environment", "risk", "rrule", "start", "duration", "end", "always", "timezone", "first_day", "notice",
)  # fmt: skip
FREEZE_KEYS = ("name", "start", "end", "reason", "environment", "risk", "timezone")
UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
LONGEST = timedelta(days=31)
# What a rule must say itself to mean the same whenever it is read, where no first_day anchors it.
FIXES = {
    "DAILY": (),
    "WEEKLY": ("BYDAY",),
    "MONTHLY": ("BYDAY", "BYMONTHDAY"),
    "YEARLY": ("BYDAY", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO"),
}
RULE_EXAMPLE = "use for example FREQ=MONTHLY;BYDAY=MO;BYSETPOS=1 for the first Monday of a month"


@dataclass(frozen=True)
class Window:
    """``first`` is the day from which the rule counts, None where it needs none. Exactly one form is filled."""

    name: str
    environment: str
    risk: tuple[str, ...]
    zone: tzinfo
    notice: Optional[timedelta] = None
    always: bool = False
    rule: Optional[str] = None
    start: time = time()
    duration: timedelta = timedelta()
    first: Optional[date] = None
    once: Optional[tuple[datetime, datetime]] = None

    def occurrences(self, since: date) -> rrule:
        """The rule as dateutil keeps it: naive wall-clock starts. ``since`` anchors a rule without a first day."""
        from dateutil.rrule import rrule, rrulestr

        made = rrulestr(self.rule or "", dtstart=datetime.combine(self.first or since, self.start))
        if not isinstance(made, rrule):
            raise ValueError("it is more than one rule")
        return made


@dataclass(frozen=True)
class Freeze:
    """``environment`` None is every environment; ``start`` and ``end`` are UTC, the end not included."""

    name: str
    reason: str
    start: datetime
    end: datetime
    environment: Optional[str]
    risk: tuple[str, ...]


def read_windows(given: Optional[Sequence[Any]]) -> list[Window]:
    """All windows, or :class:`BadInput` for the first mistake."""
    return [_window(f"windows[{index}]", entry) for index, entry in enumerate(given or [])]


def read_freezes(given: Optional[Sequence[Any]]) -> list[Freeze]:
    return [_freeze(f"freezes[{index}]", entry) for index, entry in enumerate(given or [])]


def seconds(value: Any, option: str) -> int:
    """``4h``, ``90m``, ``2h 30m``, ``7d``, or a number of minutes, as seconds."""
    text = str(value).strip().lower()
    if re.fullmatch(r"\d+", text):
        return int(text) * 60
    parts = re.findall(r"(\d+)\s*([mhdw])", text)
    if not re.fullmatch(r"(\d+\s*[mhdw]\s*)+", text):
        raise BadInput(f"{option}: {str(value)!r} is not a length of time; use for example 4h, 2h 30m or 90 (minutes).")
    return sum(int(number) * UNITS[unit] for number, unit in parts)


def _window(at: str, entry: Any) -> Window:
    _known(at, entry, WINDOW_KEYS, "window")
    zone = clock.zone(entry.get("timezone"), f"{at}.timezone")
    base: dict[str, Any] = {
        "name": _text(at, entry, "name"),
        "environment": _text(at, entry, "environment"),
        "risk": _risk(at, entry.get("risk")),
        "zone": zone,
    }
    notice = entry.get("notice")
    if notice not in (None, ""):
        base["notice"] = timedelta(seconds=seconds(notice, f"{at}.notice"))
    always = _flag(at, entry)
    given = {"rrule": entry.get("rrule"), "end": entry.get("end"), "always": always}
    forms = [form for form, value in given.items() if value]
    if len(forms) != 1:
        raise BadInput(
            f"{at}: a window needs exactly one of rrule (with start and duration), end (with start) and always: true; "
            f"this one has {' and '.join(forms) or 'none of them'}."
        )
    wanted = {"rrule": ("start", "duration", "first_day"), "end": ("start",), "always": ()}[forms[0]]
    for option in ("start", "duration", "first_day"):
        if option not in wanted and entry.get(option) not in (None, ""):
            raise BadInput(f"{at}.{option}: has no meaning beside {forms[0]}; remove it.")
    if always:
        return Window(**base, always=True)
    if forms == ["end"]:
        return Window(**base, once=_interval(at, entry, zone))
    return _recurring(at, entry, base)


def _recurring(at: str, entry: Mapping[str, Any], base: dict[str, Any]) -> Window:
    rule = str(entry["rrule"]).strip().upper()
    rule = rule[len("RRULE:") :] if rule.startswith("RRULE:") else rule
    first = None if entry.get("first_day") in (None, "") else _day(f"{at}.first_day", entry["first_day"])
    _check_rule(f"{at}.rrule", rule, anchored=first is not None)
    start = _clock(f"{at}.start", _given(at, entry, "start"))
    duration = timedelta(seconds=seconds(_text(at, entry, "duration"), f"{at}.duration"))
    if not timedelta() < duration <= LONGEST:
        raise BadInput(f"{at}.duration: must be between one minute and {LONGEST.days} days; use for example 4h.")
    window = Window(**base, rule=rule, start=start, duration=duration, first=first)
    try:
        window.occurrences(date(2026, 1, 1))
    except ImportError:
        raise
    except (ValueError, TypeError) as error:
        raise BadInput(f"{at}.rrule: {rule!r} is not a rule of RFC 5545 ({error}); {RULE_EXAMPLE}.") from error
    return window


def _check_rule(option: str, rule: str, *, anchored: bool) -> None:
    """Refuse what would be read differently at each run, or would hide the start from ``start``."""
    parts = dict(part.partition("=")[::2] for part in rule.split(";"))
    frequency = parts.get("FREQ", "")
    if frequency not in FIXES:
        raise BadInput(f"{option}: needs FREQ=DAILY, WEEKLY, MONTHLY or YEARLY; {RULE_EXAMPLE}.")
    for part in ("BYHOUR", "BYMINUTE", "BYSECOND"):
        if part in parts:
            raise BadInput(f'{option}: {part} belongs into the option start; use for example start: "02:00".')
    if "DTSTART" in rule or "\n" in rule:
        raise BadInput(f"{option}: give the rule alone; its first day goes to first_day and its time to start.")
    if anchored:
        return
    fixes = FIXES[frequency]
    if fixes and not any(part in parts for part in fixes):
        raise BadInput(f"{option}: {rule} does not say on which day; add {' or '.join(fixes)}, or set first_day.")
    if "COUNT" in parts or parts.get("INTERVAL", "1") != "1":
        raise BadInput(f'{option}: INTERVAL and COUNT count from a first day; set for example first_day: "2026-12-06".')


def _freeze(at: str, entry: Any) -> Freeze:
    _known(at, entry, FREEZE_KEYS, "freeze")
    start, end = _interval(at, entry, clock.zone(entry.get("timezone"), f"{at}.timezone"))
    environment = entry.get("environment")
    risk = WINDOW_RISKS if entry.get("risk") in (None, "", []) else _risk(at, entry["risk"])
    name, reason = _text(at, entry, "name"), _text(at, entry, "reason")
    return Freeze(name, reason, start, end, str(environment) if environment else None, risk)


def _known(at: str, entry: Any, keys: Sequence[str], kind: str) -> None:
    if not isinstance(entry, Mapping):
        raise BadInput(f"{at}: a {kind} is a dictionary with {', '.join(keys)}; this one is {str(entry)!r}.")
    for key in entry:
        if key not in keys:
            raise BadInput(f"{at}.{key}: a {kind} has no such key; use {', '.join(keys)}.")


def _given(at: str, entry: Mapping[str, Any], key: str) -> Any:
    value = entry.get(key)
    if value in (None, ""):
        raise BadInput(f"{at}.{key}: is missing; this entry of {at.partition('[')[0]} needs it.")
    return value


def _text(at: str, entry: Mapping[str, Any], key: str) -> str:
    return str(_given(at, entry, key))


def _flag(at: str, entry: Mapping[str, Any]) -> bool:
    try:
        return bool(boolean(entry.get("always") or False))
    except TypeError as error:
        raise BadInput(f"{at}.always: {str(entry['always'])!r} is neither true nor false.") from error


def _risk(at: str, given: Any) -> tuple[str, ...]:
    listed = [given] if isinstance(given, str) else list(given or [])
    risks = tuple(str(risk) for risk in listed)
    for risk in risks:
        if risk not in WINDOW_RISKS:
            why = "needs no window and knows no freeze" if risk in ("observe", "protect") else "is not a risk class"
            raise BadInput(f"{at}.risk: {risk!r} {why}; list maintain, disrupt, or both.")
    if not risks:
        raise BadInput(f"{at}.risk: is missing; list maintain, disrupt, or both.")
    return risks


def _clock(option: str, value: Any) -> time:
    """A time of day. YAML reads an unquoted 22:30 as the number 1350 (base 60), which is the same time in minutes."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1440:
        return time(value // 60, value % 60)
    match = re.fullmatch(r"(\d{1,2}):(\d{2})", str(value or "").strip())
    if not match or int(match[1]) > 23 or int(match[2]) > 59:
        raise BadInput(f'{option}: {str(value)!r} is not a time of day; use for example "02:00".')
    return time(int(match[1]), int(match[2]))


def _day(option: str, value: Any) -> date:
    try:
        return date.fromisoformat(str(value).strip()[:10])
    except ValueError:
        _no_time(option, value)


def _interval(at: str, entry: Mapping[str, Any], zone: tzinfo) -> tuple[datetime, datetime]:
    """Start and end in UTC. A date alone is the whole day, so as an end it is included."""
    ends = []
    for key in ("start", "end"):
        value = _text(at, entry, key).strip()
        try:
            moment = datetime.fromisoformat(value.upper().replace("Z", "+00:00"))
        except ValueError:
            _no_time(f"{at}.{key}", value)
        if key == "end" and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            moment += timedelta(days=1)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        ends.append(aware.astimezone(timezone.utc))
    if ends[0] >= ends[1]:
        raise BadInput(f"{at}.end: lies before its start, or is the same; give a later time.")
    return ends[0], ends[1]


def _no_time(option: str, value: Any) -> NoReturn:
    raise BadInput(
        f"{option}: {str(value)!r} is not a time; use for example 2026-12-06T02:00:00Z, or a day: 2026-12-06."
    )
