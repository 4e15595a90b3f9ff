# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Liveness: a module knowing that its run still wants it.

The action plugin keeps a *live folder* for each task: the file ``alive``, locked for as long as the controller lives;
``stop``, written when a stop order or a lost lease ends the work; ``progress``, written by the module for people. A
killed controller releases its lock, which is how the module notices: parent-death signals do not reach it.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.errors import Stopped

ALIVE, STOP, PROGRESS = "alive", "stop", "progress"
POLL_SECONDS = 0.5
# A module that is waiting in a call which polls nothing is pulled out of it after this long.
PATIENCE_SECONDS = 2.0


class Liveness:
    """``folder`` is the live folder, or None where no controller watches (then only signals count)."""

    def __init__(self, folder: Optional[str] = None) -> None:
        self.folder = folder
        self._signal: Optional[str] = None
        self._polled = 0.0
        self._shown = 0.0

    def arm(self) -> None:
        """From now on a signal stops the work in order: at the next :meth:`check`, or after two seconds anywhere."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._caught)
        signal.signal(signal.SIGALRM, self._overdue)

    def _caught(self, number: int, frame: Any) -> None:
        if self._signal is None:
            self._signal = signal.Signals(number).name
            signal.setitimer(signal.ITIMER_REAL, PATIENCE_SECONDS)

    def _overdue(self, number: int, frame: Any) -> None:
        self._raise(f"the module received {self._signal}")

    def _raise(self, why: str) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise Stopped(f"Stopped: {why}.")

    def reason(self) -> Optional[str]:
        """Why the work should stop now, or None. Cheap: the files are looked at twice a second."""
        if self._signal is not None:
            return f"the module received {self._signal}"
        if self.folder is None or time.monotonic() - self._polled < POLL_SECONDS:
            return None
        self._polled = time.monotonic()
        try:
            with open(os.path.join(self.folder, STOP), encoding="utf-8") as order:
                return order.read().strip() or "a stop was ordered"
        except FileNotFoundError:
            pass
        return None if _held(os.path.join(self.folder, ALIVE)) else "the controller of this run is gone"

    def check(self) -> None:
        """Raise :class:`Stopped` when the run no longer wants this work; call it at least twice a second."""
        why = self.reason()
        if why is not None:
            self._raise(why)

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than the run wants."""
        until = time.monotonic() + seconds
        while True:
            self.check()
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, POLL_SECONDS))

    def progress(self, text: str, fraction: Optional[float] = None, left: Optional[float] = None) -> None:
        """Tell people how far the work is: ``fraction`` of 1, ``left`` in seconds. At most once a second."""
        if self.folder is None or time.monotonic() - self._shown < 1.0:
            return
        self._shown = time.monotonic()
        path = os.path.join(self.folder, PROGRESS)
        try:
            with open(path + ".new", "w", encoding="utf-8") as out:
                json.dump({"text": text, "fraction": fraction, "left": left}, out)
            os.replace(path + ".new", path)
        except FileNotFoundError:  # the controller took its folder away: the next check tells
            pass


def _held(path: str) -> bool:
    """Whether somebody else holds the lock on ``path``."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(handle)
