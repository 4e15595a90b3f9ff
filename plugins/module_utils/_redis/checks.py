# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verdicts: facts and thresholds in, checks out. Pure."""

from __future__ import annotations

from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.errors import Unreachable
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._redis import durability, load, types
from ansible_collections.day2.ops.plugins.module_utils._redis.connect import is_loopback, uses_tls
from ansible_collections.day2.ops.plugins.module_utils._redis.read import Database, Facts, Number
from ansible_collections.day2.ops.plugins.module_utils._redis.thresholds import Thresholds
from ansible_collections.day2.ops.plugins.module_utils._redis.types import SERVER
from ansible_collections.day2.ops.plugins.module_utils._redis.walk import Seen, ranked

# Below these a ratio says nothing.
FEWEST_LOOKUPS = 1000
LEAST_MEMORY = 64 * 1024 * 1024


def checks(facts: Facts, thresholds: Thresholds, expected_replicas: Optional[int] = None) -> list[Check]:
    """All verdicts on one server. ``thresholds`` has every key of :data:`DEFAULTS`."""
    found = [
        _ready(facts),
        _memory(facts, thresholds),
        _fragmentation(facts, thresholds),
        _hit_rate(facts, thresholds),
        _evictions(facts, thresholds),
        _connections(facts, thresholds),
        *load.load(facts, thresholds),
        *keys(facts, thresholds),
        *durability.replication(facts, thresholds),
        *durability.persistence(facts, thresholds),
    ]
    if expected_replicas is not None and facts.text("role") == "master":
        found.append(durability.replicas(facts, expected_replicas))
    return found


def upkeep(facts: Facts, thresholds: Thresholds) -> list[Check]:
    """The verdicts on what maintenance can do something about."""
    return [_memory(facts, thresholds), _fragmentation(facts, thresholds), *keys(facts, thresholds)]


def keys(facts: Facts, thresholds: Thresholds) -> list[Check]:
    """By database: keys that never expire and, where they were looked for, big ones."""
    found = [_without_ttl(facts, database, thresholds) for database in facts.databases]
    return [*found, *(_big(one, one.seen, thresholds) for one in facts.databases if one.seen and one.seen.big_bytes)]


def transport(params: Mapping[str, Any]) -> Check:
    """Anything less than verified TLS to another host is a warning."""
    host, tls, verified = params["login_host"], uses_tls(params), params["validate_certs"]
    loopback = is_loopback(host)
    good = loopback or (tls and verified)
    plain = "encrypted, but without checking who the server is" if tls else "without encryption"
    return types.TRANSPORT(
        SERVER,
        None,
        status="ok" if good else "warn",
        summary=f"Redis is reached {'on this host' if loopback else 'over verified TLS' if good else plain}.",
        advice="Set tls: true and validate_certs: true, with ca_certs where the server's CA is your own.",
        tls=tls,
        validate_certs=verified,
        host=host,
    )


def unreachable(error: Unreachable) -> Check:
    advice = "Look whether the server is up and can be reached from here; its clients cannot be better off."
    return types.READY(SERVER, None, status="crit", summary=str(error), advice=advice)


def _ready(facts: Facts) -> Check:
    loading = bool(facts.number("loading"))
    name, version = ("Valkey", facts.text("valkey_version")) if facts.text("valkey_version") else ("Redis", "")
    version = version or facts.text("redis_version")
    doing = "is still loading its data" if loading else "answers"
    return types.READY(
        SERVER,
        None,
        status="crit" if loading else "ok",
        summary=f"{name} {version} {doing}.",
        advice="Wait until it has loaded; until then it refuses its clients.",
        version=version,
        mode=facts.text("redis_mode") or facts.text("server_mode"),  # the latter is Valkey's
        role=facts.text("role"),
        uptime_seconds=facts.number("uptime_in_seconds"),
        databases=len(facts.databases),
        keys=sum(database.keys for database in facts.databases),
    )


def _policy(facts: Facts) -> str:
    return facts.text("maxmemory_policy") or "noeviction"


