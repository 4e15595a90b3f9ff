# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``adopt``: store and ledger differ, and somebody said which is right.

``store``: rows that are in the database again, and the same, and still due, are deleted once more, in batches; the
ledger gets back the rows that it lost. A row that differs from the archived one, or is not due now, stays, and is
listed. ``database``: the rows count, and the archives say from now on what the ledger says, or count no more.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Iterable, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core import records
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql import grants, preflight
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.copying import Copier
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import count, milliseconds
from ansible_collections.day2.ops.plugins.module_utils._retention import chunk, ledger, load, predicate, resolve, types
from ansible_collections.day2.ops.plugins.module_utils._retention.chunk import Kept
from ansible_collections.day2.ops.plugins.module_utils._retention.copy import source
from ansible_collections.day2.ops.plugins.module_utils._retention.delete import Pace
from ansible_collections.day2.ops.plugins.module_utils._retention.ledger import Batch
from ansible_collections.day2.ops.plugins.module_utils._retention.plan import Step, in_order
from ansible_collections.day2.ops.plugins.module_utils._retention.resolve import Left
from ansible_collections.day2.ops.plugins.module_utils._retention.site import Site
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Found, Relation
from ansible_collections.day2.ops.plugins.module_utils._store.base import MANIFEST, Store


@dataclass
class Adoption(Step):
    """What is to be done about one chunk of ``left`` that says more than the ledger. ``about``: its manifest;
    ``relation``: the table, of whose rows ``lost`` are those that the ledger does not know to be gone."""

    left: Optional[Left] = None
    kept: Optional[Kept] = None
    about: Mapping[str, Any] = field(default_factory=dict)
    relation: Optional[Relation] = None
    lost: Sequence[Batch] = ()
    identities: Optional[Sequence[Any]] = None


def steps(run: Run, control: Session, store: Store, left: Sequence[Left], found: Sequence[Found]) -> list[Step]:
    """One for each chunk on which store and ledger differ. Raises BadInput or Refused where rows cannot be compared."""
    by_name = {one.policy.name: one for one in left}
    made: list[Step] = []
    for one in in_order([one for one in found if one.policy.name in by_name]):
        each = by_name[one.policy.name]
        for kept, _missing in each.differ:
            about = chunk.read(store, kept.prefix, MANIFEST)
            lost = uncovered(map(ledger.batch_of, about["batches"]), ledger.batches(control, kept.prefix))
            action = _action(run.params["adopt"], one.policy.name, kept, about, sum(batch.deleted for batch in lost))
            made.append(Adoption(action, one, None, each, kept, about, None, lost))
    if made and run.params["adopt"] == resolve.STORE:
        _ready(run, control, made)
    return made


def _ready(run: Run, control: Session, made: Sequence[Step]) -> None:
    """The tables as they are now, the grants on them, and what opens the archives."""
    adoptions = [one for one in made if isinstance(one, Adoption)]
    identities = load.identities_of(run, [one.about for one in adoptions])
    for one in adoptions:
        one.relation = load.relation_of(control, one.found.policy.name, one.about["table"], one.about)
        one.identities = identities
    relations = [one.relation for one in adoptions if one.relation is not None]
    preflight.require_grants(run, control, grants.ADOPTING, relations, [])


def _action(side: str, policy: str, kept: Kept, about: Mapping[str, Any], rows: int) -> records.Action:
    predicted = {"policy": policy, "table": about["table"], "rows": rows}
    gone = f"its manifest says that {count(rows, 'row')} more of {about['table']} {'is' if rows == 1 else 'are'} gone"
    if side == resolve.DATABASE:
        return types.VOID_ARCHIVE.plan(kept.prefix, f"{gone} than the ledger, which is right", predicted=predicted)
    reason = f"{gone} than the ledger, and is right; what else is due waits for the next run"
    predicted.update(rows_deleted=rows, bytes=kept.size)
    return types.DELETE_AGAIN.plan(kept.prefix, reason, predicted=predicted)


def uncovered(batches: Iterable[Batch], known: Sequence[Batch]) -> list[Batch]:
    """What ``batches`` have beyond those that are known; of a batch that is known in part, the rest. Pure."""
    found = []
    for batch in batches:
        first = batch.first
        for one in sorted(known, key=lambda each: each.first):
            if first <= one.last and one.first <= batch.last:
                if first < one.first:
                    found.append(part(batch, first, one.first - 1))
                first = one.last + 1
        if first <= batch.last:
            found.append(part(batch, first, batch.last))
    return found


def part(batch: Batch, first: int, last: int) -> Batch:
    """Rows ``first`` to ``last`` of a batch. Its keys are known of its ends only. Pure."""
    stayed = tuple(one for one in batch.stayed if first <= one <= last)
    return replace(
        batch,
        first=first,
        last=last,
        deleted=last - first + 1 - len(stayed),
        stayed=stayed,
        first_key=batch.first_key if first == batch.first else "",
        last_key=batch.last_key if last == batch.last else "",
    )


