# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore files from an archive: authenticate, then decrypt, check, and only then give the files their names."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import itertools
import math
import tarfile
import typing as t

from ..base import sparse
from ..base.errors import IntegrityError
from ..base.libraries import optional
from ..base.progress import Advance
from ..base.staging import CHUNK, ExtractedFile, StagedFile, Staging, check_name, failing_clearly, staging_in
from ..base.units import FIRST_SECOND, LAST_SECOND

if t.TYPE_CHECKING:
    from ..crypto.envelope import Envelope
    from .facts import Manifest

LARGEST_HEADER = 1 << 20
"""Bytes of a pax or GNU header; tarfile reads it into memory. A path has at most 4,096."""

LARGEST_HEADERS = 2 << 20
"""Bytes that tarfile may read before the content of a member: its headers, and the map of a sparse file."""

BATCH = 8
"""Pieces that one thread hands to another at once: each handing over costs as much as writing a piece."""
QUEUED = 4
"""Batches of plaintext that may wait between two threads."""


class Placing(t.NamedTuple):
    """How files get to their places. overwrite: replace files that differ; without it they are an error and nothing is written.

    without: names of files that are checked and left out.
    """

    overwrite: bool = False
    without: t.AbstractSet[str] = frozenset()


NO_OVERWRITE = Placing()


def restore(
    stream: t.BinaryIO,
    envelope: Envelope,
    destination: str,
    subject: str,
    manifest: t.Optional[Manifest] = None,
    placing: Placing = NO_OVERWRITE,
    progress: t.Optional[Advance] = None,
) -> t.List[ExtractedFile]:
    """Extract one archive below a folder, in bounded memory.

    stream: the archive, seekable. envelope: encloses it. subject: how errors name the archive. manifest: every file's SHA-256 is
    compared with it. progress: called with the number of file bytes written since the last call.
    Modes (without set-id bits) and modification times are restored; owners are not: the files belong to the user that restores.
    Raises IntegrityError for an archive that is damaged, foreign or hostile, DiskFullError, LogArchiveError; then no file is left.
    """
    with failing_clearly(destination), staging_in(destination) as staging:
        stream.seek(0)
        envelope.authenticate(stream, None if manifest is None else manifest["archive"]["sha256"], subject)
        stream.seek(0)
        with _opened(stream, envelope, subject) as tar:
            staged = _extract(tar, staging, placing.without, subject, progress)
        if manifest is not None:
            _compare(staged, manifest, subject)
            staged = _with_nanoseconds(staged, manifest)
        return staging.publish([file for file in staged if file.name not in placing.without], placing.overwrite)


def check_contents(stream: t.BinaryIO, envelope: Envelope, manifest: Manifest, subject: str) -> None:
    """Prove what ``restore`` proves, and write nothing. The arguments and the errors are those of ``restore``."""
    stream.seek(0)
    envelope.authenticate(stream, manifest["archive"]["sha256"], subject)
    stream.seek(0)
    found = []
    with _opened(stream, envelope, subject) as chunks:
        plaintext = _Plaintext(chunks)
        for member in _members(plaintext, subject):
            found.append(_checked(member, plaintext, subject))
        for _chunk in chunks:
            pass
    _compare(found, manifest, subject)


def _checked(member: tarfile.TarInfo, plaintext: _Plaintext, subject: str) -> StagedFile:
    """Read a member without writing it."""
    stored = _stored(member)
    sha256 = hashlib.sha256(stored.beginning)
    size = 0
    for piece in plaintext.pieces(stored.size):
        sha256.update(piece)
        size += len(piece)
    _refuse_cut(member, size, stored, subject)
    return StagedFile(member.name, "", member.size, sha256.hexdigest(), 0, 0, stored.data)


def _extract(
    chunks: t.Iterator[bytes], staging: Staging, without: t.AbstractSet[str], subject: str, progress: t.Optional[Advance]
) -> t.List[StagedFile]:
    from concurrent.futures import ThreadPoolExecutor

    staged: t.List[StagedFile] = []
    with ThreadPoolExecutor(1) as hasher:
        plaintext = _Plaintext(chunks)
        for member in _members(plaintext, subject):
            if member.name in without:
                staged.append(_checked(member, plaintext, subject))
                if progress is not None:
                    progress(member.size)
                continue
            number = "%d" % len(staged)
            stored = _stored(member)
            sha256 = hashlib.sha256(stored.beginning)
            written = 0
            hashed: t.Deque[t.Any] = collections.deque()
            with staging.create(number) as file:
                writer = sparse.Writer(file.fileno(), member.size, stored.data)
                for pieces in _batches(plaintext.pieces(stored.size)):
                    # A separate thread hashes, this one writes, others decrypt and inflate.
                    hashed.append(hasher.submit(_hash, sha256, pieces))
                    if len(hashed) > QUEUED:
                        hashed.popleft().result()
                    for piece in pieces:
                        writer.write(piece)
                        written += len(piece)
                        if progress is not None:
                            progress(len(piece))
                _refuse_cut(member, written, stored, subject)
                writer.finish()
            for done in hashed:
                done.result()
            if progress is not None and stored.data is not None:
                progress(member.size - stored.size)
            mode, mtime_ns = member.mode & 0o777, math.floor(member.mtime) * 10**9
            staged.append(StagedFile(member.name, number, member.size, sha256.hexdigest(), mode, mtime_ns, stored.data))
        # The rest after the end of the tar must be read too: the signature and the gzip checksum are checked at the very end.
        for _chunk in chunks:
            pass
    return staged


