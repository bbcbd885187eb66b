# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""INSERTs of many rows for SQLite."""

from __future__ import annotations

import sqlite3
import typing as t

from ..records.tables import columns_of

if t.TYPE_CHECKING:
    from ..records.tables import Rows

VARIABLES = 32766 if sqlite3.sqlite_version_info >= (3, 32) else 999
"""The most values of a statement."""
SIZES = (1, 8, 64)
"""The numbers of rows that a statement can have. More are hardly faster, and SQLite keeps each statement with its values: 512 took 20 MiB
in two processes."""
NOTHING = 0.5
"""A value that no row has: the values of rows are texts and whole numbers, and those of the other tables have no NULL."""


def inserts(table: str, columns: t.Sequence[str], rows: Rows, end: str = "") -> t.Iterator[t.Tuple[str, t.List[t.Any]]]:
    """INSERTs of rows, each with its values. end: of each statement.

    While SQLite executes a statement, another thread can use Python. So a statement inserts many rows. The number of rows is one of a few,
    so that SQLite compiles each statement once; the last one is padded with zeros, which its LIMIT leaves out.

    Python's sqlite3 takes longer for a NULL than for all the rest of a row: so a column that is NULL in all rows is left out, and elsewhere
    ``NOTHING`` stands for NULL. A value that all rows have in a column is bound once.
    """
    names, shown, fixed, given = [], [], [], []
    for name, column in zip(columns, columns_of(rows)):
        first = column[0]
        # To look at the last one first takes a fraction of the time.
        same = first == column[-1] and column.count(first) == len(column)
        if same and first is None:
            continue
        names.append(name)
        if same:
            fixed.append(first)
            shown.append("?")
        else:
            # A column with neither 0 nor "" is found in a fraction of the time that a search takes.
            empty = not all(column) and None in column
            given.append([NOTHING if value is None else value for value in column] if empty else column)
            shown.append(("NULLIF(column%d, %r)" if empty else "column%d") % ((len(given), NOTHING) if empty else len(given)))
    if not given:
        # The rows are the same. A statement needs a column nevertheless.
        names = names or [columns[0]]
        given, fixed = [[value] * len(rows) for value in fixed or [None]], []
        shown = ["column%d" % number for number, _name in enumerate(names, 1)]
    bound, width = len(fixed), len(given)
    head = "INSERT INTO %s (%s) SELECT %s FROM (VALUES " % (table, ", ".join(names), ", ".join(shown))
    row = "(%s)" % ", ".join("?" * width)
    sizes = [size for size in SIZES if bound + size * width < VARIABLES]
    count, start = len(rows), 0
    while start < count:
        size = next((size for size in sizes if size >= count - start), sizes[-1])
        taken = min(size, count - start)
        values: t.List[t.Any] = [*fixed, *[0] * (size * width), taken]
        last = bound + taken * width
        for place, column in enumerate(given, bound):
            # A slice is several times faster than a tuple for each row.
            values[place:last:width] = column[start : start + taken]
        yield head + ", ".join([row] * size) + ") LIMIT ?" + end, values
        start += taken
