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
from typing import Any, Callable, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, Unreachable
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

Limits = Mapping[str, Mapping[str, Optional[float]]]
MODULE = "postgresql_health_info"
# Per check: warn and crit. Seconds, bytes, counts, and ratios of 1.
THRESHOLDS: dict[str, tuple[Optional[float], Optional[float]]] = {
    "blocked_sessions": (5, 20),
    "cache_hits": (0.9, None),
    "connections": (0.8, 0.95),
    "dead_rows": (0.2, 0.5),
    "disk": (0.7, 0.9),
    "idle_in_transaction": (300, 3600),
    "index_bloat": (0.5, None),
    "invalid_indexes": (1, None),
    "long_transaction": (3600, 14400),
    "mxid_age": (0.25, 0.5),
    "prepared_transaction": (300, 3600),
    "replication_lag": (30, 300),
    "replication_lag_bytes": (100 << 20, 1 << 30),
    "settings": (1, None),
    "slot_retained_bytes": (5 << 30, 50 << 30),
    "xid_age": (0.25, 0.5),
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
