# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verdicts on what keeps the data: replication and persistence. Pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._redis import types
from ansible_collections.day2.ops.plugins.module_utils._redis.read import Facts
from ansible_collections.day2.ops.plugins.module_utils._redis.thresholds import Thresholds
from ansible_collections.day2.ops.plugins.module_utils._redis.types import SERVER


def replication(facts: Facts, thresholds: Thresholds) -> list[Check]:
    if facts.text("role") == "slave":
        return [_link(facts, thresholds)]
    found = []
    for replica in facts.replicas:
        online = replica.state == "online"
        lag = f", last heard of {replica.lag} s ago" if replica.lag is not None else ""
        found.append(
            types.REPLICATION(
                replica.name,
                replica.lag if online else None,
                status=None if online else "warn",
                **thresholds["lag"],
                summary=f"The replica {replica.name} is {replica.state}{lag}.",
                advice="See the replica's log, and the network between the two.",
                role="primary",
                state=replica.state,
            )
        )
    if not found:
        text = "This primary has no replica."
        found.append(types.REPLICATION(SERVER, None, status="ok", summary=text, role="primary", replicas=0))
    return found


def _link(facts: Facts, thresholds: Thresholds) -> Check:
    primary, state = f"{facts.text('master_host')}:{facts.text('master_port')}", facts.text("master_link_status")
    evidence: dict[str, Any] = {"role": "replica", "state": state, "primary": primary}
    if state == "up":
        heard = facts.number("master_last_io_seconds_ago")
        text = f"The link to the primary {primary} is up, last heard of {heard} s ago."
        advice = "See the network to the primary, and whether it is overloaded."
        return types.REPLICATION(SERVER, heard, **thresholds["lag"], summary=text, advice=advice, **evidence)
    down, copying = facts.number("master_link_down_since_seconds"), bool(facts.number("master_sync_in_progress"))
    since = f" for {down} s" if down is not None and down >= 0 else ""
    return types.REPLICATION(
        SERVER,
        down if down is not None and down >= 0 else None,
        status="warn" if copying else "crit",
        **thresholds["lag"],
        summary=f"The link to the primary {primary} is down{since}{'; a full copy is under way' if copying else ''}.",
        advice="Check that the primary runs and lets this replica in (masterauth, ACL, network).",
        **evidence,
    )


def replicas(facts: Facts, expected: int) -> Check:
    online = sum(replica.state == "online" for replica in facts.replicas)
    return types.REPLICAS(
        SERVER,
        online,
        # A threshold reached is not ok, so it lies one below what is expected.
        crit=expected - 1,
        summary=f"{online} of {expected} expected replicas are online.",
        advice="Bring the missing replicas back; their logs say why they are gone.",
        expected=expected,
    )


def persistence(facts: Facts, thresholds: Thresholds) -> list[Check]:
    status, saved, at = (
        facts.text("rdb_last_bgsave_status"),
        facts.number("rdb_last_save_time"),
        facts.number("server_time_usec"),
    )
    age = max(0, int(at / 1_000_000 - saved)) if saved is not None and at is not None else None
    changes = facts.number("rdb_changes_since_last_save")
    good = status in ("ok", "")
    how = "succeeded" if good else "failed"
    found = [
        types.PERSISTENCE(
            "rdb",
            age,
            status=None if good and age is not None else "ok" if good else "crit",
            **thresholds["save_age"],
            summary=f"The last snapshot {how}; {changes} changes since the last good one.",
            advice="See the server's log: it needs room on the disk and memory for a fork."
            if not good
            else "Save more often, or check why the server does not.",
            last_status=status,
            changes_since_save=changes,
            in_progress=bool(facts.number("rdb_bgsave_in_progress")),
        )
    ]
    if facts.number("aof_enabled"):
        found.append(_append_only(facts))
    return found


def _append_only(facts: Facts) -> Check:
    write, rewrite = facts.text("aof_last_write_status") or "ok", facts.text("aof_last_bgrewrite_status") or "ok"
    status = "crit" if write != "ok" else "warn" if rewrite != "ok" else "ok"
    words = {
        "crit": "The last write to the append-only file failed, so the server refuses writes.",
        "warn": "The last rewrite of the append-only file failed, so it grows.",
        "ok": "The append-only file is written.",
    }
    return types.PERSISTENCE(
        "aof",
        None,
        status=status,
        summary=words[status],
        advice="See the server's log: it needs room on the disk, and memory for a fork.",
        last_status=f"write {write}, rewrite {rewrite}",
        in_progress=bool(facts.number("aof_rewrite_in_progress")),
    )
