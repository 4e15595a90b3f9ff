# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian's PgBouncer in front of a PostgreSQL server."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

import psycopg2.extensions
from psycopg2 import OperationalError

from .downloads import Programs
from .postgres import SUPERUSER, Postgres, give_file
from .processes import LabError, Process, free_port, serve

PACKAGES = ("pgbouncer", "libc-ares2", "libevent-2.1-7")


@dataclass
class PgBouncer:
    """One pooler. Knows the roles that the server's Postgres object knows; call reload() after create_role()."""

    name: str
    mode: str
    postgres: Postgres
    folder: Path
    port: int
    process: Process | None = None

    host = "127.0.0.1"

    @classmethod
    def create(cls, name: str, mode: str, postgres: Postgres, folder: Path, programs: Programs) -> PgBouncer:
        if mode not in ("session", "transaction", "statement"):
            raise LabError(f"Failed to start PgBouncer: no such pool mode: {mode}")
        pooler = cls(name, mode, postgres, folder, free_port())
        program, libraries = programs.debian("pgbouncer", PACKAGES)
        pooler._users()
        settings: dict[str, object] = {
            "listen_addr": pooler.host,
            "listen_port": pooler.port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": folder / "users.txt",
            "admin_users": SUPERUSER,
            "pool_mode": mode,
            "default_pool_size": 20,
            "max_client_conn": 200,
            "server_tls_sslmode": "verify-full" if postgres.certificate else "disable",
            "ignore_startup_parameters": "extra_float_digits",
        }
        if postgres.certificate:
            settings["server_tls_ca_file"] = postgres.certificate.ca_file
        lines = ["[databases]", f"* = host={postgres.host} port={postgres.port}", "[pgbouncer]"]
        lines += [f"{key} = {value}" for key, value in settings.items()]
        config = give_file(folder / "pgbouncer.ini", "\n".join(lines) + "\n", postgres.account)
        pooler.process = serve(
            f"PgBouncer {name}",
            [program, config],
            folder=folder,
            account=postgres.account,
            answers=lambda: pooler.connect("pgbouncer").close(),
            silent=OperationalError,
            libraries=libraries,
        )
        return pooler

    def _users(self) -> None:
        lines = [f'"{user}" "{secret}"\n' for user, secret in self.postgres.passwords.items()]
        give_file(self.folder / "users.txt", "".join(lines), self.postgres.account)

    def reload(self) -> None:
        """Take up roles made since the start."""
        self._users()
        if self.process:
            self.process.send(signal.SIGHUP)

    def dsn(self, dbname: str = "postgres", user: str = SUPERUSER, **more: object) -> str:
        return self.postgres.dsn(
            dbname, user, **({"host": self.host, "port": self.port, "sslmode": "disable", "sslrootcert": ""} | more)
        )

    def login(self, dbname: str = "postgres", user: str = SUPERUSER) -> dict[str, object]:
        """Connection options as Postgres.login() gives them, through the pooler."""
        options = self.postgres.login(dbname, user) | {"login_host": self.host, "login_port": self.port}
        return {key: value for key, value in options.items() if key not in ("ssl_mode", "ca_cert")}

    def connect(
        self, dbname: str = "postgres", user: str = SUPERUSER, *, autocommit: bool = True
    ) -> psycopg2.extensions.connection:
        connection = psycopg2.connect(self.dsn(dbname, user))
        connection.autocommit = autocommit
        return connection

    def stop(self) -> None:
        # SIGINT would wait for clients; there is nothing to save.
        if self.process:
            self.process.stop(signal.SIGTERM, 5.0)

    def __enter__(self) -> PgBouncer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
