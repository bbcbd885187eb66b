# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tar in an archive as a stream, in bounded memory: its regular files, one after the other. Other members are refused.

An archive that an earlier script made may be a zip instead (``content`` of its manifest), and its tar may have folders.
"""

from __future__ import annotations

import contextlib
import hashlib
import tarfile
import typing as t

from ..base import sparse
from ..base.ahead import ahead
from ..base.errors import IntegrityError
from ..base.libraries import optional
from ..base.names import plain
from ..base.staging import CHUNK, check_name
from ..base.units import FIRST_SECOND, LAST_SECOND

if t.TYPE_CHECKING:
    from ..crypto.envelope import Envelope

LARGEST_HEADER = 1 << 20
"""Bytes of a pax or GNU header; tarfile reads it into memory. A path has at most 4,096."""

LARGEST_HEADERS = 2 << 20
"""Bytes that tarfile may read before the content of a member: its headers, and the map of a sparse file."""


@contextlib.contextmanager
def opened(stream: t.BinaryIO, envelope: Envelope, subject: str) -> t.Iterator[t.Iterator[bytes]]:
    """The tar in an archive: one thread decrypts and another inflates, ahead of the caller."""
    with ahead(envelope.open(stream, subject)) as tgz, ahead(_inflated(tgz, subject)) as tar:
        yield tar


class Contents(t.Protocol):
    """The files in an archive, one after the other."""

    def members(self) -> t.Iterator[tarfile.TarInfo]:
        """The headers of the files; the caller takes the content of each before the next. Raises IntegrityError."""

    def pieces(self, size: int) -> t.Iterator[memoryview]:
        """The next ``size`` bytes of the member (fewer at the end) in pieces as they come. Raises IntegrityError."""

    def finish(self) -> None:
        """Read what comes after the last file: a signature and checksums may be at the very end. Raises IntegrityError."""


def contents(stream: t.BinaryIO, envelope: Envelope, subject: str, content: t.Optional[str] = None) -> t.ContextManager[Contents]:
    """The files in an archive. content: what an adopted archive contains, None for any other archive (``manifest.content_of``)."""
    if content == "zip":
        from .zipped import ZipContents

        return ZipContents(envelope.random_access(stream, subject), subject)
    return _tar_contents(stream, envelope, subject, content is not None)


@contextlib.contextmanager
def _tar_contents(stream: t.BinaryIO, envelope: Envelope, subject: str, adopted: bool) -> t.Iterator[Contents]:
    with opened(stream, envelope, subject) as chunks:
        yield _TarContents(chunks, subject, adopted)


def members(plaintext: Plaintext, subject: str, adopted: bool = False) -> t.Iterator[tarfile.TarInfo]:
    """The headers of the regular files of a tar; the caller takes the content of each before the next. Other members are refused.

    adopted: pass over folders, and take "./dump.sql" for "dump.sql": so does tar write what it finds in a folder.
    """
    # Digests take less memory than names.
    names = set()
    try:
        with tarfile.open(fileobj=t.cast(t.Any, plaintext), mode="r:", errorlevel=2, tarinfo=_Header) as archive:
            for member in iter(archive.next, None):
                # Else tarfile keeps the headers of all of them.
                t.cast(t.Any, archive).members.clear()
                if adopted:
                    if member.isdir():
                        plaintext.begin()
                        continue
                    member.name = plain(member.name)
                _check_member(member, subject)
                name = hashlib.sha256(member.name.encode("utf-8", "surrogateescape")).digest()[:16]
                if name in names:
                    raise IntegrityError("the archive has %s twice" % ascii(member.name), subject)
                names.add(name)
                yield member
                plaintext.begin()
    except (tarfile.TarError, ValueError, OverflowError) as error:
        # tarfile does not catch errors of malformed numbers and other defects in headers.
        raise IntegrityError("the tar in the archive is damaged (%s)" % error, subject) from error


class Stored(t.NamedTuple):
    """What the tar has of a member. beginning: the bytes that tarfile has read of it; size: of the rest.

    data: where a file with holes has data; None for any other file.
    """

    beginning: bytes
    size: int
    data: t.Optional[sparse.Data]


def stored_part(member: tarfile.TarInfo) -> Stored:
    """What the tar has of a member."""
    if not member.issparse():
        return Stored(b"", member.size, None)
    data: sparse.Data = [*t.cast(t.Any, member).sparse]
    return Stored(sparse.stored_map(data), sparse.stored_size(data), data)


def refuse_cut(member: tarfile.TarInfo, size: int, stored: Stored, subject: str) -> None:
    """Raise IntegrityError if the tar ended after ``size`` bytes of the member."""
    if size != stored.size:
        raise IntegrityError("%s is truncated inside the archive" % ascii(member.name), subject)


def _check_member(member: tarfile.TarInfo, subject: str) -> None:
    name = member.name
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        kind = "a symbolic link" if member.issym() else "a hard link" if member.islnk() else "a device or another special file"
        kind = "a folder" if member.isdir() else kind
        raise IntegrityError("refused: the archive has %s (%s); archives of logs have only regular files" % (kind, ascii(name)), subject)
    check_name(name, subject)
    if member.issparse() or any(keyword.startswith("GNU.sparse.") for keyword in member.pax_headers):
        _check_map(member, subject)
    if not FIRST_SECOND <= member.mtime < LAST_SECOND + 1:
        raise IntegrityError("refused: the modification time of %s is not a valid date" % ascii(name), subject)


def _check_map(member: tarfile.TarInfo, subject: str) -> None:
    # GNU tar has older formats, which it has replaced by 1.0.
    version = member.pax_headers.get("GNU.sparse.major"), member.pax_headers.get("GNU.sparse.minor")
    problem = sparse.problem_of([*(t.cast(t.Any, member).sparse or ())], member.size)
    if version != ("1", "0") or problem is not None:
        problem = "has another format than 1.0" if version != ("1", "0") else problem
        raise IntegrityError("refused: the map of the sparse file %s cannot be used: it %s" % (ascii(member.name), problem), subject)


def _inflated(chunks: t.Iterator[bytes], subject: str) -> t.Iterator[bytes]:
    import zlib

    library: t.Any = zlib
    with optional("isal"):
        from isal import isal_zlib

        library = isal_zlib
    error_class = t.cast("t.Type[Exception]", library.error)
    inflater = library.decompressobj(wbits=31)
    for chunk in chunks:
        while chunk:
            if inflater.eof:
                raise IntegrityError("the archive has bytes after the end of the tgz", subject)
            try:
                plain = inflater.decompress(chunk, CHUNK)
            except (error_class, ValueError) as error:
                raise IntegrityError("the tgz in the archive is damaged (%s)" % error, subject) from error
            chunk = inflater.unconsumed_tail or inflater.unused_data
            if plain:
                yield plain
    if not inflater.eof:
        raise IntegrityError("the tgz in the archive is truncated", subject)


class _Header(tarfile.TarInfo):
    """A member's header, of bounded size."""

    @classmethod
    def frombuf(cls, buf: t.Any, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.size > LARGEST_HEADER and not header.isreg() and not header.issparse()):
            raise ValueError("a header of %d bytes" % header.size)
        return header


