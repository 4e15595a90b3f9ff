# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan: what the server says of itself and the policy in, actions out. Pure.

The plan rests on INFO alone. To look at a key is to make a primary drop it where it has expired, which a rehearsal must
not do; so how much has expired is what the server's own sampling says (``expired_stale_perc``), and a look at the first
keys confirms it when the work begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.records import Action, defer, skip
from ansible_collections.day2.ops.plugins.module_utils._redis import types
from ansible_collections.day2.ops.plugins.module_utils._redis.read import Database, Facts

SCOPES = ("due", "all")
# So many keys are gone through in a second, pauses included: for the question whether there is time enough.
KEYS_PER_SECOND = 25_000
PURGE_SECONDS = 1.0


@dataclass(frozen=True)
class Policy:
    """When something is due. ``memory_ratio``: from this share of maxmemory on, any share of expired keys is."""

    expired_ratio: float = 0.1
    expired_min_keys: int = 10_000
    memory_ratio: float = 0.8
    purge_ratio: float = 0.1
    purge_min_bytes: int = 67_108_864
    scope: str = "due"


def plan(facts: Facts, policy: Policy, left: Optional[float]) -> list[Action]:
    """The actions for this server, those that are left included; ``left`` is the seconds that there are."""
    actions = [action for one in facts.databases if (action := _reclaim(facts, one, policy))]
    purge = _purge(facts, policy)
    actions += [purge] if purge else []
    for action in actions:
        seconds = action["predicted"].get("seconds")
        if action["status"] != "planned" or left is None or seconds is None:
            continue
        if seconds > left:
            defer(action, f"it takes about {seconds:.0f} s, and {max(0.0, left):.0f} s are left")
        else:
            left -= seconds
    return actions


def measures(facts: Facts, database: Optional[Database] = None) -> dict[str, Any]:
    """What an action's before and after begin with."""
    among = [database] if database else facts.databases
    return {
        "keys": sum(one.keys for one in among),
        "expiring": sum(one.expiring for one in among),
        "used_bytes": facts.number("used_memory"),
        "rss_bytes": facts.number("used_memory_rss"),
    }


def stale_share(facts: Facts) -> Optional[float]:
    """The share of keys with a time to live that have expired and are still there, as the server has sampled it."""
    percent = facts.number("expired_stale_perc")
    return None if percent is None else percent / 100


def is_full(facts: Facts, policy: Policy) -> bool:
    used, limit = facts.number("used_memory"), facts.number("maxmemory")
    return bool(used and limit and used / limit >= policy.memory_ratio)


def enough(share: float, facts: Facts, policy: Policy) -> bool:
    """Whether this share of expired keys is worth the way through all of them."""
    return share > 0 and (share >= policy.expired_ratio or is_full(facts, policy))


def _reclaim(facts: Facts, database: Database, policy: Policy) -> Optional[Action]:
    share = stale_share(facts)
    if not database.expiring or (share is None and policy.scope == "due"):
        return None
    expired = int((share or 0.0) * database.expiring)
    if policy.scope == "due" and not (enough(share or 0.0, facts, policy) and expired >= policy.expired_min_keys):
        return None
    used, keys = facts.number("used_memory_dataset") or 0, sum(one.keys for one in facts.databases)
    full = ", and maxmemory is nearly reached" if is_full(facts, policy) else ""
    reason = f"about {expired} of {database.expiring} keys with a time to live have expired and are still there{full}"
    action = types.RECLAIM.plan(
        database.name,
        f"all was asked for: {reason}" if policy.scope == "all" else reason,
        predicted={
            "keys_expired": expired,
            "bytes_freed": int(used / keys * expired) if keys else 0,
            "seconds": round(database.keys / KEYS_PER_SECOND, 1),
        },
        before=measures(facts, database),
    )
    if facts.text("role") == "slave":
        primary = f"{facts.text('master_host')}:{facts.text('master_port')}"
        skip(action, f"a replica waits for its primary {primary} to drop them")
    return action


def _purge(facts: Facts, policy: Policy) -> Optional[Action]:
    """Only what the allocator keeps resident without using it comes back; fragmentation within pages does not."""
    held, used = facts.number("allocator_rss_bytes"), facts.number("used_memory")
    if held is None or not used or not facts.text("mem_allocator").startswith("jemalloc"):
        return None
    if held < policy.purge_min_bytes or held / used < policy.purge_ratio:
        return None
    return types.PURGE.plan(
        types.SERVER,
        f"the allocator holds {held} bytes that it does not use, {held / used:.0%} of the data",
        predicted={"bytes_freed": int(held), "seconds": PURGE_SECONDS},
        before={**measures(facts), "allocator_rss_bytes": held},
    )


def summary(facts: Facts, policy: Policy, actions: list[Action]) -> str:
    """One sentence on what was measured and what follows."""
    keys, expiring = sum(one.keys for one in facts.databases), sum(one.expiring for one in facts.databases)
    measured = f"{keys} keys in {len(facts.databases)} databases measured, {expiring} with a time to live"
    due = [action for action in actions if action["status"] != "skipped"]
    if due:
        named = ", ".join(f"{one['action']} {one['subject']}" for one in due)
        return f"{measured}; due: {named}."
    share = stale_share(facts)
    said = "how many have expired is not said" if share is None else f"about {share:.1%} of them have expired"
    held = facts.number("allocator_rss_bytes") or 0
    return f"{measured}; nothing is due: {said}, and the allocator holds {held / 1048576:.1f} MiB unused."
