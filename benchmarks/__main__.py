# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the benchmarks, all of them or those in BENCH (or named), and prints one line of JSON for each figure."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator

from benchmarks import backup, bloated_night, health, idle_night, plan_size, retention
from benchmarks.measure import Figure


def postgresql() -> Iterator[Figure]:
    """All that the maintenance and the retention of a database promise."""
    for part in (idle_night, bloated_night, plan_size, retention):
        yield from part.run()


ALL: dict[str, Callable[[], Iterable[Figure]]] = {"backup": backup.run, "health": health.run, "postgresql": postgresql}
PARTS = {
    "idle_night": idle_night.run,
    "bloated_night": bloated_night.run,
    "plan_size": plan_size.run,
    "retention": retention.run,
}


def main() -> int:
    wanted = sys.argv[1:] or os.environ.get("BENCH", "").split() or list(ALL)
    known = {**ALL, **PARTS}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        print(f"There is no benchmark {unknown[0]}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    for name in wanted:
        for figure in known[name]():
            print(figure.line(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
