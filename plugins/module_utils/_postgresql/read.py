# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find: what the server knows about tables and indexes. Catalogs only, but for bounded probes."""

from __future__ import annotations

from dataclasses import replace
from typing import Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._postgresql import names, trouble
from ansible_collections.day2.ops.plugins.module_utils._postgresql.bloat import (
    PAGE_BYTES,
    useful_by_density,
    useful_by_width,
)
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Row, Session, compose
from ansible_collections.day2.ops.plugins.module_utils._postgresql.grants import MAINTAIN_SINCE
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import Index, Table

# Asking for a size takes a lock, and waits for whoever keeps everybody out: of what is locked so the catalog tells it.
# What is locked between the look and the question makes it fail soon, and the next look sees that.
_LOCKED = """
WITH locked AS MATERIALIZED (
    SELECT array_agg(DISTINCT l.relation) AS oids, set_config('lock_timeout', '2s', true) AS soon,
           current_setting('block_size')::bigint AS page
      FROM pg_locks l
     WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid IS DISTINCT FROM pg_backend_pid()
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))"""
_TABLES = (
    _LOCKED
    + """
SELECT c.oid::bigint, n.nspname AS schema, c.relname AS name, pg_get_userbyid(c.relowner) AS owner,
       c.relkind::text AS kind, CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid::bigint END AS root,
       coalesce(CASE WHEN c.relkind = 'p' THEN 0
                     WHEN %(unsized)s OR c.oid = ANY(locked.oids) THEN c.relpages * locked.page
                     ELSE pg_relation_size(c.oid) END, 0) AS bytes,
       coalesce(CASE WHEN %(unsized)s OR t.oid = ANY(locked.oids) THEN t.relpages * locked.page
                     ELSE pg_relation_size(t.oid) END, 0) AS toast_bytes, t.oid::bigint AS toast,
       coalesce(c.oid = ANY(locked.oids) OR t.oid = ANY(locked.oids), false) AS locked,
       c.relpages AS pages, c.relallvisible AS visible_pages, c.reltuples::float8 AS rows,
       pg_stat_get_live_tuples(c.oid) AS live, pg_stat_get_dead_tuples(c.oid) AS dead,
       coalesce(pg_stat_get_live_tuples(t.oid), 0) AS toast_live,
       coalesce(pg_stat_get_dead_tuples(t.oid), 0) AS toast_dead,
       pg_stat_get_mod_since_analyze(c.oid) AS changed,
       extract(epoch FROM now() - greatest(
           pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)))::float8 AS vacuumed,
       extract(epoch FROM now() - greatest(
           pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)))::float8 AS analyzed,
       pg_stat_get_vacuum_count(c.oid) + pg_stat_get_autovacuum_count(c.oid) AS vacuums,
       pg_stat_get_analyze_count(c.oid) + pg_stat_get_autoanalyze_count(c.oid) AS analyzes,
       CASE c.relkind WHEN 'p' THEN 0
            ELSE greatest(age(c.relfrozenxid), coalesce(age(t.relfrozenxid), 0)) END AS xid_age,
       CASE c.relkind WHEN 'p' THEN 0
            ELSE greatest(mxid_age(c.relminmxid), coalesce(mxid_age(t.relminmxid), 0)) END AS mxid_age
  FROM locked CROSS JOIN pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
 WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't'
   AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'
   AND (n.nspname <> 'day2' OR %(schemas)s::text[] IS NOT NULL)
   AND (%(members)s OR NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                                                            AND d.deptype = 'e'))
   AND (%(oids)s::oid[] IS NULL OR c.oid = ANY(%(oids)s::oid[]))
   AND (%(schemas)s::text[] IS NULL OR n.nspname = ANY(%(schemas)s::text[]))
 ORDER BY 2, 3
"""
)
_INDEXES = (
    _LOCKED
    + """
SELECT i.indexrelid::bigint AS oid, n.nspname AS schema, c.relname AS name,
       coalesce(p.oid, i.indrelid)::bigint AS table,
       p.oid IS NOT NULL AS toast, a.amname AS method, i.indisvalid AS valid, i.indisexclusion AS exclusion,
       i.indpred IS NOT NULL AS partial,
       coalesce(CASE WHEN %(unsized)s OR c.oid = ANY(locked.oids) THEN c.relpages * locked.page
                     ELSE pg_relation_size(c.oid) END, 0) AS bytes, c.reltuples::float8 AS rows,
       coalesce(c.oid = ANY(locked.oids) OR i.indrelid = ANY(locked.oids), false) AS locked,
       i.indisvalid OR pg_has_role(c.relowner, 'USAGE') AS owned,
       CASE WHEN c.reloptions IS NULL THEN 90  -- looking into nothing costs as much as into something
            ELSE coalesce((SELECT option_value::int FROM pg_options_to_table(c.reloptions)
                            WHERE option_name = 'fillfactor'), 90) END AS fillfactor,
       concat_ws(',', CASE WHEN p.oid IS NOT NULL AND NOT has_schema_privilege(n.oid, 'USAGE') THEN 'schema' END,
                      CASE WHEN p.oid IS NOT NULL AND NOT {permitted} THEN 'owner' END) AS lacking
  FROM locked CROSS JOIN pg_index i JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am a ON a.oid = c.relam
  LEFT JOIN pg_class p ON p.reltoastrelid = i.indrelid
 WHERE c.relkind = 'i' AND coalesce(p.oid, i.indrelid) = ANY(%(tables)s::oid[])
   AND (p.oid IS NULL OR NOT i.indisvalid OR i.indrelid = ANY(%(toasts)s::oid[]))
 ORDER BY 2, 3
"""
)
# A live build shows itself; a rebuild also keeps its copies locked between its transactions.
_BUILDERS = """
SELECT index_relid::bigint AS oid, pid FROM pg_stat_progress_create_index WHERE index_relid <> 0
UNION
SELECT relation::bigint, pid FROM pg_locks
 WHERE locktype = 'relation' AND granted AND mode = 'ShareUpdateExclusiveLock' AND relation = ANY(%(invalid)s::oid[])
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_WIDTHS = """
SELECT i.indexrelid::bigint AS oid, count(*) AS keys, count(coalesce(s.avg_width, e.avg_width)) AS known,
       sum(coalesce(s.avg_width * (1 - s.null_frac), e.avg_width * (1 - e.null_frac)))::float8 AS width,
       max(coalesce(s.avg_width, e.avg_width)) AS widest,
       bool_or(coalesce(s.null_frac, e.null_frac) > 0) AS nulls, count(*) = 1 AND bool_and(ia.attlen > 0) AS exact
  FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_class tc ON tc.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = tc.relnamespace
  JOIN pg_attribute ia ON ia.attrelid = ic.oid AND ia.attnum > 0
  LEFT JOIN pg_attribute ta ON ta.attrelid = tc.oid AND ta.attnum = i.indkey[ia.attnum - 1] AND ta.attnum <> 0
  LEFT JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = tc.relname AND s.attname = ta.attname
        AND NOT s.inherited
  LEFT JOIN pg_stats e ON i.indkey[ia.attnum - 1] = 0 AND e.schemaname = n.nspname AND e.tablename = ic.relname
        AND e.attname = ia.attname AND NOT e.inherited
 WHERE i.indexrelid = ANY(%s::oid[]) GROUP BY 1
