# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What former runs left: what changed, since when, and how it moved; and that it stays small."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ansible_collections.day2.ops.plugins.module_utils._report import past
from ansible_collections.day2.ops.plugins.module_utils._report.model import Past, Report

from .conftest import check, line

Make = Callable[..., Report]
SCHEMA = json.loads((Path(__file__).parents[5] / "docs/schemas/history-1.json").read_text(encoding="utf-8"))
DAYS = [f"2026-12-{day:02}T02:00:00Z" for day in range(1, 32)]
PLAYBOOK = "daily-health-check"


class Nights:
    """Runs of one target, one a night; ``history`` is what they left."""

    def __init__(self, run: Make) -> None:
        self._run, self.history = run, {}
        self.known: dict[str, Any] = self.history

    def night(
        self, day: int, *checks: dict[str, Any], playbook: str = PLAYBOOK, keep: bool = True, **more: Any
    ) -> Past:
        at = DAYS[day - 1]
        report = self._run(line(checks=list(checks), started=at, ended=at, **more), started=at)
        (target,) = report.targets
        found = past.past_of(self.history, target, playbook, f"r{day}", at)
        if keep:
            self.history = past.remembered(self.history, target, playbook, f"r{day}", at)
            document = {**self.history, "schema": "day2.ops/history/1", "target": "db"}
            jsonschema.validate(json.loads(json.dumps(document)), SCHEMA)
        return found


@pytest.fixture
def nights(run: Make) -> Nights:
    return Nights(run)


def kinds(found: Past) -> dict[str, str]:
    return {f"{change.check} {change.subject}": change.kind for change in found.changes}


def test_worse_better_new_and_gone(nights: Nights) -> None:
    assert nights.night(1, check(subject="a"), check(subject="b", status="crit"), check(subject="c")).changes == ()
    found = nights.night(2, check(subject="a", status="warn", value=0.8), check(subject="b"), check(subject="d"))
    assert kinds(found) == {
        "disk_usage a": "worse",
        "disk_usage b": "better",
        "disk_usage d": "new",
        "disk_usage c": "vanished",
    }
    assert found.compared_with == ("r1", DAYS[0])
    worse = next(change for change in found.changes if change.kind == "worse")
    assert (worse.was, worse.now) == (("ok", 0.5), ("warn", 0.8))


@pytest.mark.parametrize(
    ("was", "now", "kind"),
    [("ok", "unknown", "worse"), ("warn", "unknown", "worse"), ("unknown", "crit", "worse"),
     ("crit", "unknown", "worse"), ("unknown", "warn", "better"), ("crit", "warn", "better")],
)  # fmt: skip
def test_losing_sight_is_never_better(nights: Nights, was: str, now: str, kind: str) -> None:
    nights.night(1, check(status=was))
    assert list(kinds(nights.night(2, check(status=now))).values()) == [kind]


def test_a_value_alone_is_no_change(nights: Nights) -> None:
    nights.night(1, check(value=0.1))
    assert nights.night(2, check(value=0.6)).changes == ()


def test_the_first_run_says_so(nights: Nights) -> None:
    assert nights.night(1, check()).why_not == past.FIRST


def test_the_same_run_again_says_the_same_and_leaves_the_same(nights: Nights) -> None:
    nights.night(1, check(subject="a"), check(subject="gone"))
    second = [check(subject="a", status="crit"), check(subject="new")]
    found = nights.night(2, *second)
    history = nights.history
    again = nights.night(2, *second)
    assert (again.changes, again.compared_with, again.since) == (found.changes, found.compared_with, found.since)
    assert nights.history == history
    # and a first run stays one
    first = Nights(nights._run)
    first.night(1, check())
    assert first.night(1, check()).why_not == past.FIRST


def test_an_older_run_is_not_compared_with_a_later_one(nights: Nights) -> None:
    nights.night(1, check(), keep=False)
    nights.night(3, check(status="crit"))
    history = nights.history
    late = nights.night(2, check())
    assert late.why_not == past.LATER and not late.changes
    assert nights.history["checks"] == history["checks"]
    assert len(nights.history["trends"]["disk_usage /"]["points"]) == 2, "its points are worth having all the same"


