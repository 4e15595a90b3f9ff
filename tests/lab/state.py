# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab between two commands: which servers run, and how Ansible reaches them.

state.json and demo.yml hold passwords: both are 0600 from their first byte on.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from . import sweep
from .age import new_key
from .alertmanager import Alertmanager
from .lab import Lab
from .lab import Server as AnyServer
from .nginx import Nginx
from .pgbouncer import PgBouncer
from .postgres import Postgres
from .processes import LabError, Process
from .prometheus import Prometheus
from .redis import Redis

SCHEMA = "day2.ops/lab/1"


@dataclass(frozen=True)
class Server:
    """One line of `lab status`."""

    name: str
    kind: str
    version: str
    address: str
    process: Process

    @property
    def running(self) -> bool:
        return self.process.alive()


def _write(path: Path, text: str) -> None:
    scratch = path.with_name(f".{path.name}.new")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    scratch.rename(path)


class State:
    """A state folder (`.lab`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "state.json"
        self.variables = folder / "demo.yml"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One `up` or `down` at a time; the second one is told so."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (self.folder / "lock").open("a")
        except OSError as error:
            raise LabError(f"Failed to write the state: {error}; choose another folder with --state") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LabError(f"Failed to lock {self.folder}: another lab command is at work there") from None
            yield

    def read(self) -> dict[str, Any] | None:
        """What is recorded; None: no lab is up."""
        try:
            found = json.loads(self.file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise LabError(f"Failed to read {self.file}: {error}") from error
        if not isinstance(found, dict) or found.get("schema") != SCHEMA:
            raise LabError(f"Failed to read {self.file}: not a state of this lab; remove the folder")
        return found

    def begin(self, lab: Lab) -> None:
        """Recorded before the first server starts, so that `down` finds the folder whatever happens."""
        _write(
            self.file,
            json.dumps({"schema": SCHEMA, "complete": False, "root": str(lab.root), "parts": [], "servers": []}),
        )
        # The other way round, too: a lab whose state folder was deleted can be told from one that is in use.
        (lab.root / sweep.MARKER).write_text(str(self.file), encoding="utf-8")

    def save(self, lab: Lab, parts: list[str], demo: dict[str, Any]) -> None:
        servers = [_describe(name, server) for name, server in lab.servers.items()]
        state = {"schema": SCHEMA, "complete": True, "root": str(lab.root), "parts": parts, "servers": servers}
        _write(self.file, json.dumps(state, indent=1))
        note = "# Written by the lab; holds passwords; gone after `python -m tests.lab down`.\n"
        _write(self.variables, note + yaml.safe_dump({"lab": _variables(lab, demo)}, sort_keys=False))

    def servers(self) -> list[Server]:
        found = self.read() or {"servers": []}
        return [
            Server(
                entry["name"],
                entry["kind"],
                entry["version"],
                entry["address"],
                Process(entry["pid"], entry["started"]),
            )
            for entry in found["servers"]
        ]

    def clear(self) -> bool:
        """Stop what runs, remove everything. False: there was nothing."""
        try:
            found = self.read()
        except LabError:
            found = {}  # an unreadable state is removed, too; its folder, if any, stays
        if found is not None and found.get("root"):
            # Nothing in the folder is kept, so nothing has to shut down in good order first.
            sweep.remove(Path(found["root"]))
            if Path(found["root"]).exists() and sweep.is_lab_folder(Path(found["root"])):
                raise LabError(f"Failed to remove {found['root']}: something in it is still in use")
        remove_orphans()
        for path in (self.variables, self.file):
            path.unlink(missing_ok=True)
        (self.folder / "lock").unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()
        return found is not None


def remove_orphans() -> None:
    """End labs that outlived their state file: no command could ever stop them."""
    for place in {Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")}:
        for root in place.glob(f"{sweep.PREFIX}*"):
            with suppress(OSError):
                state = (root / sweep.MARKER).read_text(encoding="utf-8")
                if state and not Path(state).exists():
                    sweep.remove(root)


def _describe(name: str, server: AnyServer) -> dict[str, Any]:
    if isinstance(server, Postgres):
        kind = f"standby of {server.primary.name}" if server.primary else "postgresql"
        version = str(server.value("SHOW server_version"))
    elif isinstance(server, PgBouncer):
        kind, version = f"pgbouncer ({server.mode})", ""
    elif isinstance(server, Redis):
        kind, version = "redis", server.version()
    elif isinstance(server, (Alertmanager, Nginx, Prometheus)):
        kind, version = type(server).__name__.lower(), ""
    else:
        kind, version = "s3", ""
    process = server.process
    if process is None:
        raise LabError(f"Failed to record {name}: it does not run")
    address = f"{server.host}:{server.port}"
    return {
        "name": name,
        "kind": kind,
        "version": version,
        "address": address,
        "pid": process.pid,
        "started": process.started,
    }


def _variables(lab: Lab, demo: dict[str, Any]) -> dict[str, Any]:
    """What inventories/demo reads: one dictionary `lab`, one key per kind, below it one per server."""
    variables: dict[str, Any] = {"root": str(lab.root), "postgresql": {}, "pgbouncer": {}, "redis": {}, "s3": {}}
    variables |= {"alertmanager": {}, "nginx": {}, "prometheus": {}}
    key = new_key(lab.root)
    variables["age"] = {"recipient": key.public, "identity_file": key.path}
    variables["pgbackrest"] = {
        name: one.options() | {"server": one.postgres.name, "copies": str(one.copies)}
        for name, one in lab.repositories.items()
    }
    for name, server in lab.servers.items():
        if isinstance(server, Postgres):
            variables["postgresql"][name] = {
                "major": server.major,
                "host": server.host,
                "port": server.port,
                "socket_dir": str(server.socket_dir),
                "bin_dir": str(server.programs / "bin"),
                "ca_cert": str(server.ca_file or ""),
                "standby_of": server.primary.name if server.primary else "",
                "passwords": dict(server.passwords),
                **(demo if name in demo["servers"] else {}),
            }
            variables["postgresql"][name].pop("servers", None)
        elif isinstance(server, PgBouncer):
            entry = {"host": server.host, "port": server.port, "mode": server.mode, "server": server.postgres.name}
            variables["pgbouncer"][name] = entry | {"passwords": dict(server.postgres.passwords)}
        elif isinstance(server, Redis):
            variables["redis"][name] = {"host": server.host, "port": server.port, "password": server.password}
        elif isinstance(server, Nginx):
            entry = {"url": server.url, "tls_url": server.tls_url, "tls_port": server.tls_port}
            variables["nginx"][name] = entry | {"ca_cert": str(server.certificate.ca_file)}
            variables["nginx"][name]["cert_file"] = str(server.certificate.cert_file)
        elif isinstance(server, Alertmanager):
            variables["alertmanager"][name] = {"url": server.url}
        elif isinstance(server, Prometheus):
            variables["prometheus"][name] = server.options()
        else:
            variables["s3"][name] = server.options() | {"bucket": server.bucket}
    return variables
