# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find: tables whose statistics the server has lost, by a crash, a failover, a copy or a reset.

Nobody has counted their dead rows. Where pgstattuple may be used they are counted; else their size per row tells.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._postgresql import trouble
from ansible_collections.day2.ops.plugins.module_utils._postgresql.bloat import row_bytes_by_width, useful_by_rows
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session, compose
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.read import COUNTED, probe_schema
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import Table

_WIDTHS = """
SELECT c.oid::bigint AS oid, count(*) AS columns, count(s.attname) AS known,
       coalesce(sum(s.avg_width * (1 - s.null_frac)), 0)::float8 AS width,
       coalesce(bool_or(s.null_frac > 0), false) AS nulls,
       coalesce((SELECT option_value::int FROM pg_options_to_table(c.reloptions)
                  WHERE option_name = 'fillfactor'), 100) AS fillfactor
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
        AND NOT s.inherited
 WHERE c.oid = ANY(%s::oid[]) GROUP BY c.oid
"""
_COUNT = "SELECT approx_tuple_count::bigint AS live, dead_tuple_count AS dead FROM {function}(%s::oid::regclass)"


def recount(
    session: Session, tables: Sequence[Table], probe_bytes: int, best: Optional[Mapping[str, float]] = None
) -> list[Table]:
    """The tables, those whose statistics were lost with what can be told of them: the worst looking ones counted.

    ``probe_bytes``: what may be read in all. ``best``: the least bytes per row that were ever seen, by table.
    """
    lost = [table for table in tables if table.lost]
    if not lost:
        return list(tables)
    widths = {row["oid"]: row for row in session.rows(_WIDTHS, [[table.oid for table in lost]])}
    told: dict[int, Table] = {}
    for table in lost:
        told[table.oid] = _by_size(table, (best or {}).get(spell(table.schema, table.name)), widths.get(table.oid))
    schema = probe_schema(session, "pgstattuple_approx")
    left = probe_bytes if schema is not None else 0
    for table in sorted(told.values(), key=lambda table: (table.useful_bytes or 0.0) - table.bytes):
        if schema is not None and table.bytes + table.toast_bytes <= left and not table.locked:
            left -= table.bytes + table.toast_bytes
            told[table.oid] = _counted(session, schema, table)
    return [told.get(table.oid, table) for table in tables]


def _by_size(table: Table, best: Optional[float], row: Optional[Mapping[str, float]]) -> Table:
    """What the table would take without bloat. Rows that lie in TOAST for the most part tell nothing by their size."""
    if table.rows < 0 or table.toast_bytes > table.bytes:
        return table
    if best is not None:
        useful = useful_by_rows(table.rows, best)
        return replace(table, useful_bytes=useful, method="size_per_row", confidence="medium")
    if row is None or row["known"] < row["columns"]:
        return table
    each = row_bytes_by_width(row["width"], bool(row["nulls"]), int(row["columns"]), int(row["fillfactor"]))
    return replace(table, useful_bytes=useful_by_rows(table.rows, each), method="width", confidence="low")


def _counted(session: Session, schema: str, table: Table) -> Table:
    statement = compose(_COUNT, function=(schema, "pgstattuple_approx"))
    try:
        own = session.rows(statement, [table.oid])[0]
        toast = session.rows(statement, [table.toast])[0] if table.toast_bytes else {"live": 0, "dead": 0}
    except trouble.SqlError:  # dropped or locked meanwhile: its size has to do
        return table
    return replace(
        table, lost=False, live=own["live"], dead=own["dead"], toast_live=toast["live"], toast_dead=toast["dead"],
        useful_bytes=None, method=COUNTED, confidence="high",
    )  # fmt: skip
