# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of the policies as the catalogs know them: columns, key, and the order in which rows are read."""

from __future__ import annotations

from typing import Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Row, Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote, spell
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Column, Policy, Relation

_KINDS = {"v": "a view", "m": "a materialised view", "f": "a foreign table"}
_TABLES = """
SELECT c.oid::bigint, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
       pg_get_userbyid(c.relowner) AS owner, current_database() AS database,
       coalesce(size.bytes, 0)::bigint AS bytes, coalesce(size.rows, -1)::float8 AS rows
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
       LATERAL (SELECT sum(pg_table_size(x.oid)) AS bytes,
                       CASE WHEN bool_and(x.reltuples >= 0) THEN
                           sum(CASE WHEN x.relpages = 0 THEN 0 ELSE x.reltuples / x.relpages *
                                    (pg_relation_size(x.oid) / current_setting('block_size')::int) END) END AS rows
                  FROM pg_class x
                 WHERE x.oid = CASE WHEN c.relkind = 'r' THEN c.oid END
                    OR x.oid IN (SELECT p.relid FROM pg_partition_tree(c.oid) p WHERE p.isleaf)) AS size
 WHERE c.relname = %(name)s AND (%(schema)s::text IS NULL OR n.nspname = %(schema)s)
   AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
   AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname NOT IN ('information_schema', 'day2')
 ORDER BY 2, 3
"""
# The default of a generated column is all that says how it is made.
# A constraint that was never validated promises nothing about the rows that are there.
_COLUMNS = """
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
       a.attnotnull AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'n'
                                       AND k.conkey = ARRAY[a.attnum] AND NOT k.convalidated) AS not_null,
       CASE WHEN a.attcollation <> t.typcollation
            THEN quote_ident(cn.nspname) || '.' || quote_ident(co.collname) END AS collation,
       CASE a.attgenerated WHEN '' THEN '' ELSE 'GENERATED ALWAYS AS (' END || pg_get_expr(d.adbin, d.adrelid) ||
       CASE a.attgenerated WHEN '' THEN '' WHEN 's' THEN ') STORED' ELSE ') VIRTUAL' END AS default,
       a.attidentity::text AS identity, a.attgenerated <> '' AS generated, format_type(base.oid, NULL) AS base,
       ARRAY(SELECT nspname::text FROM pg_namespace WHERE oid IN (t.typnamespace, base.typnamespace, e.typnamespace)
              ORDER BY 1) AS schemas
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_collation co ON co.oid = a.attcollation LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
  CROSS JOIN LATERAL (
       WITH RECURSIVE under(oid, base, typnamespace, typelem) AS (
           SELECT t.oid, t.typbasetype, t.typnamespace, t.typelem
           UNION ALL SELECT b.oid, b.typbasetype, b.typnamespace, b.typelem
             FROM under u JOIN pg_type b ON b.oid = u.base)
       SELECT oid, typnamespace, typelem FROM under WHERE base = 0) AS base
  LEFT JOIN pg_type e ON e.oid = base.typelem
 WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
# The columns of expressions are NULL here.
_INDEXES = """
SELECT i.indisprimary AS primary, i.indisunique AND i.indimmediate AS unique,
       ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, place)
               LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number AND k.number > 0
              WHERE k.place <= i.indnkeyatts ORDER BY k.place) AS columns
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
 WHERE i.indrelid = %s AND i.indisvalid AND i.indpred IS NULL AND m.amname = 'btree'
 ORDER BY i.indisprimary DESC, i.indnkeyatts, c.relname
"""


def read_relation(session: Session, policy: Policy, option: Optional[str] = None) -> Relation:
    """The policy's table, all but ``protects``. :class:`BadInput` when it, or one of its columns, is not there.
    ``option``: the one that named the table, if it is not the policy's.

    The search_path has to be pg_catalog alone, or types come without their schema.
    """
    schema, name = policy.table
    at = option or f"policies[{policy.name}].table"
    row = _choose(at, _asked(*policy.table), session.rows(_TABLES, {"schema": schema, "name": name}))
    found = session.rows(_COLUMNS, [row["oid"]])
    schemas = {schema for column in found for schema in column.pop("schemas")} - {"pg_catalog", row["schema"]}
    columns = tuple(Column(**column) for column in found)
    for suboption, wanted in (("column", [policy.column] if policy.column else []), ("per", policy.per)):
        for one in wanted:
            if one not in {column.name for column in columns}:
                raise BadInput(
                    f"policies[{policy.name}].{suboption}: {spell(row['schema'], row['name'])} has no column {one!r}; "
                    f"its columns are {', '.join(quote(column.name) for column in columns)}."
                )
    indexes = session.rows(_INDEXES, [row["oid"]])
    key = choose_key(indexes, columns)
    walk = choose_walk(indexes, key, policy.column)
    del row["database"]
    return Relation(**row, columns=columns, key=key, walk=walk, path=(row["schema"], *sorted(schemas)))


def choose_key(indexes: Sequence[Row], columns: Sequence[Column]) -> tuple[str, ...]:
    """The columns of the first index (in order of preference) that tells all rows apart; none when there is none."""
    firm = {column.name for column in columns if column.not_null}
    return next((tuple(one["columns"]) for one in indexes if one["unique"] and firm.issuperset(one["columns"])), ())


def choose_walk(indexes: Sequence[Row], key: tuple[str, ...], column: str) -> tuple[str, ...]:
    """The policy's column first where an index begins with it, then the key."""
    if not any(one["columns"][0] == column for one in indexes):
        return key
    return (column, *(name for name in key if name != column))


def choose_protects(policy: Policy, key: Sequence[str], given: Sequence[str]) -> tuple[str, ...]:
    """Which columns of the table the columns that query ``protect`` gives stand for: those of the key, or ``per``.

    Names decide, in any order; else their number does, where it fits only one of both. Pure.
    """
    fits = [tuple(one) for one in (key, policy.per) if one]
    for one in fits:
        if set(given) == set(one):
            return tuple(given)
    fits = [one for one in fits if len(one) == len(given)]
    if len(set(fits)) == 1:
        return fits[0]
    at = f"policies[{policy.name}].protect"
    said = f"the key ({_listed(key)})" + (f" or of the groups ({_listed(policy.per)})" if policy.per else "")
    if fits:
        raise BadInput(f"{at}: it is unclear what its column means; name it, with AS, as the columns of {said}.")
    raise BadInput(f"{at}: it gives {len(given)} columns ({_listed(given)}); let it give those of {said}.")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(quote, names))


def _choose(at: str, asked: str, rows: Sequence[Row]) -> Row:
    if not rows:
        raise BadInput(f"{at}: there is no user table {asked} in this database; check name, case and schema.")
    if len(rows) > 1:
        which = ", ".join(spell(row["schema"], row["name"]) for row in rows)
        raise BadInput(f"{at}: {asked} is more than one table ({which}); give the schema too.")
    if rows[0]["kind"] in _KINDS:
        raise BadInput(f"{at}: {asked} is {_KINDS[rows[0]['kind']]}; name the table that holds its rows.")
    return rows[0]


def _asked(schema: Optional[str], name: str) -> str:
    return spell(schema, name) if schema else quote(name)
