# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Endpoints: what a body must say, and servers that are dead, hanging, slow, lying and half broken."""

from __future__ import annotations

import doctest
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._observability import assertions, series, service
from ansible_collections.day2.ops.plugins.module_utils._observability.assertions import failures
from ansible_collections.day2.ops.plugins.module_utils._observability.endpoints import endpoint_spec, endpoints_of
from tests.lab import Lab, module
from tests.lab.nginx import Nginx
from tests.unit.plugins.module_utils._tls.made import (
    Authorities,
    Dripping,
    authorities,
    dripping,
    issue,
    serving,
)

__all__ = ["authorities", "dripping", "serving"]  # fixtures
EASY = {"latency": {"warn": None, "crit": None}, "certificate": {"warn": None, "crit": 0}}


def ask(*endpoints: dict[str, Any], seconds: float = 60, **given: Any) -> Any:
    """What the module says, as {(subject, check): check}."""
    result = module.start("http_health_info", {"endpoints": list(endpoints), "thresholds": EASY, **given}).result(
        seconds
    )
    assert not result.get("failed"), result
    assert result["changed"] is False and result["actions"] == []
    return {(one["subject"], one["check"].replace("http_", "")): one for one in result["checks"]}


def statuses(found: Any, subject: str) -> dict[str, str]:
    return {check: one["status"] for (name, check), one in found.items() if name == subject}


# -- demands on a body

BODY = json.dumps(
    {
        "status": "UP",
        "ok": True,
        "none": None,
        "free": 12,
        "text": "12",
        "list": [{"n": 1}, {"n": 2}],
        "a/b.c": {"~": 1},
    }
).encode()


def test_examples_in_the_documentation() -> None:
    assert doctest.testmod(assertions).failed == 0
    assert doctest.testmod(series).failed == 0
    assert doctest.testmod(service).failed == 0


@pytest.mark.parametrize(
    ("demand", "why"),
    [
        ({"path": "status", "equals": "UP"}, ""),
        ({"path": "status", "equals": "DOWN"}, "status is UP, not DOWN"),
        ({"path": "ok", "equals": True}, ""),
        ({"path": "ok", "equals": "True"}, ""),
        ({"path": "ok", "equals": 1}, "ok is true, not 1"),
        ({"path": "free", "equals": "12"}, ""),
        ({"path": "free", "equals": 12.0}, ""),
        ({"path": "text", "equals": 12}, ""),
        ({"path": "list.-1.n", "equals": 2}, ""),
        ({"path": "/list/0", "equals": {"n": 1}}, ""),
        ({"path": "list", "equals": "x"}, "list is a list of 2, not x"),
        ({"path": "/a~1b.c/~0", "equals": 1}, ""),
        ({"path": "status", "matches": "^U"}, ""),
        ({"path": "status", "matches": "^D"}, "status is UP, which does not match ^D"),
        ({"path": "free", "above": 11}, ""),
        ({"path": "free", "above": 12}, "free is 12, not above 12"),
        ({"path": "text", "below": 13}, ""),
        ({"path": "free", "below": 12}, "free is 12, not below 12"),
        ({"path": "ok", "above": 0}, "ok is true, which is no number"),
        ({"path": "none", "present": True}, ""),
        ({"path": "none", "present": False}, "none is there"),
        ({"path": "gone", "present": False}, ""),
        ({"path": "gone", "present": True}, "gone: there is no gone in it"),
        ({"path": "list.7.n", "equals": 1}, "list.7.n: there is no 7 in it"),
        ({"path": "status.a", "equals": 1}, "status.a: there is no a in it"),
        ({"path": "list.n", "equals": 1}, "list.n: there is no n in it"),
        ({"path": ".", "present": True}, ""),
    ],
)
def test_demands(demand: dict[str, Any], why: str) -> None:
    assert failures(BODY, [demand]) == ([why] if why else [])


@pytest.mark.parametrize("body", [b"", b'{"status": "U', b"<html>", b"[" * 200_000, b"\xff\xfe"])
def test_a_body_that_is_no_json(body: bytes) -> None:
    assert failures(body, [{"path": "a", "present": True}]) == [f"the answer is no JSON ({len(body)} bytes)"]


