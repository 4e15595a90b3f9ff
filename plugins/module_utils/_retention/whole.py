# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Partitions that go as a whole: marked, detached without a lock that holds up others, archived, proven, dropped.

Once detached the server does not know any more whose partition a table was: its comment says so, from before it is
detached. A run that is killed leaves a detaching that the next one finalises, or a table with such a comment.
"""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core import clock, records
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Deferred, OpsError, Refused
from ansible_collections.day2.ops.plugins.module_utils._postgresql import trouble
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session, compose
from ansible_collections.day2.ops.plugins.module_utils._postgresql.copying import Copier
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import milliseconds
from ansible_collections.day2.ops.plugins.module_utils._retention import chunk as chunks
from ansible_collections.day2.ops.plugins.module_utils._retention import ledger, predicate, reach, tables, types
from ansible_collections.day2.ops.plugins.module_utils._retention.copy import Chunk, Pass, Target, source, target_of
from ansible_collections.day2.ops.plugins.module_utils._retention.plan import Step
from ansible_collections.day2.ops.plugins.module_utils._retention.site import Site
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Found, Partition, Relation
from ansible_collections.day2.ops.plugins.module_utils._store.base import Stored

MARK = "day2 retention"
DEADLOCK = "40P01"
_COMMENT = "SELECT obj_description(%s::oid, 'pg_class') AS text"
_ATTACHED = "SELECT inhdetachpending AS pending FROM pg_inherits WHERE inhrelid = %s"
# The server detaches one partition of a table after the other.
_PENDING = """
SELECT n.nspname AS schema, c.relname AS name
  FROM pg_inherits i JOIN pg_inherits o USING (inhparent)
  JOIN pg_class c ON c.oid = o.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE i.inhrelid = %s AND o.inhrelid <> i.inhrelid AND o.inhdetachpending
"""
_MARKED = """
SELECT c.oid::bigint, n.nspname AS schema, c.relname AS name, d.description AS comment,
       pg_total_relation_size(c.oid)::bigint AS bytes, greatest(c.reltuples, 0)::float8 AS rows
  FROM pg_description d JOIN pg_class c ON c.oid = d.objoid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE d.classoid = 'pg_class'::regclass AND d.objsubid = 0 AND starts_with(d.description, %s)
   AND c.relkind IN ('r', 'p') AND pg_has_role(c.relowner, 'USAGE')
   AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)
 ORDER BY c.oid
