# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import Deferred, Refused
from ansible_collections.day2.ops.plugins.module_utils._core.records import ActionType
from ansible_collections.day2.ops.plugins.module_utils._run.opening import Found, due_actions, failed_targets, obstacle

OPEN = {"open": True, "reason": "Window monthly is open."}
CLOSED = {"open": False, "reason": "The window opens on Sunday."}


def found(**other):
    return Found(**{"due": 2, "window": OPEN, "stop": None, "failed": (), "max_failed": 1, **other})


def test_work_that_is_due_in_an_open_window_may_start():
    assert obstacle(found()) is None


@pytest.mark.parametrize("other", [{"window": CLOSED}, {"stop": "incident"}, {"failed": ("a",)}])
def test_nothing_due_needs_no_permission(other):
    assert obstacle(found(due=0, **other)) is None


@pytest.mark.parametrize(
    ("other", "kind", "words"),
    [
        ({"window": CLOSED}, Refused, "opens on Sunday.*ops_override_reason"),
        ({"stop": "incident 7 (for _all)."}, Refused, "incident 7"),
        ({"stop": "incident 7.", "window": CLOSED}, Refused, "incident 7"),
        ({"failed": ("db1", "db2"), "max_failed": 2}, Deferred, "2 of the targets.*db1, db2.*ops_max_failed is 2"),
    ],
)
def test_each_obstacle_says_what_to_do(other, kind, words):
    error = obstacle(found(**other))
    assert isinstance(error, kind)

    assert re.search(words, str(error))


def test_fewer_failures_than_allowed_let_the_next_target_start():
    assert obstacle(found(failed=("db1",), max_failed=2)) is None


def line(step="run", actions=(), kind=None):
    return {"step": step, "actions": list(actions), "failed": kind is not None, "error": kind and {"kind": kind}}


def test_only_the_rehearsals_planned_actions_are_due():
    vacuum = ActionType("vacuum", "maintain")
    planned, left = vacuum.plan("a", "due"), vacuum.plan("b", "no time", status="deferred")
    assert due_actions([{"schema": "header"}, line("plan", [planned, left]), line("before", [planned])]) == [planned]


@pytest.mark.parametrize(
    ("kind", "counts"), [("failed", True), ("unreachable", True), ("refused", False), ("stopped", False)]
)
def test_a_refusal_does_not_trip_the_breaker(kind, counts):
    assert failed_targets({"db1": [line(), line(kind=kind)]}) == (("db1",) if counts else ())
