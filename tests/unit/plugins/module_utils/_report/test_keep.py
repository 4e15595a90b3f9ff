# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What reaches the store: the record byte for byte, the memory of a run, its page and its line in the index."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError, StoreConflict, StoreError
from ansible_collections.day2.ops.plugins.module_utils._report import index, keep, past
from ansible_collections.day2.ops.plugins.module_utils._report.keep import keep_lines
from ansible_collections.day2.ops.plugins.module_utils._report.model import Report
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store
from ansible_collections.day2.ops.plugins.module_utils._store.history import change_history, read_history
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store

from .conftest import check, header, line

Make = Callable[..., Report]
RUNS = json.loads((Path(__file__).parents[5] / "docs/schemas/runs-1.json").read_text(encoding="utf-8"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    place = tmp_path / "store"
    place.mkdir()
    return open_store({"store": str(place)}, read_only=False)


def test_each_target_s_record_is_kept_and_a_torn_header_keeps_none_back(tmp_path: Path, store: Store) -> None:
    run = tmp_path / "run"
    run.mkdir()
    text = json.dumps(header(target="db-prod")) + "\n" + json.dumps(line()) + "\n"
    (run / "db.jsonl").write_text(text)
    (run / "a.jsonl").write_text('{"schema": "day2')
    key = "v1/runs/db-prod/20261206T020000Z-1.jsonl"
    assert keep_lines(store, [str(run)]) == [key]
    assert keep_lines(store, [str(run)]) == [key], "again: the same object"
    assert store.get(key).data.decode() == text


def test_the_second_run_knows_of_the_first(run: Make, store: Store) -> None:
    first = keep.recall(store, run(line(checks=[check()])))
    assert first.targets[0].past.why_not == past.FIRST
    keep.remember(store, first)
    at = "2026-12-07T02:00:00Z"
    again = run(line(checks=[check(status="crit")], started=at, ended=at), run_id="2", started=at)
    (target,) = keep.recall(store, again).targets
    assert target.past.compared_with == ("1", "2026-12-06T02:00:00Z")
    assert [change.kind for change in target.past.changes] == ["worse"]


def test_a_memory_that_cannot_be_read_stops_nothing(run: Make, store: Store) -> None:
    store.put("v1/history/db.json", b"[]")
    report = keep.recall(store, run(line(checks=[check()]), line(host="b/d", target="b/d", checks=[check()])))
    for target in report.targets:
        assert target.past.why_not.startswith("What former runs left cannot be read: ")
    with pytest.raises(OpsError):
        keep.remember(store, report)


def test_who_writes_at_the_same_time_loses_nothing(run: Make, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    report = keep.recall(store, run(line(checks=[check()])))
    real, met = past.remembered, []

    def meanwhile(*args: Any) -> dict[str, Any]:
        if not met:  # somebody else is quicker, once
            met.append(True)
            change_history(store, "db", lambda old: {**old, "throughput": {"vacuum": 7.0}})
        return real(*args)

    monkeypatch.setattr(past, "remembered", meanwhile)
    keep.remember(store, report)
    history = read_history(store, "db")
    assert history["throughput"] == {"vacuum": 7.0}
    assert history["checks"]["p"]["last"]["disk_usage /"]["status"] == "ok"


def test_without_checks_nothing_is_remembered(run: Make, store: Store) -> None:
    keep.remember(store, run(line()))
    assert read_history(store, "db") == {}


def entries(store: Store) -> list[dict[str, Any]]:
    known = json.loads(store.get(index.KEY).data)
    jsonschema.validate(known, RUNS)
    found: list[dict[str, Any]] = known["runs"]
    return found


def test_the_index_has_the_newest_run_first_and_each_once(run: Make, store: Store, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("<!doctype html>")
    for day in (5, 7, 6, 7):
        at = f"2026-12-{day:02}T02:00:00Z"
        keep.keep_page(store, run(line(checks=[check()]), started=at, run_id=f"run {day}"), str(page))
    assert [entry["run_id"] for entry in entries(store)] == ["run 7", "run 6", "run 5"]
    text = store.get(index.PAGE).data.decode()
    assert 'href="_pages/20261207T020000Z-run%207.html"' in text
    assert store.get("v1/runs/_pages/20261207T020000Z-run 7.html").data == b"<!doctype html>"
    assert text.index("run 7") < text.index("run 6") < text.index("run 5")


def test_slices_of_one_job_have_one_line(run: Make, store: Store) -> None:
    keep.keep_page(store, run(line(), hosts_expected=["db"]), None)
    other = line(host="b", target="b", failed=True, error={"kind": "failed", "message": "It broke."})
    keep.keep_page(store, run(other, host="b", target="b", hosts_expected=["b"]), None)
    (entry,) = entries(store)
    assert entry["targets"].keys() == {"db", "b"} and entry["status"] == "failed"


def test_jobs_of_one_workflow_have_a_line_each(run: Make, store: Store) -> None:
    for playbook in ("daily-health-check", "playbooks/verify-backups.yml", "day2.ops.verify_backups"):
        keep.keep_page(store, run(line(), playbook=playbook), None)
    assert len(entries(store)) == 2


def test_an_index_that_somebody_else_changes_is_read_again(
    run: Make, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep.keep_page(store, run(line(), run_id="0"), None)
    real, met = store.put, []

    def put(key: str, data: Any, **condition: Any) -> Any:
        if key == index.KEY and not met:
            met.append(True)
            monkeypatch.setattr(store, "put", real)
            keep.keep_page(store, run(line(), run_id="2"), None)
            raise StoreConflict("changed")
        return real(key, data, **condition)

    monkeypatch.setattr(store, "put", put)
    keep.keep_page(store, run(line(), run_id="1"), None)
    assert sorted(entry["run_id"] for entry in entries(store)) == ["0", "1", "2"]


def test_an_index_of_a_later_version_is_left_alone(run: Make, store: Store) -> None:
    store.put(index.KEY, b'{"schema": "day2.ops/runs/9"}')
    with pytest.raises(StoreError, match="does not understand"):
        keep.keep_page(store, run(line()), None)


def entry(number: int, **targets: str) -> dict[str, Any]:
    day = f"2026-{1 + number // 28:02}-{1 + number % 28:02}T02:00:00Z"
    known = {"run_id": str(number), "playbook": "daily-health-check", "status": "ok", "started": day, "ended": day}
    return {**known, "headline": "All is well.", "health": "healthy", "page": None, "targets": targets}


def test_a_target_s_strip_holds_its_last_thirty_runs_oldest_first() -> None:
    known: list[dict[str, Any]] = []
    for number in range(40):
        known = index.with_entry(known, entry(number, a="ok" if number < 39 else "failed", b="ok"))
    found = index.strips(known)
    assert [strip.target for strip in found] == ["a", "b"], "whose last run went worst comes first"
    assert [len(strip.runs) for strip in found] == [index.STRIP, index.STRIP]
    assert found[0].runs[-1] == ("failed", "2026-02-12 02:00 Daily health check: failed")


def test_the_index_is_bounded() -> None:
    many = {f"database-with-a-long-name-{number:04}": "ok" for number in range(1000)}
    known: list[dict[str, Any]] = []
    for number in range(40):
        known = index.with_entry(known, entry(number, **many))
    assert len(json.dumps(known)) <= index.MOST_BYTES
    assert known[0]["run_id"] == "39" and len(known) > 15


def test_names_in_the_index_are_data() -> None:
    evil = "<script>alert(1)</script>"
    text = index.render(
        [
            {
                **entry(1, **{evil: "ok"}),
                "run_id": evil,
                "headline": evil,
                "playbook": evil,
                "page": f"v1/runs/_pages/{evil}",
            }
        ]
    )
    assert "<script" not in text
