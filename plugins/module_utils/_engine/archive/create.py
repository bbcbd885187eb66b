# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make one archive in a folder: pack, manifest beside it, and nothing half-written whatever happens."""

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
from ..base.durable import TEMP_PREFIX, fsync_folder, rename_without_overwrite
from ..base.errors import DiskFullError, LogArchiveError, SourceError
from ..base.periods import Period
from ..base.units import format_utc
from ..crypto.keyring import Key
from ..sources.base import Source
from . import manifest as manifests
from .naming import Group, manifest_key, revised
from .packing import Packed, PackedSource, pack

ATTEMPTS = 3
"""How often a source that changes while it is read is packed again before the caller's choice applies."""


class Created(t.NamedTuple):
    """One finished archive. seconds: wall-clock time of the packing; warnings: sentences about sources that changed."""

    path: str
    manifest: manifests.Manifest
    seconds: float
    warnings: t.List[str]


def find_unchanged(path: str, sources: t.Sequence[Source]) -> t.Optional[manifests.Manifest]:
    """The manifest of the archive at ``path`` if it is whole in size and made of these sources as they are now; else None.

    A source is unchanged when path, size and modification time are: its bytes are not read.
    """
    try:
        manifest = manifests.load(manifest_key(path))
        size = os.path.getsize(path)
    except FileNotFoundError:
        return None
    held = sorted((source["path"], source["size"], source["mtime_ns"]) for source in manifest["sources"])
    now = sorted((source.path, source.size, source.mtime_ns) for source in sources)
    return manifest if held == now and size == manifest["archive"]["size"] else None


def place(folder: str, group: Group, suffix: str) -> t.Tuple[str, t.Optional[manifests.Manifest]]:
    """Where in a folder the archive of a group belongs: at one that holds these sources already, with its manifest, else at the
    first revision of the name that is free, with None."""
    for revision in itertools.count(1):
        path = os.path.join(folder, revised(group.name + suffix, suffix, revision))
        manifest = find_unchanged(path, group.sources)
        if manifest is not None or not os.path.lexists(path):
            return path, manifest
    raise AssertionError("itertools.count ends never")


def described(path: str, group: Group, manifest: t.Optional[manifests.Manifest]) -> t.Dict[str, t.Any]:
    """What a caller tells of the archive of a group: all of it where there is a manifest, else what is known before it is made."""
    sources = sum(source.size for source in group.sources) if manifest is None else manifests.source_bytes(manifest)
    told: t.Dict[str, t.Any] = {
        "path": path,
        "name": os.path.basename(path),
        "manifest_path": manifest_key(path),
        "period": _period(group.period),
        "sources": [source.path for source in group.sources],
        "source_bytes": sources,
    }
    if manifest is not None:
        archive = manifest["archive"]
        told.update(
            period=manifest["period"],
            size=archive["size"],
            md5=archive["md5"],
            sha256=archive["sha256"],
            key_id=manifest["encryption"].get("key_id"),
            ratio=round(sources / archive["size"], 2),
        )
    return told


