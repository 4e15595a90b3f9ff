# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connecting, without ever blocking: the driver's asynchronous connections, polled between looks at the run; and
synchronous ones, for threads."""

from __future__ import annotations

import select
import socket
import sys
import threading
import time
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run, missing_library
from ansible_collections.day2.ops.plugins.module_utils._postgresql import spec, trouble

TICK_SECONDS = 0.25


def application_name(run_id: str, action: str) -> str:
    """``day2/<run>/<action>``, cut in the run's id to the server's 63 bytes."""
    room = 63 - len(f"day2//{action}".encode())
    return f"day2/{run_id.encode()[:room].decode(errors='ignore')}/{action}"


def dial(run: Run, action: str, database: str) -> Any:
    """A raw connection of the driver, made within connect_timeout. Raises BadInput, Refused, Unreachable, Stopped."""
    try:
        import psycopg2
    except ImportError:
        missing_library("psycopg2-binary", sys.executable)
    options = spec.libpq_options(run.params, database, application_name(run.id, action))
    place = spec.where(run.params, database)
    last: Optional[OpsError] = None
    for address in _addresses(run, place):
        try:
            raw = psycopg2.connect(**{**options, **address, "async_": True})
            until = time.monotonic() + run.params["connect_timeout"]
            while not poll(raw):
                run.live.check()
                run.deadline.check()
                if time.monotonic() > until:
                    raw.close()
                    raise Unreachable(
                        f"Failed to connect to {place}: no answer within {run.params['connect_timeout']} s; check "
                        "login_host, login_port and the firewall, or raise connect_timeout."
                    )
            return raw
        except psycopg2.Error as error:
            last = trouble.while_connecting(str(error), place)
        except Unreachable as error:
            last = error
    raise last or AssertionError("Contract violation: a host without addresses")


def dial_blocking(run: Run, action: str, database: str) -> Any:
    """A raw synchronous connection, for work that the asynchronous ones cannot do. It blocks for connect_timeout at
    most: call it from a thread. Raises BadInput, Refused and Unreachable."""
    try:
        import psycopg2
    except ImportError:
        missing_library("psycopg2-binary", sys.executable)
    options = spec.libpq_options(run.params, database, application_name(run.id, action))
    try:
        raw = psycopg2.connect(**options, connect_timeout=run.params["connect_timeout"])
    except psycopg2.Error as error:
        raise trouble.while_connecting(str(error), spec.where(run.params, database)) from None
    raw.autocommit = True
    return raw


def _addresses(run: Run, place: str) -> list[dict[str, str]]:
    """The addresses of login_host: looked up in a thread, because the resolver can be neither bounded nor stopped."""
    host = run.params["login_host"]
    if not host or host.startswith("/"):
        return [{}]
    found: list[Any] = []
    failure: list[OSError] = []

    def look() -> None:
        try:
            found.extend(socket.getaddrinfo(host, run.params["login_port"], type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            failure.append(OSError(str(error)))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    until = time.monotonic() + run.params["connect_timeout"]
    while thread.is_alive() and time.monotonic() < until:
        run.live.check()
        thread.join(TICK_SECONDS)
    if not found:
        why = "the name is not known; check login_host" if failure else "the name service does not answer"
        raise Unreachable(f"Failed to connect to {place}: {why}.")
    return [{"hostaddr": address} for address in dict.fromkeys(entry[4][0] for entry in found)]


def poll(raw: Any) -> bool:
    """One step of a connection's work, waiting a tick at most; True when it is done. Driver errors come through."""
    from psycopg2 import extensions

    state = raw.poll()
    if state == extensions.POLL_OK:
        return True
    handle = [raw.fileno()]
    reading = handle if state == extensions.POLL_READ else []
    select.select(reading, [] if reading else handle, [], TICK_SECONDS)
    return False
