# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The morning check and the report of the day, against healthy servers of every kind and such as cause trouble: dead,
hanging, slow, lying and half-broken ones each give the right check in time, and nothing secret is on the page."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from tests.faults.estate import SCHEMAS, Estate, Outcome
from tests.lab import demo
from tests.lab.fixtures import Database
from tests.lab.lab import Lab

pytestmark = pytest.mark.lab
MAJORS = (15, 16, 17, 18)
TIMEOUT = 2
SOME = ("--limit", "pages,cache")
# What people leave where it does not belong.
PLANTED = "4929 1234 of jane.roe@example.com, password hunter2-planted"
QUERY = "the-token-in-the-address"
HEADER = "the-secret-of-a-header"


@pytest.fixture(scope="module")
def morning(lab: Lab, shared_estate: Estate) -> Iterator[Estate]:
    estate = shared_estate
    for major in MAJORS:
        server = lab.postgres(major, f"daily-{major}")
        demo.create_roles(server)
        server.create_database("daily", owner=demo.OWNER)
        database = Database(server, "daily")
        estate.add(f"db{major}", database.login(demo.OBSERVE), ops_service="orders")
    pooler = lab.pgbouncer(server, "session")
    login = database.login(demo.OBSERVE)
    estate.add("pooled", {**login, "login_host": pooler.host, "login_port": pooler.port})
    talkative = database.connect()
    with talkative.cursor() as cursor:
        cursor.execute(f"SELECT 'card {PLANTED}'")  # and left open
    redis = lab.redis("daily-redis")
    estate.add_other("cache", ops_redis=redis.login())
    pages, prometheus, alertmanager = lab.nginx("daily-nginx"), lab.prometheus("daily-prometheus"), lab.alertmanager()
    prometheus.tell("queue_depth", 12)
    alertmanager.fire("Watchdog", "none")
    alertmanager.fire("DiskFills", "warning", instance="db1")
    slow = lab.proxy((pages.host, pages.port))
    slow.latency(0.7)
    hanging = lab.hanging_server()
    certificate = {"host": "localhost", "port": pages.tls_port, "ca_cert": str(pages.certificate.ca_file)}
    estate.add_other(
        "pages",
        http_health_endpoints=[
            {
                "name": "shop", "url": f"{pages.url}/health?token={QUERY}", "secret_headers": {"X-Key": HEADER},
                "json": [{"path": "status", "equals": "UP"}],
            },
            {
                "name": "slow", "url": f"http://127.0.0.1:{slow.port}/health",
                "thresholds": {"latency": {"warn": 0.5, "crit": None}},
            },
            {"name": "half", "url": f"{pages.url}/half", "json": [{"path": "status", "equals": "UP"}]},
            {"name": "hanging", "url": f"http://{hanging.host}:{hanging.port}/", "timeout": TIMEOUT},
            {"name": "dead", "url": "http://127.0.0.1:1/"},
        ],
        certificate_health_certificates=[
            {"name": "good", **certificate},
            {"name": "lying", **certificate, "server_name": "bank.example.com"},
            {"name": "hanging", "host": hanging.host, "port": hanging.port},
        ],
        certificate_health_timeout=TIMEOUT,
        ops_prometheus=prometheus.options(),
        prometheus_health_queries=[
            {"name": "queue depth", "query": "queue_depth", "unit": "count", "warn": 50, "crit": 500},
            {"name": "no such thing", "query": "nobody_knows"},
        ],
        ops_alertmanager={"url": alertmanager.url},
        alertmanager_health_watchdog="Watchdog",
    )  # fmt: skip
    estate.add("dead", {**login, "login_host": "127.0.0.1", "login_port": 1})
    estate.add("hanging", {**login, "login_host": hanging.host, "login_port": hanging.port, "connect_timeout": TIMEOUT})
    estate.add_other("dead-cache", ops_redis={**redis.login(), "login_port": 1})
    estate.add_other("misconfigured", ops_redis={**redis.login(), "login_password": "not-the-password"})
    yield estate
    talkative.close()
    hanging.close()
    slow.close()


def play(estate: Estate, playbook: str, *arguments: str) -> tuple[Outcome, float]:
    began = time.monotonic()
    return estate.start(*arguments, playbook=playbook).wait(), time.monotonic() - began


