# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way to a server, and every way in which it fails, tried on real ones."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import (
    BadInput,
    Expired,
    OpsError,
    Refused,
    Unreachable,
)
from ansible_collections.day2.ops.plugins.module_utils._redis.connect import connect, is_loopback, uses_tls
from ansible_collections.day2.ops.plugins.module_utils._redis.grants import (
    BIG_KEYS,
    HEALTH,
    MAINTENANCE,
    SAMPLE,
    SLOWLOG,
    Grants,
)
from ansible_collections.day2.ops.plugins.modules import redis_health_info, redis_maintenance


def info(params, grants=HEALTH, deadline=None):
    with connect(params, grants, deadline) as client:
        return client.command("INFO")


def failure(params, kind, grants=HEALTH):
    with pytest.raises(OpsError) as caught:
        info(params, grants)
    assert type(caught.value) is kind, caught.value
    said = str(caught.value)
    assert said.endswith((".", "~*", "+info")), said
    assert str(params["login_password"]) not in said
    return said


def test_info_arrives_as_numbers_and_text(params):
    found = info(params())
    assert found["used_memory"] > 0
    assert found["role"] == "master"


@pytest.mark.parametrize("command", ["FLUSHALL", "DEL", "CONFIG", "SET", "KEYS", "SCAN"])
def test_only_granted_commands_can_be_sent(params, redis_server, command):
    with redis_server.client() as client:
        client.set("precious", "1")
    with connect(params(), HEALTH) as reader:
        with pytest.raises(AssertionError, match="may not send"):
            reader.command(command, "precious")
        with pytest.raises(AssertionError, match="may not send"):
            reader.pipeline([("INFO",), (command, "precious")])
    with redis_server.client() as client:
        assert client.get("precious") == b"1"


def test_what_is_granted_never_writes():
    granted = {command for grants in (HEALTH, SLOWLOG, SAMPLE, BIG_KEYS, MAINTENANCE) for command in grants.commands}
    reads = {"info", "ping", "select", "scan", "ttl", "memory|usage", "slowlog|len"}
    assert granted == reads | {"memory|purge"}


def test_a_wrong_password_names_the_option(params):
    said = failure(params(login_password="wrong-one"), BadInput)
    assert "it refuses the password of the user default; check login_password" in said


def test_a_missing_password_names_the_option(params):
    assert "it asks for a password; set login_password" in failure(params(login_password=None), BadInput)


def test_a_needless_password_names_the_option(params, redis_server):
    with redis_server.client() as client:
        client.config_set("requirepass", "")
        try:
            said = failure(params(), BadInput)
        finally:
            client.config_set("requirepass", redis_server.password)
    assert "the user default has no password there; remove login_password" in said


@pytest.mark.parametrize(
    ("rules", "grants", "statement"),
    [
        (["+ping"], HEALTH, "ACL SETUSER narrow +info"),
        (["+info", "+scan", "+ttl", "~*"], SAMPLE, "ACL SETUSER narrow +info +select +scan +ttl ~*"),
        (["+info", "+select", "+scan"], SAMPLE, "ACL SETUSER narrow +info +select +scan +ttl ~*"),
        (["+info", "+select", "+scan", "+ttl"], SAMPLE, "ACL SETUSER narrow +info +select +scan +ttl ~*"),
    ],
    ids=["no info", "no select", "no ttl", "no keys"],
)
def test_a_missing_grant_is_printed_as_the_statement_to_run_and_is_enough(
    params, redis_server, rules, grants, statement
):
    def work(options):
        with connect(options, grants, None, 0 if grants is HEALTH else 3) as client:
            client.command("INFO")
            if grants is SAMPLE:
                client.command("SCAN", 0)
                client.pipeline([("TTL", "precious")])

    with redis_server.client() as client:
        client.set("precious", "1")
        client.execute_command("ACL", "SETUSER", "narrow", "reset", "on", ">narrow-secret", *rules)
        options = params(login_user="narrow", login_password="narrow-secret")
        try:
            with pytest.raises(Refused) as caught:
                work(options)
            assert str(caught.value).endswith(f"run there: {statement}")
            client.execute_command(*statement.split())
            work(options)
            # Nothing but the refused command: the library's introduction would be there too.
            assert len(client.execute_command("ACL", "LOG")) == 1
        finally:
            client.execute_command("ACL", "DELUSER", "narrow")


def test_a_server_that_is_down(params, lab):
    with lab.proxy(("127.0.0.1", 1)) as proxy:
        proxy.refuse()
        said = failure(params(login_port=proxy.port), Unreachable)
    assert "nothing listens there (connection refused); check login_port" in said


def test_a_server_that_hangs_is_not_waited_for_longer_than_asked(params, lab):
    server = lab.hanging_server()
    started = time.monotonic()
    said = failure(params(login_port=server.port, connect_timeout=1), Unreachable)
    assert time.monotonic() - started < 3
    assert "no answer within 1 s (connect_timeout)" in said


