# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What rotation makes of a log: other names (``x.log.1``, ``x.1.log``, ``x.log-20240112``) and compressed copies (``x.log.2.gz``)."""

from __future__ import annotations

import hashlib
import os
import re
import typing as t

from ..base.sparse import sha256_of_file
from ..base.staging import CHUNK

_PACKED = re.compile(r"\.(?:gz|bz2|xz|lzma)$", re.ASCII)
_NUMBER = re.compile(r"[-.][0-9][0-9-]{0,18}$", re.ASCII)
_NUMBER_WITHIN = re.compile(r"[-.][0-9][0-9-]{0,18}(\.[A-Za-z][A-Za-z0-9]{0,9})$", re.ASCII)


class Content(t.NamedTuple):
    """The SHA-256 of a file, in hex, and that of what is compressed in it; None if it is not compressed, damaged or too large."""

    sha256: str
    unpacked: t.Optional[str]


def stem(name: str) -> str:
    """The name of a log without all that rotation and compression may have added to it.

    Numbers that the log itself has are gone, too, so that ``worker-1.log`` and ``worker-1.log.2.gz`` have the same one: names are compared
    to find what may be the same log, and bytes decide.
    """
    name = _PACKED.sub("", name)
    while True:
        shorter = _NUMBER.sub("", name)
        shorter = shorter if shorter != name else _NUMBER_WITHIN.sub(r"\1", name)
        if not shorter or shorter == name:
            return name
        name = shorter


def is_packed(name: str) -> bool:
    """Whether the name is that of a compressed file."""
    return _PACKED.search(name) is not None


def unpacked_size(descriptor: int, name: str) -> t.Optional[int]:
    """The size of the content of a compressed file modulo 2^32, if the format has it (gzip, RFC 1952: the last four bytes)."""
    if not name.endswith(".gz"):
        return None
    size = os.fstat(descriptor).st_size
    return int.from_bytes(os.pread(descriptor, 4, size - 4), "little") if size >= 18 else None


def digest(descriptor: int, name: str, largest: int) -> Content:
    """Read a file once, in bounded memory. largest: bytes; more than this are not unpacked."""
    if not is_packed(name):
        return Content(sha256_of_file(descriptor) or "", None)
    whole = hashlib.sha256()
    unpacked = _Unpacked(name, largest)
    os.lseek(descriptor, 0, os.SEEK_SET)
    for chunk in iter(lambda: os.read(descriptor, CHUNK), b""):
        whole.update(chunk)
        unpacked.update(chunk)
    return Content(whole.hexdigest(), unpacked.hexdigest())


class _Unpacked:
    """The digest of what a compressed stream holds, all its members together."""

    def __init__(self, name: str, largest: int) -> None:
        self._new = _decompressor(name)
        self._member = self._new()
        self._sha256 = hashlib.sha256()
        self._left = largest
        self._failed = False

    def update(self, chunk: bytes) -> None:
        from lzma import LZMAError
        from zlib import error as zlib_error

        try:
            while chunk and not self._failed:
                if self._member.eof is True:
                    self._member = self._new()
                chunk = self._take(chunk)
        except (zlib_error, LZMAError, OSError, EOFError, ValueError):
            self._failed = True

    def _take(self, chunk: bytes) -> bytes:
        """Unpack a piece; returns what of the chunk follows the end of the member."""
        while True:
            plain = self._member.decompress(chunk, CHUNK)
            self._sha256.update(plain)
            self._left -= len(plain)
            self._failed = self._failed or self._left < 0
            if self._failed or self._member.eof:
                return b"" if self._failed else t.cast(bytes, self._member.unused_data)
            # zlib returns what it did not take; bz2 and lzma keep it.
            chunk = getattr(self._member, "unconsumed_tail", b"")
            if not chunk and len(plain) < CHUNK:
                return b""

    def hexdigest(self) -> t.Optional[str]:
        return None if self._failed or not self._member.eof else self._sha256.hexdigest()


def _decompressor(name: str) -> t.Callable[[], t.Any]:
    if name.endswith(".gz"):
        import zlib

        return lambda: zlib.decompressobj(31)
    if name.endswith(".bz2"):
        import bz2

        return bz2.BZ2Decompressor
    import lzma

    return lambda: lzma.LZMADecompressor(memlimit=128 << 20)
