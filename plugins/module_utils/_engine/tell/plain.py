# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A notification as plain text."""

from __future__ import annotations

import typing as t

from ..base.lists import MOST_ROWS, first
from ..base.texts import line
from . import report, summary
from .recap import recap
from .texts import cut

if t.TYPE_CHECKING:
    from ..state.record import RunRecord

LONGEST = 200_000
"""Characters. The log lists the rest of a run with thousands of archives."""


def render(title: str, records: t.Sequence[RunRecord]) -> str:
    """The text for one run or several."""
    parts = [line(title), ""]
    if len(records) == 1:
        parts += [line("%-10s%s" % fact) for fact in summary.facts(records[0])]
        steps = [(state, *cells) for state, cells in summary.steps(records[0])]
        parts += ["", report.table(("STATE", *_upper(summary.STEPS_HEAD)), steps)] if steps else []
        parts += ["", recap(records[0])]
    else:
        runs = [(state, *cells) for state, cells in summary.runs(records)]
        parts += [report.table(("STATE", *_upper(summary.RUNS_HEAD)), runs), ""]
        parts += ["%-8s %s" % problem for problem in summary.problems(records)]
    return cut("\n".join(parts), LONGEST) + "\n"


def render_lines(title: str, records: t.Sequence[RunRecord]) -> str:
    """The same without tables, for services that show text in a proportional font."""
    runs = "%s%s %s: %s, %s archive(s), %s, errors / warnings %s"
    parts = [title, ""]
    if len(records) == 1:
        parts += ["%s: %s" % fact for fact in summary.facts(records[0])]
        parts += ["", *("%s%s: %s" % (_mark(state), *cells) for state, cells in summary.steps(records[0]))]
    else:
        parts += [runs % (_mark(state), *cells) for state, cells in summary.runs(records)]
    parts = [*map(line, parts), "", *("%s: %s" % problem for problem in summary.problems(records))]
    if len(records) == 1:
        archives = ["%s%s, %s, %s (%s)" % (_mark(state), *cells) for state, cells in summary.archives(records[0])]
        removed = ["pruned: %s" % name for name in first(summary.removed(records[0]))]
        parts += ["", *map(line, first(archives, MOST_ROWS) + removed)]
    return cut("\n".join(parts).rstrip("\n"), LONGEST) + "\n"


def _mark(state: str) -> str:
    return "" if state == "done" else state.upper() + " "


def _upper(head: t.Iterable[str]) -> t.List[str]:
    return [name.upper() for name in head]
