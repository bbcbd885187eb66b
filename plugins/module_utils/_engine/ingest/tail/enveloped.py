# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The content of a file that may be one JSON object with a list of records, as lines with one record each (``audit.envelope``)."""

from __future__ import annotations

import typing as t

from ...audit.envelope import LONGEST_BEGIN, Splitter, begin_of
from .content import BLOCK, KEPT, Recent

if t.TYPE_CHECKING:
    import os

    from .content import Content

KEPT_OF_PLAIN = 12 << 20
"""Bytes of a plain file that can be read again without starting over: what is before a batch is looked at once more behind the batch,
and two processes read two batches of ``reading.TURN_SIZE``."""


class EnvelopedContent:
    """The lines of another content, with the same offsets. A file with one record a line is as it is."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._splitter: t.Optional[Splitter] = None
        self._is_as_it_is = False
        # The last bytes as they are in the file, and as lines.
        self._raw, self._lines = self._nothing(), self._nothing()

    def _nothing(self) -> Recent:
        return Recent(KEPT if self.compressed else KEPT_OF_PLAIN)

    @property
    def compressed(self) -> bool:
        """Whether it does not grow."""
        return self._content.compressed

    def size(self) -> int:
        """The size now, in bytes. Raises DamagedError."""
        return self._content.size()

    def read(self, offset: int, count: int) -> bytes:
        """Up to ``count`` bytes; less only at the end."""
        if offset < self._lines.begin or self._changed(offset, count):
            self._splitter = None
        if self._splitter is None:
            begin = None if self._is_as_it_is else begin_of(self._content.read(0, LONGEST_BEGIN))
            if begin is None:
                # A plain file can become another one. To go back to the beginning of a compressed one is to decompress it again.
                self._is_as_it_is = self.compressed
                return self._content.read(offset, count)
            self._splitter, self._raw, self._lines = Splitter(begin), self._nothing(), self._nothing()
        while self._lines.end < offset + count:
            data = self._content.read(self._lines.end, min(BLOCK, offset + count - self._lines.end))
            if not data:
                break
            if not self._content.compressed:
                self._raw.add(data, offset)
            self._lines.add(self._splitter.feed(data), offset)
        return self._lines.read(offset, count)

    def _changed(self, offset: int, count: int) -> bool:
        """Whether what was read before is another content now: a plain file can be overwritten."""
        if self._splitter is None or self._content.compressed or offset >= self._raw.end:
            return False
        count = min(count, self._raw.end - offset)
        return self._content.read(offset, count) != self._raw.read(offset, count)

    def next_data(self, offset: int) -> int:
        """The first offset from this one on that is not inside a hole."""
        return self._content.next_data(offset)

    def status(self) -> os.stat_result:
        """The status of the open file."""
        return self._content.status()

    def release(self) -> None:
        """Forget what is kept of it in memory."""
        self._splitter, self._raw, self._lines = None, self._nothing(), self._nothing()
        self._content.release()

    def close(self) -> None:
        """Close the file."""
        self._content.close()