"""


def mark(policy: str, parent: str, upper: str, was: Optional[str]) -> str:
    """The comment of a partition that is going: whose it is, and the comment it had. Pure."""
    return f"{MARK} {json.dumps({'policy': policy, 'table': parent, 'upper': upper, 'comment': was})}"


def read_mark(comment: str) -> dict[str, Any]:
    """The opposite of :func:`mark`; nothing for what somebody else wrote. Pure."""
    try:
        told = json.loads(comment[len(MARK) :])
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def detached(session: Session, found: Sequence[Found]) -> list[Step]:
    """Steps for the tables that earlier runs detached and did not drop any more; :class:`Refused` where they cannot."""
    steps = []
    for row in session.rows(_MARKED, [f"{MARK} {{"]):
        told = read_mark(row.pop("comment"))
        for one in found:
            relation = one.relation
            if (told.get("policy"), told.get("table")) == (one.policy.name, spell(relation.schema, relation.name)):
                part = Partition(**row, upper=str(told.get("upper")))
                name = spell(part.schema, part.name)
                needed = _needed(session, part)
                if needed:
                    raise Refused(f"Failed to start retention: policies[{one.policy.name}]: {needed}.")
                predicted = {"policy": one.policy.name, "table": told["table"], "partition": name, "bytes": part.bytes}
                reason = f"an earlier run detached it from {told['table']} and did not finish"
                steps.append(Step(types.DROP_PARTITION.plan(name, reason, predicted=predicted), one, part))
    return steps


def drop(site: Site, step: Step) -> None:
    """Detach, archive, prove, drop one partition."""
    part = step.partition
    if part is None:
        raise AssertionError("Contract violation: a partition was planned to go, and none is given")
    began = time.monotonic()
    holder = site.locks.exclude("detach")
    if holder is not None:
        raise Deferred(holder)
    try:
        needed = _needed(site.control, part)
        if needed:
            raise OpsError(f"{needed}.")
        _detach(site, step.found, part)
        found = replace(step.found, relation=_relation(site, step.found, part))
        site.prepare({**predicate.settings(found.policy, found.relation), "lock_timeout": _timeout(site)})
        target = target_of(site, found)
        # The rows were, and come back, in the table whose partition this was.
        target.about["table"] = spell(step.found.relation.schema, step.found.relation.name)
        held = _archive(site, found, target)
        _drop(site, step.found, found.relation, held)
    finally:
        site.locks.admit("detach")
    for one in held:
        if target.store is None:
            break
        chunks.close(target.store, one.prefix, one.about, ledger.batches(site.control, one.prefix))
    rows = sum(one.rows for one in held)
    after = {
        **{name: value for name, value in step.action["predicted"].items() if name in ("policy", "table", "partition")},
        "cutoff": clock.iso(found.cutoff) if found.cutoff else None,
        "seconds": round(time.monotonic() - began, 1),
        "rows": rows,
        "rows_deleted": rows,
        "bytes": part.bytes,
        "bytes_archived": sum(one.stored.size for one in held if one.stored),
        "chunks": len(held),
        "archive": target.folder if target.store is not None else None,
    }
    records.finish(step.action, types.DROP_PARTITION.measured(after))


def _needed(session: Session, part: Partition) -> str:
    """Why the server would not drop the table, once it is archived."""
    found = [what for _table, what in reach.read_dependents(session, [part.oid])]
    name = spell(part.schema, part.name)
    return f"{found[0]} depends on {name}, so the server refuses to drop it; drop that first" if found else ""


def _detach(site: Site, found: Found, part: Partition) -> None:
    """Its own name in its comment, then out of the table. Nobody waits for it longer than the brake lets them."""
    relation, worker = found.relation, site.worker
    names = {"parent": (relation.schema, relation.name), "part": (part.schema, part.name)}
    attached = site.control.rows(_ATTACHED, [part.oid])
    if not attached:
        return
    others = [spell(row["schema"], row["name"]) for row in site.control.rows(_PENDING, [part.oid])]
    if others:
        raise Deferred(f"{others[0]} is still being detached from {spell(relation.schema, relation.name)}")
    how = "FINALIZE" if attached[0]["pending"] else "CONCURRENTLY"
    text = site.control.rows(_COMMENT, [part.oid])[0]["text"]
    if not (text or "").startswith(MARK):
        from psycopg2 import sql

        told = sql.Literal(mark(found.policy.name, spell(relation.schema, relation.name), part.upper, text))
        worker.run(compose("COMMENT ON TABLE {part} IS ", part=names["part"]) + told, settings=_bounded(site))
    # lock_timeout would also end the wait for older transactions, which holds up nobody; the brake sees to the rest.
    worker.run(
        compose("ALTER TABLE {parent} DETACH PARTITION {part} " + how, **names),
        settings={"lock_timeout": "0"},
        watch=lambda: site.brake.watch(worker.pid),
    )


def _relation(site: Site, found: Found, part: Partition) -> Relation:
    """The detached table, with what the policy's conditions need of the table that it was a part of."""
    site.control.configure(**predicate.PINNED, search_path="pg_catalog")
    policy = replace(found.policy, table=(part.schema, part.name))
    own = tables.read_relation(site.control, policy)
    if not own.key:
        raise OpsError(f"{spell(part.schema, part.name)} has no key to read it by; give it a primary key")
    return replace(own, protects=found.relation.protects, path=found.relation.path)


