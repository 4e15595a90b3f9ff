# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a delete reaches beyond its own table: references, triggers, rules and publications, from the catalogs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Iterable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import spell
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Found, Relation

CASCADE, SET_NULL, SET_DEFAULT = "c", "n", "d"
NO_ACTION, RESTRICT = "a", "r"
# Cascades may meet again and again: so many ways to rows that keep others are looked at.
MOST_WAYS = 300


@dataclass(frozen=True)
class Reference:
    """A foreign key from ``table`` to ``target``. ``parent``: the one of the whole table, where this is of a part.
    ``pairs``: its columns, each with the one that it references; ``columns``: as people read them."""

    oid: int
    name: str
    table: int
    target: int
    action: str = "a"
    parent: int = 0
    columns: str = ""
    indexed: bool = True
    pairs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Hook:
    """A trigger or rule on ``table`` that runs when rows of it are deleted or updated."""

    kind: str
    name: str
    table: int
    deletes: bool = True
    updates: bool = False


@dataclass(frozen=True)
class Links:
    """How the tables of a database hang together. ``parts``: partitions and heirs of a table, at one level down.
    ``names``: of all tables that have to do with one another, as people read them."""

    references: tuple[Reference, ...] = ()
    parts: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)

    def family(self, table: int) -> list[int]:
        """The table with all its partitions, at every level."""
        found = [table]
        for one in found:
            found += self.parts.get(one, ())
        return found

    def referring(self, table: int) -> list[Reference]:
        """The references to rows of the table, each once."""
        family = set(self.family(table))
        found = {one.oid: one for one in self.references if one.target in family}
        return [one for one in found.values() if one.parent not in found]

    def referenced_by(self, table: int) -> frozenset[int]:
        """All tables that reference this one, directly or through others."""
        found: list[int] = [table]
        for one in found:
            found += [ref.table for ref in self.referring(one) if ref.table not in found]
        return frozenset(found) - {table}


@dataclass(frozen=True)
class Referrer:
    """A table whose rows keep those that they reference. ``pairs``: its columns, each with the one that it references.
    ``own``: it is the table itself. ``behind``: its rows would go along, and are kept by those of these tables.
    ``going``: the policies of the run that have let go rows of it before."""

    table: tuple[str, str]
    pairs: tuple[tuple[str, str], ...]
    own: bool = False
    behind: tuple[Referrer, ...] = ()
    going: tuple[Found, ...] = ()


@dataclass(frozen=True)
class Referred(Relation):
    """A table whose rows others keep."""

    referrers: tuple[Referrer, ...] = ()


@dataclass(frozen=True)
class Reach:
    """What one delete reaches. ``crossed``: references over which it goes, or which it has to look through.
    ``deletes``, ``updates``: the tables in which rows are deleted, or changed, with all their partitions."""

    crossed: tuple[Reference, ...]
    deletes: tuple[int, ...]
    updates: tuple[int, ...]


def reach(links: Links, table: int) -> Reach:
    """Follow cascades from the table. Pure."""
    deleted, updated, crossed = [table], [], []
    waiting = [table]
    while waiting:
        for reference in links.referring(waiting.pop(0)):
            crossed.append(reference)
            if reference.action == CASCADE and reference.table not in deleted:
                deleted.append(reference.table)
                waiting.append(reference.table)
            elif reference.action in (SET_NULL, SET_DEFAULT) and reference.table not in updated:
                updated.append(reference.table)
    return Reach(tuple(dict.fromkeys(crossed)), _families(links, deleted), _families(links, updated))


