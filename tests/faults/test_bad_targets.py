# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Targets that cannot be worked on, all in one run: each says why in one sentence, none stops the others."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.faults.estate import Estate, Outcome, dead_rows, make_due
from tests.lab.fixtures import Database
from tests.lab.lab import Lab

pytestmark = pytest.mark.lab
ROLE = "day2_maintenance"


@pytest.fixture(scope="module")
def bad_day(lab: Lab, shared_estate: Estate) -> Iterator[tuple[Outcome, dict[str, Database]]]:
    server = lab.postgres(18, "bad-day")
    from tests.lab import demo

    demo.create_roles(server)
    databases = {}
    for name in ("good", "stranger", "pooled"):
        server.create_database(name, owner="orchestrator")
        databases[name] = Database(server, name)
        databases[name].execute("CREATE EXTENSION pgstattuple")
        make_due(databases[name], rows=20000)
    databases["stranger"].execute("ALTER TABLE ledger OWNER TO postgres")
    pooler = lab.pgbouncer(server, "transaction")
    standby = lab.standby(server, "bad-day-standby")
    down = lab.postgres(18, "bad-day-down")
    gone = down.login("postgres", "postgres")
    down.stop()
    hanging = lab.hanging_server()

    login = databases["good"].login(ROLE)
    estate = shared_estate
    estate.vars |= {"ops_rollout": ["100%"], "ops_max_failed": 99}
    estate.add("good", login)
    estate.add("down", {**login, "login_host": gone["login_host"], "login_port": gone["login_port"]})
    estate.add("hanging", {**login, "login_host": hanging.host, "login_port": hanging.port, "connect_timeout": 3})
    estate.add("wrong-password", {**login, "login_password": "not-the-password-at-all"})
    estate.add("no-database", {**login, "login_db": "no such database"})
    estate.add("stranger", databases["stranger"].login(ROLE))
    estate.add("pooled", {**login, "login_host": pooler.host, "login_port": pooler.port, "login_db": "pooled"})
    estate.add("standby", {**login, "login_host": standby.host, "login_port": standby.port})
    estate.add("bad-option", {**login, "ssl_mode": "verify-nothing"})
    yield estate.play(), databases
    hanging.close()


@pytest.mark.parametrize(
    ("host", "status", "kind", "words"),
    [
        ("down", "failed", "unreachable", r"nothing listens there"),
        ("hanging", "failed", "unreachable", r"3 s|did not answer|no answer"),
        ("wrong-password", "failed", "failed|unreachable|refused|bad_input", r"login_password"),
        ("no-database", "failed|refused", ".*", r"login_db|no such database"),
        ("stranger", "refused", "refused", r"GRANT MAINTAIN ON TABLE public.ledger TO day2_maintenance;"),
        ("pooled", "refused", "refused", r"pool"),
        ("standby", "refused", "refused", r"standby.*primary"),
        ("bad-option", "failed", ".*", r"ssl_mode"),
    ],
)
def test_each_says_why(bad_day, host, status, kind, words):
    outcome, _databases = bad_day
    assert re.fullmatch(status, outcome.status(host)), outcome.result["targets"][host]
    error = outcome.error(host)
    assert re.fullmatch(kind, error["kind"]) and re.search(words, error["message"]), error
    assert "Traceback" not in error["message"] and len(error["message"].splitlines()) == 1


def test_the_good_one_was_done_all_the_same(bad_day):
    outcome, databases = bad_day
    assert outcome.status("good") == "ok", outcome.result["targets"]["good"]
    assert {action["action"] for action in outcome.actions("good") if action["status"] == "done"} >= {
        "vacuum",
        "reindex",
    }
    assert dead_rows(databases["good"]) == 0


def test_nothing_was_touched_where_the_run_was_refused(bad_day):
    outcome, databases = bad_day
    for host in ("stranger", "pooled", "standby"):
        assert outcome.actions(host) == []
        assert {line["step"] for line in outcome.lines(host)} == {"preflight"}
    assert dead_rows(databases["stranger"]) == dead_rows(databases["pooled"]) == 8000


def test_exit_status_and_report_tell(bad_day):
    outcome, _databases = bad_day
    assert outcome.rc == 2 and outcome.result["status"] == "failed"
    assert "status: failed" in outcome.out
    page = (outcome.folder / "report.html").read_text(encoding="utf-8")
    assert all(host in page for host in ("hanging", "stranger", "good"))


def test_a_missing_grant_is_the_statement_to_run(bad_day, estate):
    """Whoever runs the statement that the message prints can run the playbook."""
    outcome, databases = bad_day
    message = outcome.error("stranger")["message"]
    databases["stranger"].execute("ALTER ROLE day2_maintenance SUPERUSER")  # what follows must not depend on it
    databases["stranger"].execute("ALTER ROLE day2_maintenance NOSUPERUSER")
    statement = re.search(r"GRANT [^;]+;", message)
    assert statement, message
    databases["stranger"].execute(statement.group(0))
    try:
        estate.add("stranger", databases["stranger"].login(ROLE))
        again = estate.play()
        assert again.rc == 0 and again.status("stranger") == "ok", again.out
        assert dead_rows(databases["stranger"]) == 0
    finally:
        databases["stranger"].execute(statement.group(0).replace("GRANT", "REVOKE").replace(" TO ", " FROM "))
