# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Alerts as a real Alertmanager tells them, and what is made of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._observability.alerts import (
    Alert,
    cluster,
    firing,
    severities_of,
)
from tests.lab import Lab, module
from tests.lab.alertmanager import Alertmanager
from tests.lab.processes import wait_until
from tests.unit.plugins.module_utils._tls.made import Dripping, dripping

__all__ = ["dripping"]  # a fixture
SINCE = "2026-11-21T10:00:00Z"


def alert(name: str, severity: str | None = "critical", state: str = "firing", **labels: str) -> Alert:
    given = {"alertname": name, **({"severity": severity} if severity else {}), **labels}
    return Alert(given, state, SINCE, SINCE)


def told(*alerts: Alert, by: str = "severity", **severities: str) -> dict[str, tuple[str, int]]:
    return {one["subject"]: (one["status"], one["value"]) for one in firing(alerts, by, severities_of(severities))}


def test_by_severity_each_one_that_is_known_is_there() -> None:
    none = {"critical": ("ok", 0), "warning": ("ok", 0), "info": ("ok", 0), "none": ("ok", 0)}
    assert told() == none
    found = told(alert("a"), alert("b", "warning"), alert("c", "warning"), alert("d", "info"), alert("e", "page"))
    assert found == {**none, "critical": ("crit", 1), "warning": ("warn", 2), "info": ("ok", 1), "page": ("warn", 1)}
    assert told(alert("a", "page"), page="crit")["page"] == ("crit", 1)
    assert told(alert("a", None))["without severity"] == ("warn", 1)


def test_by_another_label_the_worst_severity_counts() -> None:
    found = told(alert("a", "warning"), alert("a"), alert("b", "info"), by="alertname")
    assert found == {"a": ("crit", 2), "b": ("ok", 1)}
    assert told(by="alertname") == {"all": ("ok", 0)}
    assert told(alert("a"), by="team") == {"without team": ("crit", 1)}


def test_what_is_silenced_or_inhibited_is_counted_apart() -> None:
    alerts = [alert("a"), alert("b", state="silenced"), alert("c", state="inhibited")]
    found = next(one for one in firing(alerts, "severity", severities_of({})) if one["subject"] == "critical")
    assert (found["value"], found["evidence"]["silenced"], found["evidence"]["inhibited"]) == (1, 1, 1)
    assert found["summary"] == "1 alert firing: a; 1 silenced, 1 inhibited."
    assert told(alert("b", state="silenced"))["critical"] == ("ok", 0)


def test_many_names_are_cut() -> None:
    found = firing([alert(f"a{number}") for number in range(30)], "severity", severities_of({}))
    assert "and 20 more" in next(one["summary"] for one in found if one["subject"] == "critical")


def test_a_severity_that_means_nothing() -> None:
    with pytest.raises(BadInput, match=r"^severities\.page: 'bad' is no status; use one of ok, warn, crit, unknown\.$"):
        severities_of({"page": "bad"})


@pytest.mark.parametrize(
    ("state", "peers", "expected", "status"),
    [
        ("ready", 3, 3, "ok"),
        ("ready", 2, 3, "warn"),
        ("ready", 1, 3, "crit"),
        ("ready", 1, None, "ok"),
        ("settling", 3, 3, "warn"),
        ("disabled", 0, None, "ok"),
        ("disabled", 0, 1, "ok"),
        ("disabled", 0, 3, "crit"),
    ],
)
def test_the_cluster(state: str, peers: int, expected: int | None, status: str) -> None:
    assert cluster({"cluster": {"status": state, "peers": [{}] * peers}}, expected)["status"] == status


# -- a real one


@pytest.fixture(scope="module")
def shared(lab: Lab) -> Alertmanager:
    return lab.alertmanager("alerts")


@pytest.fixture
def server(shared: Alertmanager) -> Iterator[Alertmanager]:
    yield shared
    shared.end()


