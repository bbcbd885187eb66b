# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A zip from somebody else, read with suspicion: listed, and its members extracted below a folder, or nothing of it.

Format: APPNOTE.TXT of PKWARE; read by Python's zipfile, which checks each member's CRC-32. Zip times carry no time zone.
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
from ..base.staging import CHUNK, ExtractedFile, StagedFile, check_name, failing_clearly, planned, publish, staging_folder
from ..base.units import format_size

_UNIX = 3
_METHODS = {1: "shrink", 6: "implode", 9: "deflate64", zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "lzma", 93: "zstd", 98: "ppmd"}
"""Names of compression methods, for messages (APPNOTE.TXT 4.4.5)."""
_LARGEST_ENTRY = 46 + 512
"""Bytes of the directory for one member: what is fixed, and a long name with what else belongs to it."""
_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")


class Limits(t.NamedTuple):
    """What a zip may become: bytes of all that is extracted, how many times the bytes that it has in the zip, and number of members."""

    size: int = 10 << 30
    ratio: float = 1000.0
    members: int = 100_000


DEFAULT_LIMITS = Limits()


class Member(t.NamedTuple):
    """One entry of a zip. size, packed_size: bytes; modified: local time of who made it, whose zone nobody knows, None if it is none."""

    name: str
    size: int
    packed_size: int
    modified: t.Optional[datetime.datetime]
    encrypted: bool
    is_folder: bool


def members(path: str, limits: Limits = DEFAULT_LIMITS) -> t.List[Member]:
    """The entries of a zip in its order; raises IntegrityError where it is none, or has more entries than ``limits`` allow."""
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
) -> t.List[ExtractedFile]:
    """Extract members of these names, all by default, below ``destination``, in bounded memory; nothing is left of a zip that is refused.

    overwrite: replace files with other content, which are an error else. progress: called with the bytes unpacked since the last call.
    check: unpack everything and write nothing.
    Times are taken as this host's local time; modes are not taken. Raises IntegrityError that names the member that is encrypted,
    damaged, hostile or missing, or the limit that is reached; DiskFullError, LogArchiveError.
    """
    with _opened(path, limits) as archive, failing_clearly(destination):
        chosen = _chosen(archive, names, path)
        if check:
            return planned(_staged(archive, chosen, None, limits, path, progress), destination, overwrite)
        os.makedirs(destination, mode=0o700, exist_ok=True)
        with staging_folder(destination) as staging:
            return publish(_staged(archive, chosen, staging, limits, path, progress), destination, overwrite)


@contextlib.contextmanager
def _opened(path: str, limits: Limits) -> t.Iterator[zipfile.ZipFile]:
    try:
        if _directory_size(path) > limits.members * _LARGEST_ENTRY:
            raise IntegrityError("refused: its directory is larger than that of %d members" % limits.members, path)
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise LogArchiveError("the zip cannot be read (%s)" % error.strerror, path) from error
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        raise IntegrityError("it is no zip, or a damaged one (%s)" % error, path) from error
    with archive:
        if len(archive.infolist()) > limits.members:
            raise IntegrityError("refused: it has %d members, more than %d" % (len(archive.infolist()), limits.members), path)
        yield archive


def _directory_size(path: str) -> int:
    """Bytes of the zip's directory, all of which zipfile reads into memory; 0 where none is found (then zipfile finds none either)."""
    with open(path, "rb") as file:
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
    try:
        modified: t.Optional[datetime.datetime] = datetime.datetime(*info.date_time)
    except ValueError:
        modified = None  # The format can say 31 February, and 60 seconds.
    return Member(info.filename, info.file_size, info.compress_size, modified, bool(info.flag_bits & 1), info.is_dir())


def _chosen(archive: zipfile.ZipFile, names: t.Optional[t.Sequence[str]], path: str) -> t.List[zipfile.ZipInfo]:
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if names is not None:
        there = {info.filename for info in infos}
        missing = [name for name in names if name not in there]
        if missing:
            shown = ", ".join(map(ascii, sorted(there)[:10])) + (", ..." if len(there) > 10 else "")
            raise IntegrityError("it holds no file %s" % ", ".join(map(ascii, missing)), path, "It holds %s" % (shown or "none at all"))
        infos = [info for info in infos if info.filename in names]
    seen: t.Set[str] = set()
    for info in infos:
        _check(info, path)
        if info.filename in seen:
            raise IntegrityError("refused: it holds %s twice" % ascii(info.filename), path)
        seen.add(info.filename)
    return infos


def _check(info: zipfile.ZipInfo, path: str) -> None:
    if "\\" in info.orig_filename:
        raise IntegrityError("refused: the member name %s would leave the destination elsewhere" % ascii(info.orig_filename), path)
    check_name(info.orig_filename, path)
    if info.flag_bits & 1:
        raise IntegrityError("the member %s is encrypted" % ascii(info.filename), path, "Have it made without a password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # zipfile inflates the others without a bound on memory.
        method = _METHODS.get(info.compress_type, "method %d" % info.compress_type)
        raise IntegrityError("the member %s is compressed by %s" % (ascii(info.filename), method), path, "Have it made with deflate")
    kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system == _UNIX else 0
    if kind not in (0, stat.S_IFREG):
        what = "a symbolic link" if kind == stat.S_IFLNK else "a device or another special file"
        raise IntegrityError("refused: the member %s is %s" % (ascii(info.filename), what), path)


def _staged(
    archive: zipfile.ZipFile,
    chosen: t.Sequence[zipfile.ZipInfo],
    staging: t.Optional[str],
    limits: Limits,
    path: str,
    progress: t.Optional[t.Callable[[int], None]],
) -> t.List[StagedFile]:
    staged: t.List[StagedFile] = []
    room = limits.size
    for number, info in enumerate(chosen):
        where = os.devnull if staging is None else os.path.join(staging, "%d" % number)
        staged.append(_stage(archive, info, where, room, limits, path, progress))
        room -= staged[-1].size
    return staged


def _stage(
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    staged: str,
    room: int,
    limits: Limits,
    path: str,
    progress: t.Optional[t.Callable[[int], None]],
) -> StagedFile:
    """Extract one member to the path ``staged``. What its headers say of its size is not believed: bytes are counted as they come."""
    sha256 = hashlib.sha256()
    size = 0
    # A small file of one letter, repeated, is no bomb.
    most = max(limits.ratio * info.compress_size, 1 << 20)
    try:
        with archive.open(info) as member, open(staged, "wb") as file:
            for chunk in iter(lambda: member.read(CHUNK), b""):
                size += len(chunk)
                if size > room:
                    raise IntegrityError("refused: what it unpacks to is more than %s" % format_size(limits.size), path)
                if size > most:
                    raise IntegrityError(
                        "refused: %s is more than %g times as large as it is packed" % (ascii(info.filename), limits.ratio), path
                    )
                sha256.update(chunk)
                file.write(chunk)
                if progress is not None:
                    progress(len(chunk))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        # RuntimeError: encrypted by its own header. EOFError: cut.
        raise IntegrityError("the member %s is damaged (%s)" % (ascii(info.filename), error or "cut"), path) from error
    modified = _member(info).modified
    mtime = os.stat(path).st_mtime_ns if modified is None else int(modified.timestamp()) * 10**9
    return StagedFile(info.filename, staged, size, sha256.hexdigest(), 0o600, mtime)
