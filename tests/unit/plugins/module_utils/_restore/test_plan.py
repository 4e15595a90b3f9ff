# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a way back, from the databases there are: pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Optional

import pytest

from ansible_collections.day2.ops.plugins.module_utils._backup.archive import Entry, Toc
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, Refused
from ansible_collections.day2.ops.plugins.module_utils._restore import databases, facts, rescue
from ansible_collections.day2.ops.plugins.module_utils._restore import loss as restore_loss
from ansible_collections.day2.ops.plugins.module_utils._restore import needs as restore_needs
from ansible_collections.day2.ops.plugins.module_utils._restore import plan as restore_plan
from ansible_collections.day2.ops.plugins.module_utils._restore.databases import Database, Family, Mark, Shape

NOW = datetime(2026, 12, 6, 3, 15, 0, tzinfo=timezone.utc)
TAKEN = "2026-12-06T02:00:00Z"
SET = "20261206T020000Z-1a2b"
CHOSEN = restore_plan.Chosen(SET, TAKEN, {"public.orders": 100}, 5000)
SHAPE = Shape("UTF8", "C", "C", "c", None, None, "pg_default")


def database(name: str, role: str = "", **more: Any) -> Database:
    mark = Mark("day2/r1", "shop", role, SET, TAKEN, "2026-12-06T03:00:00Z") if role else None
    if mark:
        known = {key: more.pop(key) for key in list(more) if key in Mark.__dataclass_fields__}
        mark = replace(mark, **known)
    return Database(**{"oid": 1, "name": name, "owner": "app", "open": True, "connection_limit": -1, "shape": SHAPE,
                       "mark": mark, **more})  # fmt: skip


LIVE = database("shop")
NEW = database("shop_day2_new", "new")
OLD = database("shop_day2_old_20261206T030000Z", "old")
SWAPPED = Family("shop", database("shop", "live"), olds=(OLD,))


def kinds(steps: list[restore_plan.Step]) -> list[str]:
    return [step.kind for step in steps]


# -- who is who


def test_comments_are_kept_and_marks_found_again() -> None:
    for comment in ("", "the shop", "two\nlines", '{"a": 1}', "ends in json\n[1]"):
        for mark in (None, NEW.mark, replace(NEW.mark, complete=False, closed=True, tables="a, b")):  # type: ignore[type-var]
            one = replace(LIVE, comment=comment, mark=mark)
            assert databases.split(databases.comment_of(one)) == (comment, mark)
    assert databases.comment_of(LIVE) is None


def test_names_fit_and_stay_apart() -> None:
    long = ["ä" * 31 + "a", "ä" * 31 + "b"]
    for role, moment in (("new", None), ("rescue", None), ("old", NOW), ("discarded", NOW)):
        names = {databases.derived(name, role, moment) for name in long}
        assert len(names) == 2 and all(len(name.encode()) <= 63 for name in names)
    assert databases.derived("shop", "old", NOW) == "shop_day2_old_20261206T031500Z"


def test_only_marked_databases_are_of_the_family() -> None:
    other = replace(NEW, name="other_day2_new", mark=replace(NEW.mark, of="other"))  # type: ignore[type-var]
    unmarked = database("shop_day2_old_1")
    found = databases.family("shop", [LIVE, NEW, OLD, other, unmarked])
    assert (found.live, found.new, found.olds, found.rescue) == (LIVE, NEW, (OLD,), None)
    stranger = database("shop_day2_new")
    assert databases.family("shop", [LIVE, stranger]).new == stranger


# -- beside


def beside(
    new: Optional[Database], named: bool = False, chosen: restore_plan.Chosen = CHOSEN, **more: Any
) -> list[str]:
    return kinds(restore_plan.beside(Family("shop", LIVE, new), chosen, named=named, **more))


def test_beside() -> None:
    later = replace(CHOSEN, id="20261207T020000Z-0000")
    assert beside(None) == ["restore"]
    assert beside(NEW) == []
    assert beside(database("shop_day2_new", "new", complete=False)) == ["drop", "restore"]
    assert beside(NEW, chosen=later) == ["drop", "restore"]
    assert beside(NEW, chosen=later, replace=False) == []
    assert beside(NEW, chosen=later, named=True, replace=False) == ["drop", "restore"]
    assert beside(database("shop_day2_new", "new", complete=False), replace=False) == ["drop", "restore"]
    # Created and closed, and nobody can have been in it.
    assert beside(database("shop_day2_new", open=False, connection_limit=0)) == ["drop", "restore"]


@pytest.mark.parametrize("more", [{}, {"open": False}, {"open": False, "connection_limit": 0, "comment": "mine"}])
def test_a_database_of_somebody_else_is_left_alone(more: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="shop_day2_new"):
        beside(database("shop_day2_new", **more))


