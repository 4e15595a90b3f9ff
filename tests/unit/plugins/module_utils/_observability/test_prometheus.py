# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking a Prometheus: a real one for what it says, a stand-in for what servers and proxies answer on bad days."""

from __future__ import annotations

import doctest
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Refused, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._observability import prometheus as module
from ansible_collections.day2.ops.plugins.module_utils._observability.prometheus import Number, Prometheus, one_number
from ansible_collections.day2.ops.plugins.module_utils._observability.service import MOST_BYTES
from tests.lab import prometheus as lab_prometheus
from tests.lab.lab import Lab

ASKED = "brake.prometheus"


def asking(url: str, **given: Any) -> Prometheus:
    return Prometheus({"url": url, "timeout": 1.0, **given}, ASKED)


def sample(value: str) -> dict[str, Any]:
    return {"metric": {}, "value": [1.0, value]}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"resultType": "vector", "result": [sample("12.5")]}, Number(12.5)),
        ({"resultType": "scalar", "result": [1.0, "3"]}, Number(3.0)),
        ({"resultType": "vector", "result": []}, Number(None, "the query finds nothing")),
        ({"resultType": "vector", "result": [sample("NaN")]}, Number(None, "the query comes to nan, not to a number")),
        ({"resultType": "scalar", "result": [1, "+Inf"]}, Number(None, "the query comes to inf, not to a number")),
        ({"resultType": "matrix", "result": []}, Number(None, "the query comes to a matrix, not to a number")),
        ({"resultType": "string", "result": [1, "a"]}, Number(None, "the query comes to a string, not to a number")),
        (
            {"resultType": "vector", "result": [{"metric": {}, "histogram": [1, {}]}]},
            Number(None, "the query comes to a histogram, not to a number"),
        ),
        ({"resultType": "vector", "result": [sample("many")]}, Number(None, "the answer has an unknown form")),
        ({"resultType": "vector"}, Number(None, "the answer has an unknown form")),
        (["what"], Number(None, "the answer has an unknown form")),
        (None, Number(None, "the answer has an unknown form")),
    ],
)
def test_what_an_answer_comes_to(data: Any, expected: Number) -> None:
    assert one_number(data) == expected


def test_several_series_are_no_number() -> None:
    found = one_number({"resultType": "vector", "result": [sample("1"), sample("2")]})
    assert found.value is None and "2 series; make them one" in found.why


def test_examples_in_the_documentation() -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"url": "metrics"}, "url: 'metrics' is no address"),
        ({"url": "ftp://metrics"}, "url: 'ftp://metrics' is no address"),
        ({"url": "https://metrics:many"}, "is no address"),
        ({"url": "https://metrics?a=b"}, "is no address"),
        ({"url": "https://ann:geheim@metrics"}, "url: leave the user out of it"),
        ({"url": "ftp://ann:geheim@metrics"}, "url: 'metrics' is no address"),
        ({"url": "http://metrics", "token": "t"}, "url: a secret would travel in plain text to metrics"),
        ({"url": "http://metrics", "username": "a", "password": "b"}, "url: a secret would travel"),
        ({"url": "https://metrics", "timeout": 0}, "timeout: 0 is too little"),
        ({"url": "https://metrics", "ca_cert": "/no/such"}, "ca_cert: there is no file /no/such"),
        ({"url": "https://metrics", "token": "a\nb"}, "token: it has a blank"),
    ],
)
def test_options_that_cannot_be_meant(given: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput) as caught:
        asking(**given)
    assert str(caught.value).startswith(f"{ASKED}.") and words in str(caught.value)
    assert "geheim" not in str(caught.value)


class StandIn(ThreadingHTTPServer):
    """Answers every question alike, and remembers the last one."""

    daemon_threads = True
    status = 200
    body = b'{"status":"success","data":{"resultType":"scalar","result":[1,"7"]}}'
    more: dict[str, str] = {}
    drip = 0.0
    promised = 0
    path = ""
    seen: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Page(BaseHTTPRequestHandler):
    server: StandIn

    def do_GET(self) -> None:
        self.server.path, self.server.seen = self.path, dict(self.headers)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(self.server.promised or len(self.server.body)))
        for name, value in self.server.more.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for byte in self.server.body if self.server.drip else ():
                self.wfile.write(bytes([byte]))
                time.sleep(self.server.drip)
            if not self.server.drip:
                self.wfile.write(self.server.body)
        except OSError:
            return

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_the_question_as_it_is_asked(stand_in: StandIn) -> None:
    assert asking(stand_in.url + "/prom/", token="a-token").number('min(free{disk="ä"})') == Number(7.0)
    assert stand_in.path.startswith("/prom/api/v1/query?query=min%28free%7Bdisk%3D%22%C3%A4%22%7D%29&timeout=1s")
    assert stand_in.seen["Authorization"] == "Bearer a-token"


