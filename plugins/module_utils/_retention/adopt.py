# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``adopt: store``: the archives are right. Rows that are in the database again, and the same, are deleted once more.

The ledger gets back the rows that it lost. A row that differs from the archived one stays, and is listed as one.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils._postgresql.copying import Copier
from ansible_collections.day2.ops.plugins.module_utils._retention import chunk, ledger, load, predicate, resolve
from ansible_collections.day2.ops.plugins.module_utils._retention.chunk import Kept
from ansible_collections.day2.ops.plugins.module_utils._retention.copy import source
from ansible_collections.day2.ops.plugins.module_utils._retention.ledger import Batch
from ansible_collections.day2.ops.plugins.module_utils._retention.resolve import Left
from ansible_collections.day2.ops.plugins.module_utils._retention.site import Site
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Policy, Relation
from ansible_collections.day2.ops.plugins.module_utils._store.base import MANIFEST


def adopt_store(site: Site, left: Left) -> None:
    """Delete again what the closed chunks say was deleted."""
    abouts = [chunk.read(site.chunks, one.prefix, MANIFEST) for one, _missing in left.differ]
    identities = load.identities_of(site.run, abouts)
    for (one, _missing), about in zip(left.differ, abouts):
        _adopt(site, left.policy, one, about, identities)
        resolve.close(site, one)
        left.standing.append(one)
        left.adopted += 1
    left.differ = []


def _adopt(site: Site, policy: Policy, one: Kept, about: Mapping[str, Any], identities: Any) -> None:
    relation = load.relation_of(site.control, policy.name, about["table"], about)
    known = {batch.first for batch in ledger.batches(site.control, one.prefix)}
    lost = [batch for batch in map(ledger.batch_of, about["batches"]) if batch.first not in known]
    sealed = load.fetch(site.chunks, about)

    def again() -> None:
        copier.configure({**predicate.settings(policy, relation), "lock_timeout": _timeout(site)})
        own = load.load(copier, relation, about, sealed, identities)
        for batch in lost:
            copier.rows(_statement(site, policy, relation, one, about, batch, own))

    with closing(Copier(site.run, "adopt", site.control, act=True)) as copier:
        copier.wait(again)


def _timeout(site: Site) -> str:
    return f"{int(site.run.params['lock_timeout'] * 1000)}ms"


def _statement(
    site: Site, policy: Policy, relation: Relation, one: Kept, about: Mapping[str, Any], batch: Batch, own: list[Any]
) -> Any:
    """One transaction: rows equal to the archived ones to the last bit go; different ones are added to those that
    stayed; those that are not there are gone already."""
    from psycopg2 import sql

    names = [sql.Identifier("t", column["name"]) for column in about["columns"]]
    theirs = [sql.SQL("day2_a.{}").format(name) for name in own]
    same_key = sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier("t", name), theirs[at]) for at, name in enumerate(about["key"])
    )
    # Records, or the server would compare column by column, which not every type can.
    equal = sql.SQL("ROW({})::record OPERATOR(pg_catalog.*=) ROW({})::record").format(
        sql.SQL(", ").join(names), sql.SQL(", ").join(theirs)
    )
    key = sql.SQL("jsonb_build_array({})::text").format(
        sql.SQL(", ").join(sql.SQL("concat({})").format(name) for name in own[: len(about["key"])])
    )
    rows = batch.last - batch.first + 1 - len(batch.stayed)
    note = ledger.insert(
        {
            **ledger.note(site.run, policy, about["table"], batch.kind, chunk=one.prefix),
            **{name: about[name] for name in ("object", "version", "sha256")},
            "first_row": batch.first,
            "last_row": batch.last,
            "first_key": batch.first_key,
            "last_key": batch.last_key,
            "deleted": sql.SQL("{} - (SELECT count(*) FROM day2_other)").format(sql.Literal(rows)),
            "stayed": sql.SQL("{}::bigint[] || ARRAY(SELECT day2_o FROM day2_other ORDER BY 1)").format(
                sql.Literal(list(batch.stayed))
            ),
            "stayed_keys": sql.SQL("ARRAY(SELECT {} FROM day2_other ORDER BY day2_o)").format(key),
        }
    )
    return sql.SQL(
        "WITH day2_a AS MATERIALIZED (SELECT * FROM pg_temp.day2_rows WHERE day2_o BETWEEN {first} AND {last}"
        " AND NOT day2_o = ANY({stayed}::bigint[])),"
        " day2_gone AS (DELETE FROM {table} AS t USING day2_a WHERE {same} AND {equal} RETURNING day2_a.day2_o),"
        " day2_other AS (SELECT day2_a.* FROM day2_a JOIN {table} AS t ON {same}"
        " WHERE NOT day2_a.day2_o IN (SELECT day2_o FROM day2_gone))"
        " {note}"
    ).format(
        first=sql.Literal(batch.first),
        last=sql.Literal(batch.last),
        stayed=sql.Literal(list(batch.stayed)),
        table=source(relation),
        same=same_key,
        equal=equal,
        note=note,
    )
