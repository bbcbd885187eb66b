# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folders and files of a file store, reached below its root without following a symlink."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shlex
import stat
import typing as t

from ..base.durable import fsync_folder
from ..base.errors import StoreDeniedError, StoreError, StoreFullError, StoreNotFoundError, StoreUnavailableError
from .base import MOST_OBJECTS, listing_too_large

_FULL = (errno.ENOSPC, errno.EDQUOT)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_UNAVAILABLE = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENOTCONN, errno.EREMOTEIO)
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""The file does not exist, or a file or symlink is in place of a folder, or a symlink is in place of the file."""
# Keep a folder that is not empty, in use, or not removable by us; another process may have removed it.
_STAYS = (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY, errno.EACCES, errno.EPERM, errno.ENOENT)


class FolderTree:
    """The tree below the folder ``root``, an absolute path. Keys are paths relative to it."""

    def __init__(self, root: str) -> None:
        self.root = root

    def location(self, key: str = "") -> str:
        """The path of a key."""
        return os.path.join(self.root, key) if key else self.root

    def make_root(self) -> None:
        """Make the root (0700) if it does not exist."""
        if self.has_root():
            return
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.root, 0o700)
            fsync_folder(os.path.dirname(self.root))

    def has_root(self) -> bool:
        """Whether the root exists; without it the store is empty. StoreNotFoundError if the folder above it does not exist either."""
        try:
            with self.reporting(self.root, "the store's folder cannot be reached", passed=ABSENT):
                os.stat(self.root)
            return True
        except OSError:
            pass
        parent = os.path.dirname(self.root)
        if not os.path.isdir(parent):
            raise StoreNotFoundError(
                "the folder of the store and its parent folder do not exist",
                self.root,
                "Check that it is mounted. If the path is right, run: mkdir -p %s" % shlex.quote(parent),
            )
        return False

    @contextlib.contextmanager
    def folder(self, key: str, create: bool = False) -> t.Iterator[int]:
        """A descriptor of the folder that holds the key, reached without following a symlink; OSError if there is none."""
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in key.split("/")[:-1]:
                if create and not exists(part, fd):
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, 0o700, dir_fd=fd)
                        fsync_folder(fd)
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
                os.close(fd)
                fd = inner
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def file(self, key: str) -> t.Iterator[int]:
        """A descriptor of the key's regular file; StoreNotFoundError if there is none."""
        try:
            with self.folder(key) as folder:
                fd = os.open(key.rpartition("/")[2], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except OSError as error:
            if error.errno not in ABSENT:
                raise
            self.has_root()
            raise StoreNotFoundError("the archive does not exist", self.location(key)) from error
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise StoreNotFoundError("not a regular file", self.location(key))
            yield fd
        finally:
            os.close(fd)

    def walk(self, prefix: str) -> t.Iterator[t.Tuple[str, os.DirEntry[str]]]:
        """All regular files, with their keys, in the folders that can hold keys that begin with ``prefix``."""
        start = prefix.rpartition("/")[0]
        if start and any(part in ("", ".", "..") for part in start.split("/")):
            return
        if not self.has_root():
            return
        try:
            with (
                self.reporting(self.location(start), "the folder cannot be read", passed=ABSENT),
                self.folder(start + "/" if start else ""),
            ):
                pass
        except OSError:
            return
        folders = [start]
        while folders:
            folder = folders.pop()
            for entry in self._scan(folder):
                key = "%s/%s" % (folder, entry.name) if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    if (key + "/").startswith(prefix):
                        folders.append(key)
                elif entry.is_file(follow_symlinks=False):
                    yield key, entry

    def _scan(self, folder: str) -> t.List[os.DirEntry[str]]:
        path = self.location(folder)
        try:
            with self.reporting(path, "the folder cannot be read", passed=(errno.ENOENT,)), os.scandir(path) as scan:
                entries = list(itertools.islice(scan, MOST_OBJECTS + 1))
        except FileNotFoundError:
            return []
        if len(entries) > MOST_OBJECTS:
            raise listing_too_large(path)
        return entries

    def remove_empty_folders(self, key: str) -> None:
        """Remove the folders above the key that are empty, but not the root."""
        parts = key.split("/")[:-1]
        while parts:
            path = "/".join(parts)
            try:
                with (
                    self.reporting(self.location(path), "the empty folder cannot be removed", passed=_STAYS),
                    self.folder(path) as folder,
                ):
                    os.rmdir(parts[-1], dir_fd=folder)
                    fsync_folder(folder)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    return
            parts.pop()

    @contextlib.contextmanager
    def reporting(self, subject: str, failed: str, passed: t.Sequence[int] = ()) -> t.Iterator[None]:
        """Turn an OSError of the body into a StoreError, except for the errnos in ``passed``. failed: the message."""
        try:
            yield
        except OSError as error:
            if error.errno in passed:
                raise
            raise self._store_error(error, subject, "%s (%s)" % (failed, error.strerror)) from error

    def _store_error(self, error: OSError, subject: str, message: str) -> StoreError:
        if error.errno in _FULL:
            return StoreFullError(message, subject, "Free some space, raise the quota, or keep fewer archives (retention)")
        if error.errno in _DENIED:
            return StoreDeniedError(
                message, subject, "Check the owner and permissions of %s, and that it is not mounted read-only" % self.root
            )
        if error.errno in _UNAVAILABLE:
            return StoreUnavailableError(message, subject, "Check the disk or the mount of %s" % self.root)
        if error.errno == errno.ENOENT:
            if os.path.isdir(self.root):
                return StoreUnavailableError("another process removed a folder: " + message, subject)
            return StoreNotFoundError(message, subject, "Check that it is mounted")
        if error.errno in ABSENT:
            return StoreError(
                "%s; a file or a symbolic link is in place of a folder" % message,
                subject,
                "Symbolic links below %s are not followed" % self.root,
            )
        return StoreError(message, subject)


def exists(name: str, folder: int) -> bool:
    """Whether the folder (a descriptor) has an entry of this name; a broken symlink is one."""
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True
