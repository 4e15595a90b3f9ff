# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is told of what, and what their limits are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._notify.plan import (
    Decision,
    Notice,
    Policy,
    Sent,
    Verdict,
    decide,
)

from .conftest import NOW, notice, sent

OK, BAD = notice("ok"), notice("failed")


def choose(now: Notice, *before: Sent, kind: str = "slack", **policy: Any) -> Decision:
    return decide(kind, now, before, Policy(**policy), NOW)


def test_the_first_one_is_told_and_the_same_state_is_not_told_again() -> None:
    assert choose(BAD).kind == choose(OK).kind == "first"
    for state in (OK, BAD):
        again = choose(state, sent(state, 23))
        assert not again.send and again.reason == "nothing has changed since the notice of 2026-12-05T13:00:00Z"


@pytest.mark.parametrize(
    ("before", "now", "kind"),
    [
        (OK, BAD, "change"),
        (BAD, OK, "recovery"),
        (BAD, notice("findings"), "change"),
        (OK, notice("deferred"), "change"),
    ],
)
def test_a_change_is_told_with_what_was(before: Notice, now: Notice, kind: str) -> None:
    found = choose(now, sent(before, 2), sent(now, 30))
    assert (found.send, found.kind) == (True, kind)
    assert found.reason == f"it is {now.status} and was {before.status} at 2026-12-06T10:00:00Z"


def test_another_target_in_need_is_a_change() -> None:
    other = notice("failed", targets={"orders": Verdict("failed", True, ""), "billing": Verdict("findings", True, "")})
    found = choose(other, sent(BAD, 2))
    assert found.kind == "change" and "on other targets" in found.reason
    calm = notice("failed", targets={"orders": Verdict("failed", True, ""), "billing": Verdict("deferred", False, "")})
    assert not choose(calm, sent(BAD, 2)).send, "who needs nobody does not count"


def test_other_targets_and_other_playbooks_are_another_matter() -> None:
    fewer = notice("failed", targets={"orders": BAD.targets["orders"]})
    assert choose(fewer, sent(BAD, 1)).kind == "first"
    assert choose(replace(BAD, playbook="weekly"), sent(BAD, 1)).kind == "first"


def test_what_stays_bad_is_told_again_after_a_day_and_what_is_well_is_not() -> None:
    assert not choose(BAD, sent(BAD, 23.99)).send
    assert choose(BAD, sent(BAD, 24)).kind == "reminder"
    assert not choose(OK, sent(OK, 240)).send
    assert not choose(notice("deferred"), sent(notice("deferred"), 240)).send


def test_six_in_an_hour_and_no_more() -> None:
    flapping = [sent(replace(OK, playbook=str(one)), one / 10) for one in range(5)]
    assert choose(BAD, *flapping).send
    full = [*flapping, sent(OK, 0.9, done=False)]
    found = choose(BAD, *full)
    assert not found.send and found.reason.startswith("it was given 6 notices within the last hour")
    assert choose(BAD, *full, most_per_hour=7).send
    assert choose(BAD, *flapping, sent(OK, 1)).send, "an hour ago is over"
    assert not choose(BAD, *full, when="always").send


def test_a_run_is_told_once() -> None:
    for done, word in ((True, "sent"), (False, "begun to be sent")):
        found = choose(BAD, sent(OK, 3), sent(BAD, 1, run=BAD.run_id, done=done), when="always")
        assert not found.send and found.reason == f"this run was {word} at 2026-12-06T11:00:00Z"


def test_what_was_only_begun_does_not_count_as_told() -> None:
    assert choose(BAD, sent(OK, 3), sent(BAD, 2, done=False)).kind == "change"


def test_always_is_every_run() -> None:
    assert choose(OK, sent(OK, 2), when="always").kind == "every"


def test_console_and_file_are_told_whatever_was() -> None:
    for kind in ("console", "file"):
        assert choose(OK, sent(OK, 0, run=OK.run_id), kind=kind).send


def test_without_a_store_every_run_is_told_and_a_rehearsal_never_is() -> None:
    found = decide("slack", OK, None, Policy(), NOW)
    assert found.send and "no store" in found.reason
    assert not decide("slack", replace(BAD, rehearsal=True), None, Policy(), NOW).send
    assert not choose(replace(BAD, rehearsal=True), kind="file").send