# -- options


def params(**given: Any) -> dict[str, Any]:
    options = endpoint_spec().argument_spec["endpoints"]["options"]
    one = {name: option.get("default") for name, option in options.items()}
    return {"endpoints": [{**one, "name": "a", "url": "https://a.example", **given}], "thresholds": {}, "jobs": 4}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"url": "a.example"}, "endpoints[0].url: 'a.example' is no address"),
        ({"url": "http://a.example", "token": "t"}, "endpoints[0].url: a secret would travel in plain text"),
        ({"url": "http://a.example", "secret_headers": {"X": "y"}}, "endpoints[0].url: a secret would travel"),
        ({"url": "https://u:geheim@a.example"}, "endpoints[0].url: leave the user out of it"),
        ({"name": " "}, "endpoints[0].name: is empty"),
        ({"status": []}, "endpoints[0].status: is empty"),
        ({"samples": 0}, "endpoints[0].samples: 0 is out of range"),
        ({"timeout": 0}, "endpoints[0].timeout: 0 is too little"),
        ({"headers": {"Authorization": "x"}}, "endpoints[0].headers: Authorization is a secret; give it in"),
        ({"headers": {"X-Api_Key": "x"}}, "endpoints[0].headers: X-Api_Key is a secret"),
        ({"method": "HEAD", "body_regex": "x"}, "endpoints[0].method: HEAD brings no body"),
        ({"body_regex": "("}, "endpoints[0].body_regex: '(' is no regular expression"),
        ({"json": [{"path": "a"}]}, "endpoints[0].json[0]: has 0 demands"),
        ({"json": [{"path": "a", "above": 1, "below": 2}]}, "endpoints[0].json[0]: has 2 demands"),
        ({"json": [{"path": "a", "matches": "["}]}, "endpoints[0].json[0].matches: '[' is no regular"),
        ({"ca_cert": "/no/such"}, "endpoints[0].ca_cert: Failed to read /no/such"),
        ({"client_cert": "/no/such"}, "endpoints[0].client_cert: there is no file /no/such"),
        ({"thresholds": {"speed": {}}}, "endpoints[0].thresholds.speed: is not a kind of finding"),
    ],
)
def test_options_that_cannot_be_meant(given: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput) as caught:
        endpoints_of(params(**given))
    assert str(caught.value).startswith(words)
    assert "geheim" not in str(caught.value)


def test_names_are_there_once() -> None:
    given = params()
    given["endpoints"] *= 2
    with pytest.raises(BadInput, match=r"endpoints\[1\]\.name: 'a' is there twice"):
        endpoints_of(given)


# -- a stand-in that remembers what it is asked


class Site(ThreadingHTTPServer):
    daemon_threads = True
    delay = 0.0
    leads_to = ""
    seen: list[dict[str, str]]


class Page(BaseHTTPRequestHandler):
    server: Site
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.seen.append({"path": self.path, "method": self.command, **self.headers})
        time.sleep(self.server.delay)
        away = self.path == "/away"
        self.send_response(302 if away else 200)
        if away:
            self.send_header("Location", self.server.leads_to)
        self.send_header("Content-Length", "2")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(b"ok")

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def sites() -> Iterator[tuple[Site, Site]]:
    """Two sites; to a client they are two hosts, as their ports differ."""
    made = Site(("127.0.0.1", 0), Page), Site(("127.0.0.1", 0), Page)
    for site in made:
        site.seen = []
        threading.Thread(target=site.serve_forever, daemon=True).start()
    made[0].leads_to = f"http://127.0.0.1:{made[1].server_port}/there?secret=1"
    yield made
    for site in made:
        site.shutdown()
        site.server_close()


