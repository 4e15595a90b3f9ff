# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Policies, as tables: what is understood, and one clear sentence for what is not."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._retention.policy import (
    interval,
    parse_span,
    policies_of,
    policy_options,
)
from ansible_collections.day2.ops.plugins.module_utils._retention.state import ACCEPTABLE, Policy, Span

LEAST = {"name": "logs", "table": "public.logs", "column": "at", "older_than": "90d", "archive": "age"}


def given(**options: Any) -> dict[str, Any]:
    """A policy as the module gets it; options that are None are left out."""
    chosen = {name: value for name, value in {**LEAST, **options}.items() if value is not None}
    spec = {"policies": {"type": "list", "elements": "dict", "options": policy_options()}}
    result = ArgumentSpecValidator(spec).validate({"policies": [chosen]})
    assert not result.error_messages, result.error_messages
    one: dict[str, Any] = result.validated_parameters["policies"][0]
    return one


def policy(**options: Any) -> Policy:
    (one,) = policies_of({"policies": [given(**options)]})
    return one


def refused(**options: Any) -> str:
    with pytest.raises(BadInput) as error:
        policy(**options)
    text = str(error.value)
    # One sentence, that names the option and ends in the remedy.
    assert text.endswith(".") and ". " not in text and ("; " in text or "begin with" in text), text
    return text


def test_a_policy_by_age() -> None:
    one = policy()
    assert (one.name, one.table, one.column, one.archive) == ("logs", ("public", "logs"), "at", "age")
    assert (one.older_than, one.keep_last, one.per) == (Span(days=90), None, ())
    assert (one.min_age, one.max_fraction, one.max_rows) == (Span(days=7), 0.2, None)
    assert (one.erase, one.partitions, one.accept) == (False, False, frozenset())


def test_a_policy_for_the_last_of_each_group() -> None:
    one = policy(older_than=None, keep_last=10, per=["tenant", "Work flow"], table='"My ""table"""')
    assert (one.older_than, one.keep_last, one.per) == (None, 10, ("tenant", "Work flow"))
    assert one.table == (None, 'My "table"')


@pytest.mark.parametrize(
    ("text", "span", "aligned", "least"),
    [
        ("12h", Span(seconds=43_200), False, timedelta(hours=12)),
        ("90d", Span(days=90), True, timedelta(days=90)),
        ("6w", Span(days=42), True, timedelta(days=42)),
        ("3mo", Span(months=3), True, timedelta(days=84)),
        (" 1 y ", Span(months=12), True, timedelta(days=336)),
    ],
)
def test_durations(text: str, span: Span, aligned: bool, least: timedelta) -> None:
    assert parse_span(text, "older_than") == span
    assert (span.aligned, span.least) == (aligned, least)
    assert interval(span) == f"{span.months} months {span.days} days {span.seconds} seconds"


@pytest.mark.parametrize(
    "text", ["", "90", "d", "-1d", "1.5d", "90m", "90D", "1d2h", "1_0d", "٣d", "9999999d", "1d\n;"]
)
def test_what_is_no_duration(text: str) -> None:
    assert "is not a duration; write one such as 12h, 90d, 6w, 3mo or 1y" in refused(older_than=text)


@pytest.mark.parametrize(
    ("option", "options"),
    [
        ("name", {"name": "Logs"}),
        ("name", {"name": "x" * 42}),
        ("name", {"name": "a/../b"}),
        ("table", {"table": "a.b.c"}),
        ("table", {"table": 'a."b'}),
        ("older_than", {"older_than": "0d"}),
        ("older_than", {"older_than": "1001y"}),
        ("older_than", {"keep_last": 3, "per": ["a"]}),
        ("older_than", {"older_than": None}),
        ("keep_last", {"older_than": None, "keep_last": 0, "per": ["a"]}),
        ("per", {"older_than": None, "keep_last": 3}),
        ("per", {"older_than": None, "keep_last": 3, "per": ["a", "a"]}),
        ("per", {"older_than": None, "keep_last": 3, "per": [""]}),
        ("per", {"per": ["a"]}),
        ("column", {"column": None}),
        ("column", {"column": "a\0b"}),
        ("partitions", {"older_than": None, "keep_last": 3, "per": ["a"], "partitions": True}),
        ("where", {"where": " "}),
        ("protect", {"protect": ""}),
        ("legal_hold", {"legal_hold": "\n"}),
        ("archive", {"archive": None}),
        ("archive", {"archive": "zip"}),
        ("archive", {"archive": "none"}),
        ("erase", {"archive": "age", "erase": True}),
        ("archive", {"archive": None, "erase": True}),
        ("archive_delete_after", {"archive": "none", "erase": True, "archive_delete_after": "1y"}),
        ("archive_format", {"archive": "none", "erase": True, "archive_format": "binary"}),
        ("archive_delete_after", {"archive_delete_after": "0d"}),
        ("min_age", {"min_age": "soon"}),
        ("max_fraction", {"max_fraction": 0}),
        ("max_fraction", {"max_fraction": 20}),
        ("max_fraction", {"max_fraction": "nan"}),
        ("max_rows", {"max_rows": 0}),
        ("accept", {"accept": ["cascade", "everything"]}),
    ],
)
def test_what_cannot_be_meant(option: str, options: dict[str, Any]) -> None:
    name = options.get("name", "logs")
    assert f"policies[{name}].{option}" in refused(**options)


