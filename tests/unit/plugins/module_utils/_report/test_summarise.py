# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the lines of a run come to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ansible_collections.day2.ops.plugins.module_utils._report import view, words
from ansible_collections.day2.ops.plugins.module_utils._report.model import STATUSES, Report, worst

from .conftest import action, check, line

Make = Callable[..., Report]


def statuses(report: Report) -> dict[str, str]:
    return {target.host: target.status for target in report.targets}


def test_a_good_run_with_something_left(report: Make) -> None:
    good = report("good")
    assert statuses(good) == {"orders": "deferred", "billing": "ok", "shipping": "ok"}
    assert good.status == "deferred"
    assert good.action_counts == {"planned": 0, "done": 8, "skipped": 3, "deferred": 1, "failed": 0}
    assert words.tally(good) == "3 targets, 8 actions done, 1 deferred; 1.9 GiB reclaimed, 1 to watch."
    assert [target.target for target in good.targets] == ["orders", "billing-prod", "shipping"]
    assert [step["step"] for step in good.not_included] == ["postgresql_retention", "verify_backup"]


def test_the_last_reading_counts_and_the_first_is_kept(report: Make) -> None:
    orders = report("good").targets[0]
    bloat = next(one for one in orders.checks if one.last["check"] == "postgresql_dead_rows")
    assert (bloat.first["value"], bloat.first["status"]) == (0.64, "crit")
    assert (bloat.last["value"], bloat.last["status"]) == (0.12, "ok")
    assert bloat in orders.moved


def test_a_failed_target_one_refused_and_one_left(report: Make) -> None:
    failed = report("failed")
    assert statuses(failed) == {"orders": "failed", "shipping": "refused", "billing": "deferred"}
    assert failed.status == "failed"
    assert words.verdict(failed) == "The run failed on 1 of 3 targets."
    assert "the disk is full" in words.why(failed.targets[0])
    told = [concern for concern in view.concerns(failed) if concern.look == "failed"]
    assert len(told) == 1, "the failed action and the task's error are the same story"
    assert told[0].advice.startswith("The invalid index orders.public.audit_logs_created_at_idx_ccnew is left")


def test_plans_are_not_work_but_what_was_not_reached_is_said(report: Make) -> None:
    orders = report("failed").targets[0]
    assert [one["action"] for one in orders.having("planned")] == ["analyze"]
    assert orders.action_counts["done"] == 1


def test_a_killed_run_is_stopped(report: Make) -> None:
    killed = report("killed")
    assert statuses(killed) == {"billing": "stopped", "orders": "stopped"}
    messages = {target.host: target.problems[0].message for target in killed.targets}
    assert "ends in the middle of a line" in messages["orders"]
    assert "opened and never closed" in messages["billing"]
    assert "orders" in killed.notes[0]


def test_a_host_without_lines_has_no_result_and_failed(report: Make) -> None:
    silent = report("silent")
    assert statuses(silent) == {"cache": "failed", "search": "failed", "orders": "ok"}
    assert silent.targets[0].problems[0].kind == "no_result"
    assert words.verdict(silent) == "There is no result from 2 of 3 targets."


def test_slices_are_joined(report: Make) -> None:
    slices = report("slices")
    assert statuses(slices) == {"a1": "ok", "a2": "ok"}
    assert slices.notes == ("Joined from 2 folders.",)
    assert next(fact.value for fact in slices.facts if fact.label == "Started by") == "runner-1 (a1); runner-2 (a2)"


def test_a_rehearsal_shows_what_would_be_done(report: Make) -> None:
    rehearsal = report("check")
    assert rehearsal.check_mode
    assert rehearsal.status == "ok"
    assert rehearsal.action_counts["planned"] == 2
    assert words.tally(rehearsal).startswith("1 target, 2 actions would be carried out; 1.5 GiB would be reclaimed")


@pytest.mark.parametrize(
    ("fail_on", "status"), [("never", "ok"), ("crit", "findings"), ("warn", "findings")], ids=lambda value: value
)
def test_findings_follow_the_policy(report: Make, fail_on: str, status: str) -> None:
    assert report("daily", fail_on).status == status


@pytest.mark.parametrize("found", ["warn", "unknown"])
def test_what_was_not_measured_is_no_better_than_a_warning(run: Make, found: str) -> None:
    lines = [line(checks=[check(status=found, value=None)])]
    assert run(*lines).status == "ok"
    assert run(*lines, fail_on="warn").status == "findings"


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("failed", "failed"),
        ("bad_input", "failed"),
        ("unreachable", "failed"),
        ("refused", "refused"),
        ("stopped", "stopped"),
        ("deferred", "deferred"),
    ],
)
def test_an_error_gives_the_status_of_its_kind(run: Make, kind: str, status: str) -> None:
    assert run(line(failed=True, error={"kind": kind, "message": "No."})).status == status


def test_the_worst_wins() -> None:
    assert worst([]) == "ok"
    for number, status in enumerate(STATUSES):
        assert worst(list(STATUSES[: number + 1])) == status


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        (["preflight", "plan", "open", "run", "close"], "ok"),
        (["preflight", "before", "plan", "open"], "ok"),  # nothing was due
        (["preflight", "plan", "open", "run"], "stopped"),
        (["preflight", "before"], "stopped"),
        (["plan"], "stopped"),
        ([""], "ok"),  # a playbook without the bracket
    ],
)
def test_a_record_that_ends_too_early_is_stopped(run: Make, steps: list[str], status: str) -> None:
    assert run(*(line(step=step) for step in steps)).status == status


def test_a_kill_in_the_first_task_of_the_work_is_seen(run: Make) -> None:
    planned = line(step="plan", check_mode=True, actions=[action(status="planned")])
    assert run(planned, line(step="open")).status == "stopped"
    assert run(planned, line(step="open", failed=True, error={"kind": "refused", "message": "No."})).status == "refused"


def test_a_failure_on_the_way_is_not_a_kill(run: Make) -> None:
    failed = run(line(step="preflight", failed=True, error={"kind": "unreachable", "message": "No answer."}))
    assert [problem.kind for problem in failed.targets[0].problems] == ["unreachable"]


def test_what_was_done_stays_when_a_later_task_finds_it_no_longer_due(run: Make) -> None:
    done = action(after={"dead_rows": 0})
    lines = [line(step=""), line(actions=[done]), line(actions=[action(status="skipped")])]
    assert [one["status"] for one in run(*lines).targets[0].actions] == ["done"]


def test_what_was_deferred_and_then_done_is_done(run: Make) -> None:
    lines = [line(actions=[action(status="deferred")]), line(actions=[action()])]
    assert run(*lines).status == "ok"
    assert run(*lines).action_counts["deferred"] == 0


def test_a_failure_that_a_retry_made_good_is_still_told(run: Make) -> None:
    lines = [line(actions=[action(status="failed", error="No.")]), line(actions=[action()])]
    assert run(*lines).status == "failed"
    assert run(*lines).action_counts["done"] == 1


def test_work_past_the_deadline_is_told_with_its_overrun(run: Make) -> None:
    late = action(started="2026-12-06T02:00:00Z", ended="2026-12-06T02:07:00Z")
    found = view.concerns(run(line(actions=[late]), deadline="2026-12-06T02:05:00Z"))
    assert [concern.text for concern in found] == ["Ran 2 min past the deadline."]
