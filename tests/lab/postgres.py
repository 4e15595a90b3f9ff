# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL servers: real ones, of five major versions, started in a second, killed and promoted at will."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions
from psycopg2 import sql

from .processes import Account, LabError, Process, children, free_port, give, run, spawn, wait_until
from .tls import Certificate

SUPERUSER = "postgres"
REPLICATION = "lab_replication"

# Near to what a production server has. mmap: the shared memory of a killed server then lies in its own folder, and not
# in /dev/shm for ever.
DEFAULTS: dict[str, str] = {
    "shared_preload_libraries": "pg_stat_statements",
    "dynamic_shared_memory_type": "mmap",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "max_connections": "100",
    "max_wal_senders": "10",
    "wal_keep_size": "64MB",
    "track_io_timing": "on",
    "log_line_prefix": "%m [%p] %q%u@%d/%a ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

_STOP = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


def _quoted(value: object) -> str:
    """A value of postgresql.conf."""
    return "'" + str(value).replace("'", "''") + "'"


def _conninfo(values: Mapping[str, object]) -> str:
    return psycopg2.extensions.make_dsn(**{key: str(value) for key, value in values.items() if value not in (None, "")})


@dataclass
class Postgres:
    """One server. Made by Lab.postgres(); its folder goes with the lab."""

    name: str
    major: int
    folder: Path
    programs: Path
    account: Account | None
    settings: dict[str, str] = field(default_factory=dict)
    certificate: Certificate | None = None
    primary: Postgres | None = None
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    passwords: dict[str, str] = field(default_factory=dict, repr=False)
    port: int = 0
    process: Process | None = None
    standbys: list[Postgres] = field(default_factory=list, repr=False)

    superuser = SUPERUSER

    def __post_init__(self) -> None:
        self.passwords.setdefault(SUPERUSER, self.password)

    # -- where it is

    @property
    def host(self) -> str:
        """The certificate is made out to localhost, so with TLS that is the name to connect to."""
        return "localhost" if self.certificate else "127.0.0.1"

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def socket_dir(self) -> Path:
        return self.folder

    @property
    def log_path(self) -> Path:
        return self.folder / "server.log"

    @property
    def ca_file(self) -> Path | None:
        return self.certificate.ca_file if self.certificate else None

    def tool(self, program: str) -> Path:
        """Path of a client or server program of this very version."""
        return self.programs / "bin" / program

    def log(self) -> str:
        """What the server has logged so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    # -- connecting

    def dsn(self, dbname: str = "postgres", user: str = SUPERUSER, **more: object) -> str:
        """A libpq connection string, password included. `more` overrides, e.g. host=, port=, connect_timeout=."""
        values: dict[str, object] = {"host": self.host, "port": self.port, "dbname": dbname, "user": user}
        values["password"] = self.passwords.get(user)
        if self.certificate:
            values |= {"sslmode": "verify-full", "sslrootcert": self.certificate.ca_file}
        return _conninfo(values | more)

    def login(self, dbname: str = "postgres", user: str = SUPERUSER) -> dict[str, Any]:
        """The connection options of the collection's modules (login_host, login_password, ssl_mode…)."""
        options: dict[str, Any] = {
            "login_host": self.host,
            "login_port": self.port,
            "login_user": user,
            "login_password": self.passwords[user],
            "login_db": dbname,
        }
        if self.certificate:
            options |= {"ssl_mode": "verify-full", "ca_cert": str(self.certificate.ca_file)}
        return options

    def env(self, dbname: str = "postgres", user: str = SUPERUSER) -> dict[str, str]:
        """PG* variables for client programs: a password must not be in an argument list."""
        values = {"PGHOST": self.host, "PGPORT": str(self.port), "PGDATABASE": dbname, "PGUSER": user}
        values["PGPASSWORD"] = self.passwords[user]
        if self.certificate:
            values |= {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(self.certificate.ca_file)}
        return values

    def connect(
        self, dbname: str = "postgres", user: str = SUPERUSER, *, autocommit: bool = True, **more: object
    ) -> psycopg2.extensions.connection:
        connection = psycopg2.connect(self.dsn(dbname, user, **more))
        connection.autocommit = autocommit
        return connection

    @contextmanager
    def cursor(
        self, dbname: str = "postgres", user: str = SUPERUSER, **more: object
    ) -> Iterator[psycopg2.extensions.cursor]:
        """A cursor on a connection of its own, in autocommit mode."""
        with closing(psycopg2.connect(self.dsn(dbname, user, **more))) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            yield cursor

    def execute(
        self,
        statement: str | sql.Composable,
        params: Sequence[object] | Mapping[str, object] | None = None,
        *,
        dbname: str = "postgres",
        user: str = SUPERUSER,
    ) -> list[tuple[Any, ...]]:
        """Run one statement on a connection of its own; its rows, if any."""
        with self.cursor(dbname, user) as cursor:
            cursor.execute(statement, params)
            return cursor.fetchall() if cursor.description else []

    def value(
        self,
        statement: str | sql.Composable,
        params: Sequence[object] | None = None,
        *,
        dbname: str = "postgres",
        user: str = SUPERUSER,
    ) -> Any:
        """The first column of the first row; None without rows."""
        rows = self.execute(statement, params, dbname=dbname, user=user)
        return rows[0][0] if rows else None

    # -- roles, databases, settings

    def create_role(
        self, name: str, *, attributes: str = "LOGIN", member_of: Sequence[str] = (), password: str | None = None
    ) -> str:
        """Create a role; returns (and remembers) its password. The server sees only the SCRAM verifier."""
        secret = password or secrets.token_urlsafe(24)
        with self.cursor() as cursor:
            verifier = psycopg2.extensions.encrypt_password(secret, name, cursor.connection, "scram-sha-256")
            cursor.execute(
                sql.SQL("CREATE ROLE {} " + attributes + " PASSWORD {}").format(
                    sql.Identifier(name), sql.Literal(verifier)
                )
            )
            for group in member_of:
                cursor.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(name)))
        self.passwords[name] = secret
        return secret

    def create_database(self, name: str, *, owner: str | None = None, template: str = "template1") -> str:
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        if owner:
            statement += sql.SQL(" OWNER {}").format(sql.Identifier(owner))
        self.execute(statement)
        return name

    def databases(self, beginning: str) -> list[str]:
        """The names of all databases that begin like this, in order."""
        query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY datname"
        return [name for (name,) in self.execute(query, [beginning])]

    def drop_database(self, name: str) -> None:
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def configure(self, **settings: object) -> None:
        """ALTER SYSTEM and reload; None resets. A setting that needs a restart takes effect with restart()."""
        with self.cursor() as cursor:
            for key, value in settings.items():
                if value is None:
                    cursor.execute(sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(key)))
                else:
                    cursor.execute(
                        sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(key), sql.Literal(str(value)))
                    )
            cursor.execute("SELECT pg_reload_conf()")

    # -- life

    def create(self) -> Postgres:
        """initdb, configuration, start."""
        secret = give_file(self.folder / "initdb-password", self.password, self.account)
        arguments: list[str | Path] = [self.tool("initdb"), "--no-sync", "--data-checksums", "--auth=scram-sha-256"]
        arguments += [
            f"--username={SUPERUSER}",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            f"--pwfile={secret}",
            "-D",
            self.data_dir,
        ]
        run(arguments, cwd=self.folder, account=self.account)
        secret.unlink()
        remote = "hostssl" if self.certificate else "host"
        rules = [
            f"{kind} {what} all {where} scram-sha-256"
            for kind, where in (("local", ""), (remote, "127.0.0.1/32"), (remote, "::1/128"))
            for what in ("all", "replication")
        ]
        self._write("pg_hba.conf", "\n".join(rules) + "\n")
        with (self.data_dir / "postgresql.conf").open("a", encoding="utf-8") as config:
            config.write("include 'lab.conf'\n")
        self.start()
        self.create_role(REPLICATION, attributes="LOGIN REPLICATION")
        return self

    def _write(self, name: str, text: str) -> None:
        give_file(self.data_dir / name, text, self.account)

    def _configure_files(self) -> None:
        values = DEFAULTS | {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "cluster_name": self.name,
        }
        if self.certificate:
            values |= {
                "ssl": "on",
                "ssl_cert_file": self.certificate.cert_file,
                "ssl_key_file": self.certificate.key_file,
            }
        values |= self.settings
        self._write("lab.conf", "".join(f"{key} = {_quoted(value)}\n" for key, value in values.items()))

    def start(self, *, wait: bool = True) -> None:
        """Start (again). After kill9() this is crash recovery."""
        if self.running():
            return
        keep = self.port
        for _attempt in range(5):
            self.port = keep or free_port()
            self._configure_files()
            before = self.log_path.stat().st_size if self.log_path.exists() else 0
            self.process = spawn(
                [self.tool("postgres"), "-D", self.data_dir],
                cwd=self.folder,
                log=self.log_path,
                account=self.account,
                # Its libpqwalreceiver would else load the system's libpq, which may be older than the server.
                env={"LD_LIBRARY_PATH": str(self.programs / "lib")},
            )
            if not wait:
                return
            wait_until(lambda: self._ready() or not self.running(), f"PostgreSQL {self.name} to start", 120.0)
            if self.running():
                return
            words = self.log_path.read_bytes()[before:].decode("utf-8", "replace")
            if keep or "Address already in use" not in words:
                raise LabError(f"Failed to start PostgreSQL {self.name}: {words.strip()[-2000:]}")
        raise LabError(f"Failed to start PostgreSQL {self.name}: no free port after 5 attempts")

    def _ready(self) -> bool:
        # The eighth line of postmaster.pid is its status.
        try:
            lines = (self.data_dir / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        return (
            len(lines) >= 8
            and self.process is not None
            and lines[0] == str(self.process.pid)
            and lines[7].strip() == "ready"
        )

    def running(self) -> bool:
        return self.process is not None and self.process.alive()

    def stop(self, mode: str = "fast", seconds: float = 60.0) -> None:
        """Shut down: smart (waits for sessions), fast or immediate. LabError when it does not end in time."""
        if self.process is None or not self.running():
            return
        self.process.send(_STOP[mode])
        if not self.process.gone(seconds):
            raise LabError(f"Failed to stop PostgreSQL {self.name} ({mode}): still there after {seconds:.0f} s")

    def kill9(self) -> None:
        """Kill the postmaster as the kernel would; returns when it and all its children are gone."""
        if self.process is None or not self.running():
            return
        # Stopped first: it cannot start another child while its children are being counted.
        self.process.send(signal.SIGSTOP)
        family = children(self.process.pid)
        self.process.send(signal.SIGKILL)
        self.process.gone(10.0)
        for child in family:
            # A backend notices the death of its postmaster only when it next waits.
            if not child.gone(0.5):
                child.stop(signal.SIGKILL)
        if any(child.alive() for child in family):
            raise LabError(f"Failed to kill PostgreSQL {self.name}: children are left")

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    # -- replication

    def standby(
        self, name: str, *, synchronous: bool = False, settings: Mapping[str, object] | None = None
    ) -> Postgres:
        """A streaming replica made by pg_basebackup, with a slot of its own. Synchronous: commits here wait for it."""
        slot = "".join(letter if letter.isalnum() else "_" for letter in name.lower())
        folder = give_folder(self.folder.parent / name, self.account)
        replica = Postgres(
            name,
            self.major,
            folder,
            self.programs,
            self.account,
            self.settings | _texts(settings),
            self.certificate,
            self,
        )
        # The same dictionary: a role made on the primary exists on its standby too.
        replica.password, replica.passwords = self.password, self.passwords
        env = self.env(user=REPLICATION) | {"PGAPPNAME": name}
        env.pop("PGDATABASE")
        arguments: list[str | Path] = [
            self.tool("pg_basebackup"),
            "-D",
            replica.data_dir,
            "--write-recovery-conf",
            "--wal-method=stream",
        ]
        arguments += ["--create-slot", f"--slot={slot}", "--checkpoint=fast", "--no-sync"]
        run(arguments, cwd=folder, account=self.account, env=env)
        replica.start()
        self.standbys.append(replica)
        if synchronous:
            names = ", ".join(f'"{other}"' for other in [*self._synchronous(), name])
            self.configure(synchronous_standby_names=f"FIRST 1 ({names})")
        wanted = "state = 'streaming' AND sync_state <> 'async'" if synchronous else "state = 'streaming'"
        query = f"SELECT count(*) FROM pg_stat_replication WHERE application_name = %s AND {wanted}"
        with self.cursor() as cursor:

            def streaming() -> bool:
                cursor.execute(query, (name,))
                row = cursor.fetchone()
                return bool(row and row[0])

            wait_until(streaming, f"the standby {name} to stream")
        return replica

    def _synchronous(self) -> list[str]:
        value = str(self.value("SELECT current_setting('synchronous_standby_names')"))
        return [word.strip().strip('"') for word in value.partition("(")[2].rstrip(")").split(",") if word.strip()]

    def promote(self) -> None:
        """Make a standby a primary; returns when it accepts writes."""
        if not self.value("SELECT pg_promote(true, 60)"):
            raise LabError(f"Failed to promote {self.name}: not promoted after 60 s")
        self.primary = None

    def caught_up(self, standby: Postgres, seconds: float = 30.0) -> None:
        """Wait until a standby has replayed everything written here so far."""
        here = self.value("SELECT pg_current_wal_lsn()")
        with standby.cursor() as cursor:

            def replayed() -> bool:
                cursor.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (here,))
                row = cursor.fetchone()
                return bool(row and row[0])

            wait_until(replayed, f"{standby.name} to catch up with {self.name}", seconds)

    # -- logical replication

    def publish(self, dbname: str, table: str, publication: str = "lab") -> None:
        """Publish a table, ``schema.table``; the server needs wal_level=logical from its start."""
        name = sql.Identifier(*table.split("."))
        self.execute(
            sql.SQL("CREATE PUBLICATION {} FOR TABLE {}").format(sql.Identifier(publication), name), dbname=dbname
        )

    def subscribe(self, publisher: Postgres, dbname: str, publication: str = "lab") -> Subscription:
        """Subscribe to a publication in the database of the same name there; its tables must exist here, too.

        Returns when the rows that are there have been copied. The slot on the publisher has the publication's name.
        """
        subscription = Subscription(publisher, self, dbname, publication)
        # A subscription knows its publisher's password, as any client of it does.
        statement = sql.SQL("CREATE SUBSCRIPTION {} CONNECTION {} PUBLICATION {}").format(
            sql.Identifier(publication),
            sql.Literal(publisher.dsn(dbname, application_name=publication)),
            sql.Identifier(publication),
        )
        self.execute(statement, dbname=dbname)
        subscription.caught_up()
        return subscription

    def __enter__(self) -> Postgres:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop("immediate")