def test_an_archive_is_said_or_its_absence_is() -> None:
    assert "it is missing; say age (encrypted), plain" in refused(archive=None)
    assert "none would delete rows without a copy; add erase: true" in refused(archive="none")
    assert policy(archive="none", erase=True).erase


def test_min_age_may_be_nothing() -> None:
    assert policy(min_age="0d").min_age == Span()


def test_names_are_given_once_and_there_is_a_policy() -> None:
    with pytest.raises(BadInput, match=r"policies\[logs\]\.name: two policies"):
        policies_of({"policies": [given(), given(table="other")]})
    with pytest.raises(BadInput, match="policies: there is none"):
        policies_of({"policies": []})


CHANGES: dict[str, dict[str, Any]] = {
    "name": {"name": "other"},
    "table": {"table": "logs"},
    "column": {"column": "created_at"},
    "older_than": {"older_than": "91d"},
    "keep_last": {"older_than": None, "keep_last": 3, "per": ["a"]},
    "per": {"older_than": None, "keep_last": 3, "per": ["b"]},
    "where": {"where": "true"},
    "protect": {"protect": "SELECT 1"},
    "legal_hold": {"legal_hold": "true"},
    "archive": {"archive": "plain"},
    "erase": {"archive": "none", "erase": True},
    "archive_delete_after": {"archive_delete_after": "1y"},
    "archive_format": {"archive_format": "binary"},
    "min_age": {"min_age": "8d"},
    "max_fraction": {"max_fraction": 0.3},
    "max_rows": {"max_rows": 5},
    "partitions": {"partitions": True},
    "accept": {"accept": ["cascade"]},
}


def test_the_hash_is_of_all_that_decides() -> None:
    assert set(CHANGES) == set(policy_options())
    hashes = [policy(**change).hash for change in CHANGES.values()] + [policy().hash]
    assert len(set(hashes)) == len(hashes)


def test_the_hash_is_of_what_is_meant_not_of_how_it_is_written() -> None:
    assert policy(older_than="6w").hash == policy(older_than="42d").hash
    assert policy(table='"public".logs').hash == policy().hash
    several = [list(ACCEPTABLE), list(reversed(ACCEPTABLE)), [*ACCEPTABLE, "cascade"]]
    assert len({policy(accept=names).hash for names in several}) == 1
    assert policy(per=[]).hash == policy().hash


def test_whatever_is_given_a_policy_or_one_sentence_comes_back() -> None:
    dice = random.Random(7)
    values: dict[str, list[Any]] = {
        "name": ["logs", "", "ü", "-", "a" * 41],
        "table": ["t", "s.t", '"a.b"."c""d"', "", ".", '"'],
        "column": [None, "", "at", "100%"],
        "older_than": [None, "90d", "x", "0h"],
        "keep_last": [None, -1, 0, 1, 10**12],
        "per": [None, [], ["a"], ["a", "b"]],
        "archive": [None, "age", "plain", "none", ""],
        "erase": [None, True, False],
        "archive_delete_after": [None, "1y", "?"],
        "max_fraction": [None, -1, 0.5, 1, 2],
        "max_rows": [None, -5, 7],
        "partitions": [None, True],
        "accept": [None, ["rules"], ["?"]],
    }
    understood = 0
    for _ in range(3000):
        options = {name: dice.choice(values[name]) for name in dice.sample(sorted(values), 3)}
        try:
            one = policy(**options)
        except BadInput as error:
            assert str(error).startswith("policies[") and str(error).endswith(".")
        else:
            understood += 1
            assert (one.older_than is None) != (one.keep_last is None)
            assert one.erase == (one.archive == "none")
            assert json.dumps(one.name)
    assert 200 < understood < 2800
