# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Health of a Redis server as a whole: find and judge. The module is only its options."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._core.given import none_negative
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._redis import checks, connect, grants, read, thresholds
from ansible_collections.day2.ops.plugins.module_utils._redis.walk import Wish


def health_spec() -> ArgumentSpec:
    return connect.connection_spec().update(
        thresholds={"type": "dict", "default": {}},
        expected_replicas={"type": "int"},
        sample_keys={"type": "int", "default": 0, "no_log": False},
        sample_seconds={"type": "int", "default": 2},
        big_key_bytes={"type": "int", "no_log": False},
        key_names={"type": "bool", "default": False, "no_log": False},
        slowlog={"type": "bool", "default": False},
    )


def work(run: Run) -> Result:
    params = run.params
    limits = thresholds.complete(params["thresholds"])
    none_negative(params, "expected_replicas", "sample_keys", "sample_seconds", "big_key_bytes")
    if params["big_key_bytes"] and not params["sample_keys"]:
        raise BadInput("big_key_bytes: no key is looked at; give the number of keys as sample_keys.")
    found = [checks.transport(params)]
    try:
        facts = _facts(run)
    except Unreachable as error:
        return {"checks": [*found, checks.unreachable(error)], "actions": []}
    return {"checks": [*found, *checks.checks(facts, limits, params["expected_replicas"])], "actions": []}


def _facts(run: Run) -> read.Facts:
    params = run.params
    with connect.connect(params, grants.SLOWLOG if params["slowlog"] else grants.HEALTH, run.deadline) as client:
        facts = read.read(client)
        slow = client.command("SLOWLOG", "LEN") if params["slowlog"] else None
        facts = replace(facts, answered=read.answered(client), slow=slow)
    if not params["sample_keys"]:
        return facts
    run.live.progress("looking at keys")
    big = params["big_key_bytes"] or None
    database = partial(connect.connect, params, grants.BIG_KEYS if big else grants.SAMPLE, run.deadline)
    wish = Wish(params["sample_keys"], big, names=params["key_names"])
    return read.sample(database, facts, wish, params["sample_seconds"], run.live.check)
