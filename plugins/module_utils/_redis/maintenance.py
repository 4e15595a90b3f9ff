# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maintenance of a Redis server as a whole: find, plan, act, prove. The module is only its options."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field, fields, replace
from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core import records
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import (
    BadInput,
    Deferred,
    OpsError,
    Refused,
    Stopped,
)
from ansible_collections.day2.ops.plugins.module_utils._core.given import above_zero, none_negative
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._core.saved_plan import settle
from ansible_collections.day2.ops.plugins.module_utils._redis import checks, grants, plan, thresholds
from ansible_collections.day2.ops.plugins.module_utils._redis.brake import Brake, brake_of
from ansible_collections.day2.ops.plugins.module_utils._redis.connect import Client, connect
from ansible_collections.day2.ops.plugins.module_utils._redis.plan import SCOPES, Policy
from ansible_collections.day2.ops.plugins.module_utils._redis.read import Facts, read
from ansible_collections.day2.ops.plugins.module_utils._redis.types import PURGE, RECLAIM
from ansible_collections.day2.ops.plugins.module_utils._redis.walk import Seen, Wish, walk

# So many keys are gone through before it is clear whether the rest is worth it. Their order is as good as random.
CONFIRM_KEYS = 2000
# The server reads its allocator's numbers ten times a second.
SETTLE_SECONDS = 0.3
# A key that nobody has; no client of the collection ever makes one.
NOBODYS = b"day2.ops: no such key"


def policy_spec() -> ArgumentSpec:
    given = Policy()
    kinds = {int: "int", float: "float"}
    options: dict[str, Any] = {
        one.name: {"type": kinds[type(getattr(given, one.name))], "default": getattr(given, one.name)}
        for one in fields(Policy)
        if type(getattr(given, one.name)) in kinds
    }
    options["scope"] = {"type": "str", "choices": list(SCOPES), "default": given.scope}
    # These are of keys, not of credentials.
    options["expired_min_keys"]["no_log"] = False
    options["key_names"] = {"type": "bool", "default": False, "no_log": False}
    options["big_key_bytes"] = {"type": "int", "default": 1_048_576, "no_log": False}
    options["latency"] = {"type": "float", "default": Wish().latency}
    options["thresholds"] = {"type": "dict", "default": {}}
    return ArgumentSpec(options)


def policy_of(params: Mapping[str, Any]) -> Policy:
    """The policy from the options; :class:`BadInput` for a value that cannot be meant."""
    none_negative(params, "expired_min_keys", "purge_min_bytes", "big_key_bytes", "purge_ratio")
    for name in ("expired_ratio", "memory_ratio"):
        if not 0 <= params[name] <= 1:
            raise BadInput(f"{name}: {params[name]} is not a share; give a number from 0 to 1.")
    above_zero("latency", params["latency"], "a number of seconds")
    return Policy(**{one.name: params[one.name] for one in fields(Policy)})


@dataclass
class Found:
    """What one run knows, kept together for the result, also of a run that fails."""

    checks: list[records.Check]
    policy: Policy
    facts: Optional[Facts] = None
    actions: list[records.Action] = field(default_factory=list)
    seen: dict[str, Seen] = field(default_factory=dict)

    def result(self) -> Result:
        said = plan.summary(self.facts, self.policy, self.actions) if self.facts else ""
        return {"checks": self.checks, "actions": self.actions, "plan_summary": said}


def maintain(run: Run) -> Result:
    """The work of module ``redis_maintenance``."""
    found = Found([checks.transport(run.params)], policy_of(run.params))
    limits, brake = thresholds.complete(run.params["thresholds"]), brake_of(run.params)
    with connect(run.params, grants.MAINTENANCE, run.deadline) as client:
        found.facts = read(client)
        _preflight(client)
        found.actions = plan.plan(found.facts, found.policy, run.deadline.left())
        settle(run, found.actions)
        now = found.facts
        if not run.check_mode:
            try:
                _act(run, client, Brake(run, client, brake), found)
            except OpsError as error:
                error.result = {**found.result(), **error.result}
                raise
            now = _with_seen(read(client), found.seen)
    found.checks += checks.upkeep(now, limits)
    return found.result()


