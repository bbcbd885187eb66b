# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The content of a followed file at an offset, plain or compressed by gzip."""

from __future__ import annotations

import collections
import contextlib
import os
import typing as t

BLOCK = 1 << 20
"""Bytes that are read at once."""
KEPT = 2 * BLOCK + 4096
"""Bytes of decompressed content that can be read again without starting over: more than one read asks for."""


class DamagedError(Exception):
    """A compressed file cannot be decompressed to its end. size: how much of its content could be. reason: for people."""

    def __init__(self, size: int, reason: str) -> None:
        super().__init__(size, reason)
        self.size = size
        self.reason = reason


class Recent:
    """The end of what was read forwards, kept in the parts in which it came: to join them for each part would take longer than to read it.

    kept: so many bytes at least. end: the offset behind it.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self.end = 0
        self._size = 0
        self._parts: t.Deque[bytes] = collections.deque()

    def __len__(self) -> int:
        return self._size

    @property
    def begin(self) -> int:
        """The offset of the first byte that is kept."""
        return self.end - self._size

    def add(self, data: bytes, needed: int) -> None:
        """What follows. needed: an offset from which on everything is kept."""
        if not data:
            return
        self._parts.append(data)
        self._size += len(data)
        self.end += len(data)
        needed = min(needed, self.end - self._kept)
        while self.begin + len(self._parts[0]) <= needed:
            self._size -= len(self._parts.popleft())

    def read(self, offset: int, count: int) -> bytes:
        """What is kept of ``count`` bytes."""
        found = []
        at = self.begin
        for part in self._parts:
            if at >= offset + count:
                break
            if at + len(part) > offset:
                found.append(part[max(0, offset - at) : offset + count - at])
            at += len(part)
        return b"".join(found)


class PlainContent:
    """A file that is open: it stays readable when its name changes or goes. Offsets are those of the file."""

    compressed = False

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def size(self) -> int:
        """The size now, in bytes."""
        return os.fstat(self._fd).st_size

    def read(self, offset: int, count: int) -> bytes:
        """Up to ``count`` bytes; less only at the end."""
        data = os.pread(self._fd, count, offset)
        while 0 < len(data) < count:
            more = os.pread(self._fd, count - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def next_data(self, offset: int) -> int:
        """The first offset from this one on that is not inside a hole of a sparse file."""
        try:
            return os.lseek(self._fd, offset, os.SEEK_DATA)
        except OSError:
            # The rest is a hole, or the file system does not know holes.
            return offset

    def status(self) -> os.stat_result:
        """The status of the open file."""
        return os.fstat(self._fd)

    def release(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class GzipContent:
    """A complete compressed file. Offsets are those of the decompressed content; it is cheap to read forwards only."""

    compressed = True

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._size: t.Optional[int] = None
        self._reader: t.Optional[t.Any] = None
        self._kept = Recent(KEPT)

    def size(self) -> int:
        """The size of the content. The first call decompresses all of it; raises DamagedError if that fails, or the trailer is wrong.

        After that it is the size of what can be decompressed.
        """
        if self._size is None:
            self._rewind()
            try:
                while self._read(BLOCK, self._kept.end):
                    pass
            except DamagedError as error:
                self._size = error.size
                raise
            self._size = self._kept.end
        return self._size

    def read(self, offset: int, count: int) -> bytes:
        """Up to ``count`` bytes; less only at the end of what can be decompressed."""
        if self._reader is None or offset < self._kept.begin:
            self._rewind()
        with contextlib.suppress(DamagedError):
            while self._kept.end < offset + count and self._read(min(BLOCK, offset + count - self._kept.end), offset):
                pass
        return self._kept.read(offset, count)

    def next_data(self, offset: int) -> int:
        """The offset: a compressed file has no holes."""
        return offset

    def status(self) -> os.stat_result:
        """The status of the open file."""
        return os.fstat(self._fd)

    def release(self) -> None:
        """Forget what was decompressed."""
        self._reader, self._kept = None, Recent(KEPT)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _rewind(self) -> None:
        self._reader = self._opened(_Positioned(self._fd))
        self._kept = Recent(KEPT)

    def _opened(self, raw: t.Any) -> t.Any:
        """A reader of the content, with the method ``read1``. raw: the file as a file object."""
        import gzip

        return gzip.GzipFile(fileobj=raw, mode="rb")

    def _data(self, count: int) -> bytes:
        """The next bytes, b"" at the end. Raises DamagedError."""
        import zlib

        try:
            return t.cast(bytes, t.cast(t.Any, self._reader).read1(count))
        except (EOFError, zlib.error, OSError) as error:
            # gzip.BadGzipFile is an OSError without a number; a real error of the disk has one.
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise DamagedError(self._kept.end, "it ends early" if isinstance(error, EOFError) else "its content is damaged") from None

    def _read(self, count: int, needed: int) -> bytes:
        if self._reader is None:
            raise AssertionError("open the content first")
        data = self._data(count)
        # Lines are read in blocks, and the next block begins with the line that the last one cut.
        self._kept.add(data, needed)
        return data


class _Positioned:
    """Reads a descriptor without moving its position, as a file object for gzip."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._at = 0

    def read(self, count: int = -1) -> bytes:
        data = os.pread(self._fd, BLOCK if count < 0 else count, self._at)
        self._at += len(data)
        return data

    def seek(self, offset: int, _whence: int = 0) -> int:
        self._at = offset
        return offset

    def seekable(self) -> bool:
        return True


class Content(t.Protocol):
    """The content of a file, by offset. compressed: it does not grow, and is cheap to read forwards only."""

    @property
    def compressed(self) -> bool:
        """Whether it does not grow."""

    def size(self) -> int:
        """The size now, in bytes."""

    def read(self, offset: int, count: int) -> bytes:
        """Up to ``count`` bytes; less only at the end."""

    def next_data(self, offset: int) -> int:
        """The first offset from this one on that is not inside a hole."""

    def status(self) -> os.stat_result:
        """The status of the open file."""

    def release(self) -> None:
        """Forget what is kept of it in memory. It can be read as before."""

    def close(self) -> None:
        """Close the file."""