"""
_EXTENSION = """
SELECT n.nspname AS schema FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
  JOIN pg_proc p ON p.pronamespace = n.oid AND p.proname = %s AND p.proargtypes = %s::oidvector
 WHERE e.extname = 'pgstattuple' AND has_schema_privilege(n.oid, 'USAGE') AND has_function_privilege(p.oid, 'EXECUTE')
"""
# Of TOAST tables the server keeps no statistics; their keys are always these.
_TOAST_WIDTHS: Row = {"keys": 2, "known": 2, "width": 8.0, "widest": 4, "nulls": False, "exact": True}
# How often sizes are asked for before those of the catalog have to do.
SIZE_TRIES = 2
# How a table's rows are known once they were counted.
COUNTED = "pgstattuple_approx"
# The row types of the probes: regclass is 2205.
_REGCLASS = "2205"


def read_tables(
    session: Session,
    schemas: Optional[Sequence[str]] = None,
    oids: Optional[Sequence[int]] = None,
    *,
    members: bool = False,
) -> list[Table]:
    """All user tables, or those of ``schemas``, or those with ``oids``; with ``members`` those of extensions too."""
    given = {
        "schemas": list(schemas) if schemas else None,
        "oids": list(oids) if oids is not None else None,
        "members": members or oids is not None,
    }
    return [Table(**row, lost=_lost(row)) for row in _sized(session, _TABLES, given)]


def _sized(session: Session, statement: str, given: Row) -> list[Row]:
    """Rows with sizes; those of the catalog for all of them where others lock one thing after the other."""
    for _try in range(SIZE_TRIES):
        try:
            return session.rows(statement, {**given, "unsized": False})
        except trouble.SqlError as error:
            if error.sqlstate != trouble.LOCK_NOT_AVAILABLE:
                raise
    return session.rows(statement, {**given, "unsized": True})


def _lost(row: Row) -> bool:
    """Whether the server's counters cannot be true: nothing was ever vacuumed or analysed, yet the catalog has rows."""
    if row["vacuums"] or row["analyzes"] or row["kind"] == "p" or not row["bytes"]:
        return False
    never_counted = row["live"] + row["dead"] == 0 and row["rows"] != 0
    return bool(never_counted or row["live"] + row["dead"] < row["rows"] / 2)


