# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verdicts on health: from what a server told to checks, without a server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._core.limits import complete
from ansible_collections.day2.ops.plugins.module_utils._core.liveness import Liveness
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql import (
    health_extensions,
    health_findings,
    health_growth,
    health_indexes,
    health_integrity,
    health_replication,
    health_settings,
    health_statements,
    health_vacuum,
    health_wal,
    types,
)
from ansible_collections.day2.ops.plugins.module_utils._postgresql.health import PROBES, THRESHOLDS, health

LIMITS = complete({}, THRESHOLDS)
DAY = 86400.0
GIB = 1 << 30


def statuses(checks: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    assert len({(one["check"], one["subject"]) for one in checks}) == len(checks)
    return {(one["check"].replace("postgresql_", ""), one["subject"]): one["status"] for one in checks}


def check_of(checks: list[dict[str, Any]], subject: str) -> dict[str, Any]:
    (found,) = [one for one in checks if one["subject"] == subject]
    return found


def test_every_threshold_belongs_to_a_check() -> None:
    names = {kind.name for kind in vars(types).values() if isinstance(kind, types.CheckType)}
    assert {f"postgresql_{name}" for name in THRESHOLDS} <= names
    assert {kind.name for kind, _probe in PROBES} <= names


@pytest.mark.parametrize("name", ["memory_bytes", "cpu_count", "statements_top", "probe_timeout"])
def test_sizes_that_are_none(name: str) -> None:
    given = {"thresholds": {}, "memory_bytes": None, "cpu_count": None, "statements_top": 1, "probe_timeout": 1}
    run = Run({**given, name: 0, "run": {}}, False, Deadline(None), Liveness())
    with pytest.raises(BadInput, match=f"^{name}: 0 is too little"):
        health(run)


def test_the_worst_stand_by_themselves_and_the_rest_is_counted() -> None:
    found = [health_findings.Finding(f"s{n}", n / 10, f"{n}.", "Do it.") for n in range(1, 11)]
    checks = health_findings.bounded(types.KEYS, {"warn": 0.25, "crit": 0.9}, "shop", found, "Fine.", "sequences")
    assert [one["subject"] for one in checks] == ["s10", "s9", "s8", "s7", "s6", "shop"]
    assert [one["status"] for one in checks] == ["crit", "crit", "warn", "warn", "warn", "warn"]
    assert checks[-1]["summary"] == "And 3 sequences like these, the worst of them: 5." and checks[-1]["value"] == 0.5


def test_where_less_is_worse_the_least_comes_first() -> None:
    found = [health_findings.Finding(name, value, name) for name, value in (("a", 5), ("b", -1), ("c", 50))]
    checks = health_findings.bounded(types.PARTITIONS, {"warn": 10, "crit": 0}, "shop", found, "Fine.")
    assert [(one["subject"], one["status"]) for one in checks] == [("b", "crit"), ("a", "warn"), ("shop", "ok")]
    assert checks[-1]["value"] == 50


# -- replication and WAL


def replica(**more: Any) -> dict[str, Any]:
    return {"name": "db2", "state": "streaming", "bytes": 0, "unreceived": 0, "seconds": 0.0, **more}


def test_a_replica_that_does_not_receive_and_one_that_does_not_replay() -> None:
    far = {"bytes": 2 * GIB, "seconds": 400.0}
    slow_network, _ = health_replication.replica_checks([replica(unreceived=2 * GIB, **far)], "h", LIMITS)
    slow_replay, seconds = health_replication.replica_checks([replica(unreceived=10, **far)], "h", LIMITS)
    assert slow_network["status"] == slow_replay["status"] == seconds["status"] == "crit"
    assert slow_network["advice"] == health_replication.NETWORK and slow_replay["advice"] == health_replication.REPLAY
    assert slow_network["evidence"]["unreplayed_bytes"] == 0


def test_a_hidden_replica_is_unknown_with_the_grant() -> None:
    checks = health_replication.replica_checks(
        [replica(state=None, bytes=None, unreceived=None, seconds=None)], "Poor User", LIMITS
    )
    assert {one["status"] for one in checks} == {"unknown"}
    assert 'GRANT pg_monitor TO "Poor User";' in checks[0]["advice"]


@pytest.mark.parametrize(
    ("there", "expected", "missing"),
    [(["a", "b"], ["a", "b"], 0), (["a"], ["a", "b"], 1), (["a"], ["a", "a"], 1), (["c"], ["a", "b"], 2)],
)
def test_replicas_that_vanished(there: list[str], expected: list[str], missing: int) -> None:
    (check,) = health_replication.missing_replicas([{"name": name} for name in there], expected, LIMITS)
    assert (check["value"], check["status"]) == (missing, "crit" if missing else "ok")


def test_without_expectations_nothing_is_missing() -> None:
    assert health_replication.missing_replicas([], [], LIMITS) == []


@pytest.mark.parametrize(
    ("state", "follows", "status"), [("streaming", True, "ok"), (None, True, "crit"), (None, False, None)]
)
def test_the_receiver_of_a_standby(state: str, follows: bool, status: str) -> None:
    row = {"bytes": 0, "seconds": 0.0, "state": state, "follows": follows, "paused": False}
    found = statuses(health_replication.standby_checks(row, LIMITS))
    assert found.get(("wal_receiver", "this standby")) == status


@pytest.mark.parametrize(
    ("more", "status", "advice"),
    [
        ({}, None, ""),
        ({"errors": None}, None, ""),
        ({"errors": 3}, "warn", "pg_stat_reset_subscription_stats(7)"),
        ({"enabled": False}, "warn", "ALTER SUBSCRIPTION lab ENABLE;"),
        ({"enabled": False, "errors": 1}, "crit", "ALTER SUBSCRIPTION lab ENABLE;"),
        ({"running": False}, "crit", "log"),
    ],
)
def test_subscriptions(more: dict[str, Any], status: str, advice: str) -> None:
    row = {"oid": 7, "name": "lab", "database": "shop", "enabled": True, "running": True, "unsynced": 0, "errors": 0}
    checks = health_replication.judge_subscriptions([{**row, **more}], "shop", LIMITS)
    assert statuses(checks).get(("subscription_errors", "shop.lab")) == status
    assert not advice or advice in check_of(checks, "shop.lab")["advice"]
    assert health_replication.judge_subscriptions([], "shop", LIMITS) == []


def slot(**more: Any) -> dict[str, Any]:
    row = {"name": "s", "kind": "physical", "active": True, "wal_status": "reserved", "safe": None, "bytes": 0}
    return {**row, "reserves": True, "inactive": None, "reason": None, "synced": False, **more}


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({}, None),
        ({"active": False}, "warn"),
        ({"active": False, "inactive": 60.0}, None),
        ({"active": False, "inactive": 700.0}, "warn"),
        ({"active": False, "inactive": 2 * DAY}, "crit"),
        ({"active": False, "inactive": 2 * DAY, "synced": True}, None),
        ({"wal_status": "unreserved"}, "crit"),
        ({"active": False, "wal_status": "lost", "reserves": False, "bytes": None}, "crit"),
        ({"active": False, "reason": "idle_timeout", "inactive": 5.0}, "crit"),
    ],
)
def test_slots(more: dict[str, Any], status: str) -> None:
    assert statuses(health_wal.judge_slots([slot(**more)], LIMITS)).get(("slot_state", "s")) == status


