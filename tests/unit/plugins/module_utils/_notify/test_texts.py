# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same digest in each form, within the limits of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ansible_collections.day2.ops.plugins.module_utils._notify import texts
from ansible_collections.day2.ops.plugins.module_utils._notify.plan import Decision
from tests.lab.receivers import _slack_wrong

from .conftest import NOW, many, notice, sent

CHANGE = Decision(True, "it is failed and was ok at 2026-12-06T10:00:00Z", "change", sent(notice("ok"), 2))
SCHEMA = json.loads((Path(__file__).parents[5] / "docs/schemas/notice-1.json").read_text(encoding="utf-8"))


def slack(*lines: str) -> tuple[dict[str, Any], list[str]]:
    message = texts.slack(notice(lines=lines, targets=many(500)), CHANGE)
    assert _slack_wrong(json.dumps(message).encode()) == ""
    return message, [block["text"]["text"] for block in message["blocks"]]


@pytest.mark.parametrize("why", ["The disk is full.", "x" * 5000, "&" * 700, "<!channel> " * 60, "é" * 3000])
def test_slack_takes_500_failing_targets(why: str) -> None:
    message, sections = slack(*(f"db{number}: failed: {why}" for number in range(500)))
    assert sections[0].startswith(":red_circle: *Monthly maintenance: failed*\nChanged: it is failed and was ok")
    assert sections[-1].endswith("more lines, which are in the report.") and sections[-1].startswith("… and ")
    assert "<" not in "".join(sections) + message["text"], "nobody is called by a text"


def test_a_short_digest_is_one_section() -> None:
    message, sections = slack("It ended.", "a & b")
    assert len(sections) == 1 and sections[0].endswith("It ended.\na &amp; b\n/var/lib/day2/r1/report.html")
    assert message["text"].startswith("Monthly maintenance: failed. Changed: ")


def test_an_entity_is_not_cut_in_two() -> None:
    for most in range(3, 30):
        cut = texts._cut("a&amp;b&lt;c&gt;" * 5, most)
        assert len(cut) <= most
        assert texts._cut("a&amp;b", most) in ("a&amp;b", "a…", "a&amp;…") and "&am…" not in cut and "&…" not in cut


@pytest.mark.parametrize("number", [0, 1, 500])
def test_the_payload_fits_its_schema_and_stays_small(number: int) -> None:
    given = notice(lines=("a",) * 200, targets=many(number, "w" * 9000), result={"counts": {"checks": {"ok": 1}}})
    body = texts.payload(given, CHANGE, NOW)
    jsonschema.validate(body, SCHEMA)
    assert len(json.dumps(body)) < 100_000
    assert (len(body["targets"]), body["targets_left_out"]) == (min(number, 100), max(0, number - 100))


def test_mail_says_it_in_its_subject_and_is_known_again() -> None:
    given = notice(lines=("Ünï", "b\nBcc: evil@example.com"))
    message, again = (texts.mail(given, CHANGE, "Ops <day2@example.com>", ["a@example.com"], NOW) for _ in range(2))
    assert message["Subject"] == "[day2] Monthly maintenance: failed" and message["Bcc"] is None
    assert message["Message-ID"] == again["Message-ID"] and message["Message-ID"].endswith("@example.com>")
    body = message.get_content()
    assert body.splitlines()[1:3] == ["Ünï", "b Bcc: [hidden]"]
    assert max(map(len, bytes(message).split(b"\n"))) < 998


def test_a_recovery_and_a_reminder_say_so() -> None:
    good = notice("ok")
    assert texts.subject(good, Decision(True, "", "recovery")) == "Monthly maintenance: recovered, ok"
    assert texts.subject(notice(), Decision(True, "", "reminder")) == "Monthly maintenance: still failed"
    assert texts.opening(good, Decision(True, "", "first")) == ""


def test_what_a_server_quoted_is_not_passed_on() -> None:
    text = texts.plain(notice(lines=("orders: failed: postgresql://app:hunter2@db/x password=hunter2",)), CHANGE)
    assert "hunter2" not in text
