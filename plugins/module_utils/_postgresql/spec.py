# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of a connection, as community.postgresql names them, and what they mean for libpq."""

from __future__ import annotations

import ipaddress
import os
from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# Where systems keep the CAs they trust; libpq itself looks only into the home folder.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def postgresql_spec() -> ArgumentSpec:
    """The options of fragment ``day2.ops._postgresql``."""
    return ArgumentSpec(
        {
            "login_host": {"type": "str", "default": ""},
            "login_port": {"type": "int", "default": 5432, "aliases": ["port"]},
            "login_unix_socket": {"type": "str", "default": ""},
            "login_user": {"type": "str", "default": "postgres"},
            "login_password": {"type": "str", "default": "", "no_log": True},
            "login_db": {"type": "str", "default": "postgres", "aliases": ["db"]},
            "ssl_mode": {"type": "str", "choices": list(SSL_MODES)},
            "ca_cert": {"type": "path", "aliases": ["ssl_rootcert"]},
            "ssl_cert": {"type": "path"},
            "ssl_key": {"type": "path"},
            "connect_timeout": {"type": "int", "default": 10},
            "lock_db": {"type": "str", "default": "postgres"},
        }
    )


def is_local(params: Mapping[str, Any]) -> bool:
    """A socket or the loopback: nobody between us and the server."""
    host = params["login_host"]
    if not host or host.startswith("/") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def ssl_mode(params: Mapping[str, Any]) -> str:
    return params["ssl_mode"] or ("prefer" if is_local(params) else "verify-full")


def where(params: Mapping[str, Any], database: str) -> str:
    """What we connect to, for people."""
    host = params["login_host"] or params["login_unix_socket"] or "the local socket"
    return f"database {database} at {host}:{params['login_port']} as {params['login_user']}"


def libpq_options(params: Mapping[str, Any], database: str, application: str) -> dict[str, Any]:
    """Keyword arguments for libpq, all but ``hostaddr``. Raises :class:`BadInput` for a file that is not there."""
    for option in ("ca_cert", "ssl_cert", "ssl_key"):
        if params[option] and not os.path.isfile(params[option]):
            raise BadInput(f"{option}: there is no file {params[option]}; give the path of a readable file.")
    mode = ssl_mode(params)
    options = {
        "host": params["login_host"] or params["login_unix_socket"],
        "port": params["login_port"],
        "user": params["login_user"],
        "password": params["login_password"],
        "dbname": database,
        "application_name": application,
        "client_encoding": "UTF8",
        "sslmode": mode,
        "sslrootcert": params["ca_cert"] or _trusted(mode),
        "sslcert": params["ssl_cert"],
        "sslkey": params["ssl_key"],
        # A network that swallows packets is noticed, whichever side waits.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30000,
    }
    return {name: value for name, value in options.items() if value not in ("", None)}


def _trusted(mode: str) -> Optional[str]:
    """The CAs of the system, where nothing else is given and a certificate is to be verified."""
    own = os.path.expanduser("~/.postgresql/root.crt")
    if not mode.startswith("verify") or os.path.exists(own):
        return None
    return next((path for path in _BUNDLES if os.path.exists(path)), None)
