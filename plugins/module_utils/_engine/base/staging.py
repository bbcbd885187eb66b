# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files from an archive: first complete in a private folder inside the destination, then renamed to their places, all or none."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import typing as t

from . import beneath, protected, sparse
from .durable import TEMP_PREFIX
from .errors import ConfigError, DiskFullError, IntegrityError, LogArchiveError
from .names import HINT, add_folders, inexact, is_exact
from .rows import Rows, rows_of

STAGING_PREFIX = TEMP_PREFIX + "restore-"
CHUNK = 1 << 17
"""Bytes of plaintext that are handled at once. For larger pieces the C library gets memory from the kernel and returns it each time."""


def temporary_folder() -> str:
    """Where archives lie, as a store holds them, while they are checked or searched: $TMPDIR, or /var/tmp, which is on a disk."""
    return os.environ.get("TMPDIR") or "/var/tmp"


def sha256_of(stream: t.BinaryIO) -> str:
    """The SHA-256, in hex, of the rest of a stream."""
    digest = hashlib.sha256()
    for chunk in iter(lambda: stream.read(CHUNK), b""):
        digest.update(chunk)
    return digest.hexdigest()


class ExtractedFile(t.NamedTuple):
    """One file of an archive, below the destination. state: 'written', or 'unchanged' if ``path`` already had the same bytes."""

    path: str
    name: str
    size: int
    sha256: str
    state: str


class StagedFile(t.NamedTuple):
    """One file in the staging folder. name: its relative path below the destination; staged: its name in the staging folder.

    data: where a file with holes has data (see ``sparse``).
    """

    name: str
    staged: str
    size: int
    sha256: str
    mode: int
    mtime_ns: int
    data: t.Optional[sparse.Data] = None


def check_name(name: str, subject: str) -> None:
    """Raise IntegrityError for the name of a member that would lead out of the destination or is reserved.

    Raises LogArchiveError for a name that this process cannot write as its bytes.
    """
    check_place(name, subject)
    if not is_exact(name):
        raise LogArchiveError("cannot extract %s: %s" % (ascii(name), inexact()), subject, HINT)


def check_place(name: str, subject: str) -> None:
    """Raise IntegrityError for the name of a member that would lead out of the destination or is reserved."""
    if name.startswith("/") or "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise IntegrityError("refused: the member name %s would leave the destination" % ascii(name), subject)
    if name.split("/")[0].startswith(TEMP_PREFIX):
        raise IntegrityError("refused: the member name %s is reserved" % ascii(name), subject)


class Staging:
    """A private folder inside a destination; both are held open, so that nobody can exchange them. Make it with ``staging_in``."""

    def __init__(self, destination: str, root: int, folder: int) -> None:
        self._destination = destination
        self._root = root
        self._folder = folder

    def create(self, name: str) -> t.BinaryIO:
        """A new file in the staging folder, open for reading and writing."""
        return open(os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self._folder), "w+b")

    def publish(self, staged: t.Collection[StagedFile], overwrite: bool) -> t.Collection[ExtractedFile]:
        """Rename the staged files to their places; LogArchiveError, with nothing done, if one cannot be written to its place."""
        files = _planned(staged, self._destination, self._root, overwrite)
        for file, extracted in zip(staged, files):
            if extracted.state == "written":
                with beneath.parent_of(self._root, file.name, create=True) as (holder, name):
                    os.chmod(file.staged, file.mode, dir_fd=self._folder)
                    os.utime(file.staged, ns=(file.mtime_ns, file.mtime_ns), dir_fd=self._folder)
                    # Not flushed to the disk: after a loss of power the user extracts again, because the archive still exists.
                    os.replace(file.staged, name, src_dir_fd=self._folder, dst_dir_fd=holder)
        return files


@contextlib.contextmanager
def staging_in(destination: str) -> t.Iterator[Staging]:
    """A staging folder inside ``destination``, removed at the end; first those of killed runs are removed.

    The destination is made (0700) if it is missing. Raises ConfigError if another user could exchange it (see ``open_private``).
    """
    with beneath.open_private(destination, create=True) as root, contextlib.ExitStack() as stack:
        remove_unlocked(root, STAGING_PREFIX)
        name, folder = new_locked_folder(root, STAGING_PREFIX, stack)
        try:
            yield Staging(destination, root, folder)
        finally:
            _remove(root, name, folder)


def new_locked_folder(root: int, prefix: str, stack: contextlib.ExitStack) -> t.Tuple[str, int]:
    """Make a folder (0700) in ``root`` with a name that begins with ``prefix``; returns its name and its descriptor, which holds a lock.

    stack: keeps it open. A process that removes what killed ones left takes folders without a lock. So it may remove this one before
    it is locked: then a new one is made.
    """
    while True:
        name = prefix + os.urandom(8).hex()
        os.mkdir(name, 0o700, dir_fd=root)
        with contextlib.suppress(FileNotFoundError):
            folder = stack.enter_context(beneath.open_below(root, name))
            fcntl.flock(folder, fcntl.LOCK_EX)
            if beneath.identity(os.stat(name, dir_fd=root, follow_symlinks=False)) == beneath.identity(os.fstat(folder)):
                return name, folder


def remove_leftovers(destination: str) -> None:
    """Remove the staging folders that killed runs left in ``destination``, unless another user could exchange it."""
    with contextlib.suppress(ConfigError, FileNotFoundError, NotADirectoryError), beneath.open_private(destination) as root:
        remove_unlocked(root, STAGING_PREFIX)


