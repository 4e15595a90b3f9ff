# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decisions, one row each: the policy, the time, what is expected of the decision."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._window.checks import window_check
from ansible_collections.day2.ops.plugins.module_utils._window.definitions import read_freezes, read_windows
from ansible_collections.day2.ops.plugins.module_utils._window.options import decision
from ansible_collections.day2.ops.plugins.module_utils._window.windows import decide


def window(**given):
    base = {"name": "w", "environment": "production", "risk": ["maintain"]}
    if not given.keys() & {"rrule", "end", "always"}:
        base.update(rrule="FREQ=DAILY")
    if "always" not in given and "end" not in given:
        base.update(start="02:00", duration="4h")
    return {**base, **given}


FIRST_MONDAY = window(name="monthly", rrule="FREQ=MONTHLY;BYDAY=MO;BYSETPOS=1", duration="2h")
SUNDAY_NIGHT = window(name="weekly", rrule="FREQ=WEEKLY;BYDAY=SU")
BERLIN = window(name="berlin", start="01:00", timezone="Europe/Berlin")
FREEZE = {"name": "year end", "start": "2026-12-20", "end": "2027-01-03", "reason": "busy weeks."}


def ask(windows, at, *, freezes=(), risk="maintain", environment="production", **more):
    return decide(
        read_windows(windows), read_freezes(freezes), now=clock.parse(at), environment=environment, risk=risk, **more
    )


def span(found):
    return found["opens"], found["closes"]


# fmt: off
OPEN = [
    # first Monday: 2026-12-07 is one, 2026-12-14 is none; a month that begins on a Monday; one whose first is the 7th
    ("first Monday", [FIRST_MONDAY], "2026-12-07T02:00:00Z", ("2026-12-07T02:00:00Z", "2026-12-07T04:00:00Z")),
    ("first Monday on the 1st", [FIRST_MONDAY],
     "2027-02-01T03:54:59Z", ("2027-02-01T02:00:00Z", "2027-02-01T04:00:00Z")),
    ("month end", [window(rrule="FREQ=MONTHLY;BYMONTHDAY=-1", start="23:00", duration="2h")],
     "2027-03-01T00:30:00Z", ("2027-02-28T23:00:00Z", "2027-03-01T01:00:00Z")),
    ("month end in a leap year", [window(rrule="FREQ=MONTHLY;BYMONTHDAY=-1", start="23:00", duration="2h")],
     "2028-03-01T00:30:00Z", ("2028-02-29T23:00:00Z", "2028-03-01T01:00:00Z")),
    ("over new year", [window(rrule="FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=31", start="22:00")],
     "2027-01-01T01:00:00Z", ("2026-12-31T22:00:00Z", "2027-01-01T02:00:00Z")),
    ("rule counted from its first day", [window(rrule="FREQ=WEEKLY;INTERVAL=2", first_day="2026-12-06")],
     "2026-12-20T02:00:00Z", ("2026-12-20T02:00:00Z", "2026-12-20T06:00:00Z")),
    ("single window", [window(start="2026-12-06T02:00:00Z", end="2026-12-06T03:00:00+00:00")],
     "2026-12-06T02:30:00Z", ("2026-12-06T02:00:00Z", "2026-12-06T03:00:00Z")),
    ("single window in wall clock", [window(start="2026-12-06T02:00", end="2026-12-06", timezone="Europe/Berlin")],
     "2026-12-06T22:30:00Z", ("2026-12-06T01:00:00Z", "2026-12-06T23:00:00Z")),
    # Berlin leaves CET on 2027-03-28 at 01:00Z and comes back on 2027-10-31 at 01:00Z: 01:00-05:00 stays 01:00-05:00
    ("winter", [BERLIN], "2027-03-27T02:00:00Z", ("2027-03-27T00:00:00Z", "2027-03-27T04:00:00Z")),
    ("clocks go forward", [BERLIN], "2027-03-28T02:00:00Z", ("2027-03-28T00:00:00Z", "2027-03-28T03:00:00Z")),
    ("summer", [BERLIN], "2027-03-29T02:00:00Z", ("2027-03-28T23:00:00Z", "2027-03-29T03:00:00Z")),
    ("clocks go back", [BERLIN], "2027-10-31T03:30:00Z", ("2027-10-30T23:00:00Z", "2027-10-31T04:00:00Z")),
    # 02:00-03:00 does not exist on 2027-03-28, and exists twice on 2027-10-31
    ("start is skipped", [window(start="02:30", duration="2h", timezone="Europe/Berlin")],
     "2027-03-28T01:00:00Z", ("2027-03-28T01:00:00Z", "2027-03-28T02:30:00Z")),
    ("end is skipped", [window(start="01:30", duration="1h", timezone="Europe/Berlin")],
     "2027-03-28T00:45:00Z", ("2027-03-28T00:30:00Z", "2027-03-28T01:00:00Z")),
    ("wholly skipped", [window(start="02:15", duration="30m", timezone="Europe/Berlin")],
     "2027-03-28T01:10:00Z", ("2027-03-28T01:00:00Z", "2027-03-28T01:30:00Z")),
    ("start comes twice", [window(start="02:30", duration="1h", timezone="Europe/Berlin")],
     "2027-10-31T01:45:00Z", ("2027-10-31T00:30:00Z", "2027-10-31T02:30:00Z")),
    ("adjacent windows are one", [window(), window(name="x", start="06:00", duration=60)],
     "2026-12-07T06:30:00Z", ("2026-12-07T02:00:00Z", "2026-12-07T07:00:00Z")),
    ("overlapping windows are one", [window(), window(name="x", start="05:00", duration="2h 30m")],
     "2026-12-07T03:00:00Z", ("2026-12-07T02:00:00Z", "2026-12-07T07:30:00Z")),
    ("a window that another covers", [window(duration="8h"), window(name="x", start="03:00", duration="1h")],
     "2026-12-07T03:00:00Z", ("2026-12-07T02:00:00Z", "2026-12-07T10:00:00Z")),
    ("always", [window(always=True)], "2026-12-07T12:00:00Z", (None, None)),
    ("base 60, as YAML reads 22:30", [window(start=1350, duration="1h")],
     "2026-12-07T23:00:00Z", ("2026-12-07T22:30:00Z", "2026-12-07T23:30:00Z")),
]
# fmt: on


