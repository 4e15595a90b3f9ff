# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find: who holds work up: old snapshots that keep dead rows, and transactions that a rebuild waits for."""

from __future__ import annotations

from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.lockers import PREPARED
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import Blocker, Holder

# Sessions and prepared transactions of other databases hold nothing here; what a standby reports holds everywhere. A
# running statement that wrote nothing may have taken its snapshot when it began, whatever its transaction's age. What a
# slot keeps moves on for as long as it is read: it is as old as its last reader is gone, which servers before 17 hide.
_HOLDERS = """
SELECT 'the transaction of ' || coalesce(nullif(application_name, ''), 'a session without a name') || ' (pid ' || pid
       || ')' AS what, greatest(age(backend_xmin), age(backend_xid)) AS xids,
       extract(epoch FROM now() - CASE WHEN backend_xid IS NOT NULL OR state <> 'active' THEN xact_start
                                       ELSE query_start END)::float8 AS age
  FROM pg_stat_activity
 WHERE datname = current_database() AND coalesce(backend_xmin, backend_xid) IS NOT NULL AND pid <> ALL(%(own)s)
   AND backend_type = 'client backend' AND query !~* '^\\s*vacuum'
UNION ALL
SELECT 'the prepared transaction ' || gid, age(transaction), extract(epoch FROM now() - prepared)::float8
  FROM pg_prepared_xacts WHERE database = current_database()
UNION ALL
SELECT 'the replication slot ' || s.slot_name, age(s.xmin),
       extract(epoch FROM now() - (to_jsonb(s) ->> 'inactive_since')::timestamptz)::float8
  FROM pg_replication_slots s WHERE s.xmin IS NOT NULL
UNION ALL
SELECT 'the standby ' || coalesce(nullif(application_name, ''), 'without a name') || ' (pid ' || pid || ')',
       age(backend_xmin), NULL
  FROM pg_stat_replication WHERE backend_xmin IS NOT NULL
 ORDER BY 2 DESC LIMIT 10
"""
_BLOCKERS = f"""
SELECT a.pid, coalesce(nullif(a.application_name, ''), 'a session without a name') || ' (pid ' || a.pid || ')' AS what,
       extract(epoch FROM now() - a.xact_start)::float8 AS age, a.backend_xmin IS NOT NULL AS everywhere,
       ARRAY(SELECT l.relation::bigint FROM pg_locks l
              WHERE l.pid = a.pid AND l.locktype = 'relation' AND l.granted AND l.mode <> 'AccessShareLock') AS tables
  FROM pg_stat_activity a
 WHERE a.datname = current_database() AND a.xact_start IS NOT NULL AND a.pid <> ALL(%(own)s)
   AND a.backend_type = 'client backend' AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL
       OR EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'relation'))
UNION ALL
SELECT NULL, 'the prepared transaction ' || x.gid, extract(epoch FROM now() - x.prepared)::float8, false,
       ARRAY(SELECT l.relation::bigint FROM pg_locks l
              WHERE l.pid IS NULL AND l.virtualtransaction = x.virtualtransaction AND l.locktype = 'relation')
  FROM {PREPARED} x WHERE x.database = current_database()
"""


def read_holders(session: Session, own: Sequence[int]) -> list[Holder]:
    return [Holder(**row) for row in session.rows(_HOLDERS, {"own": list(own)})]


def read_blockers(session: Session, own: Sequence[int], older_than: float) -> list[Blocker]:
    """Transactions older than that, for which a concurrent rebuild would wait."""
    found = []
    for row in session.rows(_BLOCKERS, {"own": list(own)}):
        if row["age"] < older_than and row["pid"] is not None:
            continue
        tables = frozenset() if row["everywhere"] else frozenset(row["tables"])
        if row["everywhere"] or tables:
            found.append(Blocker(row["what"], row["age"], tables))
    return sorted(found, key=lambda one: -one.age)
