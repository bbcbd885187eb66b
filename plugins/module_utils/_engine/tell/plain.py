# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A notification as plain text."""

from __future__ import annotations

import typing as t

from ..base.lists import MOST_ROWS, first
from . import report, summary
from .texts import cut, printable

if t.TYPE_CHECKING:
    from ..state.record import RunRecord

LONGEST = 200_000
"""Characters. The log lists the rest of a run with thousands of archives."""


def render(title: str, records: t.Sequence[RunRecord]) -> str:
    """The text for one run or several."""
    lines = [title, ""]
    if len(records) == 1:
        lines += ["%-10s%s" % fact for fact in summary.facts(records[0])]
        steps = [(state, *cells) for state, cells in summary.steps(records[0])]
        lines += ["", report.table(("STATE", *_upper(summary.STEPS_HEAD)), steps)] if steps else []
        lines += ["", report.recap(records[0])]
    else:
        runs = [(state, *cells) for state, cells in summary.runs(records)]
        lines += [report.table(("STATE", *_upper(summary.RUNS_HEAD)), runs), ""]
        lines += ["%-8s %s" % problem for problem in summary.problems(records)]
    return printable(cut("\n".join(lines), LONGEST)) + "\n"


def render_lines(title: str, records: t.Sequence[RunRecord]) -> str:
    """The same without tables, for services that show text in a proportional font."""
    lines = [title, ""]
    if len(records) == 1:
        lines += ["%s: %s" % fact for fact in summary.facts(records[0])]
        lines += ["", *("%s%s: %s" % (_mark(state), *cells) for state, cells in summary.steps(records[0]))]
    else:
        lines += ["%s%s %s: %s, %s archive(s), %s, errors / warnings %s" % (_mark(state), *cells) for state, cells in summary.runs(records)]
    lines += ["", *("%s: %s" % problem for problem in summary.problems(records))]
    if len(records) == 1:
        lines += ["", *first(["%s%s, %s, %s (%s)" % (_mark(state), *cells) for state, cells in summary.archives(records[0])], MOST_ROWS)]
        lines += ["pruned: %s" % name for name in first(summary.removed(records[0]))]
    return printable(cut("\n".join(lines).rstrip("\n"), LONGEST)) + "\n"


def _mark(state: str) -> str:
    return "" if state == "done" else state.upper() + " "


def _upper(head: t.Iterable[str]) -> t.List[str]:
    return [name.upper() for name in head]
