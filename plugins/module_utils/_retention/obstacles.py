# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands against a policy: each obstacle one sentence, with the way to accept it where there is one."""

from __future__ import annotations

from typing import Callable, Sequence

from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote, spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import amount, percent
from ansible_collections.day2.ops.plugins.module_utils._retention import binary, predicate, reach
from ansible_collections.day2.ops.plugins.module_utils._retention.reach import Hook, Links, Reach, Reference
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Due, Obstacle, Policy, Relation

MOMENTS = (predicate.AWARE, predicate.NAIVE, predicate.DATE)
SETS = {reach.SET_NULL: "NULL", reach.SET_DEFAULT: "the default"}
# Heirs of a table repeat its keys, and rows of foreign tables have no versions.
_ODD = "SELECT c.oid::bigint, c.relkind::text AS kind FROM pg_class c WHERE c.oid = ANY(%s::oid[])"
_SECURED = "SELECT row_security_active(%s::oid) AS active, current_user AS role"


def obstacles(session: Session, policy: Policy, relation: Relation, links: Links) -> list[Obstacle]:
    """All that can be told without counting rows; what cannot be accepted comes first."""
    reached = reach.reach(links, relation.oid)
    hooks = reach.read_hooks(session, reached)
    published = [one for one in hooks if one.kind == "publication"]
    members = [member for one in published for member in links.family(one.table)]
    found = unfit(policy, relation)
    found += binary.unfit(session, policy, relation)
    found += odd_parts(relation, [row["kind"] for row in session.rows(_ODD, [links.family(relation.oid)[1:]])])
    found += nameless(links, published, reach.read_nameless(session, members))
    found += references(links, reached)
    found += hooked(links, relation, hooks)
    row = session.rows(_SECURED, [relation.oid])[0]
    return [*found, *(secured(relation, row["role"]) if row["active"] else []), *naive(policy, relation)]


def countable(policy: Policy, found: Sequence[Obstacle]) -> bool:
    """Whether the server could count what is due: the column is fit, and no row is hidden."""
    names = {one.name for one in found}
    return "" not in names and names & {"row_security", "protect_row_security"} <= policy.accept


def limits(policy: Policy, relation: Relation, due: Due, young: bool) -> list[Obstacle]:
    """What a count tells. ``young``: the cut-off is younger than ``min_age``."""
    subject, found = _subject(relation), []
    if young:
        found.append(
            _accept("min_age", f"rows of {subject} would go younger than min_age allows", "give a longer older_than")
        )
    if due.total and due.rows > policy.max_fraction * due.total:
        share = f"{amount(due.rows)} of about {amount(due.total)} rows of {subject} ({percent(due.rows / due.total)})"
        text = f"{share} are due, and max_fraction allows {percent(policy.max_fraction)}"
        found.append(_accept("max_fraction", text, "check older_than and where"))
    if policy.max_rows is not None and due.rows > policy.max_rows:
        text = f"{amount(due.rows)} rows of {subject} are due, and max_rows allows {amount(policy.max_rows)}"
        found.append(_accept("max_rows", text, "check older_than and where"))
    return found


def unfit(policy: Policy, relation: Relation) -> list[Obstacle]:
    """What no policy can work on."""
    subject, column = _subject(relation), relation.column(policy.column)
    kind, found = predicate.base_type(column), []
    if not relation.key:
        text = f"{subject} has no primary key, nor a unique index over columns that are never NULL, so its rows cannot"
        found.append(Obstacle("", f"{text} be told apart; add one."))
    if policy.older_than is not None and kind not in MOMENTS:
        text = f"column {quote(column.name)} of {subject} is of type {column.type}, which tells no age"
        found.append(Obstacle("", f"{text}; name a column with a timestamp or date."))
    elif policy.older_than is not None and kind == predicate.DATE and not policy.older_than.aligned:
        text = f"column {quote(column.name)} of {subject} is a date and knows no hours"
        found.append(Obstacle("", f"{text}; give older_than in days or longer."))
    return found


def unordered(policy: Policy, relation: Relation) -> Obstacle:
    column = relation.column(policy.column)
    text = f"column {quote(column.name)} of {_subject(relation)} is of type {column.type}, which has no order"
    return Obstacle("", f"{text}; name a column that says which rows are the last.")


