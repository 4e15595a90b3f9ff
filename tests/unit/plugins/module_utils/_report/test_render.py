# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page, the Markdown and result.json: whole, harmless, and the same for the same record."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Optional

import jsonschema
import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._report import data, html, keep, markdown, out, past, words
from ansible_collections.day2.ops.plugins.module_utils._report.model import Change, Past, Report
from ansible_collections.day2.ops.plugins.module_utils._report.read import read_run, run_folders
from ansible_collections.day2.ops.plugins.module_utils._report.summarise import summarise

from .conftest import NOW, action, check, header, line

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


def test_a_page_of_very_many_checks_stays_light_and_says_where_the_rest_is(run: Make) -> None:
    names = [f"db-{number:03}" for number in range(1200)]
    looks = ("crit", "ok", "ok", "ok", "unknown")
    lines = [
        line(host=name, target=name, checks=[check(subject=str(n), status=look) for n, look in enumerate(looks)])
        for name in names
    ]
    many = [check(subject=f"many-{n}", status="crit") for n in range(500)]
    fine = [check(check="fine", subject=str(n)) for n in range(500)]
    done = [action(subject=str(n)) for n in range(300)]
    made = run(*lines, line(checks=[*many, *fine], actions=done), hosts_expected=names)
    page = Page(html.render(made, timezone.utc, "report.json"))
    assert len(html.render(made, timezone.utc)) < 2_500_000
    assert {link[1:] for link in page.values("href")} <= set(page.values("id"))
    for text in ("And 450 findings more, see report.json.", "Fine 500", "And 250 actions more", "And 801 targets more"):
        assert text in " ".join(page.text.split()), text
    text = markdown.render(made, timezone.utc, "report.json")
    assert len(text) < 600_000 and "more, see report.json" in text


SECRETS = ("hunter2-s3cret", "AKIAIOSFODNN7EXAMPLE", "ada.lovelace@example.org", "1815-12-10")


@pytest.mark.parametrize("failed", [True, False])
def test_no_report_holds_what_an_error_quoted(run: Make, tmp_path: Path, failed: bool) -> None:
    quoted = (
        "Failed to read: postgresql://app:hunter2-s3cret@db/shop AKIAIOSFODNN7EXAMPLE "
        "DETAIL: Key (email, born)=(ada.lovelace@example.org, 1815-12-10) already exists."
    )
    deep = {"said": quoted, "deep": {"password": "hunter2-s3cret"}, "list": ["ada.lovelace@example.org"], "rows": 7}
    bad = action(status="failed", reason=quoted, error=quoted, before=deep, predicted=deep, after=deep)
    reading = check(status="crit", summary=quoted, advice=quoted, evidence=deep)
    error = {"kind": "failed", "message": quoted} if failed else None
    made = run(line(checks=[reading], actions=[bad], failed=failed, error=error))
    links = out.write(made, str(tmp_path / "report"), list(out.FILES), timezone.utc)
    told = [Path(path).read_text() for path in links.values()]
    told += [json.dumps(out.ops_result(made, links)), json.dumps(out.verdicts(made)), "\n".join(words.summary(made))]
    assert len(told) == 7 and all("Failed to read" in text for text in told[:2])
    for text in told:
        assert not [secret for secret in SECRETS if secret in text]


@pytest.mark.parametrize("name", SAMPLES)
def test_every_whole_report_is_what_its_schema_says(report: Make, name: str) -> None:
    made = report(name)
    whole = json.loads(data.render(made))
    jsonschema.validate(whole, json.loads(SCHEMA.with_name("report-1.json").read_text()))
    assert sum(len(target["checks"]) for target in whole["targets"]) == sum(made.check_counts.values())
    assert sum(len(target["actions"]) for target in whole["targets"]) == sum(made.action_counts.values())


def test_the_whole_report_knows_no_number_that_is_none(run: Make) -> None:
    made = run(line(checks=[check(value=float("nan"))]), line(checks=[check(value=float("inf"))]))
    whole = json.loads(data.render(made), parse_constant=pytest.fail)
    assert whole["targets"][0]["checks"][0]["value"] is None


