# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Staging tables, from which SQLite copies a batch into the database.

To bind the values of rows to statements takes half the time that it takes to store them. Here that is done before the transaction, so that
another process can store its batch meanwhile. The tables are temporary ones of the connection, in memory.
"""

from __future__ import annotations

import sqlite3
import typing as t

from .inserts import inserts

if t.TYPE_CHECKING:
    from ..records.tables import Rows


def name_of(table: str) -> str:
    """The staging table of a table."""
    return "temp.staged_" + table


class Staging:
    """The staging tables of a connection. tables: the columns of each table. Raises sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection, tables: t.Mapping[str, t.Sequence[str]]) -> None:
        self._connection = connection
        self._tables = tables
        for name in ("temp_store=MEMORY", "temp.journal_mode=OFF", "temp.secure_delete=OFF"):
            connection.execute("PRAGMA %s" % name).fetchall()
        for name, columns in tables.items():
            connection.execute("CREATE TABLE %s (%s)" % (name_of(name), ", ".join(columns)))

    def clear(self) -> None:
        """Remove the rows of the batch before."""
        for name in self._tables:
            self._connection.execute("DELETE FROM %s" % name_of(name))

    def fill(self, table: str, rows: Rows) -> None:
        """Add rows of the next batch to a staging table.

        Raises OverflowError, UnicodeEncodeError or sqlite3.DataError for a value that SQLite cannot hold. Then call ``clear``.
        """
        self._connection.execute("BEGIN")
        try:
            for statement, values in inserts(name_of(table), self._tables[table], rows):
                self._connection.execute(statement, values)
        finally:
            self._connection.execute("COMMIT")
