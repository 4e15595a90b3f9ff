# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian's pgBackRest: a repository in a folder, into which a PostgreSQL server archives.

Debian 12 has 2.45, which knows PostgreSQL up to 15.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .downloads import Programs
from .postgres import SUPERUSER, Postgres, give_file, give_folder
from .processes import LabError, give, run, wait_until

# Those of its libraries that a small Debian does not have anyway.
PACKAGES = ("pgbackrest", "libpq5", "libldap-2.5-0", "libsasl2-2", "libxml2", "libicu72")
NEWEST = 15
STANZA = "main"
# What a server needs from its start; the command comes when the repository is there.
SETTINGS: dict[str, str] = {"archive_mode": "on", "archive_command": "false", "archive_timeout": "60"}


@dataclass
class PgBackRest:
    """One repository with one stanza. ``program`` is a script that finds its libraries and the server's password."""

    name: str
    postgres: Postgres
    folder: Path

    stanza = STANZA

    @property
    def program(self) -> Path:
        return self.folder / "pgbackrest"

    @property
    def config(self) -> Path:
        return self.folder / "pgbackrest.conf"

    @property
    def copies(self) -> Path:
        """A folder in which the server's user can make copies."""
        return self.folder / "copies"

    @classmethod
    def create(cls, name: str, postgres: Postgres, folder: Path, programs: Programs) -> PgBackRest:
        if postgres.major > NEWEST:
            raise LabError(f"Failed to make the repository {name}: pgBackRest 2.45 knows PostgreSQL up to {NEWEST}")
        made = cls(name, postgres, folder)
        program, libraries = programs.debian("pgbackrest", PACKAGES)
        account = postgres.account
        secret = give_file(folder / "pgpass", f"*:*:*:{SUPERUSER}:{postgres.password}\n", account)
        # The server that archives has a library path of its own, with another libpq.
        lines = ["#!/bin/sh", f"LD_LIBRARY_PATH='{libraries}'", f"PGPASSFILE='{secret}'"]
        lines += ["export LD_LIBRARY_PATH PGPASSFILE", f'exec {program} "$@"']
        give_file(made.program, "\n".join(lines) + "\n", account)
        give(made.program, account, 0o755)
        values: dict[str, object] = {
            "repo1-path": folder / "repository",
            "repo1-retention-full": 2,
            "compress-type": "zst",
            "start-fast": "y",
            "log-level-file": "off",
            "log-path": folder,
            "lock-path": folder,
            "spool-path": folder,
            "cmd": made.program,
        }
        server: dict[str, object] = {
            "pg1-path": postgres.data_dir,
            "pg1-port": postgres.port,
            "pg1-socket-path": postgres.socket_dir,
            "pg1-user": SUPERUSER,
        }
        lines = ["[global]", *(f"{key}={value}" for key, value in values.items())]
        lines += [f"[{STANZA}]", *(f"{key}={value}" for key, value in server.items())]
        give_file(made.config, "\n".join(lines) + "\n", account)
        give_folder(made.copies, account)
        made("stanza-create")
        made.archive()
        return made

    @property
    def archive_command(self) -> str:
        return f"{self.program} --config={self.config} --stanza={STANZA} archive-push %p"

    def archive(self, command: str | None = None) -> None:
        """Let the server archive here, or with another command."""
        self.postgres.configure(archive_command=command or self.archive_command)

    def __call__(self, command: str, *options: str) -> str:
        """Run a command of pgBackRest as the server's user; what it printed."""
        arguments: list[str | Path] = [self.program, f"--config={self.config}", f"--stanza={STANZA}", command]
        return run([*arguments, *options], cwd=self.folder, account=self.postgres.account)

    def info(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("info", "--output=json"))[0]
        return found

    def switch(self) -> str:
        """Close the current WAL segment and wait until it is in the repository; its name."""
        # An untouched segment is not closed.
        self.postgres.value("SELECT pg_create_restore_point('lab')")
        name = str(self.postgres.value("SELECT pg_walfile_name(pg_switch_wal())"))
        wait_until(lambda: (self.info()["archive"][-1]["max"] or "") >= name, f"{name} to be archived", every=0.1)
        return name

    def options(self) -> dict[str, Any]:
        """The option ``pgbackrest`` of the collection's modules."""
        found: dict[str, Any] = {"program": str(self.program), "config": str(self.config), "stanza": STANZA}
        return found | ({"user": "nobody"} if self.postgres.account else {})
