# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A notification as an HTML page for mail."""

from __future__ import annotations

import typing as t
from html import escape

from ..base.texts import printable
from . import summary
from .records import worst_state

if t.TYPE_CHECKING:
    from ..state.record import RunRecord

COLOURS = {"done": "#1a7f37", "warning": "#9a6700", "failed": "#cf222e"}
MOST_ROWS = 200
"""Rows of one table."""

_PAGE = """<!DOCTYPE html>
<html><head><meta charset="utf-8"></head><body style="font-family:sans-serif">
%s
</body></html>
"""
_CELL = '<td style="border:1px solid #d0d7de;padding:3px 8px%s">%s</td>'


def render(title: str, records: t.Sequence[RunRecord]) -> str:
    """The page for one run or several."""
    problems = [("failed" if kind == "error" else "warning", (kind, text)) for kind, text in summary.problems(records)]
    parts = ['<h2 style="color:%s">%s</h2>' % (COLOURS[worst_state(records)], _escaped(title))]
    if len(records) == 1:
        record = records[0]
        parts.append(_table((), [("done", fact) for fact in summary.facts(record)]))
        parts.append(_table(summary.STEPS_HEAD, summary.steps(record), states=True))
        parts.append(_table(summary.ARCHIVES_HEAD, summary.archives(record), states=True))
        parts.append(_table((), problems))
        parts.append(_table(("Pruned",), [("done", (name,)) for name in summary.removed(record)]))
    else:
        parts.append(_table(summary.RUNS_HEAD, summary.runs(records), states=True))
        parts.append(_table((), problems))
    return _PAGE % "\n".join(filter(None, parts))


def _table(head: t.Sequence[str], rows: t.Sequence[summary.Row], states: bool = False) -> str:
    """A table, or nothing if it has no rows. states: whether its first column shows the state of the row."""
    if not rows:
        return ""
    lines = ['<table style="border-collapse:collapse;margin-bottom:1em">']
    if head:
        names = ["", *head] if states else head
        lines.append("<tr>%s</tr>" % "".join('<th align="left">%s</th>' % _escaped(name) for name in names))
    for state, cells in rows[:MOST_ROWS]:
        first = [_CELL % (";color:" + COLOURS[state], state)] if states else []
        lines.append("<tr>%s</tr>" % "".join(first + [_CELL % ("", _escaped(text)) for text in cells]))
    if len(rows) > MOST_ROWS:
        lines.append("<tr>%s</tr>" % (_CELL % ("", "and %d more" % (len(rows) - MOST_ROWS))))
    return "\n".join([*lines, "</table>"])


def _escaped(text: str) -> str:
    return escape(printable(text))