def ask(url: str, **given: Any) -> Any:
    result = module.start("alertmanager_info", {"url": url, **given}).result()
    assert not result.get("failed"), result
    return {(one["check"].replace("alertmanager_", ""), one["subject"]): one for one in result["checks"]}


@pytest.mark.lab
def test_what_a_real_one_says(server: Alertmanager) -> None:
    server.fire("Watchdog", "none")
    server.fire("Down", "critical", instance="a")
    server.fire("Down", "warning", instance="a")
    server.fire("Full", "warning", instance="b")
    server.fire("Quiet", "warning", instance="b")
    server.silence(alertname="Quiet")
    wait_until(lambda: ask(server.url)["alerts", "warning"]["evidence"]["silenced"], "the silence to be known", 10)
    found = ask(server.url, watchdog="Watchdog")
    assert {key: one["status"] for key, one in found.items()} == {
        ("reachable", "server"): "ok",
        ("cluster", "server"): "ok",
        ("alerts", "critical"): "crit",
        ("alerts", "warning"): "warn",
        ("alerts", "info"): "ok",
        ("alerts", "none"): "ok",
        ("watchdog", "watchdog"): "ok",
    }
    warning = found["alerts", "warning"]
    assert (warning["value"], warning["evidence"]["silenced"], warning["evidence"]["inhibited"]) == (1, 1, 1)
    assert found["alerts", "none"]["value"] == 0, "the watchdog is not an alert like others"
    filtered = ask(server.url, filter=['instance="b"', 'alertname=~"F.*"'], by="alertname", watchdog="Watchdog")
    assert [subject for check, subject in filtered if check == "alerts"] == ["Full"]
    assert filtered["watchdog", "watchdog"]["status"] == "ok"
    server.silence(alertname="Watchdog")
    assert ask(server.url, watchdog="Watchdog")["watchdog", "watchdog"]["status"] == "ok"


@pytest.mark.lab
def test_a_watchdog_that_does_not_fire(server: Alertmanager) -> None:
    found = ask(server.url, watchdog='Watch"dog\\')
    assert found["watchdog", "watchdog"]["status"] == "crit"
    assert "alerts may get lost" in found["watchdog", "watchdog"]["advice"]


@pytest.mark.lab
def test_a_matcher_that_is_none(server: Alertmanager) -> None:
    result = module.start("alertmanager_info", {"url": server.url, "filter": ["a is b"]}).result()
    assert result["failed"] and result["error"]["kind"] == "bad_input"
    assert "it does not take a filter: bad matcher format" in result["msg"]


@pytest.mark.lab
def test_a_cluster_that_loses_a_member(lab: Lab) -> None:
    one = lab.alertmanager("member-one", peers=[])
    two = lab.alertmanager("member-two", peers=[one.cluster])

    def status() -> Any:
        return ask(one.url, expected_peers=2)["cluster", "server"]

    wait_until(lambda: status()["status"] == "ok", "the cluster to be whole", 20, every=0.2)
    assert status()["value"] == 2
    two.stop()
    wait_until(lambda: status()["value"] == 1, "the loss to be known", 30, every=0.2)
    assert status()["status"] == "crit"
    one.stop()


def test_servers_that_do_not_answer_are_crit_in_time(lab: Lab, dripping: Dripping) -> None:
    hanging = lab.hanging_server().port
    said = {1: "nobody answers there", hanging: "no answer within 1 s", dripping.port: "took more than 4."}
    for port, words in said.items():
        began = time.monotonic()
        found = ask(f"http://127.0.0.1:{port}", request_timeout=1, watchdog="W")
        assert time.monotonic() - began < 30
        assert list(found) == [("reachable", "server")]
        assert found["reachable", "server"]["status"] == "crit"
        assert words in found["reachable", "server"]["summary"]


@pytest.mark.lab
def test_something_else_that_answers(lab: Lab) -> None:
    pages = lab.nginx("alerts-pages")
    result = module.start("alertmanager_info", {"url": pages.url}).result()
    assert result["failed"] and result["msg"].endswith("it has no such page (HTTP 404); check url.")
    pages.stop()
