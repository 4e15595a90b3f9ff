# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sections of the page about the whole run, as templates (Jinja, autoescaped): health, changes, what is coming,
work, charts."""

from __future__ import annotations

HEALTH = """\
{%- if health %}
<section class="health {{ health.tone }}" aria-labelledby="health">
<h2 id="health"><span class="big">{{ health.word }}</span>
<span class="soft">{{ health.sentence }}</span></h2>
{%- if health.cells %}
<div class="cells" role="img" aria-label="{{ health.sentence }}">
{%- for look, title in health.cells %}<i class="{{ look }}" title="{{ title }}"></i>{% endfor -%}
</div>
{%- endif %}
</section>
{%- endif %}
"""

CHANGES = """\
<section class="card" aria-labelledby="changes">
<h2 id="changes">{{ changes.title }}</h2>
{%- if changes.tallies %}
<p class="tallies">
{%- for look, number, label in changes.tallies %}
<span class="{{ look }}"><b class="num">{{ number }}</b> {{ label }}</span>
{%- endfor %}</p>
{%- endif %}
{%- if changes.bad %}
{{ change_list(changes.bad) }}{{ left_out(changes.bad_more, 'change') }}
{%- endif %}
{%- if changes.good and changes.bad %}
{% call more(count(changes.good | length + changes.good_more, 'check') ~ ' got better') -%}
{{ change_list(changes.good) }}{{ left_out(changes.good_more, 'change') }}{% endcall %}
{%- elif changes.good %}
{{ change_list(changes.good) }}{{ left_out(changes.good_more, 'change') }}
{%- endif %}
<p class="soft compared{{ ' small' if changes.tallies }}">{{ changes.compared }}</p>
</section>
"""

COMING = """\
{%- if coming.told %}
<section class="card" aria-labelledby="coming">
<h2 id="coming">What is coming</h2>
<ul class="items">
{%- for soon, target, name, text in coming.told %}
<li>{{ chip('warn', soon) }}
<div>
<p>{{ name_of(target) }}
<span class="soft">{{ name }}</span></p>
<p>{{ text }}</p>
</div></li>
{%- endfor %}
</ul>
{{ left_out(coming.more, 'check') }}
</section>
{%- endif %}
"""

WORK = """\
{%- if work %}
<section class="card" aria-labelledby="work">
<h2 id="work">{{ work.title }}</h2>
<table>
<thead><tr><th>Action</th><th class="right">Objects</th>
<th class="right">{{ 'Would take' if report.check_mode else 'Took' }}</th>
<th class="right">{{ 'Before' }}</th><th class="right">After</th><th class="right">Gain</th></tr></thead>
<tbody>
{%- for row in work.rows %}
<tr><td class="lead"><span class="head">{{ row.label }}</span></td>
<td data-label="Objects" class="num right">{{ row.objects }}</td>
<td data-label="Took" class="num right">{{ row.took }}</td>
<td data-label="Before" class="num right">{{ row.before }}</td>
<td data-label="After" class="num right"><b>{{ row.after }}</b></td>
<td data-label="Gain" class="num right">{{ row.gain }}</td></tr>
{%- endfor %}
</tbody></table>
</section>
{%- endif %}
"""

CHARTS = """\
{%- if charts %}
<section class="card" aria-labelledby="charts">
<h2 id="charts">In pictures</h2>
{%- if not drawn %}
<p class="soft">The charts are tables here: the Python library pygal, which draws them, is not installed where this page
was made.</p>
{%- endif %}
<div class="charts">
{%- for chart in charts %}
<figure>
<figcaption><span class="head">{{ chart.drawing.title }}</span>
<span class="name">{{ chart.drawing.note }}</span></figcaption>
{%- if chart.svg %}
<div class="chart">{{ chart.svg }}</div>
{%- if chart.drawing.series | length > 1 %}
<p class="key">
{%- for series in chart.drawing.series %}<span class="look-{{ series.look }}">{{ series.name }}</span>{% endfor %}</p>
{%- endif %}
{%- else %}
<table>
<thead><tr><th></th>{% for name in chart.heads %}<th class="right">{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{%- for label, values in chart.rows %}
<tr><td class="lead">{{ label }}</td>
{%- for value in values %}
<td class="num right" data-label="{{ chart.heads[loop.index0] }}">{{ value }}</td>
{%- endfor %}</tr>
{%- endfor %}
</tbody></table>
{%- endif %}
</figure>
{%- endfor %}
</div>
{%- if trends_left %}
<p class="soft small">{{ count(trends_left, 'more check has', 'more checks have') }} a small line of the last runs
beside what was measured, below.</p>
{%- endif %}
</section>
{%- endif %}
"""
