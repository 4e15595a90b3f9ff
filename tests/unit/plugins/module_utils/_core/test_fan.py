# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many reads at once: in order, bounded each and all together, and errors that come out."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Optional

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, Stopped
from ansible_collections.day2.ops.plugins.module_utils._core.fan import fan_out
from ansible_collections.day2.ops.plugins.module_utils._core.limits import complete
from ansible_collections.day2.ops.plugins.module_utils._core.liveness import Liveness
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run


def late(item: Any, why: str) -> str:
    return f"{item} late: {why}"


def fan(
    work: Any, items: Any, *, deadline: Optional[Deadline] = None, live: Optional[Liveness] = None, **given: Any
) -> Any:
    run = Run({"run": {}}, False, deadline or Deadline(None), live or Liveness())
    usual = {"jobs": 4, "limit": lambda _item: 60.0, "run": run, "what": "things"}
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


def test_errors_come_out(tmp_path: Path) -> None:
    def work(item: int) -> int:
        if item == 3:
            raise BadInput("three")
        return item

    with pytest.raises(BadInput, match="three"):
        fan(work, range(10))

    (tmp_path / "stop").write_text("enough")
    began = time.monotonic()
    with pytest.raises(Stopped, match="enough"):
        fan(lambda _item: time.sleep(30), range(3), live=Liveness(str(tmp_path)))
    assert time.monotonic() - began < 15


def test_whoever_looks_on_is_told_how_far_it_is() -> None:
    told: list[tuple[str, float]] = []

    class Shown(Liveness):
        def progress(self, text: str, fraction: Any = None) -> None:
            told.append((text, fraction))

    fan(lambda item: time.sleep(0.05), range(6), jobs=1, live=Shown())
    assert told[0] == ("things: 0 of 6", 0) and told == sorted(told) and told[-1][1] > 0.5


def test_limits_name_mistakes() -> None:
    defaults = {"days": {"warn": 30, "crit": 14}}
    assert complete({"days": {"warn": "45"}}, defaults) == {"days": {"warn": 45.0, "crit": 14}}
    assert complete({"days": {"warn": None}}, defaults)["days"]["warn"] is None
    with pytest.raises(BadInput, match=r"^e\[1\]\.thresholds\.day: is not a kind of finding; use days\.$"):
        complete({"day": {}}, defaults, "e[1].thresholds")
