# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What others do already, and what a size tells when nobody counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional

import pytest

from ansible_collections.day2.ops.plugins.module_utils._postgresql import needs
from ansible_collections.day2.ops.plugins.module_utils._postgresql.bloat import row_bytes_by_width, useful_by_rows
from ansible_collections.day2.ops.plugins.module_utils._postgresql.care import jobs_by_table
from ansible_collections.day2.ops.plugins.module_utils._postgresql.plan import plan
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import (
    RATES,
    Care,
    Index,
    Policy,
    State,
    Table,
)
from ansible_collections.day2.ops.plugins.module_utils._postgresql.summary import warnings

MIB = 1 << 20
ORDERS = Table(
    1, "public", "orders", bytes=100 * MIB, pages=12_800, rows=1e6, live=600_000, dead=400_000,
    vacuumed=3600.0, analyzed=3600.0, vacuums=1, analyzes=1,
)  # fmt: skip
OTHER = Table(2, "Odd", "other")
BLOATED = Index(9, "public", "orders_pkey", 1, bytes=40 * MIB, rows=1e6, useful_bytes=10 * MIB, measured="pgstatindex")


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("VACUUM", {("vacuum", 1), ("vacuum", 2)}),
        ("vacuum analyze public.orders;", {("vacuum", 1), ("analyze", 1)}),
        ("VACUUM (VERBOSE, ANALYZE) orders", {("vacuum", 1), ("analyze", 1)}),
        ('ANALYZE "Odd".other, orders', {("analyze", 1), ("analyze", 2)}),
        ("REINDEX TABLE CONCURRENTLY orders", {("reindex", 1)}),
        ("REINDEX (CONCURRENTLY) DATABASE app", {("reindex", 1), ("reindex", 2)}),
        ("VACUUM orders_old", set()),
        ("SELECT cleanup(); VACUUM orders", set()),
        ("VACUUM orders; DROP TABLE x", set()),
        ("CALL partman.run_maintenance_proc()", set()),
    ],
)
def test_jobs_are_understood_or_left_out_of_account(command: str, found: set[tuple[str, int]]) -> None:
    jobs = [{"jobid": 3, "schedule": "0 3 * * *", "command": command, "username": "ann", "path": True}]
    told = jobs_by_table(jobs, [ORDERS, OTHER], ())
    assert set(told) == found and set(told.values()) <= {"pg_cron's job 3 (0 3 * * *)"}


@pytest.mark.parametrize(
    ("command", "job", "found"),
    [
        ("VACUUM orders", {}, {1}),
        ("VACUUM tenant.orders", {}, {5}),
        ("VACUUM orders", {"username": "tenant"}, {5}),
        # That user has a schema; whether its table is hidden behind our own selection, nobody knows.
        ("VACUUM orders", {"username": "other"}, set()),
        # Whoever has another path may mean any of them.
        ("VACUUM orders", {"path": False}, set()),
        ("VACUUM public.orders", {"path": False}, {1}),
        ("VACUUM other", {}, set()),
    ],
)
def test_a_name_without_a_schema_is_that_of_one_table(command: str, job: dict[str, Any], found: set[int]) -> None:
    given = {"jobid": 3, "schedule": "x", "command": command, "username": "ann", "path": True, **job}
    told = jobs_by_table([given], [ORDERS, OTHER, replace(ORDERS, oid=5, schema="tenant")], {"tenant", "other"})
    assert {table for _kind, table in told} == found


def planned(table: Table, care: Care, *indexes: Index) -> list[tuple[str, str, str]]:
    steps = plan(State(180006, (table,), indexes, rates=RATES, care=care), Policy(), None)
    return [(step.kind, str(step.action["status"]), str(step.action["reason"])) for step in steps]


def test_a_table_at_which_somebody_works_is_left_to_them() -> None:
    care = Care(at_work={1: "an autovacuum (pid 7)"})
    (rebuild, vacuum) = planned(ORDERS, care, BLOATED)
    assert vacuum[:2] == ("vacuum", "skipped") and "an autovacuum (pid 7) is at work on it now" in vacuum[2]
    assert rebuild[:2] == ("reindex", "deferred") and "would be cancelled" in rebuild[2]
    assert planned(replace(ORDERS, xid_age=1_300_000_000), care)[0][1] == "planned", "danger is everybody's business"


def test_what_a_job_does_is_left_to_it() -> None:
    care = Care(jobs={("vacuum", 1): "pg_cron's job 3 (0 3 * * *)"})
    assert planned(ORDERS, care)[0][1:] == (
        "skipped",
        "40 % of 1 000 000 rows are dead (threshold 10 %); skipped: pg_cron's job 3 (0 3 * * *) takes care of it",
    )
    assert planned(replace(ORDERS, xid_age=160_000_000), care)[0][1] == "planned"


def test_who_takes_care_is_said() -> None:
    care = Care({1: "an autovacuum (pid 7)"}, {("vacuum", 2): "pg_cron's job 3 (x)"}, ("public.parted",))
    (check,) = warnings(State(180006, care=care), Policy(), [])
    assert check["status"] == "ok" and check["value"] == 3 and "pg_partman" in check["summary"]
    assert warnings(State(180006), Policy(), []) == []


LOST = replace(ORDERS, lost=True, live=0, dead=0, vacuumed=None, vacuums=0, method="width", confidence="low")


@pytest.mark.parametrize(
    ("more", "due"),
    [
        ({"useful_bytes": 99.0 * MIB}, None),
        ({"useful_bytes": 82.0 * MIB}, None),  # padding may be as much
        ({"useful_bytes": 60.0 * MIB}, "40 % of it is more than its rows need by the widths of its columns"),
        ({"useful_bytes": 85.0 * MIB, "method": "size_per_row", "confidence": "medium"}, "the best size per row known"),
        ({"useful_bytes": 50.0 * MIB, "rows": 100.0}, None),  # too few rows to matter
        ({"useful_bytes": None}, needs.LOST),
    ],
)
def test_a_table_without_statistics_is_judged_by_its_size(more: dict[str, Any], due: Optional[str]) -> None:
    reason = needs.vacuum(replace(LOST, **more), Policy(), ()).reason
    assert (due in reason) if due else reason == ""


def test_the_size_of_rows() -> None:
    # pgbench_accounts: three integers and 84 characters; 61 rows fit on a page.
    assert 8192 / row_bytes_by_width(4 + 4 + 4 + 85, False, 4, 100) == pytest.approx(61, abs=1)
    assert row_bytes_by_width(97, False, 4, 50) > 1.9 * row_bytes_by_width(97, False, 4, 100)
    assert useful_by_rows(1000, 100.0) == 13 * 8192 and useful_by_rows(-1, 100.0) == 0
