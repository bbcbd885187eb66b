# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Staging tables, from which SQLite copies a batch into the database.

To bind the values of rows takes Python, so another thread or process does that while the batch before is stored: into tables of another
database, which the connection of the sink has attached. The copy is one statement for each table, and needs no Python: it runs while the
next batch is parsed. There are three such databases, used in turns: one for the batch that is stored, one for the batch that waits, and one
for the batch that is parsed. They are in memory, or in files for another process.

https://www.sqlite.org/sharedcache.html#shared_cache_and_in_memory_databases
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import typing as t

from ..checkpoint import Staged
from .inserts import inserts

if t.TYPE_CHECKING:
    from ..records.tables import Rows

TURNS = 3
"""Batches that are in staging tables at most."""
_numbers = itertools.count()


class Staging:
    """The staging tables of one sink. tables: the columns of each table.

    paths: of so many files; without them the tables are in memory. schemas: the names of the databases. is_attached: whether the connection
    of the sink has them. Raises sqlite3.Error.
    """

    def __init__(self, tables: t.Mapping[str, t.Sequence[str]], paths: t.Sequence[str] = ()) -> None:
        self.tables = dict(tables)
        self.paths = list(paths)
        self._uris = self.paths or ["file:log-archive-%d?mode=memory&cache=shared" % next(_numbers) for _each in range(TURNS)]
        self._connections: t.List[sqlite3.Connection] = []
        self.schemas = ["%s%d" % ("helper" if paths else "staging", number) for number in range(TURNS)]
        self.is_attached = False
        self._turn = 0

    def turn(self) -> int:
        """Begin with the next batch; returns the number of its turn. The last batch with this number is stored, or is never stored."""
        self._turn = (self._turn + 1) % TURNS
        return self._turn

    def _open(self, uri: str) -> sqlite3.Connection:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        for name in ("journal_mode=OFF", "synchronous=OFF", "secure_delete=OFF"):
            connection.execute("PRAGMA %s" % name).fetchall()
        for name, columns in self.tables.items():
            connection.execute("CREATE TABLE %s (%s)" % (name, ", ".join(columns)))
        return connection

    def open(self) -> None:
        """Create the tables."""
        if not self._connections:
            self._connections = [self._open(uri) for uri in self._uris]

    def fill(self, turn: int, table: str, rows: Rows) -> Staged:
        """Put rows of a batch into a staging table.

        Raises OverflowError, UnicodeEncodeError or sqlite3.DataError for a value that SQLite cannot hold.
        """
        self.open()
        connection = self._connections[turn]
        connection.execute("BEGIN")
        try:
            connection.execute("DELETE FROM %s" % table)
            for statement, values in inserts(table, self.tables[table], rows):
                connection.execute(statement, values)
        finally:
            connection.execute("COMMIT")
        return Staged(table, self.schemas[turn], len(rows))

    def attach(self, connection: sqlite3.Connection) -> None:
        """Make the tables known to the connection of the sink, which is in no transaction. Files have no name from then on."""
        if self.is_attached:
            return
        known = {row[1] for row in connection.execute("PRAGMA database_list")}
        for schema, uri in zip(self.schemas, self._uris):
            if schema in known:
                connection.execute("DETACH %s" % schema)
            connection.execute("ATTACH ? AS %s" % schema, (uri,))
        self.is_attached = True
        self.remove()

    def remove(self) -> None:
        """Remove files and their folder."""
        for path in self.paths:
            with contextlib.suppress(OSError):
                os.unlink(path)
        with contextlib.suppress(OSError):
            if self.paths:
                os.rmdir(os.path.dirname(self.paths[0]))

    def close(self) -> None:
        """Free the memory. The connection that has them attached has to be closed before."""
        for connection in self._connections:
            connection.close()
        self._connections = []
