# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Untrusted zips: list their members, and extract them below a folder, all of them or none.

Format: APPNOTE.TXT of PKWARE. Python's zipfile reads it and checks the CRC-32 of each member. The times in a zip have no time zone, unless
an extra field has the exact time: "UT" of Info-ZIP (proginfo/extrafld.txt) or that of NTFS (APPNOTE.TXT 4.5.5).
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import stat
import struct
import typing as t
import zipfile
import zlib

from ..base.errors import IntegrityError, LogArchiveError
from ..base.names import plain
from ..base.staging import CHUNK, ExtractedFile, StagedFile, Staging, check_name, failing_clearly, planned, staging_in
from ..base.units import LAST_SECOND, format_size

_UNIX = 3
_UNIX_TIMES = 0x5455
_NTFS = 0x000A
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_NTFS_EPOCH = datetime.datetime(1601, 1, 1, tzinfo=datetime.timezone.utc)
_METHODS = {1: "shrink", 6: "implode", 9: "deflate64", zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "lzma", 93: "zstd", 98: "ppmd"}
"""Names of compression methods, for messages (APPNOTE.TXT 4.4.5)."""
_LARGEST_ENTRY = 46 + 512
"""The maximum average number of bytes of one entry in the directory: the fixed part, and a long name with extra fields."""
_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")


_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError)
"""What zipfile raises for numbers, names and data that make no sense. ValueError includes names that cannot be decoded."""


class Limits(t.NamedTuple):
    """Limits on a zip. size: total bytes of the extracted files; ratio: extracted bytes per packed byte of a file; members: count."""

    size: int = 10 << 30
    ratio: float = 1000.0
    members: int = 100_000


DEFAULT_LIMITS = Limits()


class Member(t.NamedTuple):
    """One entry of a zip. name: without "./" parts; size, packed_size: bytes.

    modified: the exact time (aware, UTC) if the zip has it, else local time in an unknown zone; None if it is not a valid time.
    """

    name: str
    size: int
    packed_size: int
    modified: t.Optional[datetime.datetime]
    encrypted: bool
    is_folder: bool


def members(path: str, limits: Limits = DEFAULT_LIMITS) -> t.List[Member]:
    """The entries of a zip, in their order. Raises IntegrityError if it is not a zip, or has more entries than ``limits`` allow."""
    with _opened(path, limits) as archive:
        return [_member(info) for info in archive.infolist()]


def extract(
    path: str,
    destination: str,
    names: t.Optional[t.Sequence[str]] = None,
    limits: Limits = DEFAULT_LIMITS,
    overwrite: bool = False,
    progress: t.Optional[t.Callable[[int], None]] = None,
    check: bool = False,
) -> t.Collection[ExtractedFile]:
    """Extract members below ``destination`` in bounded memory; a zip that is refused leaves nothing behind.

    names: the members to extract, all by default. overwrite: replace files with other content, which otherwise are an error. progress:
    called with the bytes extracted since the last call. check: a dry run, which extracts everything and writes nothing.
    Times in the zip that are not exact are taken as local times of this host; its modes are ignored. Raises IntegrityError with the member
    that is encrypted, damaged, unsafe or missing, or the limit that was exceeded; DiskFullError, LogArchiveError.
    """
    with _opened(path, limits) as archive, failing_clearly(destination):
        chosen = chosen_of(archive, names, path)
        if check:
            return planned(_staged(archive, chosen, None, limits, path, progress), destination, overwrite)
        with staging_in(destination) as staging:
            return staging.publish(_staged(archive, chosen, staging, limits, path, progress), overwrite)


@contextlib.contextmanager
def _opened(path: str, limits: Limits) -> t.Iterator[zipfile.ZipFile]:
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(open(path, "rb"))
            archive = stack.enter_context(reading(file, path, limits))
        except OSError as error:
            raise LogArchiveError("cannot read the zip: %s" % error.strerror, path) from error
        yield archive


