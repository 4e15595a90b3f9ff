# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health of what grows towards an end: keys and their sequences, and tables that are partitioned by time."""

from __future__ import annotations

import re
from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.clock import DAY
from ansible_collections.day2.ops.plugins.module_utils._core.limits import Limits
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._postgresql import types
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Row, Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.health_findings import (
    Finding,
    ask_for,
    bounded,
)
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote, spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import (
    amount,
    count,
    duration,
    listed,
    percent,
    size,
)

TYPES = {
    "int2": ("smallint", 32_767),
    "int4": ("integer", 2_147_483_647),
    "int8": ("bigint", 9_223_372_036_854_775_807),
}
# A table whose newest partition ended so long ago is written to no more.
RETIRED_SECONDS = 90 * DAY

# One row per sequence and column that takes its values: its own columns (serial and identity), those whose default asks
# it, and those that refer to these, which may be narrower. Where the sequence may not be read, ``readable`` is false.
_KEYS = """
WITH used AS (
  SELECT d.objid AS seq, d.refobjid AS rel, d.refobjsubid AS att FROM pg_depend d
   WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
     AND d.deptype IN ('a', 'i')
  UNION
  SELECT d.refobjid, a.adrelid, a.adnum FROM pg_depend d JOIN pg_attrdef a ON a.oid = d.objid
   WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid = 0),
reaching AS (
  SELECT seq, rel, att FROM used
  UNION
  SELECT u.seq, f.conrelid, f.conkey[1] FROM used u JOIN pg_constraint f
      ON f.contype = 'f' AND f.confrelid = u.rel AND f.confkey[1] = u.att AND cardinality(f.confkey) = 1)
SELECT n.nspname AS schema, c.relname AS name, current_user AS role, current_database() AS database,
       s.seqmax AS maximum, s.seqmin AS minimum, s.seqincrement AS step, s.seqcycle AS cycles,
       tn.nspname AS table_schema, t.relname AS table_name, a.attname AS column_name, y.typname AS type,
       has_sequence_privilege(c.oid, 'SELECT,USAGE') AS readable,
       CASE WHEN has_sequence_privilege(c.oid, 'SELECT,USAGE')
             AND (c.relpersistence = 'p' OR NOT pg_is_in_recovery()) THEN pg_sequence_last_value(c.oid) END AS last
  FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN reaching r ON r.seq = c.oid LEFT JOIN pg_class t ON t.oid = r.rel AND NOT t.relispartition
  LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
  LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = r.att
  LEFT JOIN pg_type y ON y.oid = a.atttypid AND y.typname IN ('int2', 'int4', 'int8')
 WHERE c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'day2'
 ORDER BY 1, 2, 9, 10, 11
"""
# The first column of the key has to be a time. A bound that is MINVALUE or MAXVALUE has no text; one that was cut out
# of it is cast by the same settings that wrote it. The next partition is as long as the newest, in months where it has
# any.
_PARTITIONS = """
WITH parts AS (
  SELECT n.nspname AS schema, t.relname AS name, t.oid, a.atttypid AS type, c.oid AS part, pn.nspname AS part_schema,
         c.relname AS part_name, c.reltuples, c.relpages, pg_get_expr(c.relpartbound, c.oid) AS bound,
         p.partstrat = 'r' AND p.partattrs[0] <> 0 AND a.atttypid IN (1082, 1114, 1184) AS timed
    FROM pg_partitioned_table p JOIN pg_class t ON t.oid = p.partrelid JOIN pg_namespace n ON n.oid = t.relnamespace
    JOIN pg_inherits i ON i.inhparent = t.oid JOIN pg_class c ON c.oid = i.inhrelid
    JOIN pg_namespace pn ON pn.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = p.partattrs[0]
   WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'day2'),
cut AS (
  SELECT *, CASE WHEN timed THEN substring(bound from $re$FROM \\('([^']+)'$re$) END AS low,
         CASE WHEN timed THEN substring(bound from $re$ TO \\('([^']+)'$re$) END AS high,
         bound = 'DEFAULT' AS is_default, coalesce(timed AND bound LIKE '% TO (MAXVALUE%', false) AS open
    FROM parts),
ends AS (
  SELECT DISTINCT ON (oid) oid, part_name AS newest, high::timestamptz AS until,
         (high::timestamptz + age(high::timestamptz, low::timestamptz)) AS next
    FROM cut WHERE high IS NOT NULL AND isfinite(high::timestamptz)
     AND coalesce(isfinite(low::timestamptz), false) ORDER BY oid, high::timestamptz DESC)
SELECT c.schema, c.name, bool_or(c.timed) AS timed, bool_or(c.open) AS open, e.newest, e.until::text AS until,
       e.next::text AS next, to_char(e.until, 'YYYYMMDD') AS label, extract(epoch FROM e.until - now())::float8 AS left,
       max(c.part_name) FILTER (WHERE c.is_default) AS default_name,
       max(c.part_schema) FILTER (WHERE c.is_default) AS default_schema,
       coalesce(max(greatest(pg_stat_get_live_tuples(c.part), CASE WHEN c.relpages > 0 THEN c.reltuples::bigint END, 0))
           FILTER (WHERE c.is_default), 0)::bigint AS default_rows,
       coalesce(max(c.relpages::bigint * current_setting('block_size')::int) FILTER (WHERE c.is_default), 0)::bigint
           AS default_bytes
  FROM cut c LEFT JOIN ends e ON e.oid = c.oid
 GROUP BY c.schema, c.name, e.newest, e.until, e.next ORDER BY 1, 2
"""


