# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The statements that delete a batch. Pure: SQL in, SQL out; names of our own begin with ``day2_``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils._retention import ledger, predicate
from ansible_collections.day2.ops.plugins.module_utils._retention.copy import source, walk_of
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Found

# Rows that no running transaction has locked, as far as one is enough to lock them; what several have locked together
# has a number of its own, which tells nothing. Then only rows that nobody touched before we began, but for ourselves.
_UNLOCKED = (
    "t.xmax <> ALL (ARRAY(SELECT day2_l.transactionid FROM pg_catalog.pg_locks AS day2_l"
    " WHERE day2_l.locktype = 'transactionid' AND day2_l.transactionid IS NOT NULL))"
)
_UNTOUCHED = " AND (t.xmax = '0'::xid OR t.xmax::text::bigint >= {})"
FREE = ("true", _UNLOCKED, _UNLOCKED + _UNTOUCHED)


@dataclass(frozen=True)
class Rows:
    """The rows of a batch: array literals of their versions and of each column of the key, between which values they
    lie in the first column of the walk, the first one's ordinal and their number."""

    columns: list[str]
    span: tuple[str, str]
    first: int
    count: int


class Statement:
    """The statements of a batch; everything but the keys is put together once."""

    def __init__(self, found: Found, fixed: dict[str, Any]) -> None:
        from psycopg2 import sql

        relation = found.relation
        self._fixed = fixed
        self._table = source(relation)
        self._lead = relation.column(walk_of(found.policy, relation)[0])
        self._due = predicate.due(found.policy, relation, found.cutoff)
        names = [f"day2_k{number}" for number in range(len(relation.key))]
        own = [sql.Identifier(name) for name in names]
        types = [relation.column(name).type for name in relation.key]
        self._names = sql.SQL(", ").join(own)
        # Arrays of arrays and of rows come out of unnest in their parts: what may be one goes through text.
        self._arrays = ["xid[]", *("text[]" if "." in kind or kind.endswith("]") else f"{kind}[]" for kind in types)]
        self._typed = sql.SQL(", ").join(
            sql.SQL("{}::{} AS {}").format(one, sql.SQL(kind), one) for one, kind in zip(own, types)
        )
        self._key = sql.SQL("jsonb_build_array({})::text").format(
            sql.SQL(", ").join(sql.SQL("format('%s', {})").format(one) for one in own)
        )
        pairs = list(zip(relation.key, own, types))
        self._same = sql.SQL(" AND ").join(
            sql.SQL("{} = day2_d.{}").format(sql.Identifier("t", name), one) for name, one, _kind in pairs
        )
        self._same_given = sql.SQL(" AND ").join(
            sql.SQL("{} = day2_d.{}::{}").format(sql.Identifier("t", name), one, sql.SQL(kind))
            for name, one, kind in pairs
        )

    def all(self, rows: Rows) -> Any:
        """Delete the rows. That number of them is affected when none has changed."""
        from psycopg2 import sql

        return sql.SQL("DELETE FROM {} AS t USING unnest({}) AS day2_d(day2_x, {}) WHERE {}").format(
            self._table, self._given(rows), self._names, self._match(rows, self._same_given, "true")
        )

    def note(self, rows: Rows, place: dict[str, Any]) -> Any:
        """Say in the ledger that all of them went; returns xid."""
        from psycopg2 import sql

        note = ledger.insert({**self._fixed, **place, "deleted": rows.count})
        return note + sql.SQL(" RETURNING pg_current_xact_id()::text AS xid")

    def batch(self, rows: Rows, place: dict[str, Any], free: str) -> Any:
        """Delete the rows as far as they are there, and say so in the ledger; returns xid, deleted and stayed.

        ``free``: one of :data:`FREE`.
        """
        from psycopg2 import sql

        note = ledger.insert(
            {
                **self._fixed,
                **place,
                "deleted": sql.SQL("(SELECT count(*) FROM day2_gone)"),
                "stayed": sql.SQL("ARRAY(SELECT day2_o FROM day2_stay ORDER BY 1)"),
                "stayed_keys": sql.SQL("ARRAY(SELECT {} FROM day2_stay ORDER BY day2_o)").format(self._key),
            }
        )
        return sql.SQL(
            "WITH day2_d AS MATERIALIZED (SELECT {typed}, day2_x, day2_i + {before} AS day2_o"
            " FROM unnest({given}) WITH ORDINALITY AS day2_u(day2_x, {names}, day2_i)),"
            " day2_gone AS (DELETE FROM {table} AS t USING day2_d WHERE {match} RETURNING day2_d.day2_o),"
            " day2_stay AS (SELECT * FROM day2_d WHERE (SELECT count(*) FROM day2_gone) < {count}"
            " AND day2_o NOT IN (SELECT day2_o FROM day2_gone)),"
            " day2_note AS ({note} RETURNING deleted, cardinality(stayed) AS stayed)"
            " SELECT pg_current_xact_id()::text AS xid, deleted, stayed FROM day2_note"
        ).format(
            names=self._names,
            typed=self._typed,
            before=sql.Literal(rows.first - 1),
            given=self._given(rows),
            table=self._table,
            match=self._match(rows, self._same, free),
            count=sql.Literal(rows.count),
            note=note,
        )

    def _given(self, rows: Rows) -> Any:
        from psycopg2 import sql

        return sql.SQL(", ").join(
            sql.SQL("{}::{}").format(sql.Literal(one), sql.SQL(kind)) for one, kind in zip(rows.columns, self._arrays)
        )

    def _match(self, rows: Rows, same: Any, free: str) -> Any:
        """Key, version and condition. The span changes nothing, but lets the server read neighbours together."""
        from psycopg2 import sql

        lead, kind = sql.Identifier("t", self._lead.name), sql.SQL(self._lead.type)
        least, most = (sql.SQL("{}::{}").format(sql.Literal(text), kind) for text in rows.span)
        return sql.SQL("{} AND t.xmin = day2_d.day2_x AND {} AND {} >= {} AND {} <= {} AND {}").format(
            same, self._due, lead, least, lead, most, sql.SQL(free)
        )


