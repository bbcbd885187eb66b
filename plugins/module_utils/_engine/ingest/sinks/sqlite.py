# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sink ``sqlite``: a file on this host. Readers do not block the follower (write-ahead log), and a commit survives a power failure."""

from __future__ import annotations

import errno
import itertools
import os
import sqlite3
import typing as t

from ...base.beneath import guarded_parent
from ...state.database import is_full, transaction
from ..records.tables import Columns, columns_of
from .base import ConflictError, RowRefusedError, SinkError, SinkFullError, SinkUnavailableError
from .schema import SQLITE
from .sql import SqlSink
from .sums import on_conflict

if t.TYPE_CHECKING:
    from ...config.stream_document import SinkOptions
    from ..records.tables import Rows, Table
    from .schema import ControlTable

TIMEOUT = 30
"""Seconds to wait for another writer."""
VARIABLES = 32766 if sqlite3.sqlite_version_info >= (3, 32) else 999
"""Values of a statement."""
SIZES = (1, 8, 64, 512)
"""Rows of a statement."""
NOTHING = 0.5
"""A value that no row has: the values of rows are texts and whole numbers, and those of the other tables have no NULL."""


class SqliteSink(SqlSink):
    """The database of the option ``path``, created if it does not exist."""

    dialect = SQLITE

    def __init__(self, options: SinkOptions, stream: str, host: str, tables: t.Sequence[Table], create: bool = True) -> None:
        self._path = t.cast(str, options["path"])
        super().__init__(options, stream, host, tables, self._path)
        try:
            # Create the file first, so that it and SQLite's -wal and -shm are private from the start.
            with guarded_parent(self._path) as (folder, name):
                os.close(os.open(name, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder))
            self._connection = sqlite3.connect(self._path, timeout=TIMEOUT, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error
        try:
            self._query("PRAGMA journal_mode=WAL")
            self._query("PRAGMA synchronous=FULL")
            # The statistics sort all rows of a span by file: with one thread for each core that takes half the time on two of them.
            self._query("PRAGMA threads=%d" % (os.cpu_count() or 1))
            self.prepare(create)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()

    def _existing_tables(self) -> t.Set[str]:
        return {row[0] for row in self._query("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def _query(self, statement: str, values: t.Sequence[t.Any] = ()) -> t.List[t.Sequence[t.Any]]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
            raise self._failed(error) from error

    def _change(self, statement: str, values: t.Sequence[t.Any] = ()) -> int:
        try:
            return self._connection.execute(statement, values).rowcount
        except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
            raise self._failed(error) from error

    def _prepared(self, table: str, columns: t.Sequence[str], rows: Rows) -> t.Any:
        return list(inserts(table, columns, rows))

    def _insert_rows(self, table: str, columns: t.Sequence[str], rows: Rows) -> None:
        if rows:
            prepared = rows.prepared if isinstance(rows, Columns) else None
            for statement, values in prepared or inserts(table, columns, rows):
                self._change(statement, values)

    def _execute_rows(self, statement: str, rows: t.Iterable[t.Sequence[t.Any]]) -> None:
        try:
            self._connection.executemany(statement, rows)
        except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
            raise self._failed(error) from error

    def _add_to_sums(self, table: ControlTable, sums: t.Sequence[t.Tuple[t.Any, ...]]) -> None:
        for statement, values in inserts(table.name, [column.name for column in table.columns], sums, on_conflict(self.dialect, table)):
            self._change(statement, values)

    def _insert_generation(self, statement: str, values: t.Sequence[t.Any]) -> int:
        try:
            return int(self._connection.execute(statement, values).lastrowid or 0)
        except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
            raise self._failed(error) from error

    def _transaction(self) -> t.ContextManager[None]:
        return transaction(self._connection, self._query)

    def _failed(self, error: Exception) -> Exception:
        text = str(error)
        if isinstance(error, (OverflowError, UnicodeEncodeError, sqlite3.DataError)):
            return RowRefusedError("the database refuses a value: %s" % type(error).__name__, self.name)
        if isinstance(error, sqlite3.IntegrityError) and not text.startswith("UNIQUE"):
            # Of a table that exists already: "NOT NULL constraint failed: TABLE.COLUMN", for example.
            return self._not_filled(text.rpartition(".")[2] if "NOT NULL" in text else "") or RowRefusedError(text, self.name)
        if isinstance(error, sqlite3.IntegrityError):
            # Only keys are unique here: the row of this position, or this generation, is there already.
            return ConflictError("another process stored the same position (%s)" % text, self.name)
        full = "full" in text or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if full or ("disk I/O" in text and is_full(os.path.dirname(self._path))):
            return SinkFullError("the database cannot be written (%s)" % text, self.name, "Free some space; nothing is lost")
        if "locked" in text or "busy" in text:
            return SinkUnavailableError("the database is locked by another process", self.name)
        if isinstance(error, OSError):
            return SinkError("the database cannot be opened: %s" % error.strerror, self.name)
        return SinkError("the database cannot be used (%s)" % text, self.name)


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
    values, width = list(itertools.chain.from_iterable(zip(*given))), len(given)
    head = "INSERT INTO %s (%s) SELECT %s FROM (VALUES " % (table, ", ".join(names), ", ".join(shown))
    row = "(%s)" % ", ".join("?" * width)
    sizes = [size for size in SIZES if len(fixed) + size * width < VARIABLES]
    left = len(rows)
    while left:
        size = next((size for size in sizes if size >= left), sizes[-1])
        taken, start = min(size, left), (len(rows) - left) * width
        padding = [0] * ((size - taken) * width)
        yield head + ", ".join([row] * size) + ") LIMIT ?" + end, [*fixed, *values[start : start + taken * width], *padding, taken]
        left -= taken