def keys(session: Session, run: Run, limits: Limits) -> list[Check]:
    return judge_keys(session.rows(_KEYS), run.params["login_db"], limits)


def judge_keys(rows: Sequence[Row], database: str, limits: Limits) -> list[Check]:
    """How much of its numbers each sequence has given out, of its own and of those its columns can hold."""
    worst: dict[tuple[str, str], Finding] = {}
    hidden: dict[tuple[str, str], str] = {}
    for row in rows:
        key = (row["schema"], row["name"])
        if not row["readable"]:
            hidden[key] = row["role"]
            continue
        found = _key(row)
        if key not in worst or (found.value or 0) > (worst[key].value or 0):
            worst[key] = found
    fine = f"{count(len(worst), 'sequence')}: none is near the end of its numbers." if worst else "No sequence is used."
    limit = limits["key_exhaustion"]
    # Where nothing can be read, nothing can be called fine.
    checks = (
        bounded(types.KEYS, limit, database, list(worst.values()), fine, "sequences") if worst or not hidden else []
    )
    if not hidden:
        return checks
    schemas = sorted({schema for schema, _name in hidden})
    role = next(iter(hidden.values()))
    text = f"{count(len(hidden), 'sequence')} may not be read by this user, in {listed(schemas)}."
    # These read no row of a table.
    advice = " ".join(ask_for(f"SELECT ON ALL SEQUENCES IN SCHEMA {quote(schema)}", role) for schema in schemas[:5])
    return [*checks, types.KEYS("hidden sequences", None, **limit, summary=text, advice=advice)]


def _key(row: Row) -> Finding:
    """The end that comes first: the sequence's own, unless it begins again there, or that of the column's type."""
    name, last, down = spell(row["schema"], row["name"]), row["last"], row["step"] < 0
    own = None if row["cycles"] else abs(row["minimum"] if down else row["maximum"])
    word, most = TYPES.get(row["type"] or "", ("", None))
    narrow = most is not None and (own is None or most < own)
    limit = most if narrow else own
    column = ""
    if row["column_name"]:
        column = f"{spell(row['table_schema'], row['table_name'])}.{quote(row['column_name'])}"
    if last is None or not limit:
        return Finding(name, 0.0, f"Sequence {name} has given out nothing yet.")
    reached = abs(last) if (last < 0) == down else 0
    ratio = min(1.0, reached / limit)
    # Whole sequences of a narrow type end where the type does: then it is the column that has to be widened.
    typed = most is not None and (narrow or most == own) and word != "bigint"
    subject = column if column and typed else name
    of_what = f"column {column} ({word})" if typed else f"sequence {name}"
    text = f"{percent(ratio)} of the numbers of {of_what} are given out: {amount(reached)} of {amount(limit)}."
    evidence: dict[str, Any] = {
        "last": last, "limit": limit, "bound_by": "column" if typed else "sequence", "type": word or None,
    }  # fmt: skip
    return Finding(subject, round(ratio, 4), text, _widen(row, column, name, typed), evidence=evidence)


