# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health of the WAL: what slots keep of it, slots that nobody uses or that are lost, and its archive."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.limits import Limits
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check, judge
from ansible_collections.day2.ops.plugins.module_utils._postgresql import types
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Row, Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.health_findings import Finding, bounded
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import count, duration, size

# A slot of a standby that is kept in step with the primary's is not used by anybody until the failover.
_SLOTS = """
SELECT slot_name AS name, slot_type AS kind, active, wal_status, safe_wal_size AS safe,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
                       restart_lsn)::bigint AS bytes, restart_lsn IS NOT NULL AS reserves, {since}
  FROM pg_replication_slots WHERE NOT temporary ORDER BY 1
"""
_SINCE = """
extract(epoch FROM now() - inactive_since)::float8 AS inactive, invalidation_reason AS reason, synced
"""
_NO_SINCE = "NULL::float8 AS inactive, NULL::text AS reason, false AS synced"
SINCE = 170000
_ARCHIVER = """
SELECT current_setting('archive_mode') AS mode, pg_is_in_recovery() AS standby,
       current_setting('archive_command') = '' AND coalesce(current_setting('archive_library', true), '') = ''
           AS nothing,
       archived_count AS archived, failed_count AS failures,
       coalesce(last_failed_time > last_archived_time, last_failed_time IS NOT NULL) AS failing,
       extract(epoch FROM now() - last_archived_time)::float8 AS archived_ago,
       extract(epoch FROM now() - coalesce(last_archived_time, stats_reset, last_failed_time))::float8 AS success_ago,
       last_archived_wal AS last_archived, last_failed_wal AS last_failed, w.waiting, w.oldest
  FROM pg_stat_archiver,
       (SELECT count(*) AS waiting, extract(epoch FROM now() - min(modification))::float8 AS oldest
          FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready') w
"""


def slots(session: Session, run: Run, limits: Limits) -> list[Check]:
    """What each replication slot keeps of the WAL, and whether anybody uses it."""
    rows = session.rows(_SLOTS.format(since=_SINCE if session.version >= SINCE else _NO_SINCE))
    return judge_slots(rows, limits)


def judge_slots(rows: Sequence[Row], limits: Limits) -> list[Check]:
    if not rows:
        return []
    kept = [_kept(row) for row in rows if row["reserves"] and row["wal_status"] != "lost"]
    checks: list[Check] = []
    if kept:
        total = size(sum(one.value or 0 for one in kept))
        fine = f"{count(len(kept), 'slot')}, which keep {total} of WAL."
        checks += bounded(types.SLOTS, limits["slot_retained_bytes"], "server", kept, fine, "slots")
    fine = f"{count(len(rows), 'slot')}: each is used."
    limit = limits["slot_state"]
    return checks + bounded(types.SLOT_STATE, limit, "server", [_state(row, limit) for row in rows], fine, "slots")


def _kept(row: Row) -> Finding:
    text = f"Slot {row['name']} {'is used' if row['active'] else 'is not used'} and keeps {size(row['bytes'])} of WAL"
    text += "." if row["safe"] is None else f"; it is lost when {size(max(0, row['safe']))} more are written."
    if row["active"]:
        advice = "Look at what uses it: it does not keep up."
    else:
        advice = f"{_drop(row)} The disk fills up with WAL; max_slot_wal_keep_size bounds that."
    evidence = {"active": row["active"], "safe_bytes": row["safe"]}
    return Finding(row["name"], row["bytes"], text, advice, evidence=evidence)


def _drop(row: Row) -> str:
    literal = row["name"].replace("'", "''")
    return f"When nobody is to use it any more, run: SELECT pg_drop_replication_slot('{literal}');"


def _state(row: Row, limit: Mapping[str, Any]) -> Finding:
    name, unused = row["name"], row["inactive"]
    evidence = {"kind": row["kind"], "wal_status": row["wal_status"], "reason": row["reason"]}
    if row["wal_status"] == "lost" or row["reason"]:
        text = f"Slot {name} is lost ({row['reason'] or 'WAL it needs was removed'})."
        advice = f"Build anew what used it. {_drop(row)}"
        return Finding(name, unused, text, advice, "crit", evidence=evidence)
    if row["wal_status"] == "unreserved":
        text = f"Slot {name} is about to be lost: the next checkpoint may remove WAL that it needs."
        advice = "Let what uses it catch up now, or raise max_slot_wal_keep_size and reload."
        return Finding(name, unused, text, advice, "crit", evidence=evidence)
    if row["active"] or row["synced"]:
        return Finding(name, 0, f"Slot {name} is used.", evidence=evidence)
    advice = f"Bring back the replica or subscriber that used it. {_drop(row)}"
    if unused is None:
        # Before 17 nobody knows since when.
        status = "ok" if limit["warn"] is None and limit["crit"] is None else "warn"
        return Finding(name, None, f"Slot {name} is not used by anybody.", advice, status, evidence=evidence)
    text = f"Slot {name} has not been used by anybody for {duration(unused)}."
    return Finding(name, round(unused, 1), text, advice, evidence=evidence)


def archiver(session: Session, run: Run, limits: Limits) -> list[Check]:
    return judge_archiver(session.rows(_ARCHIVER)[0], limits)


def judge_archiver(row: Row, limits: Limits) -> list[Check]:
    """The value is since when WAL has been waiting for its archive; nothing is said where nothing is archived."""
    if row["mode"] == "off" or (row["standby"] and row["mode"] != "always"):
        return []
    limit = limits["archiver"]
    waiting = count(row["waiting"], "WAL file") + (" waits" if row["waiting"] == 1 else " wait")
    evidence = {
        "waiting": row["waiting"],
        "failures": row["failures"],
        "last_archived_seconds": None if row["archived_ago"] is None else round(row["archived_ago"], 1),
        "last_archived": row["last_archived"],
        "last_failed": row["last_failed"],
    }
    status: Optional[str] = None
    if row["nothing"]:
        seconds = row["oldest"] or 0.0
        text = f"archive_mode is on and nothing archives: {waiting}."
        advice = "Set archive_command or archive_library, or archive_mode = off; WAL is kept until it is archived."
        status = "crit"
    elif row["failing"]:
        seconds = row["success_ago"] or 0.0
        since = "never succeeded" if row["archived_ago"] is None else f"last succeeded {duration(seconds)} ago"
        text = f"Archiving of WAL fails (at {row['last_failed']}) and {since}: {waiting}."
        advice = (
            "Look into the server's log for what archive_command said; try it by hand as the server's user. The disk "
            "fills up meanwhile, and no point in time after the last success can be restored."
        )
        status = judge(seconds, limit["warn"], limit["crit"], "above")
        # A failure is one from the first minute on, unless nobody wants to know.
        status = "warn" if status == "ok" and limit["warn"] is not None else status
    else:
        seconds = (row["oldest"] or 0.0) if row["waiting"] else 0.0
        if row["waiting"]:
            text = f"{waiting} for the archive, the longest for {duration(seconds)}."
        else:
            text = "All WAL is archived."
        advice = "The archive does not keep up: compress, send in parallel (archive_library, pgBackRest's async mode)."
    value = round(seconds, 1)
    return [types.ARCHIVER("server", value, **limit, summary=text, advice=advice, status=status, **evidence)]