@dataclass(frozen=True)
class Subscription:
    """What a server takes of another one's publication. Paused, its slot keeps the WAL on the publisher."""

    publisher: Postgres
    subscriber: Postgres
    dbname: str
    name: str

    def caught_up(self, seconds: float = 30.0) -> None:
        """Wait until everything written on the publisher so far is here, new tables included."""
        here = self.publisher.value("SELECT pg_current_wal_lsn()")
        copied = "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'"
        replayed = "SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE slot_name = %s"

        def there() -> bool:
            if self.subscriber.value(copied, dbname=self.dbname):
                return False
            return bool(self.publisher.value(replayed, [here, self.name]))

        wait_until(there, f"{self.subscriber.name} to catch up with {self.publisher.name}", seconds, every=0.05)

    def pause(self) -> None:
        """Stop applying; returns when the publisher sends no more."""
        self._alter("DISABLE")
        self._until_active(False)

    def resume(self) -> None:
        self._alter("ENABLE")
        self._until_active(True)

    def drop(self) -> None:
        """The end of the subscription and of its slot."""
        self.subscriber.execute(sql.SQL("DROP SUBSCRIPTION {}").format(sql.Identifier(self.name)), dbname=self.dbname)

    def retained(self) -> int:
        """Bytes of WAL that the slot keeps on the publisher."""
        query = "SELECT pg_current_wal_lsn() - restart_lsn FROM pg_replication_slots WHERE slot_name = %s"
        return int(self.publisher.value(query, [self.name]))

    def _alter(self, word: str) -> None:
        self.subscriber.execute(
            sql.SQL("ALTER SUBSCRIPTION {} " + word).format(sql.Identifier(self.name)), dbname=self.dbname
        )

    def _until_active(self, wanted: bool) -> None:
        query = "SELECT active FROM pg_replication_slots WHERE slot_name = %s"
        word = "active" if wanted else "idle"
        wait_until(
            lambda: self.publisher.value(query, [self.name]) is wanted, f"slot {self.name} to be {word}", every=0.05
        )


def give_folder(path: Path, account: Account | None) -> Path:
    path.mkdir()
    return give(path, account, 0o711)


def give_file(path: Path, text: str, account: Account | None) -> Path:
    """Write a file that only the servers' user can read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return give(path, account, 0o600)


def _texts(settings: Mapping[str, object] | None) -> dict[str, str]:
    return {key: str(value) for key, value in (settings or {}).items()}