def _widen(row: Row, column: str, name: str, typed: bool) -> str:
    if not typed:
        return f"Inserts fail at its end: ALTER SEQUENCE {name} AS bigint NO MAXVALUE NO MINVALUE;"
    table, plain = spell(row["table_schema"], row["table_name"]), quote(row["column_name"])
    return (
        f"Inserts fail at its end: ALTER TABLE {table} ALTER COLUMN {plain} TYPE bigint; rewrites the table while "
        "nobody can use it. Where it is large, add a bigint column, fill it in batches, and swap the two; columns that "
        f"refer to it need the same. And ALTER SEQUENCE {name} AS bigint NO MAXVALUE;"
    )


def partitions(session: Session, run: Run, limits: Limits) -> list[Check]:
    return judge_partitions(session.rows(_PARTITIONS), run.params["login_db"], limits)


def judge_partitions(rows: Sequence[Row], database: str, limits: Limits) -> list[Check]:
    """How far ahead there are partitions by time, and rows that found none. Without partitioned tables, nothing."""
    if not rows:
        return []
    timed = [row for row in rows if row["timed"] and row["left"] is not None and not row["open"]]
    living = [row for row in timed if row["left"] > -RETIRED_SECONDS]
    checks: list[Check] = []
    if living:
        fine = f"{count(len(living), 'table')} partitioned by time: partitions for what comes are there."
        found = [_ahead(row) for row in living]
        checks += bounded(types.PARTITIONS, limits["future_partitions"], database, found, fine, "tables")
    with_default = [row for row in rows if row["default_name"]]
    if with_default:
        fine = f"{count(len(with_default), 'DEFAULT partition')} without rows."
        found = [_default(row) for row in with_default]
        limit = limits["default_partition_rows"]
        checks += bounded(types.DEFAULT_ROWS, limit, database, found, fine, "DEFAULT partitions")
    return checks


def _ahead(row: Row) -> Finding:
    table = spell(row["schema"], row["name"])
    has_default = row["default_name"] is not None
    if row["left"] >= 0:
        when = f"{row['left'] / DAY:.0f} days" if row["left"] >= 2 * DAY else duration(row["left"])
        text = f"The newest partition of {table} ({row['newest']}) ends in {when}."
    else:
        text = f"The newest partition of {table} ({row['newest']}) has ended: new rows "
        text += "go to the DEFAULT partition." if has_default else "are refused."
    next_name = spell(row["schema"], re.sub(r"[^\w$]", "_", f"{row['name'][:50]}_p{row['label']}"))
    advice = (
        f"CREATE TABLE {next_name} PARTITION OF {table} FOR VALUES FROM ('{row['until']}') TO ('{row['next']}'); and "
        "see to it that the job that creates partitions runs."
    )
    evidence = {"newest": row["newest"], "until": row["until"], "has_default": has_default}
    return Finding(table, round(row["left"], 0), text, advice, evidence=evidence)


def _default(row: Row) -> Finding:
    table = spell(row["schema"], row["name"])
    part = spell(row["default_schema"], row["default_name"])
    text = (
        f"The DEFAULT partition {part} holds about {count(row['default_rows'], 'row')} ({size(row['default_bytes'])})."
    )
    advice = (
        f"No partition can be created for them while they are there. In one transaction: ALTER TABLE {table} DETACH "
        f"PARTITION {part}; create the partitions they belong to; INSERT INTO {table} SELECT * FROM {part}; "
        f"TRUNCATE {part}; ALTER TABLE {table} ATTACH PARTITION {part} DEFAULT;"
    )
    evidence = {"partition": part, "bytes": row["default_bytes"]}
    return Finding(table, row["default_rows"], text, advice, evidence=evidence)
