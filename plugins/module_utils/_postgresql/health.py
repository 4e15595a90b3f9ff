# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health: the verdicts on one server and database, on a primary or a standby. Metadata reads only, few round trips,
each under a time limit of its own.

A read that lacks a grant gives ``unknown`` with the statement that gives it, never a failure; a server that cannot be
reached is a finding too.
"""

from __future__ import annotations

import contextlib
import time
from typing import Callable

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Unreachable
from ansible_collections.day2.ops.plugins.module_utils._core.given import all_above_zero
from ansible_collections.day2.ops.plugins.module_utils._core.limits import Limits, complete
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check, CheckType
from ansible_collections.day2.ops.plugins.module_utils._postgresql import (
    health_extensions,
    health_growth,
    health_indexes,
    health_integrity,
    health_load,
    health_objects,
    health_replication,
    health_settings,
    health_statements,
    health_vacuum,
    health_wal,
    preflight,
    trouble,
    types,
)
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session, connect
from ansible_collections.day2.ops.plugins.module_utils._postgresql.health_findings import ask_for

MODULE = "postgresql_health_info"
# Per check: warn and crit. Seconds, bytes, counts, and ratios of 1.
THRESHOLDS: Limits = {
    "archiver": {"warn": 300, "crit": 3600},
    "autovacuum_behind": {"warn": 2, "crit": 10},
    "autovacuum_off": {"warn": 1, "crit": None},
    "blocked_sessions": {"warn": 5, "crit": 20},
    "cache_hits": {"warn": 0.9, "crit": None},
    "checkpoints_requested": {"warn": 0.5, "crit": None},
    "checksum_failures": {"warn": None, "crit": 1},
    "collations": {"warn": 1, "crit": None},
    "connections": {"warn": 0.8, "crit": 0.95},
    "dead_rows": {"warn": 0.2, "crit": 0.5},
    "default_partition_rows": {"warn": 1, "crit": None},
    "disk": {"warn": 0.7, "crit": 0.9},
    "duplicate_indexes": {"warn": 1, "crit": None},
    "extensions": {"warn": 1, "crit": None},
    # Below nothing: the newest partition has ended.
    "future_partitions": {"warn": 7 * 86400, "crit": 0},
    "idle_in_transaction": {"warn": 300, "crit": 3600},
    "index_bloat": {"warn": 0.5, "crit": None},
    "invalid_indexes": {"warn": 1, "crit": None},
    "key_exhaustion": {"warn": 0.7, "crit": 0.9},
    "long_transaction": {"warn": 3600, "crit": 14400},
    "missing_replicas": {"warn": None, "crit": 1},
    "mxid_age": {"warn": 0.25, "crit": 0.5},
    "parallel_workers": {"warn": 2, "crit": None},
    "prepared_transaction": {"warn": 300, "crit": 3600},
    "replication_lag": {"warn": 30, "crit": 300},
    "replication_lag_bytes": {"warn": 100 << 20, "crit": 1 << 30},
    "sequential_scans": {"warn": 100, "crit": None},
    "settings": {"warn": 1, "crit": None},
    "shared_buffers": {"warn": 0.1, "crit": None},
    "slot_retained_bytes": {"warn": 5 << 30, "crit": 50 << 30},
    "slot_state": {"warn": 600, "crit": 86400},
    "slow_statements": {"warn": 1, "crit": None},
    "subscription_errors": {"warn": 1, "crit": None},
    "unused_indexes": {"warn": 10 << 20, "crit": None},
    "work_memory": {"warn": 1, "crit": None},
    "xid_age": {"warn": 0.25, "crit": 0.5},
}
Probe = Callable[[Session, Run, Limits], list[Check]]
# What is read, and the check that becomes unknown when it may not be read.
PROBES: tuple[tuple[CheckType, Probe], ...] = (
    (types.CONNECTIONS, health_load.connections),
    (types.LONG_TRANSACTION, health_load.transactions),
    (types.PREPARED, health_load.prepared),
    (types.BLOCKED, health_load.blocked),
    (types.LAG_SECONDS, health_replication.replication),
    (types.SUBSCRIPTIONS, health_replication.subscriptions),
    (types.SLOT_STATE, health_wal.slots),
    (types.ARCHIVER, health_wal.archiver),
    (types.XID_AGE, health_objects.ages),
    (types.KEYS, health_growth.keys),
    (types.PARTITIONS, health_growth.partitions),
    (types.CHECKSUMS, health_integrity.checksums),
    (types.COLLATIONS, health_integrity.orders),
    (types.EXTENSIONS, health_extensions.extensions),
    (types.SETTINGS, health_settings.settings),
    (types.SHARED_BUFFERS, health_settings.sizing),
    (types.SIZE, health_objects.sizes),
    (types.AUTOVACUUM_BEHIND, health_vacuum.autovacuum),
    (types.STATEMENTS, health_statements.statements),
    (types.SEQUENTIAL, health_statements.scans),
    (types.UNUSED_INDEXES, health_indexes.unused),
    (types.DUPLICATE_INDEXES, health_indexes.duplicates),
    (types.DEAD_ROWS, health_objects.tables_and_indexes),
)


def health_spec() -> ArgumentSpec:
    return ArgumentSpec(
        {
            "thresholds": {"type": "dict", "default": {}},
            "disk_capacity_bytes": {"type": "int"},
            "index_min_bytes": {"type": "int", "default": 10 << 20},
            "memory_bytes": {"type": "int"},
            "cpu_count": {"type": "int"},
            "expected_replicas": {"type": "list", "elements": "str", "default": []},
            "query_text": {"type": "bool", "default": False},
            "statements_top": {"type": "int", "default": 10},
            "probe_timeout": {"type": "int", "default": 15},
        }
    )


def health(run: Run) -> Result:
    """The work of module ``postgresql_health_info``."""
    limits = complete(run.params["thresholds"], THRESHOLDS)
    all_above_zero(run.params, "memory_bytes", "cpu_count", "statements_top", "probe_timeout")
    began = time.monotonic()
    try:
        session = connect(run, "health")
    except Unreachable as error:
        advice = "Look whether the server is up and can be reached from here."
        down = types.REACHABLE("server", None, status="crit", summary=str(error), advice=advice)
        return {"checks": [down], "actions": []}
    with contextlib.closing(session):
        server = preflight.read_server(session)
        checks = [preflight.reachable(session, server, time.monotonic() - began)]
        checks += preflight.path_checks(run, session)
        _bound(session, run.params["probe_timeout"])
        for kind, probe in PROBES:
            try:
                checks += probe(session, run, limits)
            except trouble.SqlError as error:
                checks.append(_unknown(kind, server, error))
    return {"checks": checks, "actions": []}


def _bound(session: Session, seconds: int) -> None:
    """Each read by itself: one that is slow, or that waits for a lock, becomes unknown, and the others are made."""
    if session.pooler != "transaction":
        session.configure(statement_timeout=str(seconds * 1000), lock_timeout=str(seconds * 1000 // 2))


def _unknown(kind: CheckType, server: preflight.Server, error: trouble.SqlError) -> Check:
    denied = error.sqlstate == trouble.INSUFFICIENT_PRIVILEGE
    advice = ask_for("pg_monitor", server.role) if denied else ""
    if error.sqlstate in (trouble.QUERY_CANCELED, trouble.LOCK_NOT_AVAILABLE):
        advice = "Try it again when the server is less busy, or raise probe_timeout."
    return kind(server.database, None, summary=f"It could not be read: {error}.", advice=advice)
