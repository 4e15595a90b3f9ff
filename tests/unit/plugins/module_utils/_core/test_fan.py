# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many reads at once: in order, bounded each and all together, and errors that come out."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, Stopped
from ansible_collections.day2.ops.plugins.module_utils._core.fan import fan_out
from ansible_collections.day2.ops.plugins.module_utils._core.limits import complete


def late(item: Any, why: str) -> str:
    return f"{item} late: {why}"


def fan(work: Any, items: Any, **given: Any) -> Any:
    usual = {"jobs": 4, "limit": lambda _item: 60.0, "deadline": Deadline(None)}
    return fan_out(work, items, late, **{**usual, **given})


def test_results_are_in_the_order_of_the_items() -> None:
    assert fan(lambda item: time.sleep(item / 100) or item, [5, 1, 4, 2, 3, 0]) == [5, 1, 4, 2, 3, 0]
    assert fan(lambda item: item, []) == []


def test_they_run_at_the_same_time() -> None:
    began = time.monotonic()
    fan(lambda _item: time.sleep(1), range(40), jobs=40)
    assert time.monotonic() - began < 15


def test_what_hangs_is_given_up_and_holds_nobody_up() -> None:
    began = time.monotonic()
    found = fan(lambda item: time.sleep(30 if item < 4 else 0) or item, range(8), limit=lambda item: 0.3)
    assert time.monotonic() - began < 15
    assert [str(one).partition(":")[0] for one in found] == ["0 late", "1 late", "2 late", "3 late", "4", "5", "6", "7"]


def test_the_deadline_ends_all() -> None:
    end = clock.now() + timedelta(seconds=0.5)
    began = time.monotonic()
    found = fan(lambda item: time.sleep(item) or item, [0, 30, 30], jobs=1, deadline=Deadline(end))
    assert time.monotonic() - began < 15
    assert found[0] == 0 and "the deadline" in found[1] and "the deadline" in found[2]
    assert all("deadline" in one for one in fan(str, [1], deadline=Deadline(clock.now() - timedelta(seconds=1))))


def test_errors_come_out() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise BadInput("three")
        return item

    with pytest.raises(BadInput, match="three"):
        fan(work, range(10))

    def look(_done: int) -> None:
        raise Stopped("Stopped: enough.")

    began = time.monotonic()
    with pytest.raises(Stopped):
        fan(lambda _item: time.sleep(30), range(3), look=look)
    assert time.monotonic() - began < 15


def test_the_looker_is_told_how_far_it_is() -> None:
    told: list[int] = []
    fan(lambda item: time.sleep(0.05), range(6), jobs=1, look=told.append)
    assert told[0] == 0 and told == sorted(told) and max(told) >= 4


def test_limits_name_mistakes() -> None:
    defaults = {"days": {"warn": 30, "crit": 14}}
    assert complete({"days": {"warn": "45"}}, defaults) == {"days": {"warn": 45.0, "crit": 14}}
    assert complete({"days": {"warn": None}}, defaults)["days"]["warn"] is None
    with pytest.raises(BadInput, match=r"^e\[1\]\.thresholds\.day: is not a kind of finding; use days\.$"):
        complete({"day": {}}, defaults, "e[1].thresholds")