def referred(session: Session, links: Links, relation: Relation, before: Sequence[Found]) -> Referred:
    """The table with whatever keeps rows of it. ``before``: the policies of the run that come first.

    A table that the user may not read, or not whole, is left out: the server refuses to delete what its rows reference.
    """
    ways = 0
    wanted = {one.table for one in reach(links, relation.oid).crossed}
    rows = {row["oid"]: row for row in session.rows(_READABLE, [list(wanted)])} if wanted else {}

    def keeping(table: int, seen: frozenset[int]) -> tuple[Referrer, ...]:
        nonlocal ways
        found = []
        for one in links.referring(table):
            ways += 1
            row, ours = rows[one.table], {name for name, _theirs in one.pairs}
            kept = one.action in (NO_ACTION, RESTRICT)
            further = one.action == CASCADE and one.table not in seen and ways < MOST_WAYS
            behind = keeping(one.table, seen | {one.table}) if further else ()
            if (kept or behind) and row["whole"] and ours <= set(row["columns"]):
                going = tuple(each for each in before if one.table in links.family(each.relation.oid))
                own = table == relation.oid and one.table in links.family(table)
                found.append(Referrer((row["schema"], row["name"]), one.pairs, own, behind, going))
        return tuple(found)

    return Referred(**vars(relation), referrers=keeping(relation.oid, frozenset({relation.oid})))


