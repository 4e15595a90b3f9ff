# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stand-ins for Slack, a webhook and a mail server: no real ones can be had here. They are as strict as those."""

from __future__ import annotations

import base64
import json
import socketserver
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .tls import Certificate

HOOK = "/services/T000/B000/XXXXXXXXXXXXXXXXXXXXXXXX"
TOKEN = "xoxb-0123456789-lab"
SLACK_CHANNEL = "C0123456789"


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    receiver: HttpReceiver

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes, or does not trust us, is nobody's concern."""


class _Page(BaseHTTPRequestHandler):
    server: _Http

    def do_POST(self) -> None:
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers["Content-Length"]))
        receiver.requests.append((self.path, dict(self.headers), body))
        if receiver.answers:
            status, retry_after = receiver.answers.pop(0)
            self._answer(status, b"busy", retry_after)
        elif self.path == HOOK:
            self._answer(*_slack_webhook(self.headers["Content-Type"], body))
        elif self.path == "/api/chat.postMessage":
            self._answer(200, json.dumps(_slack_api(dict(self.headers), body)).encode())
        elif self.path.startswith("/hook"):
            receiver.taken.append(json.loads(body))
            self._answer(204, b"")
        else:
            self._answer(404, b"no_service")

    def _answer(self, status: int, body: bytes, retry_after: str = "") -> None:
        if status == 200 and self.path != "/hook":
            self.server.receiver.taken.append(json.loads(self.server.receiver.requests[-1][2]))
        self.send_response(status)
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """The requests are kept; that is enough."""


def _slack_wrong(body: bytes) -> str:
    """The word for what Slack would not take; empty when it would."""
    try:
        message = json.loads(body)
    except ValueError:
        return "invalid_payload"
    blocks = message.get("blocks", [])
    texts = [block["text"]["text"] for block in blocks]
    if not message.get("text") and not blocks:
        return "no_text"
    if len(blocks) > 50 or any(not 0 < len(text) <= 3000 for text in texts):
        return "invalid_blocks"
    if sum(map(len, texts)) > 13_200:
        return "msg_blocks_too_long"
    return "msg_too_long" if len(message.get("text", "")) > 40_000 else ""


def _slack_webhook(content_type: str, body: bytes) -> tuple[int, bytes]:
    if not content_type.startswith("application/json"):
        return 400, b"invalid_payload"
    wrong = _slack_wrong(body)
    return (400, wrong.encode()) if wrong else (200, b"ok")


def _slack_api(headers: dict[str, str], body: bytes) -> dict[str, Any]:
    if headers.get("Authorization") != f"Bearer {TOKEN}":
        return {"ok": False, "error": "invalid_auth"}
    if json.loads(body).get("channel") != SLACK_CHANNEL:
        return {"ok": False, "error": "channel_not_found"}
    wrong = _slack_wrong(body)
    return {"ok": False, "error": wrong} if wrong else {"ok": True, "ts": "1.0"}


class HttpReceiver:
    """Slack (:data:`HOOK`, and its API) and a webhook at ``/hook``. ``requests`` is all that came, ``taken`` what was
    accepted; ``answers`` are given first, each once."""

    def __init__(self, certificate: Certificate | None = None) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.taken: list[dict[str, Any]] = []
        self.answers: list[tuple[int, str]] = []
        self._server = _Http(("127.0.0.1", 0), _Page)
        self._server.receiver = self
        if certificate:
            self._server.socket = _context(certificate).wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _context(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert_file, certificate.key_file)
    return context


class _Smtp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    receiver: MailServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not trust us goes in the middle of it."""


class _Conversation(socketserver.StreamRequestHandler):
    """What RFC 5321 demands, in its order; a password only when nobody listens."""

    server: _Smtp

    def handle(self) -> None:
        server, self._secure, self._known, self._sender, self._to = self.server.receiver, False, False, "", []
        if server.implicit:
            self._wrap()
        self._say("220 lab ESMTP")
        while line := self.rfile.readline().decode("utf-8", "replace").rstrip("\r\n"):
            verb, _space, rest = line.partition(" ")
            server.commands.append(verb.upper())
            if verb.upper() == "QUIT":
                self._say("221 bye")
                return
            getattr(self, f"_{verb.lower()}", self._unknown)(rest)

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())

    def _wrap(self) -> None:
        self.connection = _context(self.server.receiver.certificate).wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self._secure = True

    def _unknown(self, _rest: str) -> None:
        self._say("502 not known")

    def _ehlo(self, _rest: str) -> None:
        self._say("250-lab")
        self._say(
            "250 AUTH PLAIN" if self._secure else "250 STARTTLS" if self.server.receiver.offers_tls else "250 HELP"
        )

    def _starttls(self, _rest: str) -> None:
        self._say("220 go ahead")
        self._wrap()

    def _auth(self, rest: str) -> None:
        method, _space, given = rest.partition(" ")
        wanted = f"\0{self.server.receiver.user}\0{self.server.receiver.password}".encode()
        self._known = self._secure and method.upper() == "PLAIN" and base64.b64decode(given) == wanted
        self._say("235 welcome" if self._known else "535 no")

    def _mail(self, rest: str) -> None:
        self._sender = rest.partition("<")[2].partition(">")[0]
        self._say("250 ok" if self._known else "530 who are you?")

    def _rcpt(self, rest: str) -> None:
        address = rest.partition("<")[2].partition(">")[0]
        good = bool(self._sender) and address.endswith("@example.com")
        self._to += [address] if good else []
        self._say("250 ok" if good else "550 nobody of that name")

    def _data(self, _rest: str) -> None:
        if not self._to:
            self._say("503 to whom?")
            return
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line.endswith(b"\r\n") or len(line) > 1000:
                self._say("500 a line is too long, or has no end")
                return
            lines.append(line[1:] if line.startswith(b"..") else line)
        self.server.receiver.taken.append((self._sender, self._to, b"".join(lines)))
        self._say("250 taken")

    def _rset(self, _rest: str) -> None:
        self._sender, self._to = "", []
        self._say("250 ok")


class MailServer:
    """Takes mail for example.com from a user with a password, encrypted. ``taken``: sender, receivers, message."""

    user, password = "day2", "a mail password of the lab"

    def __init__(self, certificate: Certificate, *, implicit: bool = False, offers_tls: bool = True) -> None:
        self.certificate, self.implicit, self.offers_tls = certificate, implicit, offers_tls
        self.taken: list[tuple[str, list[str], bytes]] = []
        self.commands: list[str] = []
        self._server = _Smtp(("127.0.0.1", 0), _Conversation)
        self._server.receiver = self
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
