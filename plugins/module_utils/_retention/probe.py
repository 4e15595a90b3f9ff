# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the server understands the SQL of a policy; asked before anything is counted, by option."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, Refused
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Row, Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.trouble import INSUFFICIENT_PRIVILEGE, SqlError
from ansible_collections.day2.ops.plugins.module_utils._retention import obstacles, predicate, tables
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Obstacle, Policy, Relation

UNDEFINED_FUNCTION = "42883"
UNDEFINED_TABLE = "42P01"
UNDEFINED_COLUMN = "42703"


def probe(session: Session, policy: Policy, relation: Relation) -> Relation:
    """The relation with ``protects``. :class:`BadInput` for SQL that the server does not understand."""
    for option in ("where", "legal_hold"):
        condition = getattr(policy, option)
        if condition is not None:
            _explain(session, policy, option, relation, predicate.text(condition))
    if policy.protect is None:
        return relation
    given = _ask(session, policy, "protect", predicate.columns_of(policy.protect))[0]
    made = replace(relation, protects=tables.choose_protects(policy, relation.key, list(given)))
    _explain(session, policy, "protect", made, predicate.unprotected(policy.protect, made))
    return made


def hidden(session: Session, policy: Policy, relation: Relation) -> list[Obstacle]:
    """Options whose SQL reads tables of which row-level security hides rows: with ``row_security`` on they would not be
    seen in silence, and what they keep would go. The server tells, also of tables behind views."""
    found = []
    for option in ("where", "protect", "legal_hold"):
        given = getattr(policy, option)
        if given is None:
            continue
        query = predicate.columns_of(given) if option == "protect" else predicate.alone(relation, given)
        told = _refusal(session, query, "off")
        if told is not None and _refusal(session, query, "on") is None:
            role = session.rows("SELECT quote_ident(current_user) AS role")[0]["role"]
            found.append(obstacles.hidden(policy, option, role, told))
    session.configure(row_security=predicate.settings(policy, relation)["row_security"])
    return found


def _refusal(session: Session, statement: Any, security: str) -> Optional[str]:
    """In which words the server denies it; what else is wrong is said later."""
    session.configure(row_security=security)
    try:
        session.rows(predicate.planned(statement))
    except SqlError as error:
        return str(error).rstrip(".") if error.sqlstate == INSUFFICIENT_PRIVILEGE else None
    return None


def ordered(session: Session, policy: Policy, relation: Relation) -> bool:
    """Whether the column of a policy that keeps the last rows has an order."""
    try:
        session.rows(predicate.in_order(policy, relation))
    except SqlError as error:
        if error.sqlstate == UNDEFINED_FUNCTION:
            return False
        raise
    return True


def _explain(session: Session, policy: Policy, option: str, relation: Relation, condition: Any) -> None:
    # The statement is planned and not run; EXPLAIN checks permissions too.
    _ask(session, policy, option, predicate.explain(relation, condition))


def _ask(session: Session, policy: Policy, option: str, statement: Any) -> list[Row]:
    at = f"policies[{policy.name}].{option}"
    try:
        return session.rows(statement)
    except SqlError as error:
        if error.sqlstate == INSUFFICIENT_PRIVILEGE:
            role = session.rows("SELECT quote_ident(current_user) AS role")[0]["role"]
            raise Refused(f"{at}: {error}; let an administrator run GRANT SELECT on it TO {role}.") from error
        # Class 42: syntax and names; 22: values.
        if not error.sqlstate.startswith(("42", "22")):
            raise
        raise BadInput(f"{at}: the server says: {error}; {_remedy(error.sqlstate)}.") from error


def _remedy(sqlstate: str) -> str:
    if sqlstate == UNDEFINED_TABLE:
        return "name tables of other schemas as schema.table"
    if sqlstate == UNDEFINED_COLUMN:
        return "check the columns; those of the policy's table may be written t.column"
    return "correct the SQL"
