# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verdicts: a table of what INFO says, and what is made of it; then the same on a real server."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, Stopped
from ansible_collections.day2.ops.plugins.module_utils._redis import types
from ansible_collections.day2.ops.plugins.module_utils._redis.checks import checks, transport
from ansible_collections.day2.ops.plugins.module_utils._redis.connect import connect
from ansible_collections.day2.ops.plugins.module_utils._redis.grants import BIG_KEYS, HEALTH, SAMPLE, SLOWLOG
from ansible_collections.day2.ops.plugins.module_utils._redis.read import answered, facts, read, sample
from ansible_collections.day2.ops.plugins.module_utils._redis.thresholds import DEFAULTS, complete
from ansible_collections.day2.ops.plugins.module_utils._redis.walk import Wish

GIB = 1024**3
SOUND = {
    "redis_version": "7.2.4",
    "redis_mode": "standalone",
    "uptime_in_seconds": 86400,
    "server_time_usec": 1_800_000_000_000_000,
    "role": "master",
    "used_memory": GIB,
    "used_memory_rss": int(1.1 * GIB),
    "used_memory_peak": GIB,
    "total_system_memory": 8 * GIB,
    "maxmemory": 4 * GIB,
    "maxmemory_policy": "noeviction",
    "mem_fragmentation_ratio": 1.1,
    "keyspace_hits": 9500,
    "keyspace_misses": 500,
    "evicted_keys": 0,
    "expired_keys": 10,
    "connected_clients": 10,
    "maxclients": 10000,
    "blocked_clients": 0,
    "rejected_connections": 0,
    "total_connections_received": 999,
    "latest_fork_usec": 900,
    "loading": 0,
    "rdb_last_bgsave_status": "ok",
    "rdb_last_save_time": 1_799_999_000,
    "rdb_changes_since_last_save": 5,
    "rdb_bgsave_in_progress": 0,
    "aof_enabled": 0,
    "db0": {"keys": 100, "expires": 90, "avg_ttl": 0},
}


def judged(change=None, subject="server", check="", expected=None, thresholds=None):
    found = checks(facts({**SOUND, **(change or {})}), complete(thresholds), expected)
    return next(entry for entry in found if entry["check"] == check and entry["subject"] == subject)


def test_a_sound_server_is_ok_in_every_respect():
    found = checks(facts(SOUND), DEFAULTS)
    assert {entry["status"] for entry in found} == {"ok"}
    assert {entry["check"] for entry in found} == {kind.name for kind in types.TYPES} - {
        "redis_transport",
        "redis_replicas",
        "redis_latency",
        "redis_slow_commands",
        "redis_big_keys",
    }
    assert not any(entry["advice"] for entry in found)


VOLATILE_STUCK = {"maxmemory_policy": "volatile-lru", "db0": {"keys": 100, "expires": 40, "avg_ttl": 0}}
FULL = {"used_memory": 4 * GIB}
REPLICA = {"role": "slave", "master_host": "10.0.0.1", "master_port": 6379, "master_link_status": "up"}
CUT_OFF = {**REPLICA, "master_link_status": "down"}
NEVER = {"db0": {"keys": 9, "expires": 0}}


def slave(**given):
    return {"slave0": {"ip": "10.0.0.2", "port": 6379, "state": "online", "offset": 1, "lag": 0, **given}}