def test_what_is_live_already_is_not_restored_beside() -> None:
    assert restore_plan.beside(SWAPPED, CHOSEN, named=True) == []
    later = replace(CHOSEN, id="20261207T020000Z-0000")
    assert kinds(restore_plan.beside(SWAPPED, later, named=True)) == ["restore"]


def test_rescue_has_a_database_of_its_own() -> None:
    family = Family("shop", LIVE, NEW, database("shop_day2_rescue", "rescue", tables="a, b"))
    assert restore_plan.beside(family, CHOSEN, named=False, tables=["b", "a"]) == []
    assert kinds(restore_plan.beside(family, CHOSEN, named=False, tables=["a"])) == ["drop", "restore"]


# -- swap


def swap(family: Family, incoming: Optional[restore_plan.Chosen] = CHOSEN, **more: Any) -> list[restore_plan.Step]:
    lost = restore_loss.losses({"public.orders": 130, "public.new": 5}, CHOSEN.rows)
    return restore_plan.swap(family, incoming, lost, **{"now": NOW, "accept": TAKEN, **more})


def test_a_swap_says_what_it_costs() -> None:
    (step,) = swap(Family("shop", LIVE, NEW))
    assert step.name == "shop_day2_old_20261206T031500Z"
    assert step.action["risk"] == "disrupt"
    assert step.action["predicted"]["rows_lost"] == 35 and step.action["predicted"]["span_seconds"] == 4500
    assert "75 min" in step.action["reason"] and "35 rows" in step.action["reason"]


@pytest.mark.parametrize("accept", [None, "2026-12-06T02:00:01Z", "2026-12-06T04:00:00+01:00"])
def test_a_loss_that_was_not_accepted(accept: Optional[str]) -> None:
    with pytest.raises(Refused, match=f"accept_loss_since: {TAKEN}$"):
        swap(Family("shop", LIVE, NEW), accept=accept)


@pytest.mark.parametrize("accept", [TAKEN, "2026-12-06T03:00:00+01:00", "2026-12-01T00:00:00Z"])
def test_a_loss_that_was_accepted(accept: str) -> None:
    assert kinds(swap(Family("shop", LIVE, NEW), accept=accept)) == ["swap"]


def test_nothing_can_be_lost_where_nothing_is() -> None:
    assert kinds(swap(Family("shop", None, NEW), accept=None)) == ["swap"]


def test_a_swap_without_a_set_beside_or_with_another() -> None:
    with pytest.raises(Refused, match="state: beside"):
        swap(Family("shop", LIVE), incoming=None)
    with pytest.raises(Refused, match="not 20261207T020000Z-0000"):
        swap(Family("shop", LIVE, NEW), wanted="20261207T020000Z-0000")


def test_a_second_swap_waits_for_the_first_to_be_confirmed() -> None:
    assert swap(SWAPPED) == [] and swap(replace(SWAPPED, new=NEW), wanted=SET) == []
    with pytest.raises(Refused, match="confirm"):
        swap(replace(SWAPPED, new=NEW), wanted="20261207T020000Z-0000")


def test_losses() -> None:
    found = restore_loss.losses({"a": 10, "b": 5, "c": 99, "d": 7}, {"a": 12, "b": 5, "c": 9})
    assert [(one.table, one.lost) for one in found] == [("c", 90), ("d", 7)]
    (check,) = restore_loss.loss_checks(restore_loss.losses(None, {"a": 1}))
    assert check["status"] == "unknown"


def test_what_was_written_since_the_swap() -> None:
    found = restore_loss.written({"a": (110, 2, 1), "b": (50, 0, 0), "c": (3, 0, 0)}, {"a": 100, "b": 50})
    assert [(one.table, one.total) for one in found] == [("a", 13), ("c", 3)]
    assert restore_loss.written({"a": (110, 0, 0)}, None) == []


# -- back, and the end


def test_rolling_back() -> None:
    (step,) = restore_plan.roll_back(SWAPPED, [], now=NOW)
    assert (step.database, step.name) == (OLD, "shop_day2_discarded_20261206T031500Z")
    assert restore_plan.roll_back(Family("shop", LIVE, NEW), [], now=NOW) == []
    assert kinds(restore_plan.roll_back(Family("shop", None, olds=(OLD,)), [], now=NOW)) == ["roll_back"]
    for family in (Family("shop", database("shop", "live")), Family("shop", LIVE, olds=(OLD,))):
        with pytest.raises(Refused):
            restore_plan.roll_back(family, [], now=NOW)


DISCARDED = database("shop_day2_discarded_1", "discarded")


def test_confirming() -> None:
    family = replace(SWAPPED, discarded=(DISCARDED,), new=NEW)
    assert [step.name for step in restore_plan.confirm(family, OLD.name)] == [OLD.name, DISCARDED.name]
    assert [step.name for step in restore_plan.confirm(family, DISCARDED.name)] == [DISCARDED.name]
    assert [step.name for step in restore_plan.confirm(family, NEW.name)] == [NEW.name]
    assert restore_plan.confirm(Family("shop", LIVE), OLD.name) == []
    assert restore_plan.confirm(Family("shop", LIVE, NEW), OLD.name) == []
    for name in (None, "", "shop", "shop_day2_old", "postgres"):
        with pytest.raises(BadInput, match=f"confirm: {OLD.name}"):
            restore_plan.confirm(family, name)


