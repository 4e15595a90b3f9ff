# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done first, what is left to a person, and whose thresholds hold: the plan beside what it measures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._postgresql.order import Step
from ansible_collections.day2.ops.plugins.module_utils._postgresql.plan import plan
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import (
    RATES,
    History,
    Index,
    Policy,
    State,
    Table,
)
from ansible_collections.day2.ops.plugins.module_utils._postgresql.summary import UNKNOWN, summarize, warnings
from ansible_collections.day2.ops.plugins.module_utils._postgresql.thresholds import overrides_of, policy_for
from ansible_collections.day2.ops.plugins.module_utils._window.options import decision

MIB = 1 << 20
DEAD = Table(
    1, "public", "orders", bytes=100 * MIB, index_bytes=40 * MIB, pages=12_800, rows=1e6, live=600_000, dead=400_000,
    vacuumed=3600.0, analyzed=3600.0, vacuums=1, analyzes=1, xid_age=1000,
)  # fmt: skip
LIGHT = replace(DEAD, oid=2, name="light", live=880_000, dead=120_000, bytes=10 * MIB)
BLOATED = Index(3, "public", "orders_pkey", 1, bytes=40 * MIB, rows=1e6, useful_bytes=20 * MIB, measured="pgstatindex")
CLEAN = replace(DEAD, live=1_000_000, dead=0)


def state(*tables: Table, **more: Any) -> State:
    return State(**{"version": 180006, "tables": tables, "rates": RATES, **more})


def told(steps: list[Step]) -> list[tuple[str, str]]:
    return [(str(step.action["subject"]), str(step.action["status"])) for step in steps]


def test_a_vacuum_fits_also_when_the_rebuild_before_it_does_not() -> None:
    alone = plan(state(DEAD), Policy(), None)
    _rebuild, vacuum = plan(state(DEAD, indexes=(BLOATED,)), Policy(), None)
    assert vacuum.seconds == alone[0].seconds


def test_the_next_run_begins_with_what_was_left() -> None:
    left = History(known=True, deferred={"vacuum public.light": 1})
    assert [subject for subject, _ in told(plan(state(DEAD, LIGHT), Policy(), None))] == [
        "public.orders",
        "public.light",
    ]
    after = plan(state(DEAD, LIGHT, history=left), Policy(), None)
    assert [subject for subject, _ in told(after)] == ["public.light", "public.orders"]


def test_the_longer_left_goes_first_and_danger_before_it() -> None:
    old = replace(CLEAN, oid=5, name="old", xid_age=1_300_000_000)
    history = History(deferred={"vacuum public.light": 2, "vacuum public.orders": 1})
    steps = plan(state(DEAD, LIGHT, old, history=history), Policy(), None)
    assert [subject for subject, _ in told(steps)] == ["public.old", "public.light", "public.orders"]


def test_left_three_times_in_a_row_warns() -> None:
    for before, expected in ((1, []), (2, ["warn"]), (5, ["warn"])):
        found = state(DEAD, history=History(deferred={"vacuum public.orders": before}))
        steps = plan(found, Policy(), 0.5)
        assert told(steps) == [("public.orders", "deferred")]
        checks = warnings(found, Policy(), steps)
        assert [check["status"] for check in checks] == expected
        if checks:
            assert checks[0]["value"] == before + 1 and "0 s are left" in checks[0]["summary"]


def test_danger_goes_before_leftovers_and_these_before_the_rest() -> None:
    """Dropping one waits for whoever uses its table; that may take the whole window."""
    old = replace(CLEAN, oid=5, name="old", xid_age=1_300_000_000)
    worn = replace(BLOATED, oid=6, name="old_pkey", table=5)
    left = replace(BLOATED, oid=9, name="orders_pkey_ccnew", valid=False)
    steps = plan(state(DEAD, old, indexes=(left, worn)), Policy(), None)
    assert [(step.kind, step.action["subject"]) for step in steps] == [
        ("vacuum", "public.old"),
        ("drop_index", "public.orders_pkey_ccnew"),
        ("reindex", "public.old_pkey"),
        ("vacuum", "public.orders"),
    ]


def test_what_an_approved_plan_leaves_out_takes_no_time() -> None:
    more = replace(DEAD, oid=5, name="more", live=100_000, dead=900_000, bytes=500 * MIB)
    assert told(plan(state(DEAD, more), Policy(), 13.0)) == [("public.more", "planned"), ("public.orders", "deferred")]
    steps = plan(state(DEAD, more), Policy(), 13.0, lambda action: action["subject"] == "public.more")
    assert told(steps)[1] == ("public.orders", "planned")


