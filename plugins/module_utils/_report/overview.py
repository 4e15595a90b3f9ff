# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the sections about the whole run show: health, changes, what was done, charts. Pure but for the drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._report import charts, units, view, words
from ansible_collections.day2.ops.plugins.module_utils._report.drawings import Drawing, drawings, numbers, sizes_of
from ansible_collections.day2.ops.plugins.module_utils._report.model import Action, Change, Report
from ansible_collections.day2.ops.plugins.module_utils._report.trends import ahead

MOST_CHANGES = 25
MOST_COMING = 10
FEWEST_CELLS, MOST_CELLS = 3, 300
_TONES = {"healthy": "ok", "degraded": "warn", "unhealthy": "crit"}
_TITLES = {"worse": "Worse", "better": "Better", "new": "New", "vanished": "Gone"}
_STATUS_WORDS = {"ok": "ok", "warn": "to watch", "crit": "critical", "unknown": "not measured"}


@dataclass(frozen=True)
class Shown:
    """One change as it is read: ``OK → critical``, what is the matter now, and its value then and now."""

    look: str
    label: str
    head: str
    text: str
    move: str


@dataclass(frozen=True)
class Row:
    """What was done by one kind of action, over all targets."""

    label: str
    objects: str
    took: str
    before: str
    after: str
    gain: str


@dataclass(frozen=True)
class Chart:
    """``svg`` is None where there is nothing to draw it with; then ``rows`` under ``heads`` are shown."""

    drawing: Drawing
    svg: Optional[Any]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, list[str]], ...]


def health(report: Report) -> Optional[dict[str, Any]]:
    known = report.health
    if known is None:
        return None
    cells = [(status, f"{unit}: {_STATUS_WORDS[status]}") for unit, status in known.worst.items()]
    return {
        "tone": _TONES[known.status],
        "word": known.status.capitalize(),
        "sentence": words.health_sentence(known),
        "cells": cells if FEWEST_CELLS <= len(cells) <= MOST_CELLS else [],
    }


def changes(report: Report) -> dict[str, Any]:
    """What changed since the last run, worst first. New checks that are ok are counted, not told one by one."""
    found = report.changes
    told = sorted((pair for pair in found if _worth_telling(pair[1])), key=lambda pair: _urgency(pair[1]))
    bad = [(target, shown(change)) for target, change in told if change.kind != "better"]
    good = [(target, shown(change)) for target, change in told if change.kind == "better"]
    counts = words.change_counts(report)
    looks = {"worse": "crit", "new": "deferred", "vanished": "unknown", "better": "ok"}
    names = {"worse": "got worse", "new": "new", "vanished": "no longer checked", "better": "got better"}
    compared = any(target.past.compared_with for target in report.targets)
    return {
        "title": "What changed since the last run" if found or not compared else "Nothing changed since the last run",
        "tallies": [(looks[kind], counts[kind], names[kind]) for kind in looks if counts[kind]],
        "bad": bad[:MOST_CHANGES],
        "bad_more": max(0, len(bad) - MOST_CHANGES),
        "good": good[:MOST_CHANGES],
        "good_more": max(0, len(good) - MOST_CHANGES),
        "compared": words.compared(report),
    }


def _worth_telling(change: Change) -> bool:
    return change.kind != "new" or (change.now is not None and change.now[0] != "ok")


def _urgency(change: Change) -> tuple[int, int]:
    status = change.now[0] if change.now else "ok"
    order = ("worse", "new", "vanished", "better")
    return (order.index(change.kind), ("crit", "unknown", "warn", "ok").index(status))


def shown(change: Change) -> Shown:
    was, now = (_STATUS_WORDS.get(one[0], one[0]) if one else "" for one in (change.was, change.now))
    text = units.clean(change.summary)
    if change.kind == "vanished":
        text = f"It was {was} in the last run, and was not checked in this one."
    values = [units.show(one[1], change.unit) if one and one[1] is not None else "" for one in (change.was, change.now)]
    move = " → ".join(values) if all(values) and values[0] != values[1] else ""
    label = f"{_TITLES[change.kind]}: {now}" if change.kind == "new" else _TITLES[change.kind]
    return Shown(
        look=change.now[0] if change.now else "unknown",
        label=label,
        head=view.named(change.check, change.subject),
        text=text,
        move=", ".join(part for part in (f"{was} → {now}" if was and now else "", move) if part),
    )


def coming(report: Report) -> dict[str, Any]:
    """What reaches a limit soon, as ``(when, target, what, why)``."""
    found = ahead(report)
    told = []
    for one in found[:MOST_COMING]:
        when, why = words.coming(one)
        told.append((when, one.target, view.named(one.check["check"], one.check["subject"]), why))
    return {"told": told, "more": max(0, len(found) - MOST_COMING)}


def work(report: Report) -> Optional[dict[str, Any]]:
    """What was done, or in check mode would be, by kind of action; None where there was nothing."""
    status, side = ("planned", "predicted") if report.check_mode else ("done", "after")
    kinds: dict[str, list[Action]] = {}
    for target in report.targets:
        for action in target.having(status):
            kinds.setdefault(str(action["action"]), []).append(action)
    if not kinds:
        return None
    rows = [_row(name, actions, side) for name, actions in kinds.items()]
    return {"title": "What would be done" if report.check_mode else "What was done", "rows": rows}


def _row(name: str, actions: Sequence[Action], side: str) -> Row:
    sizes = [found for found in (sizes_of(action, side) for action in actions) if found]
    before, after = (units.show(sum(pair[at] for pair in sizes), "bytes") if sizes else "–" for at in (0, 1))
    seconds = [
        action[side].get("seconds", units.between(action["started"], action["ended"])) or 0.0 for action in actions
    ]
    return Row(
        label=view.label(name),
        objects=f"{len(actions):,}",
        took=units.show(sum(seconds), "seconds") if any(seconds) else "–",
        before=before,
        after=after,
        gain=", ".join(words.gains(actions, side)) or "–",
    )


def pictures(report: Report, zone: tzinfo) -> tuple[list[Chart], bool]:
    """The charts, and whether there was something to draw them with."""
    from markupsafe import Markup  # pylint: disable=import-outside-toplevel

    drawn = charts.available()
    return [
        Chart(
            drawing=drawing,
            svg=Markup(charts.draw(drawing)) if drawn else None,
            heads=("",) if drawing.kind == "line" else tuple(series.name for series in drawing.series),
            rows=() if drawn else tuple(numbers(drawing)),
        )
        for drawing in drawings(report, zone)
    ], drawn
