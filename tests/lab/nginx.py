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
from .processes import Account, Process, free_port, serve
from .tls import Certificate

PACKAGES = ("nginx", "libpcre2-8-0")
_CONFIG = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
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
        made.process = serve(
            f"nginx {name}",
            [program, "-e", "stderr", "-p", folder, "-c", config],
            folder=folder,
            account=account,
            answers=lambda: socket.create_connection((made.host, made.tls_port), timeout=1).close(),
            libraries=libraries,
        )
        return made

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"https://localhost:{self.tls_port}"

    def stop(self) -> None:
        if self.process:
            self.process.stop()
