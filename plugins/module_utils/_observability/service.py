# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way to a service that speaks HTTP: options, questions with an end, and the causes of failure as errors.

Only GET is offered, so nothing that is asked here changes anything, in check mode or out of it.
"""

from __future__ import annotations

import ipaddress
import os
import sys
import time
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, NoReturn, Optional
from urllib.parse import urlsplit

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Refused, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._core.module import missing_library

MOST_BYTES = 8 << 20
# Where systems keep the CAs they trust; requests alone would look only into a list of its own.
BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def http_options() -> dict[str, Any]:
    """The options of a service, to stand below an option of its own; see :func:`http_constraints`."""
    return {
        "url": {"type": "str", "required": True},
        "ca_cert": {"type": "path"},
        "token": {"type": "str", "no_log": True},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "timeout": {"type": "float", "default": 5.0},
    }


def http_constraints() -> dict[str, Any]:
    return {"mutually_exclusive": [["token", "username"]], "required_together": [["username", "password"]]}


@dataclass(frozen=True)
class Answer:
    """An HTTP status and the body that came with it."""

    status: int
    body: bytes


class Service:
    """One service, described by the options of :func:`http_options` that were given as ``option``.

    ``name`` is what people call it. Raises :class:`BadInput` for options that cannot be meant.
    """

    def __init__(self, name: str, option: str, params: Mapping[str, Any]) -> None:
        self.name = name
        self.option = option
        self.url = _checked(option, params)
        self._params = params

    def get(self, path: str, query: Mapping[str, str]) -> Answer:
        """The answer to a question, whole and within the timeout. No redirect is followed.

        Raises :class:`Unreachable`, and :class:`Refused` for a certificate that cannot be trusted.
        """
        try:
            import requests
            from urllib3.exceptions import HTTPError
        except ImportError:
            missing_library("requests", sys.executable)
        timeout = self._params["timeout"]
        until = time.monotonic() + timeout
        try:
            with (
                requests.Session() as session,
                session.get(
                    self.url + path,
                    params=dict(query),
                    headers={"Accept-Encoding": "identity"},
                    auth=self._sign,
                    verify=self._trusted(),
                    timeout=timeout,
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                return Answer(response.status_code, self._body(response, until))
        except (requests.RequestException, HTTPError, OSError) as error:
            self._failed(error)

    def _body(self, response: Any, until: float) -> bytes:
        """The timeout of the library is one of silence; a body that drips is bounded here."""
        body = b""
        for piece in _pieces(response):
            body += piece
            if time.monotonic() > until:
                raise Unreachable(f"{self._asking()}: its answer took more than {self._params['timeout']:g} s.")
            if len(body) > MOST_BYTES:
                raise OpsError(f"{self._asking()}: its answer has more than {MOST_BYTES >> 20} MB.")
        return body

    def _sign(self, request: Any) -> Any:
        """Always given, also where there is nothing to sign with: else the library takes what it finds in ~/.netrc."""
        from requests.auth import HTTPBasicAuth

        if self._params.get("token"):
            request.headers["Authorization"] = f"Bearer {self._params['token']}"
        elif self._params.get("username"):
            user, password = (self._params[key].encode() for key in ("username", "password"))
            return HTTPBasicAuth(user, password)(request)
        return request

    def _trusted(self) -> Any:
        given = self._params.get("ca_cert") or os.environ.get("REQUESTS_CA_BUNDLE")
        return given or next((path for path in BUNDLES if os.path.exists(path)), True)

    def _asking(self) -> str:
        return f"Failed to ask {self.name} at {self.url}"

    def _failed(self, error: Exception) -> NoReturn:
        import requests

        if isinstance(error, requests.exceptions.SSLError):
            raise Refused(
                f"{self._asking()}: its certificate cannot be trusted; set {self.option}.ca_cert to the file with its "
                f"CA, and {self.option}.url to a name that is in it."
            ) from error
        if isinstance(error, (requests.Timeout, TimeoutError)) or "timed out" in str(error):
            text = f"it gave no answer within {self._params['timeout']:g} s"
        elif isinstance(error, requests.ConnectionError):
            text = "nobody answers there"
        else:
            text = "its answer broke off or is not HTTP"
        raise Unreachable(f"{self._asking()}: {text}; check {self.option}.url.") from error


def _pieces(response: Any) -> Iterator[bytes]:
    """The body as it arrives. Asked for so many bytes, the library would wait for all of them."""
    read = getattr(response.raw, "read1", None)  # since urllib3 2.1
    if read is None or response.headers.get("Content-Encoding"):
        yield from response.iter_content(1)
        return
    while True:
        piece: bytes = read(1 << 16)
        if not piece:
            return
        yield piece


def _checked(option: str, params: Mapping[str, Any]) -> str:
    url: str = params["url"].rstrip("/")
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _port = parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise BadInput(f"{option}.url: {_plain(url)!r} is no address; give one such as https://metrics.example.com.")
    if parts.username is not None or parts.password is not None:
        raise BadInput(f"{option}.url: leave the user out of it; give {option}.username and {option}.password.")
    secret = params.get("token") or params.get("password")
    if secret and parts.scheme == "http" and not _loopback(host):
        raise BadInput(f"{option}.url: a secret would travel in plain text to {host}; give an https address.")
    if params["timeout"] <= 0:
        raise BadInput(f"{option}.timeout: {params['timeout']:g} is too little; give a number of seconds above 0.")
    if params.get("ca_cert") and not os.path.isfile(params["ca_cert"]):
        raise BadInput(f"{option}.ca_cert: there is no file {params['ca_cert']}; give the path of a readable file.")
    if any(ord(letter) < 33 or ord(letter) > 126 for letter in params.get("token") or ""):
        raise BadInput(f"{option}.token: it has a blank or another character that no token has; give it as it is.")
    return url


def _plain(url: str) -> str:
    """Without whatever may be a password."""
    return url.rpartition("@")[2]


def _loopback(host: Optional[str]) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
