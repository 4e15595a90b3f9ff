# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the plans said that vacuums and rebuilds would bring and take, against what they did."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.measure import Figure

Action = dict[str, Any]
RECLAIM, DURATION = 0.15, 1.5
# Seconds are told to a tenth: of what took less than one nobody plans a night.
LEAST_SECONDS = 1.0


@dataclass
class Seen:
    """Actions whose predictions count, and the bytes per second that were learnt meanwhile, as a store would keep
    them for the next night."""

    actions: list[Action] = field(default_factory=list)
    throughput: dict[str, float] = field(default_factory=dict)

    def learn(self, result: Mapping[str, Any]) -> None:
        """The very first night knows nothing of the server: its predictions do not count."""
        if self.throughput:
            self.actions += result["actions"]
        self.throughput = result["throughput"]


def figures(actions: Sequence[Action]) -> Iterator[Figure]:
    """Of the actions that were done: how far bytes were off, as a share, and seconds, as a factor either way."""
    done = [one for one in actions if one["action"] in ("reindex", "vacuum") and one["status"] == "done"]
    bytes_off = [abs(one["after"]["actual_bytes_ratio"] - 1) for one in done if one["after"].get("actual_bytes_ratio")]
    long = [one for one in done if max(one["after"]["seconds"], one["predicted"]["seconds"]) >= LEAST_SECONDS]
    factors = [_factor(one["predicted"]["seconds"], one["after"]["seconds"]) for one in long]
    for one in done:
        print(f"  {one['action']} {one['subject']}: {_told(one)}", file=sys.stderr)
    for name, values, goal in (("reclaim_error", bytes_off, RECLAIM), ("duration_factor", factors, DURATION)):
        print(f"{len(values)} actions for {name}", file=sys.stderr, flush=True)
        for share in (50, 90):
            yield Figure(f"prediction.{name}_p{share}", _percentile(values, share), None, goal)


def _told(one: Action) -> str:
    predicted, after = one["predicted"], one["after"]
    size = "bytes_reclaimed" if one["action"] == "reindex" else "bytes_reusable"
    return (
        f"{predicted.get(size, 0) / 1e6:.1f} MB in {predicted['seconds']} s predicted, "
        f"{after.get(size, 0) / 1e6:.1f} MB in {after['seconds']} s done"
    )


def _factor(predicted: float, actual: float) -> float:
    low, high = sorted((max(predicted, 0.1), max(actual, 0.1)))
    return high / low


def _percentile(values: Sequence[float], share: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * share // 100)]
