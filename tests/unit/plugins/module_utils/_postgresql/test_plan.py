# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan, as tables: what is measured, what is due, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional

import pytest

from ansible_collections.day2.ops.plugins.module_utils._postgresql import needs
from ansible_collections.day2.ops.plugins.module_utils._postgresql.order import Step
from ansible_collections.day2.ops.plugins.module_utils._postgresql.plan import assume, plan
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import (
    RATES,
    Blocker,
    Holder,
    Index,
    Policy,
    State,
    Table,
)
from ansible_collections.day2.ops.plugins.module_utils._postgresql.summary import summarize, warnings

MIB = 1 << 20
HEALTHY = Table(
    1, "public", "orders", bytes=100 * MIB, index_bytes=40 * MIB, pages=12_800, visible_pages=12_800, rows=1e6,
    live=1_000_000, vacuumed=3600.0, analyzed=3600.0, vacuums=1, analyzes=1, xid_age=1000,
)  # fmt: skip
FRESH = Index(
    2, "public", "orders_pkey", 1, bytes=40 * MIB, rows=1e6, useful_bytes=39.5 * MIB, measured="pgstatindex"
)  # fmt: skip


def state(table: Optional[Table] = HEALTHY, *indexes: Index, **more: Any) -> State:
    tables = more.pop("tables", (table,) if table else ())
    return State(**{"version": 180006, "tables": tables, "indexes": indexes, "rates": RATES, **more})


def told(steps: list[Step]) -> list[tuple[str, str, str]]:
    return [(step.kind, str(step.action["subject"]), str(step.action["status"])) for step in steps]


def only(steps: list[Step]) -> Step:
    assert len(steps) == 1, told(steps)
    return steps[0]


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({}, ""),
        ({"live": 620_000, "dead": 380_000}, "38 % of 1 000 000 rows are dead (threshold 10 %)"),
        ({"live": 900_001, "dead": 99_999}, ""),
        ({"live": 900_000, "dead": 100_000}, "10 % of 1 000 000 rows are dead (threshold 10 %)"),
        ({"live": 100, "dead": 9_999}, ""),
        ({"live": 100, "dead": 10_000}, "99 % of 10 100 rows are dead (threshold 10 %)"),
        ({"toast_live": 10_000, "toast_dead": 30_000}, "75 % of 40 000 TOAST rows are dead (threshold 10 %)"),
        ({"xid_age": 150_000_000}, "its oldest transaction id is 150 000 000 back (threshold 150 000 000)"),
        ({"mxid_age": 300_000_001}, "its oldest multixact is 300 000 001 back (threshold 300 000 000)"),
        ({"lost": True, "live": 0}, needs.LOST),
        ({"kind": "p", "dead": 500_000}, ""),
    ],
)
def test_vacuum_is_due_for_a_measurement(table: dict[str, Any], reason: str) -> None:
    assert needs.vacuum(replace(HEALTHY, **table), Policy(), ()).reason == reason


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({}, ""),
        ({"changed": 99_999}, ""),
        ({"changed": 100_000}, "100 000 rows changed since the last analyze, 10 % of 1 000 000 (threshold 10 %)"),
        ({"live": 100, "changed": 999}, ""),
        ({"live": 0, "changed": 1000}, "1 000 rows changed since the last analyze (threshold 10 %)"),
        ({"analyzed": None}, "it was never analysed"),
        ({"analyzed": None, "live": 0}, ""),
    ],
)
def test_analyze_is_due_for_a_measurement(table: dict[str, Any], reason: str) -> None:
    assert needs.analyze(replace(HEALTHY, **table), Policy(), ()).reason == reason


@pytest.mark.parametrize(
    ("index", "table", "bloat"),
    [
        ({}, {}, None),
        ({"useful_bytes": 20 * MIB}, {}, 0.5),
        ({"useful_bytes": 28.1 * MIB}, {}, None),
        ({"useful_bytes": 20 * MIB, "bytes": 9 * MIB}, {}, None),
        ({"useful_bytes": 20 * MIB, "method": "brin"}, {}, None),
        ({"useful_bytes": 20 * MIB, "exclusion": True}, {}, 0.5),
        # Of a TOAST table the dead rows count that are in it.
        ({"toast": True}, {"live": 500_000, "dead": 500_000}, None),
        ({"toast": True}, {"toast_live": 500_000, "toast_dead": 500_000}, 0.5062),
        ({"useful_bytes": None}, {}, None),
        # Dead rows count as filled space until they are gone; an estimate from live rows knows already.
        ({}, {"live": 500_000, "dead": 500_000}, 0.5062),
        ({"measured": "estimate"}, {"live": 500_000, "dead": 500_000}, None),
        # Full of entries of rows that are gone: what the rows that were counted take says more than the density.
        ({"at_most": 20 * MIB}, {}, 0.5),
        ({"at_most": 30 * MIB}, {"live": 500_000, "dead": 500_000}, 0.5062),
    ],
)
def test_reindex_is_due_for_bloat(index: dict[str, Any], table: dict[str, Any], bloat: Optional[float]) -> None:
    need = needs.reindex(replace(FRESH, **index), replace(HEALTHY, **table), Policy(), ())
    assert need.bloat == bloat
    assert bool(need.reason) == (bloat is not None)


