# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Queries with thresholds: a real Prometheus for what it says, a stand-in for what its relatives answer on bad days."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._observability import series
from ansible_collections.day2.ops.plugins.module_utils._observability.prometheus import Prometheus
from ansible_collections.day2.ops.plugins.module_utils._observability.queries import (
    checks_of,
    queries_of,
    query_options,
)
from ansible_collections.day2.ops.plugins.module_utils._observability.series import Found, Series, Span, merge, parse
from ansible_collections.day2.ops.plugins.module_utils._observability.service import LONGEST_QUERY
from tests.lab import Lab, module
from tests.lab import prometheus as lab_prometheus
from tests.unit.plugins.module_utils._tls.made import Dripping, dripping

__all__ = ["dripping"]  # a fixture
NAN = math.nan


def query(**given: Any) -> Any:
    defaults = {name: option.get("default") for name, option in query_options().items()}
    if "range" in given:
        given["range"] = {"end": "now", "step": None, "take": "max", **given["range"]}
    return queries_of([{**defaults, "name": "it", "query": "up", **given}], 1_000_000.0)[0]


def vector(*values: float, warnings: tuple[str, ...] = (), **labels: str) -> Found:
    found = (Series({"instance": f"i{number}", **labels}, ((5.0, value),)) for number, value in enumerate(values))
    return Found("vector", tuple(found), warnings)


# -- verdicts


@pytest.mark.parametrize(
    ("given", "told", "status", "value"),
    [
        ({"warn": 1, "crit": 2}, vector(0.5), "ok", 0.5),
        ({"warn": 1, "crit": 2}, vector(1), "warn", 1),
        ({"warn": 1, "crit": 2}, vector(9), "crit", 9),
        ({"warn": 2, "crit": 1, "bad": "below"}, vector(1.5), "warn", 1.5),
        ({}, vector(9), "ok", 9),
        ({"crit": 1}, Found("scalar", (Series({}, ((1.0, 7.0),)),)), "crit", 7),
        ({"crit": 1}, vector(math.inf), "crit", None),
        ({"crit": 1}, vector(-math.inf), "ok", None),
        ({}, vector(NAN), "unknown", None),
        ({"absent": "ok"}, vector(NAN), "ok", None),
        ({"absent": "crit"}, vector(), "crit", None),
        ({}, vector(), "unknown", None),
        ({}, vector(1, 2), "unknown", None),
        ({}, Found("string", (Series({}, ()),)), "unknown", None),
        ({}, Found("matrix", ()), "unknown", None),
        ({}, Found("vector", (Series({}, ()),)), "unknown", None),
        # Where a part is missing, nothing is well; what is bad stays bad.
        ({"crit": 1}, vector(0, warnings=("store-1: no answer",)), "unknown", 0),
        ({"crit": 1}, vector(2, warnings=("store-1: no answer",)), "crit", 2),
        ({"absent": "ok"}, vector(warnings=("store-1: no answer",)), "unknown", None),
        ({"crit": 1}, vector(0, warnings=("PromQL warning: mixed floats",)), "ok", 0),
        ({}, Unreachable("Failed to ask."), "unknown", None),
    ],
)
def test_verdicts(given: dict[str, Any], told: Any, status: str, value: float | None) -> None:
    [found] = checks_of(query(**given), told)
    assert (found["status"], found["value"]) == (status, value), found["summary"]
    assert found["subject"] == "it" and found["summary"].endswith(".")
    json.dumps(found, allow_nan=False)


def test_one_check_for_each_series() -> None:
    found = checks_of(query(subject_label="instance", warn=2), vector(1, 2))
    assert [(one["subject"], one["status"]) for one in found] == [("it i0", "ok"), ("it i1", "warn")]
    alike = checks_of(query(subject_label="job"), vector(1, 2, job="a"))
    assert [(one["subject"], one["status"]) for one in alike] == [("it a", "unknown")]
    assert "2 series have the same job" in alike[0]["summary"]
    assert checks_of(query(subject_label="zone"), vector(1))[0]["subject"] == "it without zone"
    many = checks_of(query(subject_label="instance"), vector(*range(600)))
    assert len(many) == 501 and many[-1]["status"] == "unknown"


