# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find: who holds a lock that stands against work, and whom our own work waits for."""

from __future__ import annotations

from typing import Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import Blocker

# The locks of a prepared transaction have no process. Until the server restarts they go by the number that its session
# had, after that by another one; the lock on its own transaction id tells which.
PREPARED = """(SELECT x.gid, x.prepared, x.database, o.virtualtransaction
          FROM pg_prepared_xacts x JOIN pg_locks o ON o.transactionid = x.transaction
         WHERE o.locktype = 'transactionid' AND o.granted AND o.pid IS NULL)"""
# Who has the lock ``l``, and for how long his transaction has been open.
_WHO = """coalesce('the prepared transaction ' || x.gid,
                coalesce(nullif(a.application_name, ''), nullif(a.backend_type, 'client backend'),
                         'a session without a name') || ' (pid ' || l.pid || ')') AS what,
       extract(epoch FROM now() - coalesce(x.prepared, a.xact_start))::float8 AS age"""
_FROM = f"""pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
  LEFT JOIN {PREPARED} x ON l.pid IS NULL AND x.virtualtransaction = l.virtualtransaction"""
_HERE = """l.locktype = 'relation' AND (l.pid IS NULL OR l.pid <> ALL(%(own)s))
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
# An index is given where nobody else may have it.
_HOLDER = f"""
SELECT {_WHO}
  FROM {_FROM}
 WHERE {_HERE} AND l.granted
   AND (l.relation = %(index)s OR l.relation = %(table)s AND l.mode <> ALL(%(harmless)s))
 ORDER BY 2 DESC NULLS LAST LIMIT 1
"""
_EXCLUSIVE = f"""
SELECT l.relation::bigint AS oid, {_WHO}
  FROM {_FROM}
 WHERE {_HERE} AND l.mode = 'AccessExclusiveLock'
 ORDER BY l.granted
"""
_WAITED_FOR = f"""
SELECT coalesce(extract(epoch FROM clock_timestamp() - w.waitstart), 0)::float8 AS seconds,
       w.locktype = 'relation' AS queues, b.what, b.age
  FROM pg_locks w LEFT JOIN LATERAL (SELECT {_WHO}
  FROM {_FROM}
 WHERE l.granted AND (l.virtualxid = w.virtualxid OR l.transactionid = w.transactionid)) b ON true
 WHERE w.pid = %s AND NOT w.granted LIMIT 1
"""
# Locks on the table that are in nobody's way: of vacuum, analyze and concurrent rebuilds, and of plain ones.
_HARMLESS = ["AccessShareLock", "RowShareLock", "RowExclusiveLock"]
_HARMLESS_ALONE = ["AccessShareLock", "RowShareLock", "ShareLock"]


def lock_holder(
    session: Session, own: Sequence[int], table: int, index: Optional[int] = None
) -> tuple[str, Optional[float]]:
    """Who holds a lock that our work has to wait for: on the table, and any at all on an ``index``; and how long his
    transaction has been open."""
    given = {"own": list(own), "table": table, "index": index}
    rows = session.rows(_HOLDER, {**given, "harmless": _HARMLESS if index is None else _HARMLESS_ALONE})
    return (str(rows[0]["what"]), rows[0]["age"]) if rows else ("a session that is gone now", None)


def read_lockers(session: Session, own: Sequence[int]) -> dict[int, Blocker]:
    """Who locks, or is about to lock, a table or an index (by oid) so that nobody else can even read it."""
    rows = session.rows(_EXCLUSIVE, {"own": list(own)})
    return {row["oid"]: Blocker(f"the lock of {row['what']}", row["age"] or 0.0) for row in rows}


def waited_for(session: Session, pid: int) -> tuple[float, Optional[Blocker]]:
    """How many seconds a process has queued for a table or an index; and the transaction whose end it waits for."""
    rows = session.rows(_WAITED_FOR, [pid])
    if not rows:
        return 0.0, None
    if rows[0]["queues"]:
        return float(rows[0]["seconds"]), None
    return 0.0, Blocker(rows[0]["what"], rows[0]["age"] or 0.0) if rows[0]["what"] else None
