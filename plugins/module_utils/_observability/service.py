# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way to a service that speaks HTTP: options, questions with an end, and the causes of failure as errors.

Only GET and HEAD are offered, and one POST for questions that are too long for an address, so nothing that is asked
here changes anything, in check mode or out of it. What is sent somewhere goes through ``sending``.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Iterator, Mapping, NoReturn, Optional
from urllib.parse import urljoin, urlsplit

from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Refused, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._core.given import above_zero
from ansible_collections.day2.ops.plugins.module_utils._core.module import missing_library
from ansible_collections.day2.ops.plugins.module_utils._core.trust import trusted_file

if TYPE_CHECKING:
    from requests import Session

MOST_BYTES = 8 << 20
MOST_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
# What may be asked by POST: the two questions of Prometheus that only read. Proxies often cut longer addresses off.
READ_BY_POST = ("/api/v1/query", "/api/v1/query_range")
LONGEST_QUERY = 2000


def http_options() -> dict[str, Any]:
    """The options of a service, at the top or below an option of its own; see :func:`http_constraints`."""
    return {
        "url": {"type": "str", "required": True},
        "ca_cert": {"type": "path"},
        "token": {"type": "str", "no_log": True},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "timeout": {"type": "float", "default": 5.0},
    }


def connection_options() -> dict[str, Any]:
    """The same at the top of a module, where ``timeout`` is a word of Ansible's own; see :func:`connection`."""
    options = http_options()
    return {"request_timeout": options.pop("timeout"), **options}


def connection(params: Mapping[str, Any], deadline: Optional[Deadline] = None) -> dict[str, Any]:
    """The options of :func:`connection_options` as those of :func:`http_options`, cut to the time that is left."""
    timeout = params["request_timeout"]
    return {**params, "timeout": deadline.cut(timeout) if deadline else timeout}


def http_constraints() -> dict[str, Any]:
    return {"mutually_exclusive": [["token", "username"]], "required_together": [["username", "password"]]}


def needs_library() -> None:
    """:class:`BadInput` where the library is missing. Also, it is loaded before the time of any work is taken."""
    try:
        import requests  # noqa: F401
    except ImportError:
        missing_library("requests", sys.executable)


@dataclass(frozen=True)
class Answer:
    """An HTTP status, the body that came with it, where it leads, if anywhere, and when to come again, if it says."""

    status: int
    body: bytes
    location: str = ""
    retry_after: str = ""


