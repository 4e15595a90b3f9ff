# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What it costs to look at a million keys of a Redis server, and what others feel of it meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils._redis.connect import connect, connection_spec
from ansible_collections.day2.ops.plugins.module_utils._redis.grants import BIG_KEYS, SAMPLE
from ansible_collections.day2.ops.plugins.module_utils._redis.walk import Seen, Wish, walk
from benchmarks.measure import Figure
from tests.lab import Lab, Redis
from tests.lab.redis import PACKAGES

KEYS = 1_000_000
# One process for each key: so many of them tell what a million would take.
BY_ONE = 300
PING_SECONDS = 0.02
# Another client, in a process of its own: prints the longest time that a PING took until its input is closed.
PINGER = """
import os, select, sys, time
import redis
client = redis.Redis("127.0.0.1", int(os.environ["LAB_PORT"]), password=os.environ["LAB_PASSWORD"])
client.ping()
print("ready", flush=True)
longest = 0.0
while not select.select([sys.stdin], [], [], 0.005)[0]:
    began = time.monotonic()
    client.ping()
    longest = max(longest, time.monotonic() - began)
print(longest)
"""


def run() -> Iterator[Figure]:
    """Seconds of the audit against a process for each key; the longest PING beside it, and beside nothing at all."""
    with Lab() as lab:
        server = lab.redis()
        with server.client() as client:
            for start in range(0, KEYS, 10_000):
                # Half of them expire, in an hour.
                with client.pipeline(transaction=False) as pipe:
                    for number in range(start, start + 10_000):
                        pipe.set(f"user:{number}", "x" * 20, ex=3600 if number % 2 else None)
                    pipe.execute()
        peer = _by_one(server, lab) / BY_ONE * KEYS
        idle = Beside(server)
        time.sleep(3)
        quiet = idle.longest()
        seconds, longest, seen = _audit(server, Wish(), sizes=False)
        assert (seen.keys, seen.expiring) == (KEYS, KEYS // 2), "not all keys were seen"
        yield Figure("redis_audit.seconds", seconds, peer, 0.001)
        yield Figure("redis_audit.ping_max_seconds", longest, None, PING_SECONDS)
        yield Figure("redis_audit.ping_max_idle_seconds", quiet, None, PING_SECONDS)
        seconds, longest, _seen = _audit(server, Wish(big_bytes=1 << 20), sizes=True)
        yield Figure("redis_audit_with_sizes.seconds", seconds, peer, 0.001)
        yield Figure("redis_audit_with_sizes.ping_max_seconds", longest, None, PING_SECONDS)


class Beside:
    """A client that asks again and again while something else is done."""

    def __init__(self, server: Redis) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PINGER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "LAB_PORT": str(server.port), "LAB_PASSWORD": server.password},
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def longest(self) -> float:
        out, _err = self._process.communicate("")
        return float(out)


def _audit(server: Redis, wish: Wish, *, sizes: bool) -> tuple[float, float, Seen]:
    defaults = {name: option.get("default") for name, option in connection_spec().argument_spec.items()}
    params: dict[str, Any] = {**defaults, **server.login()}
    other, began, seen = Beside(server), time.monotonic(), Seen()
    with connect(params, BIG_KEYS if sizes else SAMPLE) as client:
        for step in walk(client, wish):
            seen = step
    return time.monotonic() - began, other.longest(), seen


def _by_one(server: Redis, lab: Lab) -> float:
    """What is often found in runbooks: ``xargs -n1 redis-cli ttl``."""
    names = "".join(f"user:{number}\n" for number in range(BY_ONE))
    program, libraries = lab.programs.debian("redis-cli", PACKAGES)
    command = ["xargs", "-n1", str(program), "-p", str(server.port), "ttl"]
    began = time.monotonic()
    subprocess.run(
        command,
        input=names,
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "REDISCLI_AUTH": server.password, "LD_LIBRARY_PATH": libraries},
    )
    return time.monotonic() - began
