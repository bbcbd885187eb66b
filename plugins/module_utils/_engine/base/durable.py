# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that survive a crash: complete or absent, never overwritten by accident, changed by one process at a time.

All functions raise OSError with the errno of the system: the caller knows what a full disk means to it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time

from . import hints as t
from .errors import LockedError

if t.TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

TEMP_PREFIX = ".log-archive-"
"""Names that begin with this are unfinished: they are never listed, and are removed after their writer was killed."""
SYNC_EVERY = 16 << 20
"""Bytes that ``WriteBehind`` lets wait before it brings them to the disk."""
_LONGEST_LOOK = 10.0
"""Seconds that a run waits for a process that only looks at its lock."""


def fsync_folder(path: t.Union[str, int]) -> None:
    """Write the names in a folder (its path, or a descriptor of it) to the disk."""
    if isinstance(path, int):
        os.fsync(path)
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folders(path: str, mode: int = 0o700) -> None:
    """Make the folder ``path`` and the missing ones above it, each with this mode, from which the umask takes away.

    os.makedirs gives its mode to the last one only: under a umask of 000 anybody could write to the others.
    """
    parent = os.path.dirname(path.rstrip("/"))
    if parent and not os.path.isdir(parent):
        make_folders(parent, mode)
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        if not os.path.isdir(path):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from None


def new_file(path: str, mode: int) -> t.BinaryIO:
    """A new file, open to write, with this mode, from which the umask takes away. Raises FileExistsError."""
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb")


def write_all(fd: int, data: t.Union[bytes, memoryview]) -> None:
    """Write all of ``data``: a single write(2) may write less."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class WriteBehind:
    """Writes to a file while a thread brings to the disk what was written, so that the fsync at the end has little left to do.

    A short file needs no thread. ``close`` waits for the thread and leaves the file open. It and ``write`` raise the error of the thread:
    the kernel reports to each open file only once that it lost something, so fsync might not report it again.
    """

    def __init__(self, file: t.BinaryIO) -> None:
        self._file = file
        self._new = 0
        self._pool: t.Optional[ThreadPoolExecutor] = None
        self._under_way: t.Optional[Future[None]] = None

    def write(self, data: bytes) -> int:
        self._new += len(data)
        if self._new >= SYNC_EVERY and (self._under_way is None or self._under_way.done()):
            self._sync()
        return self._file.write(data)

    def close(self) -> None:
        if self._pool is not None and self._under_way is not None:
            self._pool.shutdown()
            self._under_way.result()

    def _sync(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        if self._under_way is not None:
            self._under_way.result()
        self._pool = self._pool or ThreadPoolExecutor(1, "write-behind")
        self._under_way = self._pool.submit(os.fdatasync, self._file.fileno())
        self._new = 0


def write_atomically(
    path: str, data: bytes, mode: int = 0o600, owner: t.Optional[t.Tuple[int, int]] = None, dir_fd: t.Optional[int] = None
) -> None:
    """Replace ``path`` by a file of exactly ``data`` with the permissions ``mode``; on failure nothing has changed.

    A device or a named pipe is not replaced: for the whole system /dev/null would be a file. A symbolic link is.
    owner: its (uid, gid), by default those of the process. dir_fd: the folder to which ``path``, a name, is relative.
    """
    folder, name = os.path.split(path)
    with contextlib.suppress(FileNotFoundError):
        kind = os.lstat(path, dir_fd=dir_fd).st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISLNK(kind) or stat.S_ISDIR(kind)):
            raise OSError(errno.EEXIST, "it is not a regular file", path)
    # The name is cut so that the temporary one is not too long if the final one is not.
    part = os.path.join(folder, "%s%s-%s.part" % (TEMP_PREFIX, os.fsdecode(os.fsencode(name)[:200]), os.urandom(8).hex()))
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=dir_fd)
    try:
        try:
            write_all(fd, data)
            if owner is not None:
                os.fchown(fd, *owner)
            os.fchmod(fd, mode)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(part, path, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part, dir_fd=dir_fd)
        raise
    fsync_folder((folder or ".") if dir_fd is None else dir_fd)


def rename_without_overwrite(src: str, dst: str, dir_fd: t.Optional[int] = None) -> None:
    """Rename a file within one file system; FileExistsError if ``dst`` exists, of whatever kind it is.

    dir_fd: the folder to which both names are relative. The caller writes the folder to the disk (``fsync_folder``).
    """
    try:
        os.link(src, dst, src_dir_fd=dir_fd, dst_dir_fd=dir_fd, follow_symlinks=False)
    except FileExistsError:
        # NFS may answer so after it has carried out the call, if its first answer was lost.
        if not os.path.samestat(os.lstat(src, dir_fd=dir_fd), os.lstat(dst, dir_fd=dir_fd)):
            raise
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        _rename_where_links_are_unsupported(src, dst, dir_fd)
        return
    os.unlink(src, dir_fd=dir_fd)


def _rename_where_links_are_unsupported(src: str, dst: str, dir_fd: t.Optional[int]) -> None:
    # FAT, some FUSE and CIFS mounts. The lock on the folder keeps our other processes out between the look and the rename.
    folder = os.open(os.path.dirname(dst) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        try:
            os.lstat(dst, dir_fd=dir_fd)
        except FileNotFoundError:
            os.rename(src, dst, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        else:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), dst)
    finally:
        os.close(folder)


@contextlib.contextmanager
def lock(path: str, wait: bool, dir_fd: t.Optional[int] = None) -> t.Iterator[None]:
    """Hold the lock file ``path`` (made if missing, never removed) while the context lasts; the kernel releases it if we die.

    dir_fd: the folder that holds the file; ``path`` is then only for messages, except for its last name.
    wait: wait for another holder to end; otherwise raise LockedError, which names it. The content of the file is for people only.
    """
    name = path if dir_fd is None else os.path.basename(path)
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=dir_fd)
    try:
        try:
            if wait:
                fcntl.flock(fd, fcntl.LOCK_EX)
            else:
                _take_now(fd)
        except BlockingIOError:
            holder = os.pread(fd, 200, 0).decode("ascii", "replace").strip()
            raise LockedError(
                "another run holds the lock (%s)" % (holder or "its process id is unknown"),
                path,
                "Wait until it ends. The lock ends with its process, so there is no file to remove",
            ) from None
        note = "pid %d, since %s\n" % (os.getpid(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        # A run on a full disk is the most useful one: it empties the spool. It must not fail for the sake of this note.
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, note.encode("ascii"), 0)
        yield
    finally:
        os.close(fd)


def _take_now(fd: int) -> None:
    """Take a lock unless another run holds it; BlockingIOError then.

    A process that looks at the lock (``is_locked``) holds it shared, for a moment or for as long as it has no processor. That is no
    reason to give up: a shared lock can be taken beside it, and beside a run's not.
    """
    end = time.monotonic() + _LONGEST_LOOK
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(fd, fcntl.LOCK_UN)
        time.sleep(0.01)


def is_locked(path: str) -> bool:
    """Whether a process holds the lock file ``path``."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
