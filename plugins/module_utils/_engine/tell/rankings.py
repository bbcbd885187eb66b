# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The statistics of a stream of logs of AWS, as text and as a page."""

from __future__ import annotations

import typing as t

from ..base.texts import line, printable
from ..base.units import format_size
from . import report, statistics_page

if t.TYPE_CHECKING:
    from ..ingest.statistics.facts import Rankings

MOST_ROWS = 10
"""Rows of a table as text; JSON and the page have all of them."""
MOST_NAME = 60
"""Characters of a value in a table as text."""


def render_text(statistics: Rankings) -> str:
    """The text."""
    if statistics["since"] is None or not any(statistics["totals"].values()):
        return "%s: no records" % statistics["stream"]
    totals = ", ".join("%s %s" % (_shown(_kind(name), value), name.replace("_", " ")) for name, value in statistics["totals"].items())
    parts = ["%s  %s to %s  (UTC)\n  %s" % (statistics["stream"], statistics["since"], statistics["until"], totals)]
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
    ]
    for ranking in statistics["rankings"]:
        head = [column["name"].replace("_", " ").capitalize() for column in ranking["columns"]]
        rows = [[text_of(_cell(column, row)) for column in ranking["columns"]] for row in ranking["rows"]]
        parts.append(statistics_page.section(ranking["title"], statistics_page.table(head, rows)))
    return statistics_page.page_of(title, parts, reload_seconds)


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
