# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report as Markdown, for tickets, chats and job logs: shorter than the page, the same words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import tzinfo

from ansible_collections.day2.ops.plugins.module_utils._report import overview, units, view, words
from ansible_collections.day2.ops.plugins.module_utils._report.html import LABELS, MOST_CONCERNS
from ansible_collections.day2.ops.plugins.module_utils._report.model import Action, Report, Target
from ansible_collections.day2.ops.plugins.module_utils._report.portion import MOST_ROWS, Portion, portions

# Whatever a name holds, it stays text: no markup, no link, no HTML, no table cell of its own.
_MARKS = re.compile(r"([\\`*_{}\[\]()<>#+!|~&@])")


def render(report: Report, zone: tzinfo, rest: str = "the run record") -> str:
    """The report; ``zone`` is the time zone its times are shown in, ``rest`` where to find what it leaves out."""
    parts = portions(report)
    blocks = [
        f"# {_text(words.playbook_title(report.playbook))}: {_text(words.verdict(report))}",
        _text(words.tally(report)),
    ]
    if report.check_mode:
        blocks.append("**This was a rehearsal (check mode): nothing was changed, and nothing was sent.**")
    blocks += [
        "\n".join(_overview(report, zone)),
        *_changes(report, rest),
        "## What needs attention",
        "\n".join(_attention(report, rest)),
        *_coming(report, rest),
    ]
    blocks += ["## Targets", "\n".join(_table(report, rest))]
    for target in report.targets:
        if target.host in parts:
            blocks += _target(target, parts[target.host], report.check_mode, rest)
    if report.not_included:
        blocks.append("## Not part of this run")
        blocks.append("\n".join(f"- **{_text(step['step'])}**: {_text(step['why'])}" for step in report.not_included))
    blocks.append("## About this run")
    about = [f"- Run: {_text(report.run_id)}", f"- Playbook: {_text(report.playbook) or 'not recorded'}"]
    about += [f"- {fact.label}: {_text(fact.value)}" for fact in report.facts]
    about += [f"- Note: {_text(note)}" for note in report.notes]
    blocks.append("\n".join(about))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _text(value: object) -> str:
    return _MARKS.sub(r"\\\1", units.clean(value))


def _overview(report: Report, zone: tzinfo) -> Iterable[str]:
    yield f"- Status: **{report.status}** ({words.exit_words(report.status)})"
    if report.started:
        yield (
            f"- Time: {units.when(report.started, zone)} to {units.when(report.ended, zone)} "
            f"{units.zone_name(report.started, zone)}"
        )
    if report.health:
        yield f"- Health: **{report.health.status}**: {_text(words.health_sentence(report.health))}"


def _changes(report: Report, rest: str) -> list[str]:
    found = overview.changes(report)
    lines = [
        f"- **{change.label}** {_text(target.target)}, {_text(change.head)}: {_text(change.text)}"
        + (f" *{_text(change.move)}*" if change.move else "")
        for target, change in [*found["bad"], *found["good"]]
    ]
    left_out = found["bad_more"] + found["good_more"]
    if left_out:
        lines.append(f"- And {left_out:,} more, see {rest}.")
    said = " ".join(one for one in (words.changed(report), words.compared(report)) if one)
    return [f"## {found['title']}", _text(said), "\n".join(lines)]


def _attention(report: Report, rest: str) -> Iterable[str]:
    found = view.concerns(report)
    if not found:
        yield f"Nothing. {words.calm(report)}"
    for concern in found[:MOST_CONCERNS]:
        advice = f" *{_text(concern.advice)}*" if concern.advice else ""
        name = f"{_text(concern.target.target)}, {_text(concern.head)}"
        yield f"- **{LABELS[concern.look]}** {name}: {_text(concern.text)}{advice}"
    if len(found) > MOST_CONCERNS:
        yield f"- And {len(found) - MOST_CONCERNS:,} more, under their targets below or in {rest}."


def _coming(report: Report, rest: str) -> list[str]:
    found = overview.coming(report)
    lines = [
        f"- **{when.capitalize()}** {_text(target.target)}, {_text(name)}: {_text(text)}"
        for when, target, name, text in found["told"]
    ]
    if found["more"]:
        lines.append(f"- And {found['more']:,} more, see {rest}.")
    return ["## What is coming", "\n".join(lines)] if lines else []


def _table(report: Report, rest: str) -> Iterable[str]:
    yield "| Target | Status | Actions | Checks |"
    yield "|---|---|---|---|"
    for target in report.targets[:MOST_ROWS]:
        cells = (_text(target.target), target.status, view.left(target) or "–", view.readings(target) or "–")
        yield f"| {' | '.join(cells)} |"
    if len(report.targets) > MOST_ROWS:
        yield f"\nAnd {len(report.targets) - MOST_ROWS:,} more, see {rest}."


def _target(target: Target, part: Portion, check_mode: bool, rest: str) -> list[str]:
    ahead = "What would be done" if check_mode else "Planned without a result"
    sections = (
        ("What was done", ("failed", "done")),
        ("Left for the next run", ("deferred",)),
        (ahead, ("planned",)),
        ("Not due", ("skipped",)),
    )
    blocks = []
    for title, statuses in sections:
        lines = [_action(action) for status in statuses for action in part.actions[status]]
        more = sum(part.more[status] for status in statuses)
        if more:
            lines.append(f"- And {more:,} more, see {rest}.")
        if lines:
            blocks += [f"### {title}", "\n".join(lines)]
    if part.moved:
        rows = ["| Check | Before | After |", "|---|---|---|"]
        for reading in part.moved:
            name = f"{_text(view.label(reading.last['check']))} {_text(reading.last['subject'])}"
            was, now = (view.value(check) or LABELS[check["status"]] for check in (reading.first, reading.last))
            rows.append(f"| {name} | {_text(was)} | {_text(now)} |")
        blocks += ["### Before and after", "\n".join(rows)]
    return [f"## {_text(target.target)}", *blocks] if blocks else []


def _action(action: Action) -> str:
    numbers = "; ".join(
        f"{_text(one.label)} {_text(one.shown)}" + (f" ({_text(one.aside)})" if one.aside else "")
        for one in view.measures(action)
    )
    error = f" **{_text(action['error'])}**" if action["error"] else ""
    said = f"- {LABELS[action['status']]}: **{_text(view.label(action['action']))} {_text(action['subject'])}**: "
    return said + _text(action["reason"]) + error + (f" ({numbers})" if numbers else "")