class _TarContents:
    """The files in a tar."""

    def __init__(self, chunks: t.Iterator[bytes], subject: str, adopted: bool) -> None:
        self._chunks = chunks
        self._plaintext = Plaintext(chunks)
        self._subject = subject
        self._adopted = adopted

    def members(self) -> t.Iterator[tarfile.TarInfo]:
        return members(self._plaintext, self._subject, self._adopted)

    def pieces(self, size: int) -> t.Iterator[memoryview]:
        return self._plaintext.pieces(size)

    def finish(self) -> None:
        for _chunk in self._chunks:
            pass


class Plaintext:
    """A tar as a stream: enough of a file for tarfile to read headers, and the content between them without a copy."""

    def __init__(self, chunks: t.Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")
        self._position = 0
        self._last = b""
        self._before_last = False
        self._read = 0

    def pieces(self, size: int) -> t.Iterator[memoryview]:
        """The next ``size`` bytes (fewer at the end) in pieces as they come."""
        while size:
            if not self._rest:
                self._rest = memoryview(next(self._chunks, b""))
            piece = self._rest[:size]
            if not piece:
                return
            self._rest = self._rest[len(piece) :]
            self._position += len(piece)
            self._last = bytes(piece[-1:])
            size -= len(piece)
            yield piece

    def begin(self) -> None:
        """The next reads are those of another header."""
        self._read = 0

    def read(self, size: int) -> bytes:
        if self._before_last:
            # tarfile reads a member's last byte before the next header, to check that it is there.
            self._before_last = False
            return self._last
        self._read += size
        if self._read > LARGEST_HEADERS:
            raise ValueError("the headers of a member have more than %d bytes" % LARGEST_HEADERS)
        return b"".join(self.pieces(size))

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        if position == self._position - 1:
            self._before_last = True
        else:
            for _piece in self.pieces(position - self._position):
                pass
        return position
