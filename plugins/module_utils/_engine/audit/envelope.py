# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A log file of CloudTrail, ``{"Records": [...]}``, as lines with one record each.

Each byte keeps its place, so an offset is one of the file as well: brackets and whitespace around records become spaces, and the comma
between two records becomes a newline. Memory does not grow with the file, which may have no newline at all.
"""

from __future__ import annotations

import re
import typing as t

_BEGIN = re.compile(rb'\s*\{\s*"Records"\s*:\s*\[')
LONGEST_BEGIN = 64
"""Bytes at the beginning of a file that show whether it is such a file."""
_OUTSIDE = re.compile(rb'["{}\[\],\r\n]')
_INSIDE = re.compile(rb'["\\]')
_SPACE, _NEWLINE, _QUOTE, _BACKSLASH, _COMMA = 32, 10, 34, 92, 44
_OPEN, _CLOSE = b"{[", b"}]"


def begin_of(data: bytes) -> t.Optional[int]:
    """Where the first record begins; None if this is the beginning of another file. data: the first LONGEST_BEGIN bytes."""
    found = _BEGIN.match(data[:LONGEST_BEGIN])
    return None if found is None else found.end()


class Splitter:
    """Turns the bytes of one file into lines, part by part. begin: where the first record begins (``begin_of``).

    ended: whether the list of records has ended.
    """

    def __init__(self, begin: int) -> None:
        self._begin = begin
        self._depth = 0
        self._in_text = self._escaped = self.ended = False

    def feed(self, data: bytes) -> bytes:
        """The next bytes of the file as lines: as many as were given."""
        lines = bytearray(data)
        at = min(self._begin, len(data))
        lines[:at] = b" " * at
        self._begin -= at
        while at < len(data) and not self.ended:
            at = self._next_in_text(data, at) if self._in_text else self._next_outside(data, lines, at)
        if self.ended:
            # Only the bracket that belongs to the first one may follow; anything else stays, and is not a record.
            lines[at:] = re.sub(rb"[}\s]", b" ", data[at:])
        return bytes(lines)

    def _next_in_text(self, data: bytes, at: int) -> int:
        if self._escaped:
            self._escaped = False
            return at + 1
        found = _INSIDE.search(data, at)
        if found is None:
            return len(data)
        if data[found.start()] == _BACKSLASH:
            self._escaped = True
        else:
            self._in_text = False
        return found.end()

    def _next_outside(self, data: bytes, lines: bytearray, at: int) -> int:
        found = _OUTSIDE.search(data, at)
        if found is None:
            return len(data)
        place = found.start()
        byte = data[place]
        if byte == _QUOTE:
            self._in_text = True
        elif byte in _OPEN:
            self._depth += 1
        elif byte in _CLOSE:
            self._depth -= 1
            if self._depth < 0:
                self.ended = True
                lines[place] = _NEWLINE
        elif byte != _COMMA:
            lines[place] = _SPACE
        elif not self._depth:
            lines[place] = _NEWLINE
        return found.end()
