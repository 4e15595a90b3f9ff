# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian's Alertmanager, alone or in a cluster; alerts are brought to it as a Prometheus would."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from .downloads import Programs
from .postgres import give_file, give_folder
from .processes import Account, Process, free_port, serve, wait_until

PACKAGES = ("prometheus-alertmanager",)
_CONFIG = """\
route: {receiver: nobody}
receivers: [{name: nobody}]
inhibit_rules:
- source_matchers: ['severity="critical"']
  target_matchers: ['severity="warning"']
  equal: [alertname]
"""


# Where Debian's build looks for its templates, and the same place as a path from where it is started.
_SHARE = b"/usr/share/prometheus/alertmanager"
_HERE = b"./" * (len(_SHARE) // 2)


def _at_home(program: Path, folder: Path, account: Account | None) -> Path:
    """The program, where it finds its templates. One that is not installed gets a copy that looks beside itself."""
    if Path(_SHARE.decode(), "default.tmpl").is_file():
        return program
    share = program.parents[1] / "share" / "prometheus" / "alertmanager"
    for name in ("default.tmpl", "email.tmpl"):
        give_file(folder / name, (share / name).read_text(encoding="utf-8"), account)
    copy = folder / "alertmanager"
    copy.write_bytes(program.read_bytes().replace(_SHARE, _HERE))
    copy.chmod(0o755)
    return copy


@dataclass
class Alertmanager:
    """One server; ``peers`` are the cluster addresses of others. A critical alert inhibits the warning of its name."""

    name: str
    folder: Path
    port: int
    cluster_port: int
    process: Process | None = None
    clustered: bool = False
    sent: list[dict[str, Any]] = field(default_factory=list, repr=False)

    host = "127.0.0.1"

    @classmethod
    def create(
        cls, name: str, folder: Path, programs: Programs, account: Account | None, peers: Sequence[str] | None
    ) -> Alertmanager:
        made = cls(name, folder, free_port(), free_port(), clustered=peers is not None)
        program, libraries = programs.debian("prometheus-alertmanager", PACKAGES)
        config = give_file(folder / "alertmanager.yml", _CONFIG, account)
        program = _at_home(program, folder, account)
        argv: list[str | Path] = [program, f"--config.file={config}", "--log.level=warn"]
        argv += [f"--storage.path={give_folder(folder / 'data', account)}"]
        argv += [f"--web.listen-address={made.host}:{made.port}"]
        argv += [f"--cluster.listen-address={made.cluster if made.clustered else ''}"]
        argv += [f"--cluster.peer={peer}" for peer in peers or ()]
        if made.clustered:
            argv += ["--cluster.settle-timeout=1s", f"--cluster.advertise-address={made.cluster}"]
        made.process = serve(
            f"Alertmanager {name}",
            argv,
            folder=folder,
            account=account,
            answers=lambda: made._ask("/api/v2/status"),
            libraries=libraries,
        )
        return made

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def cluster(self) -> str:
        return f"{self.host}:{self.cluster_port}"

    def fire(self, alertname: str, severity: str = "", **labels: str) -> None:
        """Bring an alert; it fires until :meth:`end`, or for an hour."""
        given = {"alertname": alertname, **({"severity": severity} if severity else {}), **labels}
        self._send([given], timedelta(hours=1))
        self.sent.append(given)

    def end(self) -> None:
        """All alerts are over, all silences expire."""
        if self.sent:
            self._send(self.sent, timedelta(seconds=-1))
            self.sent = []
        for one in json.loads(self._ask("/api/v2/silences")):
            if one["status"]["state"] == "active":
                self._ask(f"/api/v2/silence/{one['id']}", method="DELETE")
        wait_until(lambda: self._ask("/api/v2/alerts").strip() == b"[]", "the alerts to end", 15.0, every=0.05)

    def _send(self, alerts: Sequence[dict[str, str]], lasting: timedelta) -> None:
        end = datetime.now(UTC) + lasting
        start = min(end, datetime.now(UTC)) - timedelta(minutes=5)
        self._ask(
            "/api/v2/alerts",
            [{"labels": one, "startsAt": start.isoformat(), "endsAt": end.isoformat()} for one in alerts],
        )

    def silence(self, **labels: str) -> None:
        matchers = [{"name": name, "value": value, "isRegex": False} for name, value in labels.items()]
        now = datetime.now(UTC)
        silence = {"matchers": matchers, "startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat()}
        self._ask("/api/v2/silences", {**silence, "createdBy": "lab", "comment": "a test"})

    def _ask(self, path: str, body: object = None, method: str | None = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return bytes(answer.read())

    def stop(self) -> None:
        if self.process:
            self.process.stop()
