# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The brake's judgement."""

from __future__ import annotations

import doctest
import time
from typing import Optional

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core import brake
from ansible_collections.day2.ops.plugins.module_utils._core.brake import Limit, Signal, judge_brake, pace
from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.sampler import Sampler

LAG = Limit("lag", "{value:.0f} s behind (limit {limit:.0f} s)", wait=60, stop=120)
DISK = Limit("disk", "{value:.0f} bytes free (limit {limit:.0f})", wait=100, stop=50, bad="below")
MUST = Limit("lag", "", wait=60, stop=120, required=True, what="the lag of replicas")


@pytest.mark.parametrize(
    ("lag", "disk", "word", "reason"),
    [
        (0.0, 500.0, "go", ""),
        (59.9, 101.0, "go", ""),
        (60.0, 500.0, "wait", "60 s behind (limit 60 s)"),
        (120.0, 500.0, "stop", "120 s behind (limit 120 s)"),
        (0.0, 100.0, "wait", "100 bytes free (limit 100)"),
        (60.0, 50.0, "stop", "50 bytes free (limit 50)"),
        (130.0, 40.0, "stop", "130 s behind (limit 120 s)"),
        (None, 500.0, "go", ""),
        (None, 100.0, "wait", "100 bytes free (limit 100)"),
    ],
)
def test_the_worst_signal_decides(lag: Optional[float], disk: float, word: str, reason: str) -> None:
    verdict = judge_brake({"lag": Signal(lag), "disk": Signal(disk)}, [LAG, DISK])
    assert (verdict.word, verdict.reason) == (word, reason)
    assert verdict.unknown == (() if lag is not None else ("lag",))


def test_what_must_be_known_and_is_not_stops() -> None:
    verdict = judge_brake({"lag": Signal(None, why="it is hidden", lasting=True)}, [MUST])
    assert (verdict.word, verdict.signal, verdict.lasting) == ("stop", "lag", True)
    assert verdict.reason == "the lag of replicas could not be read: it is hidden"
    begin = Limit("lag", "", wait=60, required=True)
    assert judge_brake({}, [begin]).word == "wait"


def test_what_no_waiting_mends_is_told_first() -> None:
    other = Limit("slots", "", wait=60, required=True)
    signals = {"disk": Signal(10.0), "slots": Signal(None, why="never", lasting=True)}
    verdict = judge_brake(signals, [Limit("disk", "full", wait=100, bad="below"), other])
    assert (verdict.word, verdict.signal, verdict.lasting) == ("wait", "slots", True)


def test_a_limit_that_is_off_is_neither_judged_nor_unknown() -> None:
    assert judge_brake({}, [Limit("lag", "", required=True)]) == brake.Verdict("go")


def test_a_finding_names_what_it_is_of() -> None:
    verdict = judge_brake({"lag": Signal(70, "r1")}, [Limit("lag", "replica {who} is {value:.0f} s behind", wait=60)])
    assert verdict.reason == "replica r1 is 70 s behind"


@pytest.mark.parametrize(
    ("lag", "disk", "expected"),
    [
        (0, 1000, 1.0), (30, 200, 1.0), (45, 200, 0.5), (30, 175, 0.75), (60, 1000, 0.0), (500, 1000, 0.0),
        (0, 100, 0.0), (None, 1000, 1.0),
    ],
)  # fmt: skip
def test_the_pace_falls_from_half_of_a_limit_on(lag: Optional[float], disk: float, expected: float) -> None:
    assert pace({"lag": Signal(lag), "disk": Signal(disk)}, [LAG, DISK]) == pytest.approx(expected)


def test_the_pace_without_limits_and_without_sight() -> None:
    assert pace({}, []) == 1.0
    assert pace({"lag": Signal(None)}, [MUST]) == 0.0
    assert pace({"lag": Signal(1000.0)}, [Limit("lag", "")]) == 1.0
    assert pace({"disk": Signal(1.0)}, [Limit("disk", "", wait=0, bad="below")]) == 1.0


def test_examples_in_the_documentation() -> None:
    assert doctest.testmod(brake).failed == 0


def until(ready: object, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not ready():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_is_slow_is_read_aside() -> None:
    values = iter([1.0, 2.0])

    def read() -> Signal:
        return Signal(next(values, 3.0))

    sampler = Sampler(read, 0.02)
    assert sampler.latest().value == 1.0
    until(lambda: sampler.latest().value == 3.0)
    sampler.close()
    assert sampler.latest().value == 3.0


def test_a_reading_that_fails_or_hangs_is_unknown() -> None:
    def fail() -> Signal:
        raise OpsError("Failed to ask: nobody answers.")

    sampler = Sampler(fail, 5)
    assert sampler.latest() == Signal(None, why="Failed to ask: nobody answers")
    sampler.close()

    def hang() -> Signal:
        time.sleep(2)
        return Signal(1.0)

    began = time.monotonic()
    sampler = Sampler(hang, 5, first=0.1)
    assert sampler.latest().value is None
    assert time.monotonic() - began < 1
    sampler.close()


def test_a_reading_that_is_overdue_is_unknown() -> None:
    seen = []

    def once() -> Signal:
        if seen:
            time.sleep(2)
        seen.append(1)
        return Signal(1.0)

    sampler = Sampler(once, 0.01, late=0.2)
    assert sampler.latest().value == 1.0
    until(lambda: sampler.latest().value is None)
    assert "no answer for" in sampler.latest().why
    sampler.close()
