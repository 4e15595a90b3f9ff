# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Grants: what is missing is printed as the statements that give it."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils._postgresql.grants import (
    LEDGER_SQL,
    NEEDS,
    Held,
    missing,
    role_sql,
)

MODULE = "postgresql_maintenance"
ALL = Held("day2_maintenance", 180006, frozenset({"pg_monitor"}), "postgres", True)


def test_nothing_is_missing() -> None:
    assert missing(MODULE, ALL) == []


def test_everything_is_missing_from_17_on() -> None:
    held = Held(
        "Poor User", 170000, frozenset(), "postgres", False, ("Odd",),
        (("Odd", "T", "owner1", False), ("public", "orders", "owner2", True)),
    )  # fmt: skip
    assert missing(MODULE, held) == [
        'GRANT pg_monitor TO "Poor User";',
        'GRANT CONNECT ON DATABASE postgres TO "Poor User";',
        'GRANT USAGE ON SCHEMA "Odd" TO "Poor User";',
        'GRANT MAINTAIN ON TABLE "Odd"."T" TO "Poor User";',
        # A leftover is to be dropped there: only the owner can.
        'GRANT owner2 TO "Poor User";',
    ]


def test_before_17_owners_are_granted_once() -> None:
    held = Held(
        "m", 140010, frozenset({"pg_monitor"}), "postgres", True, (),
        (("a", "x", "owner1", False), ("a", "y", "owner1", False)),
    )  # fmt: skip
    assert missing(MODULE, held) == ["GRANT owner1 TO m;"]


def test_reading_needs_no_lock() -> None:
    assert missing("postgresql_health_info", Held("h", 180006, frozenset({"pg_monitor"}), "postgres", False)) == []


def test_the_role_is_rendered_from_the_same_data() -> None:
    sql = role_sql(MODULE, role="day2_maintenance", database="shop", owners=["shop_owner"])
    assert sql.splitlines()[:5] == [
        "CREATE ROLE day2_maintenance LOGIN;",
        "GRANT pg_monitor TO day2_maintenance;",
        "GRANT CONNECT ON DATABASE shop TO day2_maintenance;",
        "GRANT CONNECT ON DATABASE postgres TO day2_maintenance;",
        "GRANT shop_owner TO day2_maintenance;",
    ]
    assert "CREATE TABLE IF NOT EXISTS day2.stop" in sql and "PASSWORD" not in sql
    assert set(NEEDS) >= {MODULE, "postgresql_health_info", "postgresql_preflight_info"}


def test_retention_needs_privileges_on_its_tables_and_the_ledger() -> None:
    held = Held(
        "r", 180000, frozenset({"pg_monitor"}), "postgres", True, ("Odd",), (("public", "parts", "owner1", True),),
        (("Odd", "100% \"x\"", "DELETE"), ("public", "logs", "SELECT, DELETE")), "absent",
    )  # fmt: skip
    assert missing("postgresql_retention", held) == [
        'GRANT USAGE ON SCHEMA "Odd" TO r;',
        "GRANT owner1 TO r;",
        'GRANT DELETE ON TABLE "Odd"."100% ""x""" TO r;',
        "GRANT SELECT, DELETE ON TABLE public.logs TO r;",
        *LEDGER_SQL,
        "GRANT USAGE ON SCHEMA day2 TO r;",
        "GRANT SELECT, INSERT ON day2.retention_ledger TO r;",
    ]


def test_a_restore_needs_temporary_tables() -> None:
    held = Held("r", 180000, frozenset({"pg_monitor"}), "postgres", True, ledger="grants", temporary="My shop")
    assert missing("postgresql_retention_restore", held) == [
        "GRANT USAGE ON SCHEMA day2 TO r;",
        "GRANT SELECT, INSERT ON day2.retention_ledger TO r;",
        'GRANT TEMPORARY ON DATABASE "My shop" TO r;',
    ]


def test_the_role_of_retention_gets_its_tables() -> None:
    text = role_sql("postgresql_retention", role="r", database="shop", tables=[("app", "Logs"), ("app", "b")])
    assert 'GRANT SELECT, DELETE ON TABLE app."Logs" TO r;' in text and text.count("ON SCHEMA app") == 1
    assert all(statement in text for statement in LEDGER_SQL)
