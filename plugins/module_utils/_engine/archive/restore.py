# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore files from an archive: authenticate, then decrypt, check, and only then give the files their names."""

from __future__ import annotations

import collections
import hashlib
import math
import tarfile
import typing as t

from ..base import sparse
from ..base.ahead import QUEUED, batches
from ..base.errors import IntegrityError
from ..base.progress import Advance
from ..base.rows import Rows
from ..base.staging import ExtractedFile, StagedFile, Staging, failing_clearly, staging_in
from .manifest import content_of
from .reading import Contents, contents, refuse_cut, stored_part

if t.TYPE_CHECKING:
    from ..crypto.envelope import Envelope
    from .facts import Manifest, SourceFacts


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
) -> t.Collection[ExtractedFile]:
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
        with contents(stream, envelope, subject, content_of(manifest)) as inside:
            staged = _extract(inside, staging, placing.without, _Expected(manifest, subject), subject, progress)
        return staging.publish(staged, placing.overwrite)


def check_contents(stream: t.BinaryIO, envelope: Envelope, manifest: Manifest, subject: str) -> None:
    """Prove what ``restore`` proves, and write nothing. The arguments and the errors are those of ``restore``."""
    stream.seek(0)
    envelope.authenticate(stream, manifest["archive"]["sha256"], subject)
    stream.seek(0)
    expected = _Expected(manifest, subject)
    with contents(stream, envelope, subject, content_of(manifest)) as inside:
        for member in inside.members():
            expected.compare(checked(member, inside, subject))
        inside.finish()
    expected.finish()


class _Expected:
    """What a manifest states of the files of an archive, in whatever order. Of an archive of ours it is the order of the archive, and then
    nothing of it is kept in memory. Without a manifest everything is right.

    An archive that differs is refused at the end: a damaged one ends before that with a more precise error.
    """

    def __init__(self, manifest: t.Optional[Manifest], subject: str) -> None:
        self._subject = subject
        self._sources: t.Optional[t.Iterator[SourceFacts]] = None if manifest is None else iter(manifest["sources"])
        self._passed: t.Dict[str, SourceFacts] = {}
        self._problems: t.List[t.Tuple[str, str]] = []

    def compare(self, file: StagedFile) -> StagedFile:
        """Compare a file; returns it with the whole modification time that the manifest states. The tar has its seconds."""
        if self._sources is None:
            return file
        source = self._source(file.name)
        if source is None:
            self._refuse(file.name, "is not in the manifest")
        elif (file.size, file.sha256, _pairs(file.data)) != (source["size"], source["sha256"], _pairs(source.get("data"))):
            self._refuse(file.name, "differs")
        elif source["mtime_ns"] // 10**9 * 10**9 == file.mtime_ns:
            return file._replace(mtime_ns=source["mtime_ns"])
        return file

    def _source(self, name: str) -> t.Optional[SourceFacts]:
        if name in self._passed:
            return self._passed.pop(name)
        for source in self._sources or ():
            if source["name"] == name:
                return source
            self._passed[source["name"]] = source
        return None

    def _refuse(self, name: str, why: str) -> None:
        self._problems = [min([*self._problems, (name, why)])]

    def finish(self) -> None:
        """Raise IntegrityError unless the archive had exactly these files; it names the first of them."""
        for name in self._passed:
            self._refuse(name, "is missing from the archive")
        for source in self._sources or ():
            self._refuse(source["name"], "is missing from the archive")
        for name, why in self._problems:
            raise IntegrityError("the archive does not match its manifest: %s %s" % (ascii(name), why), self._subject)


def checked(member: tarfile.TarInfo, inside: Contents, subject: str) -> StagedFile:
    """Read a member without writing it. Raises IntegrityError."""
    stored = stored_part(member)
    sha256 = hashlib.sha256(stored.beginning)
    size = 0
    for piece in inside.pieces(stored.size):
        sha256.update(piece)
        size += len(piece)
    refuse_cut(member, size, stored, subject)
    mode, mtime_ns = _times(member)
    return StagedFile(member.name, "", member.size, sha256.hexdigest(), mode, mtime_ns, stored.data)


def _times(member: tarfile.TarInfo) -> t.Tuple[int, int]:
    """The mode that is restored, and the modification time in nanoseconds since the epoch."""
    return member.mode & 0o777, math.floor(member.mtime) * 10**9


def _staged(row: t.Sequence[t.Any]) -> StagedFile:
    file = StagedFile(*row)
    return file if file.data is None else file._replace(data=[(entry[0], entry[1]) for entry in file.data])


def _extract(
    inside: Contents,
    staging: Staging,
    without: t.AbstractSet[str],
    expected: _Expected,
    subject: str,
    progress: t.Optional[Advance],
) -> Rows[StagedFile]:
    from concurrent.futures import ThreadPoolExecutor

    staged = Rows(_staged)
    with ThreadPoolExecutor(1) as hasher:
        for member in inside.members():
            if member.name in without:
                expected.compare(checked(member, inside, subject))
                if progress is not None:
                    progress(member.size)
                continue
            number = "%d" % len(staged)
            stored = stored_part(member)
            sha256 = hashlib.sha256(stored.beginning)
            written = 0
            hashed: t.Deque[t.Any] = collections.deque()
            with staging.create(number) as file:
                writer = sparse.Writer(file.fileno(), member.size, stored.data)
                for pieces in batches(inside.pieces(stored.size)):
                    # A separate thread hashes, this one writes, others decrypt and inflate.
                    hashed.append(hasher.submit(_hash, sha256, pieces))
                    if len(hashed) > QUEUED:
                        hashed.popleft().result()
                    for piece in pieces:
                        writer.write(piece)
                        written += len(piece)
                        if progress is not None:
                            progress(len(piece))
                refuse_cut(member, written, stored, subject)
                writer.finish()
            for done in hashed:
                done.result()
            if progress is not None and stored.data is not None:
                progress(member.size - stored.size)
            mode, mtime_ns = _times(member)
            one = StagedFile(member.name, number, member.size, sha256.hexdigest(), mode, mtime_ns, stored.data)
            staged.append(expected.compare(one))
        # The rest after the end of the tar must be read too: the signature and the gzip checksum are checked at the very end.
        inside.finish()
    expected.finish()
    return staged


def _hash(sha256: t.Any, pieces: t.Sequence[memoryview]) -> None:
    for piece in pieces:
        sha256.update(piece)


def _pairs(data: t.Optional[t.Iterable[t.Sequence[int]]]) -> t.Optional[t.List[t.Tuple[int, ...]]]:
    return None if data is None else [tuple(entry) for entry in data]