class _Stored(t.NamedTuple):
    """What the tar has of a member. beginning: the bytes that tarfile has read of it; size: of the rest.

    data: where a file with holes has data; None for any other file.
    """

    beginning: bytes
    size: int
    data: t.Optional[sparse.Data]


def _stored(member: tarfile.TarInfo) -> _Stored:
    if not member.issparse():
        return _Stored(b"", member.size, None)
    data: sparse.Data = [*t.cast(t.Any, member).sparse]
    return _Stored(sparse.stored_map(data), sparse.stored_size(data), data)


def _refuse_cut(member: tarfile.TarInfo, size: int, stored: _Stored, subject: str) -> None:
    if size != stored.size:
        raise IntegrityError("%s is cut inside the archive" % ascii(member.name), subject)


def _hash(sha256: t.Any, pieces: t.Sequence[memoryview]) -> None:
    for piece in pieces:
        sha256.update(piece)


def _batches(items: t.Iterator[t.Any]) -> t.Iterator[t.List[t.Any]]:
    while True:
        batch = list(itertools.islice(items, BATCH))
        if not batch:
            return
        yield batch


def _members(plaintext: _Plaintext, subject: str) -> t.Iterator[tarfile.TarInfo]:
    """The headers of the regular files of a tar; the caller takes the content of each before the next. Other members are refused."""
    names = set()
    try:
        with tarfile.open(fileobj=t.cast(t.Any, plaintext), mode="r:", errorlevel=2, tarinfo=_Header) as archive:
            for member in archive:
                _check_member(member, subject)
                if member.name in names:
                    raise IntegrityError("the archive has %s twice" % ascii(member.name), subject)
                names.add(member.name)
                yield member
                plaintext.begin()
    except (tarfile.TarError, ValueError, OverflowError) as error:
        # tarfile does not catch errors of malformed numbers and other defects in headers.
        raise IntegrityError("the tar in the archive is damaged (%s)" % error, subject) from error


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


@contextlib.contextmanager
def _opened(stream: t.BinaryIO, envelope: Envelope, subject: str) -> t.Iterator[t.Iterator[bytes]]:
    """The tar in an archive: one thread decrypts and another inflates, ahead of the caller."""
    with _ahead(envelope.open(stream, subject)) as tgz, _ahead(_inflated(tgz, subject)) as tar:
        yield tar


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
        raise IntegrityError("the tgz in the archive is cut", subject)


@contextlib.contextmanager
def _ahead(chunks: t.Iterator[bytes]) -> t.Iterator[t.Iterator[bytes]]:
    """Run an iterator in a separate thread, a few chunks ahead; its error is raised in the thread that takes the chunk."""
    import queue
    import threading

    waiting: t.Any = queue.Queue(QUEUED)
    abandoned = threading.Event()

    def produce() -> None:
        end: t.Any = StopIteration()
        try:
            for batch in _batches(chunks):
                waiting.put(batch)
                if abandoned.is_set():
                    break
        except BaseException as error:
            end = error
        waiting.put(end)

    def consume() -> t.Iterator[bytes]:
        while True:
            item = waiting.get()
            if isinstance(item, StopIteration):
                return
            if isinstance(item, BaseException):
                raise item
            yield from item

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    try:
        yield consume()
    finally:
        abandoned.set()
        while thread.is_alive():
            with contextlib.suppress(queue.Empty):
                waiting.get(timeout=0.05)
        thread.join()


class _Header(tarfile.TarInfo):
    """A member's header, of bounded size."""

    @classmethod
    def frombuf(cls, buf: t.Any, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.size > LARGEST_HEADER and not header.isreg() and not header.issparse()):
            raise ValueError("a header of %d bytes" % header.size)
        return header


class _Plaintext:
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


def _compare(staged: t.Sequence[StagedFile], manifest: Manifest, subject: str) -> None:
    found = {file.name: (file.size, file.sha256, _pairs(file.data)) for file in staged}
    expected = {source["name"]: (source["size"], source["sha256"], _pairs(source.get("data"))) for source in manifest["sources"]}
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            what = "is missing from the archive" if name not in found else "is not in the manifest" if name not in expected else "differs"
            raise IntegrityError("the archive does not match its manifest: %s %s" % (ascii(name), what), subject)


def _pairs(data: t.Optional[t.Iterable[t.Sequence[int]]]) -> t.Optional[t.List[t.Tuple[int, ...]]]:
    return None if data is None else [tuple(entry) for entry in data]


def _with_nanoseconds(staged: t.Sequence[StagedFile], manifest: Manifest) -> t.List[StagedFile]:
    """The files with the whole modification times that the manifest states; the tar has their seconds."""
    exact = {source["name"]: source["mtime_ns"] for source in manifest["sources"]}
    return [file._replace(mtime_ns=exact[file.name]) if exact[file.name] // 10**9 * 10**9 == file.mtime_ns else file for file in staged]
