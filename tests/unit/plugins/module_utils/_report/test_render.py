# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page, the Markdown and result.json: whole, harmless, and the same for the same record."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Optional

import jsonschema
import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._report import html, markdown, out
from ansible_collections.day2.ops.plugins.module_utils._report.model import Report

from .conftest import action, check, line

Make = Callable[..., Report]
SAMPLES = ["good", "failed", "killed", "silent", "slices", "check", "daily"]
SCHEMA = Path(__file__).parents[5] / "docs" / "schemas" / "result-1.json"
VOID = {"meta"}
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}](javascript:alert(1))|`\x1b[31m\u202e"


class Page(HTMLParser):
    """What a browser would make of the page: its tags, attributes and text; unbalanced tags are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, Optional[str]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Optional[str]]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, Optional[str]]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def values(self, name: str) -> list[str]:
        return [value or "" for _tag, attribute, value in self.attributes if attribute == name]


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_makes_a_whole_page(report: Make, name: str) -> None:
    made = report(name)
    page = Page(html.render(made, timezone.utc))
    assert not page.tags & {"script", "img", "iframe", "link", "object", "form"}
    for target in made.targets:
        assert target.target in page.text
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    for link in page.values("href"):
        assert link.startswith("https://awx.example.com/") or link.lstrip("#") in ids
    assert "None" not in page.text.split()


@pytest.mark.parametrize("name", SAMPLES)
def test_every_result_is_what_its_schema_says(report: Make, name: str) -> None:
    result = out.result(report(name), {"html": "/x/report.html"})
    jsonschema.validate(json.loads(json.dumps(result)), json.loads(SCHEMA.read_text()))


def evil(run: Make) -> Report:
    reading = check(check=EVIL, subject=EVIL, summary=EVIL, advice=EVIL, status="crit", evidence={EVIL: EVIL})
    moved = {**reading, "value": 0.99}
    bad = action(action=EVIL, subject=EVIL, risk=EVIL, reason=EVIL, error=EVIL, status="failed", before={EVIL: EVIL})
    times = {"started": "2026-12-06T02:00:00Z", "ended": "2026-12-06T02:09:00Z"}
    acts = [{**bad, **times}, *(action(action=EVIL, subject=f"{EVIL}{s}", status=s) for s in ("skipped", "deferred"))]
    return run(
        line(checks=[reading], task=EVIL, target=EVIL),
        line(checks=[moved], actions=acts, task=EVIL, failed=True, error={"kind": EVIL, "message": EVIL}, step=EVIL),
        playbook=EVIL,
        target=EVIL,
        run_id=EVIL,
        commit=EVIL,
        override_reason=EVIL,
        job_url="javascript:alert(1)",
        who={"user": EVIL, "launcher": EVIL, "approver": EVIL},
        window={"name": EVIL, "environment": EVIL, "opens": None, "closes": None},
        hosts_expected=["db", EVIL],
        not_included=[{"step": EVIL, "why": EVIL}],
    )


def test_names_are_data_on_the_page(run: Make) -> None:
    page = Page(html.render(evil(run), timezone.utc))
    assert not page.tags & {"script", "img"}
    assert not [name for _tag, name, _value in page.attributes if name.startswith("on")]
    assert all(link.startswith("#target-") for link in page.values("href"))
    assert "javascript:alert(1)" in page.text, "shown, as text"
    assert "49" not in page.text, "a template in a name stays text"
    assert "\x1b" not in page.text
    assert "\u202e" not in page.text


def test_names_are_data_in_markdown(run: Make) -> None:
    text = markdown.render(evil(run), timezone.utc)
    assert "\\<script\\>" in text
    assert "<" not in text.replace("\\<", "")
    assert "](" not in text.replace("\\]\\(", "")
    rows = [row for row in text.splitlines() if row.startswith("|")]
    assert {row.replace("\\|", "").count("|") for row in rows} == {4, 5}


def test_the_page_is_the_same_for_the_same_record(report: Make) -> None:
    assert html.render(report("good"), timezone.utc) == html.render(report("good"), timezone.utc)


def test_files_appear_whole_and_for_their_owner_only(report: Make, tmp_path: Path) -> None:
    links = out.write(report("good"), str(tmp_path / "new"), ["html", "json"], timezone.utc)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["report.html", "result.json"]
    assert set(links) == {"html", "json"}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()} == {0o600}
    assert json.loads(Path(links["json"]).read_text())["links"] == links


def test_a_folder_that_cannot_be_written_gets_one_sentence(report: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OpsError, match=r"Failed to write the report to .*/file/inside: "):
        out.write(report("good"), str(tmp_path / "file" / "inside"), ["html"], timezone.utc)


def test_a_page_of_five_hundred_targets_stays_light(run: Make) -> None:
    names = [f"db-{number:03}" for number in range(500)]
    lines = [line(host=name, target=name, checks=[check(subject=str(n)) for n in range(20)]) for name in names]
    page = html.render(run(*lines, hosts_expected=names), timezone.utc)
    assert len(page) < 8_000_000
