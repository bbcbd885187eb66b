# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The spool: the local folder in which a finished archive waits until every required store has it."""

from __future__ import annotations

import contextlib
import os
import stat

from ..archive.naming import MANIFEST_SUFFIX, folder_key, manifest_key
from ..base import beneath, hints as t
from ..base.durable import TEMP_PREFIX, fsync_folder, write_atomically
from ..base.kept import KeptBelow
from .folders import held

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest


class Spool:
    """The archives of one job in the spool, under each of its names. The path of an archive below ``folder`` is its key, as in a store.

    The folder is opened when it is first used, and stays open until ``close``: everything is reached below it, through no symbolic link.
    All methods raise OSError, and what ``folders.held`` raises. The caller holds the lock of the job.
    """

    def __init__(self, folder: str, names: t.Sequence[str]) -> None:
        self.folder = folder
        self._names = names
        self._stack = contextlib.ExitStack()
        self._opened: t.Optional[int] = None
        self._below = KeptBelow()

    def close(self) -> None:
        """Close the folder."""
        self._below.close()
        self._stack.close()
        self._opened = None

    def make(self) -> None:
        """Make the folder (0700) if it is missing, and open it."""
        self._opened = self._stack.enter_context(held(self.folder, create=True))

    @property
    def _root(self) -> int:
        if self._opened is None:
            self._opened = self._stack.enter_context(held(self.folder))
        return self._opened

    @property
    def identity(self) -> beneath.Identity:
        """Device and inode of the folder."""
        return beneath.identity(os.fstat(self._root))

    def free_bytes(self) -> int:
        """Bytes that can still be written there."""
        status = os.fstatvfs(self._root)
        return status.f_bavail * status.f_frsize

    def path(self, key: str) -> str:
        """The path of the archive with this key, for messages."""
        return os.path.join(self.folder, key)

    def archive(self, key: str) -> beneath.Below:
        """The archive with this key, to be read."""
        return beneath.Below(self._root, self.folder, key, self._below.open_file)

    def folder_of(self, key: str) -> t.ContextManager[int]:
        """A descriptor of the folder for the archive with this key, which is made if it is missing."""
        return self._below.opened(self._root, key.rpartition("/")[0], create=True, flush=True)

    def holds(self, key: str) -> bool:
        """Whether the archive exists."""
        try:
            return stat.S_ISREG(beneath.status_of(self._root, key).st_mode)
        except FileNotFoundError:
            return False

    def is_free(self, key: str) -> bool:
        """Whether nothing exists under this key, not even a file that is not an archive."""
        folder, _slash, name = key.rpartition("/")
        try:
            with self._below.opened(self._root, folder) as below:
                return not beneath.exists(below, name)
        except FileNotFoundError:
            return True

    def clean(self) -> t.List[str]:
        """Remove the leftovers of a killed run: unfinished files, and manifests without an archive.

        Returns the keys of all archives of the job, of every name that this host has had.
        """
        archives = []
        for key in sorted(self._files()):
            if key.rpartition("/")[2].startswith(TEMP_PREFIX):
                self._unlink(key)
            elif not key.endswith(MANIFEST_SUFFIX):
                archives.append(key)
            elif not self.holds(key[: -len(MANIFEST_SUFFIX)]):
                self._unlink(key)
        return archives

    def put(self, key: str, manifest: Manifest, fetch: t.Callable[[t.BinaryIO], None]) -> None:
        """Bring an archive back to the spool. ``fetch`` writes its bytes to a new file, or raises.

        The archive appears last, when it and its manifest are on the disk.
        """
        from ..archive.manifest import dump

        name = key.rpartition("/")[2]
        part = TEMP_PREFIX + name
        with self.folder_of(key) as folder:
            try:
                descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
                with open(descriptor, "w+b") as file:
                    fetch(file)
                    file.flush()
                    os.fsync(file.fileno())
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(part, dir_fd=folder)
                raise
            write_atomically(manifest_key(name), dump(manifest), dir_fd=folder)
            os.replace(part, name, src_dir_fd=folder, dst_dir_fd=folder)
            fsync_folder(folder)

    def remove(self, *keys: str) -> None:
        """Remove archives with their manifests, and then empty folders. Succeeds if an archive does not exist."""
        by_folder: t.Dict[str, t.List[str]] = {}
        for key in keys:
            parent, _slash, name = key.rpartition("/")
            by_folder.setdefault(parent, []).append(name)
        for parent, names in by_folder.items():
            with contextlib.suppress(FileNotFoundError), self._below.opened(self._root, parent) as folder:
                for name in names:
                    for each in (name, manifest_key(name)):
                        with contextlib.suppress(FileNotFoundError):
                            os.unlink(each, dir_fd=folder)
            beneath.remove_empty_folders(self._root, parent, "/".join(parent.split("/")[:2]))

    def _unlink(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError), beneath.parent_of(self._root, key) as (folder, name):
            os.unlink(name, dir_fd=folder)

    def _files(self) -> t.Iterator[str]:
        from ..base.walk import walk

        for host in os.listdir(self._root):
            for name in self._names:
                for key, _status in walk(self._root, folder_key(host, name).rstrip("/")):
                    yield key
