# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bytes in a gzip file, in pieces and with a limit: a few bytes may stand for gigabytes."""

from __future__ import annotations

import hashlib
import typing as t
import zlib

from ..base.units import format_size

Pieces = t.Iterable[t.Union[bytes, memoryview]]

PIECE = 1 << 20
LARGEST_LOG = 4 << 30
"""Bytes of an unpacked log file. CloudTrail's have a few megabytes."""
LARGEST_DIGEST = 16 << 20
"""Bytes of an unpacked digest: it has about 500 for each log file of its hour, so this is for 30,000 in one account and region."""


class UnreadableError(Exception):
    """The file cannot be unpacked or understood; the text gives the reason."""


def unpack(pieces: Pieces, most: int) -> t.Iterator[bytes]:
    """The unpacked bytes. Raises UnreadableError for what is no gzip file, is cut off, goes on after its end, or has more than ``most``."""
    inflater = zlib.decompressobj(31)
    size = 0
    for piece in pieces:
        data: t.Union[bytes, memoryview] = piece
        while data:
            if inflater.eof:
                raise UnreadableError("it has data after the end of the gzip data")
            try:
                plain = inflater.decompress(data, PIECE)
            except zlib.error as error:
                raise UnreadableError("it is not a gzip file (%s)" % error) from error
            size += len(plain)
            if size > most:
                raise UnreadableError("it unpacks to more than %s" % format_size(most))
            yield plain
            data = inflater.unconsumed_tail or inflater.unused_data
    if not inflater.eof:
        raise UnreadableError("the gzip data is cut off")


def sha256_of_log(pieces: Pieces) -> str:
    """The SHA-256, in hex, of an unpacked log file. Raises UnreadableError."""
    digest = hashlib.sha256()
    for plain in unpack(pieces, LARGEST_LOG):
        digest.update(plain)
    return digest.hexdigest()


def unpacked_digest(pieces: Pieces) -> bytes:
    """The unpacked bytes of a digest. Raises UnreadableError."""
    return b"".join(unpack(pieces, LARGEST_DIGEST))