@dataclass(frozen=True)
class Part:
    """An archived chunk without its keys. ``versions``: the sum of its rows' versions; another tells of a change."""

    prefix: str
    about: dict[str, Any]
    stored: Optional[Stored]
    rows: int
    versions: int
    first: str
    last: str


def _archive(site: Site, found: Found, target: Target) -> list[Part]:
    """All its rows, safe in the store."""
    held: list[Part] = []
    with closing(Copier(site.run, "read", site.control)) as copier:
        reading = Pass(copier, found, target, site.run.params["chunk_bytes"])
        for one in reading.chunks(site.look):
            held.append(_part(one))
            site.run.live.progress(f"archived {sum(part.rows for part in held)} rows of {found.relation.name}")
    return held


def _part(one: Chunk) -> Part:
    keys = one.keys
    versions = sum(int(number) for block in keys.blocks for number in block[0].split(b"\n"))
    return Part(one.prefix, one.about, one.stored, keys.rows, versions, keys.text(1), keys.text(keys.rows))


def _drop(site: Site, found: Found, own: Relation, held: Sequence[Part]) -> None:
    """In one transaction: nobody can write any more, what is there is what was archived, the ledger, the end.

    The rows are read again, which lasts as long as reading does: who reads them, too, is not held up by that.
    """
    worker, policy = site.worker, found.policy
    parent = spell(found.relation.schema, found.relation.name)
    name = spell(own.schema, own.name)
    worker.rows(f"BEGIN; SET LOCAL synchronous_commit = {site.durable}")
    try:
        worker.rows(compose("LOCK TABLE {name} IN SHARE MODE", name=(own.schema, own.name)))
        there, versions = _there(site, own)
        rows = sum(one.rows for one in held)
        if (there, versions) != (rows, sum(one.versions for one in held)):
            raise OpsError(
                f"{name} holds {there} rows and {rows} were archived, or some changed meanwhile; it is "
                f"detached and stays until the next run; or attach it to {parent} again"
            )
        for one in held:
            place: dict[str, Any] = {"chunk": one.prefix, "first_row": 1, "last_row": one.rows, "deleted": one.rows}
            if one.stored is not None:
                place.update(object=one.stored.key, version=one.stored.etag, sha256=one.stored.sha256)
            place.update(first_key=one.first, last_key=one.last)
            worker.rows(ledger.insert(ledger.note(site.run, policy, parent, ledger.DROP, **place)))
        worker.rows(compose("DROP TABLE {name}", name=(own.schema, own.name)))
        worker.rows("COMMIT")
    except trouble.SqlError as error:
        worker.rows("ROLLBACK")
        if error.sqlstate in (trouble.LOCK_NOT_AVAILABLE, DEADLOCK):
            raise Deferred(f"somebody kept {name} locked for {site.run.params['lock_timeout']:g} s") from error
        raise
    except OpsError:
        if not worker.closed:
            worker.rows("ROLLBACK", final=True)
        raise


def _there(site: Site, own: Relation) -> tuple[int, int]:
    """(rows, sum of their versions) of the table, within the time that there is.

    What a long statement finds is left in settings of the transaction, because only those that return nothing may be
    long.
    """
    from psycopg2 import sql

    worker = site.worker
    site.run.live.progress(f"comparing {spell(own.schema, own.name)} with its archive")
    text = (
        "SELECT set_config('day2.rows', count(*)::text, true),"
        " set_config('day2.versions', coalesce(sum(t.xmin::text::bigint), 0)::text, true) FROM {} AS t"
    )
    worker.run(sql.SQL(text).format(source(own)), watch=lambda: site.brake.watch(worker.pid))
    found = "SELECT current_setting('day2.rows') AS rows, current_setting('day2.versions') AS versions"
    row = worker.rows(found)[0]
    return int(row["rows"]), int(row["versions"])


def _timeout(site: Site) -> str:
    return milliseconds(site.run.params["lock_timeout"])


def _bounded(site: Site) -> dict[str, str]:
    return {"lock_timeout": _timeout(site)}