def test_no_secret_is_found_elsewhere(stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password geheim\n", encoding="ascii")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    asking(stand_in.url).number("up")
    assert "Authorization" not in stand_in.seen
    asking(stand_in.url, token="mine").number("up")
    assert stand_in.seen["Authorization"] == "Bearer mine"


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, '{"status":"error","error":"parse error:\\n  bad"}', BadInput, "not take the query: parse error: bad."),
        (422, "{}", BadInput, "not take the query: HTTP 422."),
        (401, "no", Refused, "not let us in (HTTP 401); check brake.prometheus.token, or brake.prometheus.username"),
        (403, "no", Refused, "not let us in (HTTP 403)"),
        (404, "404 page not found", OpsError, "no such page (HTTP 404); check brake.prometheus.url."),
        (302, "", OpsError, "no such page (HTTP 302)"),
        (429, "slow down", Unreachable, "cannot answer now (HTTP 429)."),
        (500, '{"status":"error","error":"query timed out"}', Unreachable, "now (HTTP 500: query timed out)."),
        (503, "<html>", Unreachable, "cannot answer now (HTTP 503)."),
        (200, "<html>", OpsError, "what answers is not Prometheus; check brake.prometheus.url."),
        (200, "[]", OpsError, "what answers is not Prometheus"),
        (200, '"data"', OpsError, "what answers is not Prometheus"),
    ],
)
def test_bad_answers_get_one_clear_sentence(
    stand_in: StandIn, status: int, body: str, kind: type[OpsError], words: str
) -> None:
    stand_in.status, stand_in.body = status, body.encode()
    stand_in.more = {"Location": "http://127.0.0.1:1/"} if status == 302 else {}
    with pytest.raises(OpsError) as caught:
        asking(stand_in.url, token="geheim").number("up")
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"Failed to ask Prometheus at {stand_in.url}: ")
    assert words in str(caught.value) and "geheim" not in str(caught.value)


def test_an_answer_that_drips_breaks_off_or_never_ends(stand_in: StandIn) -> None:
    stand_in.drip = 0.1
    began = time.monotonic()
    with pytest.raises(Unreachable, match="more than 1 s"):
        asking(stand_in.url).number("up")
    assert time.monotonic() - began < 8
    stand_in.body = b""
    stand_in.promised = 1
    with pytest.raises(Unreachable, match=r"broke off|no answer within"):
        asking(stand_in.url).number("up")
    stand_in.drip, stand_in.promised, stand_in.body = 0, 500, b"{}"
    with pytest.raises(Unreachable, match="broke off"):
        asking(stand_in.url).number("up")
    stand_in.promised, stand_in.body = 0, b" " * (MOST_BYTES + 1)
    with pytest.raises(OpsError, match="more than 8 MB"):
        asking(stand_in.url, timeout=30.0).number("up")


def test_nobody_there(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreachable, match=r"nobody answers there; check brake\.prometheus\.url"):
        asking(f"http://127.0.0.1:{port}").number("up")
    hanging = lab.hanging_server()
    began = time.monotonic()
    with pytest.raises(Unreachable, match="no answer within 1 s"):
        asking(f"http://127.0.0.1:{hanging.port}").number("up")
    assert time.monotonic() - began < 3
    hanging.close()


@pytest.mark.lab
def test_a_real_one(prometheus: lab_prometheus.Prometheus) -> None:
    prometheus.tell('asked{disk="a"}', 5)
    prometheus.tell('asked{disk="b"}', 7e12)
    real = asking(prometheus.url)
    assert real.number("max(asked)") == Number(7e12)
    assert real.number("scalar(min(asked))") == Number(5.0)
    assert real.number("no_such").why == "the query finds nothing"
    assert "2 series" in real.number("asked").why
    assert "nan" in real.number("min(asked) * 0 / 0").why
    assert "matrix" in real.number("asked[1m]").why
    with pytest.raises(BadInput, match=r"does not take the query: .*parse error"):
        real.number("min(asked")


@pytest.mark.lab
def test_a_real_one_with_tls(lab: Lab) -> None:
    server = lab.prometheus("asked-with-tls", tls=True)
    assert Prometheus({"timeout": 2.0, **server.options()}, ASKED).number("vector(3)") == Number(3.0)
    with pytest.raises(Refused, match="not let us in"):
        Prometheus({"timeout": 2.0, **server.options(password="wrong")}, ASKED).number("vector(3)")
    with pytest.raises(Refused, match=r"certificate cannot be trusted; set brake\.prometheus\.ca_cert"):
        Prometheus({"timeout": 2.0, **server.options(ca_cert=None)}, ASKED).number("vector(3)")
    elsewhere = server.options(url=f"https://127.0.0.2:{server.port}")
    with pytest.raises(Unreachable):
        Prometheus({"timeout": 2.0, **elsewhere}, ASKED).number("vector(3)")
    server.stop()
