# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The process behind s3.py: moto's server with a layer of faults in front. Run as a script: s3server.py <port>."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

_ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<Error><Code>{}</Code><Message>{}</Message><RequestId>LAB</RequestId></Error>"
)


class LostReply(Exception):
    """Raised out of the application, so that the server closes the connection without an answer."""


class Faults:
    """A WSGI application around another."""

    def __init__(self, inner: Callable[[Environ, StartResponse], Iterable[bytes]]) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._serial = threading.Lock()
        self._faults: dict[str, Any] = {}
        self._requests: list[tuple[str, str, int]] = []

    def _use(self, faults: dict[str, Any], name: str) -> bool:
        """Use up one of a number of faults."""
        with self._lock:
            if not faults.get(name):
                return False
            faults[name] -= 1
        return True

    def _control(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        answer: Any = {}
        what, method = environ["PATH_INFO"].removeprefix("/_lab/"), environ["REQUEST_METHOD"]
        with self._lock:
            if (what, method) == ("faults", "PUT"):
                self._faults = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
            elif (what, method) == ("requests", "GET"):
                answer = self._requests
            elif (what, method) == ("requests", "DELETE"):
                self._requests = []
        body = json.dumps(answer).encode()
        start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def __call__(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/_lab/"):
            return self._control(environ, start)
        method = environ["REQUEST_METHOD"]
        path = environ["PATH_INFO"] + (f"?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else "")
        status = 0
        answer_headers: list[tuple[str, str]] = []
        # Those in force when the request came: one that is still delayed must not use up later ones.
        faults = self._faults
        if faults and not ((not faults["methods"] or method in faults["methods"]) and faults["contains"] in path):
            faults = {}

        def remember(line: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            nonlocal status, answer_headers
            status, answer_headers = int(line.split()[0]), headers
            return None

        try:
            body = self._answer(environ, remember, faults)
            if 200 <= status < 300 and method == "GET" and body:
                if self._use(faults, "flip_bits"):
                    body = bytes([body[0] ^ 1]) + body[1:]
                if self._use(faults, "cut_bodies"):
                    # Content-Length still promises the whole; the connection closes after half.
                    body = body[: len(body) // 2]
                    answer_headers.append(("Connection", "close"))
        except LostReply:
            status = 0
            raise
        finally:
            with self._lock:
                self._requests.append((method, path, status))
        start(f"{status} {'OK' if status < 300 else 'Answer'}", answer_headers)
        return [body]

    def _answer(self, environ: Environ, start: StartResponse, faults: dict[str, Any]) -> bytes:
        if delay := float(faults.get("delay", 0)):
            time.sleep(delay)
        if faults.get("deny"):
            return _refuse(environ, start, "403 Forbidden", "AccessDenied", "Access Denied")
        if self._use(faults, "slow_down"):
            return _refuse(environ, start, "503 Slow Down", "SlowDown", "Please reduce your request rate.")
        if faults.get("ignore_conditions"):
            environ.pop("HTTP_IF_MATCH", None)
            environ.pop("HTTP_IF_NONE_MATCH", None)
        lost = self._use(faults, "lose_replies")
        _receive(environ)
        # One at a time: moto looks for the key and then stores it, and a conditional put must not fall in between.
        with self._serial:
            answer = self._inner(environ, start)
            body = b"".join(answer)
            if close := getattr(answer, "close", None):
                close()
        if lost:
            raise LostReply
        return body


def _receive(environ: Environ) -> None:
    """Read the whole body first. One that breaks off is no request: S3 stores no half object."""
    if wanted := int(environ.get("CONTENT_LENGTH") or 0):
        data = environ["wsgi.input"].read(wanted)
        if len(data) < wanted:
            raise LostReply
        environ["wsgi.input"] = io.BytesIO(data)


def _refuse(environ: Environ, start: StartResponse, status: str, code: str, message: str) -> bytes:
    # The body must be read, or the next request on this connection would begin in the middle of it.
    stream, left = environ["wsgi.input"], int(environ.get("CONTENT_LENGTH") or 0)
    while left > 0 and (chunk := stream.read(min(left, 1 << 20))):
        left -= len(chunk)
    body = b"" if environ["REQUEST_METHOD"] == "HEAD" else _ERROR.format(code, message).encode()
    start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return body


class Handler(WSGIRequestHandler):
    """A lost reply is a closed connection."""

    def run_wsgi(self) -> None:
        try:
            super().run_wsgi()
        except LostReply:
            self.close_connection = True


def main() -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = Faults(DomainDispatcherApplication(create_backend_app))
    server = make_server(
        "127.0.0.1", int(sys.argv[1]), application, threaded=True, request_handler=Handler, passthrough_errors=True
    )
    server.serve_forever()


if __name__ == "__main__":
    main()
