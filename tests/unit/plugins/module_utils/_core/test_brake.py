# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The brake's judgement."""

from __future__ import annotations

import doctest
from typing import Optional

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core import brake
from ansible_collections.day2.ops.plugins.module_utils._core.brake import Limit, judge_brake

LAG = Limit("lag", "{value:.0f} s behind (limit {limit:.0f} s)", wait=60, stop=120)
DISK = Limit("disk", "{value:.0f} bytes free (limit {limit:.0f})", wait=100, stop=50, bad="below")


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
def test_the_worst_signal_decides(lag: Optional[float], disk: Optional[float], word: str, reason: str) -> None:
    verdict = judge_brake({"lag": lag, "disk": disk}, [LAG, DISK])
    assert (verdict.word, verdict.reason) == (word, reason)
    assert verdict.unknown == (() if lag is not None else ("lag",))


def test_what_must_be_known_and_is_not_waits() -> None:
    verdict = judge_brake({}, [Limit("lag", "", wait=60, required=True)])
    assert (verdict.word, verdict.reason) == ("wait", "lag could not be read")


def test_a_limit_that_is_off_is_neither_judged_nor_unknown() -> None:
    assert judge_brake({}, [Limit("lag", "")]) == brake.Verdict("go")


def test_examples_in_the_documentation() -> None:
    assert doctest.testmod(brake).failed == 0
