# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one way to a Redis (or Valkey) server: options, connection, and the causes of failure as typed errors.

A client is made for named commands and refuses every other one, so a module that reads cannot write.
"""

from __future__ import annotations

import inspect
import ipaddress
import os
import socket
import ssl
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Iterator, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Refused, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._core.given import above_zero
from ansible_collections.day2.ops.plugins.module_utils._core.module import missing_library
from ansible_collections.day2.ops.plugins.module_utils._redis.grants import Grants

if TYPE_CHECKING:
    from redis import Redis


def connection_spec() -> ArgumentSpec:
    """The options of community.general's Redis modules, but for ``tls``, whose default knows loopback."""
    return ArgumentSpec(
        {
            "login_host": {"type": "str", "default": "localhost"},
            "login_port": {"type": "int", "default": 6379},
            "login_user": {"type": "str"},
            "login_password": {"type": "str", "no_log": True},
            "tls": {"type": "bool"},
            "validate_certs": {"type": "bool", "default": True},
            "ca_certs": {"type": "path"},
            "client_cert_file": {"type": "path"},
            "client_key_file": {"type": "path"},
            "connect_timeout": {"type": "int", "default": 10},
        },
        required_by={"client_key_file": ["client_cert_file"]},
    )


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def uses_tls(params: Mapping[str, Any]) -> bool:
    """TLS unless told otherwise; on loopback plain unless told otherwise."""
    return not is_loopback(params["login_host"]) if params["tls"] is None else bool(params["tls"])