def void(site: Site, step: Step) -> None:
    """The rows are in the database again: the archive says from now on what the ledger says, or counts no more."""
    left, kept, about = _of(step)
    if ledger.batches(site.control, kept.prefix):
        resolve.close(site, kept)
    else:
        note = ledger.note(site.run, left.policy, about["table"], ledger.VOID, chunk=kept.prefix, first_row=0)
        site.worker.rows(ledger.insert(note))
        site.flush()
        resolve.mark(site, kept)
    _adopted(left, kept)
    records.finish(step.action, types.VOID_ARCHIVE.measured(step.action["predicted"]))


def delete_again(site: Site, step: Step) -> None:
    """Delete what the closed chunk says was deleted, in batches; then its manifest is what the ledger says."""
    left, kept, about = _of(step)
    if not isinstance(step, Adoption) or step.relation is None:
        raise AssertionError("Contract violation: rows are to be deleted again, and nobody looked at their table")
    relation, began, rows, stayed = step.relation, time.monotonic(), 0, 0
    pace = Pace(site.run.params["batch_seconds"], site.run.params["batch_rows"])
    sealed = load.fetch(site.chunks, about)
    due = predicate.due(step.found.policy, step.found.relation, step.found.cutoff)
    with closing(Copier(site.run, "adopt", site.control, act=True)) as copier:
        own = copier.wait(lambda: _load(site, copier, step, relation, sealed))
        for batch in step.lost:
            first = batch.first
            while first <= batch.last:
                site.allowed()
                some = part(batch, first, min(first + pace.rows(site.brake.pace()) - 1, batch.last))
                statement = _statement(site, step.found, relation, kept, about, some, own, due)
                since = time.monotonic()
                gone, stay = copier.wait(partial(copier.rows, statement))[0]
                rows, stayed, first = rows + gone, stayed + stay, some.last + 1
                site.run.live.progress(f"deleting rows of {kept.prefix} again: {rows}")
                site.run.live.sleep(pace.learn(time.monotonic() - since, site.brake.pace()))
    resolve.close(site, kept)
    left.standing.append(kept)
    _adopted(left, kept)
    after = {"rows_deleted": rows, "rows_stayed": stayed, "seconds": round(time.monotonic() - began, 1)}
    records.finish(step.action, types.DELETE_AGAIN.measured({**step.action["predicted"], **after}))


def _of(step: Step) -> tuple[Left, Kept, Mapping[str, Any]]:
    if not isinstance(step, Adoption) or step.left is None or step.kept is None:
        raise AssertionError("Contract violation: the adoption of no archive")
    return step.left, step.kept, step.about


def _adopted(left: Left, kept: Kept) -> None:
    left.differ = [one for one in left.differ if one[0] is not kept]
    left.adopted += 1


def _load(site: Site, copier: Copier, step: Adoption, relation: Relation, sealed: Sequence[bytes]) -> list[Any]:
    settings = predicate.settings(step.found.policy, step.found.relation)
    copier.configure({**settings, "lock_timeout": milliseconds(site.run.params["lock_timeout"])})
    return load.load(copier, relation, step.about, sealed, step.identities)


def _statement(
    site: Site,
    found: Found,
    relation: Relation,
    one: Kept,
    about: Mapping[str, Any],
    batch: Batch,
    own: list[Any],
    due: Any,
) -> Any:
    """One transaction: rows that are due and equal to the archived ones to the last bit go; others are added to those
    that stayed; those that are not there are gone already. Gives the numbers of rows that are gone and that stayed."""
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
    note = ledger.insert(
        {
            **ledger.note(site.run, found.policy, about["table"], batch.kind, chunk=one.prefix),
            **{name: about[name] for name in ("object", "version", "sha256")},
            "first_row": batch.first,
            "last_row": batch.last,
            "first_key": batch.first_key or None,
            "last_key": batch.last_key or None,
            "deleted": sql.SQL("{} - (SELECT count(*) FROM day2_other)").format(sql.Literal(batch.deleted)),
            "stayed": sql.SQL("{}::bigint[] || ARRAY(SELECT day2_o FROM day2_other ORDER BY 1)").format(
                sql.Literal(list(batch.stayed))
            ),
            "stayed_keys": sql.SQL("ARRAY(SELECT {} FROM day2_other ORDER BY day2_o)").format(key),
        }
    )
    return sql.SQL(
        "WITH day2_a AS MATERIALIZED (SELECT * FROM pg_temp.day2_rows WHERE day2_o BETWEEN {first} AND {last}"
        " AND NOT day2_o = ANY({stayed}::bigint[])),"
        " day2_gone AS (DELETE FROM {table} AS t USING day2_a WHERE {same} AND {equal} AND {due}"
        " RETURNING day2_a.day2_o),"
        " day2_other AS (SELECT day2_a.* FROM day2_a JOIN {table} AS t ON {same}"
        " WHERE NOT day2_a.day2_o IN (SELECT day2_o FROM day2_gone))"
        " {note} RETURNING deleted, cardinality(stayed)"
    ).format(
        first=sql.Literal(batch.first),
        last=sql.Literal(batch.last),
        stayed=sql.Literal(list(batch.stayed)),
        table=source(relation),
        same=same_key,
        equal=equal,
        due=due,
        note=note,
    )
