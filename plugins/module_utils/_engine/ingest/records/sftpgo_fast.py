# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The usual lines of SFTPGo's log to rows, several times faster than by way of dictionaries.

msgspec decodes a line into a typed object; what follows is done for a whole column of many lines at once. Whatever is not as usual (a new
field, another type, a text that is too long, an escape, a bad time) is left to ``SftpgoParser``, so that the rules are in one place.
"""

from __future__ import annotations

import operator
import typing as t

from ...base.libraries import optional
from .address import split_address
from .decode import ESCAPED
from .refused import Refused
from .sftpgo import ABSENT, CLASSES
from .tables import APPLICATION, BOOLEAN, DERIVED_IP, DERIVED_PORT, INTEGER, JSON, NAME, PROFILES, TIME_COLUMNS, Columns, Table

if t.TYPE_CHECKING:
    from .times import ColumnParser

    Line = t.Tuple[int, bytes]
    FastParser = t.Callable[[t.Iterable[Line]], t.Tuple[t.Dict[str, Columns], t.List[Line]]]

MOST_ADDRESSES = 1000
"""Addresses that are remembered: the lines of a session have the same one."""
MOST_ADDRESS = 64
"""Characters of an address without its port."""
_ADDRESS = "remote_addr"
_SENDER = b'"sender":"'
_FIRST_BYTES = 200
"""Where the sender of a usual line is."""
_AT = slice(59, 79)
"""Where it is in a line as SFTPGo writes it, behind the level and the time."""
_BACKSLASH = 0x5C
MOST_BEGINNINGS = 1000
"""Bytes at ``_AT`` that are remembered."""


def fast_parser(time_field: str, times: ColumnParser) -> t.Optional[FastParser]:
    """A function that takes lines with their offsets; None if there is none.

    It returns rows by table, each beginning with the offset of its line, and the lines that are left to ``SftpgoParser``.
    """
    taken = {column.field for table in PROFILES["sftpgo"] for column in table.columns}
    if not time_field.isidentifier() or time_field in taken or time_field in ("sender", _ADDRESS):
        return None
    with optional("msgspec"):
        import msgspec

        return _with_msgspec(msgspec, time_field, times)
    return None


def _with_msgspec(msgspec: t.Any, time_field: str, times: ColumnParser) -> FastParser:
    kinds = {
        table.name: _Kind(msgspec, table, mark, tuple(sender for sender in CLASSES if CLASSES[sender][0] is table), time_field, times)
        for table, mark in [*CLASSES.values(), (APPLICATION, "")]
    }
    senders = {sender.encode(): kinds[table.name] for sender, (table, _mark) in CLASSES.items()}
    other = kinds[APPLICATION.name]
    known: t.Dict[bytes, t.Callable[[Line], None]] = {}

    def locate(line: bytes) -> t.Optional[t.Callable[[Line], None]]:
        """What adds a line to those of the kind that it seems to be. It is decoded as that, so a mistake costs time and nothing else."""
        start = line.find(_SENDER, 0, _FIRST_BYTES) + len(_SENDER)
        if start < len(_SENDER):
            return None
        end = line.find(b'"', start)
        add = senders.get(line[start:end], other).lines.append
        if _AT.start <= start and end < _AT.stop:
            if len(known) >= MOST_BEGINNINGS:
                known.clear()
            known[line[_AT]] = add
        return add

    def parse(lines: t.Iterable[Line]) -> t.Tuple[t.Dict[str, Columns], t.List[Line]]:
        rest: t.List[Line] = []
        for kind in kinds.values():
            kind.lines.clear()
        for pair in lines:
            line = pair[1]
            add = known.get(line[_AT]) or locate(line)
            # A byte is found in a line several times faster than bytes are.
            if add is None or (_BACKSLASH in line and ESCAPED.search(line)):
                rest.append(pair)
            else:
                add(pair)
        rows: t.Dict[str, Columns] = {}
        for kind in kinds.values():
            found = kind.rows(rest)
            if found is not None:
                rows[kind.name] = found
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
        if len(found[0]) > MOST_ADDRESS or (text and not found[0]):
            raise _Unusual
        if len(self) > MOST_ADDRESSES:
            self.clear()
        self[text] = found
        return found


class _Kind:
    """The lines of one table. lines: those of this call.

    mark: a field that the lines have. senders: theirs; empty if they have any but those of the other kinds.
    """

    def __init__(self, msgspec: t.Any, table: Table, mark: str, senders: t.Tuple[str, ...], time_field: str, times: ColumnParser) -> None:
        types = {INTEGER: t.Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)], BOOLEAN: bool}
        columns = table.columns[len(TIME_COLUMNS) : -1]
        # In the order in which SFTPGo writes them: msgspec looks for the next one first.
        fields: t.Dict[str, t.Any] = dict.fromkeys((columns[0].field, time_field, "sender"))
        fields[time_field] = str
        # What was found in a line as its sender may have been a part of another value.
        fields["sender"] = t.Literal[senders] if senders else None
        for column in columns:
            if column.field == DERIVED_IP:
                fields[_ADDRESS] = t.Optional[str]
            elif column.field != DERIVED_PORT and not fields.get(column.field):
                kind: t.Any = types.get(column.kind, str)
                if column.kind == NAME:
                    kind = t.Annotated[str, msgspec.Meta(max_length=column.length)]
                fields[column.field] = kind if column.field in ("sender", mark) else t.Optional[kind]
        if table.columns[-1].kind != JSON:
            raise AssertionError(table.name)
        definition = [(name, kind) if name in (time_field, "sender", mark) else (name, kind, None) for name, kind in fields.items()]
        made = msgspec.defstruct(table.name, definition, forbid_unknown_fields=True, kw_only=True, gc=False)
        # Where the columns of the table come from: those of the object, or what is made of them.
        places = {name: place for place, name in enumerate(fields)}
        made_of = {DERIVED_IP: -3, DERIVED_PORT: -2}
        self.name = table.name
        self.lines: t.List[Line] = []
        self._any_sender = not senders
        self._decode: t.Callable[[bytes], t.Any] = msgspec.json.Decoder(made).decode
        self._errors = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
        self._astuple = msgspec.structs.astuple
        self._time, self._sender, self._address = places[time_field], places["sender"], places.get(_ADDRESS)
        self._pick = operator.itemgetter(-4, self._time, *(made_of.get(c.field) or places[c.field] for c in columns), -1)
        self._booleans = [places[column.field] for column in columns if column.kind == BOOLEAN]
        numbers = {column.field for column in columns if column.kind == INTEGER}
        # The time and the sender always are values.
        self._absent = [
            (place, value)
            for value in ABSENT.get(table.name, ())
            for name, place in places.items()
            if name not in (time_field, "sender") and isinstance(value, int) is (name in numbers)
        ]
        self._times = times
        self._addresses = _Addresses()

    def rows(self, rest: t.List[Line]) -> t.Optional[Columns]:
        """The rows of the lines; None if there are none. Lines that are not as usual are added to ``rest``."""
        lines = self.lines
        if not lines:
            return None
        offsets, texts = zip(*lines)
        try:
            # An object that is dropped at once is still in the cache of the processor.
            columns = list(zip(*map(self._astuple, map(self._decode, texts))))
            usual = not self._any_sender or CLASSES.keys().isdisjoint(columns[self._sender])
        except self._errors:
            usual = False
        if not usual:
            lines, objects = self._usual(rest)
            if not lines:
                return None
            offsets, texts = zip(*lines)
            columns = list(zip(*map(self._astuple, objects)))
        try:
            return Columns((offsets, *self._columns(columns)))
        except (Refused, _Unusual):
            rest += lines
            return None

    def _usual(self, rest: t.List[Line]) -> t.Tuple[t.List[Line], t.List[t.Any]]:
        """The lines that are as usual, and the objects that they are. The others are added to ``rest``."""
        lines, objects = [], []
        for pair in self.lines:
            try:
                found = self._decode(pair[1])
            except self._errors:
                rest.append(pair)
                continue
            if self._any_sender and found.sender in CLASSES:
                rest.append(pair)
            else:
                lines.append(pair)
                objects.append(found)
        return lines, objects

    def _columns(self, found: t.Iterable[t.Sequence[t.Any]]) -> t.Sequence[t.Sequence[t.Any]]:
        """The columns of the table but for the offsets, of those of the objects. Raises Refused or _Unusual if a line is not as usual."""
        columns = list(found)
        for place in self._booleans:
            columns[place] = [None if value is None else int(value) for value in columns[place]]
        nothing = (None,) * len(columns[0])
        for place, absent in self._absent:
            column = columns[place]
            count = column.count(absent)
            if count:
                columns[place] = nothing if count == len(column) else [None if value == absent else value for value in column]
        hosts: t.Sequence[t.Optional[str]] = nothing
        ports: t.Sequence[t.Optional[int]] = nothing
        if self._address is not None:
            addresses = self._addresses
            hosts, ports = zip(*[addresses[text] for text in columns[self._address]])
        return t.cast("t.Sequence[t.Sequence[t.Any]]", self._pick((*columns, self._times(columns[self._time]), hosts, ports, nothing)))
