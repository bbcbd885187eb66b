# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in a compressed log, as a stream in bounded memory: gzip, bzip2 and xz, known by their first bytes."""

from __future__ import annotations

import contextlib
import typing as t

from ..base.ahead import ahead
from ..base.errors import SourceError
from ..base.libraries import optional
from ..base.staging import CHUNK
from ..base.units import format_size

LONGEST_MAGIC = 6
MOST_RATIO = 1100
"""How many times its size a log may have uncompressed. With gzip that is 1,032 at most, and with logs rarely 100."""
LEAST_BOUND = 1 << 30
"""Bytes that any log may have uncompressed: bzip2 and xz make very little of a long repetition."""
XZ_MEMORY = 128 << 20
"""Bytes that a decompressor of xz may use; that of a file of 'xz -9' needs 65 MiB."""

_KNOWN = {b"\x1f\x8b\x08": "gzip", b"\xfd7zXZ\0": "xz", **{b"BZh%d1A" % level: "bzip2" for level in range(1, 10)}}
_UNKNOWN = {b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4", b"PK\x03\x04": "zip", b"7z\xbc\xaf\x27\x1c": "7z"}


def content(pieces: t.Iterator[bytes], beginning: bytes, size: int, name: str) -> t.ContextManager[t.Iterator[bytes]]:
    """What a log contains, uncompressed in another thread if it is compressed.

    pieces: of the log, of ``size`` bytes. beginning: its first bytes, ``LONGEST_MAGIC`` if it has as many. name: how errors name it.
    Raises SourceError for a compressed log that is damaged or cut, is much too large uncompressed, or has a format that is not known; what
    came before was right.
    """
    unknown = _format_of(beginning, _UNKNOWN)
    if unknown is not None:
        raise SourceError("the log is a %s file, and was not searched inside" % unknown, name, "Restore it, and search it with other tools")
    format = _format_of(beginning, _KNOWN)
    return contextlib.nullcontext(pieces) if format is None else ahead(_uncompressed(pieces, format, size, name))


def _format_of(beginning: bytes, known: t.Mapping[bytes, str]) -> t.Optional[str]:
    return next((name for magic, name in known.items() if beginning.startswith(magic)), None)


def _uncompressed(pieces: t.Iterator[bytes], format: str, size: int, name: str) -> t.Iterator[bytes]:
    opener, errors = _opener(format)
    most = max(LEAST_BOUND, MOST_RATIO * size)
    inflater: t.Any = None
    done = 0
    for piece in pieces:
        data = piece
        while data or not _waits(inflater):
            if inflater is None or inflater.eof:
                if inflater is not None:
                    # gzip and xz allow zeros after the end.
                    data = data.lstrip(b"\0")
                    if not data:
                        break
                inflater = opener()
            try:
                plain = inflater.decompress(data, CHUNK)
            except Exception as error:
                if not isinstance(error, errors):
                    raise
                raise SourceError("the %s file in the archive is damaged (%s)" % (format, error), name) from error
            data = getattr(inflater, "unconsumed_tail", b"") or (inflater.unused_data if inflater.eof else b"")
            done += len(plain)
            if done > most:
                raise SourceError("the %s file in the archive has more than %s uncompressed" % (format, format_size(most)), name)
            if plain:
                yield plain
    if inflater is not None and not inflater.eof:
        raise SourceError("the %s file in the archive is truncated" % format, name)


def _waits(inflater: t.Any) -> bool:
    """Whether the decompressor has nothing more to give for what it got."""
    return inflater is None or inflater.eof or bool(getattr(inflater, "needs_input", True))


def _opener(format: str) -> t.Tuple[t.Callable[[], t.Any], t.Tuple[t.Type[Exception], ...]]:
    """A function that makes a decompressor, and the errors that it raises."""
    if format == "bzip2":
        import bz2

        return bz2.BZ2Decompressor, (OSError, EOFError)
    if format == "xz":
        import lzma

        return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_MEMORY), (lzma.LZMAError, EOFError)
    import zlib

    library: t.Any = zlib
    with optional("isal"):
        from isal import isal_zlib

        library = isal_zlib
    return lambda: library.decompressobj(wbits=31), (library.error, ValueError)