@contextlib.contextmanager
def reading(file: t.BinaryIO, subject: str, limits: Limits = DEFAULT_LIMITS) -> t.Iterator[zipfile.ZipFile]:
    """The zip in a seekable file. subject: how errors name it. Raises IntegrityError if it is not one, or has too many entries."""
    try:
        if _directory_size(file) > limits.members * _LARGEST_ENTRY:
            raise IntegrityError("the directory of the zip is too large for %d members" % limits.members, subject)
        archive = zipfile.ZipFile(file)
    except _DAMAGED as error:
        raise IntegrityError("not a zip, or a damaged one (%s)" % error, subject) from error
    with archive:
        if len(archive.infolist()) > limits.members:
            raise IntegrityError("the zip has %d members; the limit is %d" % (len(archive.infolist()), limits.members), subject)
        yield archive


def _directory_size(file: t.BinaryIO) -> int:
    """The bytes of the zip's directory, which zipfile reads into memory as a whole; 0 if there is none (zipfile then finds none, too)."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - (1 << 16) - _END.size))
    tail = file.read()
    at = len(tail) - _END.size
    if at < 0 or not tail.startswith(b"PK\5\6", at):
        at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        return 0
    directory = t.cast(int, _END.unpack_from(tail, at)[5])
    if at >= _END64_LOCATOR.size and tail.startswith(b"PK\6\7", at - _END64_LOCATOR.size):
        file.seek(max(0, size - len(tail) + at - _END64_LOCATOR.size - _END64.size))
        record = file.read(_END64.size)
        if record.startswith(b"PK\6\6"):
            directory = max(directory if directory != 0xFFFFFFFF else 0, t.cast(int, _END64.unpack(record)[8]))
    return directory


def _member(info: zipfile.ZipInfo) -> Member:
    name = plain(info.filename)
    return Member(name, info.file_size, info.compress_size, modified_of(info), bool(info.flag_bits & 1), _is_folder(info))


def modified_of(info: zipfile.ZipInfo) -> t.Optional[datetime.datetime]:
    """When a member was modified (see ``Member``)."""
    fields = _extra_fields(info.extra)
    unix, ntfs = fields.get(_UNIX_TIMES, b""), fields.get(_NTFS, b"")
    if len(unix) >= 5 and unix[0] & 1:
        return _EPOCH + datetime.timedelta(seconds=struct.unpack_from("<l", unix, 1)[0])
    # Four reserved bytes, then attribute 1 of 24 bytes, which begins with the modification time in 100 ns since 1601.
    if len(ntfs) >= 16 and ntfs[4:8] == b"\1\0\x18\0":
        microseconds = struct.unpack_from("<Q", ntfs, 8)[0] // 10
        # Later times cannot be shown in every time zone.
        if microseconds < (LAST_SECOND - _NTFS_EPOCH.timestamp()) * 1e6:
            return _NTFS_EPOCH + datetime.timedelta(microseconds=microseconds)
    try:
        return datetime.datetime(*info.date_time)
    except ValueError:
        return None  # The format can express 31 February, and 60 seconds.


def _extra_fields(extra: bytes) -> t.Dict[int, bytes]:
    """The extra fields of an entry by their header id (APPNOTE.TXT 4.5.1)."""
    fields: t.Dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        fields.setdefault(kind, extra[at + 4 : at + 4 + size])
        at += 4 + size
    return fields


def _is_folder(info: zipfile.ZipInfo) -> bool:
    # ZipInfo.is_dir() fails for an empty name, which zipfile makes of one that begins with a zero byte.
    return info.filename.endswith("/")


def chosen_of(archive: zipfile.ZipFile, names: t.Optional[t.Sequence[str]], path: str) -> t.List[zipfile.ZipInfo]:
    """The entries of the files of these names, or of all files. path: how errors name the zip. Raises IntegrityError if one is refused."""
    infos = [info for info in archive.infolist() if not _is_folder(info)]
    if names is not None:
        wanted = {plain(name) for name in names}
        there = {plain(info.filename) for info in infos}
        missing = [name for name in names if plain(name) not in there]
        if missing:
            shown = ", ".join(map(ascii, sorted(there)[:10])) + (", ..." if len(there) > 10 else "")
            raise IntegrityError(
                "the zip contains no file %s" % ", ".join(map(ascii, missing)), path, "It contains %s" % (shown or "no files")
            )
        infos = [info for info in infos if plain(info.filename) in wanted]
    seen: t.Set[str] = set()
    for info in infos:
        _check(info, path)
        name = plain(info.filename)
        if name in seen:
            raise IntegrityError("the zip contains the member %s twice" % ascii(name), path)
        seen.add(name)
    return infos


def _check(info: zipfile.ZipInfo, path: str) -> None:
    if "\\" in info.orig_filename:
        raise IntegrityError("refused: the member name %s would leave the destination on other systems" % ascii(info.orig_filename), path)
    check_name(plain(info.orig_filename), path)
    if info.flag_bits & 1:
        raise IntegrityError("the member %s is encrypted" % ascii(info.filename), path, "Create the zip without a password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # With the other methods, zipfile uses unbounded memory.
        method = _METHODS.get(info.compress_type, "method %d" % info.compress_type)
        raise IntegrityError("the member %s is compressed by %s" % (ascii(info.filename), method), path, "Create the zip with deflate")
    kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system == _UNIX else 0
    if kind not in (0, stat.S_IFREG):
        what = "a symbolic link" if kind == stat.S_IFLNK else "a device or another special file"
        raise IntegrityError("refused: the member %s is %s" % (ascii(info.filename), what), path)


def _staged(
    archive: zipfile.ZipFile,
    chosen: t.Sequence[zipfile.ZipInfo],
    staging: t.Optional[Staging],
    limits: Limits,
    path: str,
    progress: t.Optional[t.Callable[[int], None]],
) -> t.List[StagedFile]:
    staged: t.List[StagedFile] = []
    room = limits.size
    for number, info in enumerate(chosen):
        name = "%d" % number
        with open(os.devnull, "wb") if staging is None else staging.create(name) as file:
            size, sha256 = _extract(archive, info, file, room, limits, path, progress)
        modified = modified_of(info)
        mtime = os.stat(path).st_mtime_ns if modified is None else int(modified.timestamp()) * 10**9
        staged.append(StagedFile(plain(info.filename), name, size, sha256, 0o600, mtime))
        room -= size
    return staged


def _extract(
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    file: t.BinaryIO,
    room: int,
    limits: Limits,
    path: str,
    progress: t.Optional[t.Callable[[int], None]],
) -> t.Tuple[int, str]:
    """Extract one member to ``file``; returns its size and SHA-256."""
    sha256 = hashlib.sha256()
    size = 0
    for chunk in pieces(archive, info, room, limits, path):
        size += len(chunk)
        sha256.update(chunk)
        file.write(chunk)
        if progress is not None:
            progress(len(chunk))
    return size, sha256.hexdigest()


def pieces(archive: zipfile.ZipFile, info: zipfile.ZipInfo, room: int, limits: Limits, path: str) -> t.Iterator[bytes]:
    """The bytes of one member. The sizes in its headers are not trusted: the bytes are counted. room: bytes that it may have.

    Raises IntegrityError.
    """
    size = 0
    # A small file of repeated bytes is harmless, whatever its ratio.
    most = max(limits.ratio * info.compress_size, 1 << 20)
    try:
        with archive.open(info) as member:
            for chunk in iter(lambda: member.read(CHUNK), b""):
                size += len(chunk)
                if size > room:
                    raise IntegrityError("the extracted files are larger than %s, the limit" % format_size(limits.size), path)
                if size > most:
                    raise IntegrityError(
                        "the expansion ratio of the member %s exceeds %g, the limit" % (ascii(info.filename), limits.ratio), path
                    )
                yield chunk
    except _DAMAGED as error:
        # RuntimeError: encrypted according to the header of the member. EOFError: truncated.
        raise IntegrityError("the member %s is damaged (%s)" % (ascii(info.filename), error or "truncated"), path) from error
