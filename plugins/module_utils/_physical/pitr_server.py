# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server of a copy: started as the copy's owner, cut off from the world until what it holds is proven.

It archives nothing, starts no extension and no subscription of the original, and takes no connection but through a
socket in a folder that only its owner may enter. Settings stand in its command line, over whatever the original's say.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from typing import Any, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._backup.guard import Guard
from ansible_collections.day2.ops.plugins.module_utils._backup.tools import PLACES
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Refused
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._physical.copy_place import Place, write_file
from ansible_collections.day2.ops.plugins.module_utils._postgresql.spec import postgresql_spec

LOG, CONFIG, HBA, IDENT = "server.log", "postgresql.conf", "pg_hba.conf", "pg_ident.conf"
# A socket's path has room for so many bytes, the least of all systems.
SOCKET_BYTES = 103
STOP_SECONDS = 60.0
KEPT_LOG = 1 << 20
INERT: Mapping[str, str] = {
    "archive_mode": "off",
    "synchronous_standby_names": "",
    "primary_conninfo": "",
    "primary_slot_name": "",
    "recovery_end_command": "",
    "archive_cleanup_command": "",
    "shared_preload_libraries": "",
    "session_preload_libraries": "",
    "local_preload_libraries": "",
    "max_logical_replication_workers": "0",
    "hot_standby": "on",
    "ssl": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] ",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "lc_messages": "C",
    "cluster_name": "day2/copy",
    "unix_socket_permissions": "0700",
    # The original's memory may not be there.
    "shared_buffers": "128MB",
    "huge_pages": "try",
}
# What no option may change: where the copy is, who may enter, and that it leaves the original's archive alone.
RESERVED = (
    "archive_mode", "archive_command", "archive_library", "config_file", "data_directory", "external_pid_file",
    "hba_file", "ident_file",
    "hot_standby", "listen_addresses", "port", "unix_socket_directories", "unix_socket_permissions", "primary_conninfo",
    "synchronous_standby_names", "logging_collector", "log_destination", "log_line_prefix", "log_timezone",
    "lc_messages", "log_min_messages", "restore_command", "recovery_target_time", "recovery_target_action",
)  # fmt: skip


def programs(bin_dir: Optional[str], major: str) -> str:
    """The folder with the server of exactly this version."""
    for place in [bin_dir] if bin_dir else [each.format(major=major) for each in PLACES]:
        path = os.path.join(place, "postgres")
        if os.access(path, os.X_OK):
            said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
            found = re.search(r"(\d+)", said)
            if found and found.group(1) == major:
                return place
    if bin_dir:
        raise BadInput(f"bin_dir: {bin_dir} has no postgres of version {major}; give the folder of that server.")
    raise Refused(
        f"Failed to find the server programs of PostgreSQL {major} on this host; install them (Debian: "
        f"postgresql-{major}), or set bin_dir."
    )


def check_socket(folder: str, port: int) -> None:
    if len(os.path.join(folder, f".s.PGSQL.{port}").encode()) > SOCKET_BYTES:
        raise BadInput(f"data_dir: {folder} is too long for a socket; give a folder nearer to /.")


def command(
    place: Place, folder: str, port: int, listen: str, needed: Mapping[str, str], settings: Mapping[str, str]
) -> list[str]:
    """The server's command line. What the original's WAL needs is the least the copy offers."""
    where = {
        "config_file": place.file(CONFIG),
        "hba_file": place.file(HBA),
        "ident_file": place.file(IDENT),
        "unix_socket_directories": place.beside,
        "external_pid_file": place.file("external.pid"),
        "listen_addresses": listen,
        "port": str(port),
    }
    values = {**INERT, **needed, **settings, **where}
    words = [word for name, value in values.items() for word in ("-c", f"{name}={value}")]
    return [os.path.join(folder, "postgres"), "-D", place.path, *words]


def start(guard: Guard, place: Place, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start it, closed to all but its owner. It ends with us until :func:`release`."""
    write_file(place, CONFIG, "# Settings are in the command line.\n")
    write_file(place, IDENT, "")
    admit(place, "")
    with place.account.files():
        handle = os.open(place.file(LOG), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as log:
        process = subprocess.Popen(
            arguments, cwd=place.beside, env=place.account.environment(), stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, start_new_session=True, umask=0o077, **place.account.process(),
        )  # fmt: skip
    guard.process(process.pid, signal.SIGQUIT)
    return process


def admit(place: Place, listen: str) -> None:
    """Who may enter: the owner through the socket, and, once the copy is proven, everybody with a password."""
    rules = "local all all trust\n" + ("host all all all scram-sha-256\n" if listen else "")
    write_file(place, HBA, rules)


def release(guard: Guard, place: Place, process: subprocess.Popen[bytes], listen: str) -> None:
    """From now on it lives without us."""
    admit(place, listen)
    os.kill(process.pid, signal.SIGHUP)
    guard.process_ended(process.pid)
    # Its end is no longer ours to wait for.
    process.returncode = 0


def log_of(place: Place) -> str:
    """The end of what the server has logged since it was started."""
    with open(place.file(LOG), "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - KEPT_LOG))
        return file.read().decode(errors="replace")


def end(process: subprocess.Popen[bytes]) -> None:
    """One that failed: at once, there is nothing to save."""
    for number in (signal.SIGQUIT, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(number)
            try:
                process.wait(5.0)
            except subprocess.TimeoutExpired:
                continue


def stop(run: Run, place: Place) -> None:
    """Shut a copy of an earlier run down in good order."""
    if place.pid is None:
        return
    os.kill(place.pid, signal.SIGINT)
    until = time.monotonic() + STOP_SECONDS
    while os.path.exists(os.path.join(place.path, "postmaster.pid")):
        run.live.progress("the copy shuts down")
        run.live.sleep(0.1)
        if time.monotonic() > until:
            raise OpsError(f"Failed to stop the copy in {place.path}: it is still there after {STOP_SECONDS:.0f} s.")


def login(place: Place, port: int, user: str) -> dict[str, Any]:
    """Connection options for the copy, as the modules' own are named."""
    defaults = {name: option.get("default") for name, option in postgresql_spec().argument_spec.items()}
    return {**defaults, "login_unix_socket": place.beside, "login_port": port, "login_user": user}
