# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store in a folder of this host: a local disk, or anything that is mounted there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import typing as t

from ..base import beneath
from ..base.durable import TEMP_PREFIX, fsync_folder, rename_without_overwrite, write_all
from ..base.errors import IntegrityError, StoreExistsError, StoreNotFoundError, StoreUnavailableError
from ..base.progress import Advance
from .base import (
    Digests,
    Looked,
    Outcome,
    Pieces,
    Store,
    StoredObject,
    Verification,
    final_name,
    open_spooled,
    required,
    unreadable,
)
from .file_root import FileRoot
from .layout import ADOPTED

if t.TYPE_CHECKING:
    from ..base.beneath import Local
    from ..base.walk import Folder
    from ..config.document import StoreOptions

CHUNK = 1 << 20

_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
_DAMAGED = "The copy is damaged: remove it, and store the archive again"


Publish = t.Callable[[str, str, int, str], None]
"""Gives a whole file its final name: called with the temporary and the final name in a folder, the folder (a descriptor), and the key."""


class FileStore(Store):
    """Archives as files (0600) below the folder ``path``, which may itself be a symlink; below it none is followed.

    ``path`` is made (0700) by the first put if only its last part is missing. Levels: ``size`` looks at the size; all others read the
    file back, from the disk as far as the kernel lets go of its cache, and hash it.
    """

    default_level = "read_back"
    remote = False
    parallel_gets = 8

    def __init__(self, options: StoreOptions) -> None:
        super().__init__(options)
        self._root = FileRoot(os.path.abspath(required(options["path"], "path", self.name)))

    def close(self) -> None:
        self._root.close()

    def _location(self, name: str = "") -> str:
        return self._root.location(name)

    def folder(self) -> t.Optional[beneath.Identity]:
        return self._root.identity()

    def free_bytes(self) -> t.Optional[int]:
        with self._root.reporting(self._location(), "the free space cannot be read"):
            if not self._root.exists():
                status = os.statvfs(os.path.dirname(self._location()))
                return status.f_bavail * status.f_frsize
            with self._root.opened() as root:
                status = os.statvfs(root)
            return status.f_bavail * status.f_frsize

    def _put(self, path: Local, name: str, digests: Digests, progress: Advance) -> Verification:
        return self._write(path, name, digests, progress, self._publish)

    def _replace(self, path: Local, name: str, digests: Digests) -> None:
        self._write(path, name, digests, lambda count: None, _exchange)

    def _write(self, path: Local, name: str, digests: Digests, progress: Advance, publish: Publish) -> Verification:
        final = name.rpartition("/")[2]
        # Shorten the name, so that the temporary name is not too long if the final name is not.
        part = "%s%s-%s.part" % (TEMP_PREFIX, os.fsdecode(os.fsencode(final)[:200]), digests.sha256[:16])
        with self._root.reporting(self._location(name), "the archive cannot be written"):
            self._root.make()
            with self._root.folder_of(name) as folder:
                if publish is not _exchange and beneath.exists(folder, final):
                    raise StoreExistsError("a file already exists under this name", self._location(name))
                fd = self._open_part(part, folder, name)
                try:
                    try:
                        self._root.check_room(folder, digests.size)
                        self._copy(path, fd, digests, progress)
                        os.fsync(fd)
                        verification = self._prove(fd, name, digests, self.verify_level)
                        publish(part, final, folder, name)
                    except BaseException:
                        # If it cannot be removed now, 'clean' removes it later. Report the first error.
                        with contextlib.suppress(OSError):
                            os.unlink(part, dir_fd=folder)
                        raise
                finally:
                    os.close(fd)
        return verification

    def _verify(self, name: str, digests: Digests, level: str) -> Verification:
        with self._root.reporting(self._location(name), "the archive cannot be read"), self._file(name) as fd:
            return self._prove(fd, name, digests, level)

    def _get(self, name: str, start: int) -> Pieces:
        with self._root.reporting(self._location(name), "the archive cannot be read"), self._file(name) as fd:
            os.lseek(fd, start, os.SEEK_SET)
            while True:
                data = os.read(fd, CHUNK)
                if not data:
                    return
                yield data

    def survey(self, prefix: str, look: t.Callable[[Folder], Looked]) -> t.Optional[t.Dict[str, t.Optional[Looked]]]:
        def look_unless_adopted(folder: Folder) -> t.Optional[Looked]:
            return None if folder.has(ADOPTED) else look(folder)

        return None if self.layout.is_flat else self._retrying(lambda: self._root.survey(prefix.rstrip("/"), look_unless_adopted))

    def _list(self, prefix: str) -> t.Iterator[StoredObject]:
        for key, status in self._files(prefix):
            if TEMP_PREFIX not in key or not _is_temporary(key):
                yield StoredObject(key, status.st_size, status.st_mtime)

    def _folders(self) -> t.Iterator[str]:
        return self._root.folders()

    def _delete(self, names: t.Sequence[str], outcome: Outcome) -> None:
        by_folder: t.Dict[str, t.List[str]] = {}
        for key in names:
            by_folder.setdefault(key.rpartition("/")[0], []).append(key)
        if not self._root.exists():
            outcome.update(dict.fromkeys(names))
            return
        with self._root.reporting(self._location(), "the folder cannot be opened"), self._root.opened() as root:
            for parent, group in by_folder.items():
                results: Outcome = dict.fromkeys(group)
                try:
                    with beneath.open_below(root, parent) as folder:
                        for key in group:
                            try:
                                os.unlink(key.rpartition("/")[2], dir_fd=folder)
                            except FileNotFoundError:
                                continue
                            except OSError as error:
                                results[key] = error.strerror
                        fsync_folder(folder)
                except OSError as error:
                    outcome.update(results if error.errno in beneath.ABSENT else dict.fromkeys(group, error.strerror))
                    continue
                outcome.update(results)
                self._root.remove_empty_folders(root, parent)

    def _clean(self, prefix: str) -> t.List[str]:
        removed = []
        leftovers = [key for key, _status in self._files(prefix) if _is_temporary(key)]
        if not leftovers:
            return []
        with self._root.reporting(self._location(), "the folder cannot be opened"), self._root.opened() as root:
            for key in leftovers:
                with self._root.reporting(self._location(key), "the unfinished upload cannot be removed"):
                    with beneath.parent_of(root, key) as (folder, name):
                        gone = _remove_leftover(name, folder)
                    if gone:
                        removed.append(key)
                        self._root.remove_empty_folders(root, key.rpartition("/")[0])
        return sorted(removed)

    # -- the folders ---------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _file(self, key: str) -> t.Iterator[int]:
        """A descriptor of the key's regular file; StoreNotFoundError if there is none."""
        try:
            with self._root.opened() as root:
                fd = beneath.open_file(root, key)
        except OSError as error:
            if error.errno not in beneath.ABSENT:
                raise
            self._root.exists()
            raise StoreNotFoundError("the archive does not exist", self._location(key)) from error
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise StoreNotFoundError("not a regular file", self._location(key))
            yield fd
        finally:
            os.close(fd)

    def _files(self, prefix: str) -> t.Iterator[t.Tuple[str, os.stat_result]]:
        """All regular files, by name, that begin with ``prefix``. An unfinished upload begins as its final name does."""

        def enter(folder: str) -> bool:
            return not self.layout.is_flat and (folder + "/").startswith(prefix)

        def wanted(name: str) -> bool:
            return final_name(name).startswith(prefix)

        start, _slash, rest = prefix.rpartition("/")
        if (start and any(part in ("", ".", "..") for part in start.split("/"))) or not self._root.exists():
            return
        # Everything in a folder is wanted: a listing of years has no time to ask for each file.
        all_wanted = not (rest or self.layout.is_flat)
        yield from self._root.walk(start) if all_wanted else self._root.walk(start, enter, wanted)

    # -- one upload ----------------------------------------------------------------------------------------------------

    def _open_part(self, part: str, folder: int, key: str) -> int:
        """Create and lock the temporary file, so that no other process treats it as a leftover while this one runs."""
        while True:
            if not _remove_leftover(part, folder):
                raise StoreUnavailableError(
                    "another process is writing the same archive",
                    self._location(key),
                    "The upload is retried; check that only one job has this name",
                )
            try:
                fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
            except FileExistsError:
                continue
            if _locked(fd) and _is_still(fd, part, folder):
                return fd
            os.close(fd)

    def _copy(self, path: Local, fd: int, digests: Digests, progress: Advance) -> None:
        md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
        for data in _read_spooled(path, digests.size):
            size += len(data)
            if size > digests.size:
                break
            md5.update(data)
            sha256.update(data)
            write_all(fd, data)
            progress(len(data))
        if (size, md5.hexdigest(), sha256.hexdigest()) != digests:
            raise IntegrityError(
                "the archive in the spool changed after it was packed (%d of %d bytes, or different digests); nothing was stored"
                % (size, digests.size),
                str(path),
                "Check the disk, and remove the file; the next run archives its sources again",
            )

    def _prove(self, fd: int, key: str, digests: Digests, level: str) -> Verification:
        size = os.fstat(fd).st_size
        if size != digests.size:
            raise IntegrityError("the archive has %d bytes, not %d" % (size, digests.size), self._location(key), _DAMAGED)
        if level == "size":
            return Verification("size", size)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        md5, sha256, at = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
        while True:
            data = os.pread(fd, CHUNK, at)
            if not data:
                break
            md5.update(data)
            sha256.update(data)
            at += len(data)
        if (at, md5.hexdigest(), sha256.hexdigest()) != digests:
            raise IntegrityError(
                "the MD5 of the stored archive is %s, not %s" % (md5.hexdigest(), digests.md5), self._location(key), _DAMAGED
            )
        return Verification("read_back", size, md5.hexdigest())

    def _publish(self, part: str, name: str, folder: int, key: str) -> None:
        try:
            rename_without_overwrite(part, name, dir_fd=folder)
        except FileExistsError as error:
            raise StoreExistsError("another process has created a file with this name", self._location(key)) from error
        fsync_folder(folder)