@pytest.mark.parametrize(("windows", "at", "expected"), [row[1:] for row in OPEN], ids=[row[0] for row in OPEN])
def test_open(windows, at, expected):
    found = ask(windows, at)
    assert found["open"], found["reason"]
    assert span(found["window"]) == expected
    if expected[1]:
        assert clock.parse(found["deadline"]) == clock.parse(expected[1]) - timedelta(seconds=300)
        assert expected[1] in found["reason"]
    else:
        assert found["deadline"] is None


CLOSED = [
    ("not the first Monday", [FIRST_MONDAY], "2026-12-14T02:00:00Z", "2027-01-04T02:00:00Z"),
    ("a second too early", [FIRST_MONDAY], "2026-12-07T01:59:59Z", "2026-12-07T02:00:00Z"),
    ("at its end", [FIRST_MONDAY], "2026-12-07T04:00:00Z", "2027-01-04T02:00:00Z"),
    ("in the reserve", [FIRST_MONDAY], "2026-12-07T03:55:00Z", "2027-01-04T02:00:00Z"),
    ("between two that do not touch", [SUNDAY_NIGHT, FIRST_MONDAY], "2026-12-06T12:00:00Z", "2026-12-07T02:00:00Z"),
    ("other environment", [window(environment="staging")], "2026-12-07T03:00:00Z", None),
    ("other risk class", [window(risk="disrupt")], "2026-12-07T03:00:00Z", None),
    ("past single window", [window(start="2026-12-06", end="2026-12-06")], "2026-12-07T00:00:00Z", None),
    ("no window", [], "2026-12-07T00:00:00Z", None),
    ("first day to come", [window(first_day="2026-12-10")], "2026-12-07T03:00:00Z", "2026-12-10T02:00:00Z"),
    ("after its last", [window(rrule="FREQ=DAILY;UNTIL=20261206T235959")], "2026-12-07T03:00:00Z", None),
    ("none that short", [window(duration="5m")], "2026-12-07T02:00:00Z", None),
]


