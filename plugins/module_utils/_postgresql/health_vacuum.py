# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health of autovacuum: tables it may not touch, and tables it does not keep up with or works on in vain."""

from __future__ import annotations

from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.limits import Limits
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._postgresql import types
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Row, Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.health_findings import Finding, bounded
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import amount, count, duration, listed, size

# Fewer dead rows than this are nobody's trouble.
FEW_ROWS = 10_000
# A table over its trigger is vacuumed within some minutes, unless something is wrong.
LONG_SECONDS = 3600.0
# How many dead rows autovacuum should find at once in a large table, when it is told a better share.
WANTED_ROWS = 50_000
SMALLEST, LARGEST = 0.001, 0.1

# A table's own settings go before the server's. From 18 on the trigger has an upper bound. Sizes are those of the last
# vacuum, so that nobody's lock is waited for. Only tables that are off or above their trigger come back.
_TABLES = """
WITH tables AS (
  SELECT n.nspname AS schema, c.relname AS name, pg_is_in_recovery() AS standby,
         coalesce(o.enabled, true) AS enabled, coalesce(k.enabled, true) AS toast_enabled,
         c.relpages::bigint * current_setting('block_size')::int AS bytes,
         greatest(c.reltuples, 0)::float8 AS rows, pg_stat_get_dead_tuples(c.oid) AS dead,
         extract(epoch FROM now() - greatest(
             pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)))::float8 AS vacuumed,
         coalesce(o.factor, current_setting('autovacuum_vacuum_scale_factor')::float8) AS factor,
         coalesce(o.threshold, current_setting('autovacuum_vacuum_threshold')::float8) AS threshold,
         coalesce(o.most, current_setting('autovacuum_vacuum_max_threshold', true)::float8, -1) AS most
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
    CROSS JOIN LATERAL (
      SELECT bool_and(option_value::bool) FILTER (WHERE option_name = 'autovacuum_enabled') AS enabled,
             max(option_value::float8) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor') AS factor,
             max(option_value::float8) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold') AS threshold,
             max(option_value::float8) FILTER (WHERE option_name = 'autovacuum_vacuum_max_threshold') AS most
        FROM pg_options_to_table(c.reloptions)) o
    CROSS JOIN LATERAL (
      SELECT bool_and(option_value::bool) FILTER (WHERE option_name = 'autovacuum_enabled') AS enabled
        FROM pg_options_to_table(t.reloptions)) k
   WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\\_%'
     AND n.nspname <> 'information_schema'),
judged AS (
  SELECT *, threshold + factor * rows AS plain FROM tables)
SELECT schema, name, standby, enabled, toast_enabled, bytes, rows, dead, vacuumed, factor,
       CASE WHEN most >= 0 THEN least(plain, most) ELSE plain END AS trigger
  FROM judged
 WHERE NOT enabled OR NOT toast_enabled
    OR dead > CASE WHEN most >= 0 THEN least(plain, most) ELSE plain END
 ORDER BY bytes DESC, 1, 2
"""


def autovacuum(session: Session, run: Run, limits: Limits) -> list[Check]:
    return judge_autovacuum(session.rows(_TABLES), run.params["login_db"], limits)


def judge_autovacuum(rows: Sequence[Row], database: str, limits: Limits) -> list[Check]:
    """Tables by size. A standby counts no dead rows, and vacuums nothing."""
    checks = [_off([row for row in rows if not (row["enabled"] and row["toast_enabled"])], database, limits)]
    if rows and rows[0]["standby"]:
        return checks
    behind = [
        _behind(row)
        for row in rows
        if row["enabled"]
        and row["dead"] >= FEW_ROWS
        and row["dead"] > row["trigger"]
        and (row["vacuumed"] is None or row["vacuumed"] >= LONG_SECONDS or row["dead"] >= 2 * row["trigger"])
    ]
    fine = "Autovacuum keeps up with every table."
    limit = limits["autovacuum_behind"]
    return checks + bounded(types.AUTOVACUUM_BEHIND, limit, database, behind, fine, "tables")


def _off(rows: Sequence[Row], database: str, limits: Limits) -> Check:
    names = [spell(row["schema"], row["name"]) for row in rows]
    total = sum(row["bytes"] for row in rows)
    if names:
        text = f"Autovacuum is off for {count(len(names), 'table')} ({size(total)}): {listed(names)}."
    else:
        text = "No table is kept from autovacuum."
    resets = " ".join(
        f"ALTER TABLE {spell(row['schema'], row['name'])} RESET "
        f"({'autovacuum_enabled' if not row['enabled'] else 'toast.autovacuum_enabled'});"
        for row in rows[:5]
    )
    advice = f"Unless something else vacuums them often enough: {resets}"
    return types.AUTOVACUUM_OFF(
        database, len(names), **limits["autovacuum_off"], summary=text, advice=advice, tables=listed(names, 20),
        bytes=total,
    )  # fmt: skip


def _behind(row: Row) -> Finding:
    name, dead, trigger = spell(row["schema"], row["name"]), row["dead"], max(1.0, row["trigger"])
    ago = "never" if row["vacuumed"] is None else f"{duration(row['vacuumed'])} ago"
    text = f"{name} has {amount(dead)} dead rows, {dead / trigger:.1f} times what starts a vacuum; vacuumed {ago}."
    if row["vacuumed"] is not None and row["vacuumed"] < LONG_SECONDS:
        advice = (
            "It was just vacuumed and they stayed: end what holds them back (an old transaction, a slot, a prepared "
            "transaction, a replica with hot_standby_feedback). No setting helps before that."
        )
    else:
        # So that the next vacuum has about WANTED_ROWS to remove, and is not throttled.
        share = min(LARGEST, row["factor"], max(SMALLEST, WANTED_ROWS / max(1.0, row["rows"])))
        advice = (
            f"ALTER TABLE {name} SET (autovacuum_vacuum_scale_factor = {share:.3g}, autovacuum_vacuum_cost_delay = 0); "
            "and more autovacuum_max_workers when many tables wait."
        )
    evidence = {
        "dead_rows": dead, "trigger": round(trigger), "vacuumed_seconds": row["vacuumed"],
        "scale_factor": row["factor"],
    }  # fmt: skip
    return Finding(name, round(dead / trigger, 2), text, advice, weight=float(row["bytes"]), evidence=evidence)
