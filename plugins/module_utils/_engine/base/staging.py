# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files from an archive: first complete in a private folder inside the destination, then renamed to their places, all or none."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import typing as t

from .durable import TEMP_PREFIX, make_private_folders
from .errors import DiskFullError, IntegrityError, LogArchiveError

STAGING_PREFIX = TEMP_PREFIX + "restore-"
CHUNK = 1 << 17
"""Bytes of plaintext that are handled at once. For larger pieces the C library gets memory from the kernel and returns it each time."""


class ExtractedFile(t.NamedTuple):
    """One file of an archive, below the destination. state: 'written', or 'unchanged' if ``path`` already had the same bytes."""

    path: str
    name: str
    size: int
    sha256: str
    state: str


class StagedFile(t.NamedTuple):
    """One file in the staging folder. name: its relative path below the destination; staged: its path in the staging folder."""

    name: str
    staged: str
    size: int
    sha256: str
    mode: int
    mtime_ns: int


def check_name(name: str, subject: str) -> None:
    """Raise IntegrityError for the name of a member that would lead out of the destination or is reserved."""
    if name.startswith("/") or "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise IntegrityError("refused: the member name %s would leave the destination" % ascii(name), subject)
    if name.split("/")[0].startswith(TEMP_PREFIX):
        raise IntegrityError("refused: the member name %s is reserved" % ascii(name), subject)


@contextlib.contextmanager
def staging_folder(destination: str) -> t.Iterator[str]:
    """A private folder inside ``destination``, removed at the end; first those of killed runs are removed."""
    import fcntl
    import shutil
    import tempfile

    for entry in os.listdir(destination):
        if entry.startswith(STAGING_PREFIX):
            stale = os.path.join(destination, entry)
            try:
                handle = os.open(stale, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue  # its restore has ended
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(stale)
            except BlockingIOError:
                pass  # a running restore holds it
            finally:
                os.close(handle)
    staging = tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=destination)
    handle = os.open(staging, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield staging
    finally:
        shutil.rmtree(staging)
        os.close(handle)


def planned(staged: t.Sequence[StagedFile], destination: str, overwrite: bool) -> t.List[ExtractedFile]:
    """What ``publish`` would return; raises LogArchiveError if a file cannot be written to its place."""
    planned = []
    conflicts = []
    names = {file.name for file in staged}
    for file in staged:
        path = os.path.join(destination, file.name)
        _refuse_obstacles(destination, file.name, names)
        unchanged = has(path, file.size, file.sha256)
        if not unchanged and os.path.lexists(path) and not overwrite:
            conflicts.append(path)
        planned.append(ExtractedFile(path, file.name, file.size, file.sha256, "unchanged" if unchanged else "written"))
    if conflicts:
        raise LogArchiveError(
            "%d existing file(s) with other content are not overwritten; nothing was extracted" % len(conflicts),
            ascii(conflicts[0]),
            "Choose an empty destination, restore fewer archives (by name or time), or overwrite: then the newest remains",
        )
    return planned


def publish(staged: t.Sequence[StagedFile], destination: str, overwrite: bool) -> t.List[ExtractedFile]:
    """Rename the staged files to their places; LogArchiveError, with nothing done, if one cannot be written to its place."""
    files = planned(staged, destination, overwrite)
    for file, extracted in zip(staged, files):
        if extracted.state == "written":
            make_private_folders(os.path.dirname(extracted.path))
            os.chmod(file.staged, file.mode)
            os.utime(file.staged, ns=(file.mtime_ns, file.mtime_ns))
            # Not flushed to the disk: after a loss of power the user extracts again, because the archive still exists.
            os.replace(file.staged, extracted.path)
    return files


def _refuse_obstacles(destination: str, name: str, names: t.Container[str]) -> None:
    """Raise LogArchiveError for a symbolic link on the way, a file in the place of a folder, or a folder in the place of a file."""
    parts = name.split("/")
    for count in range(1, len(parts) + 1):
        path = os.path.join(destination, *parts[:count])
        folder = count < len(parts)
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            mode = None
        if mode is not None and stat.S_ISLNK(mode):
            raise LogArchiveError("a symbolic link is in the way of a restored file", ascii(path), "Choose another destination")
        if (mode is not None and stat.S_ISDIR(mode) != folder) or (folder and "/".join(parts[:count]) in names):
            found, needed = ("file", "folder") if folder else ("folder", "file")
            raise LogArchiveError(
                "a %s is in the place of a %s of the archive" % (found, needed), ascii(path), "Choose another destination"
            )


def has(path: str, size: int, sha256: str) -> bool:
    """Whether ``path`` is a regular file of this size and digest."""
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size != size:
            return False
        found = hashlib.sha256()
        with open(path, "rb") as existing:
            for chunk in iter(lambda: existing.read(CHUNK), b""):
                found.update(chunk)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return found.hexdigest() == sha256


@contextlib.contextmanager
def failing_clearly(destination: str) -> t.Iterator[None]:
    """Turn an OSError of the body into DiskFullError or LogArchiveError, which name ``destination`` or the file."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                "no space left while the archive was extracted; the part that was written was removed",
                destination,
                "Free some space there, or choose another folder",
            ) from error
        raise LogArchiveError("cannot write the file: %s" % error.strerror, error.filename or destination) from error
