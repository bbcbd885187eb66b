# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The spool: the local folder in which a finished archive waits until every required store has it."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..archive.manifest import dump
from ..archive.naming import MANIFEST_SUFFIX, folder_key, manifest_key
from ..base.durable import TEMP_PREFIX, fsync_folder, write_atomically

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest


class Spool:
    """The archives of one job in the spool. The path of an archive below ``folder`` is its key, as in a store.

    All methods raise OSError. The caller holds the lock of the job.
    """

    def __init__(self, folder: str, job: str) -> None:
        self.folder = folder
        self._job = job

    def path(self, key: str) -> str:
        """The path of the archive with this key."""
        return os.path.join(self.folder, key)

    def holds(self, key: str) -> bool:
        """Whether the archive exists."""
        return os.path.exists(self.path(key))

    def is_free(self, key: str) -> bool:
        """Whether nothing exists under this key, not even a file that is not an archive."""
        return not os.path.lexists(self.path(key))

    def clean(self) -> None:
        """Remove the leftovers of a killed run: unfinished files, and manifests without an archive."""
        for path in self._files():
            unfinished = os.path.basename(path).startswith(TEMP_PREFIX)
            if unfinished or (path.endswith(MANIFEST_SUFFIX) and not os.path.exists(path[: -len(MANIFEST_SUFFIX)])):
                os.unlink(path)

    def archives(self) -> t.List[str]:
        """The keys of all archives of the job, of every name that this host has had."""
        paths = [path for path in self._files() if not path.endswith(MANIFEST_SUFFIX)]
        return [os.path.relpath(path, self.folder).replace(os.sep, "/") for path in paths]

    def put(self, key: str, manifest: Manifest, fetch: t.Callable[[str], None]) -> None:
        """Bring an archive back to the spool. ``fetch`` writes its bytes to the new file at the given path, or raises.

        The archive appears last, when it and its manifest are on the disk.
        """
        path = self.path(key)
        folder = os.path.dirname(path)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        part = os.path.join(folder, TEMP_PREFIX + os.path.basename(path))
        try:
            fetch(part)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part)
            raise
        write_atomically(manifest_key(path), dump(manifest))
        os.replace(part, path)
        fsync_folder(folder)

    def remove(self, key: str) -> None:
        """Remove an archive with its manifest, and then empty folders. Succeeds if the archive does not exist."""
        path = self.path(key)
        for name in (path, manifest_key(path)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
        top = self._job_folder(key.split("/")[0])
        folder = os.path.dirname(path)
        # Stop at the first folder that is not empty, but not at a missing one (the spool was lost).
        with contextlib.suppress(OSError):
            while folder != top:
                with contextlib.suppress(FileNotFoundError):
                    os.rmdir(folder)
                folder = os.path.dirname(folder)

    def _files(self) -> t.Iterator[str]:
        for host in os.listdir(self.folder):
            for folder, _folders, names in os.walk(self._job_folder(host)):
                for name in sorted(names):
                    yield os.path.join(folder, name)

    def _job_folder(self, host: str) -> str:
        return os.path.join(self.folder, folder_key(host, self._job).rstrip("/"))