def test_what_a_slot_keeps_and_how_to_drop_it() -> None:
    checks = health_wal.judge_slots([slot(name="it's", active=False, bytes=60 * GIB, safe=GIB)], LIMITS)
    (kept,) = [one for one in checks if one["check"] == types.SLOTS.name and one["subject"] == "it's"]
    assert kept["status"] == "crit" and "pg_drop_replication_slot('it''s')" in kept["advice"]
    assert kept["evidence"] == {"active": False, "safe_bytes": GIB}
    silent = complete({"slot_state": {"warn": None, "crit": None}}, THRESHOLDS)
    assert ("slot_state", "s") not in statuses(health_wal.judge_slots([slot(active=False)], silent))


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({}, "ok"),
        ({"failing": True, "success_ago": 5.0, "failures": 1}, "warn"),
        ({"failing": True, "success_ago": 4000.0, "failures": 9}, "crit"),
        ({"failing": True, "success_ago": 4000.0, "archived_ago": None}, "crit"),
        ({"waiting": 3, "oldest": 20.0}, "ok"),
        ({"waiting": 3, "oldest": 400.0}, "warn"),
        ({"nothing": True}, "crit"),
        ({"mode": "off"}, None),
        ({"standby": True}, None),
        ({"standby": True, "mode": "always"}, "ok"),
    ],
)
def test_the_archiver(more: dict[str, Any], status: str) -> None:
    row = {
        "mode": "on", "standby": False, "nothing": False, "archived": 1, "failures": 0, "failing": False,
        "archived_ago": 5.0, "success_ago": 5.0, "last_archived": "a", "last_failed": "b", "waiting": 0, "oldest": None,
    }  # fmt: skip
    checks = health_wal.judge_archiver({**row, **more}, LIMITS)
    assert [one["status"] for one in checks] == ([status] if status else [])


