# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The statistics of a stream of logs of AWS, as text and as a page."""

from __future__ import annotations

import functools
import typing as t

from ..base.texts import line, printable
from ..base.units import format_size
from . import report, statistics_page

if t.TYPE_CHECKING:
    from ..ingest.statistics.facts import Rankings

MOST_ROWS = 10
"""Rows of a table as text; JSON and the page have all of them."""
MOST_STEPS = 24
"""Steps of the trend as text: the last ones."""
MOST_NAME = 60
"""Characters of a value in a table as text."""


def render_text(statistics: Rankings) -> str:
    """The text."""
    if statistics["since"] is None or not any(statistics["totals"].values()):
        return "%s: no records" % statistics["stream"]
    totals = ", ".join("%s %s" % (_shown(_kind(name), value), name.replace("_", " ")) for name, value in statistics["totals"].items())
    parts = ["%s  %s to %s  (UTC)\n  %s" % (statistics["stream"], statistics["since"], statistics["until"], totals)]
    names = [name for name in statistics["trend"][0] if name != "start"] if statistics["trend"] else []
    if names:
        points = [[point["start"], *(_shown(_kind(name), point[name]) for name in names)] for point in statistics["trend"][-MOST_STEPS:]]
        parts.append(report.table([statistics["by"].upper(), *(name.upper().replace("_", " ") for name in names)], points))
    for ranking in statistics["rankings"]:
        if ranking["rows"]:
            head = [column["name"].upper().replace("_", " ") for column in ranking["columns"]]
            rows = [[_cut(_cell(column, row)) for column in ranking["columns"]] for row in ranking["rows"][:MOST_ROWS]]
            parts.append("%s\n%s" % (ranking["title"], report.table(head, rows)))
    return printable("\n\n".join(parts))


def render_page(statistics: Rankings, reload_seconds: t.Optional[int] = None) -> str:
    """The page. reload_seconds: the browser loads the page again this often; None is never."""
    text_of = statistics_page.text_of
    title = "%s: statistics" % statistics["stream"]
    span = "%s to %s, UTC" % (statistics["since"], statistics["until"]) if statistics["since"] else "no records"
    boxes = [
        '<div><span>%s</span><b data-name="%s" data-value="%d">%s</b></div>'
        % (name.replace("_", " "), name, value, _shown(_kind(name), value))
        for name, value in statistics["totals"].items()
    ]
    parts = [
        "<h1>%s</h1>" % text_of(title),
        "<p>%s. Hosts: %s. Created at %s.</p>" % (text_of(span), text_of(", ".join(statistics["hosts"]) or "none"), statistics["created"]),
        '<div class="figures">%s</div>' % "".join(boxes),
        *_charts(statistics),
    ]
    for ranking in statistics["rankings"]:
        head = [column["name"].replace("_", " ").capitalize() for column in ranking["columns"]]
        rows = [[statistics_page.name_of(_cell(column, row)) for column in ranking["columns"]] for row in ranking["rows"]]
        parts.append(statistics_page.section(ranking["title"], statistics_page.table(head, rows)))
    return statistics_page.page_of(title, parts, reload_seconds)


def _charts(statistics: Rankings) -> t.Iterator[str]:
    """The trend of what is counted first, and of the bytes."""
    trend = statistics["trend"]
    names = [name for name in trend[0] if name != "start"] if trend else []
    for place, name in enumerate(names):
        kind = _kind(name)
        if place and kind != "bytes":
            continue
        bars = []
        for point in trend:
            about = ", ".join("%s %s" % (_shown(_kind(each), point[each]), each.replace("_", " ")) for each in names)
            bars.append((point[name], 0, "%s: %s" % (point["start"], about)))
        starts = [point["start"] for point in trend]
        title = "%s by %s" % (name.replace("_", " ").capitalize(), statistics["by"])
        yield statistics_page.section(title, statistics_page.chart(starts, bars, functools.partial(_shown, kind)))


def _kind(name: str) -> str:
    return "bytes" if name == "bytes" else "count"


def _cell(column: t.Mapping[str, t.Any], row: t.Mapping[str, t.Any]) -> str:
    return _shown(column["kind"], row[column["name"]])


def _shown(kind: str, value: t.Any) -> str:
    if value is None or value == "":
        return "-"
    if kind == "bytes":
        return format_size(value)
    return "{:,}".format(value) if kind == "count" else str(value)


def _cut(text: str) -> str:
    shown = line(text)
    return shown if len(shown) <= MOST_NAME else shown[: MOST_NAME - 3] + "..."
