# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many small reads at once, each with an end of its own.

What a library cannot bound (a name that is not resolved, headers that come byte by byte) is given up here: its thread
is left behind, and another takes its place.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Callable, Sequence, TypeVar

from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.threads import Task

TICK_SECONDS = 0.1
# Work that knows its own end comes to it first, on a busy host, too: it can say more of what went wrong.
GRACE_SECONDS = 1.0
T = TypeVar("T")
R = TypeVar("R")


def fan_out(
    work: Callable[[T], R],
    items: Sequence[T],
    late: Callable[[T, str], R],
    *,
    jobs: int,
    limit: Callable[[T], float],
    deadline: Deadline,
    look: Callable[[int], object] = lambda done: None,
) -> list[R]:
    """``work`` on every item, ``jobs`` at a time; the results in the order of the items.

    An item that takes a second longer than its ``limit``, or that the deadline left, gets ``late(item, why)``.
    ``look``, which may raise, is told several times a second how many are done. What ``work`` raises is raised here.
    """
    waiting = deque(enumerate(items))
    running: dict[int, float] = {}
    done: queue.Queue[tuple[int, R]] = queue.Queue()
    over = threading.Event()

    def toil() -> None:
        while not over.is_set():
            try:
                index, item = waiting.popleft()
            except IndexError:
                return
            running[index] = time.monotonic()
            result = work(item)
            running.pop(index, None)
            done.put((index, result))

    found: dict[int, R] = {}
    crew = [Task(toil) for _worker in range(min(jobs, len(items)))]
    try:
        while len(found) < len(items) and not deadline.expired():
            look(len(found))
            with suppress(queue.Empty):
                index, result = done.get(timeout=TICK_SECONDS)
                found.setdefault(index, result)
            for task in [task for task in crew if task.over]:
                crew.remove(task)
                task.result()
            for index, began in list(running.items()):
                took = time.monotonic() - began
                if index not in found and took > limit(items[index]) + GRACE_SECONDS:
                    found[index] = late(items[index], f"it took more than {took:.1f} s")
                    running.pop(index, None)
                    crew.append(Task(toil))
    finally:
        over.set()
    return [found[index] if index in found else late(item, str(deadline.came())) for index, item in enumerate(items)]
