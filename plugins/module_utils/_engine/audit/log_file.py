# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The records of a log file of CloudTrail, one after another, in bounded memory, whatever the file is."""

from __future__ import annotations

import json
import typing as t
import zlib

from ..base.errors import LogArchiveError
from .envelope import LONGEST_BEGIN, Splitter, begin_of

if t.TYPE_CHECKING:
    from .record import Record

MOST_BYTES = 1 << 30
"""Bytes of a file without its compression: CloudTrail begins a new file long before."""
MOST_RECORD = 16 << 20
"""Bytes of a record: CloudTrail's limit is 1 MB."""
MOST_AT_ONCE = 1 << 20


class LogFileError(LogArchiveError):
    """A log file, or one of its records, cannot be read. The others can."""

    kind = "log_file"


def records_in(
    pieces: t.Iterable[t.Union[bytes, memoryview]], subject: str, report: t.Callable[[LogArchiveError], None]
) -> t.Iterator[Record]:
    """The records of a file, compressed by gzip or not. subject: names the file in errors.

    report: called with a LogFileError for each record that is none. Raises LogFileError if the rest of the file cannot be read; what was
    yielded before stands.
    """
    number = 0
    for line in _lines(_inflated(pieces, subject), subject):
        if not line.strip():
            continue
        number += 1
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            report(LogFileError("record %d is not JSON" % number, subject))
            continue
        if isinstance(record, dict):
            yield record
        else:
            report(LogFileError("record %d is not an object" % number, subject))


def _lines(chunks: t.Iterator[bytes], subject: str) -> t.Iterator[bytes]:
    """The lines of the file, as ``Splitter`` makes them."""
    start = b""
    while len(start) < LONGEST_BEGIN:
        chunk = next(chunks, b"")
        if not chunk:
            break
        start += chunk
    begin = begin_of(start)
    if begin is None:
        what = "is empty" if not start else 'is not a log file of CloudTrail: it does not begin with {"Records": ['
        raise LogFileError("the file %s" % what, subject)
    splitter = Splitter(begin)
    rest: t.List[bytes] = []
    length = 0
    for chunk in _and_then(start, chunks):
        *lines, last = splitter.feed(chunk).split(b"\n")
        for line in lines:
            yield b"".join([*rest, line])
            rest, length = [], 0
        rest.append(last)
        length += len(last)
        if length > MOST_RECORD:
            raise LogFileError("a record has more than %d bytes" % MOST_RECORD, subject, "CloudTrail does not write such records")
    if not splitter.ended:
        raise LogFileError("the file ends in the middle of its records", subject, "Fetch it again")
    if b"".join(rest).strip():
        raise LogFileError("the file has data after its records", subject)


def _and_then(first: bytes, others: t.Iterator[bytes]) -> t.Iterator[bytes]:
    yield first
    yield from others


def _inflated(pieces: t.Iterable[t.Union[bytes, memoryview]], subject: str) -> t.Iterator[bytes]:
    """The bytes of the file without its compression, in chunks of at most MOST_AT_ONCE bytes."""
    total = 0
    inflater: t.Any = None
    compressed: t.Optional[bool] = None
    for piece in pieces:
        data = bytes(piece)
        if compressed is None and data:
            compressed = data[:1] == b"\x1f"
        while data:
            if not compressed:
                chunk, data = data[:MOST_AT_ONCE], data[MOST_AT_ONCE:]
            else:
                try:
                    inflater = inflater or zlib.decompressobj(31)
                    chunk = inflater.decompress(data, MOST_AT_ONCE)
                except zlib.error:
                    raise LogFileError("the file cannot be decompressed", subject, "Fetch it again") from None
                data = inflater.unconsumed_tail
                if inflater.eof:
                    # Another member may follow.
                    data, inflater = inflater.unused_data, None
            total += len(chunk)
            if total > MOST_BYTES:
                problem = "the file has more than %d MiB without its compression" % (MOST_BYTES >> 20)
                raise LogFileError(problem, subject, "CloudTrail did not write it: find out who did")
            if chunk:
                yield chunk
    if inflater is not None:
        raise LogFileError("the compressed file ends early", subject, "Fetch it again")
