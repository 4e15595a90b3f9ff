# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archived rows, put back. What the ledger says is gone comes back once; what stayed is not taken from the archive."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core import records
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Refused
from ansible_collections.day2.ops.plugins.module_utils._core.given import all_above_zero
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._core.saved_plan import settle
from ansible_collections.day2.ops.plugins.module_utils._postgresql import preflight, trouble
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session, connect
from ansible_collections.day2.ops.plugins.module_utils._postgresql.copying import Copier
from ansible_collections.day2.ops.plugins.module_utils._postgresql.locks import Locks
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import amount, count, milliseconds
from ansible_collections.day2.ops.plugins.module_utils._retention import chunk, ledger, load, predicate, types
from ansible_collections.day2.ops.plugins.module_utils._retention.ledger import Batch
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Policy, Relation
from ansible_collections.day2.ops.plugins.module_utils._store.base import MANIFEST, Store
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store

MODULE = "postgresql_retention_restore"
FAIL, SKIP = "fail", "skip"
UNIQUE = "23505"


def options() -> ArgumentSpec:
    """The options that decide; those of connection and store are added by the module."""
    return ArgumentSpec(
        {
            "policy": {"type": "str", "required": True},
            "chunks": {"type": "list", "elements": "str", "default": []},
            "into": {"type": "str"},
            "identity_file": {"type": "path"},
            "existing": {"type": "str", "choices": [FAIL, SKIP], "default": FAIL},
            "lock_timeout": {"type": "float", "default": 10.0},
        }
    )


@dataclass
class Step:
    """A chunk to restore: what it says of itself, and which of its rows are gone from the database."""

    action: dict[str, Any]
    prefix: str
    about: Mapping[str, Any]
    gone: list[Batch]


@dataclass
class Known:
    """What one run knows, kept together for the result, also of a run that fails."""

    checks: list[records.Check] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    summary: str = ""

    def result(self) -> Result:
        return {
            "checks": self.checks,
            "actions": [step.action for step in self.steps],
            "plan_summary": self.summary,
        }


def restore(run: Run) -> Result:
    """The work of module ``postgresql_retention_restore``."""
    known = Known()
    with contextlib.ExitStack() as stack:
        try:
            _restore(run, known, stack)
        except OpsError as error:
            error.result = {**known.result(), **error.result}
            raise
    return known.result()


def _restore(run: Run, known: Known, stack: contextlib.ExitStack) -> None:
    all_above_zero(run.params, "lock_timeout")
    store = open_store(run.params, read_only=True, deadline=run.deadline)
    control = stack.enter_context(contextlib.closing(connect(run, "watch")))
    server, known.checks = preflight.preflight(run, control, MODULE)
    locks = stack.enter_context(contextlib.closing(Locks(run, server.oid)))
    locks.take("retention")
    known.steps, missing = plan(run, store, control)
    if missing:
        known.checks.append(missing)
    known.summary = summarize(run.params["policy"], known.steps)
    abouts = [step.about for step in known.steps]
    relations = [
        load.relation_of(control, run.params["policy"], run.params["into"] or about["table"], about) for about in abouts
    ]
    grants = preflight.require_grants(run, control, MODULE, relations, known.checks)
    known.checks = [grants if one["check"] == grants["check"] else one for one in known.checks]
    identities = load.identities_of(run, abouts)
    settle(run, [step.action for step in known.steps])
    if run.check_mode:
        return
    for step, relation in zip(known.steps, relations):
        if step.action["status"] == "planned":
            locks.still_held()
            with contextlib.closing(Copier(run, "restore", control, act=True)) as copier:
                _one(run, store, copier, step, relation, identities)


def plan(run: Run, store: Store, session: Session) -> tuple[list[Step], Optional[records.Check]]:
    """The chunks that have rows to give back; and a check on those that only the ledger knows, if there are any.

    :class:`BadInput` for one that is asked for and is not there, :class:`Refused` where none is.
    """
    policy, into = run.params["policy"], run.params["into"]
    kept = {one.prefix: one for one in chunk.read_all(store, run.target, policy)}
    place = chunk.folder(run.target, policy)
    asked = [one if one.startswith(place) else place + one.strip("/") for one in run.params["chunks"]]
    for one in asked:
        if one not in kept:
            raise BadInput(
                f"chunks: there is no chunk {one[len(place) :]!r} of policy {policy} in {store.location}; leave chunks "
                "out for all that are there."
            )
    sums = ledger.sums(session, run.target, policy)
    if not kept and not sums:
        raise BadInput(
            f"policy: neither store nor ledger knows of rows that policy {policy!r} let go on target {run.target}; "
            "check its name, and that of the target."
        )
    missing = chunk.missing(list(kept.values()), sums)
    found = chunk.missing_check(policy, missing, store) if missing else None
    steps = []
    # The newest first: where rows reference others of their table, those that are referenced went last.
    for prefix in asked or reversed(list(kept)):
        known = sums.get(prefix, ledger.Sums())
        if known.removed or prefix in missing or (known.restored and not into):
            continue
        gone = ledger.batches(session, prefix)
        if not gone and kept[prefix].closed and not (kept[prefix].void or known.void):
            gone = _by_manifest(store, prefix, into)
        rows = sum(batch.deleted for batch in gone)
        if rows:
            about = _about(store, prefix, gone)
            steps.append(Step(_action(policy, prefix, about, into, rows), prefix, about, gone))
    if found is not None and not steps:
        raise Refused(f"Failed to restore: {found['summary']} {found['advice']}")
    return steps, found