def test_the_live_database_is_never_dropped() -> None:
    for family in (SWAPPED, Family("shop", LIVE, NEW), replace(SWAPPED, live=database("shop", "old"))):
        with pytest.raises(BadInput):
            restore_plan.confirm(family, "shop")


def test_what_a_killed_run_left_closed_is_opened() -> None:
    closed = database("shop", "closed", open=False, closed=True)
    assert kinds(restore_plan.reopening(Family("shop", closed, NEW))) == ["open"]
    assert restore_plan.reopening(Family("shop", replace(LIVE, open=False), NEW)) == []
    assert restore_plan.reopening(SWAPPED) == []


# -- facts

FACTS = facts.Facts("app", 5, False, frozenset({("app", "", "CONNECT", False)}), {("", "work_mem"): "1MB"}, SHAPE)


def test_every_difference_is_told() -> None:
    assert facts.differences(FACTS, FACTS) == []
    for found in (
        replace(FACTS, owner="other"),
        replace(FACTS, connection_limit=-1),
        replace(FACTS, template=True),
        replace(FACTS, grants=frozenset()),
        replace(FACTS, grants=FACTS.grants | {("app", "x", "CREATE", True)}),
        replace(FACTS, settings={}),
        replace(FACTS, settings={**FACTS.settings, ("app", "work_mem"): "2MB"}),
        replace(FACTS, shape=replace(SHAPE, encoding="LATIN1")),
    ):
        assert len(facts.differences(FACTS, found)) == 1
    # A value may be a secret.
    assert "1MB" not in facts.differences(FACTS, replace(FACTS, settings={}))[0]


# -- single tables


def entry(number: int, desc: str, tag: str, *dependencies: int, schema: str = "public", text: str = "") -> Entry:
    return Entry(number, "DATA" in desc, "", "", tag, desc, 2, text, "", schema, "app", dependencies, 0)


ENTRIES = (
    entry(1, "SCHEMA", "app", schema=""),
    entry(2, "TYPE", "mood", 1, schema="app"),
    entry(3, "TABLE", "orders", 2, schema="app"),
    entry(4, "TABLE", "customers"),
    entry(5, "SEQUENCE", "orders_id_seq", schema="app"),
    entry(6, "SEQUENCE OWNED BY", "orders_id_seq", 5, 3, schema="app"),
    entry(7, "DEFAULT", "orders id", 3, 5, schema="app"),
    entry(8, "TABLE DATA", "orders", 3, schema="app"),
    entry(9, "TABLE DATA", "customers", 4),
    entry(10, "SEQUENCE SET", "orders_id_seq", 5, schema="app"),
    entry(11, "CONSTRAINT", "orders orders_pkey", 3, schema="app"),
    entry(12, "FK CONSTRAINT", "orders orders_customer_fkey", 3, 4, 11, schema="app"),
    entry(13, "TABLE", "log"),
    entry(14, "TABLE", "log_1"),
    entry(15, "TABLE ATTACH", "log_1", 14, 13),
    entry(16, "TABLE DATA", "log_1", 14),
    entry(17, "TRIGGER", "orders t", 3, schema="app"),
    entry(18, "TABLE", "orders", schema="Odd.One"),
    entry(19, "ACL", "TABLE orders", 3, schema="app", text='GRANT SELECT ON TABLE app.orders TO "Odd one";'),
)
TOC = Toc((1, 16, 0), "shop", "18.1", "18.1", ENTRIES, 4, 8, 0)


def test_a_table_comes_with_what_it_needs_and_no_more() -> None:
    tables = rescue.tables_of(TOC, ["app.orders"])
    assert rescue.entries_for(TOC, tables) == {1, 2, 3, 5, 6, 7, 8, 10, 11, 19}
    assert rescue.entries_for(TOC, rescue.tables_of(TOC, ["log"])) == {13, 14, 15, 16}


@pytest.mark.parametrize(("name", "words"), [("orders", '"Odd.One".orders or app.orders'), ("public.none", "no table")])
def test_tables_that_are_not_clear(name: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        rescue.tables_of(TOC, [name])


def test_roles_that_a_set_names() -> None:
    assert restore_needs.roles_of(ENTRIES) == {"app"}
    assert restore_needs.roles_named(ENTRIES, {"Odd one", "Odd", "one", "app"}) == {"Odd one", "app"}
    assert restore_needs.is_about('ALTER ROLE "Odd one" WITH LOGIN', "Odd one")
    assert not restore_needs.is_about("ALTER ROLE apple WITH LOGIN", "app")
