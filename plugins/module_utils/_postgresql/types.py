# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of checks and actions of the PostgreSQL modules, with the units, evidence and measures they may hold."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils._core import brake
from ansible_collections.day2.ops.plugins.module_utils._core.records import ActionType, CheckType

REACHABLE = CheckType("postgresql_reachable", evidence=("version", "standby", "seconds"))
TLS = CheckType("postgresql_tls", evidence=("ssl_mode", "encrypted"))
POOLER = CheckType("postgresql_pooler", evidence=("mode",))
GRANTS = CheckType("postgresql_grants", "count", "above", ("statements",))
EXTENSIONS = CheckType("postgresql_extensions", "count", "above", ("extensions",))
SETTINGS = CheckType("postgresql_settings", "count", "above", ("settings",))
CONNECTIONS = CheckType(
    "postgresql_connections", "ratio", "above",
    ("used", "maximum", "active", "idle", "idle_in_transaction", "other"),
)  # fmt: skip
IDLE_IN_TRANSACTION = CheckType(
    "postgresql_idle_in_transaction", "seconds", "above", ("pid", "application", "sessions")
)
LONG_TRANSACTION = CheckType("postgresql_long_transaction", "seconds", "above", ("pid", "application"))
PREPARED = CheckType("postgresql_prepared_transaction", "seconds", "above", ("gid", "prepared"))
BLOCKED = CheckType("postgresql_blocked_sessions", "count", "above", ("blocker_pid", "blocker", "longest_seconds"))
LAG_BYTES = CheckType(
    "postgresql_replication_lag_bytes", "bytes", "above", ("state", "unreceived_bytes", "unreplayed_bytes")
)
LAG_SECONDS = CheckType("postgresql_replication_lag", "seconds", "above", ("state",))
SLOTS = CheckType("postgresql_slot_retained_bytes", "bytes", "above", ("active", "safe_bytes"))
SLOT_STATE = CheckType("postgresql_slot_state", "seconds", "above", ("kind", "wal_status", "reason"))
REPLICAS = CheckType("postgresql_missing_replicas", "count", "above", ("expected", "there"))
RECEIVER = CheckType("postgresql_wal_receiver", evidence=("state",))
ARCHIVER = CheckType(
    "postgresql_archiver", "seconds", "above",
    ("waiting", "failures", "last_archived_seconds", "last_archived", "last_failed"),
)  # fmt: skip
SUBSCRIPTIONS = CheckType("postgresql_subscription_errors", "count", "above", ("enabled", "running", "unsynced"))
KEYS = CheckType("postgresql_key_exhaustion", "ratio", "above", ("last", "limit", "bound_by", "type"))
PARTITIONS = CheckType("postgresql_future_partitions", "seconds", "below", ("newest", "until", "has_default"))
DEFAULT_ROWS = CheckType("postgresql_default_partition_rows", "count", "above", ("partition", "bytes"))
CHECKSUMS = CheckType("postgresql_checksum_failures", "count", "above", ("seconds_since",))
AUTOVACUUM_OFF = CheckType("postgresql_autovacuum_off", "count", "above", ("tables", "bytes"))
AUTOVACUUM_BEHIND = CheckType(
    "postgresql_autovacuum_behind", "ratio", "above", ("dead_rows", "trigger", "vacuumed_seconds", "scale_factor")
)
SHARED_BUFFERS = CheckType("postgresql_shared_buffers", "ratio", "below", ("bytes", "memory_bytes"))
WORK_MEMORY = CheckType(
    "postgresql_work_memory", "ratio", "above", ("work_mem_bytes", "max_connections", "memory_bytes")
)
PARALLEL = CheckType("postgresql_parallel_workers", "ratio", "above", ("workers", "cores"))
CHECKPOINTS = CheckType("postgresql_checkpoints_requested", "ratio", "above", ("timed", "requested", "max_wal_bytes"))
STATEMENTS = CheckType(
    "postgresql_slow_statements", "seconds", "above", ("calls", "total_seconds", "share", "rows", "statement")
)
SEQUENTIAL = CheckType(
    "postgresql_sequential_scans", "count", "above", ("scans", "index_scans", "rows_per_scan", "bytes")
)
UNUSED_INDEXES = CheckType("postgresql_unused_indexes", "bytes", "above", ("table", "last_used_seconds"))
DUPLICATE_INDEXES = CheckType("postgresql_duplicate_indexes", "count", "above", ("kept", "bytes"))
XID_AGE = CheckType("postgresql_xid_age", "ratio", "above", ("age", "limit"))
MXID_AGE = CheckType("postgresql_mxid_age", "ratio", "above", ("age", "limit"))
INVALID_INDEXES = CheckType("postgresql_invalid_indexes", "count", "above", ("indexes",))
DEAD_ROWS = CheckType("postgresql_dead_rows", "ratio", "above", ("table", "dead_rows", "live_rows", "bytes"))
INDEX_BLOAT = CheckType("postgresql_index_bloat", "ratio", "above", ("index", "bytes", "untold"))
SIZE = CheckType("postgresql_size", "bytes", None, ("databases_bytes",))
DISK = CheckType("postgresql_disk", "ratio", "above", ("used_bytes", "capacity_bytes", "wal_bytes"))
CACHE = CheckType("postgresql_cache_hits", "ratio", "below", ("blocks",))
OVERSIZE = CheckType("postgresql_maintenance_oversize", "seconds", "above", ("action",))
HOLDERS = CheckType("postgresql_maintenance_holders", "count", "above", ("actions", "policy"))
LOCKED = CheckType("postgresql_maintenance_locked", "count", "above", ("relations", "seconds"))
COLLATIONS = CheckType("postgresql_collations", "count", "above", ("collations",))
CARE = CheckType("postgresql_maintenance_care", "count", None, ("at_work", "jobs", "partitioned"))
BLOATED = CheckType("postgresql_maintenance_bloated", "count", "above", ("indexes", "bytes_reclaimed"))
DEFERRED = CheckType("postgresql_maintenance_deferred", "count", "above", ("action", "reason"))

# What is left behind (invalid_index), held (held_by) or overrun stands in the action's after.
_TABLE = (
    "seconds", "bytes", "live_rows", "dead_rows", "dead_ratio", "xid_age", "changed_rows", "bytes_reclaimed",
    "rate", "method", "confidence", "actual_seconds_ratio", "actual_bytes_ratio", *brake.MEASURES,
)  # fmt: skip
_INDEX = (
    "seconds", "bytes", "bytes_reclaimed", "bloat", "method", "confidence", "invalid_index", "rate",
    "disk_bytes", "rows", "threshold", "held_by", "actual_seconds_ratio", "actual_bytes_ratio",
    *brake.MEASURES,
)  # fmt: skip
VACUUM = ActionType(
    "vacuum", "maintain",
    (*_TABLE, "bytes_reusable", "analyze", "freeze", "held_by", "overrun_seconds", "size_after"),
)  # fmt: skip
ANALYZE = ActionType("analyze", "maintain", _TABLE)
REINDEX = ActionType("reindex", "maintain", (*_INDEX, "size_after"))
# By the plain form, behind whose locks everybody waits.
REINDEX_LOCKED = ActionType(REINDEX.name, "disrupt", REINDEX.measures)
DROP_INDEX = ActionType("drop_index", "maintain", _INDEX)
ACTIONS = {kind.name: kind for kind in (VACUUM, ANALYZE, REINDEX, DROP_INDEX)}
