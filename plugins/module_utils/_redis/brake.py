# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The brake of work on a Redis server: what a PING takes, replicas that fall behind, forks; and whether to go on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.brake import GO, Limit, Signal, Verdict, judge_brake
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, Braked
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._redis.connect import Client
from ansible_collections.day2.ops.plugins.module_utils._redis.read import Facts, read

PING_SECONDS, INFO_SECONDS, PAUSE_SECONDS = 0.05, 1.0, 0.25
# Of three the middle one counts: a single slow answer is nobody's load.
PINGS = 3


@dataclass(frozen=True)
class BrakePolicy:
    """Limits in seconds and bytes; 0 switches one off. ``wait``: seconds of patience."""

    latency: float = 0.1
    replica_lag: float = 30.0
    replica_lag_bytes: int = 67_108_864
    fork: bool = True
    wait: float = 60.0

    def limits(self) -> list[Limit]:
        return [
            Limit("latency", "a PING takes {value:.3f} s (limit {limit:.3f} s)", self.latency or None),
            Limit("lag", "replica {who} is {value:.0f} s behind (limit {limit:.0f} s)", self.replica_lag or None),
            Limit(
                "lag_bytes",
                "replica {who} is {value:.0f} bytes behind (limit {limit:.0f})",
                self.replica_lag_bytes or None,
            ),
            # Whatever changes while a fork writes takes its memory twice.
            Limit("fork", "a snapshot or a rewrite of the append-only file is under way", 1 if self.fork else None),
        ]


def brake_spec() -> ArgumentSpec:
    given = BrakePolicy()
    kinds = {"latency": "float", "replica_lag": "float", "replica_lag_bytes": "int", "fork": "bool", "wait": "float"}
    options = {name: {"type": kind, "default": getattr(given, name)} for name, kind in kinds.items()}
    return ArgumentSpec({"brake": {"type": "dict", "apply_defaults": True, "options": options}})


def brake_of(params: Mapping[str, Any]) -> BrakePolicy:
    """From the options of :func:`brake_spec`; :class:`BadInput` for what cannot be meant."""
    for name, value in params["brake"].items():
        if value is None or value < 0:
            raise BadInput(f"brake.{name}: {value} is not possible; give a number above 0, or 0 to switch it off.")
    return BrakePolicy(**params["brake"])


def signals(facts: Facts, ping: Optional[float]) -> dict[str, Signal]:
    """What INFO and a PING say about load. A server without replicas has none that lag."""
    offset = facts.number("master_repl_offset")
    lags = [(replica.lag or 0, replica.name) for replica in facts.replicas if replica.state == "online"]
    behind = [(max(0, offset - one.offset), one.name) for one in facts.replicas if offset and one.offset is not None]
    lag, lag_bytes = max(lags, default=(0, "")), max(behind, default=(0, ""))
    fork = facts.number("rdb_bgsave_in_progress") or facts.number("aof_rewrite_in_progress") or 0
    return {
        "latency": Signal(ping, why="nothing has asked yet"),
        "lag": Signal(lag[0], lag[1]),
        "lag_bytes": Signal(lag_bytes[0], lag_bytes[1]),
        "fork": Signal(fork),
    }


class Brake:
    """Asked between two steps of work; remembers what it saw, for the action's result."""

    def __init__(
        self, run: Run, client: Client, policy: BrakePolicy, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._run, self._client, self._policy, self._clock = run, client, policy, clock
        self._pings: list[float] = []
        self._facts = Facts({}, (), ())
        self._ping_at = self._info_at = float("-inf")
        self.slowest = self.held = 0.0
        self.held_by = ""

    def hold(self) -> None:
        """Return when work may go on. Raises when it may not: deadline, stop, load for longer than ``wait``."""
        verdict, began = self._look(), self._clock()
        while verdict.word != GO:
            waited = self._clock() - began
            if waited >= self._policy.wait:
                raise Braked(f"{verdict.reason}, for {waited:.0f} s")
            self.held_by = verdict.signal
            self._run.live.sleep(PAUSE_SECONDS)
            self.held += PAUSE_SECONDS
            verdict = self._look()

    def measures(self) -> dict[str, Any]:
        """What an action's after says of it; the brake starts anew."""
        said = {
            "ping_seconds": round(self.slowest, 4),
            "braked_seconds": round(self.held, 1),
            "braked_by": self.held_by,
        }
        self.slowest, self.held, self.held_by = 0.0, 0.0, ""
        return said

    def _look(self) -> Verdict:
        self._run.live.check()
        self._run.deadline.check()
        now = self._clock()
        if now - self._ping_at >= PING_SECONDS:
            self._client.command("PING")
            took = self._clock() - now
            self._pings = [*self._pings, took][-PINGS:]
            self.slowest, self._ping_at = max(self.slowest, took), now
        if now - self._info_at >= INFO_SECONDS:
            self._facts, self._info_at = read(self._client), now
        middle = sorted(self._pings)[len(self._pings) // 2]
        return judge_brake(signals(self._facts, middle), self._policy.limits())
