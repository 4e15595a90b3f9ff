# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Redis server: Valkey from a wheel, or Debian's redis-server."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .downloads import Programs
from .postgres import give_file
from .processes import Account, LabError, Process, free_port, serve

PACKAGES = ("redis-tools", "libatomic1", "libjemalloc2", "liblua5.1-0", "liblzf1", "lua-bitop", "lua-cjson")


@dataclass
class Redis:
    """One server, password set."""

    name: str
    folder: Path
    port: int
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    process: Process | None = None

    host = "127.0.0.1"

    @classmethod
    def create(
        cls,
        name: str,
        folder: Path,
        programs: Programs,
        account: Account | None,
        flavour: str,
        settings: Mapping[str, object] | None,
    ) -> Redis:
        if flavour == "valkey":
            argv: list[str | Path] = [programs.valkey() / "valkey-server"]
            libraries = ""
        elif flavour == "redis":
            # In Debian the server is redis-check-rdb under another name.
            program, libraries = programs.debian("redis-check-rdb", PACKAGES)
            link = folder / "redis-server"
            link.symlink_to(program.resolve())
            argv = [link]
        else:
            raise LabError(f"Failed to start Redis: no such flavour: {flavour} (valkey, redis)")
        import redis

        server = cls(name, folder, free_port())
        values: dict[str, object] = {
            "bind": server.host,
            "port": server.port,
            "requirepass": server.password,
            "dir": folder,
            "save": '""',
            "appendonly": "no",
            "daemonize": "no",
            "databases": 16,
        }
        lines = "".join(f"{key} {value}\n" for key, value in (values | dict(settings or {})).items())
        argv.append(give_file(folder / "redis.conf", lines, account))
        server.process = serve(
            f"Redis {name}",
            argv,
            folder=folder,
            account=account,
            answers=server._ping,
            silent=redis.ConnectionError,
            libraries=libraries,
        )
        return server

    def _ping(self) -> None:
        with self.client() as client:
            client.ping()

    def client(self, **more: Any) -> Any:
        """A redis.Redis."""
        import redis

        return redis.Redis(host=self.host, port=self.port, password=self.password, **more)

    def version(self) -> str:
        with self.client() as client:
            info = client.info("server")
        return str(info.get("valkey_version") or info["redis_version"])

    def login(self) -> dict[str, Any]:
        """The connection options of the collection's modules."""
        return {"login_host": self.host, "login_port": self.port, "login_password": self.password, "tls": False}

    def stop(self) -> None:
        if self.process:
            self.process.stop(seconds=5.0)

    def kill9(self) -> None:
        if self.process:
            self.process.stop(9)

    def __enter__(self) -> Redis:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
