# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reclaiming what has expired, and only that: the plan as a table, then the work on real servers."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import run_spec
from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, Refused, Stopped
from ansible_collections.day2.ops.plugins.module_utils._core.liveness import Liveness
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import changed
from ansible_collections.day2.ops.plugins.module_utils._redis import walk as walking
from ansible_collections.day2.ops.plugins.module_utils._redis.brake import BrakePolicy, signals
from ansible_collections.day2.ops.plugins.module_utils._redis.connect import connect
from ansible_collections.day2.ops.plugins.module_utils._redis.grants import MAINTENANCE
from ansible_collections.day2.ops.plugins.module_utils._redis.maintenance import maintain
from ansible_collections.day2.ops.plugins.module_utils._redis.plan import Policy, plan, summary
from ansible_collections.day2.ops.plugins.module_utils._redis.read import facts
from ansible_collections.day2.ops.plugins.module_utils._redis.walk import Wish, next_count, prefix_of, walk
from ansible_collections.day2.ops.plugins.modules import redis_maintenance

MIB = 1 << 20
IDLE = {
    "role": "master",
    "used_memory": 1000 * MIB,
    "used_memory_dataset": 900 * MIB,
    "used_memory_rss": 1100 * MIB,
    "maxmemory": 4000 * MIB,
    "mem_allocator": "jemalloc-5.2.1",
    "allocator_rss_bytes": 20 * MIB,
    "expired_stale_perc": 0.5,
    "db0": {"keys": 1_000_000, "expires": 500_000},
    "db3": {"keys": 100, "expires": 0},
}
STALE = {"expired_stale_perc": 40.0}


def planned(change, left=None, **policy):
    return plan(facts({**IDLE, **change}), Policy(**policy), left)


# -- the plan


@pytest.mark.parametrize(
    ("change", "policy", "due"),
    [
        ({}, {}, []),
        (STALE, {}, ["redis_reclaim_expired db0"]),
        ({"expired_stale_perc": 9.9}, {}, []),
        ({"expired_stale_perc": 10.0}, {}, ["redis_reclaim_expired db0"]),
        # nearly full: any share will do, but not a handful of keys
        ({"expired_stale_perc": 3.0, "maxmemory": 1100 * MIB}, {}, ["redis_reclaim_expired db0"]),
        ({"expired_stale_perc": 0.5, "maxmemory": 1100 * MIB}, {}, []),
        ({**STALE, "db0": {"keys": 9000, "expires": 9000}}, {}, []),
        ({**STALE, "db0": {"keys": 9000, "expires": 0}}, {"scope": "all"}, []),
        ({}, {"scope": "all"}, ["redis_reclaim_expired db0"]),
        # a service that does not say it
        ({"expired_stale_perc": None}, {}, []),
        ({"expired_stale_perc": None}, {"scope": "all"}, ["redis_reclaim_expired db0"]),
        ({"allocator_rss_bytes": 100 * MIB}, {}, ["redis_memory_purge server"]),
        ({"allocator_rss_bytes": 99 * MIB}, {}, []),
        ({"allocator_rss_bytes": 100 * MIB, "mem_allocator": "libc"}, {}, []),
        ({"allocator_rss_bytes": 60 * MIB, "used_memory": 100 * MIB}, {}, []),
        (
            {**STALE, "allocator_rss_bytes": 500 * MIB},
            {},
            ["redis_reclaim_expired db0", "redis_memory_purge server"],
        ),
    ],
)
def test_what_is_due(change, policy, due):
    actions = planned(change, **policy)
    assert [f"{one['action']} {one['subject']}" for one in actions] == due
    assert {one["status"] for one in actions} <= {"planned"}
    said = summary(facts({**IDLE, **change}), Policy(**policy), actions)
    assert ("nothing is due" in said) is not bool(due)
    assert said.endswith(".")


def test_the_prediction():
    [action] = planned(STALE)
    assert action["predicted"]["keys_expired"] == 200_000
    assert action["predicted"]["bytes_freed"] == pytest.approx(180 * MIB, rel=0.01)
    assert action["before"]["keys"] == 1_000_000


