# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health of the work: statements that are slow, and large tables that are read from end to end."""

from __future__ import annotations

import re
from typing import Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core import scrub
from ansible_collections.day2.ops.plugins.module_utils._core.clock import DAY
from ansible_collections.day2.ops.plugins.module_utils._core.limits import Limits
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._postgresql import trouble, types
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Row, Session, compose
from ansible_collections.day2.ops.plugins.module_utils._postgresql.health_findings import (
    STATISTICS_AGE,
    Finding,
    ask_for,
    bounded,
)
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import amount, count, duration, percent, size

# A table that is read through in a moment does not matter.
LARGE_BYTES = 100 << 20
# The extension is there, but was not loaded when the server started.
NOT_LOADED = "55000"
TEXT_LENGTH = 300

_EXTENSION = """
SELECT n.nspname AS schema FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname = 'pg_stat_statements'
"""
# Without texts the server does not even read the file that holds them. The share is that of all statements.
_STATEMENTS = """
SELECT current_user AS role, s.queryid::text AS id, s.calls::bigint, s.rows::bigint,
       (s.total / 1000)::float8 AS total, (s.total / s.calls / 1000)::float8 AS mean,
       (s.total / nullif(sum(s.total) OVER (), 0))::float8 AS share, s.text, s.hidden,
       bool_or(s.hidden) OVER () AS any_hidden
  FROM (SELECT queryid, sum(calls) AS calls, sum(rows) AS rows, sum(total_exec_time) AS total, max(query) AS text,
               queryid IS NULL AS hidden
          FROM {function}(%(text)s) WHERE calls > 0
           AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) GROUP BY queryid) s
 ORDER BY s.total DESC LIMIT %(top)s
"""
# Sizes are those of the last vacuum, so that nobody's lock is waited for.
_SCANS = f"""
SELECT n.nspname AS schema, c.relname AS name, c.relpages::bigint * current_setting('block_size')::int AS bytes,
       pg_stat_get_numscans(c.oid) AS scans, pg_stat_get_tuples_returned(c.oid) AS read,
       (SELECT coalesce(sum(pg_stat_get_numscans(i.indexrelid)), 0) FROM pg_index i WHERE i.indrelid = c.oid)::bigint
           AS index_scans,
       (SELECT {STATISTICS_AGE}
          FROM pg_stat_database d, pg_stat_wal w WHERE d.datname = current_database()) AS age
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\\_%%'
   AND n.nspname <> 'information_schema' AND pg_stat_get_numscans(c.oid) > 0
   AND c.relpages::bigint * current_setting('block_size')::int >= %s
 ORDER BY 5 DESC LIMIT 200
"""

_COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_LITERAL = re.compile(r"(?:\b[EeBbXxNn]|[Uu]&)?'(?:[^'\\]|''|\\.)*'?|\$(\w*)\$.*?(?:\$\1\$|\Z)", re.DOTALL)
_NUMBER = re.compile(r"(?<![\w$.\"])\d[\w.]*")
_WORK = re.compile(r"\s*(select|insert|update|delete|with|merge|values)\b", re.IGNORECASE)


def normal(text: Optional[str]) -> Optional[str]:
    """A statement without a single constant; None where that cannot be sure, as for those that set passwords.

    The extension replaces constants by $1, but not in every statement of every version.

    >>> normal("SELECT * FROM a WHERE b = 'it''s' AND c = $1 AND d > 42 /* user 7 */")
    "SELECT * FROM a WHERE b = '?' AND c = $1 AND d > ?"
    >>> normal("ALTER ROLE a PASSWORD 'b'") is None
    True
    """
    if not text:
        return None
    plain = _LITERAL.sub("'?'", _COMMENT.sub(" ", text))
    if not _WORK.match(plain):
        return None
    plain = scrub.scrub(" ".join(_NUMBER.sub("?", plain).split()))
    return plain if len(plain) <= TEXT_LENGTH else plain[: TEXT_LENGTH - 1] + "…"


