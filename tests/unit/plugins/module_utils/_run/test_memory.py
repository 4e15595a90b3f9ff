# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run leaves to the next one."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import StoreConflict, StoreError
from ansible_collections.day2.ops.plugins.module_utils._run.memory import MAX_NAMES, MAX_OUTCOMES, remembered
from ansible_collections.day2.ops.plugins.module_utils._store.base import to_json
from ansible_collections.day2.ops.plugins.module_utils._store.history import (
    SCHEMA,
    change_history,
    document,
    history_key,
    read_history,
)
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store

DOCUMENT = json.loads((Path(__file__).parents[5] / "docs/schemas/history-1.json").read_text(encoding="utf-8"))
NOW = "2026-11-21T03:00:00Z"
MODULE = "day2.ops.postgresql_maintenance"


def action(subject="public.a", status="done", kind="vacuum", predicted=None, after=None):
    return {
        "action": kind, "subject": subject, "status": status, "ended": NOW,
        "predicted": predicted or {}, "after": after or {},
    }  # fmt: skip


def line(*actions, step="run", module=MODULE, failed=False):
    return {"step": step, "module": module, "actions": list(actions), "failed": failed}


def after(old, *lines, **learnt):
    new = remembered(old, lines, learnt, "r1", NOW)
    jsonschema.validate({**new, "schema": SCHEMA, "target": "db"}, DOCUMENT)
    return new


def test_deferrals_in_a_row_are_counted_and_forgotten():
    left = action(status="deferred")
    once = after({}, line(left))
    assert once["deferred"] == {"postgresql_maintenance": {"vacuum public.a": 1}}
    twice = after(once, line(left))
    assert twice["deferred"]["postgresql_maintenance"] == {"vacuum public.a": 2}
    assert after(twice, line(action()))["deferred"] == {"postgresql_maintenance": {}}
    # A run of something else says nothing about it; nor does one that failed before it could plan.
    assert after(twice, line(module="day2.ops.postgresql_backup"))["deferred"]["postgresql_maintenance"]
    assert after(twice, line(failed=True))["deferred"] == twice["deferred"]


def test_the_rehearsal_counts_only_where_no_work_followed():
    left, done = action(status="deferred"), action()
    assert after({}, line(left, step="plan"))["deferred"]["postgresql_maintenance"] == {"vacuum public.a": 1}
    assert after({}, line(left, step="plan"), line(done))["deferred"]["postgresql_maintenance"] == {}
    assert after({}, {"schema": "header"}, line(left, step="before"))["deferred"] == {}


def test_rates_are_learnt_from_work_that_took_long_enough():
    slow = action(predicted={"seconds": 10.0, "rate": 50e6}, after={"seconds": 20.0})
    assert after({}, line(slow))["throughput"] == {"vacuum": 25_000_000}
    assert after({"throughput": {"vacuum": 75_000_000}}, line(slow))["throughput"] == {"vacuum": 50_000_000}
    short = action(predicted={"seconds": 10.0, "rate": 50e6}, after={"seconds": 0.2})
    assert after({}, line(short, action()))["throughput"] == {}


def test_thresholds_sizes_and_outcomes_are_kept():
    rebuilt = action(
        "public.i", kind="reindex",
        predicted={"seconds": 3.0, "bytes_reclaimed": 500},
        after={"seconds": 2.0, "bytes_reclaimed": 10, "bytes": 990, "rows": 10, "threshold": 0.6},
    )  # fmt: skip
    old = {"bytes_per_row": {"public.i": 50.0, "public.a": 30.0}, "anything": "else"}
    new = after(old, line(rebuilt), bytes_per_row={"public.a": 40.0, "public.b": 7.0})
    assert new["raised"] == {"public.i": 0.6} and new["anything"] == "else"
    assert new["bytes_per_row"] == {"public.i": 99.0, "public.a": 30.0, "public.b": 7.0}
    assert new["outcomes"] == [
        {
            "at": NOW, "action": "reindex", "subject": "public.i", "predicted_seconds": 3.0, "seconds": 2.0,
            "predicted_bytes": 500, "bytes": 10,
        }
    ]  # fmt: skip


def test_it_stays_small():
    many = [action(f"public.t{number}") for number in range(300)]
    new = after({}, line(*many), bytes_per_row={f"public.{'x' * 60}{number}": 1.0 for number in range(5000)})
    assert len(new["outcomes"]) == MAX_OUTCOMES and len(new["bytes_per_row"]) == MAX_NAMES
    assert len(to_json(new)) < 1 << 20


@pytest.fixture
def store(tmp_path):
    return open_store({"store": str(tmp_path)}, read_only=False)


def test_it_is_written_once_and_read_back(store):
    assert read_history(store, "db") == {}
    change_history(store, "db", lambda old: {**old, "throughput": {"vacuum": 1}})
    change_history(store, "db", lambda old: {**old, "run_id": "r2"})
    assert read_history(store, "db") == document("db", {"throughput": {"vacuum": 1}, "run_id": "r2"})


def test_what_another_run_wrote_meanwhile_is_not_lost(store):
    asked = []

    def change(old):
        asked.append(old)
        if len(asked) == 1:
            store.put(history_key("db"), to_json({"schema": SCHEMA, "target": "db", "other": 1}))
        return {**old, "mine": 1}

    change_history(store, "db", change)
    assert read_history(store, "db") == document("db", {"other": 1, "mine": 1})


def test_what_always_changes_is_told(store):
    class Moving:
        location = "here"

        def get(self, key):
            return store.get(key)

        def put(self, key, data, **conditions):
            raise StoreConflict("no")

    store.put(history_key("db"), to_json({"schema": SCHEMA}))
    with pytest.raises(StoreError, match="changes under our hands"):
        change_history(Moving(), "db", dict)


def test_what_is_no_history_is_not_overwritten(store):
    store.put(history_key("db"), b'{"schema": "day2.ops/history/9"}')
    for act in (lambda: read_history(store, "db"), lambda: change_history(store, "db", dict)):
        with pytest.raises(StoreError, match="move it away"):
            act()
