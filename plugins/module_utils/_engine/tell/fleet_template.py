# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page of a fleet, for Jinja2. ``fleet_page`` gives it the rows of ``fleet_rows.Fleet``."""

from __future__ import annotations

TEMPLATE = """\
{% macro level(row) %}<span class="{{ row.level }}">{{ {'failed': 'FAILED', 'warning': 'warning', 'fine': 'ok'}[row.level] }}</span>\
{% endmacro %}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src '{{ script_hash }}'; style-src '{{ style_hash }}'; \
base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ style }}</style>
</head>
<body>
<header>
<h1>{{ title }}</h1>
<p>State at {{ minute(created) }}. {% if dates %}Days {{ dates[0] }} to {{ dates[-1] }}, each in the time zone of its job. \
{% endif %}Other times are in UTC.</p>
</header>
<div class="figures">
{% for figure in figures %}
<div><span>{{ figure.name }}</span><b data-name="{{ figure.name }}" data-value="{{ figure.value }}">{{ figure.shown }}</b>\
{% if figure.note %}<small>{{ figure.note }}</small>{% endif %}</div>
{% endfor %}
</div>
<noscript><p>This viewer runs no scripts: filters, sorting, charts and the hours of a day need them. All rows are shown.</p></noscript>
{% if fleet.problems %}
<section id="problems"><h2>Look at these first ({{ fleet.problems | length }})</h2>
<div class="table"><table>
<thead><tr><th scope="col">State</th><th scope="col">Host</th><th scope="col">Where</th><th scope="col">What</th></tr></thead>
{% for part in problems %}
<tbody{% if loop.index > 1 %} class="more"{% endif %}>
{% for one in part %}
<tr><td>{{ level(one) }}</td><th scope="row">{{ one.host }}</th><td>{{ one.where }}</td><td class="text">{{ one.text }}</td></tr>
{% endfor %}
</tbody>
{% endfor %}
</table></div>
{% if problems | length > 1 %}
<p class="hint"><button type="button" id="more">Show the other {{ problems[1] | length }}</button></p>
{% endif %}
</section>
{% endif %}
<section id="coverage"><h2>Coverage</h2>
<div class="controls" role="search">
<label>Find host, job or state <input type="search" id="q" autocomplete="off" spellcheck="false" placeholder="press / to type"></label>
<label>Job <select id="job"><option value="">all</option>{% for name in names %}<option>{{ name }}</option>{% endfor %}</select></label>
<label>Show <select id="show"><option value="">all</option><option value="problems">only with a problem</option>
{% for state, (letter, words, meaning) in states.items() %}
<option value="{{ state }}">with a day: {{ words }}</option>
{% endfor %}
</select></label>
<label>Sort by <select id="sort">
{% for value, words in orders.items() %}
<option value="{{ value }}">{{ words }}</option>
{% endfor %}
</select></label>
<button type="button" id="clear">Clear</button>
<output id="count" aria-live="polite">{{ fleet.jobs | length }} row{{ "" if fleet.jobs | length == 1 else "s" }}</output>
</div>
<ul class="legend">
{% for state, (letter, words, meaning) in states.items() %}
<li title="{{ meaning }}"><b class="{{ classes[state] }}">{{ letter }}</b> {{ words }}</li>
{% endfor %}
</ul>
<p class="hint">A letter is a day: the worst of its periods. Click it for its hours, or use arrow keys, Enter and Escape. \
The address keeps filter, order and day.</p>
<div class="table"><table class="strips">
<thead><tr><th scope="col">Host, job</th><th scope="col"><span class="strip scale" aria-hidden="true">{{ scale }}</span></th>\
<th scope="col">State</th></tr></thead>
<tbody id="strips">
{% for row in fleet.jobs %}
<tr data-i="{{ loop.index0 }}"><th scope="row">{{ row.host }} <span>{{ row.job }}</span></th><td>\
{% if row.unit %}<span class="strip">{% for state, letters in strip(row, dates) %}\
<b class="{{ classes[state] }}">{{ letters }}</b>{% endfor %}</span>\
{% else %}no coverage known{% endif %}</td>\
<td class="state">{{ level(row) }} {{ row.state }}{% if attention(row) %}; {{ attention(row) }}{% endif %}</td></tr>
{% endfor %}
</tbody>
</table></div>
<p id="none" hidden>{% if fleet.jobs %}No row matches the filter.{% else %}There are no jobs.{% endif %}</p>
</section>
<section id="detail" hidden aria-live="polite"></section>
<section id="trends"><h2>Bytes and compression by day</h2>
<div class="charts">
<div><h3>Bytes</h3><p><span class="key in">&#9472; logs</span><span class="key out">&#9476; archives</span></p><div id="bytes"></div></div>
<div><h3>Compression ratio</h3><p>Bytes of logs for one byte of archive</p><div id="ratio"></div></div>
</div>
<details><summary>Figures by day</summary><div class="table"><table><thead><tr><th scope="col">Day</th>\
<th scope="col" class="number">Logs</th>\
<th scope="col" class="number">Archives</th><th scope="col" class="number">Ratio</th>\
</tr></thead><tbody id="figures"></tbody></table></div></details>
</section>
{% if fleet.stores %}
<section id="stores"><h2>Stores</h2>
<div class="table"><table>
<thead><tr><th scope="col">Store</th><th scope="col">State</th><th scope="col" class="number">Jobs</th>\
<th scope="col" class="number">Waiting</th>\
<th scope="col">Oldest unshipped</th><th scope="col" class="number">Lacks</th><th scope="col" class="number">Cannot be listed</th>\
<th scope="col" class="number">Missing or damaged</th>\
<th scope="col" class="number">Given up</th><th scope="col" class="number">Prune refused</th><th scope="col">Verified at least by</th>\
<th scope="col">Last read as a whole</th></tr></thead>
<tbody>
{% for row in fleet.stores %}
<tr><th scope="row">{{ row.name }}</th><td>{{ level(row) }}</td><td class="number">{{ row.jobs }}</td>\
<td class="number">{{ row.waiting }}</td>\
<td>{% if row.oldest %}{{ minute(row.oldest) }} on {{ row.oldest_host }}{% else %}-{% endif %}</td>\
<td class="number">{{ row.lacking }}</td><td class="number">{{ row.unreachable }}</td>\
<td class="number">{{ row.wrong }}</td><td class="number">{{ row.given_up }}</td><td class="number">{{ row.refused }}</td>\
<td>{{ row.weakest or '-' }}</td><td>{{ minute(row.verified) or 'never' }}</td></tr>
{% endfor %}
</tbody>
</table></div>
</section>
{% endif %}
<section id="jobs"><h2>Runs and keys</h2>
<div class="table"><table>
<thead><tr>
{% for value, words, kind in columns %}
<th scope="col"{% if kind %} class="{{ kind }}"{% endif %}>{% if value %}<button type="button" data-sort="{{ value }}">{{ words }}</button>\
{% else %}{{ words }}{% endif %}</th>
{% endfor %}
</tr></thead>
<tbody id="rows">
{% for row in fleet.jobs %}
<tr data-i="{{ loop.index0 }}"><th scope="row">{{ row.host }}</th><td>{{ row.job or '-' }}</td><td>{{ level(row) }}</td>\
<td>{{ minute(row.last_success) or ('never' if row.job else '-') }}</td><td>{{ minute(row.next_run) or '-' }}</td>\
<td class="number">{{ row.archives }}</td>\
<td class="number">{{ row.source_bytes | size }}</td><td class="number">{{ row.size | size }}</td>\
<td class="number">{{ ratio(row.source_bytes, row.size) }}</td><td class="number">{{ row.waiting }}</td>\
<td>{% if row.key %}{{ row.key }}, {{ age(row.since) }}{% if row.others %}, {{ row.others }} older{% endif %}{% else %}-{% endif %}</td>\
</tr>
{% endfor %}
</tbody>
</table></div>
</section>
{% if fleet.streams %}
<section id="streams"><h2>Streams</h2>
<div class="table"><table>
<thead><tr><th scope="col">Host</th><th scope="col">Stream</th><th scope="col">Sink</th><th scope="col">State</th>\
<th scope="col" class="number">Lines</th>\
<th scope="col">Lag</th><th scope="col" class="number">Rejected</th><th scope="col" class="number">Gaps</th></tr></thead>
<tbody>
{% for row in fleet.streams %}
<tr><th scope="row">{{ row.host }}</th><td>{{ row.stream }}</td><td>{{ row.sink }}</td>\
<td class="state">{{ level(row) }} {{ row.state }}</td>\
<td class="number">{{ row.lines }}</td><td>{{ row.lag or '-' }}</td><td class="number">{{ row.rejected }}</td>\
<td class="number">{{ row.gaps }}</td></tr>
{% endfor %}
</tbody>
</table></div>
</section>
{% endif %}
<div id="tip" hidden></div>
<script type="application/json" id="data">{{ data }}</script>
<script>{{ script }}</script>
</body>
</html>
"""