def test_a_second_run_plans_nothing() -> None:
    assert plan(state(HEALTHY, FRESH), Policy(), None) == []
    said = summarize(state(HEALTHY, FRESH), Policy(), [])
    assert said.startswith("1 table, 1 index measured; nothing is due: most dead rows 0 % (public.orders)")


def test_vacuum_and_analyze_are_one_action() -> None:
    step = only(plan(state(replace(HEALTHY, dead=400_000, changed=400_000)), Policy(), None))
    assert step.kind == "vacuum" and step.need.analyze
    assert step.action["predicted"]["analyze"] is True
    assert "dead" in step.action["reason"] and "changed" in step.action["reason"]


def test_rebuilds_come_before_the_vacuum_of_their_table_and_the_worst_table_first() -> None:
    light = replace(HEALTHY, oid=5, name="a_light", live=800_000, dead=200_000, bytes=10 * MIB)
    heavy = replace(HEALTHY, oid=6, name="heavy", dead=1_000_000)
    index = replace(FRESH, table=6, name="heavy_pkey")
    leftover = replace(FRESH, oid=9, table=5, name="a_light_pkey_ccnew1", valid=False)
    steps = plan(state(None, index, leftover, tables=(light, heavy)), Policy(), None)
    assert told(steps) == [
        ("drop_index", "public.a_light_pkey_ccnew1", "planned"),
        ("reindex", "public.heavy_pkey", "planned"),
        ("vacuum", "public.heavy", "planned"),
        ("vacuum", "public.a_light", "planned"),
    ]


def test_a_table_near_the_wraparound_goes_first_and_needs_not_fit() -> None:
    old = replace(HEALTHY, oid=7, name="old", xid_age=1_300_000_000, visible_pages=0)
    heavy = replace(HEALTHY, dead=1_000_000)
    steps = plan(state(None, tables=(heavy, old)), Policy(), 0.5)
    assert told(steps) == [("vacuum", "public.old", "planned"), ("vacuum", "public.orders", "deferred")]
    assert steps[0].need.freeze and steps[0].need.urgent


def test_what_does_not_fit_is_deferred_and_smaller_work_still_done() -> None:
    big = replace(HEALTHY, dead=1_000_000, bytes=100_000 * MIB, pages=12_800_000, visible_pages=0)
    small = replace(HEALTHY, oid=8, name="small", dead=200_000, bytes=MIB, pages=128, index_bytes=0)
    steps = plan(state(None, tables=(big, small)), Policy(), 60.0)
    assert told(steps) == [("vacuum", "public.orders", "deferred"), ("vacuum", "public.small", "planned")]
    assert "it needs about 35 min, 60 s are left" in steps[0].action["reason"]


def test_a_rebuild_that_leans_on_dead_rows_waits_for_their_vacuum() -> None:
    found = state(replace(HEALTHY, live=500_000, dead=500_000), FRESH)
    assert told(plan(found, Policy(), None)) == [
        ("reindex", "public.orders_pkey", "planned"),
        ("vacuum", "public.orders", "planned"),
    ]
    # Only the vacuum fits: it goes alone.
    assert told(plan(found, Policy(), 4.5)) == [
        ("reindex", "public.orders_pkey", "deferred"),
        ("vacuum", "public.orders", "planned"),
    ]
    only_reindex = Policy(operations=frozenset({"reindex"}))
    assert told(plan(found, only_reindex, None)) == [("reindex", "public.orders_pkey", "deferred")]
    # Where no dead rows are left it is the index alone.
    alone = state(HEALTHY, replace(FRESH, at_most=20.0 * MIB))
    assert told(plan(alone, only_reindex, None)) == [("reindex", "public.orders_pkey", "planned")]


