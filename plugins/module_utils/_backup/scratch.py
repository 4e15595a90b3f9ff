# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A PostgreSQL server for an hour: made for one restore, reachable for nobody else, gone afterwards.

It listens on a socket in a folder that only its user may enter, where the system lets us in a network namespace with
nothing in it, and trades every safety of its data for speed. Its end is the guard's business too.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._backup.account import Account, by_id, chosen, exists
from ansible_collections.day2.ops.plugins.module_utils._backup.guard import Guard, remove
from ansible_collections.day2.ops.plugins.module_utils._backup.tools import Program, Tools, last_words
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Refused
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run

PREFIX = "day2-verify-"
# Not a name that the set's own roles could have.
SUPERUSER = "day2_scratch"
PORT = 5432
# A socket's path has room for so many bytes, the least of all systems.
SOCKET_BYTES = 103
START_SECONDS = 60.0
STOP_SECONDS = 5.0
USERS = ("postgres", "nobody")
# Beside the data: the server's own files, and WAL.
OWN_BYTES = 512 << 20
MAX_CONNECTIONS = 50

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "min_wal_size": "32MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "track_counts": "off",
    "jit": "off",
    "shared_buffers": "256MB",
    "huge_pages": "off",
    "maintenance_work_mem": "256MB",
    "max_connections": str(MAX_CONNECTIONS),
    # pg_dump holds a lock on every table at once.
    "max_locks_per_transaction": "2048",
    "shared_preload_libraries": "",
    "max_logical_replication_workers": "0",
    # Files, so that the memory of a killed server goes with its folder.
    "dynamic_shared_memory_type": "mmap",
    "log_min_messages": "fatal",
    "log_checkpoints": "off",
    "lc_messages": "C",
    "timezone": "UTC",
}


@dataclass(frozen=True)
class Scratch:
    """A running server: ``params`` connect to it, ``isolated`` says whether it has no network at all."""

    params: dict[str, Any]
    pid: int
    isolated: bool


def account_of(name: Optional[str]) -> Account:
    """Whom to run as: ourselves, unless we are root, as whom PostgreSQL does not run. Raises :class:`BadInput`."""
    if os.geteuid() != 0:
        return by_id(os.geteuid())
    known = [each for each in USERS if name is None and exists(each)]
    return chosen(name or (known or USERS)[0], "scratch_user")


def check_programs(tools: Tools, major: int) -> None:
    """:class:`Refused` unless the server programs of exactly this version are there."""
    lacking = [name for name in ("initdb", "postgres") if not os.access(os.path.join(tools.folder, name), os.X_OK)]
    if tools.major == major and not lacking:
        return
    why = (
        f"there is no {lacking[0]} in {tools.folder}" if tools.major == major else f"{tools.folder} has {tools.version}"
    )
    raise Refused(
        f"Failed to start a server of PostgreSQL {major}: {why}. Install its server programs (Debian: "
        f"postgresql-{major}), set bin_dir to their folder, or set verify_host to another server."
    )


def check_reachable(folder: str, account: Account) -> None:
    """:class:`BadInput` when the server's user could not enter, or the path is too long for a socket."""
    if len(os.path.join(folder, "server", f".s.PGSQL.{PORT}").encode()) > SOCKET_BYTES:
        raise BadInput(f"scratch_dir: {os.path.dirname(folder)} is too long for a socket; give a folder nearer to /.")
    place = os.path.dirname(folder)
    while not account.ours:
        found = os.stat(place)
        if not (found.st_mode & 0o001 or (found.st_uid == account.uid and found.st_mode & 0o100)):
            raise BadInput(
                f"scratch_dir: user {account.name} may not enter {place}; give a folder that it can reach, like /tmp."
            )
        if place == os.path.dirname(place):
            return
        place = os.path.dirname(place)


