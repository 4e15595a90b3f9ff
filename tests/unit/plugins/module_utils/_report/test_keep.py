# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record reaches the store byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.day2.ops.plugins.module_utils._report.keep import keep_lines
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store

from .conftest import header, line


def test_each_target_s_record_is_kept_and_a_torn_header_keeps_none_back(tmp_path: Path) -> None:
    run, place = tmp_path / "run", tmp_path / "store"
    run.mkdir()
    place.mkdir()
    text = json.dumps(header(target="db-prod")) + "\n" + json.dumps(line()) + "\n"
    (run / "db.jsonl").write_text(text)
    (run / "a.jsonl").write_text('{"schema": "day2')
    store = open_store({"store": str(place)}, read_only=False)
    key = "v1/runs/db-prod/20261206T020000Z-1.jsonl"
    assert keep_lines(store, [str(run)]) == [key]
    assert keep_lines(store, [str(run)]) == [key], "again: the same object"
    assert store.get(key).data.decode() == text
