# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Journal Export Format, which carries any byte: https://systemd.io/JOURNAL_EXPORT_FORMATS/#journal-export-format."""

from __future__ import annotations

import struct
import typing as t

CHUNK = 1 << 16
"""Bytes of a value that are skipped at once."""


MOST_ADDRESS = 4096
"""Bytes of a field of the address that are kept: more than a cursor has."""


class Field(t.NamedTuple):
    """A field of an entry. value: its first bytes; length: of the whole value."""

    name: str
    value: bytes
    length: int


class Entry(t.NamedTuple):
    """An entry. sequence: the id of the numbering of its journal; number: its place in there; realtime: microseconds since 1970."""

    cursor: str
    sequence: str
    number: int
    realtime: int
    fields: t.List[Field]


def entries(stream: t.BinaryIO, most: int, wanted: t.Callable[[str], bool]) -> t.Iterator[Entry]:
    """The entries of a stream in this format, up to its end; an entry that is cut there is left out.

    most: bytes of values that are kept of an entry. wanted: whether a field is kept; those of the address (``__CURSOR``) always are read.
    """
    fields: t.List[Field] = []
    about: t.Dict[str, str] = {}
    room = most
    while True:
        line = stream.readline(CHUNK)
        if not line:
            return
        if line == b"\n":
            entry = _entry(about, fields)
            if entry is not None:
                yield entry
            fields, about, room = [], {}, most
            continue
        # journalctl writes "-- No entries --" in every format.
        if line.startswith(b"--"):
            continue
        name, equals, start = line.partition(b"=")
        text = name.rstrip(b"\n").decode("ascii", "replace")
        keep = MOST_ADDRESS if text.startswith("__") else room if wanted(text) else 0
        value, length = _text(stream, start, keep) if equals else _binary(stream, keep)
        if value is None:
            return
        if text.startswith("__"):
            about[text] = value.decode("ascii", "replace")
        elif wanted(text):
            fields.append(Field(text, value, length))
            room -= len(value)


def _text(stream: t.BinaryIO, start: bytes, most: int) -> t.Tuple[t.Optional[bytes], int]:
    """A value that ends with its line. start: what was read of it."""
    kept, length = start[:most], len(start)
    part = start
    while not part.endswith(b"\n"):
        part = stream.readline(CHUNK)
        if not part:
            return None, 0
        kept += part[: most - len(kept)]
        length += len(part)
    # The line has its newline; a value that was not cut has it, too.
    return kept[: length - 1], length - 1


def _binary(stream: t.BinaryIO, most: int) -> t.Tuple[t.Optional[bytes], int]:
    """A value that follows its length, with a newline behind it."""
    head = stream.read(8)
    if len(head) < 8:
        return None, 0
    (length,) = struct.unpack("<Q", head)
    kept, left = b"", length
    while left:
        part = stream.read(min(CHUNK, left))
        if not part:
            return None, 0
        kept += part[: most - len(kept)]
        left -= len(part)
    return (kept, length) if stream.read(1) else (None, 0)


def _entry(about: t.Mapping[str, str], fields: t.List[Field]) -> t.Optional[Entry]:
    cursor = about.get("__CURSOR", "")
    parts = dict(part.split("=", 1) for part in cursor.split(";") if "=" in part)
    try:
        return Entry(cursor, parts["s"], int(parts["i"], 16), int(about["__REALTIME_TIMESTAMP"]), fields)
    except (KeyError, ValueError):
        # Not an entry of journald's.
        return None
