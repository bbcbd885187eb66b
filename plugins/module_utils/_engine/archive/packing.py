# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sources to one encrypted tgz in one pass: tar, gzip on all cores, Fernet and every digest, in bounded memory.

Formats: POSIX.1-2001 pax (tar), RFC 1952 with one member (gzip), Fernet (see fernet.py).
"""

from __future__ import annotations

import collections
import errno
import hashlib
import os
import stat
import tarfile
import typing as t

from ..base import sparse
from ..base.beneath import identity, open_file, open_folder, status_of
from ..base.errors import SourceError
from ..base.libraries import optional
from ..base.progress import Advance
from ..base.protected import SECRET, is_secret
from ..base.units import FIRST_SECOND, LAST_SECOND

if t.TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from ..base.beneath import Identity
    from ..crypto.envelope import Envelope, Seal
    from ..sources.base import Source

BLOCK = 1 << 21
"""Bytes that one deflate call compresses; each block is primed with the 32 KiB before it, as pigz does."""
SLICE = 1 << 18
"""Bytes of a block that become one piece of output. For larger pieces the C library asks the kernel for memory each time."""
WORKERS = 12
"""The maximum number of threads that deflate: one reader and one encryptor cannot feed more, and each has a block in memory."""
WINDOW = 1 << 15
# The file is gone, or a link is now on the way to it.
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
LAST_DEFLATE_BLOCK = b"\x03\x00"
ISAL_LEVEL = 1
ZLIB_LEVEL = 6


class PackedSource(t.NamedTuple):
    """One source as it is in the archive.

    name: its member name in the tar; size: bytes in the archive; mtime_ns: nanoseconds since the epoch when the reading began;
    sha256: of the bytes in the archive; changed: it was written to while it was read; vanished: it was removed or replaced
    after it was opened (the archive has all of it). identity: device and inode of the file that was read. data: where a file with holes
    has data (see ``base.sparse``), None if it has no holes.
    """

    path: str
    name: str
    size: int
    mtime_ns: int
    mode: int
    uid: int
    gid: int
    sha256: str
    changed: bool
    vanished: bool
    identity: Identity
    data: t.Optional[sparse.Data]


Take = t.Callable[["Source", PackedSource], None]
"""Called with each source as it was selected and as it was packed."""


class Packed(t.NamedTuple):
    """The result of ``pack``: size and digests of the archive and of the tgz inside."""

    size: int
    md5: str
    sha256: str
    tgz_size: int
    tgz_sha256: str


def member_name(path: str, below: str = "/") -> str:
    """The name in the tar of a source with this absolute path: what follows the folder ``below``, as tar itself stores it."""
    return path[len(below) :].lstrip("/")


def pack(
    sources: t.Iterable[Source],
    sink: t.BinaryIO,
    envelope: Envelope,
    take: Take,
    progress: t.Optional[Advance] = None,
    below: str = "/",
) -> Packed:
    """Write one archive of these sources to ``sink``.

    sources: regular files, opened below their ``root``; packed in the order of their member names, so that the same sources give the
    same tgz.
    envelope: encloses the tgz. take: gets each source once it is packed. progress: called with the number of source bytes
    read since the last call. below: the folder of all sources; their names in the tar begin there.
    A source that grows is packed with the size that it had at first; one that shrinks is filled with zeros to that size: the tar
    stays whole, and ``changed`` is set. Raises SourceError for a source that cannot be read, MissingLibraryError, and the OSError of
    ``sink``.
    """
    archive = _Archive(sink, envelope.seal())
    sources = list(sources)
    if all(source.path.isascii() for source in sources):
        # The same order, without a copy of each name.
        ordered = sorted(sources, key=lambda source: source.path)
    else:
        ordered = sorted(sources, key=lambda source: member_name(source.path, below).encode("utf-8", "surrogateescape"))
    gzip = _Gzip(archive.write, sum(source.size for source in ordered) + tarfile.RECORDSIZE)
    tar_size = 0
    try:
        for source in ordered:
            one, size = _pack_source(source, below, gzip, progress)
            take(source, one)
            tar_size += size
        gzip.write(bytes(2 * tarfile.BLOCKSIZE + -(tar_size + 2 * tarfile.BLOCKSIZE) % tarfile.RECORDSIZE))
        gzip.finish()
    finally:
        gzip.close()
    archive.finish()
    digests = (archive.md5.hexdigest(), archive.sha256.hexdigest())
    return Packed(archive.size, *digests, archive.tgz_size, archive.tgz_sha256.hexdigest())


def _pack_source(selected: Source, below: str, gzip: _Gzip, progress: t.Optional[Advance]) -> t.Tuple[PackedSource, int]:
    path = selected.path
    try:
        with open_folder(selected.root) as root:
            descriptor = open_file(root, selected.relative)
    except OSError as error:
        raise _unreadable(path, error) from error
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        os.close(descriptor)
        raise SourceError("not a regular file", path, "Only regular files are archived")
    if not FIRST_SECOND <= before.st_mtime_ns // 10**9 <= LAST_SECOND:
        os.close(descriptor)
        raise SourceError("its modification time is not a valid date (%d s)" % (before.st_mtime_ns // 10**9), path)
    if is_secret(descriptor, path):
        os.close(descriptor)
        raise SourceError(SECRET, path)
    with open(descriptor, "rb", buffering=0) as file:
        data = sparse.find_data(descriptor, before)
        beginning = b"" if data is None else sparse.stored_map(data)
        stored = len(beginning) + (before.st_size if data is None else sparse.stored_size(data))
        header = _tar_header(member_name(path, below), before, data, stored)
        gzip.write(header + beginning)
        sha256 = hashlib.sha256(beginning)
        missing = 0
        for offset, length in [(0, before.st_size)] if data is None else data:
            file.seek(offset)
            missing += _pack_bytes(path, file, length, gzip, sha256, progress)
        if progress is not None and data is not None:
            progress(before.st_size - sparse.stored_size(data))
        padding = -stored % tarfile.BLOCKSIZE
        gzip.write(bytes(padding))
        after = os.fstat(descriptor)
    vanished = _identity_now(selected) != identity(before)
    changed = bool(missing) or (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns)
    if not vanished:
        # The owner can set mtime back, but not ctime. (Rename and unlink change ctime too: then ``vanished`` is set.)
        changed = changed or after.st_ctime_ns != before.st_ctime_ns
    source = PackedSource(
        path=path,
        name=member_name(path, below),
        size=before.st_size,
        mtime_ns=before.st_mtime_ns,
        mode=stat.S_IMODE(before.st_mode),
        uid=before.st_uid,
        gid=before.st_gid,
        sha256=sha256.hexdigest(),
        changed=changed,
        vanished=vanished,
        identity=identity(before),
        data=data,
    )
    return source, len(header) + stored + padding


def _pack_bytes(path: str, file: t.Any, length: int, gzip: _Gzip, sha256: t.Any, progress: t.Optional[Advance]) -> int:
    """Pack the next bytes of a file; returns how many are missing at its end and are zeros in the archive."""
    remaining = length
    while remaining:
        with gzip.space(remaining) as space:
            try:
                count = file.readinto(space)
            except OSError as error:
                raise _unreadable(path, error) from error
            sha256.update(space[:count])
            gzip.advance(count)
        if not count:
            break
        remaining -= count
        if progress is not None:
            progress(count)
    missing = remaining
    while remaining:
        zeros = bytes(min(BLOCK, remaining))
        sha256.update(zeros)
        gzip.write(zeros)
        remaining -= len(zeros)
    return missing


def _tar_header(name: str, status: os.stat_result, data: t.Optional[sparse.Data], stored: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = stored
    if data is not None:
        # A tar that does not know sparse files extracts the map and the data under this name.
        info.name = "GNUSparseFile.0/file"
        info.pax_headers = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": name,
            "GNU.sparse.realsize": "%d" % status.st_size,
        }
    info.mtime = status.st_mtime_ns // 10**9
    info.mode = stat.S_IMODE(status.st_mode)
    info.uid, info.gid = status.st_uid, status.st_gid
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _identity_now(source: Source) -> t.Optional[Identity]:
    """The file that has the source's path now, or None."""
    try:
        with open_folder(source.root) as root:
            return identity(status_of(root, source.relative))
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise


