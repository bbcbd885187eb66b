# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make one archive with its manifest in a folder. A failure or a kill leaves no unfinished archive under its final name."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import time
import typing as t
from datetime import datetime, timezone

from .. import __version__
from ..base.beneath import exists, open_folder
from ..base.durable import TEMP_PREFIX, WriteBehind, fsync_folder, make_folders, rename_without_overwrite
from ..base.errors import DiskFullError, LogArchiveError, SourceError
from ..base.periods import Period
from ..base.progress import Advance
from ..base.rows import rows_of
from ..base.units import format_size, format_utc
from .manifest import LARGEST, VERSION, bound_name, load, pieces, sealed, size_of, source_bytes
from .naming import Group, manifest_key, revised
from .packing import Packed, PackedSource, pack

if t.TYPE_CHECKING:
    from ..base.beneath import Identity
    from ..crypto.envelope import Envelope, NewEnvelope
    from ..sources.base import Source
    from .facts import LocalArchive, Manifest, ManySources, PeriodText, SourceFacts

ATTEMPTS = 3
"""How often a source that changes while it is read is packed before the caller's choice applies."""

LEAST_FACTS = 240
"""Bytes that a source takes in a manifest at least, beside its path."""


class Contents(t.NamedTuple):
    """The logs of one archive, and what its manifest states of them.

    below: the folder of all; their names in the tar begin there. not_before: the least time at which it is made, '' is none: the clock of
    the host may have been set back.
    """

    sources: t.Sequence[Source]
    host: str
    job: str
    period: Period
    below: str = "/"
    not_before: str = ""


class Created(t.NamedTuple):
    """One finished archive. seconds: wall-clock time of the packing; warnings: sentences about sources that changed.

    identities: device and inode of each file that was read, in the order of the manifest.
    """

    path: str
    manifest: Manifest
    seconds: float
    warnings: t.List[str]
    identities: t.Sequence[Identity]


def find_unchanged(path: str, sources: t.Sequence[Source]) -> t.Optional[Manifest]:
    """The manifest of the archive at ``path`` if the archive has the right size and holds these sources as they are now; else None.

    A source is unchanged when path, size and modification time are: its bytes are not read.
    """
    try:
        manifest = load(manifest_key(path))
        size = os.path.getsize(path)
    except FileNotFoundError:
        return None
    held = sorted((source["path"], source["size"], source["mtime_ns"]) for source in manifest["sources"])
    now = sorted((source.path, source.size, source.mtime_ns) for source in sources)
    return manifest if held == now and size == manifest["archive"]["size"] else None


def place(folder: str, group: Group, suffix: str) -> t.Tuple[str, t.Optional[Manifest]]:
    """The path of a group's archive in a folder, and its manifest.

    It is the path of an archive that holds these sources already, or, with None, the first revision of the name that is free.
    """
    for revision in itertools.count(1):
        path = os.path.join(folder, revised(group.name + suffix, suffix, revision))
        manifest = find_unchanged(path, group.sources)
        if manifest is not None or not os.path.lexists(path):
            return path, manifest
    raise AssertionError("unreachable: revisions do not end")


def local_archive(path: str, group: Group, manifest: t.Optional[Manifest]) -> LocalArchive:
    """The report of a group's archive at ``path``: complete if there is a manifest, else only the facts known before it is made."""
    facts: LocalArchive = {
        "path": path,
        "name": os.path.basename(path),
        "manifest_path": manifest_key(path),
        "period": _period(group.period),
        "sources": [source.path for source in group.sources],
        "source_bytes": group.source_bytes if manifest is None else source_bytes(manifest),
    }
    if manifest is not None:
        archive = manifest["archive"]
        facts["period"] = manifest["period"]
        facts["size"] = archive["size"]
        facts["md5"] = archive["md5"]
        facts["sha256"] = archive["sha256"]
        facts["key_id"] = manifest["encryption"].get("key_id")
        facts["ratio"] = round(facts["source_bytes"] / archive["size"], 2)
    return facts


def create_archive(
    path: str,
    contents: Contents,
    enclosing: NewEnvelope,
    refuse_changed: bool = False,
    progress: t.Optional[Advance] = None,
    holder: t.Optional[t.ContextManager[int]] = None,
) -> Created:
    """Pack logs to the archive ``path`` with its manifest beside it.

    holder: its folder, held open (a descriptor); by default it is opened by its path, and made (0700) if it is missing.
    The archive appears last and under its final name only when both are on the disk. refuse_changed: raise SourceError for a source
    that still changes at the last of three attempts; without it the archive keeps what was read, with ``changed: true``. progress:
    called with the number of source bytes read since the last call. enclosing: makes its envelope. Raises FileExistsError if there is
    something at ``path``, DiskFullError, SourceError, MissingLibraryError, LogArchiveError.
    """
    folder, name = os.path.split(path)
    envelope = enclosing.for_name(bound_name(contents.host, contents.job, name))
    # Packing 250,000 sources takes long: do not start if the manifest will be too large.
    _refuse_too_many(name, len(contents.sources), sum(LEAST_FACTS + len(source.path) for source in contents.sources))
    # The name is cut so that the manifest's temporary name fits too. One process at a time makes this archive.
    part = "%s%s-%d.part" % (TEMP_PREFIX, name[:180], os.getpid())
    started = time.monotonic()
    try:
        with holder or _opened(folder) as held:
            if exists(held, name):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
            try:
                with _locked(part, held) as file:
                    packed, sources = _pack_steady(file, contents, envelope, refuse_changed, progress)
                    manifest = sealed(_manifest(name, packed, contents, envelope, sources.facts), envelope)
                    _refuse_too_many(name, len(contents.sources), size_of(manifest))
                    _write_new(manifest_key(part), manifest, held)
                    os.replace(manifest_key(part), manifest_key(name), src_dir_fd=held, dst_dir_fd=held)
                    fsync_folder(held)
                    rename_without_overwrite(part, name, dir_fd=held)
                    fsync_folder(held)
            finally:
                for leftover in (part, manifest_key(part)):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(leftover, dir_fd=held)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                "no space left to write the archive '%s'; the unfinished archive was removed, its sources are untouched" % name,
                folder,
                "Free some space there, or set another folder",
            ) from error
        if isinstance(error, FileExistsError):
            raise
        raise LogArchiveError("cannot write the archive '%s' (%s)" % (name, error.strerror), folder) from error
    return Created(path, manifest, time.monotonic() - started, sources.warnings, sources.identities)


