# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian's Prometheus, and in this process the exporter that it scrapes, ten times a second."""

from __future__ import annotations

import ctypes
import json
import secrets
import ssl
import threading
import urllib.request
from base64 import b64encode
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from .downloads import Programs
from .postgres import give_file, give_folder
from .processes import Account, Process, free_port, serve, wait_until
from .tls import Certificate

PACKAGES = ("prometheus",)
USER = "lab"
_CONFIG = """\
global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}
scrape_configs:
- job_name: lab
  static_configs: [{{targets: ['127.0.0.1:{port}']}}]
"""


class _Exporter(ThreadingHTTPServer):
    """Serves gauges; every process may read them, so there is nothing secret in them."""

    daemon_threads = True
    gauges: dict[str, float]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scrape that is cut off is nobody's concern."""


class _Page(BaseHTTPRequestHandler):
    server: _Exporter

    def do_GET(self) -> None:
        body = "".join(f"{name} {value}\n" for name, value in sorted(self.server.gauges.items())).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Ten times a second is too often to tell."""


@dataclass
class Prometheus:
    """One server. With a certificate it speaks TLS and asks for a user and a password."""

    name: str
    folder: Path
    certificate: Certificate | None
    account: Account | None
    port: int = 0
    process: Process | None = None
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    arguments: list[str | Path] = field(default_factory=list, repr=False)
    libraries: str = ""
    exporter: _Exporter = field(default_factory=lambda: _Exporter(("127.0.0.1", 0), _Page), repr=False)

    host = "127.0.0.1"

    @classmethod
    def create(
        cls, name: str, folder: Path, programs: Programs, account: Account | None, certificate: Certificate | None
    ) -> Prometheus:
        made = cls(name, folder, certificate, account, free_port())
        made.exporter.gauges = {}
        threading.Thread(target=made.exporter.serve_forever, daemon=True).start()
        program, made.libraries = programs.debian("prometheus", PACKAGES)
        config = give_file(folder / "prometheus.yml", _CONFIG.format(port=made.exporter.server_port), account)
        made.arguments = [program, f"--config.file={config}", "--log.level=warn"]
        made.arguments += [f"--storage.tsdb.path={give_folder(folder / 'data', account)}"]
        made.arguments += [f"--web.listen-address={made.host}:{made.port}"]
        if certificate:
            made.arguments.append(f"--web.config.file={give_file(folder / 'web.yml', made._web(certificate), account)}")
        made.start()
        return made

    def _web(self, certificate: Certificate) -> str:
        return json.dumps(
            {
                "tls_server_config": {
                    "cert_file": str(certificate.cert_file),
                    "key_file": str(certificate.key_file),
                },
                "basic_auth_users": {USER: _bcrypt(self.password)},
            }
        )

    def start(self) -> None:
        self.process = serve(
            f"Prometheus {self.name}",
            self.arguments,
            folder=self.folder,
            account=self.account,
            answers=lambda: self._get("/-/ready"),
            libraries=self.libraries,
        )

    def stop(self) -> None:
        if self.process:
            self.process.stop()

    def close(self) -> None:
        """The end of the exporter; the server ends with its folder."""
        self.exporter.shutdown()
        self.exporter.server_close()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}" if self.certificate else f"http://{self.host}:{self.port}"

    def options(self, **more: Any) -> dict[str, Any]:
        """The option ``prometheus`` of the collection's modules."""
        found: dict[str, Any] = {"url": self.url}
        if self.certificate:
            found |= {"ca_cert": str(self.certificate.ca_file), "username": USER, "password": self.password}
        return found | more

    def tell(self, name: str, value: float | None) -> None:
        """Set a gauge, such as ``free{disk="a"}``, or with None end it; returns when the server has it."""
        if value is None:
            self.exporter.gauges.pop(name)
        else:
            self.exporter.gauges[name] = value
        wanted = [] if value is None else [float(value)]
        wait_until(lambda: self.ask(name) == wanted, f"Prometheus {self.name} to know {name}", 15.0, every=0.05)

    def ask(self, query: str) -> list[float]:
        """The values that a query finds."""
        told = json.loads(self._get("/api/v1/query?" + urlencode({"query": query})))
        return [float(one["value"][1]) for one in told["data"]["result"]]

    def _get(self, path: str) -> bytes:
        request = urllib.request.Request(self.url + path)
        context = None
        if self.certificate:
            given = b64encode(f"{USER}:{self.password}".encode()).decode()
            request.add_header("Authorization", f"Basic {given}")
            context = ssl.create_default_context(cafile=str(self.certificate.ca_file))
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:
            return bytes(answer.read())


def _bcrypt(password: str) -> str:
    """What Prometheus keeps of a password. Python has no bcrypt of its own, the system's library does."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    salt = f"$2b$04${secrets.token_hex(11)}"
    hashed: bytes = library.crypt(password.encode(), salt.encode())
    return hashed.decode("ascii")