@pytest.mark.parametrize(("take", "value"), [("max", 9), ("min", 1), ("last", 2), ("avg", 4), ("p95", 9)])
def test_points_become_one_number(take: str, value: float) -> None:
    points = tuple((float(at), number) for at, number in enumerate((1.0, NAN, 4.0, 9.0, 2.0, NAN)))
    one = query(range={"start": "-1h", "take": take}, crit=9)
    [found] = checks_of(one, Found("matrix", (Series({}, points),)))
    assert found["value"] == value and found["evidence"]["points"] == 6
    assert found["status"] == ("crit" if value == 9 else "ok")


# -- options


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"query": " "}, "queries[0]: its name or query is empty"),
        ({"warn": 2, "crit": 1}, "queries[0].warn: comes after queries[0].crit"),
        ({"at": "yesterday"}, "queries[0].at: 'yesterday' is no time"),
        ({"at": "-6x"}, "queries[0].at: '6x' is no length of time"),
        ({"at": "-1h", "range": {"start": "-1h"}}, "queries[0].at: has no meaning beside queries[0].range"),
        ({"range": {"start": "now"}}, "queries[0].range.end: is not after queries[0].range.start"),
        ({"range": {"start": "-1h", "step": "0"}}, "queries[0].range.step: '0' is no length of time"),
        (
            {"range": {"start": "-365d", "step": "1s"}},
            "queries[0].range.step: 1 s is too short for so long a range; give 144s",
        ),
        ({"max_age": "soon"}, "queries[0].max_age: 'soon' is no length of time"),
    ],
)
def test_options_that_cannot_be_meant(given: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput) as caught:
        query(**given)
    assert str(caught.value).startswith(words)


def test_names_are_there_once() -> None:
    with pytest.raises(BadInput, match=r"queries\[1\]\.name: 'it' is there twice"):
        queries_of([{"name": "it", "query": "up"}] * 2, 0)


@pytest.mark.parametrize("text", ["", "5 m", "1.5h", "m5", "-5m", "inf", "nan", "5mm", "1h 30m"])
def test_lengths_of_time_that_are_none(text: str) -> None:
    with pytest.raises(BadInput, match=r"^step: "):
        series.seconds(text, "step")