def test_no_secret_follows_a_redirect_to_another_host(sites: tuple[Site, Site]) -> None:
    home, other = sites
    secrets = {"token": "a-long-token", "secret_headers": {"X-Key": "a-long-key"}, "headers": {"X-Plain": "p"}}
    url = f"http://127.0.0.1:{home.server_port}"
    found = ask({"name": "stays", "url": f"{url}/away", **secrets})
    assert found["stays", "status"]["status"] == "crit" and other.seen == []
    assert found["stays", "status"]["evidence"]["leads_to"].endswith("/there")
    assert "secret=1" not in str(found)
    found = ask({"name": "goes", "url": f"{url}/away", "follow_redirects": True, **secrets})
    assert statuses(found, "goes") == {"status": "ok", "latency": "ok"}
    assert home.seen[-1]["Authorization"] == "Bearer a-long-token" and home.seen[-1]["X-Key"] == "a-long-key"
    assert other.seen[-1]["path"] == "/there?secret=1"
    assert not {"Authorization", "X-Key", "X-Plain"} & set(other.seen[-1])
    home.leads_to = "/home"
    ask({"name": "inside", "url": f"{url}/away", "follow_redirects": True, **secrets})
    assert (home.seen[-1]["path"], home.seen[-1]["X-Key"]) == ("/home", "a-long-key")


def test_no_secret_is_in_the_result(sites: tuple[Site, Site]) -> None:
    url = f"http://127.0.0.1:{sites[0].server_port}/"
    secrets = {"username": "ann", "password": "a-long-password", "secret_headers": {"X-Key": "a-long-key"}}
    result = module.start("http_health_info", {"endpoints": [{"name": "it", "url": url, **secrets}]}).result()
    assert result["checks"][0]["status"] == "ok"
    assert sites[0].seen[-1]["Authorization"].startswith("Basic ")
    assert not any(secret in json.dumps(result) for secret in ("a-long-password", "a-long-key"))


@pytest.mark.parametrize(
    ("leads_to", "words"), [("/away", "on and on"), ("ftp://a.example/", "ftp://a.example/, which is not followed")]
)
def test_redirects_that_are_not_followed(sites: tuple[Site, Site], leads_to: str, words: str) -> None:
    home, _other = sites
    home.leads_to = leads_to
    url = f"http://127.0.0.1:{home.server_port}/away"
    found = ask({"name": "it", "url": url, "follow_redirects": True})
    assert found["it", "status"]["status"] == "crit" and words in found["it", "status"]["summary"]


def test_samples_methods_and_queries(sites: tuple[Site, Site]) -> None:
    home, _other = sites
    home.delay = 0.05
    url = f"http://127.0.0.1:{home.server_port}/page?key=in-the-address"
    limits = {"latency": {"warn": 0.01, "crit": 5}}
    found = ask({"name": "it", "url": url, "method": "HEAD", "samples": 20, "thresholds": limits})
    latency = found["it", "latency"]
    assert latency["status"] == "warn" and 0.05 <= latency["value"] < 5
    assert latency["evidence"]["samples"] == 20 and latency["evidence"]["p50"] <= latency["evidence"]["p99"]
    assert len(home.seen) == 20 and {one["method"] for one in home.seen} == {"HEAD"}
    assert home.seen[0]["path"] == "/page?key=in-the-address"
    assert "in-the-address" not in str(found)


