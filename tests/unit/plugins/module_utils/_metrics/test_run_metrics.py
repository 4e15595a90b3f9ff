# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The numbers of sample runs, as the textfile collector and a real Pushgateway have them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ansible_collections.day2.ops.plugins.module_utils._metrics import export
from ansible_collections.day2.ops.plugins.module_utils._metrics.families import HELP, LASTING, Group, groups
from ansible_collections.day2.ops.plugins.module_utils._report.model import EXIT_2
from ansible_collections.day2.ops.plugins.module_utils._report.read import read_run
from ansible_collections.day2.ops.plugins.module_utils._report.summarise import summarise
from tests.lab import Lab, module

RECORDS = Path(__file__).parents[3] / "fixtures" / "record"
NOW = "2026-12-06T03:00:00Z"
SUCCESS = "day2_run_last_success_timestamp_seconds"
Numbers = dict[tuple[str, str, str], float]


def folder(name: str) -> str:
    return str(next((RECORDS / name).rglob("*.jsonl")).parent)


def made(place: str) -> list[Group]:
    record = read_run([place])
    return groups(summarise(record, "crit", NOW), record.headers)


def numbers(text: str) -> Numbers:
    """By name, target and status."""
    return {
        (one.name, one.labels["target"], one.labels.get("status", "")): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
        if one.name in HELP
    }


def of(found: list[Group]) -> Numbers:
    return numbers("".join(export.render(group).decode() for group in found))


def test_the_numbers_are_those_of_the_report() -> None:
    place = folder("good")
    report = summarise(read_run([place]), "crit", NOW)
    found = of(made(place))
    for target in report.targets:
        name = target.target
        assert found["day2_run_status", name, target.status] == 1
        assert (
            sum(value for (metric, who, _s), value in found.items() if (metric, who) == ("day2_run_status", name)) == 1
        )
        assert found["day2_run_actions", name, "done"] == target.action_counts["done"]
        assert ((SUCCESS, name, "") in found) == (target.status not in EXIT_2)
        assert found["day2_run_duration_seconds", name, ""] > 0
    assert sum(value for (metric, _who, _s), value in found.items() if metric == "day2_run_reclaimed_bytes") > 0


def test_only_names_that_are_described_and_labels_that_are_bounded() -> None:
    for name in ("good", "failed", "killed", "silent", "daily"):
        for group in made(folder(name)):
            assert {sample.name for sample in group.samples} <= set(HELP)
            assert {label for sample in group.samples for label in sample.labels} <= {"status"}
            assert len(group.samples) < 40


def record_of(place: Path, **given: Any) -> str:
    """A record with one check and one action, changed as told."""
    known = {"schema": "day2.ops/record/1", "run_id": "1", "host": "db", "target": "a/b", "step": "", "task": "Look"}
    action = {"action": "x", "subject": "t", "risk": "maintain", "status": given.get("status", "done"), "reason": "r"}
    action |= {"error": None, "started": None, "ended": None, "predicted": {}, "before": {"total_bytes": 100}}
    action |= {"after": {"total_bytes": 40, "rows_deleted": 7, "rows_archived": 9, "braked_seconds": 2.5}}
    check = {"check": "postgresql_backup_verified_age", "subject": "database", "status": "ok", "value": 1, "unit": "s"}
    check |= {"warn": None, "crit": None, "bad": "above", "summary": "s", "advice": ""}
    check |= {"evidence": {"verified": given.get("verified")}}
    line = {**known, "seq": 1, "module": "m", "check_mode": False, "failed": False, "changed": False, "error": None}
    line |= {"started": "2026-12-06T02:00:00Z", "ended": given.get("ended", "2026-12-06T02:01:00Z")}
    line |= {"failed": given.get("failed", False), "checks": [check], "actions": [action]}
    header = {
        **known,
        "schema": "day2.ops/header/1",
        "seq": 0,
        "playbook": 'p"\\\n',
        "check_mode": given.get("rehearsal"),
    }
    header |= {"override_reason": given.get("override"), "hosts_expected": ["db"], "started": "2026-12-06T02:00:00Z"}
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    (place / "db.jsonl").write_text("".join(json.dumps(row) + "\n" for row in (header, line)))
    return str(place)