def statements(session: Session, run: Run, limits: Limits) -> list[Check]:
    database, limit = run.params["login_db"], limits["slow_statements"]
    found = session.rows(_EXTENSION)
    if not found:
        text = "Nobody counts statements here: CREATE EXTENSION pg_stat_statements; in this database lets them be seen."
        return [types.STATEMENTS(database, None, **limit, status="ok", summary=text)]
    statement = compose(_STATEMENTS, function=(found[0]["schema"], "pg_stat_statements"))
    given = {"text": bool(run.params["query_text"]), "top": run.params["statements_top"]}
    try:
        rows = session.rows(statement, given)
    except trouble.SqlError as error:
        if error.sqlstate != NOT_LOADED:
            raise
        text = "pg_stat_statements is installed, but the server has not loaded it."
        advice = "Add pg_stat_statements to shared_preload_libraries and restart in a window."
        return [types.STATEMENTS(database, None, **limit, summary=text, advice=advice)]
    return judge_statements(rows, database, limits)


def judge_statements(rows: Sequence[Row], database: str, limits: Limits) -> list[Check]:
    """The statements on which most time went, each by its mean. Where others' are hidden, that is told."""
    limit = limits["slow_statements"]
    if any(row["any_hidden"] for row in rows):
        text = "What other users' statements take is hidden from this user."
        advice = ask_for("pg_monitor", rows[0]["role"])
        return [types.STATEMENTS(database, None, **limit, summary=text, advice=advice)]
    fine = "No statement was counted yet."
    if rows:
        fine = f"None of the {count(len(rows), 'statement')} on which most time went is slow."
    return bounded(types.STATEMENTS, limit, database, [_statement(row) for row in rows], fine, "statements")


def _statement(row: Row) -> Finding:
    text = normal(row["text"])
    what = (
        f"Statement {row['id']} takes {_brief(row['mean'])} on average, {amount(row['calls'])} calls, "
        f"{percent(row['share'] or 0)} of all time"
    )
    evidence = {
        "calls": row["calls"], "total_seconds": round(row["total"], 1), "share": round(row["share"] or 0, 4),
        "rows": row["rows"], "statement": text,
    }  # fmt: skip
    advice = (
        f"Look at it with EXPLAIN (ANALYZE, BUFFERS): SELECT query FROM pg_stat_statements WHERE queryid = {row['id']};"
    )
    summary = f"{what}: {text}" if text else f"{what}."
    return Finding(row["id"], round(row["mean"], 4), summary, advice, weight=row["total"], evidence=evidence)


def _brief(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 2 else duration(seconds)


def scans(session: Session, run: Run, limits: Limits) -> list[Check]:
    return judge_scans(session.rows(_SCANS, [LARGE_BYTES]), run.params["login_db"], limits)


def judge_scans(rows: Sequence[Row], database: str, limits: Limits) -> list[Check]:
    """Sequential scans a day. While the statistics are younger than a day, those since then."""
    fine = f"No table of {size(LARGE_BYTES)} or more is often read from end to end."
    limit = limits["sequential_scans"]
    return bounded(types.SEQUENTIAL, limit, database, [_scan(row) for row in rows], fine, "tables")


def _scan(row: Row) -> Finding:
    name = spell(row["schema"], row["name"])
    days = max(1.0, (row["age"] or 0) / DAY)
    a_day, per_scan = row["scans"] / days, row["read"] / row["scans"]
    text = (
        f"{name} ({size(row['bytes'])}) is read from end to end {amount(a_day)} times a day, {amount(per_scan)} rows "
        f"each; through its indexes {amount(row['index_scans'] / days)} times."
    )
    advice = (
        f"Find the statements on {name} that filter by columns without an index (EXPLAIN), and create one: "
        f"CREATE INDEX CONCURRENTLY ON {name} (...);"
    )
    evidence = {
        "scans": row["scans"], "index_scans": row["index_scans"], "rows_per_scan": round(per_scan),
        "bytes": row["bytes"],
    }  # fmt: skip
    return Finding(name, round(a_day, 1), text, advice, weight=float(row["read"]), evidence=evidence)
