# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The usual lines of SFTPGo's log to rows, several times faster than by way of dictionaries.

msgspec decodes a line into a typed object; what follows is done for a whole column of many lines at once. Whatever is not as usual (a new
field, another type, a text that is too long, an escape, a bad time) is left to ``SftpgoParser``, so that the rules are in one place.
"""

from __future__ import annotations

import itertools
import operator
import typing as t

from ...base.libraries import optional
from .address import split_address
from .decode import ESCAPED
from .refused import Refused
from .sftpgo import ABSENT, CLASSES
from .tables import APPLICATION, BOOLEAN, DERIVED_IP, DERIVED_PORT, INTEGER, JSON, NAME, TIME_COLUMNS, Table

if t.TYPE_CHECKING:
    from .times import ColumnParser

    Row = t.Tuple[t.Any, ...]
    Line = t.Tuple[int, bytes]
    FastParser = t.Callable[[t.Iterable[Line]], t.Tuple[t.Dict[str, t.List[Row]], t.List[Line]]]

MOST_ADDRESSES = 1000
"""Addresses that are remembered: the lines of a session have the same one."""
MOST_ADDRESS = 64
"""Characters of an address without its port."""
_SENDER = b'"sender":"'
_FIRST_BYTES = 200
"""Where the sender of a usual line is."""


def fast_parser(time_field: str, times: ColumnParser) -> t.Optional[FastParser]:
    """A function that takes lines with their offsets; None if there is none.

    It returns rows by table, each beginning with the offset of its line, and the lines of which ``SftpgoParser`` must decide.
    """
    if not time_field.isidentifier() or any(time_field == column.field for table, _mark in CLASSES.values() for column in table.columns):
        return None
    with optional("msgspec"):
        import msgspec

        return _with_msgspec(msgspec, time_field, times)
    return None


def _with_msgspec(msgspec: t.Any, time_field: str, times: ColumnParser) -> FastParser:
    errors = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
    kinds = {table.name: _Kind(msgspec, table, mark, time_field, times) for table, mark in [*CLASSES.values(), (APPLICATION, "")]}
    senders = {sender.encode(): (sender, kinds[table.name]) for sender, (table, _mark) in CLASSES.items()}
    other = ("", kinds[APPLICATION.name])

    def parse(lines: t.Iterable[Line]) -> t.Tuple[t.Dict[str, t.List[Row]], t.List[Line]]:
        rest: t.List[Line] = []
        for kind in kinds.values():
            kind.lines, kind.objects = [], []
        for pair in lines:
            line = pair[1]
            start = line.find(_SENDER, 0, _FIRST_BYTES) + len(_SENDER)
            if start < len(_SENDER) or (b"\\u" in line and ESCAPED.search(line)):
                rest.append(pair)
                continue
            sender, kind = senders.get(line[start : line.find(b'"', start)], other)
            try:
                found = kind.decode(line)
            except errors:
                rest.append(pair)
                continue
            # What was found may not be the sender of the line, but a part of another value.
            if found.sender != sender if sender else found.sender in CLASSES:
                rest.append(pair)
            else:
                kind.lines.append(pair)
                kind.objects.append(found)
        rows: t.Dict[str, t.List[Row]] = {}
        for kind in kinds.values():
            if kind.lines:
                try:
                    rows[kind.name] = kind.rows()
                except (Refused, _Unusual):
                    rest += kind.lines
            kind.lines, kind.objects = [], []
        return rows, sorted(rest)

    return parse


class _Unusual(Exception):
    """One of the lines is not as usual."""


class _Addresses(t.Dict[t.Optional[str], t.Tuple[t.Optional[str], t.Optional[int]]]):
    """Addresses by their text. Raises _Unusual for one that is too long."""

    def __missing__(self, text: t.Optional[str]) -> t.Tuple[t.Optional[str], t.Optional[int]]:
        if text is None:
            return (None, None)
        found = split_address(text)
        if len(found[0] or "") > MOST_ADDRESS:
            raise _Unusual
        if len(self) > MOST_ADDRESSES:
            self.clear()
        self[text] = found
        return found


class _Kind:
    """The lines of one table. lines, objects: those of this call. mark: a field that the lines have."""

    def __init__(self, msgspec: t.Any, table: Table, mark: str, time_field: str, times: ColumnParser) -> None:
        integer = t.Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
        columns = table.columns[len(TIME_COLUMNS) : -1]
        fields: t.List[t.Any] = [(time_field, str), ("sender", str)]
        self._has_address = any(column.field == DERIVED_IP for column in columns)
        if self._has_address:
            fields.append(("remote_addr", t.Optional[str], None))
        # Where the columns of a row come from: the time in UTC, nothing (extra fields), address, port, and the fields of the object.
        places = [0, 4]
        self._booleans: t.List[int] = []
        for column in columns:
            if column.field in (DERIVED_IP, DERIVED_PORT):
                places.append(2 if column.field == DERIVED_IP else 3)
                continue
            if column.field == "sender":
                fields[1] = ("sender", t.Annotated[str, msgspec.Meta(max_length=column.length)])
                places.append(5)
                continue
            kind: t.Any = {INTEGER: integer, BOOLEAN: bool}.get(column.kind, str)
            if column.kind == NAME:
                kind = t.Annotated[str, msgspec.Meta(max_length=column.length)]
            if column.kind == BOOLEAN:
                self._booleans.append(len(fields))
            places.append(4 + len(fields))
            fields.append((column.field, kind) if column.field == mark else (column.field, t.Optional[kind], None))
        if len({field[0] for field in fields}) != len(fields) or table.columns[-1].kind != JSON:
            raise AssertionError(table.name)
        made = msgspec.defstruct(table.name, fields, forbid_unknown_fields=True, kw_only=True, gc=False)
        self.name = table.name
        self.decode: t.Callable[[bytes], t.Any] = msgspec.json.Decoder(made).decode
        self.lines: t.List[Line] = []
        self.objects: t.List[t.Any] = []
        self._astuple = msgspec.structs.astuple
        self._pick = operator.itemgetter(*places, 1)
        self._absent = ABSENT.get(table.name, ())
        self._times = times
        self._addresses = _Addresses()

    def rows(self) -> t.List[Row]:
        """The rows of the lines. Raises Refused or _Unusual if one of them is not as usual."""
        columns: t.List[t.Sequence[t.Any]] = list(zip(*map(self._astuple, self.objects)))
        for place in self._booleans:
            columns[place] = [None if value is None else int(value) for value in columns[place]]
        if self._absent:
            absent = self._absent
            columns[1:] = [[None if value in absent else value for value in column] for column in columns[1:]]
        nothing = itertools.repeat(None)
        hosts: t.Iterable[t.Optional[str]] = nothing
        ports: t.Iterable[t.Optional[int]] = nothing
        if self._has_address:
            addresses = self._addresses
            found = [addresses[text] for text in columns[2]]
            hosts, ports = zip(*found)
        # In the order of ``places``.
        parts = (self._times(columns[0]), nothing, hosts, ports, *columns)
        return list(zip((offset for offset, _line in self.lines), *self._pick(parts)))