def _unreadable(path: str, error: OSError) -> SourceError:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return SourceError(
            "cannot be read: a part of its path below the folder of the job is a symbolic link", path, "Links are not followed"
        )
    vanished = isinstance(error, FileNotFoundError)
    hint = "It vanished after it was selected" if vanished else "Run as a user that may read it"
    return SourceError(
        "cannot be read (%s)" % error.strerror, path, hint if vanished or isinstance(error, PermissionError) else None, vanished
    )


class _Archive:
    """Takes the tgz, writes it sealed to ``sink`` and keeps the digests of both."""

    def __init__(self, sink: t.BinaryIO, seal: Seal) -> None:
        self._sink = sink
        self._seal = seal
        self.tgz_sha256 = hashlib.sha256()
        self.tgz_size = 0
        self.sha256 = hashlib.sha256()
        self.md5 = hashlib.new("md5", usedforsecurity=False)
        self.size = 0

    def write(self, tgz: bytes) -> None:
        self.tgz_sha256.update(tgz)
        self.tgz_size += len(tgz)
        self._emit(self._seal.update(tgz))

    def finish(self) -> None:
        self._emit(self._seal.finish())

    def _emit(self, text: bytes) -> None:
        self.sha256.update(text)
        self.md5.update(text)
        self.size += len(text)
        self._sink.write(text)