def test_what_does_not_fit_is_not_begun():
    [action] = planned(STALE, left=10.0)
    assert action["status"] == "deferred"
    assert "40 s, and 10 s are left" in action["reason"]
    [first, second] = planned({**STALE, "allocator_rss_bytes": 500 * MIB}, left=40.5)
    assert (first["status"], second["status"]) == ("planned", "deferred")


def test_a_replica_waits_for_its_primary_and_gives_back_memory_itself():
    follows = {"role": "slave", "master_host": "10.0.0.1", "master_port": 6379, "allocator_rss_bytes": 500 * MIB}
    [reclaim, purge] = planned({**STALE, **follows})
    assert (reclaim["status"], purge["status"]) == ("skipped", "planned")
    assert "10.0.0.1:6379" in reclaim["reason"]


def test_steps_keep_to_the_latency():
    count = walking.FIRST
    for took in (0.001, 0.001, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05):
        count = next_count(count, took, 0.01)
    assert count == walking.LEAST
    for _step in range(100):
        count = next_count(count, 0.0001, 0.01)
    assert count == walking.MOST


def test_prefixes_are_bytes_and_bounded(monkeypatch):
    assert prefix_of(b"user 1*:x") == "user 1*"
    monkeypatch.setattr(walking, "MOST_PREFIXES", 2)
    prefixes = walking.Counter()
    for number in range(10):
        walking._count(prefixes, b"%d:x" % number)
    assert prefixes == {"0": 1, "1": 1, "(others)": 8}


def test_the_brake_reads_replicas_and_forks():
    def slave(offset, lag):
        return {"ip": "10.0.0.2", "port": 1, "state": "online", "offset": offset, "lag": lag}

    info = {"master_repl_offset": 1000, "slave0": slave(400, 1), "slave1": slave(900, 5), "rdb_bgsave_in_progress": 1}
    read = signals(facts(info), 0.001)
    assert {name: one.value for name, one in read.items()} == {
        "latency": 0.001, "lag": 5, "lag_bytes": 600, "fork": 1,
    }  # fmt: skip
    assert {one.value for one in signals(facts({}), 0.0).values()} == {0}


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"expired_ratio": 2.0}, "expired_ratio"),
        ({"expired_min_keys": -1}, "expired_min_keys"),
        ({"latency": 0}, "latency"),
        ({"brake": {"wait": -1}}, "brake.wait"),
        ({"thresholds": {"big_keys": {"warn": "much"}}}, "thresholds.big_keys.warn"),
    ],
)
def test_a_mistake_in_the_options_is_named_before_anything_is_touched(given, option):
    with pytest.raises(BadInput) as caught:
        maintain(a_run({"login_host": "192.0.2.1"}, **given))
    assert str(caught.value).startswith(f"{option}: ")


# -- real servers


def defaults(options):
    return {
        name: defaults(option["options"]) if option.get("apply_defaults") else option.get("default")
        for name, option in options.items()
    }


def a_run(login, check=False, left=None, live=None, **given):
    known = defaults(redis_maintenance.spec().merge(run_spec()).argument_spec)
    brake = {**known["brake"], "latency": 0, **given.pop("brake", {})}  # a crowded machine is slow by itself
    end = None if left is None else clock.now() + timedelta(seconds=left)
    params = {**known, **login, "run": {}, **given, "brake": brake}
    return Run(params, check, Deadline(end), live or Liveness())


STALE_SETTINGS = {"enable-debug-command": "local", "hz": 50, "repl-diskless-sync-delay": 0}


@pytest.fixture(scope="module")
def server(lab):
    """A server on which expiry can be switched off, so that expired keys pile up as they do under load."""
    return lab.redis("unit-stale", settings=STALE_SETTINGS)


LIVE, EXPIRED = 600, 3000
FILL = "for i = 1, tonumber(ARGV[1]) do redis.call('SET', ARGV[2] .. i, 'x', unpack(ARGV, 3)) end"


