# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The root folder of a file store, and what an OSError below it means for the store."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import typing as t

from ..base import beneath, walk as walking
from ..base.durable import fsync_folder
from ..base.errors import StoreDeniedError, StoreError, StoreFullError, StoreNotFoundError, StoreUnavailableError
from ..base.kept import KeptBelow, KeptFolder
from .base import MOST_OBJECTS, Looked, listing_too_large

_FULL = (errno.ENOSPC, errno.EDQUOT)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_UNAVAILABLE = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENOTCONN, errno.EREMOTEIO)


class FileRoot:
    """The folder ``path``, an absolute path, which may be a symbolic link. Keys are paths below it; no link below it is followed."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._folder = KeptFolder(path, beneath.open_guarded)
        self._below = KeptBelow()

    def close(self) -> None:
        """Close the folder."""
        self._below.close()
        self._folder.close()

    def location(self, key: str = "") -> str:
        """The path of a key."""
        return os.path.join(self.path, key) if key else self.path

    def make(self) -> None:
        """Make the folder (0700) if it does not exist."""
        if self.exists():
            return
        with contextlib.suppress(FileExistsError), beneath.guarded_parent(self.path) as (parent, name):
            os.mkdir(name, 0o700, dir_fd=parent)
            fsync_folder(parent)

    def exists(self) -> bool:
        """Whether the folder exists; without it the store is empty. StoreNotFoundError if the folder above it does not exist either.

        ConfigError if it lies in a keyring or among the settings of the host.
        """
        return self.identity() is not None

    def identity(self) -> t.Optional[beneath.Identity]:
        """Device and inode of the folder; None if it does not exist. Raises what ``exists`` raises."""
        try:
            with self.reporting(self.path, "the store's folder cannot be reached", passed=beneath.ABSENT), self.opened() as root:
                return beneath.identity(os.fstat(root))
        except OSError:
            pass
        parent = os.path.dirname(self.path)
        if not os.path.isdir(parent):
            raise StoreNotFoundError(
                "the folder of the store and its parent folder do not exist",
                self.path,
                "Check that it is mounted. If the path is right, run: mkdir -p %s" % shlex.quote(parent),
            )
        return None

    def opened(self) -> t.ContextManager[int]:
        """A descriptor of the folder, for the functions of ``base.beneath``. Raises OSError, ConfigError."""
        return self._folder.opened()

    @contextlib.contextmanager
    def folder_of(self, key: str) -> t.Iterator[int]:
        """A descriptor of the folder that holds the key, which is made if it is missing. Raises OSError, ConfigError."""
        with self.opened() as root, self._below.opened(root, key.rpartition("/")[0], create=True, flush=True) as folder:
            yield folder

    def check_room(self, folder: int, need: int) -> None:
        """Raise StoreFullError unless so many bytes are free in a folder, a descriptor."""
        status = os.statvfs(folder)
        have = status.f_bavail * status.f_frsize
        if need > have:
            raise StoreFullError(
                "no space: the archive needs %d bytes, and %d are free" % (need, have),
                self.path,
                "Free some space, or keep fewer archives (retention)",
            )

    def folders(self) -> t.Iterator[str]:
        """The names of the folders in it; nothing if it does not exist. Raises StoreError."""
        if self.exists():
            with self.reporting(self.path, "the folder cannot be read"), self.opened() as root, os.scandir(root) as entries:
                yield from (entry.name for entry in entries if entry.is_dir(follow_symlinks=False))

    def walk(self, start: str, *only: t.Callable[[str], bool]) -> t.Iterator[t.Tuple[str, os.stat_result]]:
        """The files below ``start``; ``only``: which folders to enter, and which files are wanted (see ``walk.walk``)."""
        enter, wanted = only or (walking.anything, None)
        with self._walked() as root:
            yield from walking.walk(root, start, enter, MOST_OBJECTS, wanted)

    def survey(self, start: str, look: t.Callable[[walking.Folder], Looked]) -> t.Dict[str, Looked]:
        """What ``look`` returns of each folder from ``start`` down (see ``walk.survey``); nothing if none exists. Raises StoreError."""
        if not self.exists():
            return {}
        with self._walked() as root:
            return walking.survey(root, start, look, MOST_OBJECTS)

    @contextlib.contextmanager
    def _walked(self) -> t.Iterator[int]:
        """A descriptor of the folder; an error of the body names the folder below it that cannot be read."""
        with self.reporting(self.path, "the folder cannot be read"), self.opened() as root:
            try:
                yield root
            except OverflowError as error:
                raise listing_too_large(self.location(str(error))) from error
            except OSError as error:
                message = "the folder cannot be read (%s)" % error.strerror
                raise self.store_error(error, self.location(error.filename), message) from error

    def remove_empty_folders(self, root: int, folder: str) -> None:
        """Remove a folder and those above it, up to ``root``, as long as they are empty. Raises StoreError."""
        with self.reporting(self.location(folder), "the empty folder cannot be removed"):
            beneath.remove_empty_folders(root, folder)

    @contextlib.contextmanager
    def reporting(self, subject: str, failed: str, passed: t.Sequence[int] = ()) -> t.Iterator[None]:
        """Turn an OSError of the body into a StoreError, except for the errnos in ``passed``. failed: the message."""
        try:
            yield
        except OSError as error:
            if error.errno in passed:
                raise
            raise self.store_error(error, subject, "%s (%s)" % (failed, error.strerror)) from error

    def store_error(self, error: OSError, subject: str, message: str) -> StoreError:
        """The error of the store that this OSError is."""
        if error.errno in _FULL:
            return StoreFullError(message, subject, "Free some space, raise the quota, or keep fewer archives (retention)")
        if error.errno in _DENIED:
            return StoreDeniedError(
                message, subject, "Check the owner and permissions of %s, and that it is not mounted read-only" % self.path
            )
        if error.errno in _UNAVAILABLE:
            return StoreUnavailableError(message, subject, "Check the disk or the mount of %s" % self.path)
        if error.errno == errno.ENOENT:
            if os.path.isdir(self.path):
                return StoreUnavailableError("another process removed a folder: " + message, subject)
            return StoreNotFoundError(message, subject, "Check that it is mounted")
        if error.errno in beneath.ABSENT:
            return StoreError(
                "%s; a file or a symbolic link is in place of a folder" % message,
                subject,
                "Symbolic links below %s are not followed" % self.path,
            )
        return StoreError(message, subject)
