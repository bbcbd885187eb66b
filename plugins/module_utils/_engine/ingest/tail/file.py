# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One followed file: what is known of it between two looks."""

from __future__ import annotations

import typing as t

from ..checkpoint import Gap, Place
from . import fingerprint
from .content import Content, GzipContent, PlainContent
from .enveloped import EnvelopedContent
from .parquet import ParquetContent
from .walk import open_found

if t.TYPE_CHECKING:
    from ..checkpoint import Generation
    from .walk import Found

NEW, WAITING, COPY, READING, DONE = "new", "waiting", "copy", "reading", "done"
"""What a file is: not compared with the generations yet; has no whole line yet, or is compressed and not complete yet; holds only what was
read from another file; is read for its generation; was read to its end after its rotation."""


LONGEST_FIRST_LINE = 16384
"""Bytes of a first line that is remembered."""


class File:
    """A file by device and inode. It stays open while it is read, so that it can be read to its end under any name and without one.

    base: the first offset that is not a zero byte. size: of the content when it was looked at last. seen: the same, at its largest, as long
    as it certainly is the content that is read.
    scanned: the offset of the last line, and up to where it has no newline.
    stuck: the size at which nothing more could be read, -1 if it may be read.
    changed_at, first_at, retry_at: on the tracker's clock; the last is when it has to be identified again though it did not change.
    age: seconds since the file was changed when it was found.
    recognised_at: when its content was compared with that of its generation, in Unix seconds, until that is stored.
    enveloped: its content may be one JSON object with a list of records. first_line: of the content, empty if it is very long.
    has_moved: its generation was stored with another place, and would not be recognised by that one.
    unfinished: a compressed file that is still being written, or damaged. damage: why a compressed file cannot be decompressed to its end.
    """

    def __init__(self, found: Found, now: float, enveloped: bool = False, age: float = 0.0) -> None:
        self.found = found
        self.first_line = b""
        self._enveloped = enveloped
        self.state = NEW
        self.content: t.Optional[Content] = None
        self.generation: t.Optional[Generation] = None
        self.base = self.size = self.seen = 0
        self.scanned = (0, 0)
        self.stuck = -1
        self.missing = self.unfinished = self.has_moved = False
        self.changed = True
        self.first_at = now
        # One call of ``ingest`` does not wait. A time in the future proves nothing: the clock was set, or another host has another one.
        self.changed_at = now - max(0.0, age)
        self.retry_at: t.Optional[float] = None
        self.recognised_at = 0.0
        self.damage = ""

    def look(self, found: t.Optional[Found], now: float) -> None:
        """Note what a walk found under this device and inode; None if it found nothing."""
        self.missing = found is None
        if found is None:
            # Where it lies now is not known, but its owner may still write to it.
            if self.content is not None and not self.content.compressed:
                size = self.content.size()
                self.changed = size != self.size
                self.size = size
        else:
            before = self.found
            self.found = found
            if found.path != before.path and self.generation is not None:
                self.has_moved |= self._is_elsewhere(self.generation)
            self.changed = (found.size, found.mtime_ns) != (before.size, before.mtime_ns)
            if not found.compressed:
                self.size = found.size
        if self.changed:
            self.changed_at = now

    def glance(self, now: float) -> None:
        """Note that a plain file which is being read has grown. All else is left to ``look``."""
        if self.state == READING and self.content is not None and not self.content.compressed:
            size = self.content.size()
            if size > self.size:
                self.size, self.changed_at = size, now

    def open(self) -> Content:
        """The content, open. Raises OSError."""
        if self.content is None:
            fd = open_found(self.found)
            if self.found.path.endswith(".parquet"):
                self.content = ParquetContent(fd)
            else:
                self.content = GzipContent(fd) if self.found.compressed else PlainContent(fd)
            if self._enveloped:
                self.content = EnvelopedContent(self.content)
        return self.content

    def note_first_line(self) -> None:
        """Remember the first line: to read it again from a compressed file would mean to read all of it again."""
        if self.content is not None:
            line, newline, _rest = self.content.read(self.base, LONGEST_FIRST_LINE).partition(b"\n")
            self.first_line = line if newline else b""

    def begin(self, generation: Generation) -> None:
        """The file is this new generation, and is read when its turn comes: many compressed files may wait for that."""
        self.generation, self.state = generation, READING
        if self.content is not None:
            self.content.release()

    def adopt(self, generation: Generation) -> None:
        """The file is this generation, which is read on unless all of it was read."""
        self.has_moved = self._is_elsewhere(generation)
        is_done = generation.closed and self.size == generation.offset
        self.generation, self.state = generation._replace(closed=is_done), DONE if is_done else READING
        if is_done:
            self.close()

    def _is_elsewhere(self, generation: Generation) -> bool:
        """Whether the generation is to be stored with its new place: a live file that lost its end is known by its inode, and a small file
        that was moved and compressed by its folder and name.
        """
        place = generation.place
        if self.found.live and self.found.key != (place.device, place.inode):
            return True
        return generation.offset < fingerprint.WINDOW and self.found.path != place.path

    def moved(self, generation: Generation) -> None:
        """What was read is stored."""
        self.generation, self.stuck = generation, -1
        if self.content is not None and self.content.compressed and not self.unread:
            # It is closed by the next look, and others may be read before.
            self.content.release()

    def close(self) -> None:
        """Close the file if it is open."""
        if self.content is not None:
            self.content.close()
            self.content = None

    def start_again(self) -> None:
        """Forget what the content was: it is another one now, or its generation is."""
        self.close()
        self.state, self.generation = NEW, None
        self.scanned, self.stuck, self.seen = (0, 0), -1, 0
        self.damage = ""

    def is_intact(self) -> bool:
        """Whether the content before the position is still what was read."""
        content, generation = self.reading
        if content.size() < generation.offset:
            return False
        if generation.offset > self.base:
            return fingerprint.tail(content, generation.offset) == generation.tail
        mark, first = generation.head[0]
        return content.size() >= self.base + mark and fingerprint.window(content, self.base, mark) == first

    @property
    def has_names(self) -> bool:
        """Whether the open file has a name, followed or not. Without one it was removed, whatever its content is now."""
        return self.reading[0].status().st_nlink > 0

    def note_seen(self) -> None:
        """Note that the content is intact up to its size. A truncated file that has grown again holds other content."""
        self.seen = max(self.seen, self.size)

    def take_lost(self) -> t.List[Gap]:
        """The end of an intact file that is gone and was not read, once."""
        lost, self.seen = max(0, self.seen - self.size), self.size
        return [Gap(self.size, lost, "truncated", "")] if lost else []

    @property
    def reading(self) -> t.Tuple[Content, Generation]:
        """The content and the generation of a file that is read."""
        if self.content is None or self.generation is None:
            raise AssertionError("the file is not read")
        return self.content, self.generation

    @property
    def writable(self) -> bool:
        """Whether the source may still write to it: it has a live name."""
        return self.found.live and not self.missing

    @property
    def unread(self) -> int:
        """Bytes that were not read yet."""
        return max(0, self.size - self.generation.offset) if self.generation is not None else 0

    @property
    def is_used_up(self) -> bool:
        """Whether nothing more can be read of it now."""
        return not self.unread or (self.damage != "" and self.stuck == self.size)

    def scanned_from(self, offset: int) -> int:
        """Up to where there is no newline from an offset on. What was read and not stored is read again from an earlier one."""
        return self.scanned[1] if self.scanned[0] == offset else 0

    def place(self) -> Place:
        """Where its generation is now."""
        return Place(self.found.path, self.writable, *self.found.key, self.size)
