# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core import records
from ansible_collections.day2.ops.plugins.module_utils._core.foreign import foreign_actions, foreign_checks

DISK = records.CheckType("disk", "ratio", "above", ("free_bytes",))
VACUUM = records.ActionType("vacuum", "maintain", ("dead_rows",))


@pytest.mark.parametrize(
    ("statuses", "worst"),
    [
        ([], "unknown"),
        (["ok"], "ok"),
        (["warn", "ok"], "warn"),
        (["warn", "unknown"], "unknown"),
        (["unknown", "crit", "ok"], "crit"),
        (["ok", "splendid"], "unknown"),
    ],
)
def test_the_worst_status_counts(statuses: list[str], worst: str) -> None:
    assert records.worst_status(statuses) == worst


@pytest.mark.parametrize(
    ("value", "warn", "crit", "bad", "status"),
    [
        (0.69, 0.7, 0.9, "above", "ok"),
        (0.7, 0.7, 0.9, "above", "warn"),
        (0.9, 0.7, 0.9, "above", "crit"),
        (31, 30, 14, "below", "ok"),
        (30, 30, 14, "below", "warn"),
        (14, 30, 14, "below", "crit"),
        (-5, 30, 14, "below", "crit"),
        (0, 0, None, "above", "warn"),
        (None, 0.7, 0.9, "above", "unknown"),
        (5, None, None, "above", "ok"),
        (5, 1, 2, None, "ok"),
    ],
)
def test_status_follows_from_value_and_thresholds(value, warn, crit, bad, status):
    assert records.judge(value, warn, crit, bad) == status


def test_a_check_has_exactly_the_keys_of_the_record():
    check = DISK("db", 0.8, warn=0.7, crit=0.9, summary="80 % used", advice="grow it", free_bytes=7)
    assert tuple(check) == records.CHECK_KEYS
    assert (check["status"], check["advice"], check["evidence"]) == ("warn", "grow it", {"free_bytes": 7})


def test_an_ok_check_gives_no_advice():
    assert DISK("db", 0.1, warn=0.7, summary="fine", advice="grow it")["advice"] == ""


@pytest.mark.parametrize("evidence", [{"query": "select secret"}, {"free_bytes": {"nested": 1}}])
def test_evidence_is_flat_and_declared(evidence):
    with pytest.raises(AssertionError, match="Contract violation"):
        DISK("db", 0.1, summary="", **evidence)


def test_an_action_has_exactly_the_keys_of_the_record_and_always_a_reason():
    action = VACUUM.plan("public.t", "38 % of its rows are dead", before={"dead_rows": 38})
    assert tuple(action) == records.ACTION_KEYS
    with pytest.raises(AssertionError):
        VACUUM.plan("public.t", "")
    with pytest.raises(AssertionError, match="does not declare 'rows'"):
        VACUUM.plan("public.t", "due", predicted={"rows": 1})


def test_the_life_of_an_action():
    action = records.begin(VACUUM.plan("public.t", "due"))
    assert action["started"] and action["status"] == "planned"
    records.finish(action, {"dead_rows": 0})
    assert (action["status"], action["after"]) == ("done", {"dead_rows": 0}) and action["ended"]


def test_a_deferred_action_says_why_it_was_due_and_why_it_was_left():
    action = records.defer(VACUUM.plan("public.t", "38 % dead"), "the window ends in 2 s")
    assert action["reason"] == "38 % dead; deferred: the window ends in 2 s"
    assert action["ended"] is None  # it never began


@pytest.mark.parametrize(
    ("made", "changed"),
    [
        (lambda: VACUUM.plan("t", "due"), True),
        (lambda: records.finish(VACUUM.plan("t", "due")), True),
        (lambda: records.defer(VACUUM.plan("t", "due"), "time"), False),
        (lambda: records.defer(records.begin(VACUUM.plan("t", "due")), "time"), True),
        (lambda: records.skip(VACUUM.plan("t", "due"), "locked"), False),
        (lambda: records.fail(records.begin(VACUUM.plan("t", "due")), "no"), True),
    ],
)
def test_changed_means_that_something_was_or_would_be_touched(made, changed):
    assert records.changed([made()]) is changed
    assert records.changed([]) is False


def test_foreign_findings_take_the_shape_of_ours():
    given = {"check": "queue", "subject": "q", "status": None, "value": 60.0, "unit": "count", "warn": 50.0}
    given.update({"crit": None, "bad": "above", "summary": "60 wait", "advice": "look"})
    assert foreign_checks([given])[0]["status"] == "warn"
    done = foreign_actions(
        [{"action": "purge", "subject": "cdn", "risk": "maintain", "status": "done", "reason": "release"}]
    )
    assert tuple(done[0]) == records.ACTION_KEYS
