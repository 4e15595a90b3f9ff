# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find: who takes care of a table already: a vacuum at work, jobs of pg_cron, pg_partman. That is left to them."""

from __future__ import annotations

import re
from typing import Collection, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._postgresql import trouble
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Row, Session, compose
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote, spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import Care, Table

_AT_WORK = """
SELECT coalesce(t.oid, p.relid)::bigint AS oid, a.backend_type = 'autovacuum worker' AS auto, p.pid,
       coalesce(nullif(a.application_name, ''), 'a session without a name') AS application
  FROM pg_stat_progress_vacuum p JOIN pg_stat_activity a USING (pid) LEFT JOIN pg_class t ON t.reltoastrelid = p.relid
 WHERE p.datname = current_database() AND p.pid <> ALL(%(own)s)
UNION
SELECT p.relid::bigint, true, p.pid, '' FROM pg_stat_progress_analyze p JOIN pg_stat_activity a USING (pid)
 WHERE p.datname = current_database() AND a.backend_type = 'autovacuum worker'
"""
_READABLE = """
SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relname = %(table)s AND (%(schema)s::text IS NULL OR n.nspname = %(schema)s) AND c.relkind IN ('r', 'p')
   AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') LIMIT 1
"""
# ``path``: whether the job finds tables along the usual path: the schema of its user's name, then public.
_JOBS = """
SELECT jobid, schedule, command, username,
       (SELECT replace(reset_val, ' ', '') = '"$user",public' FROM pg_settings WHERE name = 'search_path')
       AND NOT EXISTS (SELECT FROM pg_db_role_setting s, unnest(s.setconfig) one
                        WHERE one LIKE 'search_path=%%'
                          AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = %(database)s))
                          AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = username))) AS path
  FROM {name} WHERE active AND database = %(database)s
"""
_SCHEMAS = "SELECT nspname AS schema FROM pg_namespace WHERE nspname = ANY(%s)"
_PARENTS = "SELECT parent_table FROM {name}"
_WORK = re.compile(r"^\s*(vacuum|analyze|analyse|reindex)\b(.*)$", re.IGNORECASE | re.DOTALL)


def read_care(session: Session, locks: Session, database: str, own: Sequence[int], tables: Sequence[Table]) -> Care:
    """Who takes care. The jobs of pg_cron are read in the database itself and in that of the locks."""
    given = {"database": database}
    jobs = {row["jobid"]: row for place in (session, locks) for row in _rows(place, "cron", "job", _JOBS, given)}
    users = sorted({str(job["username"]) for job in jobs.values()})
    schemas = {row["schema"] for row in session.rows(_SCHEMAS, [users])} if users else set()
    parents = {row["parent_table"] for row in _rows(session, None, "part_config", _PARENTS, None)}
    known = {f"{table.schema}.{table.name}" for table in tables if table.kind == "p"}
    by_table = jobs_by_table(list(jobs.values()), tables, schemas)
    return Care(read_at_work(session, own), by_table, tuple(sorted(parents & known)))


def read_at_work(session: Session, own: Sequence[int]) -> dict[int, str]:
    """Who vacuums or analyses which table now, but for our own processes."""
    return {row["oid"]: _worker(row) for row in session.rows(_AT_WORK, {"own": list(own)})}


def _worker(row: Row) -> str:
    return (
        f"an autovacuum (pid {row['pid']})" if row["auto"] else f"the vacuum of {row['application']} (pid {row['pid']})"
    )


def _rows(
    session: Session, schema: Optional[str], table: str, statement: str, args: Optional[Mapping[str, str]]
) -> list[Row]:
    try:
        found = session.rows(_READABLE, {"schema": schema, "table": table})
        return [
            row for one in found for row in session.rows(compose(statement, name=(one["schema"], one["name"])), args)
        ]
    except trouble.SqlError:  # another table of that name
        return []


def jobs_by_table(jobs: Sequence[Row], tables: Sequence[Table], schemas: Collection[str]) -> dict[tuple[str, int], str]:
    """(kind of action, table) to the job that does it. A job without a table does all; one that is not plainly one
    statement is not understood, and nothing is left to it. ``schemas``: those that are called like users of jobs.
    Pure."""
    found: dict[tuple[str, int], str] = {}
    for job in jobs:
        match = _WORK.match(str(job["command"]).strip().rstrip(";"))
        if match is None or ";" in match.group(2):
            continue
        verb, rest = match.group(1).lower(), match.group(2)
        kinds = {"vacuum": ["vacuum"], "reindex": ["reindex"]}.get(verb, ["analyze"])
        if verb == "vacuum" and re.search(r"\banaly[sz]e\b", rest, re.IGNORECASE):
            kinds.append("analyze")
        told = f"pg_cron's job {job['jobid']} ({job['schedule']})"
        # Where a name without a schema is looked up first; nothing is left to a job of which that is in doubt.
        first = job["username"] if job["username"] in schemas else "public"
        for table in tables:
            if _names(rest, table, bare=job["path"] and table.schema == first):
                found.update({(kind, table.oid): told for kind in kinds})
    return found


_OPTIONS = re.compile(
    r"^\s*(\([^)]*\)|full\b|freeze\b|verbose\b|analy[sz]e\b|table\b|concurrently\b|database\b)", re.IGNORECASE
)


def _names(rest: str, table: Table, *, bare: bool) -> bool:
    """Whether a statement's ``rest`` names the table, with its schema or, where that is enough (``bare``), without."""
    while True:
        match = _OPTIONS.match(rest)
        if match is None:
            break
        if match.group(1).lower() == "database":
            return True
        rest = rest[match.end() :]
    rest = rest.strip()
    names = [spell(table.schema, table.name), *([quote(table.name)] if bare else [])]
    return not rest or any(part.strip() in names for part in rest.split(","))
