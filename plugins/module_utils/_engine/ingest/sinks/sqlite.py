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
from ..records.tables import columns_of
from .base import ConflictError, RowRefusedError, SinkError, SinkFullError, SinkUnavailableError
from .schema import SQLITE
from .sql import SqlSink

if t.TYPE_CHECKING:
    from ...config.stream_document import SinkOptions
    from ..records.tables import Rows, Table

TIMEOUT = 30
"""Seconds to wait for another writer."""
VARIABLES = 900
"""Values of a statement: SQLite before 3.32 takes 999."""
NOTHING = 0.5
"""A value that no row has: the values of rows are texts and whole numbers, and those of the other tables have no NULL."""


class SqliteSink(SqlSink):
    """The database of the option ``path``, created if it does not exist."""

    dialect = SQLITE
    is_server = False

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

    def _insert_rows(self, table: str, columns: t.Sequence[str], rows: Rows) -> None:
        if rows:
            for statement, given in compact_inserts(table, columns, rows):
                self._execute_rows(statement, given)

    def _execute_rows(self, statement: str, rows: t.Iterable[t.Sequence[t.Any]]) -> None:
        try:
            self._connection.executemany(statement, rows)
        except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
            raise self._failed(error) from error

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


def compact_inserts(table: str, columns: t.Sequence[str], rows: Rows) -> t.Iterator[t.Tuple[str, t.Iterable[t.Sequence[t.Any]]]]:
    """INSERTs of these rows, each with what to execute it with.

    Python's sqlite3 takes longer for a NULL than for all the rest of a row: so a column without a value in any row is left out, and in the
    others ``NOTHING`` stands for NULL. A statement takes as many rows as it can: to begin and end one takes as long as a row.
    """
    names, marks, given = [], [], []
    for name, column in zip(columns, columns_of(rows)):
        # A column with neither 0 nor "" is found in a fraction of the time that counting takes.
        empty = 0 if all(column) else column.count(None)
        if empty < len(column):
            names.append(name)
            marks.append("NULLIF(?, %r)" % NOTHING if empty else "?")
            given.append([NOTHING if value is None else value for value in column] if empty else column)
    head, row = "INSERT INTO %s (%s) VALUES " % (table, ", ".join(names)), "(%s)" % ", ".join(marks)
    at_once = VARIABLES // len(names) * len(names)
    values = list(itertools.chain.from_iterable(zip(*given)))
    many = len(values) // at_once * at_once
    if many:
        yield head + ", ".join([row] * (at_once // len(names))), (values[at : at + at_once] for at in range(0, many, at_once))
    if many < len(values):
        yield head + row, (values[at : at + len(names)] for at in range(many, len(values), len(names)))