def _share_without_ttl(database: Database) -> float:
    return (database.keys - database.expiring) / database.keys if database.keys else 0.0


def _makes_room(facts: Facts, limit: Optional[Number]) -> bool:
    """Whether a full server evicts instead of refusing writes: always under allkeys, and under volatile as long as
    keys that may be evicted are not too few."""
    policy = _policy(facts)
    if policy.startswith("allkeys-"):
        return True
    shares = [_share_without_ttl(database) for database in facts.databases]
    return policy.startswith("volatile-") and bool(shares) and max(shares) < (0.5 if limit is None else limit)


def _memory(facts: Facts, thresholds: Thresholds) -> Check:
    used, limit, policy = facts.number("used_memory"), facts.number("maxmemory"), _policy(facts)
    evidence: dict[str, Any] = {
        "used_bytes": used,
        "maxmemory_bytes": limit,
        "peak_bytes": facts.number("used_memory_peak"),
        "system_bytes": facts.number("total_system_memory"),
        "policy": policy,
    }
    if used is None or not limit:
        text = "maxmemory is 0: the server may take all memory of its host, so its share is not known."
        advice = "Set maxmemory below the host's memory, and an eviction policy that fits the data."
        text = text if limit == 0 else "The server does not say how much memory it may use."
        return types.MEMORY(SERVER, None, summary=text, advice=advice, **evidence)
    ratio = used / limit
    summary = f"{ratio:.0%} of maxmemory is used ({_mib(used)} of {_mib(limit)}, {policy})."
    if _makes_room(facts, thresholds["keys_without_ttl"]["warn"]):
        # A cache that is full does its work; what it throws out is judged by redis_evictions.
        full = "A full cache evicts here, so this is not judged."
        return types.MEMORY(SERVER, ratio, status="ok", summary=f"{summary} {full}", **evidence)
    advice = "Raise maxmemory, or let keys expire: when it is full, writes are refused."
    return types.MEMORY(SERVER, ratio, **thresholds["memory"], summary=summary, advice=advice, **evidence)


def _fragmentation(facts: Facts, thresholds: Thresholds) -> Check:
    ratio, used, rss = (facts.number(name) for name in ("mem_fragmentation_ratio", "used_memory", "used_memory_rss"))
    evidence: dict[str, Any] = {"rss_bytes": rss, "used_bytes": used}
    if ratio is None or used is None:
        return types.FRAGMENTATION(
            SERVER, None, summary="The server does not say how its memory is fragmented.", **evidence
        )
    summary = f"The process holds {ratio:.2f} times the memory of its data."
    if used < LEAST_MEMORY:
        few = f"Below {_mib(LEAST_MEMORY)} of data this is not judged."
        return types.FRAGMENTATION(SERVER, ratio, status="ok", summary=f"{summary} {few}", **evidence)
    if ratio < 0.9:
        return types.FRAGMENTATION(
            SERVER,
            ratio,
            status="warn",
            summary=f"{summary} The rest is swapped out.",
            advice="Give the host more memory, or lower maxmemory: reads from swap are slow.",
            **evidence,
        )
    advice = "Turn activedefrag on, or run MEMORY PURGE; a restart of a replica and a failover free the rest."
    return types.FRAGMENTATION(SERVER, ratio, **thresholds["fragmentation"], summary=summary, advice=advice, **evidence)


def _lookups(facts: Facts) -> Optional[Number]:
    hits, misses = facts.number("keyspace_hits"), facts.number("keyspace_misses")
    return None if hits is None or misses is None else hits + misses


def _hit_rate(facts: Facts, thresholds: Thresholds) -> Check:
    hits, lookups = facts.number("keyspace_hits"), _lookups(facts)
    evidence: dict[str, Any] = {
        "hits": hits,
        "misses": facts.number("keyspace_misses"),
        "uptime_seconds": facts.number("uptime_in_seconds"),
    }
    if hits is None or lookups is None or lookups < FEWEST_LOOKUPS:
        summary = f"Only {lookups or 0} lookups since the start; {FEWEST_LOOKUPS} are needed for a hit rate."
        return types.HIT_RATE(SERVER, None, summary=summary, **evidence)
    return types.HIT_RATE(
        SERVER,
        hits / lookups,
        **thresholds["hit_rate"],
        summary=f"{hits / lookups:.1%} of {lookups} lookups since the start found their key.",
        advice="Look for keys that expire or are evicted too early, and for lookups of keys that nobody writes.",
        **evidence,
    )