# -- what grows


def sequence(last: Any, kind: str = "int8", maximum: int = 2**63 - 1, **more: Any) -> dict[str, Any]:
    row = {
        "schema": "public", "name": "a_id_seq", "role": "h", "database": "shop", "maximum": maximum, "minimum": 1,
        "step": 1, "cycles": False, "table_schema": "public", "table_name": "a", "column_name": "id", "type": kind,
        "readable": True, "last": last,
    }  # fmt: skip
    return {**row, **more}


@pytest.mark.parametrize(
    ("row", "subject", "status"),
    [
        (sequence(1_600_000_000, "int4"), "public.a.id", "warn"),
        (sequence(2_000_000_000, "int4", 2**31 - 1), "public.a.id", "crit"),
        (sequence(30_000, "int2"), "public.a.id", "crit"),
        (sequence(1_600_000_000), "shop", "ok"),
        (sequence(80, maximum=100), "public.a_id_seq", "warn"),
        (sequence(100, maximum=100, cycles=True), "shop", "ok"),
        (sequence(95, maximum=100, column_name=None, type=None), "public.a_id_seq", "crit"),
        (sequence(-95, maximum=-1, minimum=-100, step=-1), "public.a_id_seq", "crit"),
        (sequence(None), "shop", "ok"),
    ],
)
def test_keys(row: dict[str, Any], subject: str, status: str) -> None:
    checks = health_growth.judge_keys([row], "shop", LIMITS)
    assert statuses(checks)["key_exhaustion", subject] == status


def test_the_narrowest_column_that_a_sequence_reaches_counts() -> None:
    wide, narrow = sequence(2_000_000_000), sequence(2_000_000_000, "int4", table_name="b", column_name="a_id")
    checks = health_growth.judge_keys([wide, narrow], "shop", LIMITS)
    assert statuses(checks) == {("key_exhaustion", "public.b.a_id"): "crit", ("key_exhaustion", "shop"): "ok"}
    assert "ALTER TABLE public.b ALTER COLUMN a_id TYPE bigint" in checks[0]["advice"]


def test_hidden_sequences_are_unknown_with_the_grant() -> None:
    (check,) = health_growth.judge_keys([sequence(None, readable=False, schema="Odd")], "shop", LIMITS)
    assert check["status"] == "unknown"
    assert 'GRANT SELECT ON ALL SEQUENCES IN SCHEMA "Odd" TO h;' in check["advice"]


def partitioned(left: Any, **more: Any) -> dict[str, Any]:
    row = {
        "schema": "public", "name": "events", "timed": True, "open": False, "newest": "events_2026_12",
        "until": "2027-01-01 00:00:00+00", "next": "2027-02-01 00:00:00+00", "label": "20270101", "left": left,
        "default_name": None, "default_schema": None, "default_rows": 0, "default_bytes": 0,
    }  # fmt: skip
    return {**row, **more}