def test_what_no_window_is_long_enough_for_is_critical_and_says_the_choices() -> None:
    found, policy = state(CLEAN, indexes=(BLOATED,)), Policy(max_window=3.0)
    steps = plan(found, policy, None)
    assert told(steps) == [("public.orders_pkey", "skipped")]
    (check,) = warnings(found, policy, steps)
    assert (check["check"], check["status"], check["crit"]) == ("postgresql_maintenance_oversize", "crit", 3.0)
    assert "ops_override_duration" in check["advice"] and "index_bloat_ratio" in check["advice"]
    assert warnings(found, Policy(max_window=3600.0), plan(found, Policy(max_window=3600.0), None)) == []


def test_what_fits_no_window_for_its_clean_up_is_told_too() -> None:
    found = state(CLEAN, indexes=(BLOATED,))
    (step,) = plan(found, Policy(), None)
    policy = Policy(max_window=step.seconds + 5)
    steps = plan(found, policy, None)
    (check,) = warnings(found, policy, steps)
    assert steps[0].action["status"] == "skipped" and check["status"] == "crit", check
    assert "and 15 s to clean up; no window is longer than" in check["summary"]


WINDOW = {"environment": "production", "risk": ["maintain"], "start": "02:00"}
WINDOWS = [
    {**WINDOW, "name": "weekly", "rrule": "FREQ=WEEKLY;BYDAY=SU", "duration": "2h"},
    {**WINDOW, "name": "monthly", "rrule": "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=1", "duration": "6h"},
]
ASKED = {
    "windows": WINDOWS, "freezes": [], "environment_name": "production",
    "override_duration": 7200, "close_reserve": 300,
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "hours", "status"),
    [
        # In the weekly window: what the monthly one has room for is left to that, not to a person.
        ({}, 1, "planned"),
        ({}, 5, "deferred"),
        ({}, 7, "skipped"),
        ({"windows": WINDOWS[:1]}, 5, "skipped"),
        # Longer for once, though a window is open; and without any window nobody knows what is long.
        ({"override_reason": "CHG-1", "override_duration": 8 * 3600}, 7, "planned"),
        ({"override_reason": "CHG-1", "windows": []}, 7, "deferred"),
    ],
)
def test_too_large_is_what_fits_no_window_there_is(given: dict[str, Any], hours: float, status: str) -> None:
    now = clock.parse("2026-12-13T02:00:00Z")
    window = decision({**ASKED, **given}, "maintain", now)
    left = (clock.parse(window["deadline"]) - now).total_seconds()
    rates = {**RATES, "vacuum": (DEAD.bytes + DEAD.index_bytes) / (hours * 3600)}
    steps = plan(state(DEAD, rates=rates), Policy(max_window=window["longest"]), left)
    assert told(steps) == [("public.orders", status)]


def test_a_vacuum_against_wraparound_is_never_too_large() -> None:
    urgent = replace(DEAD, xid_age=1_300_000_000)
    assert told(plan(state(urgent), Policy(max_window=0.1), 0.1)) == [("public.orders", "planned")]
    freeze = replace(DEAD, xid_age=160_000_000)
    steps = plan(state(freeze), Policy(max_window=0.1), None)
    assert told(steps) == [("public.orders", "skipped")]
    assert "nears the wraparound" in warnings(state(freeze), Policy(max_window=0.1), steps)[0]["advice"]


def test_an_index_that_gave_back_little_must_reach_more() -> None:
    found = state(CLEAN, indexes=(BLOATED,), history=History(raised={"public.orders_pkey": 0.6}))
    assert plan(found, Policy(), None) == []
    steps = plan(replace(found, indexes=(replace(BLOATED, useful_bytes=10 * MIB),)), Policy(), None)
    assert "(threshold 60 %, raised because its last rebuild gave back little)" in steps[0].action["reason"]


def test_an_action_says_what_it_will_take() -> None:
    (step,) = plan(state(CLEAN, indexes=(BLOATED,)), Policy(), None)
    predicted = step.action["predicted"]
    assert predicted["bytes_reclaimed"] == 20 * MIB and predicted["disk_bytes"] == 44 * MIB
    assert predicted["seconds"] == pytest.approx(0.2 + 240 * MIB / 60e6, abs=0.1)
    assert step.action["risk"] == "maintain" and step.action["reason"]