@pytest.mark.parametrize(("windows", "at", "opens"), [row[1:] for row in CLOSED], ids=[row[0] for row in CLOSED])
def test_closed(windows, at, opens):
    found = ask(windows, at)
    assert not found["open"]
    assert found["deadline"] is None
    assert (found["next"] or {}).get("opens") == opens
    assert opens is None or opens in found["reason"]


def test_a_reserve_longer_than_the_window_leaves_no_time_and_says_so():
    found = ask([FIRST_MONDAY], "2026-12-07T02:00:00Z", close_reserve=7200)
    assert not found["open"]
    assert "close_reserve" in found["reason"]
    assert found["next"] is None


def test_the_reason_helps_who_misspelt_the_environment():
    assert (
        "(windows are defined for production)" in ask([window()], "2026-12-07T03:00:00Z", environment="prod")["reason"]
    )


@pytest.mark.parametrize("risk", ["observe", "protect"])
def test_reading_and_protecting_need_no_window_and_know_no_freeze(risk):
    found = ask([], "2026-12-25T03:00:00Z", freezes=[FREEZE], risk=risk)
    assert (found["open"], found["deadline"], found["frozen_by"]) == (True, None, None)


def test_a_freeze_beats_the_window():
    found = ask([window()], "2026-12-25T03:00:00Z", freezes=[FREEZE])
    assert not found["open"]
    assert found["frozen_by"] == "year end"
    assert found["reason"] == (
        "The freeze year end holds back maintain in production until 2027-01-04T00:00:00Z (busy weeks); "
        "the next one, w, opens at 2027-01-04T02:00:00Z."
    )


@pytest.mark.parametrize(
    ("freeze", "holds"),
    [
        ({}, True),
        ({"environment": "production"}, True),
        ({"environment": "staging"}, False),
        ({"risk": "disrupt"}, False),
        ({"risk": ["maintain", "disrupt"]}, True),
    ],
)
def test_whom_a_freeze_holds(freeze, holds):
    assert ask([window()], "2026-12-25T03:00:00Z", freezes=[{**FREEZE, **freeze}])["open"] is not holds


def test_work_is_over_before_a_freeze_inside_the_window_begins_and_may_begin_after_it():
    inside = {**FREEZE, "start": "2026-12-07T03:00:00Z", "end": "2026-12-07T04:00:00Z"}
    before, during, after = (
        ask([window()], f"2026-12-07T{at}:00Z", freezes=[inside]) for at in ("02:30", "03:30", "04:30")
    )
    assert span(before["window"]) == ("2026-12-07T02:00:00Z", "2026-12-07T03:00:00Z")
    assert before["deadline"] == "2026-12-07T02:55:00Z"
    assert before["next"]["opens"] == "2026-12-07T04:00:00Z"
    assert not during["open"]
    assert span(after["window"]) == ("2026-12-07T04:00:00Z", "2026-12-07T06:00:00Z")


def test_a_freeze_ends_even_a_window_that_is_always_open():
    found = ask([window(always="yes")], "2026-12-07T12:00:00Z", freezes=[FREEZE])
    assert found["deadline"] == "2026-12-19T23:55:00Z"
    assert found["next"] == {"name": "w", "opens": "2027-01-04T00:00:00Z", "closes": None, "announce_by": None}


def test_an_override_beats_freeze_and_closed_window_and_is_recorded():
    found = ask([window()], "2026-12-25T12:00:00Z", freezes=[FREEZE], override_reason="INC-7: disk full.")
    assert found["open"]
    assert found["override_reason"] == "INC-7: disk full."
    assert found["frozen_by"] == "year end"
    assert found["deadline"] == "2026-12-25T14:00:00Z"
    assert found["reason"].startswith("Open by override: INC-7: disk full. Without it: The freeze year end")
    assert found["window"] is None


@pytest.mark.parametrize(
    ("at", "deadline"),
    [("2026-12-07T02:00:00Z", "2026-12-07T05:55:00Z"), ("2026-12-07T05:30:00Z", "2026-12-07T06:30:00Z")],
)
def test_an_override_never_shortens_the_time(at, deadline):
    assert ask([window()], at, override_reason="INC-7", override_duration=3600)["deadline"] == deadline


