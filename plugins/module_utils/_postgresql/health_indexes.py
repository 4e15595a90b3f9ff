# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health of indexes: those that nobody uses, and those that another one makes superfluous. Catalogs only."""

from __future__ import annotations

from itertools import groupby
from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.clock import DAY
from ansible_collections.day2.ops.plugins.module_utils._core.limits import Limits
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._postgresql import types
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Row, Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.health_findings import (
    STATISTICS_AGE,
    Finding,
    bounded,
)
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote, spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import size

# Younger statistics say little: what runs once a month has not run yet.
OLD_ENOUGH = 30 * DAY

# Left out: what guards anything (unique, exclusion, constraints, replica identity), what keeps the rows' order, what
# finds the rows that refer to a parent that is deleted, and parts of an index of a partitioned table. Sizes are those
# of the last vacuum, so that nobody's lock is waited for. The statistics of a database are as old as its own reset, or
# as the last time that the server lost all of them.
_UNUSED = """
SELECT n.nspname AS schema, c.relname AS name, t.relname AS table, pg_is_in_recovery() AS standby,
       c.relpages::bigint * current_setting('block_size')::int AS bytes, pg_stat_get_numscans(c.oid) AS scans,
       {used} AS last_used, a.age
  FROM (SELECT {age} AS age
          FROM pg_stat_database d, pg_stat_wal w WHERE d.datname = current_database()) a
  LEFT JOIN (pg_index i JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i' AND NOT c.relispartition
                        JOIN pg_class t ON t.oid = i.indrelid AND t.relkind IN ('r', 'm')
                        JOIN pg_namespace n ON n.oid = c.relnamespace)
    ON n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'day2' AND i.indisvalid AND NOT i.indisunique
   AND NOT i.indisexclusion AND NOT i.indisreplident AND NOT i.indisclustered
   AND c.relpages::bigint * current_setting('block_size')::int >= %(at_least)s
   AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
   AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.contype = 'f' AND k.conrelid = i.indrelid
                                                 AND k.conkey[1] = i.indkey[0])
   AND (pg_stat_get_numscans(c.oid) = 0 OR {used} >= %(old)s)
 ORDER BY 5 DESC NULLS LAST, 1, 2
"""
_USED = "extract(epoch FROM now() - pg_stat_get_lastscan(c.oid))::float8"
USED_SINCE = 160000
# What is equal in all that an index can be asked for. Expressions as the server writes them: their inner form holds
# where in its statement each one stood.
_DUPLICATES = """
WITH candidates AS (
  SELECT i.indexrelid, i.indrelid, i.indisunique, i.indnatts, i.indnkeyatts, i.indkey, i.indclass, i.indcollation,
         i.indoption, i.indexprs, i.indpred, c.relam, c.relname, c.relnamespace, c.relpages,
         i.indisreplident OR i.indisclustered AS marked,
         count(*) OVER (PARTITION BY i.indrelid, c.relam, i.indnkeyatts, i.indkey::text, i.indclass::text,
                                     i.indcollation::text, i.indoption::text,
                                     i.indexprs IS NULL, i.indpred IS NULL) AS alike
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
   WHERE i.indisvalid AND NOT i.indisexclusion AND NOT c.relispartition)
SELECT k.indexrelid::bigint AS oid, n.nspname AS schema, k.relname AS name, tn.nspname AS table_schema,
       t.relname AS table, k.indisunique AS unique, k.marked,
       k.relpages::bigint * current_setting('block_size')::int AS bytes, pg_stat_get_numscans(k.indexrelid) AS scans,
       (SELECT conname FROM pg_constraint x WHERE x.conindid = k.indexrelid AND x.contype IN ('p', 'u') LIMIT 1)
           AS constraint,
       EXISTS (SELECT FROM pg_constraint x WHERE x.conindid = k.indexrelid AND x.contype = 'f') AS referred,
       concat_ws('|', k.indrelid, k.relam, k.indnkeyatts, k.indkey, k.indclass, k.indcollation, k.indoption,
                 coalesce(pg_get_expr(k.indexprs, k.indrelid), '-'), coalesce(pg_get_expr(k.indpred, k.indrelid), '-'))
           AS key
  FROM candidates k JOIN pg_namespace n ON n.oid = k.relnamespace JOIN pg_class t ON t.oid = k.indrelid
  JOIN pg_namespace tn ON tn.oid = t.relnamespace
 WHERE k.alike > 1 AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'day2'
"""


