# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Search the lines of the logs in an archive, as a stream: nothing is written anywhere."""

from __future__ import annotations

import collections
import itertools
import time
import typing as t

from ..base.errors import ConfigError, SourceError
from ..base.progress import Advance
from . import compressed
from .patterns import LinePattern, Wanted
from .reading import Stored, contents, refuse_cut, stored_part

if t.TYPE_CHECKING:
    from ..base import sparse
    from ..crypto.envelope import Envelope

LONGEST_LINE = 1 << 20
"""Bytes. A longer line is searched in parts of at least as many bytes, each by itself."""
MOST_SHOWN = 4096
"""Bytes of a line that are returned. Of a longer one it is a part with the first match."""
MOST_CONTEXT = 100
"""Lines of context before and after a match."""


class Line(t.NamedTuple):
    """A line of a log. number: from 1. matched: whether it has a match; else it is context. cut: ``text`` is a part of the line."""

    number: int
    text: bytes
    matched: bool = True
    cut: bool = False


class Hits(t.NamedTuple):
    """What was found in a part of one log. name: of the log in the archive. matched: how many lines match. lines: those, and their context;
    none if they are only counted. error: why the log was not searched to its end, or not inside.
    """

    name: str
    matched: int
    lines: t.Sequence[Line] = ()
    error: t.Optional[SourceError] = None


def check(wanted: Wanted) -> LinePattern:
    """The pattern of a search, compiled. Raises ConfigError for a search that cannot be made."""
    if not 0 <= wanted.context <= MOST_CONTEXT:
        raise ConfigError("the context is %d lines; it must be 0 to %d" % (wanted.context, MOST_CONTEXT))
    if wanted.most is not None and wanted.most < 1:
        raise ConfigError("the maximum is %d lines; it must be at least 1" % wanted.most)
    return LinePattern(wanted)


def search(
    stream: t.BinaryIO,
    envelope: Envelope,
    subject: str,
    pattern: LinePattern,
    wanted: Wanted,
    progress: t.Optional[Advance] = None,
    content: t.Optional[str] = None,
) -> t.Iterator[Hits]:
    """Search one archive, in bounded memory, and yield what is found, log by log.

    stream: the archive, seekable. It must be private, and ``envelope.authenticate`` must have accepted it: what is yielded has no other
    proof until the iterator ends. subject: how errors name the archive. pattern, wanted: see ``check``. progress: called with the number
    of bytes of logs that were searched since the last call. content: see ``reading.contents``.
    A compressed log (see ``compressed``) is searched inside. In one with holes, a NUL byte stands for each hole.
    Raises IntegrityError for an archive that is damaged or hostile, ConfigError for a pattern that takes too long.
    """
    stream.seek(0)
    with contents(stream, envelope, subject, content) as inside, pattern.bounded(subject) as bounded:
        for member in inside.members():
            stored = stored_part(member)
            read = _Content(inside.pieces(stored.size), progress)
            yield from _search_member(member.name, read, stored, _Lines(pattern, wanted, bounded))
            refuse_cut(member, read.read_to_end(), stored, subject)
            if progress is not None and stored.data is not None:
                progress(member.size - stored.size)
        # The signature and the checksum of gzip are at the very end.
        inside.finish()


class _Content:
    """The bytes that the tar has of a member, in pieces."""

    def __init__(self, pieces: t.Iterator[memoryview], progress: t.Optional[Advance]) -> None:
        self._pieces = pieces
        self._progress = progress
        self._read = 0

    def __iter__(self) -> t.Iterator[bytes]:
        for piece in self._pieces:
            self._read += len(piece)
            yield bytes(piece)
            if self._progress is not None:
                self._progress(len(piece))

    def read_to_end(self) -> int:
        """Read what is left. Returns the number of all bytes of the member."""
        for _piece in self:
            pass
        return self._read


def _search_member(name: str, content: _Content, stored: Stored, lines: _Lines) -> t.Iterator[Hits]:
    pieces = iter(content) if stored.data is None else _with_holes(content, stored.data)
    beginning = b""
    for piece in pieces:
        beginning += piece
        if len(beginning) >= compressed.LONGEST_MAGIC:
            break
    try:
        with compressed.content(itertools.chain([beginning], pieces), beginning, stored.size, name) as uncompressed:
            for piece in uncompressed:
                lines.feed(piece)
                yield from lines.taken(name)
    except SourceError as error:
        lines.finish()
        yield from lines.taken(name)
        yield Hits(name, 0, (), error)
    else:
        lines.finish()
        yield from lines.taken(name)


def _with_holes(content: t.Iterable[bytes], data: sparse.Data) -> t.Iterator[bytes]:
    """The data of a sparse file, with one NUL byte for each hole."""
    pieces = iter(content)
    piece = b""
    end = 0
    for offset, length in data:
        if offset > end:
            yield b"\0"
        end = offset + length
        while length:
            piece = piece or next(pieces, b"")
            if not piece:
                return
            yield piece[:length]
            length, piece = length - len(piece[:length]), piece[length:]