class Client:
    """A connection on which only the commands of ``grants`` can be sent."""

    def __init__(self, redis: Redis, params: Mapping[str, Any], grants: Grants) -> None:
        self._redis: Any = redis  # execute_command is not typed
        self._params = params
        self._grants = grants

    def command(self, *words: Any) -> Any:
        """The answer to one command."""
        self._allow(words)
        with _causes(self._params, self._grants):
            return self._redis.execute_command(*words)

    def pipeline(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """The answers to many commands, sent in one go; None to one whose key another node has taken."""
        for words in commands:
            self._allow(words)
        with _causes(self._params, self._grants):
            pipe = self._redis.pipeline(transaction=False)
            for words in commands:
                pipe.execute_command(*words)
            # The library's own sentence on a failure within a pipeline would tell the name of the key.
            answers: list[Any] = pipe.execute(raise_on_error=False)
            for failure in answers:
                if isinstance(failure, Exception) and not _moved(failure):
                    raise failure
            return [None if isinstance(one, Exception) else one for one in answers]

    def _allow(self, words: Sequence[Any]) -> None:
        command = str(words[0]).lower()
        if command in self._grants.commands:
            return
        if len(words) > 1 and f"{command}|{words[1]}".lower() in self._grants.commands:
            return
        raise AssertionError(f"Contract violation: this connection may not send {words[0]}")


def _moved(failure: Exception) -> bool:
    """Whether another node of a cluster has taken the key meanwhile: for us it is gone."""
    from redis import exceptions

    return isinstance(failure, (exceptions.AskError, exceptions.MovedError, exceptions.TryAgainError))


@contextmanager
def connect(
    params: Mapping[str, Any], grants: Grants, deadline: Optional[Deadline] = None, database: int = 0
) -> Iterator[Client]:
    """A connection for the commands of ``grants``, made with the first of them; none waits longer than
    ``connect_timeout``."""
    _readable(params)
    timeout: float = params["connect_timeout"]
    above_zero("connect_timeout", timeout, "a number of seconds")
    if deadline is not None:
        deadline.check()
        timeout = deadline.cut(timeout)
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        missing_library("redis", sys.executable)
    options: dict[str, Any] = {
        "host": params["login_host"].strip("[]"),
        "port": params["login_port"],
        "db": database,
        "username": params["login_user"] or None,
        "password": params["login_password"] or None,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        **_silent(redis.Redis),
        **_tls(params),
    }
    client = redis.Redis(**options)
    try:
        yield Client(client, params, grants)
    finally:
        client.close()


def _silent(kind: type) -> dict[str, None]:
    """The library introduces itself with CLIENT SETINFO; where that is not granted, it would fill the ACL log."""
    known = inspect.signature(kind).parameters
    return {"driver_info": None} if "driver_info" in known else {"lib_name": None, "lib_version": None}


def _tls(params: Mapping[str, Any]) -> dict[str, Any]:
    if not uses_tls(params):
        return {}
    verified = params["validate_certs"]
    return {
        "ssl": True,
        "ssl_cert_reqs": "required" if verified else "none",
        "ssl_check_hostname": verified,
        "ssl_ca_certs": params["ca_certs"],
        "ssl_certfile": params["client_cert_file"],
        "ssl_keyfile": params["client_key_file"],
    }


def _readable(params: Mapping[str, Any]) -> None:
    for option in ("ca_certs", "client_cert_file", "client_key_file"):
        path = params[option]
        if path and not os.access(path, os.R_OK):
            raise BadInput(f"{option}: {path} does not exist or cannot be read; give the path of a PEM file.")
        if path and not uses_tls(params):
            raise BadInput(f"{option}: has no meaning without TLS; set tls: true, or remove it.")


@contextmanager
def _causes(params: Mapping[str, Any], grants: Grants) -> Iterator[None]:
    """Turn what the library raises into an error whose sentence says what to do."""
    from redis import exceptions

    server = f"{params['login_host']}:{params['login_port']}"
    user = params["login_user"] or "default"
    try:
        yield
    except exceptions.AuthenticationError as error:
        raise BadInput(f"Failed to log in to Redis {server}: {_login_remedy(params, user, str(error))}") from error
    except exceptions.NoPermissionError as error:
        run = grants.statement(user)
        raise Refused(
            f"Failed to read Redis {server}: the user {user} may not do that ({error}); run there: {run}"
        ) from error
    except exceptions.BusyLoadingError as error:
        raise Unreachable(f"Failed to read Redis {server}: it is still loading its data; try again later.") from error
    except exceptions.TimeoutError as error:
        waited = f"no answer within {params['connect_timeout']} s (connect_timeout)"
        # A server that expects no TLS takes the greeting for the begin of a command, and waits for more.
        plain = "; if it has no TLS, set tls: false" if uses_tls(params) else ""
        raise Unreachable(f"Failed to reach Redis {server}: {waited}{plain}.") from error
    except (exceptions.ConnectionError, OSError) as error:
        raise Unreachable(f"Failed to reach Redis {server}: {_cause(params, error)}.") from error
    except exceptions.RedisError as error:
        raise OpsError(f"Failed to read Redis {server}: {error}.") from error


def _login_remedy(params: Mapping[str, Any], user: str, said: str) -> str:
    """The server's words on a failed login, as a remedy."""
    if not params["login_password"]:
        return "it asks for a password; set login_password, and login_user where it has users of its own."
    if "without any password configured" in said or "no password is set" in said:
        return f"the user {user} has no password there; remove login_password, or set login_user."
    return f"it refuses the password of the user {user}; check login_password and login_user."


def _cause(params: Mapping[str, Any], error: BaseException) -> str:
    """The first cause, without the library's wrapping."""
    root = error
    while (root.__cause__ or root.__context__) is not None:
        root = root.__cause__ or root.__context__ or root
    if isinstance(root, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({root.verify_message}); check ca_certs and login_host"
    if isinstance(root, ssl.SSLError) and uses_tls(params):
        return f"no TLS with it ({root.reason or root}); check login_port; if it has no TLS, set tls: false"
    if isinstance(root, socket.gaierror):
        return "its name is not known; check login_host"
    if isinstance(root, ConnectionRefusedError):
        return "nothing listens there (connection refused); check login_port and that the server runs"
    if "max number of clients" in str(root):
        return "it has no connection left (maxclients)"
    said = root.strerror if isinstance(root, OSError) and root.strerror else str(root).rstrip(".")
    if isinstance(root, OSError) and not isinstance(root, ConnectionResetError):
        return said[:1].lower() + said[1:]
    return f"it closed the connection ({said}){'' if uses_tls(params) else '; if it speaks TLS, set tls: true'}"