@pytest.mark.parametrize(
    ("end", "step"), [(10_999, 1), (11_000, 1), (86_400 * 30, 60), (100, 7), (0.5, 1), (33_000, 1)]
)
def test_parts_have_together_the_points_of_the_whole(end: float, step: float) -> None:
    parts = Span(0, end, step).parts()
    points = [part.start + n * step for part in parts for n in range(int((part.end - part.start) // step) + 1)]
    assert points == [n * step for n in range(int(end // step) + 1)]
    assert all((part.end - part.start) / step + 1 <= series.MOST_POINTS + 1e-6 for part in parts)


def test_parts_are_put_together_by_their_labels() -> None:
    first = Found("matrix", (Series({"a": "1"}, ((1.0, 1.0),)), Series({"a": "2"}, ((1.0, 5.0),))), ("w",))
    second = Found("matrix", (Series({"a": "2"}, ((2.0, 6.0),)),), ("w", "v"))
    merged = merge([first, second])
    assert [one.points for one in merged.series] == [((1.0, 1.0),), ((1.0, 5.0), (2.0, 6.0))]
    assert merged.warnings == ("w", "v")


# -- a stand-in


class StandIn(ThreadingHTTPServer):
    daemon_threads = True
    answer: Any = None
    asked: list[tuple[str, dict[str, list[str]]]]


class Page(BaseHTTPRequestHandler):
    server: StandIn

    def do_GET(self) -> None:
        self._answer("GET", urlsplit(self.path).query)

    def do_POST(self) -> None:
        self._answer("POST", self.rfile.read(int(self.headers["Content-Length"])).decode())

    def _answer(self, method: str, query: str) -> None:
        self.server.asked.append((method, parse_qs(query)))
        body = json.dumps(self.server.answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn(("127.0.0.1", 0), Page) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def client(server: StandIn) -> Prometheus:
    return Prometheus({"url": f"http://127.0.0.1:{server.server_port}", "timeout": 2.0}, "")


def test_long_questions_go_by_post(stand_in: StandIn) -> None:
    stand_in.answer = {"status": "success", "data": {"resultType": "vector", "result": []}}
    long = "up" + " or up" * LONGEST_QUERY
    client(stand_in).instant(long, at=12.5)
    client(stand_in).instant("up")
    assert [method for method, _query in stand_in.asked] == ["POST", "GET"]
    assert stand_in.asked[0][1]["query"] == [long] and stand_in.asked[0][1]["time"] == ["12.500"]


def test_warnings_of_an_answer_are_kept(stand_in: StandIn) -> None:
    data = {"resultType": "vector", "result": [{"metric": {}, "value": [1, "3"]}]}
    stand_in.answer = {"status": "success", "data": data, "warnings": ["store-1: no answer"]}
    found = client(stand_in).instant("up")
    assert found.partial and found.warnings == ("store-1: no answer",)


@pytest.mark.parametrize("answer", [None, [], {"data": 1}, {"data": {"resultType": "vector", "result": [{"a": 1}]}}])
def test_answers_of_something_else(stand_in: StandIn, answer: Any) -> None:
    stand_in.answer = answer
    with pytest.raises(OpsError, match=r"what answers is not Prometheus; check url\."):
        client(stand_in).instant("up")


def test_a_histogram_is_no_number() -> None:
    data = {"resultType": "vector", "result": [{"metric": {}, "histogram": [1, {}]}]}
    assert parse({"data": data}).series[0].points == ()


# -- the module


def ask(url: str, *queries: dict[str, Any], seconds: float = 60, **given: Any) -> Any:
    return module.start("prometheus_info", {"url": url, "queries": list(queries), **given}).result(seconds)


def test_a_server_that_gives_no_answer_is_unknown_in_time(lab: Lab, dripping: Dripping) -> None:
    hanging = f"http://127.0.0.1:{lab.hanging_server().port}"
    began = time.monotonic()
    result = ask(hanging, *({"name": f"q{number}", "query": "up"} for number in range(4)), request_timeout=1)
    assert time.monotonic() - began < 30
    assert [one["status"] for one in result["checks"]] == ["unknown"] * 4
    assert "no answer within 1 s" in result["checks"][0]["summary"]
    began = time.monotonic()
    result = ask(f"http://127.0.0.1:{dripping.port}", {"name": "q", "query": "up"}, request_timeout=1)
    assert time.monotonic() - began < 30
    assert result["checks"][0]["status"] == "unknown" and "took more than" in result["checks"][0]["summary"]
    result = ask("http://127.0.0.1:1", {"name": "q", "query": "up"})
    assert "nobody answers there; check url." in result["checks"][0]["summary"]


@pytest.mark.lab
def test_a_real_one(prometheus: lab_prometheus.Prometheus) -> None:
    for disk, value in (("a", 5.0), ("b", 20.0)):
        prometheus.tell(f'queried{{disk="{disk}"}}', value)
    result = ask(
        prometheus.url,
        {"name": "disk", "query": "queried", "subject_label": "disk", "warn": 10, "crit": 15},
        {"name": "worst", "query": "max(queried)", "unit": "bytes", "crit": 30},
        {"name": "nan", "query": "max(queried) * 0 / 0"},
        {"name": "none", "query": "no_such", "absent": "ok"},
        {"name": "new", "query": "queried", "subject_label": "disk", "max_age": "1m"},
        {"name": "old", "query": "queried offset 1h", "max_age": "1m"},
        {"name": "stale", "query": "timestamp(queried)", "at": "-1h", "absent": "warn"},
        {"name": "peak", "query": "max(queried)", "range": {"start": "-1m", "step": "1s"}},
        {"name": "long", "query": "vector(3)", "crit": 3, "range": {"start": "-10h", "step": "1s", "take": "avg"}},
        {"name": "matrix", "query": "queried[1m]"},
    )
    found = {one["subject"]: (one["status"], one["value"]) for one in result["checks"]}
    assert found == {
        "disk a": ("ok", 5),
        "disk b": ("crit", 20),
        "worst": ("ok", 20),
        "nan": ("unknown", None),
        "none": ("ok", None),
        "new a": ("ok", 5),
        "new b": ("ok", 20),
        "old": ("unknown", None),
        "stale": ("warn", None),
        "peak": ("ok", 20),
        "long": ("crit", 3),
        "matrix": ("unknown", None),
    }
    points = {one["subject"]: one["evidence"].get("points") for one in result["checks"]}
    assert points["long"] == 36_001


@pytest.mark.lab
def test_a_mistake_in_one_query_is_named_after_the_others_were_asked(prometheus: lab_prometheus.Prometheus) -> None:
    result = ask(prometheus.url, {"name": "a", "query": "sum("}, {"name": "b", "query": "vector(1)"})
    assert result["failed"] and result["error"]["kind"] == "bad_input"
    assert result["msg"].startswith("queries[0].query: Failed to ask Prometheus at ")
    assert [one["status"] for one in result["checks"]] == ["unknown", "ok"]