def choose(tables: Sequence[Table], wanted: Sequence[str], database: str) -> list[Table]:
    """The tables that option ``tables`` names; all without it. :class:`BadInput` for one that is not there. Pure."""
    if not wanted:
        return list(tables)
    chosen: dict[int, Table] = {}
    for text in wanted:
        parts = names.parse(text, "tables")
        found = [one for one in tables if one.name == parts[-1] and (len(parts) == 1 or one.schema == parts[0])]
        if not found:
            raise BadInput(
                f"tables: {text!r} is not a user table of database {database}; check name, case and schemas."
            )
        if len(found) > 1:
            which = ", ".join(names.spell(one.schema, one.name) for one in found)
            raise BadInput(f"tables: {text!r} is more than one table ({which}); give the schema too.")
        root = found[0]
        chosen.update({one.oid: one for one in tables if root.oid in (one.oid, one.root)})
    return list(chosen.values())


def read_indexes(session: Session, tables: Sequence[Table]) -> list[Index]:
    """The indexes of the tables and of their TOAST tables, where these hold anything. Sizes only: :func:`measure`."""
    # What may be done to a table does not count for its TOAST table, but its owner's rights do.
    owned, maintained = "pg_has_role(c.relowner, 'USAGE')", "has_table_privilege(i.indrelid, 'MAINTAIN')"
    statement = _INDEXES.format(permitted=maintained if session.version >= MAINTAIN_SINCE else owned)
    given = {"tables": [one.oid for one in tables], "toasts": [one.toast for one in tables if one.toast_bytes]}
    indexes = [Index(**row) for row in _sized(session, statement, given)]
    invalid = [index.oid for index in indexes if not index.valid]
    if not invalid:
        return indexes
    builders = {row["oid"]: row["pid"] for row in session.rows(_BUILDERS, {"invalid": invalid})}
    return [replace(index, builder=builders.get(index.oid)) for index in indexes]


def with_index_bytes(tables: Sequence[Table], indexes: Sequence[Index]) -> list[Table]:
    """The tables with the size of their indexes, where a vacuum would read them: where rows are dead. Pure."""
    sizes: dict[int, int] = {}
    for index in indexes:
        sizes[index.table] = sizes.get(index.table, 0) + index.bytes
    return [replace(one, index_bytes=sizes.get(one.oid, 0)) if one.dead else one for one in tables]


