# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find: what the server says of itself (INFO, one call) and, when asked, a sample of keys that never expire."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Callable, ContextManager, Mapping, Optional, Union

from ansible_collections.day2.ops.plugins.module_utils._redis.connect import Client

Number = Union[int, float]
Open = Callable[[int], ContextManager[Client]]
# Small steps, so that other clients wait for none of them: at 1000 keys a step PING was seen to wait 135 ms.
STEP = 100
NO_PREFIX = "(no prefix)"


@dataclass(frozen=True)
class Database:
    """One numbered database. ``sampled`` of its keys were looked at, ``prefixes`` counts those without expiry."""

    name: str
    keys: int
    expiring: int
    sampled: int = 0
    prefixes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Replica:
    """A replica as its primary sees it; ``lag`` is the seconds since its last acknowledgement."""

    name: str
    state: str
    lag: Optional[Number]


@dataclass(frozen=True)
class Facts:
    """``info`` is what INFO said, by field; fields that a managed service leaves out are missing."""

    info: Mapping[str, Any]
    databases: tuple[Database, ...]
    replicas: tuple[Replica, ...]

    def number(self, name: str) -> Optional[Number]:
        value = self.info.get(name)
        return value if isinstance(value, (int, float)) else None

    def text(self, name: str) -> str:
        return str(self.info.get(name, ""))


def read(client: Client) -> Facts:
    return facts(client.command("INFO"))


def facts(info: Mapping[str, Any]) -> Facts:
    """``info`` as redis-py parses it: numbers as numbers, ``db0`` and ``slave0`` as dictionaries."""
    databases, replicas = [], []
    for name, value in info.items():
        if not isinstance(value, Mapping):
            continue
        if name.startswith("db") and name[2:].isdigit():
            databases.append(Database(name, int(value["keys"]), int(value["expires"])))
        elif name.startswith("slave") and name[5:].isdigit():
            where = f"{value.get('ip')}:{value.get('port')}"
            replicas.append(Replica(where, str(value.get("state", "")), value.get("lag")))
    return Facts(info, tuple(databases), tuple(replicas))


def sample(open_database: Open, found: Facts, keys: int, seconds: float, wanted: Callable[[], None]) -> Facts:
    """``found`` with up to ``keys`` keys of each database looked at, for up to ``seconds`` each.

    Only the part of a name before its first colon is kept. ``open_database`` connects to the database of a number.
    ``wanted`` raises when the work should stop.
    """
    databases = []
    for database in found.databases:
        with open_database(int(database.name[2:])) as client:
            databases.append(_sampled(client, database, keys, seconds, wanted))
    return replace(found, databases=tuple(databases))


def _sampled(client: Client, database: Database, keys: int, seconds: float, wanted: Callable[[], None]) -> Database:
    until = time.monotonic() + seconds
    prefixes: Counter[str] = Counter()
    cursor, sampled = 0, 0
    while sampled < keys and time.monotonic() < until:
        wanted()
        cursor, names = client.command("SCAN", cursor, "COUNT", STEP)
        names = names[: keys - sampled]
        ages = client.pipeline([("TTL", name) for name in names])
        prefixes.update(_prefix(name) for name, age in zip(names, ages) if age == -1)
        sampled += len(names)
        if cursor == 0:  # the whole database has been seen
            break
    return replace(database, sampled=sampled, prefixes=dict(prefixes))


def _prefix(name: bytes) -> str:
    """Names are bytes, and may be anything."""
    head, colon, _rest = name.partition(b":")
    return head[:32].decode("utf-8", errors="replace") if colon else NO_PREFIX
