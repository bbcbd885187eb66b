# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sink ``sqlite``: a file on this host. Readers do not block the follower (write-ahead log), and a commit survives a power failure."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import typing as t

from ...base.beneath import guarded_parent
from ...state.database import is_full, prepare_file, transaction, write_ahead
from ..records.tables import prepared_of
from .base import ConflictError, RowRefusedError, SinkError, SinkFullError, SinkUnavailableError, other_key
from .inserts import inserts
from .schema import SQLITE
from .sql import SqlSink
from .sums import on_conflict

if t.TYPE_CHECKING:
    from ...config.stream_document import SinkOptions
    from ..records.tables import Rows, Table
    from .schema import ControlTable

TIMEOUT = 30
"""Seconds to wait for another writer."""
PAGE = 8192
"""Bytes of a page of a new database. A split of a page moves rows: with 4096 it takes a few per cent more CPU time to store a backlog."""
CHECKPOINT = 32 << 20
"""About how many bytes the write-ahead log has before it is copied into the database: that waits for the disk twice."""


class SqliteSink(SqlSink):
    """The database of the option ``path``, created if it does not exist."""

    dialect = SQLITE

    def __init__(self, options: SinkOptions, stream: str, host: str, tables: t.Sequence[Table], create: bool = True) -> None:
        self._path = t.cast(str, options["path"])
        super().__init__(options, stream, host, tables, self._path)
        try:
            # Create the file first, so that it and SQLite's -wal and -shm are private from the start.
            with guarded_parent(self._path) as (folder, name):
                prepare_file(folder, name)
            self._connection = sqlite3.connect(self._path, timeout=TIMEOUT, isolation_level=None, uri=True)
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error
        try:
            # SQLite ignores this for a database that has tables.
            self._query("PRAGMA page_size=%d" % PAGE)
            self._write_ahead()
            self._query("PRAGMA synchronous=FULL")
            self._query("PRAGMA wal_autocheckpoint=%d" % (CHECKPOINT // PAGE))
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

    def _write_ahead(self) -> None:
        try:
            write_ahead(self._connection)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _query(self, statement: str, values: t.Sequence[t.Any] = ()) -> t.List[t.Sequence[t.Any]]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
            raise self._failed(error) from error

    def select(self, statement: str, values: t.Sequence[t.Any] = ()) -> t.List[t.Sequence[t.Any]]:
        try:
            return super().select(statement, values)
        except SinkError as error:
            if "integer overflow" not in error.message:
                raise
            # Sums of more than 64 bits, as no file system has them.
            return super().select(statement.replace("SUM(", "TOTAL("), values)

    def _change(self, statement: str, values: t.Sequence[t.Any] = ()) -> int:
        try:
            return self._connection.execute(statement, values).rowcount
        except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
            raise self._failed(error) from error

    def _prepared(self, table: str, columns: t.Sequence[str], rows: Rows) -> t.Any:
        return list(inserts(table, columns, rows))

    def _insert_rows(self, table: str, columns: t.Sequence[str], rows: Rows) -> None:
        if rows:
            for statement, values in prepared_of(rows) or inserts(table, columns, rows):
                self._change(statement, values)

    def _execute_rows(self, statement: str, rows: t.Iterable[t.Sequence[t.Any]]) -> None:
        try:
            self._connection.executemany(statement, rows)
        except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
            raise self._failed(error) from error

    def _add_to_sums(self, table: ControlTable, sums: Rows) -> None:
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
            return self.not_filled(text.rpartition(".")[2] if "NOT NULL" in text else "") or RowRefusedError(text, self.name)
        if isinstance(error, sqlite3.IntegrityError):
            # Each of our keys has the generation, or is one of the generations.
            if not re.search("generation|ingest_", text):
                return other_key(text.rpartition(": ")[2], self.name)
            return ConflictError("another process stored the same position (%s)" % text, self.name)
        full = "full" in text or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if full or ("disk I/O" in text and is_full(os.path.dirname(self._path))):
            return SinkFullError("the database cannot be written (%s)" % text, self.name, "Free some space; nothing is lost")
        if "locked" in text or "busy" in text:
            return SinkUnavailableError("the database is locked by another process", self.name)
        if isinstance(error, OSError):
            hint = "Create its folder" if isinstance(error, FileNotFoundError) else None
            return SinkError("the database cannot be opened: %s" % error.strerror, self.name, hint)
        hint = "Name another file in 'path', or move this one away" if "not a database" in text else None
        return SinkError("the database cannot be used (%s)" % text, self.name, hint)