class _Gzip:
    """One gzip member: blocks are deflated on all cores and given to ``output`` in order, by a separate thread.

    The number of blocks is fixed and they are reused. That bounds the memory, and saves the kernel clearing new pages. The first has
    only the size that is expected: to clear two blocks took a fifth of the time of a small archive.
    """

    def __init__(self, output: t.Callable[[bytes], None], expected: int) -> None:
        self._deflate, self._crc32 = _deflater()
        self._pools: t.Optional[t.Tuple[ThreadPoolExecutor, ThreadPoolExecutor]] = None
        self._blocks_left = 0
        self._under_way: t.Deque[t.Tuple[t.Any, bytearray]] = collections.deque()
        self._output = output
        self._block = bytearray(min(BLOCK, expected))
        self._filled = 0
        self._before = b""
        self._crc = 0
        self._size = 0
        output(GZIP_HEADER)

    def space(self, wanted: int) -> memoryview:
        """Room for at most ``wanted`` bytes. Call ``advance`` with the number of bytes that were written there."""
        if self._filled == len(self._block):
            self._block.extend(bytes(BLOCK - self._filled))  # There is more than was expected.
        return memoryview(self._block)[self._filled : self._filled + wanted]

    def advance(self, count: int) -> None:
        self._filled += count
        if self._filled == BLOCK:
            self._flush()

    def write(self, data: bytes) -> None:
        taken = 0
        while taken < len(data):
            count = min(BLOCK - self._filled, len(data) - taken)
            self._block[self._filled : self._filled + count] = data[taken : taken + count]
            taken += count
            self.advance(count)

    def finish(self) -> None:
        if self._pools is None:
            # It is the only block: threads would take longer to start than to deflate it.
            filled = self._filled_block()
            for piece in self._deflate(filled, b""):
                self._output(piece)
        else:
            self._deflate_block()
        while self._under_way:
            self._under_way.popleft()[0].result()
        self._output(LAST_DEFLATE_BLOCK + self._crc.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little"))

    def _write_pieces(self, deflated: t.Any) -> None:
        for piece in deflated.result():
            self._output(piece)

    def close(self) -> None:
        for written, _block in self._under_way:
            written.cancel()
        for pool in self._pools or ():
            pool.shutdown()

    def _flush(self) -> None:
        self._deflate_block()
        if self._blocks_left:
            self._blocks_left -= 1
            self._block = bytearray(BLOCK)
        else:
            written, self._block = self._under_way.popleft()
            written.result()

    def _filled_block(self) -> memoryview:
        filled = memoryview(self._block)[: self._filled]
        self._crc = self._crc32(filled, self._crc)
        self._size += len(filled)
        return filled

    def _deflate_block(self) -> None:
        if self._pools is None:
            from concurrent.futures import ThreadPoolExecutor

            workers = min(WORKERS, os.cpu_count() or 1)
            self._pools = ThreadPoolExecutor(workers), ThreadPoolExecutor(1)
            self._blocks_left = workers + 3
        deflaters, writer = self._pools
        filled = self._filled_block()
        deflated = deflaters.submit(self._deflate, filled, self._before)
        self._under_way.append((writer.submit(self._write_pieces, deflated), self._block))
        self._before = bytes(filled[-WINDOW:])
        self._filled = 0


def _deflater() -> t.Tuple[t.Callable[[memoryview, bytes], t.List[bytes]], t.Callable[[memoryview, int], int]]:
    """A function that deflates one block after the 32 KiB before it, and the CRC-32 that goes with it: of isal, else of zlib."""
    with optional("isal"):
        from isal import isal_zlib

        return _deflater_of(isal_zlib, ISAL_LEVEL)
    import zlib

    return _deflater_of(zlib, ZLIB_LEVEL)


def _deflater_of(library: t.Any, level: int) -> t.Tuple[t.Callable[[memoryview, bytes], t.List[bytes]], t.Callable[[memoryview, int], int]]:
    def deflate(block: memoryview, before: bytes) -> t.List[bytes]:
        options: t.Dict[str, t.Any] = {"zdict": before} if before else {}
        compressor = library.compressobj(level=level, method=library.DEFLATED, wbits=-15, **options)
        pieces = [compressor.compress(block[start : start + SLICE]) for start in range(0, len(block), SLICE)]
        return [piece for piece in [*pieces, compressor.flush(library.Z_SYNC_FLUSH)] if piece]

    return deflate, library.crc32
