# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the headers say of a run: who, when, from what, and under which policy. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils._report import units
from ansible_collections.day2.ops.plugins.module_utils._report.model import Fact, Header

_MOST_HOSTS = 3


def facts(headers: list[Header]) -> list[Fact]:
    """In the order they are read: what differs between hosts says which host has what, and nothing is left blank."""
    found = []
    for label, read in _READERS:
        values: dict[str, list[str]] = {}
        for header in headers:
            value = units.clean(read(header))
            if value:
                values.setdefault(value, []).append(str(header.get("target") or header["host"]))
        if len(values) == 1:
            value = next(iter(values))
            # Only a web address becomes a link: text that says javascript: must stay text.
            found.append(Fact(label, value, value if value.startswith(("https://", "http://")) else ""))
        elif values:
            found.append(Fact(label, "; ".join(f"{value} ({_some(hosts)})" for value, hosts in values.items())))
    return found


def not_included(headers: Iterable[Header]) -> list[dict[str, str]]:
    """Each step that this run left out, once, with why."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for header in headers:
        for step in header.get("not_included") or []:
            one = {"step": units.clean(step.get("step", "")), "why": units.clean(step.get("why", ""))}
            found.setdefault((one["step"], one["why"]), one)
    return list(found.values())


def _some(hosts: list[str]) -> str:
    shown = ", ".join(hosts[:_MOST_HOSTS])
    return shown if len(hosts) <= _MOST_HOSTS else f"{shown} and {len(hosts) - _MOST_HOSTS} more"


def _window(header: Header) -> str:
    window: dict[str, Any] = header.get("window") or {}
    named = ", ".join(str(window[key]) for key in ("name", "environment") if window.get(key))
    if not window.get("closes"):
        return named
    since = f"{_minute(window['opens'])} to " if window.get("opens") else "until "
    span = f"{since}{_minute(window['closes'])} UTC"
    return f"{named}: {span}" if named else span


def _minute(value: object) -> str:
    return str(value or "–").replace("T", " ")[:16]


def _deadline(header: Header) -> str:
    return f"{_minute(header['deadline'])} UTC" if header.get("deadline") else ""


def _who(key: str) -> Callable[[Header], str]:
    return lambda header: str((header.get("who") or {}).get(key) or "")


def _plain(key: str) -> Callable[[Header], str]:
    return lambda header: str(header.get(key) or "")


def _versions(header: Header) -> str:
    versions: dict[str, Any] = header.get("versions") or {}
    names = {"collection": "day2.ops", "ansible": "ansible-core", "python": "Python"}
    return ", ".join(f"{name} {versions[key]}" for key, name in names.items() if versions.get(key))


_READERS: tuple[tuple[str, Callable[[Header], str]], ...] = (
    ("Started by", _who("user")),
    ("Launched from", _who("launcher")),
    ("Approved by", _who("approver")),
    ("Window", _window),
    ("Deadline", _deadline),
    ("Override", _plain("override_reason")),
    ("Commit", _plain("commit")),
    ("Policy", _plain("policy_hash")),
    ("Versions", _versions),
    ("Job", _plain("job_url")),
)
