# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page's template (Jinja, autoescaped). Every name and text in it is data; there is no script on the page."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils._report.macros import MACROS
from ansible_collections.day2.ops.plugins.module_utils._report.sections import CHANGES, CHARTS, COMING, HEALTH, WORK

_TOP = """\
<header class="top">
<p class="kicker"><strong>{{ name }}</strong>
<span>{{ when(report.started) }}{{ until }}{{ ' ' ~ zone if report.started else '' }}</span>
{%- if report.started and report.ended %}<span>{{ show.took(report.started, report.ended) }}</span>{% endif %}
<span>Run <code>{{ report.run_id }}</code></span></p>
<h1>{{ verdict }}</h1>
<p class="tally num">{{ tally }}</p>
<p class="exit">{{ chip(report.status) }}<span>{{ exit_words }}; fails on
{{ {'warn': 'a warning or worse', 'crit': 'a critical finding', 'never': 'no finding'}[report.fail_on] }}</span></p>
{%- if report.check_mode %}
<p class="rehearsal">This was a rehearsal (check mode): nothing was changed, and nothing was sent.</p>
{%- endif %}
</header>
"""

_ATTENTION = """\
<section class="card" aria-labelledby="attention">
{%- if concerns %}
<h2 id="attention">
{{- 'Left for the next run' if concerns[0].look == 'deferred' else 'What needs attention' }}</h2>
<ul class="items">
{%- for concern in concerns[:most] %}
<li>{{ chip(concern.look) }}
<div>
<p>{{ name_of(concern.target) }}
<span class="soft">{{ concern.head }}</span></p>
<p>{{ concern.text }}</p>
{%- if concern.advice %}
<p class="advice {{ concern.look }}">{{ concern.advice }}</p>
{%- endif %}
</div></li>
{%- endfor %}
</ul>
{%- if concerns | length > most %}
<p class="soft">And {{ concerns | length - most }} more, under their targets below or in {{ rest }}.</p>
{%- endif %}
{%- else %}
<h2 id="attention">Nothing needs attention</h2>
<p class="soft">{{ calm }}</p>
{%- endif %}
</section>
"""

_TARGETS = """\
<section class="card" aria-labelledby="targets">
<h2 id="targets">Targets</h2>
<table>
<thead><tr><th>Target</th><th>Status</th><th>Actions</th><th>Checks</th><th class="right">Took</th></tr></thead>
<tbody>
{%- for target in report.targets[:most_rows] %}
<tr>
<td class="lead">{{ name_of(target) }}
{%- if target.service %} <span class="soft small">{{ target.service }}</span>{% endif %}</td>
<td class="state">{{ chip(target.status) }}</td>
<td data-label="Actions" class="num">{{ show.left(target) or '–' }}</td>
<td data-label="Checks" class="num">{{ show.readings(target) or '–' }}</td>
<td data-label="Took" class="num right">
{%- if target.started and target.ended %}{{ show.took(target.started, target.ended) }}{% else %}–{% endif %}</td>
</tr>
{%- endfor %}
</tbody>
</table>
{{ left_out(report.targets | length - most_rows if report.targets | length > most_rows else 0, 'target') }}
</section>
"""

