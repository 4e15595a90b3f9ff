# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One way through the names of a database: with a single cursor, in steps that nobody else waits for.

A key is looked at and never read: its age and its size come back, its value does not. A primary drops what has expired
as it is looked at, as it does for every client; a replica drops nothing.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Iterator, Optional

from ansible_collections.day2.ops.plugins.module_utils._redis.connect import Client

# How many buckets a step goes through. At 1000 and without a pause PING was seen to wait 135 ms.
LEAST, FIRST, MOST = 10, 100, 500
# The server works through one buffer of 16 KiB before it turns to the next client, so longer ones gain nothing.
TOGETHER = 250
LONGEST_PAUSE = 0.5
NO_PREFIX, OTHERS = "(no prefix)", "(others)"
# Where names begin with something random, each has a prefix of its own.
MOST_PREFIXES = 10_000
MOST_NAMES = 10
# What TTL says of a key that does not expire, and of one that is gone.
NEVER, GONE = -1, -2


@dataclass(frozen=True)
class Wish:
    """What to look for: at ``keys`` names at most; for keys from ``big_bytes`` on, where that is given.

    ``latency`` is how many seconds a step may take: steps get smaller and pauses longer to keep to it. ``names`` keeps
    the names of the largest keys; else no more than prefixes is kept.
    """

    keys: Optional[int] = None
    big_bytes: Optional[int] = None
    latency: float = 0.01
    names: bool = False


@dataclass
class Seen:
    """What was seen so far. ``permanent`` and ``big`` count by prefix, ``largest`` is bytes and name of the largest.

    ``slowest`` is the seconds of the longest step, ``big_bytes`` from which size on a key counted as big.
    """

    keys: int = 0
    expiring: int = 0
    permanent: Counter[str] = field(default_factory=Counter)
    big: Counter[str] = field(default_factory=Counter)
    largest: list[tuple[int, str]] = field(default_factory=list)
    slowest: float = 0.0
    complete: bool = False
    big_bytes: Optional[int] = None


def walk(client: Client, wish: Wish) -> Iterator[Seen]:
    """What was seen after each step: one object, which grows. Whoever does not want more just leaves."""
    seen, cursor, count = Seen(big_bytes=wish.big_bytes), 0, FIRST
    while not seen.complete and (wish.keys is None or seen.keys < wish.keys):
        began = time.monotonic()
        cursor, names = client.command("SCAN", cursor, "COUNT", count)
        took = time.monotonic() - began
        seen.slowest = max(seen.slowest, took)
        # It is at its end when the cursor is, unless the last names are more than were asked for.
        seen.complete = cursor == 0 and (wish.keys is None or seen.keys + len(names) <= wish.keys)
        names = names if wish.keys is None else names[: wish.keys - seen.keys]
        for start in range(0, len(names), TOGETHER):
            _look(client, names[start : start + TOGETHER], wish, seen)
        yield seen
        if cursor == 0:
            return
        if took > wish.latency:
            time.sleep(min(took, LONGEST_PAUSE))
        count = next_count(count, took, wish.latency)


def next_count(count: int, took: float, latency: float) -> int:
    """The size of the next step: halved when one took too long, a quarter more while there is room.

    >>> next_count(400, 0.02, 0.01), next_count(400, 0.001, 0.01), next_count(400, 0.008, 0.01)
    (200, 500, 400)
    """
    if took > latency:
        return max(LEAST, count // 2)
    return min(MOST, count + max(1, count // 4)) if took < latency / 2 else count


def _look(client: Client, names: list[bytes], wish: Wish, seen: Seen) -> None:
    sizes: list[Optional[int]] = []
    if wish.big_bytes is not None:
        # Of a collection the server measures five elements, unless told otherwise: it takes no time at any size.
        sizes = client.pipeline([("MEMORY", "USAGE", name) for name in names])
    seen.keys += len(names)
    for name, age in zip(names, client.pipeline([("TTL", name) for name in names])):
        if age == NEVER:
            _count(seen.permanent, name)
        elif age is not None and age != GONE:
            seen.expiring += 1
    for name, size in zip(names, sizes):
        if size is not None and wish.big_bytes is not None and size >= wish.big_bytes:
            _count(seen.big, name)
            _keep(seen.largest, (size, readable(name) if wish.names else ""))


def _count(prefixes: Counter[str], name: bytes) -> None:
    prefix = prefix_of(name)
    prefixes[prefix if prefix in prefixes or len(prefixes) < MOST_PREFIXES else OTHERS] += 1


def _keep(largest: list[tuple[int, str]], one: tuple[int, str]) -> None:
    """The largest few, as a heap."""
    (heapq.heappush if len(largest) < MOST_NAMES else heapq.heappushpop)(largest, one)


def prefix_of(name: bytes) -> str:
    """What stands before the first colon. Names are bytes, and may be anything."""
    head, colon, _rest = name.partition(b":")
    return head[:32].decode("utf-8", errors="replace") if colon else NO_PREFIX


def readable(name: bytes) -> str:
    """A name for people: what is no text, and what would break a line, is shown by its bytes.

    >>> readable(b"user 1*"), readable(bytes([255, 10]))
    ('user 1*', '\\\\xff\\\\n')
    """
    text = name[:64].decode("utf-8", errors="backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def ranked(prefixes: Counter[str], most: int = 5) -> str:
    """The most frequent prefixes, each with its count."""
    first = sorted(prefixes.items(), key=lambda item: (-item[1], item[0]))[:most]
    return ", ".join(f"{prefix} {count}" for prefix, count in first)