class Service:
    """One service, described by the options of :func:`http_options` that were given as ``option`` ("": at the top).

    ``name`` is what people call it. With ``page`` its address is that of one page, and may have a query. Raises
    :class:`BadInput` for options that cannot be meant.
    """

    def __init__(self, name: str, option: str, params: Mapping[str, Any], *, page: bool = False) -> None:
        self.name = name
        self.option = option
        self._address = _checked(self.named, params, page)
        self.url = without_query(self._address)
        self._params = params

    def named(self, suboption: str) -> str:
        """An option as the user knows it."""
        if self.option:
            return f"{self.option}.{suboption}"
        return "request_timeout" if suboption == "timeout" else suboption

    def get(self, path: str, query: Mapping[str, Any]) -> Answer:
        """The answer to a question, whole and within the timeout. No redirect is followed.

        Raises :class:`Unreachable`, and :class:`Refused` for a certificate that cannot be trusted.
        """
        with self.session() as session:
            if path in READ_BY_POST and len(str(query.get("query", ""))) > LONGEST_QUERY:
                return self._ask(session, "POST", self._address + path, self._end(), data=dict(query))
            return self._ask(session, "GET", self._address + path, self._end(), params=dict(query))

    def visit(
        self, session: Session, method: str = "GET", headers: Optional[Mapping[str, str]] = None, follow: bool = False
    ) -> Answer:
        """The page itself, GET or HEAD. Where a redirect leads to another host, it is followed as a stranger: without
        token, user, headers and client certificate."""
        if method not in ("GET", "HEAD"):
            raise AssertionError(f"Contract violation: {method} may change something")
        url, at_home, until = self._address, True, self._end()
        for _hop in range(MOST_REDIRECTS + 1):
            answer = self._ask(session, method, url, until, at_home=at_home, headers=headers if at_home else None)
            if not follow or answer.status not in REDIRECTS or not answer.location:
                return answer
            url, before = urljoin(url, answer.location), url
            if _origin(url)[0] not in ("https", _origin(before)[0]):
                raise OpsError(f"{self._asking()}: it leads to {without_query(url)}, which is not followed.")
            at_home = at_home and _origin(url) == _origin(self._address)
        raise OpsError(f"{self._asking()}: it leads on and on, more than {MOST_REDIRECTS} times.")

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Connections that several visits share."""
        needs_library()
        import requests

        with requests.Session() as session:
            yield session

    def _end(self) -> float:
        return time.monotonic() + float(self._params["timeout"])

    def _ask(
        self,
        session: Session,
        method: str,
        url: str,
        until: float,
        *,
        at_home: bool = True,
        headers: Optional[Mapping[str, str]] = None,
        **content: Any,
    ) -> Answer:
        import requests
        from urllib3.exceptions import HTTPError

        params = self._params if at_home else {}
        try:
            with session.request(
                method,
                url,
                headers={"Accept-Encoding": "identity", **(headers or {})},
                # Always given, also where there is nothing to sign with: else the library looks into ~/.netrc.
                auth=lambda request: _signed(request, params),
                verify=trusted_file(self._params.get("ca_cert")) or True,
                cert=_client(params),
                timeout=max(0.001, until - time.monotonic()),
                allow_redirects=False,
                stream=True,
                **content,
            ) as response:
                said = response.headers
                body = self._body(response, until)
                return Answer(response.status_code, body, said.get("Location", ""), said.get("Retry-After", ""))
        except (requests.RequestException, HTTPError, OSError, UnicodeError) as error:
            self._failed(error)

    def _body(self, response: Any, until: float) -> bytes:
        """The timeout of the library is one of silence; a body that drips is bounded here."""
        body = bytearray()
        for piece in _pieces(response):
            body += piece
            if time.monotonic() > until:
                raise Unreachable(f"{self._asking()}: its answer took more than {self._params['timeout']:g} s.")
            if len(body) > MOST_BYTES:
                raise OpsError(f"{self._asking()}: its answer has more than {MOST_BYTES >> 20} MB.")
        return bytes(body)

    def _asking(self) -> str:
        return f"Failed to ask {self.name} at {self.url}"

    def _failed(self, error: Exception) -> NoReturn:
        import requests

        root: BaseException = error
        while (root.__cause__ or root.__context__) is not None:
            root = root.__cause__ or root.__context__ or root
        if isinstance(root, ssl.SSLCertVerificationError):
            raise Refused(
                f"{self._asking()}: its certificate cannot be trusted; set {self.named('ca_cert')} to the file with "
                f"its CA, and {self.named('url')} to a name that is in it ({root.verify_message.rstrip('.')})."
            ) from error
        if isinstance(error, requests.exceptions.SSLError):
            text = f"it comes to no TLS with it ({getattr(root, 'reason', None) or root})"
        elif isinstance(error, (requests.Timeout, TimeoutError)) or "timed out" in str(error):
            text = f"it gave no answer within {self._params['timeout']:g} s"
        elif isinstance(error, requests.ConnectionError):
            text = "nobody answers there"
        else:
            text = "its answer broke off or is not HTTP"
        raise Unreachable(f"{self._asking()}: {text}; check {self.named('url')}.") from error


def _signed(request: Any, params: Mapping[str, Any]) -> Any:
    from requests.auth import HTTPBasicAuth

    if params.get("token"):
        request.headers["Authorization"] = f"Bearer {params['token']}"
    elif params.get("username"):
        user, password = (params[key].encode() for key in ("username", "password"))
        return HTTPBasicAuth(user, password)(request)
    return request


def _client(params: Mapping[str, Any]) -> Any:
    certificate, key = params.get("client_cert"), params.get("client_key")
    return (certificate, key) if certificate and key else certificate


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


def _checked(named: Any, params: Mapping[str, Any], page: bool) -> str:
    url: str = params["url"] if page else params["url"].rstrip("/")
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _port = parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or (parts.query and not page) or parts.fragment:
        shown = _plain(url.partition("?")[0])
        raise BadInput(f"{named('url')}: {shown!r} is no address; give one such as https://metrics.example.com.")
    if parts.username is not None or parts.password is not None:
        raise BadInput(f"{named('url')}: leave the user out of it; give {named('username')} and {named('password')}.")
    secret = params.get("token") or params.get("password") or params.get("secret_headers")
    if secret and parts.scheme == "http" and not _loopback(host):
        raise BadInput(f"{named('url')}: a secret would travel in plain text to {host}; give an https address.")
    above_zero(named("timeout"), params["timeout"], "a number of seconds")
    for file in ("ca_cert", "client_cert", "client_key"):
        if params.get(file) and not os.path.isfile(params[file]):
            raise BadInput(f"{named(file)}: there is no file {params[file]}; give the path of a readable file.")
    if any(ord(letter) < 33 or ord(letter) > 126 for letter in params.get("token") or ""):
        raise BadInput(f"{named('token')}: it has a blank or another character that no token has; give it as it is.")
    return url


def without_query(url: str) -> str:
    """An address as it may be told: a query may hold a secret, and so may what stands before the host.

    >>> without_query("https://ann:secret@shop.example.com/a?token=b#c"), without_query("/health?token=b")
    ('https://shop.example.com/a', '/health')
    """
    told = url.partition("#")[0].partition("?")[0]
    scheme, slashes, rest = told.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}"


def _origin(url: str) -> tuple[str, str, Optional[int]]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", "", None


def _plain(url: str) -> str:
    """Without whatever may be a password."""
    return url.rpartition("@")[2]


def _loopback(host: Optional[str]) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
