# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is due, as a condition on the table under alias ``t``: the same in the count, the read pass and the delete.

It means the same everywhere only under :func:`settings`. Beside ``t`` a statement may bring in only columns by names
that no table has (``day2_...``), because conditions of a policy need not qualify theirs. Identifiers and texts may hold
percent signs: a statement that is executed with arguments takes its condition through :func:`with_args`.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote
from ansible_collections.day2.ops.plugins.module_utils._retention.reach import Referred, Referrer
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Column, Policy, Relation

NAIVE = "timestamp without time zone"
AWARE = "timestamp with time zone"
DATE = "date"
PINNED = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "iso_8601",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmloption": "content",
}


def due(policy: Policy, relation: Relation, cutoff: Optional[datetime], *, foreseen: bool = False) -> Any:
    """True for rows that go. Never for rows without a value in the policy's column or in one of its groups, nor for
    those that are referenced: by rows that are there now or, ``foreseen``, that will be when it is their turn."""
    return _all([*_free(policy, relation, cutoff), *_unreferenced(policy, relation, cutoff, foreseen)])


def held(policy: Policy, relation: Relation, cutoff: Optional[datetime]) -> Any:
    """True for rows that would go, if there were no legal hold on them."""
    parts = _rule(policy, relation, cutoff)
    parts.append(_sql("{} IS TRUE", text(policy.legal_hold)) if policy.legal_hold is not None else _sql("false"))
    return _all(parts)


def table(relation: Relation) -> Any:
    """The table's qualified name."""
    from psycopg2 import sql

    return sql.Identifier(relation.schema, relation.name)


def moment(policy: Policy, relation: Relation, cutoff: datetime) -> Any:
    """The cut-off as a literal of the type of the policy's column."""
    from psycopg2 import sql

    kind = base_type(relation.column(policy.column))
    utc = cutoff.astimezone(timezone.utc)
    return sql.Literal(utc.date() if kind == DATE else utc.replace(tzinfo=None) if kind == NAIVE else utc)


def settings(policy: Policy, relation: Relation) -> dict[str, str]:
    """Server variables for every session that uses the condition or a row's text."""
    return {
        **PINNED,
        "search_path": ", ".join(("pg_catalog", *map(quote, relation.path), "pg_temp")),
        # Rows that a policy of the server hides from us are an error and no silence, unless that was accepted.
        "row_security": "off" if policy.accept.isdisjoint(("row_security", "protect_row_security")) else "on",
    }


def with_args(statement: Any) -> Any:
    """``statement`` as part of one that is executed with arguments: its percent signs are doubled."""
    from psycopg2 import sql

    class Doubled(sql.Composable):
        def as_string(self, context: Any) -> str:
            return str(statement.as_string(context)).replace("%", "%%")

    return Doubled(None)


def text(given: str) -> Any:
    """SQL of the policy, on lines of its own: it may end in a comment."""
    from psycopg2 import sql

    return sql.SQL("(\n") + sql.SQL(given) + sql.SQL("\n)")


def explain(relation: Relation, condition: Any) -> Any:
    return _sql("EXPLAIN SELECT FROM {} AS t WHERE {}", table(relation), condition)


def planned(statement: Any) -> Any:
    return _sql("EXPLAIN {}", statement)


def alone(relation: Relation, condition: str) -> Any:
    """A statement that asks for a condition of the policy without reading the table."""
    from psycopg2 import sql

    columns = (_sql("NULL::{} AS {}", sql.SQL(one.type), sql.Identifier(one.name)) for one in relation.columns)
    return _sql("SELECT FROM (SELECT {}) AS t WHERE {}", sql.SQL(", ").join(columns), text(condition))


def columns_of(query: str) -> Any:
    """A statement with one row, whose columns are called as those of the query."""
    return _sql("SELECT p.* FROM (SELECT) AS o LEFT JOIN (SELECT * FROM {} AS q LIMIT 0) AS p ON true", text(query))


def in_order(policy: Policy, relation: Relation) -> Any:
    return _sql("EXPLAIN SELECT FROM {} AS t ORDER BY {}", table(relation), _name("t", policy.column))