_TIMELINE = """\
{%- if times %}
<section class="card" aria-labelledby="timeline">
<h2 id="timeline">When it happened</h2>
<div class="time">
{%- for row in times.rows %}
<div class="row">
<div class="who">
{%- if row.target.host in anchors %}<a href="#{{ anchors[row.target.host] }}">{{ row.target.target }}</a>
{%- else %}{{ row.target.target }}{% endif %}</div>
<svg height="22" role="img" aria-label="Timeline of {{ row.target.target }}">
<rect class="lane" x="0" y="0" width="100%" height="22" rx="4"/>
{%- for bar in row.tasks %}
<rect class="bar-{{ bar.look }}" x="{{ bar.left }}%" y="0" width="{{ bar.width }}%" height="22" rx="3">
<title>{{ bar.title }}</title></rect>
{%- endfor %}
{%- for bar in row.actions %}
<rect class="bar-{{ bar.look }}" x="{{ bar.left }}%" y="5" width="{{ bar.width }}%" height="12" rx="2">
<title>{{ bar.title }}</title></rect>
{%- endfor %}
{%- if times.deadline is not none %}
<line class="limit" x1="{{ times.deadline }}%" x2="{{ times.deadline }}%" y1="-5" y2="27"/>
{%- endif %}
</svg></div>
{%- endfor %}
<div class="row axis"><div class="who"></div>
<svg height="18" aria-hidden="true">
{%- for left, label in times.ticks %}
{%- set anchor = 'start' if left < 9 else 'end' if left > 91 else 'middle' %}
<text class="num" x="{{ left }}%" y="13" text-anchor="{{ anchor }}">{{ label }}</text>
{%- endfor %}
</svg></div>
</div>
<p class="key"><span style="--k: var(--task)">Looking, opening, closing</span>
{%- for tone, label in legend %}<span style="--k: var(--{{ tone }})">{{ label }}</span>{% endfor %}
{%- if times.deadline is not none %}<span class="limit-key">Deadline</span>{% endif %}
<span class="zone">Times in {{ zone }}</span></p>
{%- if times.left_out %}
<p class="soft small">{{ times.left_out }} more targets are not drawn.</p>
{%- endif %}
</section>
{%- endif %}
"""

_TARGET = """\
{%- for target in report.targets if target.host in parts %}
{%- set part = parts[target.host] %}
{%- set worked = part.actions.failed + part.actions.done %}
{%- set waiting = part.actions.deferred %}
{%- set ahead = part.actions.planned %}
{%- set skipped = part.actions.skipped %}
{%- set open = part.open %}
{%- set fine = part.fine %}
<details class="card" id="{{ anchors[target.host] }}"{{ ' open' if target.status != 'ok' or few }}>
<summary><h2>{{ target.target }}</h2>
{%- if target.host != target.target %}<span class="soft small">host {{ target.host }}</span>{% endif %}
{{ chip(target.status) }}</summary>
<div class="inside">
{%- if show.problems(target) %}
<ul class="items">
{%- for problem in show.problems(target) %}
{%- set named = show.PROBLEMS.get(problem.kind, ('', 'failed')) %}
<li>{{ chip(named[1], named[0]) }}
<div><p>{{ problem.message }}</p>
{%- if problem.task %}
<p class="soft small">Task &ldquo;{{ problem.task }}&rdquo;
{%- if problem.step %}, step {{ problem.step }}{% endif %}</p>
{%- endif %}
</div></li>
{%- endfor %}
</ul>
{%- endif %}
{%- if worked %}
<h3>What was done</h3>
{{ action_list(target, worked) }}{{ left_out(part.more.failed + part.more.done, 'action') }}
{%- endif %}
{%- if waiting %}
<h3>Left for the next run</h3>
{{ action_list(target, waiting) }}{{ left_out(part.more.deferred, 'action') }}
{%- endif %}
{%- if ahead %}
<h3>{{ 'What would be done' if report.check_mode else 'Planned without a result' }}</h3>
{{ action_list(target, ahead) }}{{ left_out(part.more.planned, 'action') }}
{%- endif %}
{%- if not worked and not waiting and not ahead and skipped %}
<h3>Nothing was due</h3>
{{ action_list(target, skipped) }}{{ left_out(part.more.skipped, 'action') }}
{%- elif skipped %}
{% call more(count(skipped | length + part.more.skipped, 'action') ~ ' not due, and why') -%}
{{ action_list(target, skipped) }}{{ left_out(part.more.skipped, 'action') }}{% endcall %}
{%- endif %}
{%- if part.moved %}
<h3>Before and after</h3>
<table class="moved">
<thead><tr><th>Check</th><th class="right">Before</th><th class="right">After</th><th class="wide">
<span class="was-key">before</span> <span class="now-key">after</span></th><th class="right">Now</th></tr></thead>
<tbody>
{%- for reading in part.moved %}
<tr><td class="lead"><span class="head">{{ show.label(reading.last.check) }}</span>
<span class="name">{{ reading.last.subject }}</span></td>
<td data-label="Before" class="num right">{{ show.value(reading.first) or labels[reading.first.status] }}</td>
<td data-label="After" class="num right"><b>{{ show.value(reading.last) or labels[reading.last.status] }}</b></td>
<td class="wide">{{ scale(reading) }}</td>
<td class="right state">{{ chip(reading.last.status) }}</td></tr>
{%- endfor %}
</tbody>
</table>
{{ left_out(part.more.moved, 'check') }}
{%- endif %}
{%- if open or part.more.open %}
<h3>What was found</h3>
{{ check_list(target, open) }}{{ left_out(part.more.open, 'finding') }}
{%- endif %}
{%- if fine and fine | length == target.checks | length and not target.actions %}
{{ check_list(target, fine) }}
{%- elif fine %}
{% call more(count(fine | length, 'check') ~ ' ok') %}{{ check_list(target, fine) }}{% endcall %}
{%- elif part.kinds %}
{% call more(count(part.kinds | sum(attribute=1), 'check') ~ ' ok') -%}
<p class="measures">
{%- for kind, number in part.kinds %}<span>{{ show.label(kind) }} <b class="num">{{ number }}</b></span>{% endfor %}</p>
<p class="soft small">Each of them is in {{ rest }}.</p>{% endcall %}
{%- endif %}
{%- if not target.actions and not target.checks and not target.problems %}
<p class="soft">It took part, and had nothing to report: no check was made and no action was due.</p>
{%- endif %}
</div>
</details>
{%- endfor %}
{{ left_out(report.targets | length - parts | length, 'target') }}
"""