# fmt: off
VERDICTS = [
    # memory
    ("redis_memory", "server", {}, "ok", 0.25),
    ("redis_memory", "server", {"used_memory": int(3.3 * GIB)}, "warn", pytest.approx(0.825)),
    ("redis_memory", "server", FULL, "crit", 1.0),
    ("redis_memory", "server", {"maxmemory": 0}, "unknown", None),
    ("redis_memory", "server", {**FULL, "maxmemory_policy": "allkeys-lru"}, "ok", 1.0),
    ("redis_memory", "server", {**FULL, "maxmemory_policy": "volatile-ttl"}, "ok", 1.0),
    ("redis_memory", "server", {**FULL, **VOLATILE_STUCK}, "crit", 1.0),
    # fragmentation
    ("redis_fragmentation", "server", {"mem_fragmentation_ratio": 1.5}, "warn", 1.5),
    ("redis_fragmentation", "server", {"mem_fragmentation_ratio": 3.5}, "crit", 3.5),
    ("redis_fragmentation", "server", {"mem_fragmentation_ratio": 0.5}, "warn", 0.5),
    ("redis_fragmentation", "server", {"mem_fragmentation_ratio": 9.0, "used_memory": 2**20}, "ok", 9.0),
    ("redis_fragmentation", "server", {"mem_fragmentation_ratio": None}, "unknown", None),
    # hit rate
    ("redis_hit_rate", "server", {"keyspace_hits": 800, "keyspace_misses": 200}, "warn", 0.8),
    ("redis_hit_rate", "server", {"keyspace_hits": 801, "keyspace_misses": 199}, "ok", 0.801),
    ("redis_hit_rate", "server", {"keyspace_hits": 100, "keyspace_misses": 900}, "crit", 0.1),
    ("redis_hit_rate", "server", {"keyspace_hits": 0, "keyspace_misses": 999}, "unknown", None),
    ("redis_hit_rate", "server", {"keyspace_hits": 0, "keyspace_misses": 0}, "unknown", None),
    # keys without a time to live: crit only where the policy cannot evict them and there is a limit
    ("redis_keys_without_ttl", "db0", {}, "ok", 0.1),
    ("redis_keys_without_ttl", "db0", {"db0": {"keys": 100, "expires": 50}}, "warn", 0.5),
    ("redis_keys_without_ttl", "db0", {"db0": {"keys": 100, "expires": 0}}, "warn", 1.0),
    ("redis_keys_without_ttl", "db0", {**NEVER, "maxmemory_policy": "volatile-lru"}, "crit", 1.0),
    ("redis_keys_without_ttl", "db0", {**NEVER, "maxmemory_policy": "volatile-lru", "maxmemory": 0}, "warn", 1.0),
    ("redis_keys_without_ttl", "db0", {**NEVER, "maxmemory_policy": "allkeys-lru"}, "warn", 1.0),
    ("redis_keys_without_ttl", "db7", {"db7": {"keys": 4, "expires": 4}}, "ok", 0.0),
    # evictions
    ("redis_evictions", "server", {}, "ok", 0.0),
    ("redis_evictions", "server", {"evicted_keys": 500}, "warn", 0.05),
    ("redis_evictions", "server", {"evicted_keys": 5000}, "crit", 0.5),
    ("redis_evictions", "server", {"evicted_keys": 5, "keyspace_hits": 0}, "unknown", None),
    # connections
    ("redis_connections", "server", {"connected_clients": 8000}, "warn", 0.8),
    ("redis_connections", "server", {"connected_clients": 9900}, "crit", 0.99),
    ("redis_connections", "server", {"maxclients": None}, "unknown", None),
    # replication, seen by the primary and by the replica
    ("redis_replication", "server", {}, "ok", None),
    ("redis_replication", "10.0.0.2:6379", slave(), "ok", 0),
    ("redis_replication", "10.0.0.2:6379", slave(lag=45), "warn", 45),
    ("redis_replication", "10.0.0.2:6379", slave(lag=300), "crit", 300),
    ("redis_replication", "10.0.0.2:6379", slave(state="wait_bgsave"), "warn", None),
    ("redis_replication", "server", {**REPLICA, "master_last_io_seconds_ago": 3}, "ok", 3),
    ("redis_replication", "server", {**REPLICA, "master_last_io_seconds_ago": 40}, "warn", 40),
    ("redis_replication", "server", {**CUT_OFF, "master_link_down_since_seconds": 5}, "crit", 5),
    ("redis_replication", "server", {**CUT_OFF, "master_link_down_since_seconds": -1}, "crit", None),
    ("redis_replication", "server", {**CUT_OFF, "master_sync_in_progress": 1}, "warn", None),
    # persistence
    ("redis_persistence", "rdb", {}, "ok", 1000),
    ("redis_persistence", "rdb", {"rdb_last_bgsave_status": "err"}, "crit", 1000),
    ("redis_persistence", "rdb", {"server_time_usec": None}, "ok", None),
    ("redis_persistence", "aof", {"aof_enabled": 1, "aof_last_write_status": "ok"}, "ok", None),
    ("redis_persistence", "aof", {"aof_enabled": 1, "aof_last_write_status": "err"}, "crit", None),
    ("redis_persistence", "aof", {"aof_enabled": 1, "aof_last_bgrewrite_status": "err"}, "warn", None),
    ("redis_ready", "server", {"loading": 1}, "crit", None),
    # what clients feel
    ("redis_blocked_clients", "server", {"blocked_clients": 7}, "ok", 7),
    ("redis_blocked_clients", "server", {"blocked_clients": None}, "unknown", None),
    ("redis_rejected_connections", "server", {"rejected_connections": 1}, "warn", 0.001),
    ("redis_rejected_connections", "server", {"rejected_connections": 111}, "crit", 0.1),
    ("redis_rejected_connections", "server", {"rejected_connections": None}, "unknown", None),
    ("redis_fork", "server", {}, "ok", 0.0009),
    ("redis_fork", "server", {"latest_fork_usec": 700_000}, "warn", 0.7),
    ("redis_fork", "server", {"latest_fork_usec": 3_000_000}, "crit", 3.0),
    ("redis_fork", "server", {"used_memory_rss": 5 * GIB}, "warn", 0.0009),
    ("redis_fork", "server", {"latest_fork_usec": None}, "unknown", None),
]
# fmt: on


