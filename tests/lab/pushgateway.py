# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian's Pushgateway."""

from __future__ import annotations

import urllib.request
from dataclasses import dataclass
from pathlib import Path

from .downloads import Programs
from .processes import Account, Process, free_port, serve

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
        made.process = serve(
            f"Pushgateway {name}",
            [program, f"--web.listen-address={made.host}:{made.port}", "--log.level=warn"],
            folder=folder,
            account=account,
            answers=made.metrics,
            libraries=libraries,
        )
        return made

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def metrics(self) -> str:
        """What Prometheus would scrape."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:
            return bytes(answer.read()).decode()

    def stop(self) -> None:
        if self.process:
            self.process.stop()
