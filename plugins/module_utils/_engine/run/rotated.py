# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recognise logs that were archived before a rotation renamed, copied or compressed them.

A catalog knows a log by its path, size and modification time. logrotate renames ``x.log`` to ``x.log.1``, that to ``x.log.2`` and so on,
compresses some of them, or copies the log and empties it. Without this, each rotation would archive every rotated log once more.

Only a log that may be one of these is read: the same file (device and inode) with the same size and time, or one with a name of the same
log and the size of an archived state. It is the archived one if its bytes (or what is compressed in them) have the same SHA-256, and if
the archived state is no longer where it was. Then the catalog records its name, and later runs do not read it.
"""

from __future__ import annotations

import os
import typing as t

from ..base.beneath import identity, open_file, open_folder
from ..sources import rotation

if t.TYPE_CHECKING:
    from ..sources.base import Source
    from ..state.names import Archived
    from .context import Context

MOST_MULTIPLES = 16
"""gzip states the size of its content modulo 4 GiB; so many times 4 GiB are looked for."""


def recognise(run: Context, sources: t.Sequence[Source]) -> t.List[Source]:
    """The sources without those that are archived under another name."""
    new = []
    for source in sources:
        found = _archived_before(run, source)
        if found is None:
            new.append(source)
            continue
        archived, sha256 = found
        run.catalog.names.add(archived.archive, source, sha256)
        run.recorder.event("recognised", path=source.path, archived_as=archived.path)
    return new


def _archived_before(run: Context, source: Source) -> t.Optional[t.Tuple[Archived, str]]:
    """The state that this log was archived as, and the SHA-256 of its bytes now; None if it is a new one, or cannot be read."""
    hints = _unread_hints(run, source)
    if not hints and not rotation.is_packed(source.path):
        return None
    try:
        with open_folder(source.root) as root:
            descriptor = open_file(root, source.relative)
    except OSError:
        return None  # Packing reports why.
    try:
        if rotation.is_packed(source.path):
            hints += _packed_hints(run, source, descriptor)
        if not hints:
            return None
        content = rotation.digest(descriptor, source.path, max(hint.size for hint in hints))
        status = os.fstat(descriptor)
        if (identity(status), status.st_size, status.st_mtime_ns) != (source.identity, source.size, source.mtime_ns):
            return None
        return next(((hint, content.sha256) for hint in hints if hint.sha256 in content), None)
    except OSError:
        return None  # Packing reports why.
    finally:
        os.close(descriptor)


def _unread_hints(run: Context, source: Source) -> t.List[Archived]:
    """The archived states that this log may be: the same file, or a log with a related name and the same size."""
    names = run.catalog.names
    related = _related(source, names.of_size(run.job, _beginning(source), source.size))
    return _gone([*names.of_file(run.job, source), *related])


def _packed_hints(run: Context, source: Source, descriptor: int) -> t.List[Archived]:
    """The archived states that may be compressed in this log."""
    names = run.catalog.names
    size = rotation.unpacked_size(descriptor, source.path)
    if size is None:
        # logrotate gives a compressed log the time of the log.
        return _gone(_related(source, names.of_second(run.job, _beginning(source), source.mtime_ns)))
    # Deflate packs at most 1,032 to one.
    sizes = range(size, min(source.size * 1032, MOST_MULTIPLES << 32) + 1, 1 << 32)
    found = [archived for each in sizes for archived in names.of_size(run.job, _beginning(source), each)]
    return _gone(_related(source, found))


def _beginning(source: Source) -> str:
    """How the paths of all logs begin that rotation may have made this one of: of 'x.log' also 'x.1.log'."""
    folder, name = os.path.split(source.path)
    stem = rotation.stem(name)
    return os.path.join(folder, stem.rpartition(".")[0] or stem)


def _related(source: Source, found: t.Iterable[Archived]) -> t.List[Archived]:
    """Those with the name of the same log, in the same folder."""
    folder, name = os.path.split(source.path)
    wanted = folder, rotation.stem(name)
    return [one for one in found if (os.path.dirname(one.path), rotation.stem(os.path.basename(one.path))) == wanted]


def _gone(found: t.Iterable[Archived]) -> t.List[Archived]:
    return [one for one in found if not _is_still_there(one)]


def _is_still_there(archived: Archived) -> bool:
    """Whether the archived log still has its name: then this is another one (a copy, or a link)."""
    try:
        status = os.lstat(archived.path)
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (archived.size, archived.mtime_ns)
