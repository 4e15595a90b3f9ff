# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health of replication: replicas and their lag, those that vanished, the receiver of a standby, subscriptions."""

from __future__ import annotations

from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.limits import Limits
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._postgresql import types
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Row, Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.health_findings import Finding, ask_for, bounded
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import count, duration, size

# One row for the server itself (``name`` is null), so that a primary without replicas tells that it is a primary.
_REPLICAS = """
SELECT pg_is_in_recovery() AS standby, current_user AS role, r.name, r.state, r.bytes, r.unreceived, r.seconds
  FROM (SELECT 1) one LEFT JOIN (
    SELECT coalesce(nullif(application_name, ''), 'without a name') AS name, state,
           pg_wal_lsn_diff({lsn}, replay_lsn)::bigint AS bytes,
           pg_wal_lsn_diff({lsn}, flush_lsn)::bigint AS unreceived,
           CASE WHEN replay_lsn >= sent_lsn THEN 0 ELSE extract(epoch FROM replay_lag) END::float8 AS seconds
      FROM pg_stat_replication
     WHERE state IS NULL OR (state <> 'backup' AND replay_lsn IS NOT NULL)) r ON true
 ORDER BY r.name
"""
# A standby that others follow sends what it has received itself.
_LSN = "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END"
_STANDBY = """
SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::bigint AS bytes,
       CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
            ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp()) END::float8 AS seconds,
       (SELECT status FROM pg_stat_wal_receiver) AS state,
       current_setting('primary_conninfo') <> '' AS follows,
       pg_is_wal_replay_paused() AS paused
"""
_SUBSCRIPTIONS = """
SELECT s.oid::bigint, s.subname AS name, s.subenabled AS enabled, current_database() AS database,
       EXISTS (SELECT FROM pg_stat_subscription w WHERE w.subid = s.oid AND w.relid IS NULL AND w.pid IS NOT NULL)
           AS running,
       (SELECT count(*) FROM pg_subscription_rel r WHERE r.srsubid = s.oid AND r.srsubstate NOT IN ('r', 's'))
           AS unsynced, {errors} AS errors
  FROM pg_subscription s WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
 ORDER BY 2
"""
_ERRORS = """
(SELECT apply_error_count + sync_error_count FROM pg_stat_subscription_stats e WHERE e.subid = s.oid)
"""
ERRORS_SINCE = 150000
NETWORK = "Look at the network and at the replica's receiver: it has not received it yet."
REPLAY = "It is received and not replayed: look at the replica's disk, and for long queries there that hold replay up."


def replication(session: Session, run: Run, limits: Limits) -> list[Check]:
    """The lag of each replica, and of this server when it is a standby; replicas that were expected and are not here.
    Without replicas and expectations there is nothing to say."""
    rows = session.rows(_REPLICAS.format(lsn=_LSN))
    standby, role = rows[0]["standby"], rows[0]["role"]
    replicas = [row for row in rows if row["name"] is not None]
    checks = replica_checks(replicas, role, limits)
    if standby:
        return checks + standby_checks(session.rows(_STANDBY)[0], limits)
    return checks + missing_replicas(replicas, run.params["expected_replicas"], limits)


def replica_checks(rows: Sequence[Row], role: str, limits: Limits) -> list[Check]:
    checks = []
    for row in rows:
        if row["bytes"] is None and row["state"] is None:
            text, advice = f"Replica {row['name']} is hidden from this user.", ask_for("pg_monitor", role)
        else:
            unreceived = max(0, row["unreceived"] or 0)
            unreplayed = max(0, (row["bytes"] or 0) - unreceived)
            text = (
                f"Replica {row['name']} is {size(row['bytes'] or 0)} behind: {size(unreceived)} not received, "
                f"{size(unreplayed)} not replayed."
            )
            advice = NETWORK if unreceived > unreplayed else REPLAY
        checks += _lag(row, f"Replica {row['name']}", text, advice, limits)
    return checks