@pytest.fixture(scope="module")
def first(morning: Estate) -> tuple[Outcome, float]:
    return play(morning, "daily-health-check")


def found(outcome: Outcome, host: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(one["check"], one["subject"]): one for line in outcome.lines(host) for one in line["checks"]}


@pytest.mark.parametrize("host", [*(f"db{major}" for major in MAJORS), "pooled"])
def test_every_postgresql_is_judged_as_a_whole(first: tuple[Outcome, float], host: str) -> None:
    checks = found(first[0], host)
    assert len(checks) > 25 and ("postgresql_reachable" in {name for name, _subject in checks})
    unknown = {key: one["summary"] for key, one in checks.items() if one["status"] == "unknown"}
    assert unknown == {} and not first[0].error(host)


@pytest.mark.parametrize(
    ("host", "check", "subject", "status", "words"),
    [
        ("dead", "postgresql_reachable", None, "crit", "nothing listens there"),
        ("hanging", "postgresql_reachable", None, "crit", "2 s"),
        ("dead-cache", "redis_ready", "server", "crit", "nothing listens there"),
        ("cache", "redis_ready", "server", "ok", "answers"),
        ("pages", "http_status", "shop", "ok", "200"),
        ("pages", "http_latency", "slow", "warn", ""),
        ("pages", "http_json", "half", "crit", "JSON"),
        ("pages", "http_status", "hanging", "crit", "2 s"),
        ("pages", "http_status", "dead", "crit", "nobody answers there"),
        ("pages", "certificate_name", "good", "ok", ""),
        ("pages", "certificate_name", "lying", "crit", "bank.example.com"),
        ("pages", "certificate_days", "hanging", "unknown", "no answer"),
        ("pages", "prometheus_query", "queue depth", "ok", "12"),
        ("pages", "prometheus_query", "no such thing", "unknown", ""),
    ],
)
def test_each_kind_of_trouble_is_told(
    first: tuple[Outcome, float], host: str, check: str, subject: str | None, status: str, words: str
) -> None:
    checks = found(first[0], host)
    if subject is None:
        ((_check, subject),) = [key for key in checks if key[0] == check]
    one = checks[check, subject]
    assert one["status"] == status and words in one["summary"], one


def test_the_whole_in_time_and_on_one_page(morning: Estate, first: tuple[Outcome, float]) -> None:
    outcome, seconds = first
    assert seconds < 90, "what hangs holds nobody up"
    assert outcome.rc == 2 and outcome.changed == 0
    assert outcome.error("misconfigured")["kind"] == "bad_input"
    report = json.loads((outcome.folder / "report.json").read_text(encoding="utf-8"))
    jsonschema.validate(report, SCHEMAS["report-1.json"])
    assert report["health"]["unit"] == "service" and report["health"]["status"] == "unhealthy"
    for path in outcome.folder.iterdir():
        text = path.read_text(encoding="utf-8")
        for planted in (PLANTED, "jane.roe", "hunter2", QUERY, HEADER):
            assert planted not in text, (path.name, planted)


def test_check_mode_and_a_second_morning(morning: Estate, first: tuple[Outcome, float]) -> None:
    before = sorted(path for path in morning.store.rglob("*"))
    check, _seconds = play(morning, "daily-health-check", "--check", *SOME)
    assert sorted(path for path in morning.store.rglob("*")) == before
    assert set(found(check, "pages")) == set(found(first[0], "pages"))
    again, _seconds = play(morning, "daily-health-check", *SOME)
    assert again.changed == 0
    report = json.loads((again.folder / "report.json").read_text(encoding="utf-8"))
    (pages,) = [target for target in report["targets"] if target["host"] == "pages"]
    assert pages["changes"] == [] and pages["compared_with"], "nothing has changed since the first"


def test_the_report_of_the_day_has_the_alerts(morning: Estate) -> None:
    outcome, _seconds = play(morning, "daily-ops-report", *SOME)
    checks = found(outcome, "pages")
    assert checks["alertmanager_alerts", "warning"]["status"] == "warn"
    assert checks["alertmanager_watchdog", "watchdog"]["status"] == "ok"
    assert "incidents and deployments" in {step["step"] for step in outcome.result["not_included"]}
    assert outcome.header("pages")["playbook"] == "daily-ops-report"
