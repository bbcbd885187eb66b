# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The outbox: documents that the server does not have yet, in the order of their lines; and the indices that were created."""

from __future__ import annotations

import time
import typing as t

if t.TYPE_CHECKING:
    from .documents import Document

_SCHEMA = (
    # AUTOINCREMENT: another follower may remove and add documents while a request is on its way, and no id may mean two documents.
    "CREATE TABLE IF NOT EXISTS search_outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, generation INTEGER NOT NULL,"
    " line_offset INTEGER NOT NULL, index_name TEXT NOT NULL, document_id TEXT NOT NULL, source TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS search_index (name TEXT PRIMARY KEY, created_at REAL NOT NULL)",
)
_INSERT = "INSERT INTO search_outbox (generation, line_offset, index_name, document_id, source) VALUES (?, ?, ?, ?, ?)"


class Waiting(t.NamedTuple):
    """A document in the outbox."""

    id: int
    generation: int
    offset: int
    index_name: str
    doc_id: str
    source: str


class Outbox:
    """The tables. query, change, change_many: execute a statement; the last one with several rows of values."""

    def __init__(
        self,
        query: t.Callable[..., t.List[t.Sequence[t.Any]]],
        change: t.Callable[..., int],
        change_many: t.Callable[[str, t.Sequence[t.Sequence[t.Any]]], None],
        create: bool,
    ) -> None:
        self._query = query
        self._change = change
        self._change_many = change_many
        self.count = self.size = 0
        self.indices: t.Dict[str, float] = {}
        if create:
            for statement in _SCHEMA:
                change(statement)
        if create or query("SELECT 1 FROM sqlite_master WHERE name = 'search_outbox'"):
            self.measure()
            self.indices.update((row[0], row[1]) for row in query("SELECT name, created_at FROM search_index"))

    def measure(self) -> None:
        """Count the documents and the characters that wait."""
        row = self._query("SELECT COUNT(*), COALESCE(SUM(LENGTH(source)), 0) FROM search_outbox")[0]
        self.count, self.size = int(row[0]), int(row[1])

    def add(self, generation: int, documents: t.Sequence[Document]) -> None:
        """Append documents."""
        self._change_many(_INSERT, [(generation, *document) for document in documents])
        self.count += len(documents)
        self.size += sum(len(document.source) for document in documents)

    def oldest(self, count: int, size: int, without: t.Collection[str]) -> t.List[Waiting]:
        """The oldest documents, at most ``count`` and about ``size`` characters, without those of some indices."""
        places = ", ".join("?" * len(without))
        statement = "SELECT id, generation, line_offset, index_name, document_id, source FROM search_outbox%s ORDER BY id LIMIT ?" % (
            " WHERE index_name NOT IN (%s)" % places if without else ""
        )
        found: t.List[Waiting] = []
        total = 0
        for row in self._query(statement, (*without, count)):
            total += len(row[5])
            if found and total > size:
                break
            found.append(Waiting(*row))
        return found

    def remove(self, documents: t.Sequence[Waiting]) -> None:
        """Remove documents that need not be sent any more."""
        self._change_many("DELETE FROM search_outbox WHERE id = ?", [(document.id,) for document in documents])
        self.count -= len(documents)
        self.size -= sum(len(document.source) for document in documents)

    def remember(self, index: str) -> None:
        """Record that an index was created: from now on it must exist."""
        now = time.time()
        self._change("INSERT OR IGNORE INTO search_index (name, created_at) VALUES (?, ?)", (index, now))
        self.indices[index] = now