@pytest.mark.parametrize(("check", "subject", "change", "status", "value"), VERDICTS)
def test_verdicts(check, subject, change, status, value):
    found = judged(change, subject, check)
    assert (found["status"], found["value"]) == (status, value), found["summary"]
    assert found["summary"].endswith(".")
    assert bool(found["advice"]) or status in ("ok", "unknown")


@pytest.mark.parametrize(("online", "status"), [(0, "crit"), (1, "crit"), (2, "ok")])
def test_the_replicas_that_should_be_there(online, status):
    there = {f"slave{number}": slave()["slave0"] for number in range(online)}
    assert judged(there, "server", "redis_replicas", expected=2)["status"] == status


def test_a_replica_is_not_asked_for_replicas():
    assert "redis_replicas" not in {entry["check"] for entry in checks(facts({**SOUND, **REPLICA}), DEFAULTS, 2)}


def test_no_replica_expected_is_met_by_none():
    assert judged({}, "server", "redis_replicas", expected=0)["status"] == "ok"


def test_thresholds_of_a_user():
    assert judged({}, "server", "redis_memory", thresholds={"memory": {"warn": "0.2"}})["status"] == "warn"
    off = {"keys_without_ttl": {"warn": None, "crit": None}}
    assert judged(NEVER, "db0", "redis_keys_without_ttl", thresholds=off)["status"] == "ok"
    assert judged({}, "rdb", "redis_persistence", thresholds={"save_age": {"crit": 900}})["status"] == "crit"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"memmory": {}}, "thresholds.memmory: is not a kind of finding; use memory, "),
        ({"memory": 0.8}, "thresholds.memory: 0.8 is no dictionary"),
        ({"memory": {"high": 0.8}}, "thresholds.memory.high: is not a level"),
        ({"memory": {"warn": "80 %"}}, "thresholds.memory.warn: '80 %' is not a number"),
    ],
)
def test_a_mistake_in_the_thresholds_is_named(given, sentence):
    with pytest.raises(BadInput) as caught:
        complete(given)
    assert str(caught.value).startswith(sentence)
    assert complete({}) == DEFAULTS


@pytest.mark.parametrize(
    ("host", "tls", "verified", "status"),
    [
        ("localhost", None, True, "ok"),
        ("cache.example.com", None, True, "ok"),
        ("cache.example.com", True, False, "warn"),
        ("cache.example.com", False, True, "warn"),
    ],
)
def test_less_than_verified_tls_to_another_host_is_a_warning(host, tls, verified, status):
    assert transport({"login_host": host, "tls": tls, "validate_certs": verified})["status"] == status


def test_a_managed_service_that_says_little_is_judged_by_what_it_says():
    found = checks(facts({"redis_version": "7.1.0", "role": "master"}), DEFAULTS)
    assert {entry["status"] for entry in found} == {"ok", "unknown"}


# -- real servers


def found_on(params, **given):
    with connect(params(**given), HEALTH) as client:
        return {(entry["check"], entry["subject"]): entry for entry in checks(read(client), DEFAULTS)}


def test_a_real_server(params, redis_server):
    with redis_server.client() as client:
        client.mset({f"user:{number}": "x" for number in range(60)})
        for number in range(40):
            client.set(f"session:{number}", "x", ex=3600)
        for _round in range(20):
            client.mget([f"user:{number}" for number in range(60)])
        client.config_set("maxmemory", "64mb")
        client.config_set("maxmemory-policy", "volatile-lru")
    found = found_on(params)
    assert found["redis_keys_without_ttl", "db0"]["value"] == pytest.approx(0.6)
    assert found["redis_hit_rate", "server"]["value"] == 1.0
    assert 0 < found["redis_memory", "server"]["value"] < 1
    assert found["redis_ready", "server"]["summary"].startswith("Valkey 9")
    assert {entry["status"] for entry in found.values()} <= {"ok", "warn"}


def test_debians_server_says_it_likewise(params, lab):
    server = lab.redis("unit-redis-7", flavour="redis")
    found = found_on(params, **server.login())
    assert found["redis_ready", "server"]["summary"] == "Redis 7.0.15 answers."
    assert found["redis_memory", "server"]["status"] == "unknown"


