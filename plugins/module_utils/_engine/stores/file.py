# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store in a folder of this host: a local disk, or whatever is mounted there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shlex
import stat
import typing as t

from ..base.durable import fsync_folder, rename_without_overwrite, write_all
from ..base.errors import (
    IntegrityError,
    SourceError,
    StoreDeniedError,
    StoreError,
    StoreExistsError,
    StoreFullError,
    StoreNotFoundError,
    StoreUnavailableError,
)
from .base import TEMP_PREFIX, Digests, Progress, Store, StoredObject, Verification

CHUNK = 1 << 20

_FULL = (errno.ENOSPC, errno.EDQUOT)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_UNAVAILABLE = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENOTCONN, errno.EREMOTEIO)
# No file there: nothing, a file or a symlink in place of a folder, a symlink in place of the file.
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
# A folder that is not empty, is in use or is not ours to remove stays; one that somebody else removed is gone.
_STAYS = (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY, errno.EACCES, errno.EPERM, errno.ENOENT)
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


class FileStore(Store):
    """Archives as files (0600) below the folder ``path``, which may itself be a symlink; below it none is followed.

    ``path`` is made (0700) by the first put if only its last part is missing. Levels: ``size`` looks at the size; all others read the
    file back, from the disk as far as the kernel lets go of its cache, and hash it.
    """

    type = "file"
    parallel_gets = 8

    def __init__(self, path: str, name: str = "file", verify_level: str = "read_back", attempts: int = 4, retry_delay: float = 1.0) -> None:
        super().__init__(name, verify_level, attempts, retry_delay)
        self.root = os.path.abspath(path)

    def location(self, key: str = "") -> str:
        return os.path.join(self.root, key) if key else self.root

    def free_bytes(self) -> t.Optional[int]:
        with self._explained(self.root, "the free space cannot be asked"):
            status = os.statvfs(self.root if self._has_root() else os.path.dirname(self.root))
            return status.f_bavail * status.f_frsize

    def _put(self, path: str, key: str, digests: Digests, progress: Progress) -> Verification:
        name = key.rpartition("/")[2]
        # The name is cut so that the temporary one fits where the final one does.
        part = "%s%s-%s.part" % (TEMP_PREFIX, os.fsdecode(os.fsencode(name)[:200]), digests.sha256[:16])
        with self._explained(self.location(key), "the archive cannot be written"):
            self._make_root()
            with self._folder(key, create=True) as folder:
                if _exists(name, folder):
                    raise StoreExistsError("the name is taken", self.location(key))
                fd = self._open_part(part, folder, key)
                try:
                    try:
                        self._check_room(folder, digests.size)
                        self._copy(path, fd, digests, progress)
                        os.fsync(fd)
                        verification = self._prove(fd, key, digests, self.verify_level)
                        self._publish(part, name, folder, key)
                    except BaseException:
                        # What cannot be removed now is an unfinished upload to 'clean'; the first error is the one that counts.
                        with contextlib.suppress(OSError):
                            os.unlink(part, dir_fd=folder)
                        raise
                finally:
                    os.close(fd)
        return verification

    def _verify(self, key: str, digests: Digests, level: str) -> Verification:
        with self._explained(self.location(key), "the archive cannot be read"), self._file(key) as fd:
            return self._prove(fd, key, digests, level)

    def _get(self, key: str, sink: t.BinaryIO, progress: Progress) -> None:
        with contextlib.ExitStack() as stack:
            with self._explained(self.location(key), "the archive cannot be read"):
                fd = stack.enter_context(self._file(key))
            while True:
                with self._explained(self.location(key), "the archive cannot be read"):
                    data = os.read(fd, CHUNK)
                if not data:
                    return
                # Outside of the above: a failure of the sink is none of the store's.
                sink.write(data)
                progress(len(data))

    def _list(self, prefix: str) -> t.List[StoredObject]:
        found = []
        for key, entry in self._walk(prefix):
            if entry.name.startswith(TEMP_PREFIX) or not key.startswith(prefix):
                continue
            try:
                with self._explained(self.location(key), "its size cannot be read", passed=(errno.ENOENT,)):
                    status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            found.append(StoredObject(key, status.st_size, status.st_mtime))
        return sorted(found)

    def _delete(self, keys: t.Sequence[str]) -> t.Dict[str, t.Optional[str]]:
        self._has_root()
        by_folder: t.Dict[str, t.List[str]] = {}
        for key in keys:
            by_folder.setdefault(key.rpartition("/")[0], []).append(key)
        outcome: t.Dict[str, t.Optional[str]] = dict.fromkeys(keys)
        for group in by_folder.values():
            try:
                with self._folder(group[0]) as folder:
                    for key in group:
                        try:
                            os.unlink(key.rpartition("/")[2], dir_fd=folder)
                        except FileNotFoundError:
                            continue
                        except OSError as error:
                            outcome[key] = error.strerror
                    fsync_folder(folder)
            except OSError as error:
                if error.errno not in _ABSENT:
                    outcome.update(dict.fromkeys(group, error.strerror))
                continue
            self._remove_empty_folders(group[0])
        return outcome

    def _clean(self, prefix: str) -> t.List[str]:
        removed = []
        for key, entry in list(self._walk(prefix)):
            parent = key[: len(key) - len(entry.name)]
            # A leftover belongs to a prefix when its final name would.
            if not entry.name.startswith(TEMP_PREFIX) or not (parent + entry.name[len(TEMP_PREFIX) :]).startswith(prefix):
                continue
            with self._explained(self.location(key), "the unfinished upload cannot be removed"), self._folder(key) as folder:
                gone = _remove_leftover(entry.name, folder)
            if gone:
                removed.append(key)
                self._remove_empty_folders(key)
        return sorted(removed)

    # -- folders and files below the root ------------------------------------------------------------------------------

    def _make_root(self) -> None:
        if self._has_root():
            return
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.root, 0o700)
            fsync_folder(os.path.dirname(self.root))

    def _has_root(self) -> bool:
        """Whether some put has made the root; without it the store is empty. StoreNotFoundError where none could make it."""
        try:
            with self._explained(self.root, "the store's folder cannot be reached", passed=_ABSENT):
                os.stat(self.root)
            return True
        except OSError:
            pass
        parent = os.path.dirname(self.root)
        if not os.path.isdir(parent):
            raise StoreNotFoundError(
                "the store's folder does not exist, nor does the one above it",
                self.root,
                "Is something not mounted? If the path is right, run: mkdir -p %s" % shlex.quote(parent),
            )
        return False

    @contextlib.contextmanager
    def _folder(self, key: str, create: bool = False) -> t.Iterator[int]:
        """A descriptor of the folder that holds the key, reached without following a symlink; OSError where there is none."""
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in key.split("/")[:-1]:
                if create and not _exists(part, fd):
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
    def _file(self, key: str) -> t.Iterator[int]:
        """A descriptor of the key's regular file; StoreNotFoundError where there is none."""
        try:
            with self._folder(key) as folder:
                fd = os.open(key.rpartition("/")[2], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
            self._has_root()
            raise StoreNotFoundError("there is no such archive", self.location(key)) from error
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise StoreNotFoundError("what stands there is not a file", self.location(key))
            yield fd
        finally:
            os.close(fd)

    def _walk(self, prefix: str) -> t.Iterator[t.Tuple[str, os.DirEntry[str]]]:
        """All regular files, with their keys, in the folders that can hold keys that begin with ``prefix``."""
        start = prefix.rpartition("/")[0]
        if start and any(part in ("", ".", "..") for part in start.split("/")):
            return
        if not self._has_root():
            return
        try:
            with (
                self._explained(self.location(start), "the folder cannot be read", passed=_ABSENT),
                self._folder(start + "/" if start else ""),
            ):
                pass
        except OSError:
            return
        yield from self._walk_folder(start, prefix)

    def _walk_folder(self, folder: str, prefix: str) -> t.Iterator[t.Tuple[str, os.DirEntry[str]]]:
        try:
            path = self.location(folder)
            with self._explained(path, "the folder cannot be read", passed=(errno.ENOENT,)), os.scandir(path) as scan:
                entries = list(scan)
        except FileNotFoundError:
            return
        for entry in entries:
            key = "%s/%s" % (folder, entry.name) if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                if (key + "/").startswith(prefix):
                    yield from self._walk_folder(key, prefix)
            elif entry.is_file(follow_symlinks=False):
                yield key, entry

    def _remove_empty_folders(self, key: str) -> None:
        parts = key.split("/")[:-1]
        while parts:
            path = "/".join(parts)
            try:
                with (
                    self._explained(self.location(path), "the empty folder cannot be removed", passed=_STAYS),
                    self._folder(path) as folder,
                ):
                    os.rmdir(parts[-1], dir_fd=folder)
                    fsync_folder(folder)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    return
            parts.pop()

    # -- one upload ----------------------------------------------------------------------------------------------------

    def _open_part(self, part: str, folder: int, key: str) -> int:
        """Make the temporary file anew and lock it, so that nobody takes it for a leftover while we live."""
        while True:
            if not _remove_leftover(part, folder):
                raise StoreUnavailableError(
                    "another process is writing the same archive",
                    self.location(key),
                    "It is tried again; see that only one job has this name",
                )
            try:
                fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
            except FileExistsError:
                continue
            if _locked(fd) and _is_still(fd, part, folder):
                return fd
            os.close(fd)

    def _check_room(self, folder: int, need: int) -> None:
        status = os.statvfs(folder)
        have = status.f_bavail * status.f_frsize
        if need > have:
            raise StoreFullError(
                "no room: the archive needs %d bytes and %d are free" % (need, have),
                self.root,
                "Free some space, or let the retention keep less",
            )

    def _copy(self, path: str, fd: int, digests: Digests, progress: Progress) -> None:
        md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
        for data in _read_spooled(path):
            size += len(data)
            if size > digests.size:
                break
            md5.update(data)
            sha256.update(data)
            write_all(fd, data)
            progress(len(data))
        if (size, md5.hexdigest(), sha256.hexdigest()) != digests:
            raise IntegrityError(
                "the spooled file is not what was packed (%d of %d bytes, or other digests); nothing was stored" % (size, digests.size),
                path,
                "Remove it, so that the archive is made again from its sources; check the disk",
            )

    def _prove(self, fd: int, key: str, digests: Digests, level: str) -> Verification:
        size = os.fstat(fd).st_size
        if size != digests.size:
            raise IntegrityError("it has %d bytes and must have %d" % (size, digests.size), self.location(key), _DAMAGED)
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
                "it reads back with md5 %s and must have %s" % (md5.hexdigest(), digests.md5), self.location(key), _DAMAGED
            )
        return Verification("read_back", size, md5.hexdigest())

    def _publish(self, part: str, name: str, folder: int, key: str) -> None:
        try:
            rename_without_overwrite(part, name, dir_fd=folder)
        except FileExistsError as error:
            raise StoreExistsError("the name was taken meanwhile", self.location(key)) from error
        fsync_folder(folder)

    # -- errors --------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _explained(self, subject: str, failed: str, passed: t.Sequence[int] = ()) -> t.Iterator[None]:
        """Turn an OSError of the store's folder into the StoreError that says what it means, but for the errnos in ``passed``."""
        try:
            yield
        except OSError as error:
            if error.errno in passed:
                raise
            raise self._meaning(error, subject, "%s (%s)" % (failed, error.strerror)) from error

    def _meaning(self, error: OSError, subject: str, message: str) -> StoreError:
        if error.errno in _FULL:
            return StoreFullError(message, subject, "Free some space or raise the quota there, or let the retention keep less")
        if error.errno in _DENIED:
            return StoreDeniedError(message, subject, "Check owner and permissions of %s, and that it is mounted for writing" % self.root)
        if error.errno in _UNAVAILABLE:
            return StoreUnavailableError(message, subject, "Check the disk or the mount of %s" % self.root)
        if error.errno == errno.ENOENT:
            if os.path.isdir(self.root):
                return StoreUnavailableError("a folder vanished meanwhile: " + message, subject)
            return StoreNotFoundError(message, subject, "Is something not mounted?")
        if error.errno in _ABSENT:
            return StoreError(
                "%s; a file or a symlink stands where a folder is needed" % message,
                subject,
                "Symlinks below %s are not followed" % self.root,
            )
        return StoreError(message, subject)


_DAMAGED = "The copy is damaged: remove it, and store the archive again"


def _read_spooled(path: str) -> t.Iterator[memoryview]:
    """The file in pieces; each is valid until the next is asked for. Raises SourceError: this side is not the store's."""
    buffer = memoryview(bytearray(CHUNK))
    try:
        with open(path, "rb", buffering=0) as file:
            while True:
                count = file.readinto(buffer)
                if not count:
                    return
                yield buffer[:count]
    except OSError as error:
        raise SourceError("the spooled file cannot be read (%s)" % error.strerror, path) from error


def _exists(name: str, folder: int) -> bool:
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def _remove_leftover(name: str, folder: int) -> bool:
    """Remove an unfinished upload; False where a living process still writes it."""
    try:
        # Open for writing: NFS grants an exclusive lock to no other descriptor.
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
        # Some mounts know no locks; there it rests on the job's own lock.
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _is_still(fd: int, name: str, folder: int) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(name, dir_fd=folder))
    except FileNotFoundError:
        return False