@pytest.fixture
def stale(server):
    """Live keys with and without a time to live, and expired ones which the server knows of."""
    with server.client() as client:
        client.flushall()
        client.config_resetstat()
        client.execute_command("ACL", "LOG", "RESET")
        client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 0)
        client.eval(FILL, 0, LIVE // 2, "user 1*\n:")
        client.eval(FILL, 0, LIVE // 2, b"\xff session:", "EX", 3600)
        client.eval(FILL, 0, EXPIRED, "gone:", "PX", 1)
        with client.pipeline(transaction=False) as pipe:
            # The server samples until it has found out; more expired keys come in than it drops.
            for number in range(200):
                pipe.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 1)
                pipe.execute()
                if client.info("stats")["expired_stale_perc"] >= 20:
                    break
                client.eval(FILL, 0, 1000, f"more{number}:", "PX", 1)
            pipe.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 0)
            pipe.execute()
        client.eval(FILL, 0, EXPIRED, "gone:", "PX", 1)
        time.sleep(0.01)
        yield client
        client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 1)


def state(client):
    """Every live key with its value and whether it expires, through an independent connection."""
    return {name: (client.get(name), client.ttl(name) > 0) for name in client.keys("*") if b"gone" not in name}


def test_check_then_run_then_run_again(server, stale):
    keys, expired = stale.dbsize(), stale.info("stats")["expired_keys"]
    given = {"expired_min_keys": 100}
    rehearsed = maintain(a_run(server.login(), check=True, **given))
    assert changed(rehearsed["actions"])
    assert (stale.dbsize(), stale.info("stats")["expired_keys"]) == (keys, expired), "check mode has changed something"

    done = maintain(a_run(server.login(), **given))
    [action], [before] = done["actions"], rehearsed["actions"]
    for key in ("action", "subject", "risk", "reason"):
        assert action[key] == before[key]
    assert action["predicted"]["keys_expired"] == before["predicted"]["keys_expired"]
    assert (before["status"], action["status"]) == ("planned", "done")
    # What was removed is exactly what had expired: each live key is there as it was.
    assert action["after"]["keys_expired"] == keys - LIVE
    assert (stale.dbsize(), action["after"]["keys"], action["after"]["keys_seen"]) == (LIVE, LIVE, LIVE)
    assert action["after"]["used_bytes"] < action["before"]["used_bytes"]
    [ttl] = [one for one in done["checks"] if one["check"] == "redis_keys_without_ttl"]
    assert ttl["evidence"]["sampled_prefixes"] == "user 1*\n 300"

    # The server's own average is still high, and the first keys tell that it is out of date.
    again = maintain(a_run(server.login(), **given))
    assert not changed(again["actions"])
    assert {one["status"] for one in again["actions"]} <= {"skipped"}


def test_live_keys_stay_as_they_are_whatever_their_names(server, stale):
    with server.client(db=2) as other:
        other.mset({"user 1*": "a", "user": "b", "1*": "c", b"\x00\r\n\xfe": "d", "": "e"})
        other.set("brief", "f", ex=3600)
        before = state(other)
        done = maintain(a_run(server.login(), scope="all", key_names=True, big_key_bytes=1))
        assert state(other) == before
    assert {one["subject"] for one in done["actions"]} == {"db0", "db2"}
    assert stale.dbsize() == LIVE


def test_nobody_but_the_server_deletes(server, stale):
    with server.client() as watcher:
        watcher.config_resetstat()
        maintain(a_run(server.login(), scope="all"))
        sent = {name.removeprefix("cmdstat_") for name in watcher.info("commandstats")}
    allowed = {one for one in MAINTENANCE.commands if one != "memory|purge"}
    assert sent - {"config|resetstat", "auth", "hello"} <= allowed
    for command in ("DEL", "UNLINK", "EXPIRE", "SET", "FLUSHALL", "CONFIG", "KEYS", "GET", "EVAL", "MEMORY"):
        with connect(a_run(server.login()).params, MAINTENANCE) as client, pytest.raises(AssertionError):
            client.command(command, "user 1*\n:1")


def test_as_the_documented_user(server, stale):
    stale.execute_command("ACL", "SETUSER", "narrow", "reset", "on", ">narrow-secret-of-the-lab")
    login = {**server.login(), "login_user": "narrow", "login_password": "narrow-secret-of-the-lab"}
    try:
        stale.execute_command(*MAINTENANCE.statement("narrow").replace("+memory|usage ", "").split())
        with pytest.raises(Refused, match=r"run there: ACL SETUSER narrow .*\+memory\|usage"):
            maintain(a_run(login, check=True))
        stale.execute_command("ACL", "LOG", "RESET")
        stale.execute_command(*MAINTENANCE.statement("narrow").split())
        done = maintain(a_run(login, scope="all"))
        assert [one["status"] for one in done["actions"]] == ["done"]
        assert stale.execute_command("ACL", "LOG") == []
    finally:
        stale.execute_command("ACL", "DELUSER", "narrow")


