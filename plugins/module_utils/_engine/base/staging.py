# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files out of an archive: first whole in a private folder inside the destination, then all of them under their names, or none."""

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
"""Bytes of plaintext that are handled at once. Larger pieces than this the C library gets from the kernel, and gives back, each time."""


class ExtractedFile(t.NamedTuple):
    """One file of an archive, below the destination. state: 'written', or 'unchanged' where the same bytes already stood at ``path``."""

    path: str
    name: str
    size: int
    sha256: str
    state: str


class StagedFile(t.NamedTuple):
    """One file in the staging folder. name: its relative path below the destination; staged: where it lies meanwhile."""

    name: str
    staged: str
    size: int
    sha256: str
    mode: int
    mtime_ns: int


def check_name(name: str, subject: str) -> None:
    """Raise IntegrityError for the name of a member that would not become a file of its own below the destination."""
    if name.startswith("/") or "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise IntegrityError("refused: the member name %s would leave the destination" % ascii(name), subject)
    if name.split("/")[0].startswith(TEMP_PREFIX):
        raise IntegrityError("refused: the member name %s is reserved" % ascii(name), subject)


@contextlib.contextmanager
def staging_folder(destination: str) -> t.Iterator[str]:
    """A private folder inside ``destination``, removed at the end; those of killed runs are removed first."""
    import fcntl
    import shutil
    import tempfile

    for entry in os.listdir(destination):
        if entry.startswith(STAGING_PREFIX):
            stale = os.path.join(destination, entry)
            try:
                handle = os.open(stale, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue  # The restore that it belonged to has ended.
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(stale)
            except BlockingIOError:
                pass  # A restore that is running now holds it.
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
    """What ``publish`` would return; raises LogArchiveError where a file may not take its place."""
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
            "%d file(s) with other content already stand there and are not overwritten, nothing was extracted" % len(conflicts),
            ascii(conflicts[0]),
            "Choose an empty destination, restore fewer archives (by name or time), or overwrite: the newest then wins",
        )
    return planned


def publish(staged: t.Sequence[StagedFile], destination: str, overwrite: bool) -> t.List[ExtractedFile]:
    """Give the staged files their names; LogArchiveError, with nothing done, where one may not take its place."""
    files = planned(staged, destination, overwrite)
    for file, extracted in zip(staged, files):
        if extracted.state == "written":
            make_private_folders(os.path.dirname(extracted.path))
            os.chmod(file.staged, file.mode)
            os.utime(file.staged, ns=(file.mtime_ns, file.mtime_ns))
            # Not flushed to the disk: whoever loses power now extracts again, the archive is still there.
            os.replace(file.staged, extracted.path)
    return files


def _refuse_obstacles(destination: str, name: str, names: t.Container[str]) -> None:
    """What would stop a restore halfway, or lead a file elsewhere: links, files where folders must be and the other way round."""
    parts = name.split("/")
    for count in range(1, len(parts) + 1):
        path = os.path.join(destination, *parts[:count])
        folder = count < len(parts)
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            mode = None
        if mode is not None and stat.S_ISLNK(mode):
            raise LogArchiveError("a symbolic link stands in the way of a restored file", ascii(path), "Choose another destination")
        if (mode is not None and stat.S_ISDIR(mode) != folder) or (folder and "/".join(parts[:count]) in names):
            what = "a file stands where a folder" if folder else "a folder stands where a file"
            raise LogArchiveError("%s of the archive must be" % what, ascii(path), "Choose another destination")


def has(path: str, size: int, sha256: str) -> bool:
    """Whether a regular file of this size and digest stands there."""
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
    """Errors of the system below ``destination`` become ours."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                "no space left while the archive was extracted; what was written of it was removed",
                destination,
                "Free some space there, or choose another folder",
            ) from error
        raise LogArchiveError("cannot write there (%s)" % error.strerror, error.filename or destination) from error