def measure(
    session: Session,
    tables: Sequence[Table],
    indexes: Sequence[Index],
    at_least: int,
    probe_bytes: int,
    best: Optional[Mapping[str, float]] = None,
) -> list[Index]:
    """The indexes with ``useful_bytes``, where that can be told, by which method and how sure that is.

    B-trees are estimated from the catalogs, and every index of which the best size per row is known (``best``, by name)
    from that. Where pgstattuple may be used, the b-trees that look bloated, and then the largest ones, are read
    through, up to ``probe_bytes`` in all.
    """
    large = [one for one in indexes if one.valid and one.method != "brin" and one.bytes >= at_least]
    fit = [one for one in large if one.method == "btree"]
    widths = {row["oid"]: row for row in session.rows(_WIDTHS, [[one.oid for one in fit]])} if fit else {}
    # The catalog's number is as old as the last vacuum; that of the table follows what happened since.
    live = {table.oid: (float(table.live), float(table.toast_live)) for table in tables if not table.lost}
    widths.update({one.oid: _TOAST_WIDTHS for one in fit if one.toast})
    # Counting sees no dead rows of which reading has left only a stub; their entries are in the indexes all the same.
    counted = {table.oid for table in tables if table.method == COUNTED}
    told = {}
    for one in large:
        rows = one.rows if one.partial or one.table not in live else live[one.table][one.toast]
        known = (best or {}).get(spell(one.schema, one.name))
        estimated = _estimated(one, rows, widths.get(one.oid))
        if one.table in counted and not one.partial:
            estimated = replace(estimated, at_most=estimated.useful_bytes)
        told[one.oid] = _by_best(estimated, rows, known)
    schema = probe_schema(session, "pgstatindex") if fit else None
    left = probe_bytes if schema is not None else 0
    trees = [told[one.oid] for one in fit]
    for one in sorted(trees, key=lambda one: (one.useful_bytes or one.bytes) - one.bytes):
        if one.bytes <= left and schema is not None and not one.locked:
            left -= one.bytes
            told[one.oid] = _probed(session, schema, one)
    return [told.get(one.oid, one) for one in indexes]


def _by_best(index: Index, rows: float, best: Optional[float]) -> Index:
    """What is known of its size per row says more than an estimate, where it is less."""
    if best is None or rows < 1:
        return index
    useful = rows * best + 2 * PAGE_BYTES
    if index.useful_bytes is not None and index.useful_bytes <= useful:
        return index
    return replace(index, useful_bytes=useful, measured="size_per_row", confidence="medium")


def probe_schema(session: Session, function: str) -> Optional[str]:
    """The schema of a pgstattuple function that we may call, or None."""
    rows = session.rows(_EXTENSION, [function, _REGCLASS])
    return rows[0]["schema"] if rows else None


def _estimated(index: Index, rows: float, row: Optional[Row]) -> Index:
    if row is None or row["known"] < row["keys"]:
        return index
    key = (row["width"], row["widest"], row["nulls"])
    useful = useful_by_width(rows, *key, index.fillfactor, exact=row["exact"])
    if useful is None:
        return index
    return replace(index, useful_bytes=useful, measured="estimate", confidence="medium")


def _probed(session: Session, schema: str, index: Index) -> Index:
    statement = "SELECT leaf_pages, avg_leaf_density AS density FROM {function}(%s::oid::regclass)"
    try:
        row = session.rows(compose(statement, function=(schema, "pgstatindex")), [index.oid])[0]
    except trouble.SqlError:  # dropped or locked meanwhile: the estimate has to do
        return index
    useful = useful_by_density(row["leaf_pages"], row["density"], index.rows, index.fillfactor)
    return replace(index, useful_bytes=useful, measured="pgstatindex", confidence="high")
