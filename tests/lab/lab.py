# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab: one temporary folder, the servers in it, and their end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from . import pgbackrest, sweep
from .alertmanager import Alertmanager
from .barman import Barman
from .downloads import MAJORS, Programs
from .nginx import Nginx
from .pgbackrest import PgBackRest
from .pgbouncer import PgBouncer
from .postgres import Postgres, give_folder
from .processes import LabError, Process, give, reachable, service_account
from .prometheus import Prometheus
from .proxy import HangingServer, Proxy
from .pushgateway import Pushgateway
from .redis import Redis
from .s3 import S3
from .tls import Authority

CHECKOUT = Path(__file__).resolve().parents[2]
Server = Alertmanager | Nginx | Postgres | PgBouncer | Prometheus | Pushgateway | Redis | S3
# PostgreSQL's socket path, with its name and a server's folder, must stay below 108 bytes.
_LONGEST_ROOT = 50


def _temporary_folder() -> Path:
    account = service_account()
    for place in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):
        if (
            place.is_dir()
            and os.access(place, os.W_OK)
            and reachable(place, account)
            and len(str(place)) < _LONGEST_ROOT - 20
        ):
            root = Path(tempfile.mkdtemp(prefix=sweep.PREFIX, dir=place)).resolve()
            root.chmod(0o711)
            (root / sweep.MARKER).touch(0o600)
            return root
    raise LabError(
        "Failed to make the temporary folder: TMPDIR, /tmp and /var/tmp are closed to the servers' user, or too long"
    )


