# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds of checks of a Redis server."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils._core import brake
from ansible_collections.day2.ops.plugins.module_utils._core.records import ActionType, CheckType

# The subject of what concerns the server as a whole.
SERVER = "server"

READY = CheckType("redis_ready", evidence=("version", "mode", "role", "uptime_seconds", "databases", "keys"))
TRANSPORT = CheckType("redis_transport", evidence=("tls", "validate_certs", "host"))
MEMORY = CheckType(
    "redis_memory", "ratio", "above", ("used_bytes", "maxmemory_bytes", "peak_bytes", "system_bytes", "policy")
)
FRAGMENTATION = CheckType("redis_fragmentation", "ratio", "above", ("rss_bytes", "used_bytes"))
HIT_RATE = CheckType("redis_hit_rate", "ratio", "below", ("hits", "misses", "uptime_seconds"))
WITHOUT_TTL = CheckType(
    "redis_keys_without_ttl", "ratio", "above", ("keys", "without_ttl", "policy", "sampled", "sampled_prefixes")
)
EVICTIONS = CheckType("redis_evictions", "ratio", "above", ("evicted_keys", "expired_keys", "lookups", "policy"))
CONNECTIONS = CheckType(
    "redis_connections", "ratio", "above", ("connected", "maxclients", "blocked", "rejected_connections")
)
REPLICATION = CheckType("redis_replication", "seconds", "above", ("role", "state", "primary", "replicas"))
REPLICAS = CheckType("redis_replicas", "count", "below", ("expected",))
PERSISTENCE = CheckType("redis_persistence", "seconds", "above", ("last_status", "changes_since_save", "in_progress"))

BLOCKED = CheckType("redis_blocked_clients", "count", "above", ("connected",))
REJECTED = CheckType("redis_rejected_connections", "ratio", "above", ("rejected", "received", "maxclients"))
FORK = CheckType("redis_fork", "seconds", "above", ("rss_bytes", "system_bytes"))
LATENCY = CheckType("redis_latency", "seconds", "above", ("questions",))
SLOW = CheckType("redis_slow_commands", "count", "above")
BIG_KEYS = CheckType("redis_big_keys", "count", "above", ("sampled", "bytes", "largest_bytes", "prefixes", "names"))

TYPES = (
    READY, TRANSPORT, MEMORY, FRAGMENTATION, HIT_RATE, WITHOUT_TTL, EVICTIONS, CONNECTIONS, REPLICATION, REPLICAS,
    PERSISTENCE, BLOCKED, REJECTED, FORK, LATENCY, SLOW, BIG_KEYS,
)  # fmt: skip

_SERVER = ("keys", "expiring", "used_bytes", "rss_bytes")
RECLAIM = ActionType(
    "redis_reclaim_expired",
    "maintain",
    (*_SERVER, "keys_expired", "keys_seen", "bytes_freed", "seconds", "slowest_seconds", "ping_seconds",
     *brake.MEASURES),
)  # fmt: skip
PURGE = ActionType(
    "redis_memory_purge",
    "maintain",
    (*_SERVER, "allocator_rss_bytes", "bytes_freed", "seconds", "ping_seconds", *brake.MEASURES),
)