@pytest.mark.parametrize(
    ("row", "status"),
    [
        (partitioned(30 * DAY), None),
        (partitioned(3 * DAY), "warn"),
        (partitioned(-3 * DAY), "crit"),
        (partitioned(-200 * DAY), None),
        (partitioned(3 * DAY, open=True), None),
        (partitioned(None, timed=False), None),
    ],
)
def test_partitions_for_what_comes(row: dict[str, Any], status: str) -> None:
    checks = health_growth.judge_partitions([row], "shop", LIMITS)
    assert statuses(checks).get(("future_partitions", "public.events")) == status


def test_the_next_partition_is_written_out() -> None:
    check = check_of(health_growth.judge_partitions([partitioned(DAY)], "shop", LIMITS), "public.events")
    assert (
        "CREATE TABLE public.events_p20270101 PARTITION OF public.events FOR VALUES FROM ('2027-01-01 00:00:00+00') TO "
        "('2027-02-01 00:00:00+00');" in check["advice"]
    )


def test_rows_that_found_no_partition() -> None:
    about = {"default_name": "events_rest", "default_schema": "public"}
    full = health_growth.judge_partitions([partitioned(None, timed=False, default_rows=5, **about)], "shop", LIMITS)
    assert statuses(full)["default_partition_rows", "public.events"] == "warn"
    assert "DETACH PARTITION public.events_rest" in full[0]["advice"]
    empty = health_growth.judge_partitions([partitioned(None, timed=False, **about)], "shop", LIMITS)
    assert statuses(empty) == {("default_partition_rows", "shop"): "ok"}


# -- what is stored, settings, autovacuum


def test_checksum_failures() -> None:
    rows: list[dict[str, Any]] = [
        {"database": None, "enabled": True, "failures": 0, "ago": None},
        {"database": "shop", "enabled": True, "failures": 2, "ago": 60.0},
    ]
    assert statuses(health_integrity.judge_checksums(rows, LIMITS)) == {
        ("checksum_failures", "shop"): "crit",
        ("checksum_failures", "server"): "ok",
    }
    (off,) = health_integrity.judge_checksums([{**rows[0], "enabled": False}], LIMITS)
    assert off["status"] == "ok" and "off" in off["summary"]


@pytest.mark.parametrize(
    ("rows", "status", "advice"),
    [
        ([], "ok", ""),
        ([("fsync", "off", False)], "crit", "ALTER SYSTEM SET fsync = on;"),
        ([("zero_damaged_pages", "on", False)], "crit", "ALTER SYSTEM SET zero_damaged_pages = off;"),
        ([("autovacuum", "off", False)], "warn", "ALTER SYSTEM SET autovacuum = on;"),
        ([("max_connections", "100", True)], "warn", "Restart"),
    ],
)
def test_settings(rows: list[tuple[str, str, bool]], status: str, advice: str) -> None:
    found = [dict(zip(("name", "setting", "pending"), row)) for row in rows]
    (check,) = health_settings.judge_settings(found, LIMITS)
    assert check["status"] == status and advice in check["advice"]
    silent = complete({"settings": {"warn": None, "crit": None}}, THRESHOLDS)
    assert health_settings.judge_settings(found, silent)[0]["status"] == "ok"


@pytest.mark.parametrize(
    ("rows", "status", "advice"),
    [
        ([], "ok", ""),
        ([("uuid-ossp", True)], "warn", 'run: ALTER EXTENSION "uuid-ossp" UPDATE;'),
        ([("postgis", False)], "warn", "No update leads there for postgis: "),
        (
            [("a", True), ("b", False), ("c", True)],
            "warn",
            "run: ALTER EXTENSION a UPDATE; ALTER EXTENSION c UPDATE; No",
        ),
    ],
)
def test_extensions(rows: list[tuple[str, bool]], status: str, advice: str) -> None:
    found = [{"name": name, "here": "1.4", "brought": "1.5", "update": update} for name, update in rows]
    (check,) = health_extensions.judge_extensions(found, "shop", LIMITS)
    assert (check["value"], check["status"]) == (len(rows), status) and advice in check["advice"]
    assert all(f"{name} is 1.4, its package brought 1.5" in check["summary"] for name, _update in rows)