class Lab:
    """Servers for a while. A context manager; close() stops everything and removes the folder.

    A guard process does the same if this process is killed. With release() the servers outlive this process instead.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self.account = service_account()
        self._owner = os.getpid()
        self._released = False
        # No signal between the folder and its guard: the folder would be left behind.
        signals = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        try:
            self.root = _temporary_folder()
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(sweep.__file__)), str(self.root)],
                stdin=subprocess.PIPE,
                cwd="/",
                start_new_session=True,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        self.programs = Programs(cache or CHECKOUT / ".cache" / "lab", self.root / ".programs", self.account)
        self._authority: Authority | None = None
        self.servers: dict[str, Server] = {}
        self.repositories: dict[str, PgBackRest] = {}
        self._local: list[Proxy | HangingServer | Prometheus] = []

    # -- servers

    def _folder(self, name: str) -> Path:
        if not name.replace("-", "").replace("_", "").isalnum() or len(name) > 40:
            raise LabError(f"Failed to name a server {name!r}: use up to 40 letters, digits, - and _")
        if name in self.servers or (self.root / name).exists():
            raise LabError(f"Failed to start {name}: the lab has a server of that name")
        return give_folder(self.root / name, self.account)

    @property
    def authority(self) -> Authority:
        """The lab's certificate authority."""
        if self._authority is None:
            self._authority = Authority(self.root / ".tls", self.account)
        return self._authority

    def postgres(
        self,
        major: int = MAJORS[-1],
        name: str = "main",
        settings: Mapping[str, object] | None = None,
        *,
        tls: bool = False,
    ) -> Postgres:
        """A new PostgreSQL server, running. tls: only encrypted TCP connections, certificate for localhost."""
        programs = self.programs.postgresql(major)
        texts = {key: str(value) for key, value in (settings or {}).items()}
        certificate = self.authority.issue(file=f"postgresql-{name}") if tls else None
        server = Postgres(name, major, self._folder(name), programs, self.account, texts, certificate)
        self.servers[name] = server
        return server.create()

    def standby(self, primary: Postgres, name: str, *, synchronous: bool = False) -> Postgres:
        """As Postgres.standby(), and known to the lab."""
        server = primary.standby(name, synchronous=synchronous)
        self.servers[name] = server
        return server

    def pgbouncer(self, postgres: Postgres, mode: str = "transaction", name: str | None = None) -> PgBouncer:
        """Debian's PgBouncer in front of a server: session or transaction mode."""
        name = name or f"pgbouncer-{mode}-{postgres.name}"
        server = PgBouncer.create(name, mode, postgres, self._folder(name), self.programs)
        self.servers[name] = server
        return server

    def pgbackrest(self, name: str = "archived") -> PgBackRest:
        """A PostgreSQL server of that name that archives into a repository of pgBackRest. It holds no backup yet."""
        server = self.postgres(pgbackrest.NEWEST, name, pgbackrest.SETTINGS)
        repository = PgBackRest.create(name, server, self._folder(f"{name}-repository"), self.programs)
        self.repositories[name] = repository
        return repository

    def barman(self, name: str = "barman") -> Barman:
        """A PostgreSQL server of that name that archives into a Barman. It holds no backup yet."""
        server = self.postgres(pgbackrest.NEWEST, name, pgbackrest.SETTINGS)
        return Barman.create(name, server, self._folder(f"{name}-home"), self.programs)

    def subscriber(self, publisher: Postgres, name: str) -> Postgres:
        """A server of its own for logical subscriptions to ``publisher``, of its version; see Postgres.subscribe()."""
        return self.postgres(publisher.major, name, {"wal_level": "logical"})

    def prometheus(self, name: str = "prometheus", *, tls: bool = False) -> Prometheus:
        """Debian's Prometheus. tls: only encrypted connections, certificate for localhost, a user and a password."""
        certificate = self.authority.issue(file=f"prometheus-{name}") if tls else None
        server = Prometheus.create(name, self._folder(name), self.programs, self.account, certificate)
        self.servers[name] = server
        self._local.append(server)
        return server

    def pushgateway(self, name: str = "pushgateway") -> Pushgateway:
        """Debian's Pushgateway, in memory only."""
        server = Pushgateway.create(name, self._folder(name), self.programs, self.account)
        self.servers[name] = server
        return server

    def alertmanager(self, name: str = "alertmanager", *, peers: Sequence[str] | None = None) -> Alertmanager:
        """Debian's Alertmanager. peers: in a cluster with those (see Alertmanager.cluster), which may be none yet."""
        server = Alertmanager.create(name, self._folder(name), self.programs, self.account, peers)
        self.servers[name] = server
        return server

    def nginx(self, name: str = "nginx") -> Nginx:
        """Debian's nginx with a few pages, over http and https, certificate for localhost and 127.0.0.1."""
        certificate = self.authority.issue(file=f"nginx-{name}")
        server = Nginx.create(name, self._folder(name), self.programs, self.account, certificate)
        self.servers[name] = server
        return server

    def redis(
        self, name: str = "redis", *, flavour: str = "valkey", settings: Mapping[str, object] | None = None
    ) -> Redis:
        """A Redis server: `valkey` from PyPI or `redis` from Debian."""
        server = Redis.create(name, self._folder(name), self.programs, self.account, flavour, settings)
        self.servers[name] = server
        return server

    def s3(self, name: str = "s3", *, bucket: str = "day2-lab") -> S3:
        """moto with a bucket."""
        folder = self.root / name
        if name in self.servers or folder.exists():
            raise LabError(f"Failed to start {name}: the lab has a server of that name")
        folder.mkdir(mode=0o700)
        server = S3.create(name, folder, bucket)
        self.servers[name] = server
        return server

    def proxy(self, target: tuple[str, int] | Postgres | PgBouncer | Redis | S3) -> Proxy:
        """A TCP proxy in front of a server or address."""
        proxy = Proxy(target if isinstance(target, tuple) else (target.host, target.port))
        self._local.append(proxy)
        return proxy

    def hanging_server(self) -> HangingServer:
        """A server that accepts and never answers."""
        server = HangingServer()
        self._local.append(server)
        return server

    def shared_folder(self, name: str) -> Path:
        """A folder that the servers' user can write and we can, too: a WAL archive, a dump."""
        return give(give_folder(self.root / f"folder-{name}", self.account), self.account, 0o755)

    # -- the end

    def processes(self) -> dict[str, Process]:
        """The main process of each server that has one."""
        return {name: server.process for name, server in self.servers.items() if server.process}

    def release(self) -> None:
        """Let the servers outlive this process, and this object: close() does nothing any more."""
        self._dismiss_guard()
        self._released = True

    def _dismiss_guard(self) -> None:
        if self._guard.stdin and not self._guard.stdin.closed:
            with suppress(BrokenPipeError):
                self._guard.stdin.write(b"k")
                self._guard.stdin.flush()
            self._guard.stdin.close()
        self._guard.wait(10.0)

    def close(self) -> None:
        """Stop all servers and remove everything. May be called twice."""
        if self._released or os.getpid() != self._owner:
            return  # a forked child must not end its parent's lab
        for local in self._local:
            local.close()
        self._local.clear()
        # Nothing in the folder is worth a clean shutdown: it is removed now.
        sweep.remove(self.root)
        for process in self.processes().values():
            process.gone(5.0)
        self.servers.clear()
        self._dismiss_guard()

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
