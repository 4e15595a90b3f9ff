# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A signal that takes its time is read in a thread of its own: whoever must be quick takes the latest reading."""

from __future__ import annotations

import threading
import time
from typing import Callable, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.brake import Signal
from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError

FIRST_SECONDS = 12.0
LATE_SECONDS = 10.0


class Sampler:
    """Calls ``read`` every so many seconds, from the first question on until it is closed.

    A reading that failed is a signal without a value; so is one that is overdue, for whatever reason.
    """

    def __init__(
        self, read: Callable[[], Signal], every: float, *, first: float = FIRST_SECONDS, late: float = LATE_SECONDS
    ) -> None:
        self._read = read
        self._every = every
        self._first = first
        self._late = late
        self._over = threading.Event()
        self._there = threading.Event()
        self._thread: Optional[threading.Thread] = None
        self._latest = Signal(None, why="it gave no answer in time")
        self._at = 0.0

    def latest(self) -> Signal:
        """The latest reading. Only the very first is waited for, some seconds."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        self._there.wait(self._first)
        if self._there.is_set() and time.monotonic() - self._at > self._every + self._late:
            return Signal(None, why=f"it gave no answer for {time.monotonic() - self._at:.0f} s")
        return self._latest

    def close(self) -> None:
        """No more readings. One that hangs is left to end by itself."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(0.5)

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._latest = self._read()
            except OpsError as error:
                self._latest = Signal(None, why=str(error).rstrip("."))
            self._at = time.monotonic()
            self._there.set()
            self._over.wait(self._every)
