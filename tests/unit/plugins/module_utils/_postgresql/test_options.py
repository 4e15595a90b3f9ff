# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that decide, and verdicts that need no server."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._core.limits import complete
from ansible_collections.day2.ops.plugins.module_utils._postgresql import grants, health, maintenance
from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake import BrakePolicy
from ansible_collections.day2.ops.plugins.module_utils._postgresql.locks import slot_spec
from ansible_collections.day2.ops.plugins.module_utils._postgresql.preflight import Server, moved
from ansible_collections.day2.ops.plugins.module_utils._postgresql.read import choose
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import Policy, Table


def params(**given: Any) -> dict[str, Any]:
    spec = maintenance.policy_spec().merge(slot_spec()).argument_spec
    return {**{name: option.get("default") for name, option in spec.items()}, **given}


def test_the_defaults_of_the_options_are_those_of_the_policy() -> None:
    assert maintenance.policy_of(params()) == Policy()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("vacuum_dead_ratio", 0), ("vacuum_dead_ratio", 1.5), ("analyze_ratio", -1), ("index_bloat_ratio", 30),
        ("lock_timeout", 0), ("server_slots", 0), ("vacuum_min_dead_rows", -1), ("freeze_age", -5),
    ],
)  # fmt: skip
def test_values_that_cannot_be_meant_are_named(option: str, value: float) -> None:
    with pytest.raises(BadInput, match=rf"^{option}: "):
        maintenance.policy_of(params(**{option: value}))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"conections": {"warn": 1}}, "conections: is not a kind of finding; use "),
        ({"connections": 5}, "connections: 5 is no dictionary"),
        ({"connections": {"warning": 5}}, "connections.warning: is not a level; use warn and crit"),
        ({"connections": {"warn": "many"}}, "connections.warn: 'many' is not a number"),
        ({"connections": {"warn": "nan"}}, "connections.warn: 'nan' is not a number"),
    ],
)
def test_thresholds_that_cannot_be_meant_are_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=r"^thresholds\.") as caught:
        complete(given, health.THRESHOLDS)
    assert words in str(caught.value)


def test_thresholds_are_laid_over_the_defaults() -> None:
    limits = complete({"connections": {"warn": 0.5}, "cache_hits": {"warn": None}}, health.THRESHOLDS)
    assert limits["connections"] == {"warn": 0.5, "crit": 0.95}
    assert limits["cache_hits"] == {"warn": None, "crit": None}


SERVER = Server(180006, False, "app", 16384, "m", "7300", 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"timeline": 2}, "the timeline changed from 1 to 2"),
        ({"system_identifier": "9"}, "the system identifier changed from 7300 to 9"),
        ({"standby": True, "timeline": None}, "the server became a standby"),
        ({"oid": 5}, "the database app is another one now"),
    ],
)
def test_another_server_is_noticed(change: dict[str, Any], words: str) -> None:
    assert moved(SERVER, Server(**{**SERVER.__dict__, **change})) == words


TABLES = [Table(1, "a", "t"), Table(2, "b", "t"), Table(3, "a", "p", kind="p"), Table(4, "a", "p1", root=3)]


def test_tables_are_chosen_by_name_and_a_parent_with_its_partitions() -> None:
    assert [table.oid for table in choose(TABLES, [], "app")] == [1, 2, 3, 4]
    assert [table.oid for table in choose(TABLES, ["p", "a.t"], "app")] == [3, 4, 1]


@pytest.mark.parametrize(("text", "words"), [("t", "more than one table"), ("T", "not a user table"), ("c.t", "not a")])
def test_a_table_that_is_not_there_is_named(text: str, words: str) -> None:
    with pytest.raises(BadInput, match=r"^tables: ") as caught:
        choose(TABLES, [text], "app")
    assert words in str(caught.value)


def test_the_brake_acts_before_the_lock_timeout_is_over() -> None:
    held = next(limit for limit in BrakePolicy(lock_timeout=2.0).limits() if limit.signal == "held_up")
    assert held.stop is not None and held.stop < 2.0


def test_every_purpose_has_its_grants_as_data() -> None:
    assert all(module in grants.NEEDS for _, module in maintenance.PURPOSES.values())
