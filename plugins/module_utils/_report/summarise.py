# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the run record to what the run came to. Pure: no file, no clock (``now`` is given)."""

from __future__ import annotations

from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._report import units
from ansible_collections.day2.ops.plugins.module_utils._report.facts import facts, not_included
from ansible_collections.day2.ops.plugins.module_utils._report.health import health_of
from ansible_collections.day2.ops.plugins.module_utils._report.model import (
    STATUSES,
    Action,
    Check,
    Header,
    Line,
    Measured,
    Problem,
    Record,
    Report,
    Span,
    Target,
    worst,
)

# Which readings make a target "findings". What could not be measured is no better than a warning.
FAIL_ON = {"warn": ("warn", "unknown", "crit"), "crit": ("crit",), "never": ()}
# Error kinds that have a status word of their own; every other kind is "failed".
KIND_STATUS = {"refused": "refused", "stopped": "stopped", "interrupted": "stopped", "deferred": "deferred"}

_NO_RESULT = "It was to take part in this run and left no result: it was never reached, or the run ended first."
_UNCLOSED = "Work was opened and never closed: the run was killed, or is still under way."
_UNOPENED = "The record ends before any work could begin: the run was killed, or is still under way."


def summarise(record: Record, fail_on: str, now: str) -> Report:
    """``fail_on`` is warn, crit or never; ``now`` (ISO 8601) only says when the report was made."""
    headers = {str(header["host"]): header for header in reversed(record.headers)}
    named = [header for _host, header in sorted(headers.items())]
    expected = {str(host) for header in named for host in header.get("hosts_expected") or []}
    by_host: dict[str, list[Line]] = {host: [] for host in sorted(expected | set(headers))}
    for line in record.lines:
        by_host.setdefault(str(line["host"]), []).append(line)
    targets = [_target(host, headers.get(host), lines, host in record.torn, fail_on) for host, lines in by_host.items()]
    targets.sort(key=lambda target: (-STATUSES.index(target.status), target.target))
    first = named[0]
    return Report(
        run_id=str(first["run_id"]),
        playbook=str(first.get("playbook") or ""),
        check_mode=bool(first.get("check_mode")),
        status=worst([target.status for target in targets]),
        fail_on=fail_on,
        started=min([_text(header.get("started")) for header in named if header.get("started")], default=None)
        or min([target.started for target in targets if target.started], default=None),
        ended=max([target.ended for target in targets if target.ended], default=None),
        targets=tuple(targets),
        facts=tuple(facts(named)),
        not_included=tuple(not_included(named)),
        notes=tuple(_notes(record)),
        generated=now,
        health=health_of(targets),
    )


def _target(host: str, header: Optional[Header], lines: list[Line], torn: bool, fail_on: str) -> Target:
    name = str((header or (lines[0] if lines else {})).get("target") or host)
    checks = _checks(lines)
    actions = _actions(lines)
    problems = _problems(lines, torn)
    found = [measured for measured in checks if measured.last["status"] in FAIL_ON[fail_on]]
    statuses = [KIND_STATUS.get(problem.kind, "failed") for problem in problems]
    statuses += [action["status"] for action in actions if action["status"] in ("failed", "deferred")]
    statuses += ["findings"] if found else []
    return Target(
        host=host,
        target=name,
        status=worst(statuses),
        problems=tuple(problems),
        checks=tuple(checks),
        actions=tuple(actions),
        spans=tuple(
            Span(str(line["step"]), str(line["task"]), line["started"], line["ended"], _look(line))
            for line in lines
            if line["started"] and line["ended"]
        ),
        started=min([_text(line["started"]) for line in lines if line["started"]], default=None),
        ended=max([_text(line["ended"]) for line in lines if line["ended"]], default=None),
        deadline=(header or {}).get("deadline") or None,
        service=units.clean((header or {}).get("service") or ""),
        window=_window(header or {}),
    )


def _window(header: Header) -> Optional[tuple[str, str]]:
    window: dict[str, Any] = header.get("window") or {}
    return (window["opens"], window["closes"]) if window.get("opens") and window.get("closes") else None


