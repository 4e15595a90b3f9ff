# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What libpq and servers say, as the sentences people read."""

from __future__ import annotations

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Refused, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._postgresql import trouble

WHERE = "database app at db1:5432 as ann"
PREAMBLE = 'connection to server at "10.0.0.1", port 5432 failed: '


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        (PREAMBLE + 'FATAL:  password authentication failed for user "ann"\n', BadInput, "login_password"),
        (PREAMBLE + "fe_sendauth: no password supplied\n", BadInput, "set login_password"),
        ("ERROR:  SASL authentication failed", BadInput, "login_password"),
        (PREAMBLE + 'FATAL:  no pg_hba.conf entry for host "1.2.3.4", user "ann", no encryption', Refused, "pg_hba"),
        (PREAMBLE + 'FATAL:  database "app" does not exist\n', BadInput, "login_db"),
        ("FATAL:  no such database: app", BadInput, "login_db"),
        (PREAMBLE + 'FATAL:  role "ann" does not exist', BadInput, "login_user"),
        (PREAMBLE + "FATAL:  sorry, too many clients already", Unreachable, "all connections"),
        (PREAMBLE + "FATAL:  remaining connection slots are reserved for roles", Unreachable, "all connections"),
        (PREAMBLE + "FATAL:  the database system is starting up", Unreachable, "starting"),
        (PREAMBLE + "FATAL:  the database system is in recovery mode", Unreachable, "starting"),
        (PREAMBLE + "FATAL:  the database system is shutting down", Unreachable, "shutting down"),
        (PREAMBLE + "Connection refused\n\tIs the server running on that host?", Unreachable, "nothing listens"),
        (PREAMBLE + "SSL error: certificate verify failed", Refused, "ca_cert"),
        (PREAMBLE + 'root certificate file "/root/.postgresql/root.crt" does not exist', Refused, "ca_cert"),
        (PREAMBLE + 'server certificate for "a" does not match host name "b"', Refused, "login_host"),
        (PREAMBLE + "server does not support SSL, but SSL was required", Refused, "ssl_mode"),
        (PREAMBLE + "server closed the connection unexpectedly", Unreachable, "closed the connection"),
        (PREAMBLE + "FATAL:  die Datenbank schläft noch", Unreachable, ": die Datenbank schläft noch."),
    ],
)
def test_a_failed_connect_has_one_sentence_and_a_remedy(text: str, kind: type[OpsError], words: str) -> None:
    error = trouble.while_connecting(text, WHERE)
    assert type(error) is kind
    assert str(error).startswith(f"Failed to connect to {WHERE}: ")
    assert words in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("sqlstate", [None, "57P01", "57P02", "57P03", "08006"])
def test_a_lost_connection_is_unreachable(sqlstate: str) -> None:
    error = trouble.from_server(sqlstate, "FATAL:  terminating connection due to administrator command\n", WHERE)
    assert isinstance(error, Unreachable)
    assert str(error).endswith("terminating connection due to administrator command.")


def test_other_errors_keep_their_code_and_only_their_first_line() -> None:
    text = "could not create unique index\nDETAIL:  Key (email)=(someone@example.com) is duplicated."
    error = trouble.from_server("23505", text, WHERE)
    assert isinstance(error, trouble.SqlError) and error.sqlstate == "23505"
    assert str(error) == "could not create unique index"


def test_a_statement_pooler_is_refused() -> None:
    text = "transaction blocks not allowed in statement pooling mode"
    assert isinstance(trouble.from_server("08P01", text, WHERE), Refused)
