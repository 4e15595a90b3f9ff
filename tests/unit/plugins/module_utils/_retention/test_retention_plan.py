# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of retention, as tables: what goes, in which order, and what is refused."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import Refused
from ansible_collections.day2.ops.plugins.module_utils._core.records import Action
from ansible_collections.day2.ops.plugins.module_utils._retention import obstacles, reach
from ansible_collections.day2.ops.plugins.module_utils._retention.parts import upper_bound
from ansible_collections.day2.ops.plugins.module_utils._retention.plan import Step, checks, in_order, plan, summarize
from ansible_collections.day2.ops.plugins.module_utils._retention.reach import Links, Reference
from ansible_collections.day2.ops.plugins.module_utils._retention.state import (
    ACCEPTABLE,
    Column,
    Due,
    Found,
    Obstacle,
    Partition,
    Policy,
    Relation,
    Span,
)
from ansible_collections.day2.ops.plugins.module_utils._retention.tables import choose_key, choose_protects, choose_walk

CUTOFF = datetime(2026, 1, 2, tzinfo=timezone.utc)
POLICY = Policy("logs", (None, "logs"), "at", "age", "hash", older_than=Span(days=90))
COLUMNS = (Column("id", "bigint", True), Column("at", "timestamp with time zone"))
RELATION = Relation(1, "public", "logs", "r", "app", 1e6, 10**9, COLUMNS, ("id",), ("at", "id"))
FOUND = Found(POLICY, RELATION, CUTOFF, Due(100_000, 0, 1e6, 10**8), known=True)


def found(oid: int = 1, name: str = "logs", references: frozenset[int] = frozenset(), **more: Any) -> Found:
    """``references``: the tables that reference this one."""
    relation = replace(RELATION, oid=oid, name=name)
    policy = replace(POLICY, name=more.pop("policy", name.lower()), **more.pop("options", {}))
    return replace(FOUND, relation=relation, policy=policy, referenced_by=references, **more)


def yes(_action: Action) -> bool:
    return True


def no(_action: Action) -> bool:
    return False


def planned(
    *some: Found, left: Any = None, approved: Any = no, check_mode: bool = False, rates: Any = None
) -> list[Step]:
    return plan(some, left, approved, check_mode, rates or {})


def test_rows_that_are_due_are_one_step_with_its_reason_and_its_cost() -> None:
    (step,) = planned(FOUND)
    action = step.action
    assert (action["action"], action["subject"], action["risk"], action["status"]) == (
        "delete_rows", "public.logs", "maintain", "planned",
    )  # fmt: skip
    assert action["reason"] == "100 000 of about 1 000 000 rows are older than 2026-01-02T00:00:00Z by at"
    assert action["predicted"] == {
        "policy": "logs", "policy_hash": "hash", "table": "public.logs", "cutoff": "2026-01-02T00:00:00Z",
        "rows_deleted": 100_000, "bytes": 10**8, "bytes_archived": 30_000_000, "chunks": 2, "seconds": 11.0,
        "rate": 20_000.0, "archive": "age",
    }  # fmt: skip
    assert action["before"] == {"rows": 1_000_000, "rows_held": 0, "bytes": 10**9}


def test_a_server_that_was_twice_as_fast_needs_half_the_time() -> None:
    (step,) = planned(FOUND, rates={"delete_rows": 40_000.0, "drop_partition": 1.0})
    assert (step.action["predicted"]["rate"], step.seconds) == (40_000.0, 6.0)


def test_nothing_due_is_no_step_and_needs_no_approval() -> None:
    nothing = replace(FOUND, due=Due(0, 3, 10.0, 0), known=False)
    assert planned(nothing) == []
    assert summarize([nothing], []) == "1 policy, 0 rows due, 3 rows under legal hold; nothing is to be done."


def test_erased_rows_cost_no_archive() -> None:
    (step,) = planned(found(options={"erase": True, "archive": "none"}))
    assert step.action["predicted"]["bytes_archived"] == 0 and step.action["predicted"]["chunks"] == 0


def test_the_last_of_a_group_have_another_reason() -> None:
    one = found(options={"older_than": None, "keep_last": 10, "per": ("a", "B c")}, due=Due(1, 2, 10.0, 0), cutoff=None)
    (step,) = planned(one)
    assert step.action["reason"] == (
        '1 of about 10 rows is not among the last 10 of their a, "B c"; 2 rows more under legal hold'
    )


