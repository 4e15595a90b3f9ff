# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core import records
from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Refused
from ansible_collections.day2.ops.plugins.module_utils._core.liveness import Liveness
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import ActionType
from ansible_collections.day2.ops.plugins.module_utils._core.saved_plan import approved, growth, settle, unlisted

VACUUM = ActionType("vacuum", "maintain", ("seconds", "bytes_reclaimed"))
DELETE = ActionType("delete_rows", "maintain", ("rows_deleted", "set"))


def vacuum(subject="orders", seconds=100.0, **more):
    return VACUUM.plan(subject, "due", predicted={"seconds": seconds}, **more)


def delete(subject="events", rows=1000, **more):
    return DELETE.plan(subject, "old", predicted={"rows_deleted": rows, **more})


def run(*listed, id_="f00d"):
    plan = {"name": "work", "id": id_, "planned": "2026-11-21T02:00:00Z", "actions": copy.deepcopy(list(listed))}
    return Run({"run": {"plan": plan}}, False, Deadline(None), Liveness(None))


def statuses(actions):
    return [action["status"] for action in actions]


def test_without_a_plan_nothing_is_held_back_and_nothing_is_approved():
    without = Run({"run": {}}, False, Deadline(None), Liveness(None))
    actions = [vacuum()]
    settle(without, actions)
    assert statuses(actions) == ["planned"] and without.approval is None and without.actions is actions
    assert not approved(without, actions[0])


def test_what_is_listed_runs_and_what_is_not_is_deferred():
    given, actions = run(vacuum("a")), [vacuum("a"), vacuum("b")]
    assert [approved(given, action) for action in actions] == [True, False]
    settle(given, actions)
    assert statuses(actions) == ["planned", "deferred"]
    assert actions[1]["reason"] == "due; deferred: the approved plan does not list it"


def test_what_takes_no_time_is_what_the_plan_leaves_out():
    assert not unlisted(Run({"run": {}}, False, Deadline(None), Liveness(None)), vacuum())
    approved = run(vacuum())
    assert not unlisted(approved, vacuum(seconds=900.0)) and unlisted(approved, vacuum("other"))
    assert unlisted(run(id_=None), vacuum())


def test_another_action_on_the_same_thing_is_another_action():
    actions = [delete("a")]
    settle(run(vacuum("a")), actions)
    assert statuses(actions) == ["deferred"]


def test_what_was_deferred_in_the_plan_was_not_approved():
    given, actions = run(records.defer(vacuum("a"), "no time")), [vacuum("a")]
    assert not approved(given, actions[0])
    settle(given, actions)
    assert statuses(actions) == ["deferred"]


def test_a_task_without_a_file_may_do_nothing():
    actions = [vacuum("a")]
    settle(run(id_=None), actions)
    assert statuses(actions) == ["deferred"] and "no file for this task" in actions[0]["reason"]


def test_the_check_tells_what_became_of_the_plan():
    given, actions = run(vacuum("a"), vacuum("gone")), [vacuum("a"), vacuum("new")]
    settle(given, actions)
    check = given.approval
    assert check["subject"] == "work" and check["status"] == "ok" and check["value"] == 2
    assert check["summary"] == (
        "1 of 2 approved actions are due now; 1 are not needed any more; 1 others are due and not approved."
    )
    assert check["evidence"] == {
        "plan": "f00d", "planned": "2026-11-21T02:00:00Z", "due": 1, "unlisted": 1, "not_needed": 1,
    }  # fmt: skip


def test_what_the_planner_left_itself_stays_as_it_is():
    late, left = records.defer(vacuum("a"), "no time"), records.skip(vacuum("b"), "somebody builds it")
    given = run(vacuum("a"), vacuum("b"))
    reasons = [late["reason"], left["reason"]]
    settle(given, [late, left])
    assert [late["reason"], left["reason"]] == reasons and given.approval["evidence"]["not_needed"] == 0


def test_an_estimate_that_grew_refuses_all_before_anything_is_done():
    actions = [vacuum("a"), delete(rows=1201), vacuum("new")]
    with pytest.raises(Refused) as refused:
        settle(run(vacuum("a"), delete(rows=1000)), actions)
    assert str(refused.value) == (
        "Refused to run the approved plan: rows_deleted grew from 1,000 to 1,201 for delete_rows events, more than a "
        "fifth above what was approved; plan again with ops_plan_out and approve that plan."
    )
    assert statuses(actions) == ["deferred"] * 3 and not records.changed(actions)


@pytest.mark.parametrize(
    ("listed", "now", "grown"),
    [
        ({"rows_deleted": 1000}, {"rows_deleted": 1200}, False),
        ({"rows_deleted": 10}, {"rows_deleted": 13}, True),
        ({"rows_deleted": 1000}, {"rows_deleted": 1}, False),
        ({}, {"rows_deleted": 5}, True),
        ({"rows_lost": 5}, {"rows_lost": None}, True),
        ({"rows_lost": None}, {"rows_lost": 5000}, False),
        ({"seconds": 100.0}, {"seconds": 121.0}, True),
        ({"seconds": 1.0}, {"seconds": 9.0}, False),  # noise
        ({"bytes": 10 << 20}, {"bytes": 13 << 20}, True),
        ({"logical_bytes": 10 << 20}, {"logical_bytes": 13 << 20}, True),
        ({"bytes": 100}, {"bytes": 5000}, False),  # noise
        ({"bytes_reclaimed": 1 << 20}, {"bytes_reclaimed": 1 << 30}, False),  # a gain
        ({"tables": 1, "analyze": False, "span_seconds": 1}, {"tables": 9, "analyze": True, "span_seconds": 99}, False),
    ],
)
def test_growth_is_of_what_costs_or_loses(listed, now, grown):
    assert bool(growth(listed, now)) is grown


def test_another_set_than_the_approved_one_is_not_approved():
    actions = [delete(set="B")]
    settle(run(delete(set="A")), actions)
    assert statuses(actions) == ["deferred"] and "with set A, not B" in actions[0]["reason"]


def test_what_belongs_together_is_left_together():
    actions = [delete("drop"), delete("restore")]
    settle(run(delete("drop")), actions, together=True)
    assert statuses(actions) == ["deferred", "deferred"]
    actions = [delete("restore")]
    settle(run(delete("drop"), delete("restore")), actions, together=True)
    assert statuses(actions) == ["planned"]


def test_any_subject_is_for_what_an_earlier_step_makes():
    given, actions = run(delete("old-set")), [delete("new-set")]
    settle(given, actions, any_subject=True)
    assert statuses(actions) == ["planned"] and given.approval["evidence"]["not_needed"] == 0
