# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that survive a crash: whole or not there, never overwritten by accident, changed by one process at a time.

All functions raise OSError with its errno as the system gave it: the caller knows what a full disk means to it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
import typing as t

from .errors import LockedError

TEMP_PREFIX = ".log-archive-"
"""Names that begin with this are unfinished: never listed, and removed when whoever wrote them was killed."""


def fsync_folder(path: t.Union[str, int]) -> None:
    """Bring the names in a folder (its path, or a descriptor of it) to the disk."""
    if isinstance(path, int):
        os.fsync(path)
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_private_folders(path: str) -> None:
    """Make the folder ``path`` and the missing ones above it, each with the mode 0700 (os.makedirs gives its mode to the last only)."""
    parent = os.path.dirname(path.rstrip("/"))
    if parent and not os.path.isdir(parent):
        make_private_folders(parent)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise


def write_all(fd: int, data: t.Union[bytes, memoryview]) -> None:
    """Write all of ``data``: a single write(2) may take less."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_atomically(path: str, data: bytes, mode: int = 0o600, owner: t.Optional[t.Tuple[int, int]] = None) -> None:
    """Make ``path`` a file of exactly ``data`` and the permissions ``mode``, whatever stood there; on failure nothing has changed.

    owner: (uid, gid) that it gets; by default those of the process.
    """
    folder, name = os.path.split(path)
    # The name is cut so that the temporary one fits where the final one does.
    part = os.path.join(folder, "%s%s-%s.part" % (TEMP_PREFIX, os.fsdecode(os.fsencode(name)[:200]), os.urandom(8).hex()))
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            write_all(fd, data)
            if owner is not None:
                os.fchown(fd, *owner)
            os.fchmod(fd, mode)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(part, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        raise
    fsync_folder(folder or ".")


def rename_without_overwrite(src: str, dst: str, dir_fd: t.Optional[int] = None) -> None:
    """Rename a file within one file system; FileExistsError where ``dst`` is taken, by whatever it is.

    dir_fd: the folder to which both names are relative. The caller brings the folder to the disk (``fsync_folder``).
    """
    try:
        os.link(src, dst, src_dir_fd=dir_fd, dst_dir_fd=dir_fd, follow_symlinks=False)
    except FileExistsError:
        # NFS may answer so to a call that it has carried out and whose first answer was lost.
        if not os.path.samestat(os.lstat(src, dir_fd=dir_fd), os.lstat(dst, dir_fd=dir_fd)):
            raise
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        _rename_where_links_are_unsupported(src, dst, dir_fd)
        return
    os.unlink(src, dir_fd=dir_fd)


def _rename_where_links_are_unsupported(src: str, dst: str, dir_fd: t.Optional[int]) -> None:
    # FAT, some FUSE and CIFS mounts. The lock on the folder keeps our own processes apart between the look and the rename.
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
def lock(path: str, wait: bool) -> t.Iterator[None]:
    """Hold the lock file ``path`` (made if missing, never removed) while the context lasts; the kernel frees it if we die.

    wait: wait for another holder to end, else raise LockedError that names it. What the file says is for people only.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            holder = os.pread(fd, 200, 0).decode("ascii", "replace").strip()
            raise LockedError(
                "another run holds the lock (%s)" % (holder or "it has not written down its process id"),
                path,
                "Wait until it has ended; the lock goes with its process, there is no file to remove",
            ) from None
        note = "pid %d, since %s\n" % (os.getpid(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        # A run on a full disk is needed most: it empties the spool. The note is not worth refusing it.
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, note.encode("ascii"), 0)
        yield
    finally:
        os.close(fd)
