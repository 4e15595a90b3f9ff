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
from ansible_collections.day2.ops.plugins.module_utils._postgresql.trouble import QUERY_CANCELED, SqlError
from ansible_collections.day2.ops.plugins.module_utils._retention import (
    obstacles,
    parts,
    predicate,
    probe,
    reach,
    tables,
)
from ansible_collections.day2.ops.plugins.module_utils._retention.plan import in_order
from ansible_collections.day2.ops.plugins.module_utils._retention.policy import interval
from ansible_collections.day2.ops.plugins.module_utils._retention.reach import Links, Referred
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
        found, young = [], set()
        for policy, relation in zip(policies, relations):
            cutoff, is_young = read_cutoff(session, policy, now)
            whole = parts.read_partitions(session, policy, relation, links, cutoff)
            referrers = links.referenced_by(relation.oid)
            referrers |= {one.oid for one in relations if not referrers.isdisjoint(links.family(one.oid))}
            found.append(Found(policy, relation, cutoff, Due(), partitions=whole, referenced_by=referrers))
            young |= {policy.name} if is_young else set()
        preflight.require_grants(run, session, MODULE, relations, [], _owned(found))
        hashes = session.rows(_KNOWN, [run.target, [policy.hash for policy in policies]])
        known = {row["hash"] for row in hashes}
        found = [replace(one, known=one.policy.hash in known) for one in found]
        measured: dict[str, Found] = {}
        for one in in_order(found):
            before = list(measured.values())
            measured[one.policy.name] = _measured(run, session, one, one.policy.name in young, links, before)
        return [measured[policy.name] for policy in policies]


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


def _measured(run: Run, session: Session, one: Found, young: bool, links: Links, before: Sequence[Found]) -> Found:
    """With obstacles and, unless they forbid even that, with the counts. ``before``: what this run does first."""
    policy, relation = one.policy, one.relation
    run.deadline.check()
    left = run.deadline.left()
    seconds = COUNT_SECONDS if left is None else min(COUNT_SECONDS, max(left, 1.0))
    session.configure(**predicate.settings(policy, relation), statement_timeout=str(int(seconds * 1000)))
    stand = obstacles.obstacles(session, policy, relation, links)
    if policy.keep_last is not None and not probe.ordered(session, policy, relation):
        stand.append(obstacles.unordered(policy, relation))
    stand = [*probe.hidden(session, policy, relation), *stand]
    if not obstacles.countable(policy, stand):
        return replace(one, obstacles=tuple(stand))
    one = replace(one, silent=reach.read_silent(session, links.family(relation.oid)))
    relation = reach.referred(session, links, probe.probe(session, policy, relation), before)
    session.configure(search_path=predicate.settings(policy, _meaning(relation))["search_path"])
    run.live.progress(f"counting what is due in {spell(relation.schema, relation.name)}")
    # Nobody would be told of rows that go with their partition: neither triggers nor subscribers.
    told = any(obstacle.name in ("triggers", "rules", "publication") for obstacle in stand)
    apart = [part for part in one.partitions if part.pending or not told]
    whole = tuple(part for part in apart if _goes(session, policy, relation, one.cutoff, part))
    stand += _depended(session, relation, whole)
    due, whole = count(session, policy, relation, one.cutoff, whole, links)
    stand += obstacles.limits(policy, relation, due, young)
    return replace(one, relation=relation, due=due, obstacles=tuple(stand), partitions=whole)


def _meaning(relation: Referred) -> Relation:
    """With the schemas that names in the policies of tables which go first mean, too."""
    going = (each.relation.path for one in relation.referrers for each in one.going)
    return replace(relation, path=tuple(dict.fromkeys((*relation.path, *(name for path in going for name in path)))))


def _depended(session: Session, relation: Relation, whole: Sequence[Partition]) -> list[Obstacle]:
    names = {part.oid: spell(part.schema, part.name) for part in whole}
    return [obstacles.depended(relation, names[oid], what) for oid, what in reach.read_dependents(session, names)]


def _kept(session: Session, policy: Policy, relation: Relation, cutoff: Optional[datetime], rows: int) -> int:
    """How many rows nothing but references keep, beside the ``rows`` that are due."""
    if not isinstance(relation, Referred) or not relation.referrers:
        return 0
    free = predicate.due(policy, replace(relation, referrers=()), cutoff)
    return max(int(_ask(session, policy, relation, predicate.counting(relation, free))[0]["rows"]) - rows, 0)


def count(
    session: Session,
    policy: Policy,
    relation: Relation,
    cutoff: Optional[datetime],
    whole: tuple[Partition, ...],
    links: Links,
) -> tuple[Due, tuple[Partition, ...]]:
    """What is due, counted, and the partitions with the rows that they hold."""
    due = predicate.due(policy, relation, cutoff, foreseen=True)
    by_part = _ask(session, policy, relation, predicate.counting(relation, due, by_part=relation.kind == "p"))
    rows = sum(row["rows"] for row in by_part)
    owner = parts.leaves(links, whole)
    apart = {part.oid: 0 for part in whole}
    for row in by_part:
        if row.get("part") in owner:
            apart[owner[row["part"]]] += row["rows"]
    held = kept = _kept(session, policy, relation, cutoff, rows)
    if policy.legal_hold is not None:
        condition = predicate.held(policy, relation, cutoff)
        held += _ask(session, policy, relation, predicate.counting(relation, condition))[0]["rows"]
    total = float(max(_total(session, policy, relation), rows + held))
    size = int(relation.bytes * rows / total) if total else 0
    whole = tuple(part if part.pending else replace(part, rows=float(apart[part.oid])) for part in whole)
    by_name = tuple(
        (links.names[row["part"]], int(row["rows"])) for row in by_part if row.get("part") not in (None, *owner)
    )
    return Due(rows, held, total, size, sum(apart.values()), by_name, kept), whole


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
