# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verdicts on what clients feel: waiting, refused connections, forks, slow answers. Pure."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._redis import types
from ansible_collections.day2.ops.plugins.module_utils._redis.read import QUESTIONS, Facts
from ansible_collections.day2.ops.plugins.module_utils._redis.thresholds import Thresholds
from ansible_collections.day2.ops.plugins.module_utils._redis.types import SERVER

# A process that takes more of its host than this may find no room for the copy that a fork becomes under writes.
HEADROOM = 0.6


def load(facts: Facts, thresholds: Thresholds) -> list[Check]:
    found = [_blocked(facts, thresholds), _rejected(facts, thresholds), _fork(facts, thresholds)]
    if facts.answered is not None:
        found.append(_latency(facts.answered, thresholds))
    if facts.slow is not None:
        found.append(_slow(facts.slow, thresholds))
    return found


def _blocked(facts: Facts, thresholds: Thresholds) -> Check:
    blocked = facts.number("blocked_clients")
    said = "The server does not say how many clients wait." if blocked is None else f"{blocked} clients wait for data."
    return types.BLOCKED(
        SERVER,
        blocked,
        **thresholds["blocked_clients"],
        summary=said,
        advice="See what they wait for (CLIENT LIST): a queue that nobody fills, or consumers that are too many.",
        connected=facts.number("connected_clients"),
    )


def _rejected(facts: Facts, thresholds: Thresholds) -> Check:
    rejected, received = facts.number("rejected_connections"), facts.number("total_connections_received")
    share = None if rejected is None else rejected / max(1, rejected + (received or 0))
    said = "The server does not say whom it turned away."
    if rejected is not None:
        said = f"{rejected} connections were turned away since the start, as there were too many."
    return types.REJECTED(
        SERVER,
        share,
        **thresholds["rejected_connections"],
        summary=said if rejected != 0 else "No connection was turned away.",
        advice="Use connection pools in the clients, or raise maxclients and the limit of open files.",
        rejected=rejected,
        received=received,
        maxclients=facts.number("maxclients"),
    )


def _fork(facts: Facts, thresholds: Thresholds) -> Check:
    """Everybody waits while the server forks, and what is written meanwhile takes its memory twice."""
    spent, rss, system = (facts.number(name) for name in ("latest_fork_usec", "used_memory_rss", "total_system_memory"))
    seconds = None if spent is None else spent / 1_000_000
    said = "The server has not forked yet." if not seconds else f"The last fork held everybody up for {seconds:.3f} s."
    tight = bool(rss and system and rss / system > HEADROOM and _forks(facts))
    if tight and rss and system:
        said = f"{said} The process takes {rss / system:.0%} of the host's memory."
    judged = types.FORK(
        SERVER,
        seconds,
        **thresholds["fork"],
        summary=said if spent is not None else "The server does not say how long a fork takes.",
        advice="Switch transparent huge pages off, keep servers smaller, or save on a replica.",
        rss_bytes=rss,
        system_bytes=system,
    )
    if tight and judged["status"] in ("ok", "unknown"):
        advice = "A snapshot under writes may need as much memory again: set vm.overcommit_memory to 1 and leave room."
        judged.update(status="warn", advice=advice)
    return judged


def _forks(facts: Facts) -> bool:
    return bool(facts.number("aof_enabled") or facts.number("rdb_saves") or facts.number("latest_fork_usec"))


def _latency(answered: float, thresholds: Thresholds) -> Check:
    return types.LATENCY(
        SERVER,
        answered,
        **thresholds["latency"],
        summary=f"The longest of {QUESTIONS} small questions was answered in {answered * 1000:.1f} ms.",
        advice="See SLOWLOG GET for commands that take long, and the host for load, swap and the network.",
        questions=QUESTIONS,
    )


def _slow(slow: int, thresholds: Thresholds) -> Check:
    return types.SLOW(
        SERVER,
        slow,
        **thresholds["slow_commands"],
        summary=f"The slow log holds {slow} commands.",
        advice="SLOWLOG GET shows them; KEYS, and reads or deletes of big keys as a whole, are the usual ones.",
    )