def any_left(policy: Policy, relation: Relation, cutoff: Optional[datetime], part: tuple[str, str]) -> Any:
    """A statement that says whether a partition has rows that stay."""
    from psycopg2 import sql

    condition = due(policy, relation, cutoff)
    return _sql("SELECT EXISTS (SELECT FROM {} AS t WHERE {} IS NOT TRUE) AS left", sql.Identifier(*part), condition)


def counting(relation: Relation, condition: Any, *, by_part: bool = False) -> Any:
    """A statement that counts rows, with ``by_part`` for each of its parts (column ``part``)."""
    what = "t.tableoid::bigint AS part, count(*) AS rows" if by_part else "count(*) AS rows"
    return _sql(
        f"SELECT {what} FROM {{}} AS t WHERE {{}} {'GROUP BY 1' if by_part else ''}", table(relation), condition
    )


def anything() -> Any:
    return _sql("true")


def base_type(column: Column) -> str:
    """The type that decides, without domain, precision and length."""
    return re.sub(r"\(\d+\)", "", column.base or column.type)


def _rule(policy: Policy, relation: Relation, cutoff: Optional[datetime]) -> list[Any]:
    parts = [_older(policy, relation, cutoff)] if cutoff is not None else [_not_last(policy, relation)]
    if policy.where is not None:
        parts.append(text(policy.where))
    if policy.protect is not None:
        parts.append(unprotected(policy.protect, relation))
    return parts


def _free(policy: Policy, relation: Relation, cutoff: Optional[datetime]) -> list[Any]:
    """What makes a row due, whoever references it."""
    parts = _rule(policy, relation, cutoff)
    if policy.legal_hold is not None:
        parts.append(_sql("{} IS NOT TRUE", text(policy.legal_hold)))
    return parts


def _unreferenced(policy: Policy, relation: Relation, cutoff: Optional[datetime], foreseen: bool) -> list[Any]:
    referrers = relation.referrers if isinstance(relation, Referred) else ()
    own = [one for one in referrers if one.own and foreseen]
    # Not as NOT EXISTS, which the server makes joins of: there may be thousands, and the key is to be looked up first.
    parts = [_sql("{} IS NOT TRUE", _kept(one, relation, "t", foreseen)) for one in referrers if one not in own]
    return [*parts, _sql("{} IS NOT TRUE", _kept_by_own(policy, relation, cutoff, own, parts))] if own else parts


def _kept(one: Referrer, relation: Relation, of: str, foreseen: bool) -> Any:
    """Whether a row of ``one`` references the row ``of``. What a row says of itself keeps it not."""
    from psycopg2 import sql

    alias = "day2_r" if of == "t" else f"{of}r"
    there: sql.Composable = sql.Identifier(*one.table)
    if foreseen and one.going:
        let_go = [due(each.policy, each.relation, each.cutoff, foreseen=True) for each in one.going]
        there = _sql("(SELECT t.* FROM {} AS t WHERE ({}) IS NOT TRUE)", there, sql.SQL(" OR ").join(let_go))
    parts = [_refers(alias, one, of)]
    if one.own:
        parts.append(_other(alias, of, relation))
    if one.behind:
        behind = [_kept(each, relation, alias, foreseen) for each in one.behind]
        parts.append(_sql("({})", sql.SQL(" OR ").join(behind)))
    return _sql("EXISTS (SELECT FROM {} AS {} WHERE {})", there, sql.Identifier(alias), _all(parts))