def test_servers_that_do_not_answer_are_crit_in_time(
    sites: tuple[Site, Site], dripping: Dripping, lab: Lab, authorities: Authorities
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    sites[0].delay = 30
    ports = {"closed": closed, "hanging": lab.hanging_server().port, "dripping": dripping.port}
    ports["slow"] = sites[0].server_port
    asked = [{"name": name, "url": f"http://127.0.0.1:{port}/", "timeout": 1} for name, port in ports.items()]
    asked += [{"name": f"{one['name']} tls", **one, "url": str(one["url"]).replace("http", "https")} for one in asked]
    for number, one in enumerate(asked[4:], start=4):
        one["name"] = f"{asked[number - 4]['name']} tls"
    began = time.monotonic()
    found = ask(*asked)
    assert time.monotonic() - began < 30
    for one in asked:
        told = statuses(found, one["name"])
        assert told.pop("status") == "crit" and set(told.values()) == {"unknown"}, one
    assert "nobody answers there" in found["closed", "status"]["summary"]
    assert "no answer within 1 s" in found["hanging", "status"]["summary"]
    assert "more than" in found["dripping", "status"]["summary"]


def test_servers_that_lie_are_found_out(authorities: Authorities, serving: Callable[..., Any]) -> None:
    lies = {
        "good": (serving(authorities.leaf(days=200)), "ok", "ok", "ends in"),
        "soon": (serving(authorities.leaf(days=20)), "ok", "warn", "ends in"),
        "expired": (serving(authorities.leaf(days=-2)), "crit", "crit", "expired 2 days ago"),
        "self-signed": (serving(issue("x", names=["localhost"])), "crit", "crit", "not trusted: self-signed"),
        "wrong name": (serving(authorities.leaf("other.example.com")), "crit", "crit", "is not for localhost"),
    }
    limits = {"latency": EASY["latency"], "certificate": {"warn": 30, "crit": 14}}
    base = {"ca_cert": str(authorities.file)}
    asked = [{"name": name, "url": f"https://localhost:{server.port}", **base} for name, (server, *_) in lies.items()]
    found = ask(*asked, thresholds=limits)
    for name, (_server, status, certificate, words) in lies.items():
        assert found[name, "status"]["status"] == status, name
        assert found[name, "certificate"]["status"] == certificate, name
        assert words in found[name, "certificate"]["summary"], name
    assert "certificate cannot be trusted; set endpoints[2].ca_cert" in found["expired", "status"]["summary"]


def test_a_clients_certificate(authorities: Authorities, serving: Callable[..., Any], tmp_path: Path) -> None:
    server, mine = serving(authorities.leaf(), clients=authorities.file), authorities.leaf("client")
    (tmp_path / "mine.pem").write_bytes(mine.pem + mine.key_pem)
    url, base = f"https://localhost:{server.port}", {"ca_cert": str(authorities.file)}
    with_it = {"name": "with", "url": url, "client_cert": str(tmp_path / "mine.pem"), **base}
    found = ask(with_it, {"name": "without", "url": url, **base})
    assert statuses(found, "with") == {"status": "ok", "latency": "ok", "certificate": "ok"}
    assert found["without", "status"]["status"] == "crit"


@pytest.fixture(scope="module")
def nginx(lab: Lab) -> Nginx:
    return lab.nginx("endpoints")


@pytest.mark.lab
def test_a_real_server(nginx: Nginx) -> None:
    good = [{"path": "status", "equals": "UP"}, {"path": "queues.0.length", "below": 10}]
    found = ask(
        {"name": "health", "url": f"{nginx.tls_url}/health", "ca_cert": str(nginx.certificate.ca_file), "json": good},
        {"name": "demands", "url": f"{nginx.url}/health", "json": [{"path": "database.free", "above": 12}]},
        {"name": "half", "url": f"{nginx.url}/half", "json": good},
        {"name": "broken", "url": f"{nginx.url}/broken", "json": good, "body_regex": "^yes"},
        {"name": "expected", "url": f"{nginx.url}/broken", "status": [500], "body_regex": "^no"},
        {"name": "moved", "url": f"{nginx.url}/moved", "follow_redirects": True, "samples": 3, "json": good},
        {"name": "stays", "url": f"{nginx.url}/moved"},
        {"name": "untrusted", "url": f"{nginx.tls_url}/health"},
        {"name": "not tls", "url": f"https://localhost:{nginx.port}/"},
    )
    assert statuses(found, "health") == dict.fromkeys(("status", "latency", "json", "certificate"), "ok")
    assert found["demands", "json"]["summary"] == "database.free is 12, not above 12."
    assert statuses(found, "half") == {"status": "ok", "latency": "ok", "json": "crit"}
    assert found["broken", "status"]["summary"] == "It answers 500, not 200."
    assert statuses(found, "broken") == {"status": "crit", "latency": "ok", "json": "crit", "body": "crit"}
    assert statuses(found, "expected") == {"status": "ok", "latency": "ok", "body": "ok"}
    assert statuses(found, "moved") == {"status": "ok", "latency": "ok", "json": "ok"}
    assert found["stays", "status"]["summary"].startswith("It answers 302 and leads to ")
    assert statuses(found, "untrusted") == {"status": "crit", "latency": "unknown", "certificate": "crit"}
    assert "no TLS with it" in found["not tls", "status"]["summary"]
