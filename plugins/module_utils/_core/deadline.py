# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The time there is: an absolute end, turned into monotonic time once, so that a clock set back cannot extend it."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Callable, Optional

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Expired


class Deadline:
    """``end`` is an aware datetime or None (no limit)."""

    def __init__(self, end: Optional[datetime], ticks: Callable[[], float] = time.monotonic) -> None:
        self.end = end
        self._ticks = ticks
        self._stop = None if end is None else ticks() + (end - clock.now()).total_seconds()

    @classmethod
    def parse(cls, text: Optional[str], option: str = "deadline") -> Deadline:
        """None and the empty text mean no limit."""
        return cls(clock.parse(text, option) if text else None)

    def left(self) -> Optional[float]:
        """Seconds left, negative when over; None without a limit."""
        return None if self._stop is None else self._stop - self._ticks()

    def expired(self) -> bool:
        left = self.left()
        return left is not None and left <= 0

    def fits(self, seconds: float) -> bool:
        """Whether work of that length would end in time."""
        left = self.left()
        return left is None or seconds <= left

    def cut(self, seconds: float, least: float = 0.05) -> float:
        """As much of a timeout as there is time for; never nothing, which libraries take for "without end"."""
        left = self.left()
        return seconds if left is None else max(least, min(seconds, left))

    def came(self) -> Expired:
        """The error that says so."""
        return Expired(f"the deadline {clock.iso(self.end)} has come" if self.end else "the deadline has come")

    def check(self) -> None:
        """Raise :class:`Expired` when the time is over."""
        if self.expired():
            raise self.came()
