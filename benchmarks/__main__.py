# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the benchmarks, all of them or those in BENCH (or named), and prints one line of JSON for each figure."""

from __future__ import annotations

import os
import sys

from benchmarks import backup, idle_night

ALL = {"idle_night": idle_night.run, "backup": backup.run}


def main() -> int:
    wanted = sys.argv[1:] or os.environ.get("BENCH", "").split() or list(ALL)
    unknown = [name for name in wanted if name not in ALL]
    if unknown:
        print(f"There is no benchmark {unknown[0]}; there are: {', '.join(ALL)}", file=sys.stderr)
        return 2
    for name in wanted:
        for figure in ALL[name]():
            print(figure.line(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
