# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find: what the server says of itself (INFO, one call) and, when asked, a sample of keys that never expire."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, Callable, ContextManager, Mapping, Optional, Union

from ansible_collections.day2.ops.plugins.module_utils._redis.connect import Client
from ansible_collections.day2.ops.plugins.module_utils._redis.walk import Seen, Wish, walk

Number = Union[int, float]
Open = Callable[[int], ContextManager[Client]]
# So many questions tell how long the server takes to answer, and what a busy moment of it looks like.
QUESTIONS = 20


@dataclass(frozen=True)
class Database:
    """One numbered database, and what a look at its keys has seen, where there was one."""

    name: str
    keys: int
    expiring: int
    seen: Optional[Seen] = None

    @property
    def number(self) -> int:
        return int(self.name[2:])


@dataclass(frozen=True)
class Replica:
    """A replica as its primary sees it; ``lag`` is the seconds since its last acknowledgement, of ``offset``."""

    name: str
    state: str
    lag: Optional[Number]
    offset: Optional[int] = None


@dataclass(frozen=True)
class Facts:
    """``info`` is what INFO said, by field; fields that a managed service leaves out are missing.

    ``answered`` is the longest time that the server took for a small question, ``slow`` the length of its slow log.
    """

    info: Mapping[str, Any]
    databases: tuple[Database, ...]
    replicas: tuple[Replica, ...]
    answered: Optional[float] = None
    slow: Optional[int] = None

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
            replicas.append(Replica(where, str(value.get("state", "")), value.get("lag"), value.get("offset")))
    return Facts(info, tuple(databases), tuple(replicas))


def answered(client: Client) -> float:
    """The longest time of a few small questions, network included."""
    longest = 0.0
    for _question in range(QUESTIONS):
        began = time.monotonic()
        client.command("INFO", "replication")
        longest = max(longest, time.monotonic() - began)
    return longest


def sample(open_database: Open, found: Facts, wish: Wish, seconds: float, wanted: Callable[[], None]) -> Facts:
    """``found`` with the keys of each database looked at as ``wish`` says, for up to ``seconds`` each.

    ``open_database`` connects to the database of a number. ``wanted`` raises when the work should stop.
    """
    databases = []
    for database in found.databases:
        until = time.monotonic() + seconds
        seen = Seen()
        with open_database(database.number) as client:
            if seconds > 0:
                for step in walk(client, wish):
                    seen = step
                    wanted()
                    if time.monotonic() >= until:
                        break
        databases.append(replace(database, seen=seen))
    return replace(found, databases=tuple(databases))
