# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the benchmarks, all of them or those in BENCH (or named), and prints one line of JSON for each figure."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator

from benchmarks import (
    backup,
    bloated_night,
    corpus,
    health,
    idle_night,
    morning,
    partitions,
    plan_size,
    predictions,
    redis,
    retention,
)
from benchmarks.measure import Figure
from benchmarks.predictions import Seen


def postgresql() -> Iterator[Figure]:
    """All that the maintenance and the retention of a database promise."""
    seen = Seen()
    yield from idle_night.run()
    yield from bloated_night.run(seen)
    yield from corpus.run(seen)
    yield from predictions.figures(seen.actions)
    for part in (retention, partitions, plan_size):
        yield from part.run()


def whole_health() -> Iterator[Figure]:
    """The morning check and its page."""
    for part in (morning, health, redis):
        yield from part.run()


ALL: dict[str, Callable[[], Iterable[Figure]]] = {
    "backup": backup.run,
    "health": whole_health,
    "postgresql": postgresql,
}
PARTS = {
    "morning": morning.run,
    "report": health.run,
    "redis": redis.run,
    "idle_night": idle_night.run,
    "bloated_night": bloated_night.run,
    "corpus": corpus.run,
    "retention": retention.run,
    "partitions": partitions.run,
    "plan_size": plan_size.run,
}


def main() -> int:
    wanted = sys.argv[1:] or os.environ.get("BENCH", "").split() or list(ALL)
    known = {**ALL, **PARTS}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        print(f"There is no benchmark {unknown[0]}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as compiled:
        # What is measured starts from compiled modules, as installed programs do; the first round makes them.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = compiled
        for name in wanted:
            for figure in known[name]():
                print(figure.line(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