def _evictions(facts: Facts, thresholds: Thresholds) -> Check:
    evicted, lookups = facts.number("evicted_keys"), _lookups(facts)
    evidence: dict[str, Any] = {
        "evicted_keys": evicted,
        "expired_keys": facts.number("expired_keys"),
        "lookups": lookups,
        "policy": _policy(facts),
    }
    if evicted == 0:
        return types.EVICTIONS(SERVER, 0.0, **thresholds["evictions"], summary="No key was evicted.", **evidence)
    if evicted is None or lookups is None or lookups < FEWEST_LOOKUPS:
        summary = f"{evicted or 0} keys were evicted; {FEWEST_LOOKUPS} lookups are needed to judge that."
        return types.EVICTIONS(SERVER, None, summary=summary, **evidence)
    return types.EVICTIONS(
        SERVER,
        evicted / lookups,
        **thresholds["evictions"],
        summary=f"{evicted} keys were evicted in {lookups} lookups since the start.",
        advice="The cache is too small for what it is asked for: raise maxmemory, or keep less.",
        **evidence,
    )


def _connections(facts: Facts, thresholds: Thresholds) -> Check:
    connected, most = facts.number("connected_clients"), facts.number("maxclients")
    evidence: dict[str, Any] = {
        "connected": connected,
        "maxclients": most,
        "blocked": facts.number("blocked_clients"),
        "rejected_connections": facts.number("rejected_connections"),
    }
    if connected is None or not most:
        return types.CONNECTIONS(SERVER, None, summary="The server does not say how many clients it takes.", **evidence)
    return types.CONNECTIONS(
        SERVER,
        connected / most,
        **thresholds["connections"],
        summary=f"{connected} of {most} possible clients are connected.",
        advice="Use connection pools in the clients, or raise maxclients.",
        **evidence,
    )


def _without_ttl(facts: Facts, database: Database, thresholds: Thresholds) -> Check:
    share, policy = _share_without_ttl(database), _policy(facts)
    limits: dict[str, Any] = dict(thresholds["keys_without_ttl"])
    if not (policy.startswith("volatile-") and facts.number("maxmemory")):
        limits["crit"] = None  # only there can such keys alone fill the memory while the policy finds nothing to evict
    return types.WITHOUT_TTL(
        database.name,
        share,
        **limits,
        summary=f"{database.keys - database.expiring} of {database.keys} keys in {database.name} never expire.",
        advice=f"Set a time to live where keys are written; {policy} cannot evict these."
        if policy.startswith("volatile-")
        else "Set a time to live where keys are written, unless they are meant to stay.",
        keys=database.keys,
        without_ttl=database.keys - database.expiring,
        policy=policy,
        sampled=database.seen.keys if database.seen else 0,
        sampled_prefixes=ranked(database.seen.permanent) if database.seen else "",
    )


def _big(database: Database, seen: Seen, thresholds: Thresholds) -> Check:
    count, bound = sum(seen.big.values()), seen.big_bytes or 0
    largest = sorted(seen.largest, reverse=True)
    of = "keys" if seen.complete else "keys that were looked at"
    return types.BIG_KEYS(
        database.name,
        count,
        **thresholds["big_keys"],
        summary=f"{count} of {seen.keys} {of} in {database.name} take {_mib(bound)} or more each.",
        advice="Split them: whoever reads or deletes such a key as a whole holds up all others.",
        sampled=seen.keys,
        bytes=bound,
        largest_bytes=largest[0][0] if largest else None,
        prefixes=ranked(seen.big),
        names=", ".join(f"{name} {_mib(size)}" for size, name in largest if name),
    )


def _mib(size: Number) -> str:
    return f"{size / 1048576:.1f} MiB"