def test_two_policies_for_one_table_are_told_apart() -> None:
    steps = planned(found(policy="a"), found(policy="b"), found(2, 'O"dd'))
    assert [step.action["subject"] for step in steps] == ["public.logs (a)", "public.logs (b)", 'public."O""dd"']


def test_tables_that_reference_come_first() -> None:
    parent = found(1, "parent", frozenset({2, 3}))
    child = found(2, "child", frozenset({3}))
    grandchild = found(3, "grandchild", frozenset({3}))
    other = found(4, "other")
    names = [one.relation.name for one in in_order([parent, child, grandchild, other])]
    assert names == ["grandchild", "child", "parent", "other"]
    # And so do the steps.
    assert [step.action["subject"] for step in planned(parent, child, grandchild, other)] == [
        "public.grandchild", "public.child", "public.parent", "public.other",
    ]  # fmt: skip
    circle = [found(1, "a", frozenset({2})), found(2, "b", frozenset({1}))]
    assert [one.relation.name for one in in_order(circle)] == ["a", "b"]


def test_the_order_of_any_tables_holds_for_every_pair() -> None:
    dice = random.Random(3)
    for _ in range(200):
        count = dice.randint(1, 12)
        # A table is only referenced by those with a higher number: no circle.
        direct = {one: {other for other in range(one + 1, count) if dice.random() < 0.3} for one in range(count)}
        links = Links(
            tuple(
                Reference(oid, f"k{oid}", child, parent)
                for oid, (parent, child) in enumerate(((p, c) for p, some in direct.items() for c in some), 1)
            )
        )
        some = [found(oid, f"t{oid}", links.referenced_by(oid)) for oid in range(count)]
        dice.shuffle(some)
        place = {one.relation.oid: number for number, one in enumerate(in_order(some))}
        assert sorted(place) == list(range(count))
        assert all(place[child] < place[parent] for parent, children in direct.items() for child in children)


PART = Partition(7, "public", "logs_old", "2025-01-01", 500_000_000, 60_000.0)


def test_partitions_go_before_rows_and_their_rows_are_not_deleted_again() -> None:
    pending = replace(PART, oid=8, name="logs_older", pending=True, rows=5.0)
    steps = planned(replace(FOUND, due=Due(100_000, 0, 1e6, 10**8, apart=60_000), partitions=(pending, PART)))
    assert [(step.kind, step.action["subject"], step.action["predicted"]["rows_deleted"]) for step in steps] == [
        ("drop_partition", "public.logs_older", 5),
        ("drop_partition", "public.logs_old", 60_000),
        ("delete_rows", "public.logs", 40_000),
    ]
    assert "it ends at 2025-01-01; an earlier run began to detach it" in steps[0].action["reason"]
    assert steps[1].partition == PART and steps[2].partition is None
    assert [step.kind for step in planned(replace(FOUND, due=Due(5, 0, 9.0, 1, apart=5), partitions=(PART,)))] == [
        "drop_partition"
    ]


def test_a_partition_that_two_policies_let_go_is_dropped_once() -> None:
    due = Due(5, 0, 9.0, 1, apart=5)
    steps = planned(found(policy="a", due=due, partitions=(PART,)), found(policy="b", due=due, partitions=(PART,)))
    assert [step.found.policy.name for step in steps] == ["a"]


def test_obstacles_are_refused_all_at_once_unless_accepted_by_name() -> None:
    stand = (Obstacle("", "it has no key; add one."), *(Obstacle(name, f"about {name}.") for name in ACCEPTABLE))
    for check_mode in (False, True):
        with pytest.raises(Refused) as refused:
            planned(found(obstacles=stand), found(2, "b", obstacles=stand[1:2]), approved=yes, check_mode=check_mode)
        text = str(refused.value)
        assert text.startswith("Failed to start retention: policies[logs]: it has no key; add one. ")
        assert all(f"about {name}." in text for name in ACCEPTABLE) and "policies[b]: about unindexed" in text
    accepted = {"accept": frozenset(ACCEPTABLE)}
    assert planned(found(obstacles=stand[1:], options=accepted))
    with pytest.raises(Refused, match="no key"):
        planned(found(obstacles=stand, options=accepted))
    with pytest.raises(Refused, match=r"about cascade\.$"):
        planned(found(obstacles=stand[1:], options={"accept": frozenset(ACCEPTABLE) - {"cascade"}}))


