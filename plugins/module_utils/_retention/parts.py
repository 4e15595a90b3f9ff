# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Partitions that are due as a whole: older than the cut-off to the last row."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._retention import predicate
from ansible_collections.day2.ops.plugins.module_utils._retention.reach import Links
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Partition, Policy, Relation

# By range over one column; with a default partition the server detaches none concurrently.
_PARTED = """
SELECT a.attname AS column FROM pg_partitioned_table p
  JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
 WHERE p.partrelid = %s AND p.partstrat = 'r' AND p.partnatts = 1 AND p.partdefid = 0
"""
_PARTS = """
SELECT c.oid::bigint, n.nspname AS schema, c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bound,
       i.inhdetachpending AS pending, size.bytes::bigint, size.rows::float8
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace,
       LATERAL (SELECT coalesce(sum(pg_total_relation_size(x.oid)), 0) AS bytes,
                       coalesce(sum(greatest(x.reltuples, 0)), 0) AS rows
                  FROM pg_class x WHERE x.oid = c.oid OR x.oid IN (SELECT relid FROM pg_partition_tree(c.oid))) AS size
 WHERE i.inhparent = %s AND c.relkind IN ('r', 'p')
   AND NOT EXISTS (SELECT FROM pg_partition_tree(c.oid) p JOIN pg_class f ON f.oid = p.relid WHERE f.relkind = 'f')
"""
_UPPER = re.compile(r"TO \('((?:[^']|'')*)'\)$")


def upper_bound(bound: str) -> Optional[str]:
    """The end of a range partition over one column; None for one without end. Pure.

    >>> upper_bound("FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')")
    '2026-02-01'
    """
    match = _UPPER.search(bound or "")
    return match.group(1).replace("''", "'") if match else None


def read_partitions(
    session: Session, policy: Policy, relation: Relation, links: Links, cutoff: Optional[datetime]
) -> tuple[Partition, ...]:
    """Partitions all of whose rows are older, oldest first; none where the policy, a foreign key or the way in which
    the table is parted speaks against it. TimeZone has to be UTC and DateStyle ISO."""
    if not policy.partitions or cutoff is None or relation.kind != "p" or links.referring(relation.oid):
        return ()
    if session.rows(_PARTED, [relation.oid]) != [{"column": policy.column}]:
        return ()
    found = {}
    for row in session.rows(_PARTS, [relation.oid]):
        upper = upper_bound(row.pop("bound"))
        if upper is not None:
            found[row["oid"]] = Partition(**row, upper=upper)
    uppers = [(one.upper, one.oid) for one in found.values()]
    ended = session.rows(_ended(policy, relation, cutoff, uppers)) if uppers else []
    return tuple(found[row["oid"]] for row in ended)


def _ended(policy: Policy, relation: Relation, cutoff: datetime, uppers: list[tuple[str, int]]) -> Any:
    """The oids of partitions that end at the cut-off or before; the server compares, in the type of the column."""
    from psycopg2 import sql

    # sql.Literal of a moment carries its type, and so the text takes that type too.
    rows = sql.SQL(", ").join(sql.SQL("({}, {})").format(sql.Literal(upper), sql.Literal(oid)) for upper, oid in uppers)
    kind = {predicate.DATE: "date", predicate.NAIVE: "timestamp"}.get(
        predicate.base_type(relation.column(policy.column)), "timestamptz"
    )
    return sql.SQL(
        "SELECT oid::bigint AS oid FROM (VALUES {rows}) AS bound(upper, oid) "
        "WHERE upper::{kind} <= {cutoff} ORDER BY upper::{kind}, oid"
    ).format(rows=rows, kind=sql.SQL(kind), cutoff=predicate.moment(policy, relation, cutoff))


def leaves(links: Links, partitions: tuple[Partition, ...]) -> dict[int, int]:
    """The partition to which each of their own partitions belongs, by oid."""
    return {member: one.oid for one in partitions for member in links.family(one.oid)}
