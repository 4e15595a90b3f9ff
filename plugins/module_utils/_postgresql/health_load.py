# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health of what goes on: connections, transactions, locks."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils._core.limits import Limits
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._postgresql import types
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import count, duration

_CONNECTIONS = """
SELECT count(*) AS used, current_setting('max_connections')::int AS maximum, current_user AS role,
       count(*) FILTER (WHERE state = 'active') AS active, count(*) FILTER (WHERE state = 'idle') AS idle,
       count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS idle_in_transaction
  FROM pg_stat_activity WHERE backend_type = 'client backend' OR (backend_type IS NULL AND datid IS NOT NULL)
"""
_TRANSACTIONS = """
SELECT pid, application_name AS application, state, extract(epoch FROM now() - xact_start)::float8 AS open,
       extract(epoch FROM now() - state_change)::float8 AS unchanged,
       (SELECT bool_or(backend_type IS NULL AND datid IS NOT NULL) FROM pg_stat_activity) AS hidden
  FROM pg_stat_activity
 WHERE backend_type IS NOT DISTINCT FROM 'client backend' AND pid <> pg_backend_pid()
"""
_PREPARED = """
SELECT gid, count(*) OVER () AS prepared, extract(epoch FROM now() - prepared)::float8 AS age
  FROM pg_prepared_xacts ORDER BY age DESC LIMIT 1
"""
_BLOCKED = """
WITH waiting AS (
  SELECT pid, pg_blocking_pids(pid) AS by, extract(epoch FROM clock_timestamp() - waitstart)::float8 AS seconds
    FROM pg_locks WHERE NOT granted)
SELECT (SELECT count(*) FROM waiting) AS blocked, (SELECT max(seconds) FROM waiting) AS longest, b.pid AS blocker_pid,
       (SELECT application_name FROM pg_stat_activity a WHERE a.pid = b.pid) AS blocker
  FROM (SELECT 1) one LEFT JOIN (
    SELECT root AS pid FROM waiting CROSS JOIN unnest(by) root
     WHERE root NOT IN (SELECT pid FROM waiting) GROUP BY 1 ORDER BY count(*) DESC LIMIT 1) b ON true
"""


def connections(session: Session, run: Run, limits: Limits) -> list[Check]:
    row = session.rows(_CONNECTIONS)[0]
    other = row["used"] - row["active"] - row["idle"] - row["idle_in_transaction"]
    ratio = row["used"] / row["maximum"]
    text = (
        f"{row['used']} of {row['maximum']} connections are used: {row['active']} active, {row['idle']} idle, "
        f"{row['idle_in_transaction']} idle in a transaction."
    )
    evidence = {key: row[key] for key in ("used", "maximum", "active", "idle", "idle_in_transaction")}
    check = types.CONNECTIONS(
        "server", round(ratio, 4), **limits["connections"], summary=text, other=other, **evidence,
        advice="Find who keeps connections, use a pooler, or raise max_connections.",
    )  # fmt: skip
    return [check]


def transactions(session: Session, run: Run, limits: Limits) -> list[Check]:
    rows = session.rows(_TRANSACTIONS)
    hidden = bool(rows and rows[0]["hidden"])
    if hidden:
        role = quote(str(session.rows("SELECT current_user AS role")[0]["role"]))
        advice = f"Let an administrator run: GRANT pg_monitor TO {role};"
        text = "What other users' sessions do is hidden from this user."
        return [
            kind("server", None, **limits[name], summary=text, advice=advice)
            for kind, name in (
                (types.IDLE_IN_TRANSACTION, "idle_in_transaction"),
                (types.LONG_TRANSACTION, "long_transaction"),
            )
        ]
    rows = [row for row in rows if row["open"] is not None]
    idle = [row for row in rows if str(row["state"]).startswith("idle in transaction")]
    worst = max(idle, key=lambda row: row["unchanged"], default=None)
    longest = max(rows, key=lambda row: row["open"], default=None)
    checks = []
    if worst is None:
        text, value, who = "No session idles in a transaction.", 0.0, {}
    else:
        value = round(worst["unchanged"], 1)
        text = f"{count(len(idle), 'session')} idle in a transaction"
        text += f", the longest for {duration(value)} (pid {worst['pid']})."
        who = {"pid": worst["pid"], "application": worst["application"]}
    checks.append(
        types.IDLE_IN_TRANSACTION(
            "server", value, **limits["idle_in_transaction"], summary=text, sessions=len(idle), **who,
            advice="They keep locks and dead rows: end them, and set idle_in_transaction_session_timeout.",
        )
    )  # fmt: skip
    if longest is None:
        text, value, who = "No transaction is open.", 0.0, {}
    else:
        value = round(longest["open"], 1)
        text = f"The oldest transaction is open for {duration(value)} (pid {longest['pid']})."
        who = {"pid": longest["pid"], "application": longest["application"]}
    checks.append(
        types.LONG_TRANSACTION(
            "server", value, **limits["long_transaction"], summary=text, **who,
            advice="While it is open no row that died since can be removed.",
        )
    )  # fmt: skip
    return checks


def prepared(session: Session, run: Run, limits: Limits) -> list[Check]:
    rows = session.rows(_PREPARED)
    if not rows:
        text = "No transaction is prepared."
        return [types.PREPARED("server", 0, **limits["prepared_transaction"], summary=text, prepared=0)]
    row = rows[0]
    text = (
        f"{count(row['prepared'], 'prepared transaction')} open, the oldest, {row['gid']}, for {duration(row['age'])}."
    )
    check = types.PREPARED(
        "server", round(row["age"], 1), **limits["prepared_transaction"], summary=text, gid=row["gid"],
        prepared=row["prepared"], advice="Commit it or roll it back: it keeps its locks and all dead rows.",
    )  # fmt: skip
    return [check]


def blocked(session: Session, run: Run, limits: Limits) -> list[Check]:
    row = session.rows(_BLOCKED)[0]
    number = count(row["blocked"], "session")
    text = f"{number} wait for a lock." if row["blocked"] else "No session waits for a lock."
    if row["blocker_pid"]:
        text = f"{text[:-1]}, most of them behind pid {row['blocker_pid']} ({row['blocker'] or 'without a name'})."
    check = types.BLOCKED(
        "server", row["blocked"], **limits["blocked_sessions"], summary=text, blocker_pid=row["blocker_pid"],
        blocker=row["blocker"], longest_seconds=row["longest"], advice="Look at what the blocking session does.",
    )  # fmt: skip
    return [check]