@pytest.mark.parametrize(
    ("holder", "vacuumed", "held"),
    [
        (Holder("the prepared transaction px", 50, age=7200.0), 3600.0, True),
        (Holder("the prepared transaction px", 50, age=600.0), 3600.0, False),
        (Holder("the prepared transaction px", 50, age=7200.0), None, False),
        (Holder("the standby sb (pid 1)", 50), 3600.0, False),
        # A slot whose reader left before the vacuum keeps all that died since; of a younger one nobody knows.
        (Holder("the replication slot sb", 50, age=7200.0), 3600.0, True),
        (Holder("the replication slot sb", 50, age=600.0), 3600.0, False),
        (Holder("the replication slot sb", 50), 3600.0, False),
    ],
)
def test_dead_rows_that_somebody_holds_are_not_vacuumed_again(
    holder: Holder, vacuumed: Optional[float], held: bool
) -> None:
    table = replace(HEALTHY, dead=1_000_000, vacuumed=vacuumed)
    step = only(plan(state(table, holders=(holder,)), Policy(), None))
    assert step.action["status"] == ("deferred" if held else "planned")
    assert (step.action["predicted"].get("held_by") == holder.what) is held


def test_a_freeze_is_held_only_by_what_is_older_than_the_threshold() -> None:
    table = replace(HEALTHY, xid_age=160_000_000)
    young, old = Holder("a", 100_000_000, 9e9), Holder("b", 155_000_000)
    assert only(plan(state(table, holders=(young,)), Policy(), None)).action["status"] == "planned"
    assert only(plan(state(table, holders=(old,)), Policy(), None)).action["predicted"]["held_by"] == "b"


SLOT = "the replication slot s"


@pytest.mark.parametrize(
    ("age", "holder", "status", "urgent", "words"),
    [
        (1_900_000_000, 160_000_000, "planned", True, f"it gets no further than 160 000 000 while {SLOT} is open"),
        (1_900_000_000, 1_800_000_000, "planned", True, "no further than 1 800 000 000"),
        (1_900_000_000, 1_890_000_000, "deferred", False, f"its age cannot be lowered while {SLOT} is open"),
        (400_000_000, 160_000_000, "planned", False, "no further than 160 000 000"),
        (400_000_000, 390_000_000, "deferred", False, "its age cannot be lowered"),
        (1_900_000_000, 100_000_000, "planned", True, "(threshold 1 200 000 000)"),
    ],
)
def test_a_holder_withholds_a_freeze_only_where_it_gains_nothing(
    age: int, holder: int, status: str, urgent: bool, words: str
) -> None:
    found = state(replace(HEALTHY, xid_age=age), holders=(Holder("a", 5), Holder(SLOT, holder)))
    step = only(plan(found, Policy(), None))
    assert (step.action["status"], step.need.urgent) == (status, urgent) and words in step.action["reason"]
    told = [check for check in warnings(found, Policy(), [step]) if check["subject"] == SLOT]
    assert len(told) == (step.action["predicted"].get("held_by") == SLOT) == (holder > 150_000_000)
    assert all(("it is left" in check["summary"]) == (status == "deferred") for check in told)


def test_multixacts_near_their_wraparound_are_as_urgent() -> None:
    old = replace(HEALTHY, oid=7, name="old", mxid_age=1_900_000_000, xid_age=200_000_000, visible_pages=0)
    found = state(None, tables=(replace(HEALTHY, dead=1_000_000), old), holders=(Holder(SLOT, 199_000_000),))
    steps = plan(found, Policy(max_window=0.1), 0.5)
    assert told(steps) == [("vacuum", "public.old", "planned"), ("vacuum", "public.orders", "skipped")]
    assert (
        steps[0].need.urgent
        and "its oldest multixact is 1 900 000 000 back (threshold 1 2" in steps[0].action["reason"]
    )


LOCKER = Blocker("the lock of a migration (pid 7)", 300.0)


