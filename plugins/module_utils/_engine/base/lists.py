# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists in messages, which must stay readable however long the list is."""

from __future__ import annotations

from . import hints as t

MOST = 10
"""Items of a list that a message names. Their number is always stated, and the JSON output has all of them."""


MOST_ROWS = 50
"""Rows of a list of its own in a message."""
REST = "and %d more; the JSON output lists all"


def first(rows: t.Sequence[str], most: int = MOST_ROWS) -> t.List[str]:
    """The first of the rows, and a row that states how many more there are."""
    return [*rows[:most], REST % (len(rows) - most)] if len(rows) > most else list(rows)


def spans(periods: t.Sequence[t.Tuple[str, str]]) -> str:
    """Periods (start, end; in order) with those that follow each other as one: "A to C (2 periods), E to F"."""
    joined: t.List[t.Tuple[str, str, int]] = []
    for start, end in periods:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end, joined[-1][2] + 1)
        else:
            joined.append((start, end, 1))
    return some(["%s to %s%s" % (start, end, " (%d periods)" % count if count > 1 else "") for start, end, count in joined])


def some(items: t.Sequence[str], most: int = MOST, separator: str = ", ") -> str:
    """The first of the items, and how many more there are: "a, b and 9967 more"."""
    text = separator.join(items[:most])
    return text if len(items) <= most else "%s and %d more" % (text, len(items) - most)
