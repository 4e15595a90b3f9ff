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
from typing import Any, Callable, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check, CheckType
from ansible_collections.day2.ops.plugins.module_utils._postgresql import (
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
from ansible_collections.day2.ops.plugins.module_utils._postgresql.health_findings import Limits, ask_for

MODULE = "postgresql_health_info"
# Per check: warn and crit. Seconds, bytes, counts, and ratios of 1.
THRESHOLDS: dict[str, tuple[Optional[float], Optional[float]]] = {
    "archiver": (300, 3600),
    "autovacuum_behind": (2, 10),
    "autovacuum_off": (1, None),
    "blocked_sessions": (5, 20),
    "cache_hits": (0.9, None),
    "checkpoints_requested": (0.5, None),
    "checksum_failures": (None, 1),
    "collations": (1, None),
    "connections": (0.8, 0.95),
    "dead_rows": (0.2, 0.5),
    "default_partition_rows": (1, None),
    "disk": (0.7, 0.9),
    "duplicate_indexes": (1, None),
    # Below nothing: the newest partition has ended.
    "future_partitions": (7 * 86400, 0),
    "idle_in_transaction": (300, 3600),
    "index_bloat": (0.5, None),
    "invalid_indexes": (1, None),
    "key_exhaustion": (0.7, 0.9),
    "long_transaction": (3600, 14400),
    "missing_replicas": (None, 1),
    "mxid_age": (0.25, 0.5),
    "parallel_workers": (2, None),
    "prepared_transaction": (300, 3600),
    "replication_lag": (30, 300),
    "replication_lag_bytes": (100 << 20, 1 << 30),
    "sequential_scans": (100, None),
    "settings": (1, None),
    "shared_buffers": (0.1, None),
    "slot_retained_bytes": (5 << 30, 50 << 30),
    "slot_state": (600, 86400),
    "slow_statements": (1, None),
    "subscription_errors": (1, None),
    "unused_indexes": (10 << 20, None),
    "work_memory": (1, None),
    "xid_age": (0.25, 0.5),
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


def limits_of(given: Mapping[str, Any]) -> Limits:
    """The default thresholds with those given laid over them; :class:`BadInput` names what is unknown. Pure."""
    limits = {name: {"warn": warn, "crit": crit} for name, (warn, crit) in THRESHOLDS.items()}
    for name, values in given.items():
        if name not in limits:
            raise BadInput(f"thresholds: there is no check {name!r}; there are {', '.join(sorted(limits))}.")
        if not isinstance(values, Mapping) or not set(values) <= {"warn", "crit"}:
            raise BadInput(f"thresholds: {name} needs warn, crit or both, such as {{warn: 0.8, crit: 0.95}}.")
        for level, value in values.items():
            try:
                limits[name][level] = None if value is None else float(value)
            except (TypeError, ValueError):
                raise BadInput(f"thresholds: {name}.{level} is {value!r}; give a number.") from None
    return limits


def health(run: Run) -> Result:
    """The work of module ``postgresql_health_info``."""
    limits = limits_of(run.params["thresholds"])
    positive(run.params)
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


def positive(params: Mapping[str, Any]) -> None:
    """:class:`BadInput` for sizes and counts that are none. Pure."""
    for name in ("memory_bytes", "cpu_count", "statements_top", "probe_timeout"):
        if params[name] is not None and params[name] < 1:
            raise BadInput(f"{name} is {params[name]}; give 1 or more.")


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
