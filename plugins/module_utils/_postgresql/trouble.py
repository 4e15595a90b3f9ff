# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What PostgreSQL and libpq say when something goes wrong, turned into typed errors with one sentence and a remedy.

Pure: text and SQLSTATE in, error out. Servers translate their messages, so an unknown text is passed on as it is; only
the primary message is ever used, because details can hold data of rows.
"""

from __future__ import annotations

import re
from typing import Optional

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Refused, Unreachable

LOCK_NOT_AVAILABLE = "55P03"
QUERY_CANCELED = "57014"
INSUFFICIENT_PRIVILEGE = "42501"
UNDEFINED_OBJECT = "42704"
DISK_FULL = "53100"
# The connection is gone or going: administrator shutdown, crash shutdown, cannot connect now, connection exceptions.
GONE = ("57P01", "57P02", "57P03", "57P05", "08")


class SqlError(OpsError):
    """The server answered a statement with an error. ``sqlstate`` is its five-letter code."""

    def __init__(self, message: str, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


# What libpq says while connecting (it passes on no SQLSTATE), our kind of error, and the sentence after "Failed to
# connect to <where>: ". Groups of the pattern fill the sentence.
_CONNECTING: tuple[tuple[str, type[OpsError], str], ...] = (
    (r"no password supplied", BadInput, "the server wants a password; set login_password"),
    (
        r"(?:password|SASL) authentication failed",
        BadInput,
        "the password or the user is wrong; check login_password and login_user",
    ),
    (
        r"no pg_hba\.conf entry",
        Refused,
        "the server's pg_hba.conf has no line for this address, user, database and encryption; let an administrator "
        "add one",
    ),
    (r"(?:Peer|Ident) authentication failed", Refused, "the socket admits only the system user of that name"),
    (r"database (.+?) does not exist|no such database: (.+)", BadInput, "there is no such database; check login_db"),
    (r"role .+? does not exist|no such user", BadInput, "there is no such user; check login_user"),
    (r"permission denied for database", Refused, "the user may not connect; run GRANT CONNECT ON DATABASE for it"),
    (
        r"too many (?:clients|connections)|remaining connection slots",
        Unreachable,
        "all connections of the server are taken; try later, or raise max_connections or the limit of the user",
    ),
    (r"starting up|recovery mode|not (?:yet )?accepting connections", Unreachable, "the server is starting; try later"),
    (r"shutting down", Unreachable, "the server is shutting down"),
    (
        r"root certificate file|certificate verify failed|self[- ]signed certificate|unable to get local issuer",
        Refused,
        "the certificate of the server is not signed by a CA that is known here; set ca_cert to the file with its CA",
    ),
    (
        r"does not match host name|hostname mismatch",
        Refused,
        "the certificate of the server is for another name; set login_host to a name in it, or ca_cert and ssl_mode",
    ),
    (r"certificate has expired", Refused, "the certificate of the server has expired; renew it"),
    (
        r"server does not support SSL",
        Refused,
        "the server offers no TLS; switch it on there, or accept plain text with ssl_mode=disable",
    ),
    (
        r"(?:private key|certificate) file",
        BadInput,
        "a client certificate file cannot be used; check ssl_cert and ssl_key",
    ),
    (
        r"Connection refused",
        Unreachable,
        "nothing listens there; check that the server is up, and login_host and login_port",
    ),
    (
        r"No such file or directory",
        Unreachable,
        "there is no socket; check login_unix_socket and that the server is up",
    ),
    (r"No route to host|Network is unreachable", Unreachable, "there is no way through the network to that address"),
    (
        r"server closed the connection unexpectedly|SSL SYSCALL|Connection reset|received invalid response",
        Unreachable,
        "the other side closed the connection; check that a PostgreSQL server listens there",
    ),
)  # fmt: skip


def while_connecting(text: str, where: str) -> OpsError:
    """The error for libpq's ``text``; ``where`` says what we connected to ("database app at db1:5432 as ann")."""
    for pattern, kind, sentence in _CONNECTING:
        if re.search(pattern, text, re.IGNORECASE):
            return kind(f"Failed to connect to {where}: {sentence}.")
    return Unreachable(f"Failed to connect to {where}: {plain(text)}.")


def plain(text: str) -> str:
    """The first line of a message, without libpq's preamble, the severity and the full stop."""
    line = (text.strip() or "no reason was given").splitlines()[0]
    line = re.sub(r"^connection to server .*? failed: ", "", line)
    return re.sub(r"^[A-Z]+:\s+", "", line).rstrip(". ")


def from_server(sqlstate: Optional[str], text: str, where: str) -> OpsError:
    """The error for a statement that failed on a session to ``where``; without a SQLSTATE the connection is gone."""
    if "statement pooling mode" in text:
        return Refused(f"Failed to work on {where}: a statement pooler stands between; connect to the server directly.")
    if sqlstate is None or sqlstate.startswith(GONE):
        return Unreachable(f"The connection to {where} was lost: {plain(text)}.")
    return SqlError(plain(text), sqlstate)
