# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health: the verdicts on one server and database, on a primary or a standby. Metadata reads only, few round trips.

A read that lacks a grant gives ``unknown`` with the statement that gives it, never a failure; a server that cannot be
reached is a finding too.
"""

from __future__ import annotations

import contextlib
import time
from typing import Callable

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Unreachable
from ansible_collections.day2.ops.plugins.module_utils._core.limits import Limits, complete
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check, CheckType
from ansible_collections.day2.ops.plugins.module_utils._postgresql import (
    health_load,
    health_objects,
    preflight,
    trouble,
    types,
)
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session, connect
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote

MODULE = "postgresql_health_info"
# Per check: warn and crit. Seconds, bytes, counts, and ratios of 1.
THRESHOLDS: Limits = {
    "blocked_sessions": {"warn": 5, "crit": 20},
    "cache_hits": {"warn": 0.9, "crit": None},
    "connections": {"warn": 0.8, "crit": 0.95},
    "dead_rows": {"warn": 0.2, "crit": 0.5},
    "disk": {"warn": 0.7, "crit": 0.9},
    "idle_in_transaction": {"warn": 300, "crit": 3600},
    "index_bloat": {"warn": 0.5, "crit": None},
    "invalid_indexes": {"warn": 1, "crit": None},
    "long_transaction": {"warn": 3600, "crit": 14400},
    "mxid_age": {"warn": 0.25, "crit": 0.5},
    "prepared_transaction": {"warn": 300, "crit": 3600},
    "replication_lag": {"warn": 30, "crit": 300},
    "replication_lag_bytes": {"warn": 100 << 20, "crit": 1 << 30},
    "settings": {"warn": 1, "crit": None},
    "slot_retained_bytes": {"warn": 5 << 30, "crit": 50 << 30},
    "xid_age": {"warn": 0.25, "crit": 0.5},
}
Probe = Callable[[Session, Run, Limits], list[Check]]
# What is read, and the check that becomes unknown when it may not be read.
PROBES: tuple[tuple[CheckType, Probe], ...] = (
    (types.CONNECTIONS, health_load.connections),
    (types.LONG_TRANSACTION, health_load.transactions),
    (types.PREPARED, health_load.prepared),
    (types.BLOCKED, health_load.blocked),
    (types.LAG_SECONDS, health_load.replication),
    (types.SLOTS, health_load.slots),
    (types.XID_AGE, health_objects.ages),
    (types.SETTINGS, health_objects.settings),
    (types.SIZE, health_objects.sizes),
    (types.DEAD_ROWS, health_objects.tables_and_indexes),
)


def health_spec() -> ArgumentSpec:
    return ArgumentSpec(
        {
            "thresholds": {"type": "dict", "default": {}},
            "disk_capacity_bytes": {"type": "int"},
            "index_min_bytes": {"type": "int", "default": 10 << 20},
        }
    )


def health(run: Run) -> Result:
    """The work of module ``postgresql_health_info``."""
    limits = complete(run.params["thresholds"], THRESHOLDS)
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
        for kind, probe in PROBES:
            try:
                checks += probe(session, run, limits)
            except trouble.SqlError as error:
                checks.append(_unknown(kind, server, error))
    return {"checks": checks, "actions": []}


def _unknown(kind: CheckType, server: preflight.Server, error: trouble.SqlError) -> Check:
    denied = error.sqlstate == trouble.INSUFFICIENT_PRIVILEGE
    advice = f"Let an administrator run: GRANT pg_monitor TO {quote(server.role)};" if denied else ""
    return kind(server.database, None, summary=f"It could not be read: {error}.", advice=advice)