def create_archive(
    path: str,
    sources: t.Sequence[Source],
    key: t.Optional[Key],
    host: str,
    job: str,
    period: Period,
    refuse_changed: bool = False,
    progress: t.Optional[t.Callable[[int], None]] = None,
    below: str = "/",
) -> Created:
    """Pack the sources to the archive ``path`` with its manifest beside it; the folder is made (0700) if it is missing.

    key: encrypts it; without one it stays a plain tgz. below: the folder of all sources; their names in the tar begin there.
    The archive appears last and under its final name only when both are on the disk. refuse_changed: raise SourceError for a
    source that still changes at the last of three attempts, instead of keeping what was read with ``changed: true``.
    Raises FileExistsError where an archive stands at ``path``, DiskFullError, SourceError, MissingLibraryError.
    """
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    folder, name = os.path.split(path)
    # The name is cut so that the manifest's temporary name fits too. One process at a time makes this archive.
    part = os.path.join(folder, "%s%s-%d.part" % (TEMP_PREFIX, name[:180], os.getpid()))
    started = time.monotonic()
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        _remove_leftovers(folder)
        with _locked(part) as file:
            packed = _pack_steady(file, sources, key, refuse_changed, progress, below)
            manifest = _manifest(name, packed, sources, key, host, job, period)
            text = manifests.dump(manifest)
            if len(text) > manifests.LARGEST:
                raise LogArchiveError(
                    "too many sources for one archive (%d): no reader takes a manifest as large as its would be" % len(sources),
                    name,
                    "Make one archive per file or per period",
                )
            _write_new(manifest_key(part), text)
            os.replace(manifest_key(part), manifest_key(path))
            fsync_folder(folder)
            rename_without_overwrite(part, path)
            fsync_folder(folder)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                "no space left while the archive '%s' was written; it was removed, its sources are untouched" % name,
                folder,
                "Free some space there, or set another folder",
            ) from error
        if isinstance(error, FileExistsError):
            raise
        raise LogArchiveError("the archive '%s' cannot be written (%s)" % (name, error.strerror), folder) from error
    finally:
        for leftover in (part, manifest_key(part)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(leftover)
    return Created(path, manifest, time.monotonic() - started, [_warning(s) for s in packed.sources if s.changed or s.vanished])


def _locked(part: str) -> t.BinaryIO:
    """A new file that is locked until it is closed: so it is told from what a killed process left."""
    while True:
        file = open(part, "wb", opener=_private)  # noqa: SIM115
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # Taken for a leftover before it was locked.


def _remove_leftovers(folder: str) -> None:
    """Remove what killed processes left in the folder of archives: the unfinished ones that nobody holds."""
    for entry in os.listdir(folder):
        if not (entry.startswith(TEMP_PREFIX) and entry.endswith(".part")):
            continue
        part = os.path.join(folder, entry)
        with contextlib.suppress(FileNotFoundError, BlockingIOError), open(part, "rb", opener=_private) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for leftover in (part, manifest_key(part)):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(leftover)


def _pack_steady(
    file: t.BinaryIO,
    sources: t.Sequence[Source],
    key: t.Optional[Key],
    refuse_changed: bool,
    progress: t.Optional[t.Callable[[int], None]],
    below: str,
) -> Packed:
    for attempt in range(1, ATTEMPTS + 1):
        file.seek(0)
        file.truncate()
        packed = pack([source.path for source in sources], file, None if key is None else key.secret, progress, below)
        changed = [source for source in packed.sources if source.changed]
        if not changed or (attempt == ATTEMPTS and not refuse_changed):
            file.flush()
            os.fsync(file.fileno())
            return packed
    raise SourceError(
        "it changed each of the %d times that it was read" % ATTEMPTS,
        changed[0].path,
        "Archive it after its rotation (quiet, require_closed), or accept changed sources",
    )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _write_new(path: str, data: bytes) -> None:
    with open(path, "wb", opener=_private) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _manifest(
    name: str, packed: Packed, sources: t.Sequence[Source], key: t.Optional[Key], host: str, job: str, period: Period
) -> manifests.Manifest:
    periods = {source.path: source.period for source in sources}
    return {
        "version": manifests.VERSION,
        "engine": __version__,
        "host": host,
        "job": job,
        "created": format_utc(datetime.now(timezone.utc)),
        "archive": {"name": name, "size": packed.size, "md5": packed.md5, "sha256": packed.sha256},
        "tgz": {"size": packed.tgz_size, "sha256": packed.tgz_sha256},
        "encryption": {"format": "none", "key_id": None} if key is None else {"format": "fernet", "key_id": key.id},
        "period": _period(period),
        "sources": [dict(s._asdict(), mode="%04o" % s.mode, period=_period(periods[s.path])) for s in packed.sources],
    }


def _period(period: Period) -> t.Dict[str, str]:
    return {"start": format_utc(period.start), "end": format_utc(period.end)}


def _warning(source: PackedSource) -> str:
    what = (
        "changed while it was read; the archive holds it as it was read" if source.changed else "was removed or replaced after it was read"
    )
    return "%s %s" % (source.path if source.path.isprintable() else ascii(source.path), what)
