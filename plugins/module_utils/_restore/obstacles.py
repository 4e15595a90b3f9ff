# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands against a change of names: who is connected, and what belongs to a database by its name or its oid."""

from __future__ import annotations

from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.errors import Refused
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Row, Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import count
from ansible_collections.day2.ops.plugins.module_utils._restore.databases import Database

NAMED = 5

_SESSIONS = """
SELECT pid, datname AS database, usename AS role, application_name AS application, backend_type AS kind,
       coalesce(state, '') AS state
  FROM pg_stat_activity
 WHERE datid = ANY(%s::oid[]) AND backend_type NOT IN ('autovacuum worker', 'parallel worker')
 ORDER BY backend_start
"""
_SLOTS = "SELECT slot_name AS name FROM pg_replication_slots WHERE database = ANY(%s) ORDER BY 1"
_SUBSCRIPTIONS = "SELECT subname AS name FROM pg_subscription WHERE subdbid = ANY(%s::oid[]) ORDER BY 1"
_PREPARED = "SELECT gid AS name FROM pg_prepared_xacts WHERE database = ANY(%s) ORDER BY 1"


def obstacles(session: Session, databases: Sequence[Database]) -> list[str]:
    """What makes a change of names impossible or harmful, each with its remedy."""
    names, oids = [one.name for one in databases], [one.oid for one in databases]
    said = []
    for query, given, what, remedy in (
        (_SLOTS, names, "logical replication slot", "its consumer would read from the wrong database; drop it first"),
        (_SUBSCRIPTIONS, oids, "subscription", "it would go on in the wrong database; drop it first"),
        (_PREPARED, names, "prepared transaction", "commit it or roll it back first"),
    ):
        found = [row["name"] for row in session.rows(query, [given])]
        if found:
            said.append(f"{count(len(found), what)} ({', '.join(found[:NAMED])}): {remedy}")
    return said


def refuse_obstacles(session: Session, name: str, databases: Sequence[Database]) -> None:
    said = obstacles(session, databases)
    if session.pooler:
        said.append("a pooler stands between, and it would keep sessions to the old database: connect directly")
    if said:
        raise Refused(f"Failed to swap {name}: {'; '.join(said)}.")


def sessions(session: Session, databases: Sequence[Database]) -> list[Row]:
    return session.rows(_SESSIONS, [[one.oid for one in databases]])


def who(rows: Sequence[Row]) -> str:
    """Sessions, for people. Pure.

    >>> who([{"role": "app", "application": "api", "pid": 7, "kind": "client backend", "state": "idle"}])
    'app (api, pid 7, idle)'
    """
    said = []
    for row in rows[:NAMED]:
        about = [row["application"], f"pid {row['pid']}", row["state"]]
        said.append(f"{row['role'] or row['kind']} ({', '.join(filter(None, about))})")
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return ", ".join(said) + more
