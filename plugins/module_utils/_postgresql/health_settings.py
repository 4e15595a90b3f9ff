# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health of the settings: those that endanger the data or wait for a restart, and how they fit memory and cores."""

from __future__ import annotations

from typing import Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.limits import Limits
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._postgresql import types
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Row, Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import amount, count, percent, size

# How they endanger what is in the database; each by itself is crit.
DANGEROUS = {
    "fsync": "off",
    "full_page_writes": "off",
    "zero_damaged_pages": "on",
    "ignore_checksum_failure": "on",
    "ignore_system_indexes": "on",
}
NEEDED = {"autovacuum": "off", "track_counts": "off", "track_activities": "off"}
# Fewer checkpoints tell nothing.
FEW_CHECKPOINTS = 10
SHARED = 0.25

_SETTINGS = """
SELECT name, setting, pending_restart AS pending FROM pg_settings
 WHERE (name, setting) IN %s OR pending_restart ORDER BY 1
"""
_SIZING = """
SELECT pg_size_bytes(current_setting('shared_buffers'))::bigint AS shared_buffers,
       pg_size_bytes(current_setting('work_mem'))::bigint AS work_mem,
       pg_size_bytes(current_setting('maintenance_work_mem'))::bigint AS maintenance_work_mem,
       pg_size_bytes(current_setting('autovacuum_work_mem'))::bigint AS autovacuum_work_mem,
       current_setting('autovacuum_max_workers')::int AS autovacuum_workers,
       current_setting('max_connections')::int AS max_connections,
       current_setting('max_parallel_workers')::int AS parallel_workers,
       pg_size_bytes(current_setting('max_wal_size'))::bigint AS max_wal_size,
       pg_is_in_recovery() AS standby, {checkpoints}
"""
_CHECKPOINTER = """
(SELECT num_timed FROM pg_stat_checkpointer) AS timed, (SELECT num_requested FROM pg_stat_checkpointer) AS requested
"""
_BGWRITER = """
(SELECT checkpoints_timed FROM pg_stat_bgwriter) AS timed, (SELECT checkpoints_req FROM pg_stat_bgwriter) AS requested
"""
CHECKPOINTER_SINCE = 170000


def settings(session: Session, run: Run, limits: Limits) -> list[Check]:
    return judge_settings(session.rows(_SETTINGS, [tuple({**DANGEROUS, **NEEDED}.items())]), limits)


def judge_settings(rows: Sequence[Row], limits: Limits) -> list[Check]:
    limit = limits["settings"]
    dangerous = [row["name"] for row in rows if DANGEROUS.get(row["name"]) == row["setting"]]
    off = [row["name"] for row in rows if NEEDED.get(row["name"]) == row["setting"]]
    pending = [row["name"] for row in rows if row["pending"]]
    parts, advice = [], []
    if dangerous:
        parts.append(
            f"{', '.join(dangerous)} endanger the data" if len(dangerous) > 1 else f"{dangerous[0]} endangers the data"
        )
    if off:
        parts.append(f"{', '.join(off)} {'is' if len(off) == 1 else 'are'} off")
    if dangerous or off:
        right = {**DANGEROUS, **NEEDED}
        advice += [f"ALTER SYSTEM SET {name} = {'on' if right[name] == 'off' else 'off'};" for name in dangerous + off]
        advice.append("SELECT pg_reload_conf();")
    if pending:
        parts.append(f"{', '.join(pending)} {'waits' if len(pending) == 1 else 'wait'} for a restart")
        advice.append("Restart the server in a maintenance window to put changed settings into force.")
    names = sorted({row["name"] for row in rows})
    text = f"Of the settings {'; '.join(parts)}." if parts else "No setting endangers the data or waits for a restart."
    wanted = limit["warn"] is not None or limit["crit"] is not None
    return [
        types.SETTINGS(
            "server", len(names), **limit, summary=text, advice=" ".join(advice), settings=", ".join(names),
            status="crit" if dangerous and wanted else None,
        )
    ]  # fmt: skip


