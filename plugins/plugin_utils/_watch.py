# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PRIVATE to the collection: what the controller does while a module works.

It keeps the live folder (see ``module_utils/_core/liveness.py``), shows the module's progress, renews the lease of the
run, and carries a stop order from the store to the module.
"""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from types import TracebackType
from typing import Callable, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.liveness import ALIVE, PROGRESS, STOP

TICK_SECONDS = 0.5
SHOW_SECONDS = 5.0
ORDERS_SECONDS = 5.0


def controller_pid() -> int:
    """The process that forked this worker: known from the fork, because a killed controller's worker lives on."""
    controller = multiprocessing.parent_process()
    return os.getppid() if controller is None or controller.pid is None else controller.pid


class Watch:
    """A context: enter before the module starts; ``folder`` is its option ``run.live``.

    ``scratch`` is the controller's own temporary folder. ``show`` prints one line. ``orders`` is asked every five
    seconds while the module works and returns why the work must stop, or None; it waits for the network beside the
    progress lines, not in their way.
    """

    def __init__(
        self, scratch: str, show: Callable[[str], None], orders: Optional[Callable[[], Optional[str]]] = None
    ) -> None:
        self._scratch = scratch
        self._show = show
        self._orders = orders
        self._over = threading.Event()
        self._shown = ("", 0.0)
        self._parent = controller_pid()
        self.folder = ""

    def __enter__(self) -> Watch:
        self.folder = tempfile.mkdtemp(prefix="day2-live-", dir=self._scratch)
        self._alive = os.open(os.path.join(self.folder, ALIVE), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._alive, fcntl.LOCK_EX)
        self._threads = [threading.Thread(target=self._follow, daemon=True)]
        if self._orders is not None:
            self._threads.append(threading.Thread(target=self._obey, daemon=True))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._over.set()
        for thread in self._threads[:1]:  # the other one may wait for a slow store; it ends with the process
            thread.join()
        if self._alive >= 0:
            os.close(self._alive)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _follow(self) -> None:
        """Until the module is done: let go of the lock when our own controller is gone; show progress."""
        while not self._over.wait(TICK_SECONDS):
            if os.getppid() != self._parent and self._alive >= 0:
                os.close(self._alive)
                self._alive = -1
            self._report()

    def _report(self) -> None:
        try:
            with open(os.path.join(self.folder, PROGRESS), encoding="utf-8") as told:
                text = sentence(**json.load(told))
        except FileNotFoundError:
            return
        last, when = self._shown
        if time.monotonic() - when >= (SHOW_SECONDS if text != last else 2 * SHOW_SECONDS):
            self._shown = (text, time.monotonic())
            self._show(text)

    def _obey(self) -> None:
        """At once, and then every few seconds: is there an order to stop?"""
        while not self._over.is_set():
            why = self._orders() if self._orders else None
            if why and not self._over.is_set():
                path = os.path.join(self.folder, STOP)
                with open(path + ".new", "w", encoding="utf-8") as out:
                    out.write(why)
                os.replace(path + ".new", path)
                return
            self._over.wait(ORDERS_SECONDS)


def sentence(text: str, fraction: Optional[float], left: Optional[float]) -> str:
    """
    >>> sentence("vacuum public.orders", 0.425, 61)
    'vacuum public.orders: 42 % done, about 61 s left'
    """
    parts = []
    if fraction is not None:
        parts.append(f"{int(fraction * 100)} % done")
    if left is not None:
        parts.append(f"about {left:.0f} s left")
    return f"{text}: {', '.join(parts)}" if parts else text