WEEKLY = window(name="weekly", rrule="FREQ=WEEKLY;BYDAY=SU", duration="2h")
MONTHLY = window(name="monthly", rrule="FREQ=MONTHLY;BYDAY=MO;BYSETPOS=1", duration="4h")
PAST = window(name="past", start="2026-06-01", end="2026-06-03")
OVERRIDE = {"override_reason": "INC-7", "override_duration": 6 * 3600}


@pytest.mark.parametrize(
    ("windows", "more", "seconds"),
    [
        ([WEEKLY], {}, 2 * 3600 - 300),
        ([WEEKLY, MONTHLY, PAST], {}, 4 * 3600 - 300),
        ([WEEKLY, window(name="other", duration="9h", environment="staging")], {}, 2 * 3600 - 300),
        ([WEEKLY, window(name="other", duration="9h", risk=["disrupt"])], {}, 2 * 3600 - 300),
        ([WEEKLY, MONTHLY], {"override_reason": "INC-7", "override_duration": 3600}, 4 * 3600 - 300),
        ([WEEKLY, MONTHLY], OVERRIDE, 6 * 3600),
        ([WEEKLY], {"close_reserve": 9000}, 0),
        ([window(always=True)], OVERRIDE, None),
        ([], OVERRIDE, None),
        ([WEEKLY], {"risk": "protect"}, None),
    ],
)
@pytest.mark.parametrize("at", ["2026-12-13T03:00:00Z", "2026-12-15T12:00:00Z"], ids=["open", "closed"])
def test_the_longest_window_there_is(windows, more, seconds, at):
    assert ask(windows, at, **more)["longest"] == seconds


def test_when_a_notice_is_due():
    assert ask([window(notice="7d")], "2026-12-07T00:00:00Z")["next"]["announce_by"] == "2026-11-30T02:00:00Z"


def test_a_merged_window_carries_both_names_and_the_longer_notice():
    both = [window(notice="24h"), window(name="x", start="06:00", duration="1h", notice="2d")]
    found = ask(both, "2026-12-07T00:00:00Z")["next"]
    assert (found["name"], found["announce_by"]) == ("w and x", "2026-12-05T02:00:00Z")


def test_every_second_of_a_day_is_judged_alike_by_the_interval_and_by_the_verdict():
    start = datetime(2027, 3, 27, 22, tzinfo=timezone.utc)
    for minute in range(0, 12 * 60, 7):
        now = start + timedelta(minutes=minute)
        local = (now + timedelta(hours=1 if now < datetime(2027, 3, 28, 1, tzinfo=timezone.utc) else 2)).time()
        found = ask([BERLIN], clock.iso(now), close_reserve=0)
        assert found["open"] is (1 <= local.hour < 5), now


# fmt: off
MISTAKES = [
    ([window(rrule="FREQ=MONTHY;BYDAY=MO")], "windows[0].rrule: needs FREQ="),
    ([window(), window(rrule="FREQ=MONTHLY;BYDAY=XX")], "windows[1].rrule: 'FREQ=MONTHLY;BYDAY=XX' is not a rule"),
    ([window(rrule="every night")], "windows[0].rrule: needs FREQ="),
    ([window(rrule="FREQ=HOURLY")], "windows[0].rrule: needs FREQ="),
    ([window(rrule="FREQ=DAILY;BYHOUR=2")], "windows[0].rrule: BYHOUR belongs into the option start"),
    ([window(rrule="FREQ=WEEKLY")], "windows[0].rrule: FREQ=WEEKLY does not say on which day; add BYDAY, or"),
    ([window(rrule="FREQ=DAILY;INTERVAL=2")], "windows[0].rrule: INTERVAL and COUNT count from a first day"),
    ([window(rrule="FREQ=DAILY\nEXRULE:FREQ=WEEKLY")], "windows[0].rrule: "),
    ([window(start=None)], "windows[0].start: is missing"),
    ([window(start="24:00")], "windows[0].start: '24:00' is not a time of day"),
    ([window(duration="4x")], "windows[0].duration: '4x' is not a length of time; use for example 4h"),
    ([window(duration="0")], "windows[0].duration: must be between"),
    ([window(duration="40d")], "windows[0].duration: must be between"),
    ([window(timezone="Berlin")], "windows[0].timezone: 'Berlin' is not known here; use a name like Europe/Berlin"),
    ([window(timezone="../etc")], "windows[0].timezone: '../etc' is not known"),
    ([window(risk=[])], "windows[0].risk: is missing"),
    ([window(risk=["maintain", "all"])], "windows[0].risk: 'all' is not a risk class"),
    ([window(risk="protect")], "windows[0].risk: 'protect' needs no window"),
    ([window(name="")], "windows[0].name: is missing"),
    ([window(notice="soon")], "windows[0].notice: 'soon' is not a length of time"),
    ([window(always="perhaps")], "windows[0].always: 'perhaps' is neither"),
    ([window(environments="production")], "windows[0].environments: a window has no such key; use name"),
    ([window(rrule="FREQ=DAILY", end="2026-12-07")], "windows[0]: a window needs exactly one of"),
    ([window(always=True, start="02:00")], "windows[0].start: has no meaning beside always"),
    ([window(start="2026-12-07T02:00Z", end="2026-12-07T02:00Z")], "windows[0].end: lies before its start"),
    ([window(start="02:00", end="04:00")], "windows[0].start: '02:00' is not a time"),
    (["night"], "windows[0]: a window is a dictionary"),
]
# fmt: on