def test_a_few_thousand_obstacles_are_not_all_told() -> None:
    with pytest.raises(Refused) as refused:
        planned(found(obstacles=tuple(Obstacle("cascade", f"number {number}.") for number in range(3000))))
    assert str(refused.value).endswith("policies[logs]: number 19. And 2 980 more of cascade.")


def test_a_policy_that_never_ran_here_needs_an_approved_plan() -> None:
    new, old = found(known=False), found(2, "old")
    with pytest.raises(Refused, match=r"policies\[logs\] needs an approved plan: .*ops_plan_out, ops_plan_in"):
        planned(new, old)
    assert len(planned(new, old, approved=yes)) == 2
    steps = planned(new, old, check_mode=True)
    assert [step.action["status"] for step in steps] == ["planned", "planned"]
    assert "needs an approved plan" in steps[0].action["reason"]
    assert "approved" not in steps[1].action["reason"] + planned(new, approved=yes, check_mode=True)[0].action["reason"]
    # What was approved is looked at action by action.
    only = planned(new, old, approved=lambda action: action["subject"] == "public.logs")
    assert len(only) == 2


def test_what_cannot_begin_in_time_is_deferred() -> None:
    big = found(1, "big", due=Due(10_000_000, 0, 1e8, 10**9))
    (step,) = planned(big, left=100.0)
    assert step.action["status"] == "planned" and step.seconds > 500
    # Rows go in batches: a part fits. What comes after it does not.
    statuses = [step.action["status"] for step in planned(big, found(2, "b"), left=100.0)]
    assert statuses == ["planned", "deferred"]
    (step,) = planned(FOUND, left=10.0)
    assert step.action["status"] == "deferred" and "it needs about 11 s, 10 s are left" in step.action["reason"]
    due = Due(5, 0, 9.0, 1, apart=5)
    assert [
        one.action["status"] for one in planned(found(due=due, partitions=(replace(PART, bytes=10**10),)), left=300.0)
    ] == ["deferred"]


def test_rows_do_not_go_one_by_one_where_their_partition_has_to_wait() -> None:
    large = replace(PART, bytes=10**10)
    steps = planned(found(due=Due(100_000, 0, 1e6, 10**8, apart=60_000), partitions=(large,)), left=300.0)
    assert [(step.kind, step.action["status"]) for step in steps] == [
        ("drop_partition", "deferred"), ("delete_rows", "deferred"),
    ]  # fmt: skip
    assert "public.logs_old has not gone as a whole" in steps[1].action["reason"]


def test_words() -> None:
    steps = planned(FOUND)
    assert summarize([FOUND], steps) == "1 policy, 100 000 rows due: 1 planned."
    held = [replace(FOUND, due=Due(1, 4, 9.0, 7, referenced=1))]
    assert checks(held)[0]["summary"].endswith("; 3 rows more under legal hold; 1 row more kept by references.")
    assert summarize(held, []).startswith("1 policy, 1 row due, 3 rows under legal hold, 1 row kept by references;")
    (step,) = planned(*held)
    assert step.action["reason"].endswith("; 1 row more kept by references") and step.action["before"]["rows_held"] == 4
    (check,) = checks([replace(FOUND, due=Due(1, 4, 9.0, 7))])
    assert check["summary"] == "1 row of about 9 is due; 4 rows more under legal hold."
    assert (check["subject"], check["value"], check["status"]) == ("public.logs (logs)", 1, "ok")
    assert check["evidence"]["cutoff"] == "2026-01-02T00:00:00Z"


def test_limits_are_reached_only_above_them() -> None:
    policy = replace(POLICY, max_fraction=0.2, max_rows=20)
    for rows, young, names in (
        (20, False, []),
        (21, False, ["max_fraction", "max_rows"]),
        (0, True, ["min_age"]),
    ):
        stand = obstacles.limits(policy, RELATION, Due(rows, 0, 100.0, 0), young)
        assert [one.name for one in stand] == names
    assert obstacles.limits(policy, RELATION, Due(), False) == []