@pytest.mark.parametrize(("holders", "status"), [("skip", "deferred"), ("wait", "planned"), ("report", "planned")])
def test_what_somebody_keeps_locked_is_treated_by_policy_and_always_named(holders: str, status: str) -> None:
    table = replace(HEALTHY, dead=1_000_000, locked=True)
    found = state(table, replace(FRESH, useful_bytes=MIB), lockers={table.oid: LOCKER})
    policy = Policy(holders=holders)
    steps = plan(found, policy, None)
    assert told(steps) == [("reindex", "public.orders_pkey", status), ("vacuum", "public.orders", status)]
    assert {step.held_by for step in steps} == {LOCKER.what}
    if holders == "skip":
        assert (
            steps[1]
            .action["reason"]
            .endswith("deferred: it would wait for the lock of a migration (pid 7), open for 5 min")
        )
    by_check = {check["check"]: check for check in warnings(found, policy, steps)}
    assert (
        "public.orders: nobody can even read it because of the lock of a migration (pid 7), open for 5 min"
        in (by_check["postgresql_maintenance_locked"]["summary"])
    )
    assert by_check["postgresql_maintenance_holders"]["value"] == 2


def test_danger_is_tried_and_a_locked_table_told_where_nothing_is_due() -> None:
    found = state(replace(HEALTHY, xid_age=1_300_000_000), lockers={HEALTHY.oid: LOCKER})
    assert told(plan(found, Policy(), None)) == [("vacuum", "public.orders", "planned")]
    idle = state(HEALTHY, lockers={HEALTHY.oid: LOCKER})
    assert plan(idle, Policy(), None) == []
    assert [check["status"] for check in warnings(idle, Policy(), [])] == ["warn"]


INVALID = replace(FRESH, valid=False, name="orders_pkey_ccnew")


@pytest.mark.parametrize(
    ("index", "more", "expected", "words"),
    [
        (INVALID, {}, ("drop_index", "planned"), "left it behind"),
        (replace(INVALID, name="orders_pkey_ccold3"), {}, ("drop_index", "planned"), "left it behind"),
        (replace(INVALID, name="i" * 57 + "_ccnew", toast=True), {}, ("drop_index", "planned"), "left it behind"),
        (replace(INVALID, builder=42), {}, ("drop_index", "skipped"), "pid 42 is building it now"),
        (replace(INVALID, owned=False), {"role": "m"}, ("drop_index", "deferred"), "run: GRANT shop TO m;"),
        (
            replace(INVALID, toast=True, lacking="schema"),
            {"role": "m"},
            ("drop_index", "deferred"),
            "SCHEMA pg_toast TO m;",
        ),
        (replace(INVALID, owned=False, name="broken"), {}, ("reindex", "planned"), "it is invalid"),
        (replace(INVALID, name="broken"), {}, ("reindex", "planned"), "it is invalid"),
        (replace(INVALID, name="broken"), {"version": 140003}, ("reindex", "skipped"), "14.0 to 14.3"),
        (replace(INVALID, name="broken"), {"version": 140004}, ("reindex", "planned"), "it is invalid"),
        (replace(INVALID, name="broken"), {"disk_free": 1e6}, ("reindex", "deferred"), "44.0 MiB of disk"),
        (
            replace(INVALID, name="broken"),
            {"blockers": (Blocker("report (pid 7)", 300.0),)},
            ("reindex", "deferred"),
            "it would wait for report (pid 7), open for 5 min",
        ),
        (
            replace(INVALID, name="broken"),
            {"blockers": (Blocker("writer (pid 8)", 300.0, frozenset({99})),)},
            ("reindex", "planned"),
            "it is invalid",
        ),
        (
            replace(INVALID, name="broken"),
            {"obstacles": {"reindex": "day2/r/backup (pid 9) holds the backup lock for 3 s"}},
            ("reindex", "deferred"),
            "holds the backup lock",
        ),
    ],
)
def test_indexes_are_held_back_for_a_reason(
    index: Index, more: dict[str, Any], expected: tuple[str, str], words: str
) -> None:
    step = only(plan(state(replace(HEALTHY, owner="shop"), index, **more), Policy(), None))
    assert (step.kind, step.action["status"]) == expected
    assert words in step.action["reason"]


BLOATED = replace(FRESH, useful_bytes=10 * MIB)
OLD = {"version": 140003}
RIGHTS = {"role": "Ann", "blockers": (Blocker("report (pid 7)", 300.0),)}


