# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One digest in the form that each channel takes, within its limits however many targets there are. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.scrub import scrub
from ansible_collections.day2.ops.plugins.module_utils._notify.plan import Decision, Notice
from ansible_collections.day2.ops.plugins.module_utils._report.words import playbook_title

SCHEMA = "day2.ops/notice/1"
# Slack takes 50 blocks, 3,000 characters in each, and 40,000 of text. Not documented: of all blocks together, about
# 13,200 characters; beyond that it refuses the message.
SLACK_BLOCKS = 50
SLACK_SECTION = 3000
SLACK_TOTAL = 12_000
SLACK_TEXT = 4000  # beyond that, it is only cut
MOST_LINE = 500
MOST_TARGETS = 100
MOST_MAIL_LINES = 1000
_MARK = {"ok": ":large_green_circle:", "deferred": ":large_blue_circle:", "findings": ":large_yellow_circle:"}
_CUT = "…"


def opening(notice: Notice, decision: Decision) -> str:
    """What stands before the digest: why it is sent now; empty where the digest itself says all."""
    return {
        "change": f"Changed: {decision.reason}.",
        "recovery": f"Recovered: {decision.reason}.",
        "reminder": f"Reminder: {decision.reason}.",
    }.get(decision.kind, "")


def lines_of(notice: Notice, decision: Decision) -> list[str]:
    """The digest, line by line. What servers and libraries said is in it, so it is scrubbed before it leaves."""
    found = [opening(notice, decision), *notice.lines, *notice.links.values()]
    return [_cut(scrub(" ".join(line.split())), MOST_LINE) for line in found if line.strip()]


def plain(notice: Notice, decision: Decision) -> str:
    return "".join(f"{line}\n" for line in lines_of(notice, decision))


def subject(notice: Notice, decision: Decision) -> str:
    name = {"recovery": "recovered, ", "reminder": "still "}.get(decision.kind, "")
    return _cut(f"{playbook_title(notice.playbook)}: {name}{notice.status}", 150)


def slack(notice: Notice, decision: Decision) -> dict[str, Any]:
    """A message for Slack: what a phone shows of it (``text``), and the digest in blocks."""
    title = f"{_MARK.get(notice.status, ':red_circle:')} *{_escaped(subject(notice, decision))}*"
    lines = [title, *(_escaped(line) for line in lines_of(notice, decision))]
    sections, left = _packed(lines)
    if left:
        sections.append(f"… and {left:,} more lines, which are in the report.")
    return {
        "text": _cut(
            _escaped(" ".join([subject(notice, decision) + ".", *lines_of(notice, decision)[:2]])), SLACK_TEXT
        ),
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text}} for text in sections],
    }


def _packed(lines: Sequence[str]) -> tuple[list[str], int]:
    """Lines in as few sections as they fit into, and how many did not."""
    sections: list[str] = []
    room = SLACK_TOTAL - 100  # for the sentence about the rest
    for number, line in enumerate(lines):
        if room < len(line) + 1:
            return sections, len(lines) - number
        room -= len(line) + 1
        if sections and len(sections[-1]) + 1 + len(line) <= SLACK_SECTION:
            sections[-1] += f"\n{line}"
        elif len(sections) < SLACK_BLOCKS - 1:
            sections.append(line)
        else:
            return sections, len(lines) - number
    return sections, 0


def _escaped(text: str) -> str:
    """Slack's three control characters: without them, no text can call a whole channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def payload(notice: Notice, decision: Decision, now: datetime) -> dict[str, Any]:
    """The body of a webhook (``docs/schemas/notice-1.json``): small, however many targets there are."""
    bad = notice.bad
    named = {
        host: {"status": verdict.status, "why": _cut(scrub(verdict.why), MOST_LINE)}
        for host, verdict in list(bad.items())[:MOST_TARGETS]
    }
    return {
        "schema": SCHEMA,
        "run_id": notice.run_id,
        "playbook": notice.playbook,
        "sent": clock.iso(now),
        "kind": decision.kind,
        "reason": decision.reason,
        "status": notice.status,
        "previous_status": decision.was.status if decision.was else None,
        "bad": bool(bad),
        "title": subject(notice, decision),
        "lines": lines_of(notice, decision)[:MOST_TARGETS],
        "counts": notice.result.get("counts"),
        "health": notice.result.get("health"),
        "targets": named,
        "targets_left_out": len(bad) - len(named),
        "targets_total": len(notice.targets),
        "links": dict(notice.links),
    }


def mail(notice: Notice, decision: Decision, sender: str, to: Iterable[str], now: datetime) -> EmailMessage:
    """A message of plain text. The same run makes the same Message-ID, by which mail programs know it again."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Subject"] = f"[day2] {subject(notice, decision)}"
    message["Date"] = format_datetime(now)
    domain = sender.rpartition("@")[2].strip("> ") or "localhost"
    message["Message-ID"] = f"<{identity(notice)}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"  # no answer from somebody's holiday
    lines = lines_of(notice, decision)
    left = len(lines) - MOST_MAIL_LINES
    more = [f"… and {left:,} more lines, which are in the report."] if left > 0 else []
    message.set_content("\n".join([*lines[:MOST_MAIL_LINES], *more]) + "\n")
    return message


def identity(notice: Notice) -> str:
    """What a receiver may know the notice again by."""
    return hashlib.sha256(f"{notice.run_id} {notice.key}".encode()).hexdigest()[:32]


def _cut(text: str, most: int) -> str:
    """``text`` in at most so many characters; an entity such as ``&amp;`` is not cut in two."""
    if len(text) <= most:
        return text
    kept = text[: most - 1]
    start = kept.rfind("&", max(0, len(kept) - 5))
    return (kept[:start] if start >= 0 and ";" not in kept[start:] else kept) + _CUT
