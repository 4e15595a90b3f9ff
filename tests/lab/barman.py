# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian's Barman, with a server that archives into it. It runs as whoever runs the lab, like S3."""

from __future__ import annotations

import getpass
import sys
from dataclasses import dataclass
from pathlib import Path

from .downloads import Programs
from .postgres import Postgres, give_file
from .processes import give, run, wait_until

PACKAGES = ("barman", "python3-barman", "python3-argcomplete", "python3-dateutil", "python3-six")


@dataclass
class Barman:
    """One Barman with one server, called ``main``. ``program`` is a script that finds its libraries."""

    name: str
    postgres: Postgres
    folder: Path

    server = "main"

    @property
    def program(self) -> Path:
        return self.folder / "barman"

    @property
    def config(self) -> Path:
        return self.folder / "barman.conf"

    @classmethod
    def create(cls, name: str, postgres: Postgres, folder: Path, programs: Programs) -> Barman:
        made = cls(name, postgres, folder)
        home = give(folder, None, 0o755)
        incoming = home / cls.server / "incoming"
        incoming.mkdir(parents=True)
        # The server is another user when we are root.
        incoming.chmod(0o777)
        secret = give_file(home / "pgpass", f"*:*:*:*:{postgres.password}\n", None)
        program, _libraries = programs.debian("barman", PACKAGES)
        place = f"{program.parents[1]}/lib/python3/dist-packages"
        lines = ["#!/bin/sh", f"PGPASSFILE='{secret}'", f"PYTHONPATH='{place}'", "export PGPASSFILE PYTHONPATH"]
        lines += [f'exec {sys.executable} {program} "$@"']
        made.program.write_text("\n".join(lines) + "\n", encoding="utf-8")
        made.program.chmod(0o755)
        conninfo = f"host={postgres.socket_dir} port={postgres.port} user=postgres dbname=postgres"
        values = {
            "barman_user": getpass.getuser(),
            "barman_home": home,
            "log_file": home / "barman.log",
            "path_prefix": postgres.programs / "bin",
        }
        server = {"description": "lab", "conninfo": conninfo, "streaming_conninfo": conninfo}
        server |= {"backup_method": "postgres", "archiver": "on"}
        lines = ["[barman]", *(f"{key} = {value}" for key, value in values.items())]
        lines += [f"[{cls.server}]", *(f"{key} = {value}" for key, value in server.items())]
        made.config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        postgres.configure(archive_command=f"cp %p {incoming}/%f")
        made.switch()
        return made

    def __call__(self, *arguments: str) -> str:
        return run([self.program, "-c", self.config, *arguments], cwd=self.folder)

    def switch(self) -> None:
        """Close the current WAL segment and take it in."""
        # An untouched segment is not closed.
        self.postgres.value("SELECT pg_create_restore_point('lab')")
        name = str(self.postgres.value("SELECT pg_walfile_name(pg_switch_wal())"))
        wait_until((self.folder / self.server / "incoming" / name).exists, f"{name} to arrive")
        self("archive-wal", self.server)
