# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a sink finds out before the first line whether it can store lines: each kind of statement of a batch, for no row."""

from __future__ import annotations

import typing as t

from .schema import GAP, GENERATION, ID, REJECTED, SUMMED
from .sums import insert_of, on_conflict

if t.TYPE_CHECKING:
    from .schema import ControlTable, Dialect


class NothingToKeep(Exception):
    """Ends a transaction that was only tried."""


def statements_without_rows(dialect: Dialect, rows: t.Mapping[str, t.Sequence[str]], sums: t.Iterable[ControlTable]) -> t.Iterator[str]:
    """The statements. rows: by table for rows, the columns that are filled; sums: the tables with sums.

    A database checks rights, tables and columns, and whether it is read-only, before it looks for rows.
    """
    for table in (GENERATION, GAP, REJECTED):
        yield no_row_into(table.name, [column.name for column in table.columns if column.kind != ID])
    for table, column in ((GENERATION, "read_offset"), (REJECTED, "stored_at")):
        yield "UPDATE %s SET %s = %s WHERE 1 = 0" % (table.name, column, column)
    for name, filled in rows.items():
        yield no_row_into(name, filled)
    for table in sums:
        yield insert_of(table) + _no_row(len(table.columns)) + ("" if table is SUMMED else on_conflict(dialect, table))


def no_row_into(table: str, columns: t.Sequence[str]) -> str:
    """The statement that inserts no row with these columns."""
    return "INSERT INTO %s (%s) %s" % (table, ", ".join(columns), _no_row(len(columns)))


def _no_row(columns: int) -> str:
    return "SELECT %s LIMIT 0" % ", ".join(["NULL"] * columns)
