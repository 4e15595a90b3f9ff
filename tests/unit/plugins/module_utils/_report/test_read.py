# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run, or a killed run, leaves is read; anything else is named with its file and line."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._report.read import RecordError, read_run, run_folders

from .conftest import RECORDS, folders, header, line

SCHEMAS = Path(__file__).parents[5] / "docs" / "schemas"


def written(folder: Path, *texts: str, name: str = "db.jsonl") -> str:
    (folder / name).write_text("".join(texts))
    return str(folder)


@pytest.mark.parametrize("path", sorted(RECORDS.rglob("*.jsonl")), ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_the_samples_are_what_the_collection_writes(path: Path) -> None:
    schemas = {name: json.loads((SCHEMAS / f"{name}-1.json").read_text()) for name in ("header", "record")}
    for number, text in enumerate(path.read_text().splitlines(keepends=True)):
        if text.endswith("\n"):
            jsonschema.validate(json.loads(text), schemas["record" if number else "header"])


def test_a_last_line_cut_off_is_noted_and_left_out() -> None:
    record = read_run(folders("killed")[:1])
    assert record.torn == {"orders"}
    assert {one["host"] for one in record.lines} == {"orders", "billing"}


def test_a_record_that_went_on_after_a_kill_is_whole(tmp_path: Path) -> None:
    torn = json.dumps(line(task='A "quoted\\" {task'))[:-40]
    record = read_run([written(tmp_path, json.dumps(header()), "\n", torn, "\n", json.dumps(line()), "\n")])
    assert len(record.lines) == 1
    assert not record.torn


def test_a_complete_last_line_without_its_newline_counts(tmp_path: Path) -> None:
    record = read_run([written(tmp_path, json.dumps(header()), "\n", json.dumps(line()))])
    assert len(record.lines) == 1
    assert not record.torn


@pytest.mark.parametrize("cut", [1, 20, 300])
def test_a_header_cut_off_leaves_its_host_to_the_others(tmp_path: Path, cut: int) -> None:
    written(tmp_path, json.dumps(header(hosts_expected=["db", "web one"])), "\n")
    record = read_run([written(tmp_path, json.dumps(header(host="web one"))[:cut], name="web%20one.jsonl")])
    assert record.torn == {"web one"}


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("nonsense\n", "line 2 is not JSON"),
        ('{"schema": "day2.ops/record/1",}\n', "line 2 is not JSON"),
        ("[1, 2]\n", "line 2 has the schema None"),
        ('{"schema": "day2.ops/record/9"}\n', "line 2 has the schema 'day2.ops/record/9'; known are"),
        ('{"schema": "day2.ops/record/1", "run_id": "1"}\n', "line 2 lacks seq, host"),
        (json.dumps(header()) + "\n", "it has a header that is not its first line"),
    ],
)
def test_anything_else_is_an_error_with_file_and_line(tmp_path: Path, bad: str, says: str) -> None:
    with pytest.raises(RecordError) as caught:
        read_run([written(tmp_path, json.dumps(header()), "\n", bad)])
    assert says in str(caught.value)
    assert "db.jsonl" in str(caught.value)


def test_an_empty_folder_or_nothing_but_a_torn_header_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"run_dir: .* holds no run record"):
        read_run([str(tmp_path)])
    with pytest.raises(BadInput, match="no complete header"):
        read_run([written(tmp_path, '{"schema"')])


def test_a_folder_copied_twice_counts_once(tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        written(tmp_path / name, json.dumps(header()), "\n", json.dumps(line()), "\n")
    assert len(read_run([str(tmp_path / "1"), str(tmp_path / "2")]).lines) == 1


def test_the_folder_of_all_runs_and_the_run_s_own_are_both_understood(tmp_path: Path) -> None:
    own = tmp_path / "4711"
    own.mkdir()
    assert run_folders([str(tmp_path)], "4711") == [str(own)]
    assert run_folders([str(own)], "4711") == [str(own)]
    assert run_folders([str(own)], None) == [str(own)]
    assert run_folders([str(own), str(tmp_path)], "4711") == [str(own)]
    with pytest.raises(BadInput, match=r"run_dir: there is no run record at .*/4712; check run_dir and run_id"):
        run_folders([str(tmp_path)], "4712")
    with pytest.raises(BadInput, match="name the folder"):
        run_folders([], "4711")
