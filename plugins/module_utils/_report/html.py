# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report as one page that needs nothing else: no script, no font, no image from anywhere."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._report import overview, trends, units, view, words
from ansible_collections.day2.ops.plugins.module_utils._report.drawings import MOST_TRENDS
from ansible_collections.day2.ops.plugins.module_utils._report.meter import meter
from ansible_collections.day2.ops.plugins.module_utils._report.model import Measured, Report, Target, key_of
from ansible_collections.day2.ops.plugins.module_utils._report.page import PAGE
from ansible_collections.day2.ops.plugins.module_utils._report.portion import MOST_ROWS, portions
from ansible_collections.day2.ops.plugins.module_utils._report.style import STYLE
from ansible_collections.day2.ops.plugins.module_utils._report.timeline import Timeline, timeline

MOST_CONCERNS = 25
FEW_TARGETS = 4

LABELS = {
    "ok": "OK",
    "deferred": "Deferred",
    "findings": "Findings",
    "refused": "Refused",
    "stopped": "Stopped",
    "failed": "Failed",
    "warn": "To watch",
    "crit": "Critical",
    "unknown": "Unknown",
    "done": "Done",
    "planned": "Planned",
    "skipped": "Not due",
}
_GLYPHS = {
    **dict.fromkeys(("ok", "done"), "✓"),
    **dict.fromkeys(("deferred", "planned"), "→"),
    **dict.fromkeys(("findings", "warn"), "!"),
    **dict.fromkeys(("refused", "stopped", "failed", "crit"), "✕"),
    **dict.fromkeys(("skipped",), "–"),
    **dict.fromkeys(("unknown",), "?"),
}
# The colours of the timeline's bars, in the order of its legend.
_TONES = {
    "done": "ok",
    "failed": "crit",
    "stopped": "crit",
    "refused": "crit",
    "deferred": "deferred",
    "skipped": "quiet",
}


def render(report: Report, zone: tzinfo, rest: str = "the run record") -> str:
    """The page; ``zone`` is the time zone its times are shown in, ``rest`` where to find what it leaves out."""
    import jinja2  # pylint: disable=import-outside-toplevel

    # Whatever is put on the page is escaped, and cannot reorder what stands around it.
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, finalize=_seen)
    return environment.from_string(PAGE).render(_context(report, zone, rest))


def _seen(value: object) -> object:
    if isinstance(value, str) and not hasattr(value, "__html__"):  # markup is ours
        return units.visible(value)
    return value


def _context(report: Report, zone: tzinfo, rest: str) -> dict[str, Any]:
    from markupsafe import Markup  # pylint: disable=import-outside-toplevel

    times = timeline(report, zone)
    same_day = units.when(report.started, zone, "%Y%m%d") == units.when(report.ended, zone, "%Y%m%d")
    parts = portions(report)
    pictures, drawn = overview.pictures(report, zone)
    _trends, trends_more = trends.worth_showing(report, MOST_TRENDS)
    form = "%H:%M" if same_day else "%Y-%m-%d %H:%M"
    return {
        "report": report,
        "name": words.playbook_title(report.playbook),
        "verdict": words.verdict(report),
        "tally": words.tally(report),
        "exit_words": words.exit_words(report.status).capitalize(),
        "calm": words.calm(report),
        "concerns": view.concerns(report),
        "most": MOST_CONCERNS,
        "health": overview.health(report),
        "changes": overview.changes(report),
        "coming": overview.coming(report),
        "work": overview.work(report),
        "charts": pictures,
        "drawn": drawn,
        "trends_left": trends_more if pictures else 0,
        "spark": _spark,
        "since": lambda target, reading: _since(target, reading, zone),
        "parts": parts,
        "most_rows": MOST_ROWS,
        "rest": rest,
        "few": len(report.targets) <= FEW_TARGETS,
        # Names never become ids: a number cannot collide, and cannot break out.
        "anchors": {host: f"target-{number}" for number, host in enumerate(parts, 1)},
        "times": times,
        "legend": _legend(times),
        "labels": LABELS,
        "glyphs": _GLYPHS,
        "style": Markup(STYLE),
        "show": view,
        "meter": meter,
        "count": words.count,
        "when": lambda moment: units.when(moment, zone),
        "until": f" to {units.when(report.ended, zone, form)}" if report.ended else "",
        "zone": units.zone_name(report.started or report.generated, zone),
    }


def _spark(target: Target, reading: Measured) -> Optional[str]:
    """The line of what a check measured over the last runs, where there are enough."""
    return trends.line(target.past.trends.get(key_of(reading.last), ()))


def _since(target: Target, reading: Measured, zone: tzinfo) -> str:
    """Since when a check is as it is, where that was before this run."""
    since = target.past.since.get(key_of(reading.last), "")
    before = bool(since and target.started and since < target.started)
    return units.when(since, zone) if before else ""


def _legend(times: Optional[Timeline]) -> list[tuple[str, str]]:
    """``(colour, words)`` for what the timeline shows."""
    drawn = {shape.look for row in (times.rows if times else ()) for shape in (*row.tasks, *row.actions)}
    words_of: dict[str, list[str]] = {}
    for look, tone in _TONES.items():
        if look in drawn:
            words_of.setdefault(tone, []).append(LABELS[look])
    return [(tone, " or ".join(names).capitalize()) for tone, names in words_of.items()]
