# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a piece of work costs, and how it compares: medians of interleaved runs."""

from __future__ import annotations

import json
import os
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.lab.postgres import Postgres


@dataclass(frozen=True)
class Figure:
    """``ours`` against ``peer`` (None: there is none, and ``ours`` itself is held against the goal).

    The goal is not to be exceeded, with ``at_least`` it is to be reached.
    """

    id: str
    ours: float
    peer: float | None
    goal: float
    at_least: bool = False

    def line(self) -> str:
        ratio = self.ours if self.peer is None else self.ours / self.peer
        told = {"id": self.id, "ours": round(self.ours, 3), "peer": None if self.peer is None else round(self.peer, 3)}
        met = ratio >= self.goal if self.at_least else ratio <= self.goal
        return json.dumps({**told, "ratio": round(ratio, 4), "goal": self.goal, "met": met})


@dataclass(frozen=True)
class Cost:
    """Seconds of wall and CPU (of server and client); the most memory and temporary files that clients held, bytes."""

    wall: float
    cpu: float
    memory: int
    temporary: int
    result: object = None


def server_cpu(server: Postgres) -> float:
    """Seconds of CPU of the postmaster and of all its children, ended ones included."""
    assert server.process is not None
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text(encoding="ascii", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = text.rpartition(")")[2].split()
        if int(stat.parent.name) == server.process.pid:
            ticks += sum(map(int, fields[11:15]))
        elif int(fields[1]) == server.process.pid:
            ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def client_cpu() -> float:
    """Seconds of CPU of all processes that this one started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _family_memory() -> int:
    """Resident bytes of all descendants of this process, together."""
    parents: dict[int, tuple[int, int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            name, _bracket, rest = stat.read_text(encoding="ascii", errors="replace").rpartition(")")
            fields = rest.split()
            if name.endswith("(postgres"):  # the server's memory is not the client's
                continue
            parents[int(stat.parent.name)] = (int(fields[1]), int(fields[21]))
    ours, total, grown = {os.getpid()}, 0, True
    while grown:
        more = {pid for pid, (parent, _pages) in parents.items() if parent in ours} - ours
        grown = bool(more)
        ours |= more
    total = sum(parents[pid][1] for pid in ours - {os.getpid()} if pid in parents)
    return total * os.sysconf("SC_PAGE_SIZE")


def _temporary_files() -> int:
    """Bytes in the folder for temporary files, without those of the lab."""
    total = 0
    for folder, folders, files in os.walk(tempfile.gettempdir()):
        folders[:] = [name for name in folders if not name.startswith("day2-lab-")]
        for name in files:
            with suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


def cost(server: Postgres, work: Callable[[], object], *, memory: bool = False) -> Cost:
    """What ``work``, which starts its own processes and waits for them, costs."""
    peak, temporary, over = 0, 0, threading.Event()

    def watch() -> None:
        nonlocal peak, temporary
        while not over.wait(0.2):
            peak = max(peak, _family_memory())
            temporary = max(temporary, _temporary_files())

    watcher = threading.Thread(target=watch)
    before, files = _family_memory(), _temporary_files()
    if memory:
        watcher.start()
    cpu = server_cpu(server) + client_cpu()
    began = time.monotonic()
    try:
        result = work()
        wall = time.monotonic() - began
    finally:
        over.set()
    if memory:
        watcher.join()
    return Cost(wall, server_cpu(server) + client_cpu() - cpu, peak - before, temporary - files, result)


def interleaved(
    server: Postgres, works: Sequence[Callable[[], object]], rounds: int, *, memory: bool = False
) -> list[list[Cost]]:
    """The costs of each work, run in turns; one round beforehand does not count."""
    for work in works:
        work()
    turns = [[cost(server, work, memory=memory) for work in works] for _round in range(rounds)]
    return [list(of_one) for of_one in zip(*turns, strict=True)]


def median(costs: Sequence[Cost], of: Callable[[Cost], float]) -> float:
    return statistics.median(map(of, costs))
