# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files with holes (lastlog, a log that was truncated while its writer kept its position): neither read nor stored nor written.

Where the data of such a file is, is a list of (offset, length) in bytes, in order. The file is stored as GNU tar does in its sparse
format 1.0 (its manual, "Storing Sparse Files"): that list as text, filled up to a block of the tar, then the data. The SHA-256 of such a
file is that of what is stored.
"""

from __future__ import annotations

import errno
import os
import typing as t

from .durable import write_all

Data = t.Sequence[t.Tuple[int, int]]

LEAST_HOLE = 1 << 21
"""Bytes. Smaller holes are stored as zeros: nothing is gained by more entries."""
MOST_ENTRIES = 1 << 13
LARGEST_STORED = (8 << 30) - (1 << 24)
"""Bytes of data, so that the size fits into the header of a tar. A larger file is stored with its zeros."""
_BLOCK = 512
_CHUNK = 1 << 17
_LEAST_SKIPPED = 4096


def find_data(descriptor: int, status: os.stat_result) -> t.Optional[Data]:
    """Where a file has data; None if it has no large hole, or the file system does not tell holes."""
    size = status.st_size
    if status.st_blocks * 512 >= size or size < 2 * LEAST_HOLE:
        return None
    least = max(LEAST_HOLE, size // (MOST_ENTRIES // 2))
    found: t.List[t.Tuple[int, int]] = []
    end = 0
    while end < size:
        try:
            start = min(size, _seek(descriptor, end, os.SEEK_DATA, size))
            following = min(size, _seek(descriptor, start, os.SEEK_HOLE, size))
        except OSError:
            return None
        if following <= end:
            return None  # The file shrank meanwhile.
        if start - end < least:
            start = found.pop()[0] if found else 0
        if following > start:
            found.append((start, following - start))
        end = following
    if found == [(0, size)] or sum(length for _offset, length in found) > LARGEST_STORED:
        return None
    # As GNU tar does: an empty entry at the end states the size.
    return found if found and sum(found[-1]) == size else [*found, (size, 0)]


def _seek(descriptor: int, position: int, what: int, size: int) -> int:
    try:
        return os.lseek(descriptor, position, what)
    except OSError as error:
        if error.errno == errno.ENXIO:  # No data follows.
            return size
        raise


def stored_map(data: Data) -> bytes:
    """The text that precedes the data in the tar."""
    text = b"%d\n" % len(data) + b"".join(b"%d\n%d\n" % entry for entry in data)
    return text + bytes(-len(text) % _BLOCK)


def stored_size(data: Data) -> int:
    """The bytes of the data."""
    return sum(length for _offset, length in data)


def problem_of(data: t.Any, size: int) -> t.Optional[str]:
    """What is wrong with such a list from outside, or None."""
    if not isinstance(data, list) or not 0 < len(data) <= MOST_ENTRIES:
        return "is not a list of 1 to %d entries" % MOST_ENTRIES
    end = 0
    for entry in data:
        if (
            not isinstance(entry, (list, tuple))
            or len(entry) != 2
            or not all(isinstance(number, int) and not isinstance(number, bool) for number in entry)
        ):
            return "has an entry that is not an offset and a length"
        offset, length = entry
        if offset < end or length < 0 or offset + length > size:
            return "has an entry that overlaps another or goes beyond the end"
        end = offset + length
    return None


def sha256_of_file(descriptor: int, data: t.Optional[Data] = None) -> t.Optional[str]:
    """The SHA-256 of a file as it is stored, in hex. data: where it has data, by default as the file system reports it.

    None if a file has anything but zeros between the data.
    """
    import hashlib  # It loads OpenSSL, which takes a tenth of an idle run.

    status = os.fstat(descriptor)
    known = find_data(descriptor, status) if data is None else data
    sha256 = hashlib.sha256()
    if known is None:
        known = [(0, status.st_size)]
    else:
        sha256.update(stored_map(known))
    end = 0
    for offset, length in [*known, (status.st_size, 0)]:
        if data is not None and not _is_empty(descriptor, end, offset):
            return None
        end = offset + length
        for chunk in _chunks(descriptor, offset, end):
            sha256.update(chunk)
    return sha256.hexdigest()


def _is_empty(descriptor: int, position: int, end: int) -> bool:
    """Whether a file has only zeros there; holes are not read."""
    while position < end:
        try:
            position = _seek(descriptor, position, os.SEEK_DATA, end)
            following = min(end, _seek(descriptor, position, os.SEEK_HOLE, end))
        except OSError:
            following = end
        if any(not _is_zero(memoryview(chunk)) for chunk in _chunks(descriptor, position, following)):
            return False
        position = max(following, position + 1)
    return True


def _chunks(descriptor: int, position: int, end: int) -> t.Iterator[bytes]:
    while position < end:
        chunk = os.pread(descriptor, min(_CHUNK, end - position), position)
        if not chunk:
            return
        yield chunk
        position += len(chunk)


def _is_zero(piece: memoryview) -> bool:
    return not piece[0] and piece.tobytes().count(0) == len(piece)


class Writer:
    """Writes a new file from what is stored of it (without the list); blocks of zeros become holes, too."""

    def __init__(self, descriptor: int, size: int, data: t.Optional[Data]) -> None:
        self._descriptor = descriptor
        self._size = size
        self._entries = iter(data if data is not None else [(0, size)])
        self._left = 0

    def write(self, piece: memoryview) -> None:
        """Write the next bytes."""
        while piece:
            while not self._left:
                offset, self._left = next(self._entries)
                os.lseek(self._descriptor, offset, os.SEEK_SET)
            part = piece[: self._left]
            if len(part) >= _LEAST_SKIPPED and _is_zero(part):
                os.lseek(self._descriptor, len(part), os.SEEK_CUR)
            else:
                write_all(self._descriptor, part)
            self._left -= len(part)
            piece = piece[len(part) :]

    def finish(self) -> None:
        """Give the file its size. It ends with a hole if its last block has only zeros."""
        os.ftruncate(self._descriptor, self._size)