def _refuse_too_many(name: str, sources: int, size: int) -> None:
    """Refuse an archive with a manifest of ``size`` bytes (or more) that no reader would accept."""
    if size > LARGEST:
        raise LogArchiveError(
            "too many sources for one archive (%d): the manifest would be %d bytes or more; the limit is %s"
            % (sources, size, format_size(LARGEST)),
            name,
            "Make one archive per file or per period",
        )


@contextlib.contextmanager
def _opened(folder: str) -> t.Iterator[int]:
    make_folders(folder)
    with open_folder(folder) as held:
        yield held


def _locked(part: str, folder: int) -> t.BinaryIO:
    """A new file that is locked until it is closed: a leftover of a killed process has no lock."""
    while True:
        file = t.cast(t.BinaryIO, open(_private(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, folder), "wb"))  # noqa: SIM115
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # Another process took it for a leftover before it was locked.


def remove_leftovers(folder: str) -> None:
    """Remove the unfinished archives of killed processes from a folder, which may be missing: those that no process has locked.

    Raises LogArchiveError if the folder cannot be read.
    """
    try:
        entries = os.listdir(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise LogArchiveError("cannot read the folder: %s" % error.strerror, folder) from error
    for entry in entries:
        if not (entry.startswith(TEMP_PREFIX) and entry.endswith(".part")):
            continue
        part = os.path.join(folder, entry)
        with contextlib.suppress(FileNotFoundError, BlockingIOError), open(part, "rb", opener=_private) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for leftover in (part, manifest_key(part)):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(leftover)


class _Sources:
    """What is stated of the sources of one archive. facts: for the manifest, and warnings and identities for ``Created``; changed: the path
    of the first that changed while it was read."""

    def __init__(self, count: int) -> None:
        self.facts = rows_of(t.cast("t.List[SourceFacts]", []), count)
        self.warnings: t.List[str] = []
        self.identities: t.List[Identity] = []
        self.changed: t.Optional[str] = None

    def take(self, selected: Source, packed: PackedSource) -> None:
        self.facts.append(_source_facts(packed, selected.period))
        # Nearly always they are equal: then one of them is kept.
        self.identities.append(selected.identity if selected.identity == packed.identity else packed.identity)
        if packed.changed or packed.vanished:
            self.warnings.append(_warning(packed))
        if packed.changed and self.changed is None:
            self.changed = packed.path


def _pack_steady(
    file: t.BinaryIO, contents: Contents, envelope: Envelope, refuse_changed: bool, progress: t.Optional[Advance]
) -> t.Tuple[Packed, _Sources]:
    for attempt in range(1, ATTEMPTS + 1):
        file.seek(0)
        file.truncate()
        sources = _Sources(len(contents.sources))
        with contextlib.closing(WriteBehind(file)) as sink:
            packed = pack(contents.sources, t.cast(t.BinaryIO, sink), envelope, sources.take, progress, contents.below)
        if sources.changed is None or (attempt == ATTEMPTS and not refuse_changed):
            file.flush()
            os.fsync(file.fileno())
            return packed, sources
    raise SourceError(
        "it changed each of the %d times that it was read" % ATTEMPTS,
        str(sources.changed),
        "Archive it after its rotation (quiet, require_closed), or accept changed sources",
    )


def _private(path: str, flags: int, folder: t.Optional[int] = None) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=folder)


def _write_new(name: str, manifest: Manifest, folder: int) -> None:
    with open(_private(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, folder), "wb") as file:
        file.writelines(pieces(manifest))
        file.flush()
        os.fsync(file.fileno())


def _manifest(name: str, packed: Packed, contents: Contents, envelope: Envelope, sources: ManySources) -> Manifest:
    return {
        "version": VERSION,
        "engine": __version__,
        "host": contents.host,
        "job": contents.job,
        "created": max(format_utc(datetime.now(timezone.utc)), contents.not_before),
        "archive": {"name": name, "size": packed.size, "md5": packed.md5, "sha256": packed.sha256},
        "tgz": {"size": packed.tgz_size, "sha256": packed.tgz_sha256},
        "encryption": envelope.facts,
        "period": _period(contents.period),
        "sources": sources,
    }


def _source_facts(source: PackedSource, period: Period) -> SourceFacts:
    facts = dict(source._asdict(), mode="%04o" % source.mode, period=_period(period))
    del facts["identity"]  # It means nothing on another host, or after a restore.
    if source.data is None:
        del facts["data"]
    return t.cast("SourceFacts", facts)


def _period(period: Period) -> PeriodText:
    return {"start": format_utc(period.start), "end": format_utc(period.end)}


def _warning(source: PackedSource) -> str:
    what = (
        "changed while it was read; the archive holds it as it was read" if source.changed else "was removed or replaced after it was read"
    )
    return "%s %s" % (source.path if source.path.isprintable() else ascii(source.path), what)