def _exchange(part: str, name: str, folder: int, key: str) -> None:
    os.replace(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    fsync_folder(folder)


def _is_temporary(key: str) -> bool:
    return key.rpartition("/")[2].startswith(TEMP_PREFIX)


def _read_spooled(path: Local, size: int) -> t.Iterator[memoryview]:
    """The file, of about this size, in pieces; each is valid until the next is read. Raises SourceError: the failure is not the store's."""
    buffer = memoryview(bytearray(max(1, min(CHUNK, size))))
    with open_spooled(path) as file:
        while True:
            try:
                count = file.readinto(buffer)
            except OSError as error:
                raise unreadable(path, error) from error
            if not count:
                return
            yield buffer[:count]


def _remove_leftover(name: str, folder: int) -> bool:
    """Remove an unfinished upload; False if a living process still writes it."""
    try:
        # Open for writing, because NFS grants an exclusive lock only to such a descriptor.
        fd = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        os.unlink(name, dir_fd=folder)
        return True
    try:
        if not _locked(fd):
            return False
        if _is_still(fd, name, folder):
            os.unlink(name, dir_fd=folder)
        return True
    finally:
        os.close(fd)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        # Some mounts do not support locks. Only the lock of the job protects the file there.
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _is_still(fd: int, name: str, folder: int) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(name, dir_fd=folder))
    except FileNotFoundError:
        return False
