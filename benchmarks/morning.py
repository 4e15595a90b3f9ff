# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The morning check of twenty services, and a thousand certificates, against the same with the modules at hand.

Those are the modules of ansible-core and community.crypto, with one task for each check.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from benchmarks.measure import Figure
from tests.lab import Lab
from tests.lab.nginx import Nginx
from tests.lab.prometheus import Prometheus

ROUNDS = 3
SERVICES = 20
ENDPOINTS = 1000
# One task for each certificate: so many of them tell what a thousand would take.
BY_ONE = 40
# The package that holds community.crypto, of which no more is taken.
STOCK = "ansible==12.2.0"
TOP = Path(__file__).resolve().parents[1]
Task = dict[str, Any]


class Bench:
    """Playbooks played on this host, with the collections of both sides."""

    def __init__(self, folder: Path, pages: Nginx, prometheus: Prometheus) -> None:
        self.folder, self.pages, self.prometheus = folder, pages, prometheus
        self.query = f"{prometheus.url}/api/v1/query?" + urlencode({"query": "queue_depth"})
        self.certificate = {"host": "localhost", "port": pages.tls_port, "ca_cert": str(pages.certificate.ca_file)}
        python = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_pipelining": True,
        }
        self._write("inventory.yml", {"all": {"hosts": {"estate": {**python, **self._variables()}}}})
        _fetch(folder)

    def _variables(self) -> dict[str, Any]:
        names = [f"service-{number:02}" for number in range(SERVICES)]
        demand = {"path": "status", "equals": "UP"}
        return {
            "ops_run_dir": str(self.folder / "runs"),
            "http_health_endpoints": [
                {"name": name, "url": f"{self.pages.url}/health", "json": [demand]} for name in names
            ],
            "certificate_health_certificates": [{"name": name, **self.certificate} for name in names],
            "ops_prometheus": self.prometheus.options(),
            "prometheus_health_queries": [{"name": name, "query": "queue_depth", "warn": 50} for name in names],
        }

    def _write(self, name: str, content: Any) -> Path:
        path = self.folder / name
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return path

    def play(self, playbook: Path) -> float:
        """The seconds that it took."""
        command = ["ansible-playbook", str(playbook), "-i", str(self.folder / "inventory.yml")]
        env = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "ANSIBLE_COLLECTIONS_PATH": str(self.folder),
        }
        began = time.monotonic()
        done = subprocess.run(command, env=env, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return time.monotonic() - began

    def tasks(self, name: str, tasks: list[Task]) -> Callable[[], float]:
        path = self._write(f"{name}.yml", [{"hosts": "estate", "gather_facts": False, "tasks": tasks}])
        return lambda: self.play(path)

    def ours(self) -> list[Task]:
        given = self._variables()
        return [
            {"day2.ops.http_health_info": {"endpoints": given["http_health_endpoints"]}},
            {"day2.ops.certificate_info": {"certificates": given["certificate_health_certificates"]}},
            {"day2.ops.prometheus_info": {**given["ops_prometheus"], "queries": given["prometheus_health_queries"]}},
        ]

    def theirs(self) -> list[Task]:
        page = {
            "ansible.builtin.uri": {"url": f"{self.pages.url}/health", "return_content": True},
            "register": "page",
            "failed_when": "page.json.status != 'UP'",
        }
        depth = {
            "ansible.builtin.uri": {"url": self.query},
            "register": "depth",
            "failed_when": "depth.json.data.result[0].value[1] | float >= 50",
        }
        return [dict(one) for _service in range(SERVICES) for one in (page, self.by_one(), depth)]

    def by_one(self) -> Task:
        return {"community.crypto.get_certificate": self.certificate, "register": "certificate"}

    def at_once(self) -> list[Task]:
        certificates = [{"name": f"endpoint-{number:04}", **self.certificate} for number in range(ENDPOINTS)]
        return [{"day2.ops.certificate_info": {"certificates": certificates}}]


def _fetch(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--dest", str(folder), STOCK], check=True)
    (wheel,) = folder.glob("ansible-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder, [one for one in packed.namelist() if "ansible_collections/community/crypto/" in one])
    # Ours lies where the checkout is linked to.
    (folder / "ansible_collections" / "day2").mkdir()
    (folder / "ansible_collections" / "day2" / "ops").symlink_to(TOP)


def run() -> Iterator[Figure]:
    with Lab() as lab, tempfile.TemporaryDirectory() as place:
        prometheus = lab.prometheus()
        prometheus.tell("queue_depth", 12)
        bench = Bench(Path(place), lab.nginx(), prometheus)
        alone = bench.tasks("ours", bench.ours())
        peer = bench.tasks("theirs", bench.theirs())
        whole = TOP / "playbooks" / "daily-health-check.yml"
        turns = [(alone(), bench.play(whole), peer()) for _round in range(ROUNDS + 1)][1:]
        print(json.dumps(turns), file=sys.stderr)
        mine, page, theirs = (statistics.median(side) for side in zip(*turns, strict=True))
        yield Figure("morning_20.checks", mine, theirs, 0.1)
        yield Figure("morning_20.playbook_with_page", page, theirs, 0.1)
        many = bench.tasks("many", bench.at_once())
        loop = bench.tasks("loop", [{**bench.by_one(), "loop": list(range(BY_ONE))}])
        turns_of_many = [(many(), loop()) for _round in range(ROUNDS)]
        mine, theirs = (statistics.median(side) for side in zip(*turns_of_many, strict=True))
        yield Figure("certificates_1000", mine, theirs / BY_ONE * ENDPOINTS, 0.02)
