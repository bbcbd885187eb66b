# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows as documents: their index, their JSON, and the templates with the mapping of each field."""

from __future__ import annotations

import calendar
import json
import typing as t

from ....base.libraries import optional
from ...records.tables import BOOLEAN, GENERIC, INTEGER, JSON, KIND, NAME, TEXT, TIME, Table

if t.TYPE_CHECKING:
    from ...records.tables import Column

PRIORITY = 200
"""Of the index templates: those that a server has by itself have 100 or 101."""
LONGEST_KEYWORD = 8191
"""Characters of a text that are indexed as a whole: Lucene's limit is 32766 bytes."""
_MAPPINGS: t.Dict[str, t.Dict[str, t.Any]] = {
    INTEGER: {"type": "long"},
    BOOLEAN: {"type": "boolean"},
    NAME: {"type": "keyword"},
    TEXT: {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": LONGEST_KEYWORD}}},
    TIME: {"type": "date"},
    # The fields that the profile does not know are kept, but not indexed: each could have another type in the next document.
    JSON: {"type": "object", "enabled": False},
}
_TIME_FIELDS = {"time_utc": "@timestamp"}


class Document(t.NamedTuple):
    """A document to send. offset: of its line. index_name, id, source: of the document; source is JSON."""

    offset: int
    index_name: str
    id: str
    source: str


class Documents:
    """Makes documents of the rows of one table. prefix: of the names of indices."""

    def __init__(self, prefix: str, table: Table, stream: str, host: str) -> None:
        self._prefix = prefix
        self._kind = kind_of(table)
        self._fixed = {"stream": stream, "host": host}
        names = [column.name for column in table.columns]
        self._kind_at = names.index("kind") if self._kind is None else -1
        self._fields = [(index, _TIME_FIELDS.get(c.name, c.name), c.kind) for index, c in enumerate(table.columns[1:-1], 1)]
        self._encode = _encoder()

    def of_rows(self, public_id: str, rows: t.Iterable[t.Sequence[t.Any]]) -> t.List[Document]:
        """The documents of rows, each beginning with the line's offset. public_id: of their generation."""
        found = []
        for offset, *values in rows:
            moment: str = values[0]
            fields: t.Dict[str, t.Any] = {"@timestamp": "%sT%sZ" % (moment[:10], moment[11:]), **self._fixed}
            for index, name, kind in self._fields:
                value = values[index]
                if value is not None:
                    fields[name] = value if kind is not BOOLEAN else bool(value)
            source = self._encode(fields)
            if values[-1] is not None:
                source = '%s,"extra":%s}' % (source[:-1], values[-1])
            kind = self._kind or values[self._kind_at]
            found.append(Document(offset, index_of(self._prefix, kind, moment), "%s-%d" % (public_id, offset), source))
        return found


def prefix_of(given: t.Optional[str], stream: str) -> str:
    """How the names of indices begin."""
    return given or stream.lower()


def kind_of(table: Table) -> t.Optional[str]:
    """The kind of all rows of a table, which is a part of the index's name; None if each row has its own."""
    if any(column.field == KIND for column in table.columns):
        return None
    return table.name.partition("_")[2]


def kinds_of(table: Table) -> t.Sequence[str]:
    """The kinds that rows of a table can have."""
    kind = kind_of(table)
    return ("data", "error") if kind is None else (kind,)


def index_of(prefix: str, kind: str, moment: str) -> str:
    """The index of a row by its own month, never by now: an id is unique within one index only. moment: "2021-04-17 ..." in UTC."""
    return "%s-%s-%s.%s" % (prefix, kind, moment[:4], moment[5:7])


def end_of_month(index: str) -> int:
    """When the month of an index ends, in Unix seconds."""
    year, month = int(index[-7:-3]), int(index[-2:])
    return calendar.timegm((year + month // 12, month % 12 + 1, 1, 0, 0, 0))


def templates(prefix: str, tables: t.Iterable[Table], settings: t.Mapping[str, t.Any]) -> t.Dict[str, t.Dict[str, t.Any]]:
    """The index templates by name. settings: of the indices."""
    found = {}
    for table in tables:
        for kind in kinds_of(table):
            name = "%s-%s" % (prefix, kind)
            found[name] = {
                "index_patterns": [name + "-*"],
                "priority": PRIORITY,
                "template": {"settings": dict(settings), "mappings": _mappings(table)},
                "_meta": {"description": "made by log-archive"},
            }
    return found


def _mappings(table: Table) -> t.Dict[str, t.Any]:
    properties = dict.fromkeys(("stream", "host"), _MAPPINGS[NAME])
    properties.update({_TIME_FIELDS.get(column.name, column.name): _mapping(table, column) for column in table.columns})
    mappings: t.Dict[str, t.Any] = {"dynamic": "strict", "date_detection": False, "properties": properties}
    if table is GENERIC:
        text = {"type": "keyword", "ignore_above": LONGEST_KEYWORD}
        mappings["dynamic_templates"] = [{"texts": {"match_mapping_type": "string", "mapping": text}}]
    return mappings


def _mapping(table: Table, column: Column) -> t.Dict[str, t.Any]:
    if column.kind == JSON and table is GENERIC:
        # A line of any log: its fields are what one searches for.
        return {"type": "object", "dynamic": True}
    return _MAPPINGS[column.kind]


def _encoder() -> t.Callable[[t.Any], str]:
    with optional("msgspec"):
        import msgspec

        encode = msgspec.json.Encoder().encode
        return lambda value: encode(value).decode("utf-8")
    return json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