def _about(store: Store, prefix: str, gone: Sequence[Batch]) -> Mapping[str, Any]:
    """What the chunk says of itself, if it is the one that the ledger means: whoever can write to the store could put
    other rows in its place."""
    about = chunk.read(store, prefix, chunk.ABOUT)
    if any(one.sha256 not in ("", about["sha256"]) for one in gone):
        raise Refused(
            f"Failed to restore {prefix}: its checksum is another one than the ledger has, so these are not the rows "
            "that were archived; bring back the object as it was written."
        )
    return about


def _by_manifest(store: Store, prefix: str, into: Optional[str]) -> list[Batch]:
    """A closed chunk that this database's ledger does not know: into another table its rows may come all the same."""
    if not into:
        raise Refused(
            f"Failed to restore {prefix}: the ledger of this database does not know that its rows were deleted, so "
            "they may be there. Give another table with into, or run postgresql_retention with adopt first."
        )
    return [ledger.batch_of(told) for told in chunk.read(store, prefix, MANIFEST)["batches"]]


def _action(policy: str, prefix: str, about: Mapping[str, Any], into: Optional[str], rows: int) -> dict[str, Any]:
    predicted = {
        "policy": policy,
        "table": into or about["table"],
        "chunk": prefix,
        "rows": rows,
        "bytes": about["size"],
    }
    reason = (
        f"{count(rows, 'row')} of {about['table']} {'is' if rows == 1 else 'are'} in the archive and not in the table"
    )
    return types.RESTORE_ROWS.plan(prefix, reason, predicted=predicted)


def summarize(policy: str, steps: Sequence[Step]) -> str:
    """One sentence. Pure."""
    if not steps:
        return f"Nothing is to be restored: no archived row of policy {policy} is missing from the database."
    rows = sum(int(step.action["predicted"]["rows"]) for step in steps)
    return f"{amount(rows)} rows of {count(len(steps), 'chunk')} of policy {policy} are to be put back."


def _one(
    run: Run, store: Store, copier: Copier, step: Step, relation: Relation, identities: Optional[Sequence[Any]]
) -> None:
    records.begin(step.action)
    began = time.monotonic()
    run.live.progress(f"restoring {step.prefix}")
    try:
        sealed = load.fetch(store, step.about)
        restored = copier.wait(lambda: _insert(run, copier, step, relation, sealed, identities))
    except OpsError as error:
        records.fail(step.action, str(error))
        raise
    rows = int(step.action["predicted"]["rows"])
    after = {"rows": restored, "rows_skipped": rows - restored, "seconds": round(time.monotonic() - began, 1)}
    records.finish(step.action, types.RESTORE_ROWS.measured({**step.action["predicted"], **after}))


def _insert(run: Run, copier: Copier, step: Step, relation: Relation, sealed: Sequence[bytes], identities: Any) -> int:
    """In a thread: how many rows came back. The ledger's row and they are one transaction."""
    from psycopg2 import sql

    policy = Policy(run.params["policy"], (relation.schema, relation.name), "", "", step.about["policy_hash"])
    copier.configure({**predicate.settings(policy, relation), "lock_timeout": milliseconds(run.params["lock_timeout"])})
    own = load.load(copier, relation, step.about, sealed, identities)
    into = sql.SQL(
        "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM pg_temp.day2_rows WHERE {} ORDER BY {}{}"
    )
    insert = into.format(
        predicate.table(relation),
        sql.SQL(", ").join(sql.Identifier(column["name"]) for column in step.about["columns"]),
        sql.SQL(", ").join(own),
        _covered(step.gone),
        sql.Identifier(load.ORDINAL),
        sql.SQL(" ON CONFLICT DO NOTHING" if run.params["existing"] == SKIP else ""),
    )
    counted = sql.SQL("WITH day2_in AS ({} RETURNING 1) SELECT count(*) FROM day2_in").format(insert)
    copier.rows("BEGIN")
    try:
        restored = int(copier.rows(counted)[0][0])
    except trouble.SqlError as error:
        if error.sqlstate != UNIQUE:
            raise
        raise Refused(
            f"Failed to restore {step.prefix}: rows with the same key are in {spell(relation.schema, relation.name)} "
            "already; set existing to skip to leave those as they are."
        ) from error
    if spell(relation.schema, relation.name) == step.about["table"]:
        last = max(batch.last for batch in step.gone)
        place = {"chunk": step.prefix, "first_row": 1, "last_row": last, "deleted": 0}
        copier.rows(ledger.insert(ledger.note(run, policy, step.about["table"], ledger.RESTORE, **place)))
    copier.rows("COMMIT")
    return restored


def _covered(gone: Sequence[Batch]) -> Any:
    """True for the ordinals that the ledger says are gone."""
    from psycopg2 import sql

    ranges = sql.SQL(" OR ").join(
        sql.SQL("{o} BETWEEN {a} AND {b}").format(
            o=sql.Identifier(load.ORDINAL), a=sql.Literal(first), b=sql.Literal(last)
        )
        for first, last in joined(gone)
    )
    stayed = [ordinal for batch in gone for ordinal in batch.stayed]
    return sql.SQL("({}) AND NOT {} = ANY({}::bigint[])").format(
        ranges, sql.Identifier(load.ORDINAL), sql.Literal(stayed)
    )


def joined(gone: Sequence[Batch]) -> list[tuple[int, int]]:
    """Ranges of ordinals, neighbours put together. Pure.

    >>> joined([Batch("delete", 1, 5, 5), Batch("delete", 6, 9, 4), Batch("delete", 20, 21, 2)])
    [(1, 9), (20, 21)]
    """
    found: list[tuple[int, int]] = []
    for batch in sorted(gone, key=lambda one: one.first):
        if found and batch.first == found[-1][1] + 1:
            found[-1] = (found[-1][0], batch.last)
        else:
            found.append((batch.first, batch.last))
    return found
