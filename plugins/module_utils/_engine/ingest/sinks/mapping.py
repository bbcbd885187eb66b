# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows of the profiles' tables as rows of one table that exists already."""

from __future__ import annotations

import typing as t

from ..records.tables import FAILED_LOGIN, HTTP, LOGIN, PROFILES

if t.TYPE_CHECKING:
    from ...config.stream_document import SinkOptions
    from ..records.tables import Table

SENDERS = {LOGIN.name: "login", FAILED_LOGIN.name: "connection_failed", HTTP.name: "httpd"}
"""The sender of the lines of the tables that have no such column."""
OWN = ("host", "line_offset", "row_id", "stream", "table")
"""Values that are not columns of a profile's table: ``row_id`` is a text that no other line has; ``table`` the name of that table."""


def values_of(profile: str) -> t.FrozenSet[str]:
    """What a column can be filled with."""
    return frozenset(OWN).union(column.name for table in PROFILES[profile] for column in table.columns)


class Mapping:
    """Fills the columns of a table. columns: what each column gets (see ``values_of``); a line without such a value gives NULL.

    into, names: the table and its columns for a statement. quote: the character around names, which may be words of SQL ("user").
    """

    def __init__(self, options: SinkOptions, stream: str, host: str, quote: str) -> None:
        columns = options["columns"] or {}
        self.table = options["table"] or ""
        self.columns = tuple(columns)
        self.into = ".".join(_quoted(part, quote) for part in self.table.split("."))
        self.names = tuple(_quoted(name, quote) for name in columns)
        self._values = tuple(columns.values())
        self._fixed = {"stream": stream, "host": host}

    def rows(self, table: Table, public_id: str, rows: t.Iterable[t.Sequence[t.Any]]) -> t.List[t.Tuple[t.Any, ...]]:
        """The rows of a profile's table, each beginning with the line's offset, as rows of this one. public_id: of their generation."""
        fixed: t.Dict[str, t.Any] = {**self._fixed, "table": table.name, "sender": SENDERS.get(table.name)}
        places = {column.name: index for index, column in enumerate(table.columns, 1)}
        places["line_offset"] = 0
        found = []
        for row in rows:
            own = {**fixed, "row_id": "%s-%d" % (public_id, row[0])}
            found.append(tuple(row[places[value]] if value in places else own.get(value) for value in self._values))
        return found


def _quoted(name: str, quote: str) -> str:
    # PostgreSQL finds a name with capitals in lower case, unless it is quoted.
    return quote + name + quote if name == name.lower() else name
