# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The small parts that the page is put together from (Jinja, autoescaped): every name and text in them is data."""

from __future__ import annotations

MACROS = """\
{%- macro chip(word, label='') -%}
<span class="chip {{ word }}"><i aria-hidden="true">{{ glyphs[word] }}</i>{{ label or labels[word] }}</span>
{%- endmacro -%}

{%- macro scale(reading) -%}
{%- set m = meter(reading) -%}
{%- if m %}
<svg class="scale" height="14" role="img" aria-label="{{ show.value(reading.last) }}; {{ show.limits(reading.last) }}">
{%- for left, width, look in m.zones %}
<rect class="zone-{{ look }}" x="{{ left }}%" y="5" width="{{ width }}%" height="4"/>
{%- endfor %}
{%- if m.before is not none %}
<line class="way" x1="{{ m.before }}%" x2="{{ m.now }}%" y1="7" y2="7"/>
<circle class="was" cx="{{ m.before }}%" cy="7" r="4.5"/>
{%- endif %}
<circle class="now-{{ reading.last.status }}" cx="{{ m.now }}%" cy="7" r="5.5"/>
</svg>
{%- endif %}
{%- endmacro -%}

{%- macro name_of(target) -%}
{%- if target.host in anchors %}<a class="head" href="#{{ anchors[target.host] }}">{{ target.target }}</a>
{%- else %}<span class="head">{{ target.target }}</span>{% endif %}
{%- endmacro -%}

{%- macro left_out(number, noun) -%}
{%- if number %}
<p class="soft small">And {{ count(number, noun) }} more, see {{ rest }}.</p>
{%- endif %}
{%- endmacro -%}

{%- macro sparkline(target, reading) -%}
{%- set points = spark(target, reading) -%}
{%- if points %}
<svg class="spark" viewBox="0 0 120 24" role="img" aria-label="over the last runs">
<polyline points="{{ points }}"/></svg>
{%- endif %}
{%- endmacro -%}

{%- macro check_list(target, readings) -%}
<ul class="items">
{%- for reading in readings %}
{%- set check = reading.last %}
<li>{{ chip(check.status) }}
<div>
<p class="head">{{ show.label(check.check) }} <span class="name">{{ check.subject }}</span></p>
<p>{{ check.summary }}</p>
<p class="measures">
{%- if show.value(check) %}<span><b class="num">{{ show.value(check) }}</b></span>{% endif %}
{%- if show.limits(check) %}<span class="soft">{{ show.limits(check) }}</span>{% endif %}
{%- if check.status != 'ok' and since(target, reading) %}
<span class="soft">since {{ since(target, reading) }}</span>{% endif %}
{%- if check.evidence %}<span class="soft">{{ show.evidence(check) }}</span>{% endif %}
</p>
{{ scale(reading) if check.status != 'ok' }}{{ sparkline(target, reading) }}
{%- if check.advice %}
<p class="advice {{ check.status }}">{{ check.advice }}</p>
{%- endif %}
</div></li>
{%- endfor %}
</ul>
{%- endmacro -%}

{%- macro action_list(target, actions) -%}
<ul class="items">
{%- for action in actions %}
<li>{{ chip(action.status) }}
<div>
<p class="head">{{ show.label(action.action) }} <span class="name">{{ action.subject }}</span>
<span class="tag">{{ action.risk }}</span></p>
{%- if action.error %}
<p class="error">{{ action.error }}</p>
{%- endif %}
<p class="soft">{{ action.reason }}</p>
<p class="measures">
{%- for one in show.measures(action) %}
<span><span class="soft">{{ one.label }}</span> <b class="num">{{ one.shown }}</b>
{%- if one.aside %} <span class="soft">{{ one.aside }}</span>{% endif %}</span>
{%- endfor %}
</p>
{%- if show.cost(action) %}
<p class="advice {{ action.status }}">{{ show.cost(action) }}</p>
{%- endif %}
{%- if show.overran(target, action) %}
<p class="error">Ran {{ show.overran(target, action) }} past the deadline.</p>
{%- endif %}
</div></li>
{%- endfor %}
</ul>
{%- endmacro -%}

{%- macro change_list(changes) -%}
<ul class="items tight">
{%- for target, change in changes %}
<li>{{ chip(change.look, change.label) }}
<div>
<p>{{ name_of(target) }} <span class="soft">{{ change.head }}</span></p>
<p>{{ change.text }}</p>
{%- if change.move %}
<p class="soft num">{{ change.move }}</p>
{%- endif %}
</div></li>
{%- endfor %}
</ul>
{%- endmacro -%}

{%- macro more(label) -%}
<details class="more"><summary>{{ label }}</summary>{{ caller() }}</details>
{%- endmacro -%}
"""