def _look(line: Line) -> str:
    return KIND_STATUS.get(str((line.get("error") or {}).get("kind")), "failed") if line["failed"] else "task"


def _checks(lines: list[Line]) -> list[Measured]:
    """Each check once, worst first. A rehearsal's reading is a reading: it is often the only one before the work."""
    found: dict[tuple[str, str], list[Check]] = {}
    for line in lines:
        for check in line["checks"]:
            found.setdefault((str(check["check"]), str(check["subject"])), []).append(check)
    order = {"crit": 0, "warn": 1, "unknown": 2, "ok": 3}
    measured = [Measured(readings[0], readings[-1], len(readings)) for readings in found.values()]
    return sorted(measured, key=lambda one: order.get(one.last["status"], 2))


def _actions(lines: list[Line]) -> list[Action]:
    """What was done stays; a plan, skip or deferral gives way to what is later said of the same object."""
    found: dict[tuple[str, str], list[tuple[int, Action]]] = {}
    place = 0
    for line in lines:
        for action in line["actions"]:
            place += 1
            same = found.get(_identity(action), [])
            settled = [known for known in same if known[1]["status"] in ("done", "failed")]
            if not settled or (line["step"] != "plan" and action["status"] not in ("planned", "skipped")):
                found[_identity(action)] = [*settled, (place, action)]
    return [action for _place, action in sorted((one for same in found.values() for one in same), key=_placed)]


def _placed(one: tuple[int, Action]) -> int:
    return one[0]


def _identity(action: Action) -> tuple[str, str]:
    return (str(action["action"]), str(action["subject"]))


def _problems(lines: list[Line], torn: bool) -> list[Problem]:
    problems = []
    for line in lines:
        if line["failed"]:
            error: dict[str, Any] = line.get("error") or {}
            message = units.clean(error.get("message") or "The task failed without saying why.")
            problem = Problem(str(error.get("kind") or "failed"), message, str(line["task"]), str(line["step"]))
            if problem not in problems:
                problems.append(problem)
    if all(_says_nothing(line) for line in lines):
        problems.append(Problem("no_result", _NO_RESULT))
    elif torn:
        problems.append(Problem("interrupted", "The run was killed: its record ends in the middle of a line."))
    elif _unclosed(lines):
        problems.append(Problem("interrupted", _UNCLOSED))
    elif not problems and _unopened(lines):
        problems.append(Problem("interrupted", _UNOPENED))
    return sorted(problems, key=lambda problem: -STATUSES.index(KIND_STATUS.get(problem.kind, "failed")))


def _says_nothing(line: Line) -> bool:
    """Whether it is the line of the task that begins the record."""
    return line["module"] == "day2.ops.record" and not (line["checks"] or line["actions"] or line["failed"])


def _unclosed(lines: list[Line]) -> bool:
    """Whether work was opened and never closed; role run closes whatever happens, unless it is killed."""
    steps = {line["step"] for line in lines}
    due = any(action["status"] == "planned" for line in lines if line["step"] == "plan" for action in line["actions"])
    opened = any(line["step"] == "open" and not line["failed"] for line in lines)
    return "close" not in steps and ("run" in steps or (opened and due))


def _unopened(lines: list[Line]) -> bool:
    """Whether the run ended on the way to its work, without a failure that would explain it."""
    steps = {line["step"] for line in lines}
    return bool(steps & {"preflight", "before", "plan"}) and "open" not in steps


def _notes(record: Record) -> list[str]:
    notes = []
    if record.folders > 1:
        notes.append(f"Joined from {record.folders} folders.")
    runs = sorted({str(header["run_id"]) for header in record.headers})
    if len(runs) > 1:
        notes.append(f"These runs were joined: {', '.join(runs)}.")
    for host in sorted(record.torn):
        notes.append(f"The record of {host} ends in the middle of a line, which was left out.")
    return notes


def _text(value: object) -> str:
    return str(value)