def changed(run: Make) -> Report:
    """A run that differs from the one before in every way."""
    made = run(line(checks=[check(subject="a", status="crit", value=0.95, summary="It is full."), check(subject="b")]))
    found = (
        Change("worse", "disk_usage", "a", ("ok", 0.5), ("crit", 0.95), "ratio", "It is full."),
        Change("better", "disk_usage", "b", ("warn", 0.8), ("ok", 0.5), "ratio", "Fine."),
        Change("new", "disk_usage", "c", None, ("ok", 0.1), "ratio", "Fine as well."),
        Change("new", "disk_usage", "d", None, ("unknown", None), "ratio", "Nobody knows."),
        Change("vanished", "disk_usage", "e", ("warn", None), None),
    )
    past = Past(("0", "2026-12-05T02:00:00Z"), "", found, {"disk_usage a": "2026-12-01T02:00:00Z"})
    return replace(made, targets=tuple(replace(target, past=past) for target in made.targets))


def test_what_changed_is_told_first(run: Make) -> None:
    page = " ".join(Page(html.render(changed(run), timezone.utc)).text.split())
    assert page.index("What changed since the last run") < page.index("What needs attention")
    assert "1 got worse 2 new 1 no longer checked 1 got better" in page
    assert "ok → critical, 50 % → 95 %" in page
    assert "New: not measured" in page and "Fine as well." not in page, "what is new and well is counted"
    assert "It was to watch in the last run, and was not checked in this one." in page
    assert "Compared with the run of 2026-12-05 02:00 UTC." in page
    assert "since 2026-12-01 02:00" in page


def test_what_changed_is_told_in_every_form(run: Make) -> None:
    made = changed(run)
    counts = {"worse": 1, "better": 1, "new": 2, "vanished": 1}
    assert out.result(made, {})["changes"] == out.ops_result(made, {})["changes"] == counts
    told = "Since the last run: 1 got worse, 1 got better, 2 new, 1 no longer checked."
    assert told in words.summary(made)
    assert told in markdown.render(made, timezone.utc).replace("\\", "")
    whole = data.content(made)["targets"][0]
    assert [change["kind"] for change in whole["changes"]] == ["worse", "better", "new", "new", "vanished"]
    assert whole["compared_with"] == {"run_id": "0", "at": "2026-12-05T02:00:00Z"}


def test_without_a_store_it_says_so(report: Make) -> None:
    made = keep.without_store(report("good"))
    assert past.NO_STORE in Page(html.render(made, timezone.utc)).text
    assert past.NO_STORE in markdown.render(made, timezone.utc)
    assert out.result(made, {})["changes"] is None


def test_three_slices_of_which_one_was_killed_make_one_page_that_says_so(tmp_path: Path) -> None:
    hosts = ["a1", "a2", "a3"]
    for number, host in enumerate(hosts, 1):
        folder = tmp_path / str(number) / "4711"
        folder.mkdir(parents=True)
        known = {"run_id": "4711", "host": host, "target": host}
        rows = [header(**known, hosts_expected=[host]), line(**known, step="plan", actions=[action(status="planned")])]
        rows += [line(**known, step="open", seq=2), line(**known, step="run", seq=3, actions=[action()])]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        end = json.dumps(line(**known, step="close", seq=4)) + "\n"
        # The second one is killed in the middle of a line.
        (folder / f"{host}.jsonl").write_text(text + (end[:40] if host == "a2" else end))
    folders = run_folders([str(tmp_path / str(number)) for number in (1, 2, 3)], "4711")
    made = summarise(read_run(folders), "crit", NOW)
    assert {target.host: target.status for target in made.targets} == {"a1": "ok", "a2": "stopped", "a3": "ok"}
    page = Page(html.render(made, timezone.utc)).text
    assert "The run was stopped on 1 of 3 targets." in page
    assert "The run was killed: its record ends in the middle of a line." in page
    assert "Joined from 3 folders." in page
