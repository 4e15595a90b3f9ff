# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The brake's options and the limits that follow from them: option ``brake``, in one place."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.brake import Limit
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._observability.prometheus import Prometheus
from ansible_collections.day2.ops.plugins.module_utils._observability.service import http_constraints, http_options

# The server needs a moment to cancel, and we to look: nobody shall wait longer than the limit all the same.
EARLY = 0.75
# Waiting for older transactions may take its time; waiting for a table's lock is no use.
LOCK_WAITS = 3
DISK_SOURCES = ("disk_capacity_bytes", "disk_available_bytes", "disk_free_query")


@dataclass(frozen=True)
class BrakePolicy:
    """Limits in seconds, sessions and bytes; None or 0 switches one off. ``wait``: seconds of patience.

    ``required``: what is looked at by itself holds work back when it cannot be read. What an option has asked for
    always does.
    """

    lock_timeout: float = 2.0
    blocked_sessions: Optional[int] = 20
    replica_lag: Optional[float] = 60.0
    replica_lag_bytes: Optional[int] = 1 << 30
    replica_gone: Optional[float] = 15.0
    slot_retained_bytes: Optional[int] = None
    latency: Optional[float] = None
    latency_query: Optional[str] = None
    disk_free_bytes: Optional[int] = None
    disk_capacity_bytes: Optional[int] = None
    disk_available_bytes: Optional[int] = None
    disk_free_query: Optional[str] = None
    prometheus: Optional[Mapping[str, Any]] = None
    wait: float = 60.0
    required: bool = True

    @property
    def disk_source(self) -> Optional[str]:
        """The option that says how much disk is free; None when nobody does."""
        return next((name for name in DISK_SOURCES if getattr(self, name)), None)

    def limits(self) -> list[Limit]:
        """At twice the load at which nothing new begins, running work is cancelled."""
        must = self.required
        held_up = f"another session waited {{value:.1f}} s for it (limit {self.lock_timeout:.1f} s)"
        free = (self.disk_free_bytes or 0) if self.disk_source else None
        return [
            Limit(
                "waiting",
                "it waited {value:.0f} s for its lock (limit {limit:.0f} s)",
                stop=self.lock_timeout * LOCK_WAITS,
                required=must,
                what="what it waits for",
            ),
            Limit("held_up", held_up, stop=self.lock_timeout * EARLY, required=must, what="who waits for it"),
            _load(
                "blocked",
                "{value:.0f} sessions wait for locks (limit {limit:.0f})",
                self.blocked_sessions,
                must,
                "the number of sessions that wait for locks",
            ),
            _load(
                "lag",
                "replica {who} is {value:.0f} s behind (limit {limit:.0f} s)",
                self.replica_lag,
                must,
                "the lag of replicas in seconds",
            ),
            _load(
                "lag_bytes",
                "replica {who} is {value:.0f} bytes behind (limit {limit:.0f})",
                self.replica_lag_bytes,
                must,
                "the lag of replicas in bytes",
            ),
            _load(
                "gone",
                "replica {who}, there when the work began, is gone for {value:.0f} s (limit {limit:.0f} s)",
                self.replica_gone,
                must,
                "whether replicas are still there",
            ),
            _load(
                "slots",
                "slot {who} keeps {value:.0f} bytes of WAL (limit {limit:.0f})",
                self.slot_retained_bytes,
                True,
                "the WAL that slots keep",
            ),
            _load(
                "latency",
                "a small query takes {value:.2f} s (limit {limit:.2f} s)",
                self.latency,
                True,
                "the latency of queries",
            ),
            Limit(
                "disk",
                "{value:.0f} bytes of disk are free (limit {limit:.0f})",
                free,
                free,
                "below",
                required=True,
                what="the free disk",
            ),
        ]


def _load(signal: str, text: str, limit: Optional[float], required: bool, what: str) -> Limit:
    on = limit or None
    return Limit(signal, text, on, None if on is None else on * 2, required=required, what=what)


def brake_spec() -> ArgumentSpec:
    """Option ``brake``: shared by all modules that put load on a server."""
    given = BrakePolicy()
    types = {
        **dict.fromkeys(("blocked_sessions", "replica_lag_bytes", "slot_retained_bytes"), "int"),
        **dict.fromkeys(("disk_free_bytes", "disk_capacity_bytes", "disk_available_bytes"), "int"),
        **dict.fromkeys(("replica_lag", "replica_gone", "latency", "wait"), "float"),
        **dict.fromkeys(("latency_query", "disk_free_query"), "str"),
        "required": "bool",
    }
    options: dict[str, Any] = {}
    for name, kind in types.items():
        default = getattr(given, name)
        options[name] = {"type": kind} if default is None else {"type": kind, "default": default}
    options["prometheus"] = {"type": "dict", "options": http_options(), **http_constraints()}
    return ArgumentSpec({"brake": {"type": "dict", "apply_defaults": True, "options": options}})


def brake_of(params: Mapping[str, Any]) -> BrakePolicy:
    """From the options of :func:`brake_spec`, and ``lock_timeout`` where there is one.

    :class:`BadInput` for what cannot be meant.
    """
    given = dict(params["brake"])
    if params.get("lock_timeout") is not None:
        given["lock_timeout"] = params["lock_timeout"]
    policy = BrakePolicy(**given)
    _check(policy)
    return policy


def _check(policy: BrakePolicy) -> None:
    for one in fields(policy):
        value = getattr(policy, one.name)
        if isinstance(value, (int, float)) and value < 0:
            raise BadInput(f"brake.{one.name}: {value:g} is negative; give a number above 0, or 0 to switch it off.")
    sources = [f"brake.{name}" for name in DISK_SOURCES if getattr(policy, name)]
    if len(sources) > 1:
        raise BadInput(f"{sources[0]}: {' and '.join(sources[1:])} says the same; give one of them.")
    if policy.disk_free_bytes and not sources:
        raise BadInput(
            "brake.disk_free_bytes: nobody says how much is free; give brake.disk_capacity_bytes, "
            "brake.disk_available_bytes or brake.disk_free_query."
        )
    if policy.latency_query and not policy.latency:
        raise BadInput("brake.latency_query: it has no limit; give the seconds that it may take as brake.latency.")
    if policy.disk_free_query and not policy.prometheus:
        raise BadInput("brake.disk_free_query: say whom to ask; give brake.prometheus with the url of a Prometheus.")
    if policy.prometheus:
        if not policy.disk_free_query:
            raise BadInput("brake.prometheus: it has nothing to ask; give the query as brake.disk_free_query.")
        Prometheus(policy.prometheus, "brake.prometheus")
