# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work in threads of its own: what one makes and another takes, and waiting for it without ceasing to look around.

The threads are daemons: whatever hangs in them, the process can end.
"""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from typing import Any, Callable, Generic, Iterator, Optional, TypeVar

# What waits between two threads: pieces are of a mebibyte at most.
DEPTH = 16
TICK_SECONDS = 0.25
T = TypeVar("T")


class Unwanted(Exception):
    """Nobody takes the pieces any more."""


class _Outcome:
    """Carries an error of a thread over to whoever waits for what it makes."""

    failure: Optional[BaseException] = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: Any, error: Optional[BaseException], _trace: Any) -> bool:
        self.failure = error
        return True


class Task(Generic[T]):
    """``work``, begun in a thread of its own. What it returns or raises is for whoever waits."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._result: list[T] = []
        self._outcome = _Outcome()
        self._over = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with self._outcome:
            self._result.append(self._work())
        self._over.set()

    @property
    def over(self) -> bool:
        return self._over.is_set()

    def result(self, look: Callable[[], Any] = lambda: None) -> T:
        """Wait for the end, calling ``look``, which may raise, at each tick."""
        while not self._over.wait(TICK_SECONDS):
            look()
        if self._outcome.failure is not None:
            raise self._outcome.failure
        return self._result[0]


def threaded(
    produce: Callable[[Callable[[T], None]], None], depth: int = DEPTH, look: Optional[Callable[[], Any]] = None
) -> Iterator[T]:
    """What ``produce`` writes, made in a thread of its own, ``depth`` pieces ahead. An error there is raised here.

    ``look``, which may raise, is called at each tick of waiting for a piece.
    """
    pieces: queue.Queue[list[T]] = queue.Queue(depth)
    unwanted = threading.Event()

    def put(*piece: T) -> None:
        while not unwanted.is_set():
            with suppress(queue.Full):
                pieces.put(list(piece), timeout=TICK_SECONDS)
                return
        raise Unwanted

    def work() -> None:
        try:
            produce(put)
        finally:
            with suppress(Unwanted):
                put()  # nothing: the end

    task = Task(work)
    try:
        while True:
            piece = _next(pieces, look) if look else pieces.get()
            if not piece:
                break
            yield piece[0]
    finally:
        unwanted.set()
    task.result()


def _next(pieces: queue.Queue[T], look: Callable[[], Any]) -> T:
    while True:
        with suppress(queue.Empty):
            return pieces.get(timeout=TICK_SECONDS)
        look()
