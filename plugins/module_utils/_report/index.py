# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The index of runs in the store: ``v1/runs/index.json`` (``docs/schemas/runs-1.json``) and its page. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Optional
from urllib.parse import quote

from ansible_collections.day2.ops.plugins.module_utils._report import units, words
from ansible_collections.day2.ops.plugins.module_utils._report.model import STATUSES, Report, worst
from ansible_collections.day2.ops.plugins.module_utils._report.past import playbook_key
from ansible_collections.day2.ops.plugins.module_utils._report.style import STYLE

KEY = "v1/runs/index.json"
PAGE = "v1/runs/index.html"
SCHEMA = "day2.ops/runs/1"
MOST_RUNS = 400
MOST_BYTES = 900_000
MOST_ROWS = 200
STRIP = 30

Entry = dict[str, Any]


@dataclass(frozen=True)
class Strip:
    """The last runs of a target, oldest first, as ``(status, title)``."""

    target: str
    runs: tuple[tuple[str, str], ...]


def page_key(report: Report) -> str:
    """Where a run's page lies: an underscore begins no target's name."""
    began = (report.started or report.generated).replace("-", "").replace(":", "")
    return f"v1/runs/_pages/{began}-{report.run_id}.html"


def entry_of(report: Report, page: Optional[str]) -> Entry:
    return {
        "run_id": report.run_id,
        "playbook": report.playbook,
        "status": report.status,
        "started": report.started or report.generated,
        "ended": report.ended,
        "headline": words.headline(report),
        "health": report.health.status if report.health else None,
        "page": page,
        "targets": {target.target: target.status for target in report.targets},
    }


def with_entry(known: Sequence[Entry], entry: Entry) -> list[Entry]:
    """The index with a run, newest first, as far as there is room. Slices of one job, and a run that is reported on
    again, have one line together."""
    me = _identity(entry)
    same = next((one for one in known if _identity(one) == me), None)
    if same and not set(same["targets"]) <= set(entry["targets"]):
        targets = {**same["targets"], **entry["targets"]}
        named = same if len(same["targets"]) > len(entry["targets"]) else entry
        began, ended = min(same["started"], entry["started"]), max(same["ended"] or "", entry["ended"] or "")
        merged = {"targets": targets, "status": worst(list(targets.values())), "headline": named["headline"]}
        entry = {**entry, **merged, "started": began, "ended": ended or None}
    runs = [entry, *(one for one in known if _identity(one) != me)]
    runs = sorted(runs, key=lambda one: str(one["started"]), reverse=True)[:MOST_RUNS]
    while len(runs) > 1 and len(json.dumps(runs)) > MOST_BYTES:
        runs = runs[: max(1, len(runs) * 9 // 10)]
    return runs


def _identity(entry: Entry) -> tuple[str, str]:
    """The jobs of one AWX workflow share its id; they are playbooks of their own."""
    return str(entry["run_id"]), playbook_key(str(entry["playbook"]))


def strips(entries: Iterable[Entry]) -> list[Strip]:
    """Targets, those whose last run went worst first."""
    found: dict[str, list[tuple[str, str]]] = {}
    for entry in entries:
        for target, status in entry["targets"].items():
            runs = found.setdefault(target, [])
            if len(runs) < STRIP:
                title = f"{_when(entry['started'])} {words.playbook_title(entry['playbook'])}: {status}"
                runs.append((status, title))
    ordered = sorted(found.items(), key=lambda one: (-STATUSES.index(one[1][0][0]), one[0]))
    return [Strip(units.clean(target), tuple(reversed(runs))) for target, runs in ordered]


def render(entries: Sequence[Entry]) -> str:
    """The page; times are in UTC, because its readers are anywhere."""
    import jinja2  # pylint: disable=import-outside-toplevel
    from markupsafe import Markup  # pylint: disable=import-outside-toplevel

    shown = strips(entries)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_PAGE).render(
        style=Markup(STYLE),
        tone=entries[0]["status"] if entries else "ok",
        runs=[_row(entry) for entry in entries[:MOST_ROWS]],
        runs_left=max(0, len(entries) - MOST_ROWS),
        strips=shown[: 5 * MOST_ROWS],
        strips_left=max(0, len(shown) - 5 * MOST_ROWS),
    )


def _row(entry: Entry) -> dict[str, str]:
    page = entry.get("page") or ""
    return {
        "when": _when(entry["started"]),
        "name": words.playbook_title(entry["playbook"]),
        "status": entry["status"],
        "headline": units.clean(entry["headline"]),
        "health": entry.get("health") or "",
        "link": quote(page[len("v1/runs/") :]) if page else "",
        "run_id": units.clean(entry["run_id"]),
    }


def _when(moment: str) -> str:
    return moment.replace("T", " ")[:16]


_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>Runs</title>
<style>{{ style }}</style>
</head>
<body class="{{ tone }}">
<main>
<header class="top"><p class="kicker"><strong>day2.ops</strong><span>Times in UTC</span></p><h1>Runs</h1></header>
<section class="card" aria-labelledby="targets">
<h2 id="targets">Targets, over their last runs</h2>
<div class="strips">
{%- for strip in strips %}
<div class="strip"><span class="head">{{ strip.target }}</span>
<span class="cells" role="img" aria-label="{{ strip.runs[-1][1] }}">
{%- for status, title in strip.runs %}<i class="{{ status }}" title="{{ title }}"></i>{% endfor -%}
</span></div>
{%- endfor %}
</div>
{%- if strips_left %}<p class="soft small">And {{ strips_left }} more targets, see index.json.</p>{% endif %}
<p class="key">
{%- for status, label in (('ok', 'ok'), ('deferred', 'deferred'), ('findings', 'findings'),
                          ('failed', 'refused, stopped or failed')) %}
<span class="{{ status }}" style="--k: var(--tone)">{{ label }}</span>{% endfor %}</p>
</section>
<section class="card" aria-labelledby="runs">
<h2 id="runs">Runs, the newest first</h2>
<table>
<thead><tr><th>When</th><th>Run</th><th>Status</th><th>Health</th><th>What it came to</th></tr></thead>
<tbody>
{%- for run in runs %}
<tr>
<td class="lead num nowrap">{{ run.when }}</td>
<td data-label="Run" class="nowrap">{% if run.link %}<a class="head" href="{{ run.link }}">{{ run.name }}</a>
{%- else %}<span class="head">{{ run.name }}</span>{% endif %}</td>
<td class="state"><span class="chip {{ run.status }}">{{ run.status }}</span></td>
<td data-label="Health" class="nowrap">{{ run.health or '–' }}</td>
<td data-label="Result"><div>{{ run.headline }} <span class="soft small">{{ run.run_id }}</span></div></td>
</tr>
{%- endfor %}
</tbody>
</table>
{%- if runs_left %}<p class="soft small">And {{ runs_left }} more runs, see index.json.</p>{% endif %}
</section>
<footer>Made by day2.ops; each run that reports with a store adds its line.</footer>
</main>
</body>
</html>
"""