def odd_parts(relation: Relation, kinds: Sequence[str]) -> list[Obstacle]:
    """``kinds``: of the tables below this one, as pg_class has them."""
    subject = _subject(relation)
    if kinds and relation.kind != "p":
        return [Obstacle("", f"{subject} has heirs, whose rows may repeat its keys; make policies for tables without.")]
    if "f" in kinds:
        return [Obstacle("", f"{subject} has foreign tables as partitions; make policies for its local partitions.")]
    return []


def nameless(links: Links, published: Sequence[Hook], members: frozenset[int]) -> list[Obstacle]:
    """Published tables that name no row to a subscriber: the server refuses to delete there."""
    found: dict[str, Obstacle] = {}
    for one in published:
        for member in members.intersection(links.family(one.table)):
            subject = links.names[member]
            text = f"{subject} has no replica identity, and publication {quote(one.name)} publishes what is deleted"
            found[subject] = Obstacle(
                "", f"{text}, so the server refuses; set one by ALTER TABLE with REPLICA IDENTITY."
            )
    return [found[subject] for subject in sorted(found)]


def references(links: Links, reached: Reach) -> list[Obstacle]:
    """Foreign keys that make a delete slow, or let it reach other tables."""
    found = []
    for one in reached.crossed:
        columns = f"{links.names[one.table]} ({one.columns})"
        if not one.indexed:
            text = f"{columns} references {links.names[one.target]} and has no index, so each row that goes is a scan"
            found.append(_accept("unindexed_reference", text, "create an index"))
    for name, wanted, said in (("cascade", (reach.CASCADE,), _cascades), ("set_null", tuple(SETS), _sets)):
        found += [
            _accept(name, said(links, one), "make a policy for that table and protect what it references")
            for one in reached.crossed
            if one.action in wanted
        ]
    return found


def depended(relation: Relation, partition: str, dependent: str) -> Obstacle:
    """A partition that goes as a whole, and what the server will not drop it without."""
    text = f"{dependent} depends on partition {partition} of {_subject(relation)}, so the server refuses to drop it"
    return Obstacle("", f"{text}; drop that first, or leave out partitions so that rows are deleted one by one.")


def hooked(links: Links, relation: Relation, hooks: Sequence[Hook]) -> list[Obstacle]:
    """The users' triggers and rules, and publications."""
    subject = _subject(relation)
    texts: dict[str, tuple[str, Callable[[Hook], str], str]] = {
        "trigger": ("triggers", lambda one: f"runs trigger {quote(one.name)}", "disable it meanwhile"),
        "rule": ("rules", lambda one: f"is rewritten by rule {quote(one.name)}", "disable it meanwhile"),
        "publication": (
            "publication",
            lambda one: f"is published by {quote(one.name)}, so subscribers delete the rows too",
            "publish no deletes",
        ),
    }
    found = []
    for kind, (name, said, remedy) in texts.items():
        for one in (one for one in hooks if one.kind == kind):
            where = links.names[one.table]
            through = f", which a delete from {subject} reaches," if where != subject else ""
            found.append(_accept(name, f"a change of {where}{through} {said(one)}", remedy))
    return found


def secured(relation: Relation, role: str) -> list[Obstacle]:
    text = f"row-level security hides rows of {_subject(relation)} from the user {role}"
    return [_accept("row_security", text, "give the user BYPASSRLS")]


def hidden(policy: Policy, option: str, role: str, told: str) -> Obstacle:
    """Rows that an option of the policy has to look at and does not see. ``told``: the server's words."""
    text = f"row-level security hides rows that {option} reads from the user {role}, so they would keep nothing"
    return _accept("protect_row_security", f"{text} ({told})", "give the user BYPASSRLS")


def naive(policy: Policy, relation: Relation) -> list[Obstacle]:
    column = relation.column(policy.column)
    if policy.older_than is None or predicate.base_type(column) != predicate.NAIVE:
        return []
    text = f"column {quote(column.name)} of {_subject(relation)} has no time zone and will be read as UTC"
    return [_accept("naive_timestamp", text, "make it a timestamptz")]


def _cascades(links: Links, one: Reference) -> str:
    child, parent = links.names[one.table], links.names[one.target]
    return f"rows of {child} go with those of {parent} that they reference (ON DELETE CASCADE), and no archive has them"


def _sets(links: Links, one: Reference) -> str:
    child, parent = links.names[one.table], links.names[one.target]
    return f"{child} ({one.columns}) is set to {SETS[one.action]} where rows of {parent} go"


def _accept(name: str, text: str, remedy: str) -> Obstacle:
    return Obstacle(name, f"{text}; {remedy}, or accept: [{name}].", text)


def _subject(relation: Relation) -> str:
    return spell(relation.schema, relation.name)