@pytest.mark.parametrize(("windows", "sentence"), MISTAKES)
def test_a_mistake_is_named_with_its_element(windows, sentence):
    with pytest.raises(BadInput) as caught:
        read_windows(windows)
    assert str(caught.value).startswith(sentence)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("freeze", "sentence"),
    [
        ({**FREEZE, "reason": ""}, "freezes[0].reason: is missing"),
        ({**FREEZE, "end": "2026-12-19"}, "freezes[0].end: lies before its start"),
        ({**FREEZE, "end": "christmas"}, "freezes[0].end: 'christmas' is not a time"),
        ({**FREEZE, "until": "x"}, "freezes[0].until: a freeze has no such key"),
    ],
)
def test_a_mistake_in_a_freeze_is_named(freeze, sentence):
    with pytest.raises(BadInput) as caught:
        read_freezes([freeze])
    assert str(caught.value).startswith(sentence)


OPTIONS = {"windows": [], "freezes": [], "override_duration": 7200, "close_reserve": 300}


@pytest.mark.parametrize(
    ("given", "risk", "sentence"),
    [
        ({"windows": [window()]}, "maintain", "environment_name: is not set (ops_environment); use one of production."),
        ({"close_reserve": -1}, "maintain", "close_reserve: -1 is negative"),
        ({"override_duration": -1}, "maintain", "override_duration: -1 is negative"),
        ({}, "destroy", "risk: 'destroy' is not a risk class; use one of observe, protect, maintain, disrupt."),
    ],
)
def test_a_mistake_in_the_options_is_named(given, risk, sentence):
    with pytest.raises(BadInput) as caught:
        decision({**OPTIONS, **given}, risk, clock.parse("2026-12-07T03:00:00Z"))
    assert str(caught.value).startswith(sentence)


def test_a_blank_override_is_none():
    found = decision({**OPTIONS, "override_reason": "  "}, "maintain", clock.parse("2026-12-07T03:00:00Z"))
    assert (found["open"], found["override_reason"]) == (False, None)


@pytest.mark.parametrize(
    ("at", "more", "status", "value"),
    [
        ("2026-12-07T03:00:00Z", {}, "ok", 10500),
        ("2026-12-07T12:00:00Z", {}, "warn", 0),
        ("2026-12-07T12:00:00Z", {"override_reason": "INC-7"}, "warn", 7200),
        ("2026-12-07T12:00:00Z", {"risk": "observe"}, "ok", None),
    ],
)
def test_the_check_of_a_decision(at, more, status, value):
    found = ask([window()], at, **more)
    check = window_check(found, clock.parse(at))
    assert (check["status"], check["value"], check["subject"]) == (status, value, found["risk"])
    assert check["summary"] == found["reason"]
    assert bool(check["advice"]) is (status == "warn")