def _kept_by_own(
    policy: Policy, relation: Relation, cutoff: Optional[datetime], own: Sequence[Referrer], others: Sequence[Any]
) -> Any:
    """Whether rows of the same table that stay reference it, directly or through rows that go; or it them, in a circle:
    rows go only when nothing references them any more."""
    from psycopg2 import sql

    names = dict.fromkeys((*relation.key, *(name for one in own for pair in one.pairs for name in pair)))
    rows = _sql(
        "(SELECT {}, {} IS NOT TRUE AS day2_stays FROM {} AS t)",
        _names("t", list(names)),
        _all([*_free(policy, relation, cutoff), *others]),
        table(relation),
    )

    def refer(of: str) -> Any:
        refers = sql.SQL(" OR ").join(_refers("day2_c", one, of) for one in own)
        return _sql("({}) AND {}", refers, _other("day2_c", of, relation))

    return _sql(
        "EXISTS (WITH RECURSIVE day2_w AS (SELECT day2_c.* FROM {rows} AS day2_c WHERE {first}"
        " UNION ALL SELECT day2_c.* FROM day2_w JOIN {rows} AS day2_c ON {further})"
        " CYCLE {key} SET day2_again USING day2_path SELECT FROM day2_w WHERE day2_stays OR day2_again)",
        rows=rows,
        first=refer("t"),
        further=refer("day2_w"),
        key=sql.SQL(", ").join(map(sql.Identifier, relation.key)),
    )


def _refers(alias: str, one: Referrer, of: str) -> Any:
    return _equal(alias, [ours for ours, _theirs in one.pairs], [theirs for _ours, theirs in one.pairs], of=of)


def _other(alias: str, of: str, relation: Relation) -> Any:
    return _sql("({}) <> ({})", _names(alias, relation.key), _names(of, relation.key))


def _older(policy: Policy, relation: Relation, cutoff: datetime) -> Any:
    return _sql("{} < {}", _name("t", policy.column), moment(policy, relation, cutoff))


def _not_last(policy: Policy, relation: Relation) -> Any:
    """At least as many newer rows of its group exist as are to be kept; ties are decided by the key."""
    from psycopg2 import sql

    order = (policy.column, *(name for name in relation.key if name != policy.column))
    return _sql(
        "EXISTS (SELECT FROM {} AS day2_n WHERE {} AND ({}) > ({}) OFFSET {} LIMIT 1)",
        table(relation),
        _equal("day2_n", policy.per, policy.per),
        _names("day2_n", order),
        _names("t", order),
        sql.Literal((policy.keep_last or 1) - 1),
    )


def unprotected(query: str, relation: Relation) -> Any:
    """Not among what the query gives. NULL is a value here: what it says stays, stays."""
    from psycopg2 import sql

    own = [f"day2_p{number}" for number in range(len(relation.protects))]
    source = _sql("FROM {} AS day2_p({})", text(query), sql.SQL(", ").join(map(sql.Identifier, own)))
    equal = _equal("day2_p", own, relation.protects)
    parts = [_sql("NOT EXISTS (SELECT {} WHERE {})", source, equal)]
    nullable = [name for name in relation.protects if not relation.column(name).not_null]
    if nullable:
        # Apart, because a comparison that knows NULL cannot be hashed: only rows with a NULL pay for it.
        unknown = sql.SQL(" OR ").join(_sql("{} IS NULL", _name("t", name)) for name in nullable)
        same = _equal("day2_p", own, relation.protects, operator="IS NOT DISTINCT FROM")
        parts.append(_sql("NOT (({}) AND EXISTS (SELECT {} WHERE {}))", unknown, source, same))
    return _all(parts)


def _equal(alias: str, ours: Sequence[str], theirs: Sequence[str], operator: str = "=", of: str = "t") -> Any:
    from psycopg2 import sql

    pairs = (_sql(f"{{}} {operator} {{}}", _name(alias, one), _name(of, other)) for one, other in zip(ours, theirs))
    return sql.SQL(" AND ").join(pairs)


def _name(alias: str, column: str) -> Any:
    from psycopg2 import sql

    return sql.Identifier(alias, column)


def _names(alias: str, columns: Sequence[str]) -> Any:
    from psycopg2 import sql

    return sql.SQL(", ").join(_name(alias, column) for column in columns)


def _all(parts: Sequence[Any]) -> Any:
    from psycopg2 import sql

    return sql.SQL("(") + sql.SQL(" AND ").join(parts) + sql.SQL(")")


def _sql(template: str, *parts: Any, **named: Any) -> Any:
    from psycopg2 import sql

    return sql.SQL(template).format(*parts, **named)