@contextlib.contextmanager
def server(run: Run, guard: Guard, tools: Tools, folder: str, account: Account) -> Iterator[Scratch]:
    """Make and start a server in ``folder`` (of :func:`guard.workplace`), and end it."""
    check_reachable(folder, account)
    home, password = os.path.join(folder, "server"), secrets.token_urlsafe(24)
    os.mkdir(home, 0o700)
    if not account.ours:
        os.chmod(folder, 0o711)
        os.chown(home, account.uid, account.gid)
    run.live.progress("making the scratch server")
    _initialise(run, guard, tools, home, password, account)
    launcher, who, isolated = _launcher(account)
    arguments = [*launcher, tools.path("postgres"), "-D", os.path.join(home, "data"), "-k", home]
    arguments += [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
    log = os.path.join(home, "log")
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        process = subprocess.Popen(
            arguments, cwd=home, env=_environment(tools), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True, umask=0o077, **who,
        )  # fmt: skip
    guard.process(process.pid, signal.SIGQUIT)
    try:
        _wait(run, process, home, log)
        yield Scratch(_params(home, password), process.pid, isolated)
    finally:
        _stop(process)
        guard.process_ended(process.pid)
        remove(home)


def _initialise(run: Run, guard: Guard, tools: Tools, home: str, password: str, account: Account) -> None:
    secret = os.path.join(home, "password")
    with open(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(password)
    data = os.path.join(home, "data")
    arguments = [
        tools.path("initdb"), "-D", data, "-U", SUPERUSER, "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions",
        "--auth=scram-sha-256", f"--pwfile={secret}", *(["--no-data-checksums"] if tools.major >= 18 else []),
    ]  # fmt: skip
    if not account.ours:
        os.chown(secret, account.uid, account.gid)
    with Program(run, guard, arguments, _environment(tools), cwd=home, umask=0o077, **account.process()) as program:
        program.finish()
    os.unlink(secret)
    # Nobody but us, whatever roles the set brings.
    with open(os.path.join(data, "pg_hba.conf"), "w", encoding="ascii") as file:
        file.write(f"local all {SUPERUSER} scram-sha-256\n")


def _launcher(account: Account) -> tuple[list[str], dict[str, Any], bool]:
    """What comes before the server's own command, as whom it is started, and whether it then has no network.

    Only root may give up the network first and its rights then; others need a namespace of users, where allowed.
    """
    program = shutil.which("unshare", path="/usr/bin:/bin:/usr/sbin")
    if program:
        rights = ["--user", "--map-current-user"] if account.ours else ["-G", str(account.gid), "-S", str(account.uid)]
        words = [program, "--net", "--ipc", *rights, "--"]
        # Containers and kernels may forbid it.
        if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
            return words, {}, True
    return [], account.process(), False


def _environment(tools: Tools) -> dict[str, str]:
    """Next to nothing of ours. Programs that were unpacked somewhere bring their own libpq, for their extensions."""
    libraries = os.path.join(os.path.dirname(os.path.realpath(tools.folder)), "lib")
    own = {"LD_LIBRARY_PATH": libraries} if os.path.exists(os.path.join(libraries, "libpq.so.5")) else {}
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": "/nonexistent", **own}


def _wait(run: Run, process: subprocess.Popen[bytes], home: str, log: str) -> None:
    """Until it answers: the eighth line of its pid file says so."""
    until = time.monotonic() + START_SECONDS
    while True:
        if process.poll() is not None:
            raise OpsError(f"Failed to start the scratch server: {last_words(_tail(log), process.returncode)}")
        with contextlib.suppress(FileNotFoundError), open(os.path.join(home, "data", "postmaster.pid")) as file:
            lines = file.read().splitlines()
            if len(lines) >= 8 and lines[7].strip() == "ready":
                return
        if time.monotonic() > until:
            raise OpsError(f"Failed to start the scratch server: it did not answer within {START_SECONDS:.0f} s.")
        run.deadline.check()
        run.live.sleep(0.05)


def _tail(path: str) -> str:
    with open(path, "rb") as file:
        return file.read()[-65536:].decode(errors="replace")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """At once: there is nothing to save."""
    for number in (signal.SIGQUIT, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)


def _params(home: str, password: str) -> dict[str, Any]:
    return {
        "login_host": "",
        "login_unix_socket": home,
        "login_port": PORT,
        "login_user": SUPERUSER,
        "login_password": password,
        "login_db": "postgres",
        "ssl_mode": None,
        "ca_cert": None,
        "ssl_cert": None,
        "ssl_key": None,
        "connect_timeout": 10,
        "lock_db": "postgres",
    }


def need(manifest: Mapping[str, Any]) -> int:
    """Bytes that a restored database and the server around it take, by the size of the original."""
    return int(manifest.get("database_bytes") or manifest["logical_bytes"]) * 5 // 4 + OWN_BYTES