def test_extensions_are_the_business_of_the_primary() -> None:
    session: Any = SimpleNamespace(rows=lambda _statement: [{"standby": True}])
    assert health_extensions.extensions(session, Run({}, False, Deadline(None), Liveness()), LIMITS) == []


SIZING = {
    "shared_buffers": 128 << 20, "work_mem": 4 << 20, "maintenance_work_mem": 64 << 20, "autovacuum_work_mem": -1,
    "autovacuum_workers": 3, "max_connections": 100, "parallel_workers": 8, "max_wal_size": GIB, "standby": False,
    "timed": 90, "requested": 10,
}  # fmt: skip


def test_without_the_machine_its_size_is_not_judged() -> None:
    assert statuses(health_settings.judge_sizing(SIZING, None, None, LIMITS)) == {
        ("checkpoints_requested", "server"): "ok"
    }
    assert health_settings.judge_sizing({**SIZING, "standby": True}, None, None, LIMITS) == []


def test_settings_against_the_machine() -> None:
    large = {**SIZING, "work_mem": 1 << 30, "requested": 900}
    found = health_settings.judge_sizing(large, 64 * GIB, 2, LIMITS)
    assert set(statuses(found).values()) == {"warn"}
    advice = " ".join(one["advice"] for one in found)
    for words in ("shared_buffers = '16384MB'", "max_parallel_workers = 2;", "max_wal_size = '2048MB'", "work_mem = '"):
        assert words in advice


def table(**more: Any) -> dict[str, Any]:
    row = {
        "schema": "public", "name": "a", "standby": False, "enabled": True, "toast_enabled": True, "bytes": 1 << 30,
        "rows": 10_000_000.0, "dead": 6_000_000, "vacuumed": 9000.0, "factor": 0.2, "trigger": 2_000_050.0,
    }  # fmt: skip
    return {**row, **more}


@pytest.mark.parametrize(
    ("more", "status", "advice"),
    [
        ({}, "warn", "autovacuum_vacuum_scale_factor = 0.005, autovacuum_vacuum_cost_delay = 0"),
        ({"vacuumed": None, "dead": 30_000_000}, "crit", "autovacuum_vacuum_scale_factor"),
        ({"vacuumed": 60.0}, "warn", "end what holds them back"),
        ({"vacuumed": 60.0, "dead": 2_100_000}, None, ""),
        ({"dead": 500, "trigger": 60.0}, None, ""),
        ({"standby": True}, None, ""),
    ],
)
def test_autovacuum_that_does_not_keep_up(more: dict[str, Any], status: str, advice: str) -> None:
    checks = health_vacuum.judge_autovacuum([table(**more)], "shop", LIMITS)
    assert statuses(checks).get(("autovacuum_behind", "public.a")) == status
    assert advice in " ".join(one["advice"] for one in checks)


def test_tables_kept_from_autovacuum() -> None:
    rows = [table(name=f"t{n}", enabled=False) for n in range(7)] + [table(name="u", toast_enabled=False, dead=0)]
    check = health_vacuum.judge_autovacuum(rows, "shop", LIMITS)[0]
    assert (check["value"], check["status"]) == (8, "warn") and "and 3 more" in check["summary"]
    assert "ALTER TABLE public.t0 RESET (autovacuum_enabled);" in check["advice"]


# -- work


def statement(**more: Any) -> dict[str, Any]:
    row = {"role": "h", "id": "-42", "calls": 10, "rows": 3, "total": 30.0, "mean": 3.0, "share": 0.5, "text": None}
    return {**row, "hidden": False, "any_hidden": False, **more}