def test_all_is_all_that_was_selected() -> None:
    brin = replace(BLOATED, oid=9, name="orders_brin", method="brin")
    small = replace(BLOATED, oid=8, name="orders_small", bytes=16384, useful_bytes=16384.0)
    found = state(CLEAN, indexes=(small, brin))
    assert plan(found, Policy(), None) == []
    steps = plan(found, Policy(scope="all"), None)
    assert told(steps) == [("public.orders_small", "planned"), ("public.orders", "planned")]
    assert "scope: all" in steps[0].action["reason"]


def test_the_summary_knows_thresholds_of_their_own() -> None:
    found = state(CLEAN, indexes=(replace(BLOATED, bytes=MIB, useful_bytes=None),))
    assert "1 index below 10.0 MiB" in summarize(found, Policy(), [])
    own = Policy(overrides=overrides_of([{"table": "orders", "index_min_bytes": 4096}]))
    assert "below" not in summarize(found, own, []) and "1 index not to be told" in summarize(found, own, [])


def test_without_history_the_summary_says_so() -> None:
    steps = plan(state(DEAD), Policy(), None)
    assert UNKNOWN in summarize(state(DEAD), Policy(), steps)
    assert UNKNOWN not in summarize(state(DEAD, history=History(known=True)), Policy(), steps)


def policy(*entries: dict[str, Any]) -> Policy:
    return Policy(overrides=overrides_of(entries))


@pytest.mark.parametrize(
    ("entries", "ratio"),
    [
        ([], 0.1),
        ([{"schema": "public", "vacuum_dead_ratio": 0.2}], 0.2),
        ([{"schema": "other", "vacuum_dead_ratio": 0.2}], 0.1),
        ([{"table": "orders", "vacuum_dead_ratio": 0.3}, {"schema": "public", "vacuum_dead_ratio": 0.2}], 0.3),
        ([{"table": "public.orders", "vacuum_dead_ratio": 0.4}, {"table": "orders", "vacuum_dead_ratio": 0.3}], 0.4),
        ([{"table": "other.orders", "vacuum_dead_ratio": 0.4}], 0.1),
        ([{"table": "Orders", "vacuum_dead_ratio": 0.4}], 0.1),
    ],
)
def test_the_most_exact_threshold_wins(entries: list[dict[str, Any]], ratio: float) -> None:
    assert policy_for(policy(*entries), DEAD).vacuum_dead_ratio == ratio


def test_thresholds_are_laid_over_each_other_option_by_option() -> None:
    given = policy({"schema": "public", "freeze_age": 5}, {"table": "orders", "analyze_ratio": 0.5})
    own = policy_for(given, DEAD)
    assert (own.freeze_age, own.analyze_ratio, own.vacuum_dead_ratio) == (5, 0.5, 0.1)


def test_thresholds_of_a_partitioned_table_hold_for_its_partitions() -> None:
    root = Table(20, "public", "parted", kind="p")
    part = replace(DEAD, name="parted_1", root=20)
    given = policy({"table": "parted", "vacuum_dead_ratio": 0.5})
    assert policy_for(given, part, root).vacuum_dead_ratio == 0.5
    own = policy({"table": "parted_1", "vacuum_dead_ratio": 0.6}, {"table": "public.parted", "vacuum_dead_ratio": 0.5})
    assert policy_for(own, part, root).vacuum_dead_ratio == 0.6
    assert told(plan(state(root, part), given, None)) == [("public.parted", "planned")]  # to be analysed, no more


def test_a_table_with_its_own_threshold_is_planned_by_it() -> None:
    given = policy({"table": "orders", "vacuum_dead_ratio": 0.5})
    assert told(plan(state(DEAD, LIGHT), given, None)) == [("public.light", "planned")]


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([{"table": "orders"}], "sets nothing"),
        ([{"table": "orders", "freeze_age": 1}, {"table": "orders", "freeze_age": 2}], "two entries"),
        ([{"table": "orders", "analyze_ratio": 7.0}], "analyze_ratio: 7.0 is not a ratio (thresholds, orders)"),
        ([{"schema": "s", "freeze_age": -1}], "freeze_age: -1 is negative (thresholds, s)"),
        ([{"table": "a.b.c", "freeze_age": 1}], "is not a table"),
    ],
)
def test_thresholds_that_cannot_be_meant_are_named(entries: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(BadInput) as caught:
        overrides_of(entries)
    assert words in str(caught.value)
