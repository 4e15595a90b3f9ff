# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find: the tables of the policies, the rows that are due, and what stands against deleting them."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import datetime
from typing import Any, Iterator, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql import preflight
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Row, Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote, spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.trouble import (
    INSUFFICIENT_PRIVILEGE,
    QUERY_CANCELED,
    SqlError,
)
from ansible_collections.day2.ops.plugins.module_utils._retention import (
    obstacles,
    parts,
    predicate,
    probe,
    reach,
    tables,
)
from ansible_collections.day2.ops.plugins.module_utils._retention.policy import interval
from ansible_collections.day2.ops.plugins.module_utils._retention.reach import Links
from ansible_collections.day2.ops.plugins.module_utils._retention.state import (
    Due,
    Found,
    Obstacle,
    Partition,
    Policy,
    Relation,
)

MODULE = "postgresql_retention"
COUNT_SECONDS = 300.0
# All rows of a table are counted up to this size, and estimated above.
COUNTED_BYTES = 256 << 20
_SETTINGS = "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)"
# In UTC throughout: a day there has 24 hours.
_CUTOFF = """
SELECT cutoff AT TIME ZONE 'UTC' AS cutoff, cutoff > at - %(least)s::interval AS young
  FROM (SELECT %(now)s::timestamptz AT TIME ZONE 'UTC' AS at) AS moment,
       LATERAL (SELECT CASE WHEN %(aligned)s THEN date_trunc('day', at) ELSE at END - %(older)s::interval
                       AS cutoff) AS day
"""
_KNOWN = """
SELECT DISTINCT policy_hash AS hash FROM day2.retention_ledger
 WHERE kind = 'accept' AND target = %s AND policy_hash = ANY(%s)
"""


def find(run: Run, session: Session, policies: Sequence[Policy]) -> list[Found]:
    """What each policy finds, in the order of the policies. ``session`` only reads.

    Raises BadInput (a table, column or condition that cannot be meant), Refused (a grant is missing) and OpsError (the
    rows could not be counted in time).
    """
    with _own_settings(session):
        session.configure(**predicate.PINNED, search_path="pg_catalog")
        now = session.rows("SELECT now() AS now")[0]["now"]
        relations = [tables.read_relation(session, policy) for policy in policies]
        links = reach.read_links(session, [relation.oid for relation in relations])
        found, young = [], []
        for policy, relation in zip(policies, relations):
            cutoff, is_young = read_cutoff(session, policy, now)
            whole = parts.read_partitions(session, policy, relation, links, cutoff)
            referrers = links.referenced_by(relation.oid)
            found.append(Found(policy, relation, cutoff, Due(), partitions=whole, referenced_by=referrers))
            young.append(is_young)
        preflight.require_grants(run, session, MODULE, relations, [], _owned(found))
        hashes = session.rows(_KNOWN, [run.target, [policy.hash for policy in policies]])
        known = {row["hash"] for row in hashes}
        found = [replace(one, known=one.policy.hash in known) for one in found]
        found = [_measured(run, session, one, is_young, links) for one, is_young in zip(found, young)]
        emptied = {member for one in found for member in links.family(one.relation.oid)}
        return [replace(one, obstacles=(*one.obstacles, *_referenced(session, one, links, emptied))) for one in found]


def read_cutoff(session: Session, policy: Policy, now: datetime) -> tuple[Optional[datetime], bool]:
    """Rows before it are due, and whether it is younger than ``min_age``. ``now`` is the server's."""
    if policy.older_than is None:
        return None, False
    given = {
        "now": now,
        "aligned": policy.older_than.aligned,
        "older": interval(policy.older_than),
        "least": interval(policy.min_age),
    }
    row = session.rows(_CUTOFF, given)[0]
    return row["cutoff"], row["young"]


def _measured(run: Run, session: Session, one: Found, young: bool, links: Links) -> Found:
    """With obstacles and, unless they forbid even that, with the counts."""
    policy, relation = one.policy, one.relation
    run.deadline.check()
    left = run.deadline.left()
    seconds = COUNT_SECONDS if left is None else min(COUNT_SECONDS, max(left, 1.0))
    session.configure(**predicate.settings(policy, relation), statement_timeout=str(int(seconds * 1000)))
    stand = obstacles.obstacles(session, policy, relation, links)
    if policy.keep_last is not None and not probe.ordered(session, policy, relation):
        stand.append(obstacles.unordered(policy, relation))
    if not obstacles.countable(policy, stand):
        return replace(one, obstacles=tuple(stand))
    one = replace(one, silent=reach.read_silent(session, links.family(relation.oid)))
    relation = probe.probe(session, policy, relation)
    run.live.progress(f"counting what is due in {spell(relation.schema, relation.name)}")
    # Nobody would be told of rows that go with their partition: neither triggers nor subscribers.
    told = any(obstacle.name in ("triggers", "rules", "publication") for obstacle in stand)
    apart = [part for part in one.partitions if part.pending or not told]
    whole = tuple(part for part in apart if _goes(session, policy, relation, one.cutoff, part))
    due, whole = count(session, policy, relation, one.cutoff, whole, links)
    stand += obstacles.limits(policy, relation, due, young)
    return replace(one, relation=relation, due=due, obstacles=tuple(stand), partitions=whole)