def test_slow_statements_by_their_id_and_text_only_when_asked_for() -> None:
    bare = check_of(health_statements.judge_statements([statement()], "shop", LIMITS), "-42")
    assert bare["status"] == "warn" and bare["evidence"]["statement"] is None
    told = statement(text="SELECT * FROM a WHERE mail = 'me@example.com' AND n = 7")
    check = check_of(health_statements.judge_statements([told], "shop", LIMITS), "-42")
    assert check["evidence"]["statement"] == "SELECT * FROM a WHERE mail = '?' AND n = ?"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT E'it\\'s hush' , 1",
        "SELECT $$hush$$",
        "SELECT $a$hush$$ $a$",
        "SELECT 'hush",
        "SELECT 1 -- hush",
        "/* hush */ SELECT 2",
        "CREATE USER a PASSWORD 'hush'",
        "SET a.b = 'hush'",
    ],
)
def test_no_constant_is_passed_on(text: str) -> None:
    assert "hush" not in (health_statements.normal(text) or "")


def test_statements_of_others_that_are_hidden() -> None:
    (check,) = health_statements.judge_statements([statement(any_hidden=True)], "shop", LIMITS)
    assert check["status"] == "unknown" and "GRANT pg_monitor TO h;" in check["advice"]


def test_sequential_scans() -> None:
    row = {"schema": "public", "name": "a", "bytes": GIB, "scans": 3000, "read": 9_000_000, "index_scans": 5}
    often = health_statements.judge_scans([{**row, "age": 10 * DAY}], "shop", LIMITS)
    assert statuses(often)["sequential_scans", "public.a"] == "warn"
    seldom = health_statements.judge_scans([{**row, "age": 100 * DAY}], "shop", LIMITS)
    assert statuses(seldom) == {("sequential_scans", "shop"): "ok"}


# -- indexes


def index(**more: Any) -> dict[str, Any]:
    row = {
        "oid": 1, "schema": "public", "name": "i", "table_schema": "public", "table": "a", "standby": False,
        "bytes": 20 << 20, "scans": 0, "last_used": None, "age": 40 * DAY, "unique": False, "marked": False,
        "constraint": None, "referred": False, "key": "k",
    }  # fmt: skip
    return {**row, **more}


def test_unused_indexes_once_the_statistics_are_old_enough() -> None:
    check = check_of(health_indexes.judge_unused([index()], "shop", LIMITS), "public.i")
    assert check["status"] == "warn" and "DROP INDEX CONCURRENTLY public.i;" in check["advice"]
    assert "a replica uses it" in check["advice"]
    for age in (None, 5 * DAY):
        assert statuses(health_indexes.judge_unused([index(age=age)], "shop", LIMITS)) == {
            ("unused_indexes", "shop"): "ok"
        }
    none = index(name=None)
    assert statuses(health_indexes.judge_unused([none], "shop", LIMITS)) == {("unused_indexes", "shop"): "ok"}


@pytest.mark.parametrize(
    ("first", "second", "dropped"),
    [
        ({}, {}, "public.j"),
        ({}, {"unique": True}, "public.i"),
        ({}, {"constraint": "a_pkey", "unique": True}, "public.i"),
        ({"scans": 1}, {"scans": 50}, "public.i"),
        ({"unique": True}, {"marked": True}, None),
        ({"key": "other"}, {}, None),
        ({"referred": True, "unique": True}, {"referred": True, "unique": True}, None),
    ],
)
def test_duplicate_indexes(first: dict[str, Any], second: dict[str, Any], dropped: str) -> None:
    rows = [index(**first), index(oid=2, name="j", **second)]
    checks = health_indexes.judge_duplicates(rows, "shop", LIMITS)
    assert [one["subject"] for one in checks if one["status"] != "ok"] == ([dropped] if dropped else [])


def test_two_constraints_on_the_same_columns() -> None:
    rows = [index(constraint="a_pkey", unique=True), index(oid=2, name="j", constraint="a_key", unique=True)]
    check = check_of(health_indexes.judge_duplicates(rows, "shop", LIMITS), "public.j")
    assert check["advice"] == "Run: ALTER TABLE public.a DROP CONSTRAINT a_key;"
