# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several connections: what each of them gets, and what fits when they work side by side. No server is needed."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import Stopped
from ansible_collections.day2.ops.plugins.module_utils._postgresql import crew
from ansible_collections.day2.ops.plugins.module_utils._postgresql.order import Step
from ansible_collections.day2.ops.plugins.module_utils._postgresql.plan import plan
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import (
    RATES,
    Blocker,
    Holder,
    Index,
    Policy,
    State,
    Table,
)
from ansible_collections.day2.ops.plugins.module_utils._postgresql.summary import warnings

MIB = 1 << 20
DEAD = Table(
    1, "public", "a", bytes=500 * MIB, pages=64_000, rows=1e6, live=600_000, dead=400_000,
    vacuumed=3600.0, analyzed=3600.0, vacuums=1, analyzes=1,
)  # fmt: skip
BLOATED = Index(9, "public", "a_pkey", 1, bytes=40 * MIB, rows=1e6, useful_bytes=10 * MIB, measured="pgstatindex")


def tables(*sizes: int) -> tuple[Table, ...]:
    """Tables a, b, c... of so many mebibytes, dead rows in each; the smallest has the most of them."""
    return tuple(
        replace(DEAD, oid=number, name=chr(96 + number), bytes=mib * MIB) for number, mib in enumerate(sizes, start=1)
    )


def planned(*found: Table, left: float | None = None, **policy: Any) -> list[tuple[str, str]]:
    steps = plan(State(180006, found, rates=RATES), Policy(**policy), left)
    return [(step.table.name, str(step.action["status"])) for step in steps]


def test_over_several_connections_the_longest_goes_first() -> None:
    many = replace(DEAD, oid=1, name="much_to_gain", bytes=100 * MIB, live=0, dead=1_000_000)
    long = replace(DEAD, oid=2, name="long", bytes=600 * MIB, live=900_000, dead=100_000)
    assert [name for name, _ in planned(many, long)] == ["much_to_gain", "long"]
    assert [name for name, _ in planned(many, long, jobs=2)] == ["long", "much_to_gain"]


def test_what_fits_is_what_fits_side_by_side() -> None:
    found = tables(500, 400, 400)  # about 10.6, 8.5 and 8.5 seconds
    assert [status for _, status in planned(*found, left=20.0)] == ["planned", "planned", "deferred"]
    assert [status for _, status in planned(*found, left=20.0, jobs=2)] == ["planned"] * 3
    assert [status for _, status in planned(*found, left=12.0, jobs=2)] == ["planned", "planned", "deferred"]


def test_each_connection_gets_its_share_of_the_budget() -> None:
    worker: Any = SimpleNamespace(rows=lambda _statement: [{"whole": 200}])
    assert crew.cost_settings(worker, Policy(), 1) == {"vacuum_cost_limit": "200"}
    assert crew.cost_settings(worker, Policy(), 4) == {"vacuum_cost_limit": "50"}
    given = Policy(vacuum_cost_limit=1000, vacuum_cost_delay=2.5)
    assert crew.cost_settings(worker, given, 3) == {"vacuum_cost_limit": "333", "vacuum_cost_delay": "2.5ms"}
    assert crew.cost_settings(worker, Policy(vacuum_cost_limit=2), 8)["vacuum_cost_limit"] == "1"


def steps_of(*names: str) -> list[Step]:
    found = State(180006, tuple(replace(DEAD, oid=ord(name), name=name) for name in names), rates=RATES)
    return plan(found, Policy(), None)


class Sites:
    """Stands in for the work itself, and remembers who was at work on which table at the same time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int, fail: str = "") -> None:
        self.sites: Any = [SimpleNamespace(same_server=lambda: None) for _ in range(count)]
        self.at_work: set[int] = set()
        self.most = 0
        self.done: list[str] = []
        self._fail = fail
        self._mutex = threading.Lock()
        monkeypatch.setattr(crew, "act", self.act)

    def act(self, site: Any, steps: list[Step]) -> None:
        for step in steps:
            with self._mutex:
                assert step.table.oid not in self.at_work
                self.at_work.add(step.table.oid)
                self.most = max(self.most, len(self.at_work))
            for _ in range(10):
                time.sleep(0.01)
                if hasattr(site, "look"):
                    site.look()
            with self._mutex:
                self.at_work.discard(step.table.oid)
            if step.table.name == self._fail:
                raise Stopped("Stopped: the server is gone.")
            step.action["status"] = "done"
            self.done.append(step.table.name)


def test_never_two_on_one_table_and_never_more_than_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    sites = Sites(monkeypatch, 3)
    steps = steps_of(*"abcdefg")
    crew.act_all(sites.sites, [step for step in steps for _ in range(2)])
    assert sites.most == 3 and sorted(set(sites.done)) == list("abcdefg")


def test_what_ends_the_work_of_one_ends_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    sites = Sites(monkeypatch, 2, fail="a")
    steps = steps_of(*"abcdefgh")
    with pytest.raises(Stopped, match="the server is gone"):
        crew.act_all(sites.sites, steps)
    left = [step for step in steps if step.action["status"] == "deferred"]
    assert len(left) >= 6 and all("the server is gone" in step.action["reason"] for step in left)


def test_danger_and_leftovers_go_first_and_still_never_two_on_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = tuple(replace(DEAD, oid=ord(name), name=name) for name in "abc")
    danger = replace(DEAD, oid=ord("z"), name="z", xid_age=1_300_000_000)
    left = [
        replace(BLOATED, oid=n, table=t, name=f"i{n}_ccnew", valid=False) for n, t in ((1, ord("a")), (2, ord("z")))
    ]
    steps = plan(State(180006, (*tables, danger), tuple(left), rates=RATES), Policy(jobs=2), None)
    sites = Sites(monkeypatch, 2)
    crew.act_all(sites.sites, steps)
    # The leftover of z waits until z is vacuumed, and keeps nobody from other work.
    assert sites.most == 2 and sorted(sites.done) == ["a", "a", "b", "c", "z", "z"]
    assert set(sites.done[:2]) == {"a", "z"}


def test_one_connection_works_in_the_order_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    sites = Sites(monkeypatch, 1)
    crew.act_all(sites.sites, steps_of(*"dbca"))
    assert sites.done == ["a", "b", "c", "d"]


def test_time_to_clean_up_is_kept() -> None:
    found = State(180006, (replace(DEAD, bytes=100 * MIB, live=1_000_000, dead=0),), (BLOATED,), rates=RATES)
    seconds = plan(found, Policy(), None)[0].seconds
    assert plan(found, Policy(), seconds + 16)[0].planned
    left = plan(found, Policy(), seconds + 14)[0]
    assert left.action["status"] == "deferred" and "and 15 s to clean up" in left.action["reason"]
    assert plan(found, Policy(cleanup_reserve=1), seconds + 14)[0].planned


@pytest.mark.parametrize(("holders", "status"), [("skip", "deferred"), ("wait", "planned"), ("report", "planned")])
def test_what_somebody_holds_is_treated_by_policy_and_always_named(holders: str, status: str) -> None:
    holder = Holder("the prepared transaction px", 50, age=7200.0)
    blocker = Blocker("report (pid 7)", 300.0)
    found = State(180006, (DEAD,), (BLOATED,), (holder,), (blocker,), rates=RATES)
    policy = Policy(holders=holders)
    steps = plan(found, policy, None)
    assert {step.kind: step.action["status"] for step in steps} == {"reindex": status, "vacuum": status}
    named = {check["subject"]: check["summary"] for check in warnings(found, policy, steps)}
    assert set(named) == {holder.what, blocker.what}
