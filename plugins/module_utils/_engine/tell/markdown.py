# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A notification as Markdown for Mattermost, with its pictograms."""

from __future__ import annotations

import typing as t

from ..base.texts import printable
from . import summary
from .records import worst_state
from .texts import cut

if t.TYPE_CHECKING:
    from ..state.record import RunRecord

PICTOGRAMS = {"done": ":white_check_mark:", "warning": ":warning:", "failed": ":x:"}


def render(title: str, records: t.Sequence[RunRecord], limit: int) -> str:
    """The text for one run or several, at most ``limit`` characters long.

    Names and messages from elsewhere are code: no markup, no pictogram and no @channel works in them.
    """
    lines = ["#### %s %s" % (PICTOGRAMS[worst_state(records)], _code(title))]
    if len(records) == 1:
        facts = ["%s %s" % (name.lower(), value) for name, value in summary.facts(records[0])[3:]]
        lines += ["", ", ".join(facts), ""]
        lines += _table(summary.STEPS_HEAD, summary.steps(records[0]))
        lines += _table(summary.ARCHIVES_HEAD, summary.archives(records[0]))
    else:
        lines += ["", *_table(summary.RUNS_HEAD, summary.runs(records))]
    for kind, text in summary.problems(records):
        lines.append("- %s %s" % (PICTOGRAMS["failed" if kind == "error" else "warning"], _code(text)))
    removed = summary.removed(records[0]) if len(records) == 1 else []
    if removed:
        lines += ["", "Pruned:", *("- " + _code(name) for name in removed)]
    return cut("\n".join(lines).rstrip("\n"), limit)


def _table(head: t.Sequence[str], rows: t.Sequence[summary.Row]) -> t.List[str]:
    if not rows:
        return []
    lines = ["| | %s |" % " | ".join(head), "|:-:|" + ":--|" * len(head)]
    return [*lines, *("| %s | %s |" % (PICTOGRAMS[state], " | ".join(map(_code, cells))) for state, cells in rows), ""]


def _code(text: str) -> str:
    # A '|' would end the cell of a table even in code, and a backslash before it would show outside of tables.
    return "`%s`" % (" ".join(printable(text).split()).replace("`", "'").replace("|", "\u00a6") or " ")