def _referenced(session: Session, one: Found, links: Links, emptied: set[int]) -> list[Obstacle]:
    """Tables that still reference rows which are due and keep them, but for those in which this run deletes too."""
    policy, relation, stand = one.policy, one.relation, []
    session.configure(**predicate.settings(policy, relation))
    for reference in links.referring(relation.oid) if one.due.rows else []:
        if reference.action not in (reach.NO_ACTION, reach.RESTRICT) or reference.table in emptied:
            continue
        child = reach.read_name(session, reference.table)
        statement = predicate.still_referenced(policy, relation, one.cutoff, child, reference.pairs)
        try:
            kept = session.rows(statement, timeout=COUNT_SECONDS)[0]["found"]
        except SqlError as error:
            # Whoever may not read that table learns it from the delete.
            if error.sqlstate not in (INSUFFICIENT_PRIVILEGE, QUERY_CANCELED):
                raise
            kept = False
        if kept:
            stand.append(obstacles.referenced(links, reference))
    return stand


def count(
    session: Session,
    policy: Policy,
    relation: Relation,
    cutoff: Optional[datetime],
    whole: tuple[Partition, ...],
    links: Links,
) -> tuple[Due, tuple[Partition, ...]]:
    """What is due, counted, and the partitions with the rows that they hold."""
    due = predicate.due(policy, relation, cutoff)
    counted = _ask(session, policy, relation, predicate.counting(relation, due, by_part=relation.kind == "p"))
    rows = sum(row["rows"] for row in counted)
    owner = parts.leaves(links, whole)
    apart = {part.oid: 0 for part in whole}
    for row in counted:
        if row.get("part") in owner:
            apart[owner[row["part"]]] += row["rows"]
    held = 0
    if policy.legal_hold is not None:
        condition = predicate.held(policy, relation, cutoff)
        held = _ask(session, policy, relation, predicate.counting(relation, condition))[0]["rows"]
    total = float(max(_total(session, policy, relation), rows + held))
    size = int(relation.bytes * rows / total) if total else 0
    whole = tuple(part if part.pending else replace(part, rows=float(apart[part.oid])) for part in whole)
    by_name = tuple(
        (links.names[row["part"]], int(row["rows"])) for row in counted if row.get("part") not in (None, *owner)
    )
    return Due(rows, held, total, size, sum(apart.values()), by_name), whole


def _goes(session: Session, policy: Policy, relation: Relation, cutoff: Optional[datetime], part: Partition) -> bool:
    """Whether the policy lets go every row of a partition that is old enough."""
    if (policy.where, policy.protect, policy.legal_hold) == (None, None, None):
        return True
    statement = predicate.any_left(policy, relation, cutoff, (part.schema, part.name))
    return not _ask(session, policy, relation, statement)[0]["left"]


def _total(session: Session, policy: Policy, relation: Relation) -> float:
    if relation.rows >= 0 and relation.bytes > COUNTED_BYTES:
        return relation.rows
    return float(_ask(session, policy, relation, predicate.counting(relation, predicate.anything()))[0]["rows"])


def _ask(session: Session, policy: Policy, relation: Relation, statement: Any) -> list[Row]:
    try:
        return session.rows(statement, timeout=COUNT_SECONDS)
    except SqlError as error:
        subject = spell(relation.schema, relation.name)
        if error.sqlstate != QUERY_CANCELED:
            raise OpsError(f"Failed to count what policy {policy.name} lets go in {subject}: {error}.") from error
        columns = ", ".join(map(quote, dict.fromkeys((*policy.per, policy.column))))
        raise OpsError(
            f"Failed to count what policy {policy.name} lets go in {subject}: it takes too long; create an index on "
            f"({columns})."
        ) from error


@contextlib.contextmanager
def _own_settings(session: Session) -> Iterator[None]:
    """The session's settings are as before afterwards."""
    before = session.rows(_SETTINGS, [["search_path", "row_security", "statement_timeout", *predicate.PINNED]])
    try:
        yield
    finally:
        with contextlib.suppress(OpsError):  # a session that is lost needs none
            session.configure(**{row["name"]: row["setting"] for row in before})


def _owned(found: Sequence[Found]) -> list[int]:
    """The tables that only their owner can detach and drop, or detach from."""
    parted = [one for one in found if one.policy.partitions and one.relation.kind == "p"]
    return [oid for one in parted for oid in (one.relation.oid, *(part.oid for part in one.partitions))]
