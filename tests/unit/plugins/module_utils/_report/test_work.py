# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module's work, from a record on disk to files, result and store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.liveness import Liveness
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.modules import report

from .conftest import check, header, line


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path


def work(place: Path, day: int, status: str, *, check_mode: bool = False, store: str = "store") -> dict[str, Any]:
    """What the module says of the run of one day, which made one check."""
    folder, at = place / f"r{day}", f"2026-12-{day:02}T02:00:00Z"
    folder.mkdir(exist_ok=True)
    rows = [header(run_id=f"r{day}", started=at), line(checks=[check(status=status)], started=at, ended=at)]
    (folder / "db.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    params = {"run_dir": [str(folder)], "run_id": None, "dest": None, "formats": list(report.out.FILES)}
    known = {"fail_on": "crit", "timezone": "UTC", "store": str(place / store) if store else None, "run": {}}
    return report.work(Run({**params, **known}, check_mode, Deadline.parse(None, "deadline"), Liveness(None)))


def left(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place / "store")) for path in (place / "store").rglob("*") if path.is_file())


def test_a_rehearsal_compares_and_leaves_nothing(place: Path) -> None:
    work(place, 1, "ok")
    before = {name: (place / "store" / name).read_bytes() for name in left(place)}
    rehearsed = work(place, 2, "crit", check_mode=True)
    assert rehearsed["result"]["changes"] == {"worse": 1, "better": 0, "new": 0, "vanished": 0}
    assert {name: (place / "store" / name).read_bytes() for name in left(place)} == before
    assert work(place, 2, "crit")["result"]["changes"]["worse"] == 1, "the rehearsal did not count"


def test_what_a_run_leaves(place: Path) -> None:
    first = work(place, 1, "ok")
    assert first["changed"] is False and first["result"]["changes"] is None
    assert left(place) == [
        "v1/history/db.json",
        "v1/runs/_pages/20261201T020000Z-r1.html",
        "v1/runs/db/20261201T020000Z-r1.jsonl",
        "v1/runs/index.html",
        "v1/runs/index.json",
    ]
    assert sorted(path.name for path in (place / "r1").iterdir()) == [
        "db.jsonl",
        "report.html",
        "report.json",
        "report.md",
        "result.json",
    ]


def test_a_store_that_is_away_does_not_take_the_report_away(place: Path) -> None:
    made = work(place, 1, "ok", store="unmounted")
    assert (place / "r1" / "report.html").exists() and made["result"]["status"] == "ok"
    assert [text for text in made["summary"] if text.startswith("The record could not be kept in the store: ")]
    assert "What former runs left cannot be read" in (place / "r1" / "report.md").read_text().replace("\\", "")


def test_without_a_store_it_is_said(place: Path) -> None:
    made = work(place, 1, "ok", store="")
    assert made["result"]["changes"] is None and left(place) == []
    assert "There is no store, so there is nothing to compare with." in (place / "r1" / "report.html").read_text()
