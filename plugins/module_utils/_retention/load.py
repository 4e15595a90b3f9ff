# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archived chunk, back on the server: in a temporary table, each row with its ordinal. Nothing else is touched."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._backup import codec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, Refused
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.copying import Copier
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import parse, quote, spell
from ansible_collections.day2.ops.plugins.module_utils._retention import predicate, tables
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Policy, Relation
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store

# Columns of the temporary table have names that no user chose.
ORDINAL, VERSION = "day2_o", "day2_x"


def relation_of(session: Session, policy: str, table: str, about: Mapping[str, Any]) -> Relation:
    """The table that ``table`` names now. :class:`Refused` when the archive's columns do not fit it any more."""
    parts = parse(table, "into")
    asked = (parts[0], parts[1]) if len(parts) == 2 else (None, parts[0])
    session.configure(**predicate.PINNED, search_path="pg_catalog")
    relation = tables.read_relation(session, Policy(policy, asked, "", "plain", ""), "into")
    there = {one.name: one for one in relation.columns}
    for column in about["columns"]:
        name, kind = column["name"], column["type"]
        now = there.get(name)
        if now is None or now.type != kind or now.generated:
            what = "is not there" if now is None else "is generated" if now.generated else f"is {now.type}"
            raise Refused(
                f"Failed to use the archives of {policy}: their column {quote(name)} ({kind}) {what} in "
                f"{spell(relation.schema, relation.name)} now; give a table as it was, see ddl in the archive's "
                "manifest, as option into."
            )
    return relation


def identities_of(run: Run, abouts: Sequence[Mapping[str, Any]]) -> Optional[list[Any]]:
    """The keys that open the chunks, None where nothing is encrypted; :class:`BadInput` when they are missing."""
    if not any(about["encryption"] == "age" for about in abouts):
        return None
    if not run.params["identity_file"]:
        raise BadInput("identity_file: the archives are encrypted; give the file with the secret key.")
    return codec.identities_of(run.params["identity_file"], "identity_file")


def fetch(store: Store, about: Mapping[str, Any]) -> list[bytes]:
    """The object as it was stored, proven by its checksum: whole in memory, so that no transaction waits for it."""
    return list(store.stream(str(about["object"]), sha256=str(about["sha256"])))


def load(
    copier: Copier,
    relation: Relation,
    about: Mapping[str, Any],
    sealed: Sequence[bytes],
    identities: Optional[Sequence[Any]],
) -> list[Any]:
    """Put the rows into temporary table ``day2_rows``; returns its columns, in the order of the archive's."""
    from psycopg2 import sql

    names = [str(column["name"]) for column in about["columns"]]
    own = [sql.Identifier(f"day2_c{number}") for number in range(len(names))]
    chosen = sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(sql.Identifier("t", name), one) for name, one in zip(names, own)
    )
    copier.rows("DROP TABLE IF EXISTS pg_temp.day2_rows")
    # A binary archive holds some columns as text before the others; archives that do not say so are text.
    heads = [sql.Identifier(one) for one in (VERSION, *(f"day2_h{at}" for at in range(len(about.get("heads", ())))))]
    texts = sql.SQL(", ").join(sql.SQL("''::text AS {}").format(one) for one in heads)
    copier.rows(
        sql.SQL("CREATE TEMPORARY TABLE day2_rows AS SELECT {}, {} FROM {} AS t WITH NO DATA").format(
            texts, chosen, predicate.table(relation)
        )
    )
    copier.rows(f"ALTER TABLE pg_temp.day2_rows ADD {ORDINAL} bigint GENERATED ALWAYS AS IDENTITY")
    into = sql.SQL("COPY pg_temp.day2_rows ({}) FROM STDIN (FORMAT {})").format(
        sql.SQL(", ").join([*heads, *own]), sql.SQL("binary" if about.get("format") == "binary" else "text")
    )
    copier.into(into, codec.unseal(sealed, identities if about["encryption"] == "age" else None))
    copier.rows("ANALYZE pg_temp.day2_rows")
    return own