def unused(session: Session, run: Run, limits: Limits) -> list[Check]:
    used = _USED if session.version >= USED_SINCE else "NULL::float8"
    given = {"at_least": run.params["index_min_bytes"], "old": OLD_ENOUGH}
    return judge_unused(
        session.rows(_UNUSED.format(used=used, age=STATISTICS_AGE), given), run.params["login_db"], limits
    )


def judge_unused(rows: Sequence[Row], database: str, limits: Limits) -> list[Check]:
    """One row without an index comes when there is none; its ``age`` is that of the statistics."""
    limit, age = limits["unused_indexes"], rows[0]["age"] if rows else None
    if age is None or age < OLD_ENOUGH:
        old = "of unknown age" if age is None else f"{age / DAY:.0f} days old"
        text = f"The statistics are {old}: after 30 days they tell which indexes nobody uses."
        return [types.UNUSED_INDEXES(database, None, **limit, status="ok", summary=text)]
    found = [_unused(row) for row in rows if row["name"] is not None]
    return bounded(types.UNUSED_INDEXES, limit, database, found, "No large index is without use.", "indexes")


def _unused(row: Row) -> Finding:
    name, table = spell(row["schema"], row["name"]), spell(row["schema"], row["table"])
    if row["scans"]:
        since = f"has not been used for {row['last_used'] / DAY:.0f} days"
    else:
        since = f"has not been used in the {row['age'] / DAY:.0f} days of the statistics"
    others = "the primary, or another standby," if row["standby"] else "a replica"
    text = f"Index {name} of {size(row['bytes'])} {since}, and is written with each row of {table}."
    advice = (
        f"Look whether {others} uses it (each server counts for itself) and whether it is younger than that; then "
        f"run: DROP INDEX CONCURRENTLY {name};"
    )
    evidence = {"table": table, "last_used_seconds": row["last_used"]}
    return Finding(name, row["bytes"], text, advice, evidence=evidence)


def duplicates(session: Session, run: Run, limits: Limits) -> list[Check]:
    return judge_duplicates(session.rows(_DUPLICATES), run.params["login_db"], limits)


def judge_duplicates(rows: Sequence[Row], database: str, limits: Limits) -> list[Check]:
    """Of indexes with the same ``key`` one is enough: rather one that guards something, rather one that is used."""
    found = []
    for _key, group in groupby(sorted(rows, key=lambda row: (row["key"], row["oid"])), key=lambda row: row["key"]):
        best, *others = sorted(group, key=_worth, reverse=True)
        found += [_duplicate(other, best) for other in others if not (other["marked"] or other["referred"])]
    fine = "No index is there twice."
    return bounded(types.DUPLICATE_INDEXES, limits["duplicate_indexes"], database, found, fine, "indexes")


def _worth(row: Row) -> tuple[Any, ...]:
    return (
        row["referred"], row["constraint"] is not None, row["unique"], row["marked"], row["scans"], -row["oid"],
    )  # fmt: skip


def _duplicate(row: Row, best: Row) -> Finding:
    name, kept = spell(row["schema"], row["name"]), spell(best["schema"], best["name"])
    table = spell(row["table_schema"], row["table"])
    text = f"Index {name} on {table} ({size(row['bytes'])}) is the same as {kept}."
    if row["constraint"]:
        advice = f"Run: ALTER TABLE {table} DROP CONSTRAINT {quote(row['constraint'])};"
    else:
        advice = f"Run: DROP INDEX CONCURRENTLY {name};"
    evidence = {"kept": kept, "bytes": row["bytes"]}
    return Finding(name, 1, text, advice, weight=float(row["bytes"]), evidence=evidence)