def remove_unlocked(root: int, prefix: str) -> None:
    """Remove this user's folders in ``root`` with names that begin with ``prefix``, with all that is in them, unless a process holds their
    lock (``new_locked_folder``)."""
    for name in os.listdir(root):
        # FileNotFoundError: another process removed it. BlockingIOError: a running one holds it. NotADirectoryError: it is not a folder.
        with contextlib.suppress(FileNotFoundError, BlockingIOError, NotADirectoryError):
            if name.startswith(prefix) and os.stat(name, dir_fd=root, follow_symlinks=False).st_uid == os.geteuid():
                with beneath.open_below(root, name) as leftover:
                    fcntl.flock(leftover, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    beneath.remove_tree(root, name)


def _remove(root: int, name: str, folder: int) -> None:
    """Remove a staging folder, which holds only files."""
    for entry in os.listdir(folder):
        os.unlink(entry, dir_fd=folder)
    os.rmdir(name, dir_fd=root)


def check_destination(destination: str) -> None:
    """Raise ConfigError if nothing may be extracted to this folder, whether it exists or not (see ``open_private``)."""
    try:
        with beneath.open_private(destination):
            pass
    except (FileNotFoundError, NotADirectoryError):
        beneath.real_path(destination)


def planned(staged: t.Collection[StagedFile], destination: str, overwrite: bool) -> t.Collection[ExtractedFile]:
    """What ``Staging.publish`` would return; raises what it would raise."""
    if not os.path.lexists(destination):
        check_destination(destination)
        return [ExtractedFile(os.path.join(destination, file.name), file.name, file.size, file.sha256, "written") for file in staged]
    with beneath.open_private(destination) as root:
        return _planned(staged, destination, root, overwrite)


def _planned(staged: t.Collection[StagedFile], destination: str, root: int, overwrite: bool) -> t.Collection[ExtractedFile]:
    planned: t.Union[t.List[ExtractedFile], Rows[ExtractedFile]] = rows_of([], len(staged), ExtractedFile._make)
    conflicts = []
    folders: t.Set[str] = set()
    for file in staged:
        add_folders(folders, file.name)
    clashing = {file.name for file in staged if file.name in folders}
    sound: t.Set[str] = set()
    for file in staged:
        path = os.path.join(destination, file.name)
        there = _refuse_obstacles(root, destination, file.name, clashing, sound)
        unchanged = there and _has(root, file.name, file.size, file.sha256, file.data)
        if there and not unchanged and not overwrite:
            conflicts.append(path)
        planned.append(ExtractedFile(path, file.name, file.size, file.sha256, "unchanged" if unchanged else "written"))
    if conflicts:
        raise LogArchiveError(
            "%d existing file(s) with other content are not overwritten; nothing was extracted" % len(conflicts),
            ascii(conflicts[0]),
            "Choose an empty destination, restore fewer archives (by name or time), or overwrite, so that the newest remains",
        )
    return planned


def _refuse_obstacles(root: int, destination: str, name: str, clashing: t.Container[str], sound: t.Set[str]) -> bool:
    """Whether something has this name already; raises LogArchiveError if it, or a folder on the way, is an obstacle.

    An obstacle is a symbolic link, a file in the place of a folder or the other way round, and a folder in which others can exchange
    names. clashing: names of files that are folders of others. sound: folders that are known to be none; grows.
    """
    parts = name.split("/")
    for count in range(1, len(parts) + 1):
        relative = "/".join(parts[:count])
        folder = count < len(parts)
        if folder and relative in sound:
            continue
        path = os.path.join(destination, relative)
        try:
            mode = beneath.status_of(root, relative).st_mode
        except FileNotFoundError:
            mode = None
        if mode is not None and stat.S_ISLNK(mode):
            raise LogArchiveError("the path of a restored file contains a symbolic link", ascii(path), "Choose another destination")
        if (mode is not None and stat.S_ISDIR(mode) != folder) or (folder and relative in clashing):
            found, needed = ("file", "folder") if folder else ("folder", "file")
            raise LogArchiveError(
                "a %s exists in place of a %s of the archive" % (found, needed), ascii(path), "Choose another destination"
            )
        if mode is not None and folder:
            with beneath.open_below(root, relative) as below:
                beneath.require_private(below, path)
                protected.refuse_folder(below, path, protected.settings_identity())
            sound.add(relative)
    return mode is not None


def has(destination: str, relative: str, size: int, sha256: str, data: t.Optional[sparse.Data] = None) -> bool:
    """Whether ``relative`` below the folder ``destination`` is a regular file of this size and digest. data: see ``sparse``."""
    try:
        with beneath.open_folder(destination) as folder:
            return _has(folder, relative, size, sha256, data)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _has(folder: int, relative: str, size: int, sha256: str, data: t.Optional[sparse.Data]) -> bool:
    try:
        status = beneath.status_of(folder, relative)
        if not stat.S_ISREG(status.st_mode) or status.st_size != size:
            return False
        with open(beneath.open_file(folder, relative), "rb") as existing:
            return (sha256_of(existing) if data is None else sparse.sha256_of_file(existing.fileno(), data)) == sha256
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return False
        raise


@contextlib.contextmanager
def failing_clearly(destination: str) -> t.Iterator[None]:
    """Turn an OSError of the body into DiskFullError or LogArchiveError, which name ``destination`` or the file."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                "no space left to extract the archive; the files that were written were removed",
                destination,
                "Free some space, or choose another folder",
            ) from error
        from .rights import who_needs_the_right

        name = os.fsdecode(error.filename or "")
        # Files are opened below a folder that is held open, so their names are relative to it; that of the destination, to its parent.
        path = destination if name == os.path.basename(destination) else os.path.join(destination, name) if name else destination
        hint = who_needs_the_right(error, "write there")
        raise LogArchiveError("cannot write the file: %s" % error.strerror, path, hint) from error
