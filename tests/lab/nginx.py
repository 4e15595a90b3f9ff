# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian's nginx: a few pages, over http and, with the lab's certificate for localhost, over https."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from .downloads import Programs
from .postgres import give_file, give_folder
from .processes import Account, LabError, Process, free_port, spawn, wait_until
from .tls import Certificate

PACKAGES = ("nginx", "libpcre2-8-0")
_CONFIG = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/server.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/tmp/body; proxy_temp_path {folder}/tmp/proxy; fastcgi_temp_path {folder}/tmp/fastcgi;
  uwsgi_temp_path {folder}/tmp/uwsgi; scgi_temp_path {folder}/tmp/scgi;
  server {{
    listen 127.0.0.1:{port};
    listen 127.0.0.1:{tls_port} ssl;
    ssl_certificate {certificate.cert_file};
    ssl_certificate_key {certificate.key_file};
    location = /health {{
      default_type application/json;
      return 200 '{{"status": "UP", "database": {{"ok": true, "free": 12}}, "queues": [{{"length": 3}}]}}';
    }}
    location = /half {{ default_type application/json; return 200 '{{"status": "U'; }}
    location = /broken {{ return 500 'no'; }}
    location = /moved {{ return 302 /health; }}
    location = /away {{ return 302 $arg_to; }}
  }}
}}
"""


@dataclass
class Nginx:
    """One server: /health, /half (of a JSON text), /broken (500), /moved (to /health), /away?to=<address>."""

    name: str
    folder: Path
    port: int
    tls_port: int
    certificate: Certificate
    process: Process | None = None

    host = "127.0.0.1"

    @classmethod
    def create(
        cls, name: str, folder: Path, programs: Programs, account: Account | None, certificate: Certificate
    ) -> Nginx:
        made = cls(name, folder, free_port(), free_port(), certificate)
        program, libraries = programs.debian("nginx", PACKAGES)
        give_folder(folder / "tmp", account)
        config = give_file(folder / "nginx.conf", _CONFIG.format(**vars(made)), account)
        env = {"LD_LIBRARY_PATH": libraries} if libraries else {}
        argv: list[str | Path] = [program, "-e", "stderr", "-p", folder, "-c", config]
        made.process = spawn(argv, cwd=folder, log=folder / "start.log", account=account, env=env)
        wait_until(made._ready, f"nginx {name} to start", 15.0, every=0.05)
        return made

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"https://localhost:{self.tls_port}"

    def _ready(self) -> bool:
        if self.process is None or not self.process.alive():
            logs = (self.folder / name for name in ("start.log", "server.log"))
            words = "".join(log.read_text(encoding="utf-8", errors="replace") for log in logs if log.exists())
            raise LabError(f"Failed to start nginx {self.name}: {words.strip()[-1500:]}")
        try:
            with socket.create_connection((self.host, self.tls_port), timeout=1):
                return True
        except OSError:
            return False

    def stop(self) -> None:
        if self.process:
            self.process.stop()
