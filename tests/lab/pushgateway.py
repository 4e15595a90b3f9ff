# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian's Pushgateway."""

from __future__ import annotations

import urllib.request
from dataclasses import dataclass
from pathlib import Path

from .downloads import Programs
from .processes import Account, LabError, Process, free_port, spawn, wait_until

PACKAGES = ("prometheus-pushgateway",)


@dataclass
class Pushgateway:
    name: str
    folder: Path
    port: int
    process: Process | None = None

    host = "127.0.0.1"

    @classmethod
    def create(cls, name: str, folder: Path, programs: Programs, account: Account | None) -> Pushgateway:
        made = cls(name, folder, free_port())
        program, libraries = programs.debian("prometheus-pushgateway", PACKAGES)
        made.process = spawn(
            [program, f"--web.listen-address={made.host}:{made.port}", "--log.level=warn"],
            cwd=folder,
            log=folder / "server.log",
            account=account,
            env={"LD_LIBRARY_PATH": libraries} if libraries else {},
        )
        wait_until(made._ready, f"Pushgateway {name} to start", 30.0, every=0.05)
        return made

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def metrics(self) -> str:
        """What Prometheus would scrape."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:
            return bytes(answer.read()).decode()

    def _ready(self) -> bool:
        if self.process is None or not self.process.alive():
            words = (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")
            raise LabError(f"Failed to start Pushgateway {self.name}: {words.strip()[-1500:]}")
        try:
            return bool(self.metrics())
        except OSError:
            return False

    def stop(self) -> None:
        if self.process:
            self.process.stop()
