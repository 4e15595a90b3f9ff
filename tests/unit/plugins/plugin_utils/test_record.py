# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import stat

import jsonschema
import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.records import ActionType, CheckType
from ansible_collections.day2.ops.plugins.module_utils._run.folder import lines_of, record_path, records_with_failures
from ansible_collections.day2.ops.plugins.plugin_utils import _record

ABOUT = {
    "run_id": "r1", "host": "db 1/ä", "target": "db1", "step": "run", "task": "Work", "module": "day2.ops.record",
    "check_mode": False, "started": "2026-11-21T02:00:00Z", "ended": "2026-11-21T02:00:01Z",
}  # fmt: skip
RESULT = {
    "changed": True,
    "checks": [CheckType("disk", "ratio")("db", 0.5, summary="half full")],
    "actions": [ActionType("vacuum", "maintain").plan("t", "due")],
    "invocation": {"module_args": {"login_password": "hunter2"}},
    "diff": {"before": "hunter2"},
    "stdout": "hunter2",
}


@pytest.fixture
def schema():
    path = os.path.join(os.path.dirname(__file__), "../../../../docs/schemas/record-1.json")
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def append(folder, result=RESULT, hidden=False, **about):
    known = {**ABOUT, **about}
    _record.append(str(folder), known["host"], _record.line_of(result, known, hidden))
    return lines_of(record_path(str(folder), known["host"]))


def test_a_line_validates_and_holds_only_what_is_allowed(tmp_path, schema):
    lines = append(tmp_path)
    jsonschema.validate(lines[0], schema)
    assert "hunter2" not in json.dumps(lines)
    assert lines[0]["checks"] == RESULT["checks"] and lines[0]["actions"] == RESULT["actions"]


def test_a_foreign_key_in_a_check_is_left_out(tmp_path, schema):
    lines = append(tmp_path, {"checks": [{**RESULT["checks"][0], "query": "hunter2"}]})
    jsonschema.validate(lines[0], schema)
    assert "hunter2" not in json.dumps(lines)


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (
            {"failed": True, "msg": "no", "error": {"kind": "refused", "message": "no"}},
            {"kind": "refused", "message": "no"},
        ),
        ({"failed": True, "msg": "MODULE FAILURE"}, {"kind": "failed", "message": "MODULE FAILURE"}),
        ({"failed": True}, {"kind": "failed", "message": "The module gave no reason."}),
        ({"error": {"kind": "failed", "message": "a foreign task"}}, {"kind": "failed", "message": "a foreign task"}),
    ],
)
def test_a_failure_is_recorded_however_the_module_ended(tmp_path, schema, result, error):
    line = append(tmp_path, result)[0]
    jsonschema.validate(line, schema)
    assert line["failed"] and line["error"] == error


def test_no_log_hides_all_but_the_kind_of_the_failure(tmp_path):
    line = append(tmp_path, {**RESULT, "failed": True, "msg": "hunter2"}, hidden=True)[0]
    assert line["error"]["message"] == "hidden by no_log" and not line["checks"] and not line["actions"]


def test_lines_are_numbered_and_files_belong_to_their_owner(tmp_path):
    folder = tmp_path / "runs" / "r1"
    append(folder)
    assert [line["seq"] for line in append(folder)] == [0, 1]
    path = record_path(str(folder), ABOUT["host"])
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600 and stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert os.listdir(folder) == [os.path.basename(path)]


def test_a_line_cut_off_by_a_kill_does_not_spoil_the_next(tmp_path):
    append(tmp_path)
    path = record_path(str(tmp_path), ABOUT["host"])
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"schema": "day2.ops/rec')
    lines = append(tmp_path)
    assert [line["seq"] for line in lines] == [0, 2]


def test_the_breaker_sees_the_targets_that_failed(tmp_path):
    append(tmp_path, host="good")
    append(tmp_path, {"failed": True, "msg": "no"}, host="bad/one")
    assert list(records_with_failures(str(tmp_path))) == ["bad/one"]


def test_all_workers_of_a_controller_share_one_run_id(tmp_path):
    assert _record.new_run_id(str(tmp_path)) == _record.new_run_id(str(tmp_path))
    assert os.listdir(tmp_path) == ["day2-run-id"]