class Plain(Statement):
    """Statements for a table with rules, which the server takes no parts of: rows are chosen, then deleted."""

    def choose(self, rows: Rows, free: str) -> Any:
        """The ordinals of those that are there as they were copied."""
        from psycopg2 import sql

        return sql.SQL("SELECT day2_o FROM {} AS t, {} WHERE {}").format(
            self._table, self._numbered(rows), self._match(rows, self._same_given, free)
        )

    def chosen(self, rows: Rows, ordinals: Sequence[int]) -> Any:
        """Delete these. That number of them is affected, or some of them changed since."""
        from psycopg2 import sql

        return sql.SQL("DELETE FROM {} AS t USING {} WHERE {} AND day2_o = ANY({}::bigint[])").format(
            self._table,
            self._numbered(rows),
            self._match(rows, self._same_given, "true"),
            sql.Literal(list(ordinals)),
        )

    def partly(self, rows: Rows, place: dict[str, Any], stayed: Sequence[int]) -> Any:
        """Say in the ledger that all but those that stay went; returns xid."""
        from psycopg2 import sql

        keys = sql.SQL(
            "ARRAY(SELECT {} FROM (SELECT {}, day2_o FROM {}) AS day2_s"
            " WHERE day2_o = ANY({}::bigint[]) ORDER BY day2_o)"
        ).format(self._key, self._typed, self._numbered(rows), sql.Literal(list(stayed)))
        ordinals = sql.SQL("{}::bigint[]").format(sql.Literal([rows.first - 1 + one for one in stayed]))
        gone = {"deleted": rows.count - len(stayed), "stayed": ordinals, "stayed_keys": keys}
        return ledger.insert({**self._fixed, **place, **gone}) + sql.SQL(" RETURNING pg_current_xact_id()::text AS xid")

    def _numbered(self, rows: Rows) -> Any:
        from psycopg2 import sql

        return sql.SQL("unnest({}) WITH ORDINALITY AS day2_d(day2_x, {}, day2_o)").format(
            self._given(rows), self._names
        )