def standby_checks(row: Row, limits: Limits) -> list[Check]:
    """How far this standby is behind what it has received, and whether it still receives anything."""
    text = f"This standby is {size(row['bytes'] or 0)} behind what it has received."
    advice = "Run SELECT pg_wal_replay_resume(): its replay is paused." if row["paused"] else REPLAY
    checks = _lag({**row, "name": "this standby", "unreceived": 0}, "This standby", text, advice, limits)
    if not row["follows"]:
        return checks
    if row["state"] is not None:
        text = f"The standby's WAL receiver is there ({row['state']})."
        return [*checks, types.RECEIVER("this standby", None, status="ok", summary=text, state=row["state"])]
    lost = types.RECEIVER(
        "this standby", None, status="crit",
        summary="This standby is to follow a primary and receives nothing from it.",
        advice="Look into its log: whether primary_conninfo still leads to the primary, and whether the WAL it needs "
        "is still there; without that WAL it has to be built anew.",
    )  # fmt: skip
    return [*checks, lost]


def _lag(row: Row, who: str, behind: str, advice: str, limits: Limits) -> list[Check]:
    bytes_behind, seconds, about = row["bytes"], row["seconds"], {"state": row["state"]}
    parts: dict[str, Any] = {}
    if bytes_behind is not None:
        unreceived = max(0, row["unreceived"] or 0)
        parts = {"unreceived_bytes": unreceived, "unreplayed_bytes": max(0, bytes_behind - unreceived)}
    told = "has told no delay" if seconds is None else f"is {duration(seconds)} behind"
    return [
        types.LAG_BYTES(
            row["name"],
            bytes_behind,
            **limits["replication_lag_bytes"],
            summary=behind,
            advice=advice,
            **about,
            **parts,
        ),
        types.LAG_SECONDS(
            row["name"], seconds, **limits["replication_lag"], summary=f"{who} {told}.", advice=advice, **about
        ),
    ]


def missing_replicas(rows: Sequence[Row], expected: Sequence[str], limits: Limits) -> list[Check]:
    """Those of ``expected`` (by application_name, each as often as it is named) that do not stream from here."""
    if not expected:
        return []
    there = [row["name"] for row in rows]
    left, missing = list(there), []
    for name in expected:
        if name in left:
            left.remove(name)
        else:
            missing.append(name)
    text = (
        f"Of {count(len(expected), 'replica')} that should be here, {', '.join(missing)} is not."
        if missing
        else f"All of {count(len(expected), 'replica')} that should be here are."
    )
    check = types.REPLICAS(
        "server", len(missing), **limits["missing_replicas"], summary=text, expected=len(expected), there=len(there),
        advice="Look into the replica's log; its slot keeps the WAL it needs, as long as the disk lasts.",
    )  # fmt: skip
    return [check]


def subscriptions(session: Session, run: Run, limits: Limits) -> list[Check]:
    errors = _ERRORS if session.version >= ERRORS_SINCE else "NULL::bigint"
    return judge_subscriptions(session.rows(_SUBSCRIPTIONS.format(errors=errors)), run.params["login_db"], limits)


def judge_subscriptions(rows: Sequence[Row], database: str, limits: Limits) -> list[Check]:
    """``errors`` is null before version 15, where nobody counts them. Without subscriptions nothing is said."""
    if not rows:
        return []
    fine = f"{count(len(rows), 'subscription')}: enabled, at work and without errors."
    found = [_subscription(row) for row in rows]
    limit = limits["subscription_errors"]
    return bounded(types.SUBSCRIPTIONS, limit, database, found, fine, "subscriptions")


def _subscription(row: Row) -> Finding:
    name, errors, status = quote(row["name"]), row["errors"], None
    text, advice = f"Subscription {name} works.", ""
    if not row["enabled"]:
        # It was switched off by an error (disable_on_error), or by somebody who had a reason.
        status = "crit" if errors else "warn"
        text = f"Subscription {name} is disabled; the publisher keeps all WAL for it meanwhile."
        advice = f"Mend what stopped it, then run: ALTER SUBSCRIPTION {name} ENABLE; or drop it, and with it its slot."
    elif not row["running"]:
        status = "crit"
        text = f"Subscription {name} has no worker."
        advice = (
            "Look into the log: a worker that fails is started again and again; or max_logical_replication_workers is "
            "too small."
        )
    elif errors:
        text = f"Subscription {name} works, after {count(errors, 'error')}."
        advice = (
            "Look into the log for conflicts. When they are mended: "
            f"SELECT pg_stat_reset_subscription_stats({row['oid']});"
        )
    if row["unsynced"]:
        text = f"{text[:-1]}; {count(row['unsynced'], 'table')} not copied yet."
    value = errors if errors is not None else 0
    evidence = {key: row[key] for key in ("enabled", "running", "unsynced")}
    return Finding(f"{row['database']}.{name}", value, text, advice, status, evidence=evidence)