class _Lines:
    """The lines of one log. Those that match are kept, with their context, until they are taken. bounded: see ``LinePattern.bounded``."""

    def __init__(self, pattern: LinePattern, wanted: Wanted, bounded: t.Callable[[bool], None]) -> None:
        self._pattern = pattern
        self._only_count = wanted.only_count
        self._context = 0 if wanted.only_count else wanted.context
        self._bounded = bounded
        self._parts: t.List[bytes] = []
        """The beginning of a line of which the end has not come."""
        self._size = 0
        self._number = 1
        """Of the line with which the next block begins."""
        self._within = self._matched = False
        """Whether the next block begins within a long line, and whether that has matched."""
        self._before: t.Deque[Line] = collections.deque(maxlen=self._context)
        """The last lines before the next block."""
        self._owed = 0
        """How many lines of context after the last match are still to come."""
        self._last = 0
        """Number of the last line that was kept."""
        self._kept: t.List[Line] = []
        self._count = 0

    def taken(self, name: str) -> t.Iterator[Hits]:
        """What was found since the last call. name: of the log."""
        if self._count or self._kept:
            yield Hits(name, self._count, self._kept)
            self._count, self._kept = 0, []

    def feed(self, data: bytes) -> None:
        """Search the next bytes of the log."""
        end = data.rfind(b"\n") + 1
        if end:
            self._search(b"".join([*self._parts, data[:end]]))
            self._parts, self._size, data = [], 0, data[end:]
        if data:
            self._parts.append(data)
            self._size += len(data)
            if self._size >= LONGEST_LINE:
                self.finish()

    def finish(self) -> None:
        """Search what is left: the last line has no end, or a part of a long line is large enough."""
        if self._parts:
            self._search(b"".join(self._parts))
            self._parts, self._size = [], 0

    def _search(self, block: bytes) -> None:
        """Search whole lines, or a part of a long one."""
        find = self._pattern.finder(block)
        position = counted = 0
        stop = -1
        # Where the lines begin that may be context.
        low = (block.find(b"\n") + 1 or len(block)) if self._within else 0
        self._bounded(True)
        try:
            while position <= len(block):
                match = find(position)
                if match is None:
                    break
                start = block.rfind(b"\n", 0, match[0]) + 1
                if start == len(block):
                    break  # After the end of the last line.
                stop = block.find(b"\n", match[1])
                stop = len(block) if stop < 0 else stop
                position = stop + 1
                if start == 0 and self._matched:
                    continue
                self._count += 1
                if self._only_count:
                    continue
                self._number += _ends(block[counted:start])
                counted = start
                if self._context:
                    self._keep_context(block, low, start)
                    low = position
                self._keep(_line(self._number, block[start:stop], match[0] - start))
        finally:
            self._bounded(False)
        time.sleep(0)  # The threads that decrypt and inflate wait for the interpreter: up to 5 ms, unless it is let go.
        if not self._only_count:
            self._number += _ends(block[counted:])
        self._matched = not block.endswith(b"\n") and (stop == len(block) or (self._matched and b"\n" not in block))
        self._within = not block.endswith(b"\n")
        if self._context:
            low = self._follow(block, low, len(block))
            self._before.extend(self._lines_before(block, low, len(block), self._number + self._within))

    def _keep(self, line: Line) -> None:
        self._kept.append(line)
        self._last = line.number

    def _keep_context(self, block: bytes, low: int, start: int) -> None:
        """Keep the lines after the last match, and those before the match in the line that begins at ``start``."""
        low = self._follow(block, low, start)
        lines = self._lines_before(block, low, start, self._number)
        older = [line for line in self._before if line.number > self._last]
        for line in [*older, *lines][-self._context :]:
            self._keep(line)
        self._owed = self._context

    def _follow(self, block: bytes, low: int, high: int) -> int:
        """Keep the lines from ``low`` on that the last match still needs. Returns where the others begin."""
        while self._owed and low < high:
            stop = block.find(b"\n", low, high)
            stop = high if stop < 0 else stop + 1
            self._keep(_line(self._last + 1, block[low:stop]))
            self._owed -= 1
            low = stop
        return low

    def _lines_before(self, block: bytes, low: int, end: int, number: int) -> t.List[Line]:
        """The last lines between the positions ``low`` and ``end``, as many as the context has. number: of the line after them."""
        lines: t.List[Line] = []
        while len(lines) < self._context and end > low:
            begin = max(low, block.rfind(b"\n", low, end - 1) + 1)
            lines.append(_line(number - 1 - len(lines), block[begin:end]))
            end = begin
        return lines[::-1]


def _ends(lines: bytes) -> int:
    """How many ends of lines there are. Python removes them faster than it counts them."""
    return len(lines) - len(lines.replace(b"\n", b""))


def _line(number: int, text: bytes, match: t.Optional[int] = None) -> Line:
    """A line as it is returned. match: where in it the first match begins; None if it is context."""
    text = text[:-1] if text.endswith(b"\n") else text
    text = text[:-1] if text.endswith(b"\r") else text
    if len(text) <= MOST_SHOWN:
        return Line(number, text, match is not None)
    begin = max(0, min((match or 0) - MOST_SHOWN // 4, len(text) - MOST_SHOWN))
    return Line(number, text[begin : begin + MOST_SHOWN], match is not None, True)