def _families(links: Links, tables: Iterable[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(member for table in tables for member in links.family(table)))


# A foreign key that is not enforced (18) does nothing. An index of only the rows that are not NULL serves as well.
_REFERENCES = """
SELECT k.oid::bigint, k.conname AS name, k.conrelid::bigint AS table, k.confrelid::bigint AS target,
       k.confdeltype::text AS action, k.conparentid::bigint AS parent,
       (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY o.place)
          FROM unnest(k.conkey) WITH ORDINALITY o(number, place)
          JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = o.number) AS columns,
       (SELECT array_agg(ARRAY[a.attname::text, b.attname::text] ORDER BY o.place)
          FROM unnest(k.conkey, k.confkey) WITH ORDINALITY o(number, other, place)
          JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = o.number
          JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = o.other) AS pairs,
       EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
                WHERE i.indrelid = k.conrelid AND i.indisvalid AND m.amname IN ('btree', 'hash')
                  AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) = (
                          SELECT '(' || quote_ident(a.attname) || ' IS NOT NULL)' FROM pg_attribute a
                           WHERE a.attrelid = k.conrelid AND a.attnum = k.conkey[1] AND cardinality(k.conkey) = 1))
                  AND (i.indnkeyatts >= cardinality(k.conkey)
                          AND k.conkey @> (i.indkey::int2[])[0:cardinality(k.conkey) - 1]
                       OR i.indisunique AND k.conkey @> (i.indkey::int2[])[0:i.indnkeyatts - 1])) AS indexed
  FROM pg_constraint k
 WHERE k.contype = 'f' AND coalesce(to_jsonb(k) ->> 'conenforced', 'true') = 'true' ORDER BY k.oid
"""
_PARTS = "SELECT inhparent::bigint AS table, inhrelid::bigint AS part FROM pg_inherits ORDER BY inhparent, inhrelid"
_NAMES = """
SELECT c.oid::bigint, n.nspname AS schema, c.relname AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY(%s::oid[])
"""
_READABLE = """
SELECT c.oid::bigint, n.nspname AS schema, c.relname AS name,
       has_schema_privilege(n.oid, 'USAGE') AND NOT row_security_active(c.oid) AS whole,
       ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
                AND NOT a.attisdropped AND has_column_privilege(c.oid, a.attnum, 'SELECT')) AS columns
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY(%s::oid[])
"""
_HOOKS = """
SELECT 'trigger' AS kind, t.tgname AS name, t.tgrelid::bigint AS table,
       t.tgtype & 8 <> 0 AS deletes, t.tgtype & 16 <> 0 AS updates
  FROM pg_trigger t
 WHERE t.tgrelid = ANY(%(tables)s::oid[]) AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
   AND NOT EXISTS (SELECT FROM pg_trigger p WHERE p.oid = t.tgparentid AND p.tgrelid = ANY(%(tables)s::oid[]))
UNION ALL
SELECT 'rule', r.rulename, r.ev_class::bigint, r.ev_type = '4', r.ev_type = '2'
  FROM pg_rewrite r
 WHERE r.ev_class = ANY(%(tables)s::oid[]) AND r.ev_type IN ('2', '4') AND r.ev_enabled IN ('O', 'A')
 ORDER BY 3, 1, 2
"""
# A partition may be published through the table that it is of.
_PUBLICATIONS = """
SELECT DISTINCT x.oid::bigint AS table, p.pubname AS name, p.pubdelete AS deletes, p.pubupdate AS updates
  FROM unnest(%(tables)s::oid[]) AS x(oid)
 CROSS JOIN LATERAL (SELECT x.oid AS published UNION SELECT relid::oid FROM pg_partition_ancestors(x.oid)) AS above
  JOIN pg_class c ON c.oid = published JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_publication_tables v ON v.schemaname = n.nspname AND v.tablename = c.relname
  JOIN pg_publication p ON p.pubname = v.pubname
 WHERE c.oid = x.oid OR c.oid <> ALL(%(tables)s::oid[]) ORDER BY 1, 2
"""
# What goes with a table unasked (its indexes, constraints, row type and partitions), and what else needs any of that.
_DEPENDENTS = """
WITH RECURSIVE going(class, oid) AS (
    SELECT 'pg_class'::regclass::oid, %s::oid
    UNION SELECT d.classid, d.objid FROM going g JOIN pg_depend d ON (d.refclassid, d.refobjid) = (g.class, g.oid)
           WHERE d.deptype IN ('a', 'i', 'x', 'P', 'S'))
SELECT DISTINCT coalesce(pg_describe_object('pg_class'::regclass, w.ev_class, 0),
                         pg_describe_object(d.classid, d.objid, d.objsubid)) AS what
  FROM going g JOIN pg_depend d ON (d.refclassid, d.refobjid) = (g.class, g.oid)
  LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
 WHERE d.deptype = 'n' AND (d.classid, d.objid) NOT IN (SELECT class, oid FROM going) ORDER BY 1
"""
# Rows of these cannot be named to a subscriber.
_NAMELESS = """
SELECT c.oid::bigint FROM pg_class c
 WHERE c.oid = ANY(%s::oid[]) AND c.relkind = 'r' AND c.relreplident <> 'f'
   AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indimmediate AND i.indisvalid
                      AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident END)
"""


def read_links(session: Session, tables: Iterable[int]) -> Links:
    """Of the whole database: what references what, and how tables are parted. ``tables`` are named in any case."""
    references = tuple(
        Reference(**{**row, "pairs": tuple((ours, theirs) for ours, theirs in row["pairs"])})
        for row in session.rows(_REFERENCES)
    )
    parts: dict[int, tuple[int, ...]] = {}
    for row in session.rows(_PARTS):
        parts[row["table"]] = (*parts.get(row["table"], ()), row["part"])
    links = Links(references, parts)
    wanted = {one.table for one in references} | {one.target for one in references} | set(tables)
    wanted |= {member for table in wanted for member in links.family(table)}
    names = {row["oid"]: spell(row["schema"], row["name"]) for row in session.rows(_NAMES, [list(wanted)])}
    return Links(references, parts, names)


def read_dependents(session: Session, tables: Iterable[int]) -> list[tuple[int, str]]:
    """What the server would not drop one of the tables without, each with that table."""
    found = [(one, row["what"]) for one in tables for row in session.rows(_DEPENDENTS, [one])]
    return list(dict.fromkeys(found))


def read_hooks(session: Session, reached: Reach) -> list[Hook]:
    """The users' triggers and rules, and publications (kind ``publication``), on the tables that are reached."""
    tables = [*reached.deletes, *reached.updates]
    hooks = [Hook(**row) for row in session.rows(_HOOKS, {"tables": tables})]
    hooks += [Hook("publication", **row) for row in session.rows(_PUBLICATIONS, {"tables": tables})]
    return [
        one
        for one in hooks
        if (one.deletes and one.table in reached.deletes) or (one.updates and one.table in reached.updates)
    ]


def read_silent(session: Session, tables: Iterable[int]) -> tuple[str, ...]:
    """The publications of the tables that tell their subscribers of no deletes."""
    found = session.rows(_PUBLICATIONS, {"tables": list(tables)})
    return tuple(dict.fromkeys(row["name"] for row in found if not row["deletes"]))


def read_nameless(session: Session, tables: Iterable[int]) -> frozenset[int]:
    """Those of the tables without a replica identity."""
    return frozenset(row["oid"] for row in session.rows(_NAMELESS, [list(tables)]))