_ABOUT = """\
{%- if report.not_included %}
<section class="card" aria-labelledby="without">
<h2 id="without">Not part of this run</h2>
<ul class="plain">
{%- for step in report.not_included %}
<li><span class="head">{{ show.label(step.step) }}</span> <span class="soft">{{ step.why }}</span></li>
{%- endfor %}
</ul>
</section>
{%- endif %}
<section class="card" aria-labelledby="about">
<h2 id="about">About this run</h2>
<dl class="facts">
<dt>Playbook</dt><dd><code>{{ report.playbook or 'not recorded' }}</code></dd>
<dt>Run</dt><dd><code>{{ report.run_id }}</code></dd>
{%- for fact in report.facts %}
<dt>{{ fact.label }}</dt><dd>
{%- if fact.url %}<a href="{{ fact.url }}" rel="noreferrer">{{ fact.value }}</a>
{%- else %}{{ fact.value }}{% endif %}</dd>
{%- endfor %}
{%- for note in report.notes %}
<dt>{{ 'Note' if loop.first else '' }}</dt><dd>{{ note }}</dd>
{%- endfor %}
</dl>
</section>
<footer>Made by day2.ops from the run record on {{ when(report.generated) }} {{ zone }}.
&ldquo;Took&rdquo; and the bars are measured; &ldquo;predicted&rdquo; is what was planned beforehand.</footer>
"""

PAGE = f"""\
{MACROS}<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{{{{ name }}}}: {{{{ verdict }}}}</title>
<style>{{{{ style }}}}</style>
</head>
<body class="{{{{ report.status }}}}">
<main>
{_TOP}{HEALTH}{CHANGES}{_ATTENTION}{COMING}{WORK}{CHARTS}{_TARGETS}{_TIMELINE}{_TARGET}{_ABOUT}</main>
</body>
</html>
"""