def sizing(session: Session, run: Run, limits: Limits) -> list[Check]:
    checkpoints = _CHECKPOINTER if session.version >= CHECKPOINTER_SINCE else _BGWRITER
    row = session.rows(_SIZING.format(checkpoints=checkpoints))[0]
    return judge_sizing(row, run.params["memory_bytes"], run.params["cpu_count"], limits)


def judge_sizing(row: Row, memory: Optional[int], cores: Optional[int], limits: Limits) -> list[Check]:
    """What needs the size of the machine is left out where that is not given: the server cannot tell it."""
    checks = _memory(row, memory, limits) if memory else []
    if cores:
        text = f"max_parallel_workers is {row['parallel_workers']}, on {count(cores, 'core')}."
        checks.append(
            types.PARALLEL(
                "server", round(row["parallel_workers"] / cores, 2), **limits["parallel_workers"], summary=text,
                workers=row["parallel_workers"], cores=cores,
                advice=f"ALTER SYSTEM SET max_parallel_workers = {cores}; SELECT pg_reload_conf();",
            )
        )  # fmt: skip
    if not row["standby"]:
        checks.append(_checkpoints(row, limits))
    return checks


def _memory(row: Row, memory: int, limits: Limits) -> list[Check]:
    shared, each, connections = row["shared_buffers"], row["work_mem"], row["max_connections"]
    text = f"shared_buffers is {size(shared)}, {percent(shared / memory)} of {size(memory)} of memory."
    fitting = max(128, int(memory * SHARED) >> 20)
    checks = [
        types.SHARED_BUFFERS(
            "server", round(shared / memory, 4), **limits["shared_buffers"], summary=text, bytes=shared,
            memory_bytes=memory, advice=f"ALTER SYSTEM SET shared_buffers = '{fitting}MB'; and restart in a window.",
        )
    ]  # fmt: skip
    # Without a setting of its own, autovacuum takes that of maintenance: pg_size_bytes('-1') is -1.
    worker = row["maintenance_work_mem"] if row["autovacuum_work_mem"] < 0 else row["autovacuum_work_mem"]
    whole = shared + each * connections + worker * row["autovacuum_workers"]
    text = (
        f"With all {amount(connections)} connections at work, each with one work_mem of {size(each)}, PostgreSQL takes "
        f"{size(whole)}, {percent(whole / memory)} of the memory."
    )
    left = max(1, int((memory - shared - worker * row["autovacuum_workers"]) / max(1, connections)) >> 20)
    advice = (
        f"Fewer connections (a pooler), or ALTER SYSTEM SET work_mem = '{left}MB'; SELECT pg_reload_conf(); and more "
        "for the roles that need it: ALTER ROLE ... SET work_mem."
    )
    checks.append(
        types.WORK_MEMORY(
            "server", round(whole / memory, 4), **limits["work_memory"], summary=text, advice=advice,
            work_mem_bytes=each, max_connections=connections, memory_bytes=memory,
        )
    )  # fmt: skip
    return checks


def _checkpoints(row: Row, limits: Limits) -> Check:
    timed, requested, most = row["timed"], row["requested"], row["max_wal_size"]
    limit, total = limits["checkpoints_requested"], timed + requested
    evidence = {"timed": timed, "requested": requested, "max_wal_bytes": most}
    if total < FEW_CHECKPOINTS:
        text = "There were too few checkpoints to tell whether max_wal_size is large enough."
        return types.CHECKPOINTS("server", None, **limit, status="ok", summary=text, **evidence)
    text = f"{percent(requested / total)} of {count(total, 'checkpoint')} came before their time."
    advice = (
        "Where it was WAL that asked for them (log_checkpoints tells): "
        f"ALTER SYSTEM SET max_wal_size = '{(most * 2) >> 20}MB'; SELECT pg_reload_conf();"
    )
    ratio = round(requested / total, 4)
    return types.CHECKPOINTS("server", ratio, **limit, summary=text, advice=advice, **evidence)