@pytest.mark.parametrize(
    ("index", "more", "allow", "expected", "words"),
    [
        (BLOATED, {}, True, ("maintain", "planned"), "75 % of it is bloat"),
        (replace(BLOATED, exclusion=True), {}, False, ("maintain", "skipped"), "; set allow_exclusive_lock to rebuild"),
        (replace(BLOATED, exclusion=True), {}, True, ("disrupt", "planned"), "SHARE on public.orders and ACCESS EXCLU"),
        # It waits for locks, not for old snapshots.
        (replace(BLOATED, exclusion=True), RIGHTS, True, ("disrupt", "planned"), "nobody can write to public.orders"),
        (BLOATED, OLD, False, ("maintain", "skipped"), "update first, or set allow_exclusive_lock"),
        (BLOATED, OLD, True, ("disrupt", "planned"), "14.0 to 14.3 can corrupt"),
        (replace(BLOATED, exclusion=True, useful_bytes=39 * MIB), {}, True, None, ""),
        (replace(BLOATED, toast=True), {}, False, ("maintain", "planned"), "bloat"),
        (replace(BLOATED, toast=True, lacking="schema"), RIGHTS, False, ("maintain", "skipped"),
         'run: GRANT USAGE ON SCHEMA pg_toast TO "Ann";'),
        (replace(BLOATED, toast=True, lacking="schema,owner"), RIGHTS, False, ("maintain", "skipped"),
         'pg_toast TO "Ann"; GRANT shop TO "Ann";'),
    ],
)  # fmt: skip
def test_what_locks_others_out_is_done_only_where_that_is_allowed(
    index: Index, more: dict[str, Any], allow: bool, expected: Optional[tuple[str, str]], words: str
) -> None:
    found = state(replace(HEALTHY, owner="shop", toast=77), index, **more)
    policy = Policy(allow_exclusive_lock=allow)
    steps = plan(found, policy, None)
    if expected is None:
        assert steps == []
        return
    action = only(steps).action
    assert (action["risk"], action["status"]) == expected and words in action["reason"], action["reason"]
    told = [check for check in warnings(found, policy, steps) if check["check"] == "postgresql_maintenance_bloated"]
    assert len(told) == (action["status"] == "skipped")
    assert all(check["status"] == "warn" and "public.orders_pkey" in check["evidence"]["indexes"] for check in told)


def test_one_check_tells_of_all_that_waits_for_the_option() -> None:
    more = [replace(BLOATED, exclusion=True, oid=number, name=f"x{number}") for number in (5, 6)]
    found = state(HEALTHY, *more, replace(BLOATED, oid=9, name="small", exclusion=True, bytes=MIB))
    for scope in ("due", "all"):
        policy = Policy(scope=scope, operations=frozenset({"reindex"}))
        (check,) = warnings(found, policy, plan(found, policy, None))
        assert check["summary"].startswith("2 indexes should be rebuilt and cannot: the index of an exclusion constr")
        assert check["advice"].startswith("Set allow_exclusive_lock") and check["value"] == 2


def test_a_partitioned_parent_is_analysed_once_for_all_its_partitions() -> None:
    parent = Table(20, "public", "parted", kind="p", analyzed=3600.0)
    leaves = tuple(
        replace(HEALTHY, oid=20 + number, name=f"parted_{number}", root=20, changed=200_000) for number in (1, 2)
    )
    steps = plan(state(None, tables=(parent, *leaves)), Policy(), None)
    assert told(steps) == [("analyze", "public.parted", "planned")]
    after = (parent, *(replace(leaf, changed=0) for leaf in leaves))
    assert plan(state(None, tables=after), Policy(), None) == []


def test_operations_that_are_switched_off_are_not_planned() -> None:
    found = state(replace(HEALTHY, dead=500_000, changed=500_000), INVALID)
    assert plan(found, Policy(operations=frozenset()), None) == []
    assert told(plan(found, Policy(operations=frozenset({"analyze"})), None)) == [
        ("analyze", "public.orders", "planned")
    ]


def test_planned_deletes_of_an_earlier_step_count_as_dead() -> None:
    deletes = [
        {"action": "delete", "subject": "public.orders", "status": "planned", "predicted": {"rows_deleted": 400_000}},
        {"action": "delete", "subject": "public.orders", "status": "skipped", "predicted": {"rows_deleted": 900_000}},
        {"action": "delete", "subject": "public.other", "status": "planned", "predicted": {"rows_deleted": 5}},
    ]
    after = assume(state(), deletes).tables[0]
    assert (after.live, after.dead, after.changed) == (600_000, 400_000, 400_000)


def test_evidence_is_declared_and_flat() -> None:
    for step in plan(state(replace(HEALTHY, dead=900_000), FRESH, INVALID), Policy(), 1.0):
        for part in ("predicted", "before"):
            assert all(isinstance(value, (int, float, str, bool, type(None))) for value in step.action[part].values())