def test_the_deadline_and_a_stop_leave_the_rest(server, stale, tmp_path):
    # It fits by the estimate, and then takes longer.
    run = a_run(server.login(), scope="all", left=60)
    run.deadline._stop = time.monotonic() + 60

    class Late(Liveness):
        asked = 0

        def check(self):
            self.asked += 1
            if self.asked == 5:
                run.deadline._stop = time.monotonic() - 1

    run.live = Late()
    [action] = maintain(run)["actions"]
    assert action["status"] == "deferred" and "the deadline" in action["reason"]

    (tmp_path / "stop").write_text("stop everything")
    with pytest.raises(Stopped) as caught:
        maintain(a_run(server.login(), scope="all", live=Liveness(str(tmp_path))))
    assert [one["status"] for one in caught.value.result["actions"]] == ["deferred"]


def test_load_holds_it_back(server, stale):
    given = {"brake": {"latency": 1e-9, "wait": 0.3}}
    keys = stale.dbsize()
    [action] = maintain(a_run(server.login(), scope="all", **given))["actions"]
    assert action["status"] == "deferred" and "a PING takes" in action["reason"]
    assert stale.dbsize() == keys
    off = BrakePolicy(latency=0, replica_lag=0, replica_lag_bytes=0, fork=False)
    assert {one.wait for one in off.limits()} == {None}


def test_one_cursor_and_steps_of_a_bounded_size(server, stale, monkeypatch):
    """Whoever starts anew walks through ever more empty buckets; whoever asks for all at once stops everybody."""
    sent = []

    class Spy:
        def __init__(self, client):
            self.client = client

        def command(self, *words):
            sent.append(words)
            return self.client.command(*words)

        def pipeline(self, commands):
            assert 0 < len(commands) <= walking.TOGETHER
            return self.client.pipeline(commands)

    with connect(a_run(server.login()).params, MAINTENANCE) as client:
        *_, seen = walk(Spy(client), Wish(big_bytes=1))
    assert (seen.keys, seen.complete) == (LIVE, True)
    cursors = [words[1] for words in sent]
    assert cursors.count(0) == 1 and len(set(cursors)) == len(cursors)
    assert all(walking.LEAST <= words[3] <= walking.MOST for words in sent)


def test_memory_that_the_allocator_holds_is_given_back(lab):
    """Debian's server: the wheel's has an allocator that has nothing to give back."""
    server = lab.redis("unit-jemalloc", flavour="redis")
    with server.client() as client:
        client.eval("for i = 1, 200 do redis.call('SET', 'f:' .. i, string.rep('x', 200000)) end", 0)
        client.set("kept", "1")
        client.eval("for i = 1, 200 do redis.call('DEL', 'f:' .. i) end", 0)
        time.sleep(0.3)
        held = client.info("memory")["allocator_rss_bytes"]
        given = {"purge_min_bytes": 8 * MIB}
        if held < 8 * MIB:
            pytest.skip(f"the allocator gave back all but {held} bytes by itself")
        done = maintain(a_run(server.login(), **given))
        [action] = done["actions"]
        assert (action["action"], action["status"]) == ("redis_memory_purge", "done")
        assert action["after"]["allocator_rss_bytes"] < held / 2
        assert action["after"]["rss_bytes"] < action["before"]["rss_bytes"]
        assert maintain(a_run(server.login(), **given))["actions"] == []
        assert client.get("kept") == b"1"


def test_a_replica_keeps_what_its_primary_has_not_dropped(lab, server, stale):
    follows = {"replicaof": f"{server.host} {server.port}", "masterauth": server.password}
    replica = lab.redis("unit-stale-replica", settings=follows)
    with replica.client() as client:
        for _attempt in range(100):
            if client.info("replication")["master_link_status"] == "up":
                break
            time.sleep(0.1)
        keys = client.dbsize()
        [action] = maintain(a_run(replica.login(), scope="all"))["actions"]
        assert action["status"] == "skipped" and "its primary" in action["reason"]
        assert client.dbsize() == keys > LIVE