def test_what_was_measured_is_added_up(tmp_path: Path) -> None:
    found = of(made(record_of(tmp_path / "run", override="urgent", verified="2026-12-05T00:00:00Z")))
    values = {name: value for (name, _target, status), value in found.items() if not status}
    assert values == {
        "day2_run_last_end_timestamp_seconds": 1796522460,
        SUCCESS: 1796522460,
        "day2_run_last_complete_timestamp_seconds": 1796522460,
        "day2_last_verified_backup_timestamp_seconds": 1796428800,
        "day2_run_duration_seconds": 60,
        "day2_run_rows_archived": 9,
        "day2_run_rows_deleted": 7,
        "day2_run_reclaimed_bytes": 60,
        "day2_run_braked_seconds": 2.5,
        "day2_run_override": 1,
    }


def test_what_was_left_is_a_success_and_not_complete(tmp_path: Path) -> None:
    found = of(made(record_of(tmp_path / "run", status="deferred", verified="no time")))
    assert (SUCCESS, "a/b", "") in found
    assert not {(LASTING[1], "a/b", ""), (LASTING[2], "a/b", "")} & found.keys()


def run(place: str, *, check: bool = False, **more: Any) -> dict[str, Any]:
    answer = module.start("run_metrics", {"run_dir": [place], **more}, check=check).result()
    assert not answer.get("changed") and not answer.get("failed"), answer
    return answer


def test_a_failure_does_not_take_the_last_success_away(tmp_path: Path) -> None:
    files = tmp_path / "textfiles"
    files.mkdir()
    place = record_of(tmp_path / "run")
    assert run(place, textfile_dir=str(files), check=True)["files"] == [] == list(files.iterdir())
    (path,) = run(place, textfile_dir=str(files))["files"]
    assert path.endswith(".prom") and Path(path).stat().st_mode & 0o777 == 0o644
    before = numbers(Path(path).read_text())
    worse = record_of(tmp_path / "run", failed=True, ended="2026-12-07T02:00:00Z")
    assert run(worse, textfile_dir=str(files))["files"] == [path]
    after = numbers(Path(path).read_text())
    assert after[SUCCESS, "a/b", ""] == before[SUCCESS, "a/b", ""] == 1796522460
    assert after["day2_run_status", "a/b", "failed"] == 1 and before["day2_run_status", "a/b", "failed"] == 0
    assert list(files.iterdir()) == [Path(path)], "nothing else is left there"
    rehearsal = record_of(tmp_path / "run", rehearsal=True)
    assert run(rehearsal, textfile_dir=str(files))["files"] == []


def test_a_file_that_is_none_is_told_and_left_alone(tmp_path: Path) -> None:
    place = record_of(tmp_path / "run")
    (path,) = run(place, textfile_dir=str(tmp_path))["files"]
    Path(path).write_text("{{{ nonsense")
    answer = run(place, textfile_dir=str(tmp_path))
    assert answer["files"] == [] and "move it away" in answer["summary"][0]
    assert Path(path).read_text() == "{{{ nonsense"


@pytest.mark.lab
def test_a_gateway_keeps_what_only_some_runs_know(lab: Lab, tmp_path: Path) -> None:
    gateway = lab.pushgateway()
    options = {"url": gateway.url}
    place = record_of(tmp_path / "run")
    assert run(place, pushgateway=options, check=True)["pushed"] == 0
    assert numbers(gateway.metrics()) == {}
    assert run(place, pushgateway=options) | {"invocation": None} == {
        "checks": [], "actions": [], "error": None, "changed": False, "files": [], "pushed": 1, "summary": [],
        "invocation": None,
    }  # fmt: skip
    worse = record_of(tmp_path / "run", failed=True, ended="2026-12-07T02:00:00Z")
    run(worse, pushgateway=options)
    run(folder("good"), pushgateway=options)
    found = numbers(gateway.metrics())
    assert found[SUCCESS, "a/b", ""] == 1796522460 and found["day2_run_status", "a/b", "failed"] == 1
    assert {target for _name, target, _status in found} == {"a/b", *(group.target for group in made(folder("good")))}
    gateway.stop()
    answer = run(place, pushgateway={**options, "timeout": 1})
    assert answer["pushed"] == 0 and "nobody answers there" in answer["summary"][0]