def test_a_server_that_stops_answering(params, lab, redis_server):
    with (
        lab.proxy(redis_server) as proxy,
        connect(params(login_port=proxy.port, connect_timeout=1), HEALTH) as client,
    ):
        proxy.stall()
        with pytest.raises(Unreachable, match="no answer within 1 s"):
            client.command("INFO")


def test_a_cut_connection_is_made_anew_and_keeps_to_its_database(params, lab, redis_server):
    with redis_server.client(db=3) as other:
        other.set("only here", "x")
    with lab.proxy(redis_server) as proxy, connect(params(login_port=proxy.port), SAMPLE, None, 3) as client:
        assert client.command("SCAN", 0)[1] == [b"only here"]
        proxy.reset()
        assert client.command("SCAN", 0)[1] == [b"only here"]
        proxy.refuse()
        with pytest.raises(Unreachable, match="Failed to reach Redis"):
            client.command("INFO")


def test_a_name_that_is_not_known(params):
    assert "its name is not known; check login_host" in failure(params(login_host="no.such.invalid"), Unreachable)


def test_no_connection_outlives_the_deadline(params, lab):
    server = lab.hanging_server()
    started = time.monotonic()
    with pytest.raises(Unreachable):
        info(params(login_port=server.port), deadline=Deadline(clock.now() + timedelta(seconds=1)))
    assert time.monotonic() - started < 3
    with pytest.raises(Expired):
        info(params(login_port=server.port), deadline=Deadline(clock.now() - timedelta(seconds=1)))


def test_a_server_without_connections_left(params, redis_server):
    with redis_server.client() as keeper:
        keeper.config_set("maxclients", 1)
        try:
            assert "maxclients" in failure(params(), Unreachable)
        finally:
            keeper.config_set("maxclients", 1000)


@pytest.fixture(scope="module")
def tls_server(lab):
    """Debian's server: the wheel's has no TLS."""
    certificate = lab.authority.issue("localhost", file="redis")
    settings = {"tls-cert-file": certificate.cert_file, "tls-key-file": certificate.key_file}
    more = {"tls-auth-clients": "no", "tls-ca-cert-file": certificate.ca_file}
    server = lab.redis("unit-redis-tls", flavour="redis", settings={**settings, **more})
    with server.client() as client:
        client.config_set("tls-port", server.port + 1 if server.port < 60000 else server.port - 1)
        port = int(client.config_get("tls-port")["tls-port"])
    return server, port, str(certificate.ca_file)


def test_tls_is_verified(params, tls_server):
    server, port, ca_file = tls_server
    options = params(**{**server.login(), "login_host": "localhost", "login_port": port, "tls": True})
    assert info({**options, "ca_certs": ca_file})["role"] == "master"
    assert info({**options, "validate_certs": False})["role"] == "master"
    assert "its certificate is not accepted (" in failure(options, Unreachable)
    other_name = {**options, "ca_certs": ca_file, "login_host": "127.0.0.1"}
    assert "check ca_certs and login_host" in failure(other_name, Unreachable)


def test_tls_on_one_side_only(params, tls_server):
    server, port, _ca_file = tls_server
    plain_server = params(login_host="localhost", tls=True, connect_timeout=1)
    assert "if it has no TLS, set tls: false" in failure(plain_server, Unreachable)
    tls_only = params(**{**server.login(), "login_port": port, "tls": False})
    assert "if it speaks TLS, set tls: true" in failure(tls_only, Unreachable)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"ca_certs": "/no/such/file", "tls": True}, "ca_certs: /no/such/file does not exist or cannot be read"),
        ({"ca_certs": __file__, "tls": False}, "ca_certs: has no meaning without TLS; set tls: true"),
        ({"connect_timeout": 0}, "connect_timeout: 0 is too little"),
    ],
)
def test_a_mistake_in_the_options_is_named_before_anything_is_touched(params, given, sentence):
    assert failure(params(**given), BadInput).startswith(sentence)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("[::1]", True),
        ("10.0.0.1", False),
        ("cache.example.com", False),
        ("localhost.example.com", False),
    ],
)
def test_tls_is_the_default_but_on_loopback(host, loopback):
    assert is_loopback(host) is loopback
    assert uses_tls({"login_host": host, "tls": None}) is not loopback
    assert uses_tls({"login_host": host, "tls": False}) is False
    assert uses_tls({"login_host": host, "tls": True}) is True


def test_a_statement_gives_keys_only_where_they_are_touched():
    assert Grants(("info",)).statement("u") == "ACL SETUSER u +info"
    assert Grants(("ttl",), keys=True).statement("u") == "ACL SETUSER u +ttl ~*"


def test_the_module_documents_what_it_needs():
    documented = redis_health_info.DOCUMENTATION
    needed = (*BIG_KEYS.commands, *SLOWLOG.commands)
    assert all(f"+{command}" in documented for command in needed)
    assert MAINTENANCE.statement("day2") in redis_maintenance.DOCUMENTATION