def _preflight(client: Client) -> None:
    """A missing grant is told before anything begins, by questions that touch nothing."""
    for words in (("PING",), ("TTL", NOBODYS), ("MEMORY", "USAGE", NOBODYS)):
        client.command(*words)
    try:
        client.command("SCAN", "x")  # no cursor: what may scan is told so, and no key is looked at
    except Refused:
        raise
    except OpsError as error:
        if "invalid cursor" not in str(error):
            raise


def _act(run: Run, client: Client, brake: Brake, found: Found) -> None:
    for action in found.actions:
        if action["status"] != "planned":
            continue
        try:
            brake.hold()
            if action["action"] == PURGE.name:
                _purge(run, client, brake, action)
            else:
                _reclaim(run, client, brake, action, found)
        except Deferred as error:
            records.defer(action, str(error))
        except Stopped as error:
            records.defer(action, str(error))
            raise
        except OpsError as error:
            records.fail(action, str(error))
            raise


def _reclaim(run: Run, client: Client, brake: Brake, action: records.Action, found: Found) -> None:
    """Look at each name once; what has expired is dropped by the server, and nothing else is asked of it."""
    name, policy = action["subject"], found.policy
    total = action["before"]["keys"]
    wish = Wish(
        big_bytes=run.params["big_key_bytes"] or None, latency=run.params["latency"], names=run.params["key_names"]
    )
    dropped, confirmed, began = _expired(client), policy.scope == "all", time.monotonic()
    if confirmed:
        records.begin(action)
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(connect(run.params, grants.MAINTENANCE, run.deadline, int(name[2:])))
        for seen in walk(database, wish):
            brake.hold()
            done = min(1.0, seen.keys / max(1, total - action["predicted"]["keys_expired"]))
            run.live.progress(f"{name}: {seen.keys} keys looked at", done)
            if not confirmed:
                gone = max(0, _expired(client) - dropped)
                if seen.keys + gone < CONFIRM_KEYS and not seen.complete:
                    continue
                share = gone / max(1, gone + seen.expiring)
                if not plan.enough(share, found.facts or Facts({}, (), ()), policy):
                    records.skip(
                        action, f"{gone} of the first {gone + seen.expiring} keys with a time to live had expired"
                    )
                    return
                records.begin(action)
                confirmed = True
    found.seen[name] = seen
    after = read(client)
    freed = (action["before"]["used_bytes"] or 0) - (after.number("used_memory") or 0)
    own = next((one for one in after.databases if one.name == name), None)
    measured = {
        **plan.measures(replace(after, databases=(own,) if own else ())),
        "keys_expired": max(0, int(after.number("expired_keys") or 0) - dropped),
        "keys_seen": seen.keys,
        "bytes_freed": max(0, freed),
        "seconds": round(time.monotonic() - began, 2),
        "slowest_seconds": round(seen.slowest, 4),
    }
    records.finish(action, RECLAIM.measured({**measured, **brake.measures()}))


def _purge(run: Run, client: Client, brake: Brake, action: records.Action) -> None:
    records.begin(action)
    began = time.monotonic()
    client.command("MEMORY", "PURGE")
    seconds = time.monotonic() - began
    run.live.sleep(SETTLE_SECONDS)
    brake.hold()
    after = read(client)
    freed = (action["before"]["rss_bytes"] or 0) - (after.number("used_memory_rss") or 0)
    measured = {
        **plan.measures(after),
        "allocator_rss_bytes": after.number("allocator_rss_bytes"),
        "bytes_freed": max(0, freed),
        "seconds": round(seconds, 3),
    }
    records.finish(action, PURGE.measured({**measured, **brake.measures()}))


def _expired(client: Client) -> int:
    return int(client.command("INFO", "stats").get("expired_keys", 0))


def _with_seen(facts: Facts, seen: Mapping[str, Seen]) -> Facts:
    return replace(facts, databases=tuple(replace(one, seen=seen.get(one.name)) for one in facts.databases))