def test_each_playbook_is_compared_with_itself(nights: Nights) -> None:
    nights.night(1, check(subject="daily"))
    nights.night(2, check(subject="monthly"), playbook="playbooks/monthly-maintenance.yml")
    assert nights.night(3, check(subject="daily")).changes == ()
    found = nights.night(4, check(subject="monthly", status="warn"), playbook="day2.ops.monthly_maintenance")
    assert found.compared_with == ("r2", DAYS[1]) and kinds(found) == {"disk_usage monthly": "worse"}


def test_a_run_that_broke_off_takes_nothing_away(nights: Nights) -> None:
    nights.night(1, check(subject="a"), check(subject="b", status="crit"))
    broken = {"failed": True, "error": {"kind": "unreachable", "message": "The server is gone."}}
    assert nights.night(2, check(subject="a"), **broken).changes == ()
    assert kinds(nights.night(3, check(subject="a"), check(subject="b"))) == {"disk_usage b": "better"}


def test_since_when(nights: Nights) -> None:
    nights.night(1, check())
    nights.night(2, check(status="crit"))
    nights.night(3, check(status="crit"))
    assert nights.night(4, check(status="crit")).since == {"disk_usage /": DAYS[1]}
    assert nights.night(5, check(status="warn")).since == {"disk_usage /": DAYS[4]}


def test_trends_hold_what_has_a_number_and_this_run_too(nights: Nights) -> None:
    for day in range(1, 4):
        found = nights.night(
            day, check(value=day / 10), check(subject="word", value=None), check(subject="nan", value=float("nan"))
        )
    assert list(found.trends) == ["disk_usage /"]
    assert nights.history["checks"][PLAYBOOK]["last"]["disk_usage nan"]["value"] is None
    assert [value for _when, value in found.trends["disk_usage /"]] == [0.1, 0.2, 0.3]


def test_a_series_is_bounded_and_the_newest_stay(nights: Nights) -> None:
    points = [[number * 60, float(number)] for number in range(past.MOST_POINTS + 50)]
    nights.history = {"trends": {"disk_usage /": {"points": points}}}
    nights.night(1, check(value=0.5))
    kept = nights.history["trends"]["disk_usage /"]["points"]
    assert len(kept) == past.MOST_POINTS and kept[-1][1] == 0.5


def test_a_history_of_very_many_checks_stays_small_and_keeps_the_worst(nights: Nights) -> None:
    many = [
        check(subject=f"a_table_with_a_long_name_{number:05}", status="ok", value=number / 7) for number in range(4000)
    ]
    many[2711]["status"] = "crit"
    nights.night(1, *many)
    worst = f"disk_usage {many[2711]['subject']}"
    snapshot = nights.history["checks"][PLAYBOOK]
    assert len(json.dumps(nights.history)) <= past.MOST_BYTES
    assert worst in snapshot["last"] and snapshot["left_out"] == 4000 - len(snapshot["last"])
    many[17]["status"] = "warn"
    found = nights.night(2, *many)
    assert {change.subject for change in found.changes} <= {many[17]["subject"]}, "what had no room is not called new"
    for day in range(3, 5):
        nights.night(day, *many)
    assert len(json.dumps(nights.history)) <= past.MOST_BYTES


def test_what_others_left_stays(nights: Nights) -> None:
    nights.history = {
        "throughput": {"vacuum": 5.0},
        "later_version": 1,
        "run_id": "r9",
        "updated": "2027-01-01T00:00:00Z",
    }
    nights.night(1, check())
    assert nights.history["throughput"] == {"vacuum": 5.0} and nights.history["later_version"] == 1
    assert nights.history["updated"] == "2027-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("playbook", "key"),
    [
        ("playbooks/daily-ops-report.yml", "daily-ops-report"),
        ("day2.ops.daily_ops_report", "daily-ops-report"),
        ("", "run"),
    ],
)
def test_a_playbook_has_one_name(playbook: str, key: str) -> None:
    assert past.playbook_key(playbook) == key