def test_a_real_replica_and_its_primary_gone(params, lab):
    primary = lab.redis("unit-primary", settings={"repl-diskless-sync-delay": 0})
    follows = {"replicaof": f"{primary.host} {primary.port}", "masterauth": primary.password}
    replica = lab.redis("unit-replica", settings=follows)
    with replica.client() as client:
        for _attempt in range(100):
            if client.info("replication")["master_link_status"] == "up":
                break
            time.sleep(0.1)
    link = found_on(params, **replica.login())["redis_replication", "server"]
    assert (link["status"], link["evidence"]["state"]) == ("ok", "up")
    seen = [entry for (kind, _), entry in found_on(params, **primary.login()).items() if kind == "redis_replication"]
    assert [(entry["status"], entry["evidence"]["state"]) for entry in seen] == [("ok", "online")]
    primary.kill9()
    for _attempt in range(100):
        link = found_on(params, **replica.login())["redis_replication", "server"]
        if link["status"] != "ok":
            break
        time.sleep(0.1)
    assert link["status"] == "crit"


def sampled(params, keys, seconds=10.0, wanted=lambda: None, **wish):
    with connect(params(), HEALTH) as client:
        found = read(client)
    allowed = BIG_KEYS if "big_bytes" in wish else SAMPLE
    return sample(lambda number: connect(params(), allowed, None, number), found, Wish(keys, **wish), seconds, wanted)


def test_the_sample_counts_prefixes_of_keys_that_never_expire_in_every_database(params, redis_server):
    with redis_server.client() as client, redis_server.client(db=3) as other:
        client.mset({f"user:{number}:name": "x" for number in range(250)})
        client.mset({"spaces and\nlines": "x", b"\xff\xfe:\x00": "x"})
        for number in range(100):
            client.set(f"session:{number}", "x", ex=3600)
        other.set("cart:1", "x")
        before = client.dbsize(), other.dbsize()
        first, third = sampled(params, 10_000).databases
        assert (client.dbsize(), other.dbsize()) == before
    assert (first.seen.keys, first.seen.expiring, third.seen.keys) == (352, 100, 1)
    assert first.seen.permanent == {"user": 250, "(no prefix)": 1, "\ufffd\ufffd": 1}
    assert third.seen.permanent == {"cart": 1}
    found = checks(sampled(params, 10_000), DEFAULTS)
    [entry] = [entry for entry in found if entry["check"] == "redis_keys_without_ttl" and entry["subject"] == "db0"]
    assert entry["evidence"]["sampled_prefixes"].startswith("user 250, ")


def test_the_sample_is_bounded_in_number_and_time_and_can_be_stopped(params, redis_server):
    with redis_server.client() as client:
        client.mset({f"user:{number}": "x" for number in range(5000)})
    assert sampled(params, 250).databases[0].seen.keys == 250
    assert sampled(params, 5000, seconds=0).databases[0].seen.keys == 0

    def stop():
        raise Stopped("Stopped: the module received SIGTERM.")

    with pytest.raises(Stopped):
        sampled(params, 5000, wanted=stop)


def test_big_keys_are_counted_and_named_only_when_asked(params, redis_server):
    with redis_server.client() as client:
        client.mset({f"user:{number}": "x" for number in range(50)})
        client.set("blob:one two\n", "x" * 200_000)
        client.rpush("queue", *("y" * 1000 for _ in range(200)))
    for names, said in ((False, ""), (True, "blob:one two\\n")):
        found = checks(sampled(params, 1000, big_bytes=100_000, names=names), DEFAULTS)
        [big] = [entry for entry in found if entry["check"] == "redis_big_keys"]
        assert (big["status"], big["value"], big["evidence"]["sampled"]) == ("warn", 2, 52)
        assert big["evidence"]["prefixes"] == "(no prefix) 1, blob 1"
        assert said in big["evidence"]["names"] and bool(big["evidence"]["names"]) is names


def test_what_clients_feel_on_a_real_server(params, redis_server):
    with redis_server.client() as client:
        client.config_set("slowlog-log-slower-than", 0)
        try:
            client.ping()
        finally:
            client.config_set("slowlog-log-slower-than", 10_000)
    with connect(params(), SLOWLOG) as client:
        seen = replace(read(client), answered=answered(client), slow=client.command("SLOWLOG", "LEN"))
    with redis_server.client() as client:
        client.slowlog_reset()
    found = {entry["check"]: entry for entry in checks(seen, DEFAULTS)}
    assert 0 < found["redis_latency"]["value"] < 5
    assert (found["redis_slow_commands"]["status"], found["redis_slow_commands"]["value"] > 0) == ("warn", True)
    assert found["redis_rejected_connections"]["status"] == "ok"