def test_every_obstacle_is_one_sentence() -> None:
    links = Links(names={1: "public.logs", 2: "public.child"})
    crossed = tuple(
        Reference(oid, "k", 2, 1, action, columns="log", indexed=False) for oid, action in enumerate("acnd")
    )
    hooks = [reach.Hook(kind, "h", table) for kind in ("trigger", "rule", "publication") for table in (1, 2)]
    naive = replace(RELATION, columns=(COLUMNS[0], Column("at", "timestamp(3) without time zone")), key=())
    odd = replace(naive, columns=(COLUMNS[0], Column("at", "public.x")))
    stand = [
        *obstacles.references(links, reach.Reach(crossed, (1, 2), (2,))),
        *obstacles.hooked(links, RELATION, hooks),
        *obstacles.secured(RELATION, "r"),
        *obstacles.naive(POLICY, naive),
        *obstacles.unfit(POLICY, odd),
        *obstacles.unfit(
            replace(POLICY, older_than=Span(seconds=1)), replace(RELATION, columns=(Column("at", "date"),))
        ),
        *obstacles.odd_parts(RELATION, ["r"]),
        *obstacles.odd_parts(replace(RELATION, kind="p"), ["f"]),
        *obstacles.nameless(links, hooks[-1:], frozenset({2})),
        *obstacles.limits(replace(POLICY, max_rows=1), RELATION, Due(9, 0, 10.0), True),
        obstacles.unordered(POLICY, RELATION),
        obstacles.depended(RELATION, "public.logs_old", "view public.seen"),
        obstacles.hidden(POLICY, "protect", "r", 'query would be affected by row-level security policy for table "x"'),
    ]
    assert {one.name for one in stand} == {"", *ACCEPTABLE}
    for one in stand:
        assert one.text.endswith(".") and one.text[:-1].count(". ") == 0, one.text
        assert (f"or accept: [{one.name}]." in one.text) == bool(one.name), one.text


def test_what_a_delete_reaches_through_circles_and_partitions() -> None:
    links = Links(
        (
            Reference(10, "self", 1, 1, "c"),
            Reference(11, "child", 2, 1, "c"),
            Reference(12, "child of a part", 2, 5, "c", parent=11),
            Reference(13, "back", 1, 2, "c"),
            Reference(14, "null", 3, 2, "n"),
            Reference(15, "far", 4, 3, "c"),
        ),
        {1: (5, 6)},
    )
    reached = reach.reach(links, 1)
    assert [one.oid for one in reached.crossed] == [10, 11, 13, 14]
    assert (reached.deletes, reached.updates) == ((1, 5, 6, 2), (3,))
    assert [one.oid for one in links.referring(5)] == [12]
    assert links.referenced_by(1) == {2, 3, 4}


@pytest.mark.parametrize(
    ("bound", "upper"),
    [
        ("FOR VALUES FROM ('2026-01-01 00:00:00+00') TO ('2026-02-01 00:00:00+00')", "2026-02-01 00:00:00+00"),
        ("FOR VALUES FROM (MINVALUE) TO ('it''s')", "it's"),
        ("FOR VALUES FROM ('a') TO (MAXVALUE)", None),
        ("FOR VALUES FROM ('a', 1) TO ('b', 2)", None),
        ("FOR VALUES IN ('a')", None),
        ("FOR VALUES WITH (modulus 2, remainder 0)", None),
        ("DEFAULT", None),
    ],
)
def test_where_a_partition_ends(bound: str, upper: Any) -> None:
    assert upper_bound(bound) == upper


def test_the_key_is_the_primary_one_or_the_first_that_tells_all_rows_apart() -> None:
    columns = (Column("id", "int", True), Column("code", "text"), Column("at", "date", True))
    primary = {"unique": True, "columns": ["id", "at"]}
    nullable = {"unique": True, "columns": ["code"]}
    expression = {"unique": True, "columns": [None]}
    plain = {"unique": False, "columns": ["at"]}
    assert choose_key([primary, nullable], columns) == ("id", "at")
    assert choose_key([nullable, expression, plain], columns) == ()
    assert choose_walk([primary, plain], ("id", "at"), "at") == ("at", "id")
    assert choose_walk([primary], ("id", "at"), "at") == ("id", "at")


@pytest.mark.parametrize(
    ("key", "per", "given", "meant"),
    [
        (("id",), (), ["anything"], ("id",)),
        (("a", "b"), (), ["b", "a"], ("b", "a")),
        (("a", "b"), (), ["x", "y"], ("a", "b")),
        (("id",), ("w",), ["w"], ("w",)),
        (("id",), ("w",), ["id"], ("id",)),
        (("id",), ("w", "v"), ["?column?"], ("id",)),
        (("id",), ("w", "v"), ["x", "y"], ("w", "v")),
    ],
)
def test_what_protect_gives(key: Any, per: Any, given: list[str], meant: Any) -> None:
    assert choose_protects(replace(POLICY, per=per), key, given) == meant
