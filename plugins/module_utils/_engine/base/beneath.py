# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths below a folder that is held open.

A path is a list of names, and the owner of a folder on the way can replace it by a symbolic link between two looks. A descriptor of a
folder cannot be replaced. So a path from outside is trusted only once: ``open_folder`` follows the links that the administrator made.
Everything below it is opened name by name, relative to the descriptor of the folder before, and a symbolic link is an error. That is what
``openat2`` does with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, without needing a certain kernel.

All functions raise OSError as the system gave it; ELOOP or ENOTDIR if a symbolic link is in the way.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat

from . import hints as t, protected
from .durable import TEMP_PREFIX, rename_without_overwrite
from .errors import ConfigError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# To pass through a folder it need not be readable.
_WAY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_MOST_LINKS = 40
"""Symbolic links on one path, as in Linux."""

Identity = t.Tuple[int, int]
"""Device and inode of a file, which its name does not change."""


def identity(status: os.stat_result) -> Identity:
    """Device and inode of a file."""
    return status.st_dev, status.st_ino


@contextlib.contextmanager
def open_folder(path: str) -> t.Iterator[int]:
    """A descriptor of the folder ``path``. Symbolic links in the path are followed: the caller trusts all of it."""
    folder = os.open(path, _FOLDER)
    try:
        yield folder
    finally:
        os.close(folder)


@contextlib.contextmanager
def open_below(folder: int, relative: str, create: bool = False, flush: bool = False) -> t.Iterator[int]:
    """A descriptor of the folder ``relative`` below ``folder``; '' is ``folder`` itself.

    create: make missing folders (0700), to write there, with ``flush`` their names to the disk; raises ConfigError for a folder on the way
    that holds keys or settings.
    """
    here, settings = os.dup(folder), protected.settings_identity() if create else None
    try:
        for name in _names(relative):
            if create and not os.access(name, os.F_OK, dir_fd=here):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=here)
                    if flush:
                        os.fsync(here)
            inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = inner
            if create:
                protected.refuse_folder(here, relative, settings)
        yield here
    finally:
        os.close(here)


@contextlib.contextmanager
def parent_of(folder: int, relative: str, create: bool = False, flush: bool = False) -> t.Iterator[t.Tuple[int, str]]:
    """The folder that holds the file ``relative``, as a descriptor, and the file's name in it."""
    parent, _slash, name = relative.rpartition("/")
    if name in ("", ".", ".."):
        raise OSError(errno.EINVAL, "not a path of a file below a folder", relative)
    with open_below(folder, parent, create, flush) as holder:
        yield holder, name


def open_file(folder: int, relative: str, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """A descriptor of the file ``relative`` below ``folder``; the caller closes it.

    It never waits (for a writer to a named pipe) and never follows a symbolic link. The caller checks that it is a regular file.
    """
    with parent_of(folder, relative) as (holder, name):
        return os.open(name, flags | _FILE, mode, dir_fd=holder)


def status_of(folder: int, relative: str) -> os.stat_result:
    """The status of the entry ``relative`` below ``folder``; a symbolic link is not followed."""
    with parent_of(folder, relative) as (holder, name):
        return os.lstat(name, dir_fd=holder)


def exists(folder: int, relative: str) -> bool:
    """Whether there is anything at ``relative`` below ``folder``; a dangling symbolic link is something."""
    try:
        status_of(folder, relative)
    except FileNotFoundError:
        return False
    return True


def private_name(relative: str) -> str:
    """A name for the file while it is being removed, in its own folder. It is new each time."""
    name = relative.rpartition("/")[2]
    return "%s%s-%s.removed" % (TEMP_PREFIX, os.fsdecode(os.fsencode(name)[:180]), os.urandom(8).hex())


def remove(folder: int, relative: str, wanted: Identity, private: str) -> bool:
    """Delete the file ``relative`` if it is the one of this device and inode, and no other; returns whether it is gone by us.

    The name may change hands between a look and an unlink (a rotation, or an attack). So the file gets the name ``private`` first, see
    ``private_name``; what turns out to be another file gets its name back. If that name was taken meanwhile, FileExistsError names the
    private one; nothing is lost. After a kill, ``finish_removal`` completes what is left.
    """
    with parent_of(folder, relative) as (holder, name):
        if identity(os.lstat(name, dir_fd=holder)) != wanted:
            return False
        os.rename(name, private, src_dir_fd=holder, dst_dir_fd=holder)
    return finish_removal(folder, relative, wanted, private)


def finish_removal(folder: int, relative: str, wanted: Identity, private: str) -> bool:
    """Complete a removal from the private name on: delete the wanted file, give any other its name back, as ``remove`` does.

    Raises FileNotFoundError if the private name is not there.
    """
    with parent_of(folder, relative) as (holder, name):
        if identity(os.lstat(private, dir_fd=holder)) == wanted:
            os.unlink(private, dir_fd=holder)
            return True
        try:
            rename_without_overwrite(private, name, dir_fd=holder)
        except FileExistsError as error:
            raise FileExistsError(error.errno, "another file took its place meanwhile; it is now %s" % private, relative) from error
        return False


@contextlib.contextmanager
def open_guarded(path: str) -> t.Iterator[int]:
    """A descriptor of the folder ``path``, which lies in no keyring and not among the settings of the host.

    Symbolic links are followed one by one, and each folder on the way is looked at when it is held: nobody can exchange it after the look.
    Raises ConfigError for a folder that holds keys or settings.
    """
    way = _Way(path)
    try:
        way.to_folder(False)
        yield way.here
    finally:
        os.close(way.here)


@contextlib.contextmanager
def guarded_parent(path: str, among_settings: bool = False) -> t.Iterator[t.Tuple[int, str]]:
    """The folder that holds the file ``path``, as a descriptor, and the file's name in it; otherwise as ``open_guarded``.

    among_settings: the file may lie among the settings of the host, but not in a keyring.
    If ``path`` is a symbolic link, it is followed, so the name is of no link. Open it with O_NOFOLLOW: the name may change hands.
    """
    way = _Way(path, among_settings=among_settings)
    try:
        name = way.to_parent()
        protected.refuse_file(name, path)
        with contextlib.suppress(PermissionError):  # A file in it can be opened all the same.
            way.make_readable()
        yield way.here, name
    finally:
        os.close(way.here)


def real_path(path: str) -> str:
    """The path without symbolic links, as far as it exists and this user may go; otherwise as ``open_guarded``."""
    way = _Way(path)
    try:
        name = way.to_parent(missing_ok=True)
        protected.refuse_file(name.rpartition("/")[2], path)
        with contextlib.suppress(OSError):  # It is not a folder, or does not exist, or is out of reach.
            way.look_at_folder(name)
        return os.path.join(way.path, name) if name else way.path
    finally:
        os.close(way.here)


@contextlib.contextmanager
def open_private(path: str, create: bool = False) -> t.Iterator[int]:
    """A descriptor of the folder ``path``, which only root and the running user can exchange, as each folder and link on the way to it.

    create: make missing folders with the mode 0700. Raises ConfigError that names the folder or link of another user, or the folder that
    others can write to, and for what ``open_guarded`` refuses. A folder above ``path`` may be writable for all if it is sticky, as /tmp is.
    """
    way = _Way(path, private=True)
    try:
        way.to_folder(create)
        require_private(way.here, way.path)
        yield way.here
    finally:
        os.close(way.here)


class _Way:
    """The way from / to a path, folder by folder: ``here`` is a descriptor of the folder that was reached, ``path`` its path without links.

    The caller closes ``here``. private: refuse folders and links on the way that another user could exchange.
    """

    def __init__(self, path: str, private: bool = False, among_settings: bool = False) -> None:
        self.here = os.open("/", _WAY)
        self._names: t.List[str] = []
        self._waiting = _parts(os.path.abspath(path))
        self._given = path
        self._private = private
        self._links = 0
        self._settings = None if among_settings else protected.settings_identity()

    @property
    def path(self) -> str:
        return "/" + "/".join(self._names)

    def to_folder(self, create: bool) -> None:
        """Go to the end of the path, and open that folder for reading. create: make missing folders."""
        self._go(0, create)
        self.make_readable()

    def make_readable(self) -> None:
        """Open the folder that was reached for reading: those on the way need only be searchable."""
        readable = os.open(".", _FOLDER, dir_fd=self.here)
        os.close(self.here)
        self.here = readable

    def to_parent(self, missing_ok: bool = False) -> str:
        """Go to the folder that holds the path; returns the rest of the path, which is a name that is not a link.

        missing_ok: stop at the last folder that exists, or that this user may enter; the rest may then have several names.
        """
        try:
            self._go(1, False)
            while self._waiting and (self._waiting[0] == ".." or self._follow(self._waiting[0])):
                self._go(1 if self._waiting and self._waiting[0] != ".." else 0, False)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            if not missing_ok:
                raise
        return "/".join(self._waiting[::-1])

    def look_at_folder(self, name: str) -> None:
        """Look at the folder ``name`` in the one that was reached, without going there."""
        folder = os.open(name, _WAY | os.O_NOFOLLOW, dir_fd=self.here)
        try:
            if protected.is_protected(folder, os.fstat(folder), self._settings):
                raise protected.refusal(self._given, os.path.join(self.path, name))
        finally:
            os.close(folder)

    def _go(self, rest: int, create: bool) -> None:
        """Go on until only ``rest`` names wait. Each run looks at a job's paths: this loop is short on purpose."""
        waiting = self._waiting
        while len(waiting) > rest:
            name = waiting[-1]
            if name == "..":
                waiting.pop()
                self._restart(self._names[:-1])
                continue
            try:
                inner = os.open(name, _WAY | os.O_NOFOLLOW, dir_fd=self.here)
            except OSError as error:
                if error.errno in (errno.ENOTDIR, errno.ELOOP) and self._follow(name):
                    continue
                if error.errno != errno.ENOENT or not create:
                    raise
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=self.here)
                inner = os.open(name, _WAY | os.O_NOFOLLOW, dir_fd=self.here)
            os.close(self.here)
            self.here = inner
            self._names.append(waiting.pop())
            status = os.fstat(inner)
            if protected.is_protected(inner, status, self._settings):
                raise protected.refusal(self._given, self.path)
            if self._private and waiting:
                _require_safe_way(status, self.path)

    def _follow(self, name: str) -> bool:
        """Replace a link by its target in what waits; returns whether ``name`` is one."""
        try:
            status = os.lstat(name, dir_fd=self.here)
        except FileNotFoundError:
            return False
        if not stat.S_ISLNK(status.st_mode):
            return False
        if self._private:
            _require_owner(status, os.path.join(self.path, name), "symbolic link")
        self._links += 1
        if self._links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), self._given)
        target = os.readlink(name, dir_fd=self.here)
        self._waiting.pop()
        self._waiting += _parts(target)
        if target.startswith("/"):
            self._restart([])
        return True

    def _restart(self, names: t.List[str]) -> None:
        """Go back to /; ``names`` come first of what waits."""
        self._waiting += names[::-1]
        self._names = []
        root = os.open("/", _WAY)
        os.close(self.here)
        self.here = root


def _parts(path: str) -> t.List[str]:
    """The names in a path, the last one first."""
    return [name for name in path.split("/") if name not in ("", ".")][::-1]


def require_private(folder: int, path: str) -> None:
    """Raise ConfigError unless only root and the running user can change names in this folder. path: how the message names it."""
    status = os.fstat(folder)
    _require_owner(status, path)
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            "group or others can write to the folder (mode %04o) and replace what is written there" % stat.S_IMODE(status.st_mode),
            ascii(path).strip("'"),
            "Choose another folder, or run: chmod go-w %s" % ascii(path).strip("'"),
        )


def _require_safe_way(status: os.stat_result, path: str) -> None:
    _require_owner(status, path)
    # A group of our own, or root's, is not another user. In a sticky folder only the owner of a name can exchange it.
    others = stat.S_IWOTH if status.st_gid in (0, os.getegid()) else stat.S_IWGRP | stat.S_IWOTH
    if status.st_mode & others and not status.st_mode & stat.S_ISVTX:
        raise ConfigError(
            "others can write to the folder (mode %04o) and replace the folders in it" % stat.S_IMODE(status.st_mode),
            ascii(path).strip("'"),
            "Choose a folder elsewhere, or take that right from others (chmod)",
        )


def _require_owner(status: os.stat_result, path: str, what: str = "folder") -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise ConfigError(
            "the %s belongs to the user with id %d, who can replace what is written there" % (what, status.st_uid),
            ascii(path).strip("'"),
            "Choose a folder that belongs to root or to the user that runs this",
        )


ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""Nothing is there, or a file or symbolic link is in place of a folder, or a symbolic link is in place of the file."""
# A folder that is not empty, in use, or not removable by us.
_STAYS = (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY, errno.EACCES, errno.EPERM)


def remove_empty_folders(folder: int, relative: str, top: str = "") -> None:
    """Remove the folder ``relative`` and those above it as far as they are empty, but not ``top``."""
    while relative != top:
        try:
            with parent_of(folder, relative) as (holder, name):
                os.rmdir(name, dir_fd=holder)
        except OSError as error:
            if error.errno in _STAYS:
                return
            if error.errno != errno.ENOENT:
                raise
        relative = relative.rpartition("/")[0]


def remove_tree(folder: int, relative: str) -> None:
    """Delete ``relative`` with everything in it, if it exists. A symbolic link is deleted, not followed.

    Nested folders are moved up before they are emptied, so that their depth does not matter.
    """
    with contextlib.suppress(FileNotFoundError), parent_of(folder, relative) as (holder, name):
        if not stat.S_ISDIR(os.lstat(name, dir_fd=holder).st_mode):
            os.unlink(name, dir_fd=holder)
            return
        with open_below(holder, name) as top:
            nested = _empty(top, top)
            while nested:
                here = nested.pop()
                with open_below(top, here) as inner:
                    nested += _empty(inner, top)
                os.rmdir(here, dir_fd=top)
        os.rmdir(name, dir_fd=holder)


def _empty(folder: int, top: int) -> t.List[str]:
    """Delete the files in a folder and move the folders in it to ``top``; returns their names there."""
    moved = []
    for name in os.listdir(folder):
        if stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
            moved.append(private_name(name))
            os.rename(name, moved[-1], src_dir_fd=folder, dst_dir_fd=top)
        else:
            os.unlink(name, dir_fd=folder)
    return moved


class Below:
    """A file below a folder that is held open, to be read by another room. Its text is its path, for messages.

    folder: a descriptor of that folder; root: its path; relative: the path of the file below it; opener: opens it, as ``open_file`` does.
    """

    def __init__(self, folder: int, root: str, relative: str, opener: t.Callable[[int, str], int] = open_file) -> None:
        self._folder, self._root, self._relative = folder, root, relative
        self._opener = opener

    def __str__(self) -> str:
        return os.path.join(self._root, self._relative)

    def __add__(self, suffix: str) -> Below:
        """The file with a longer name."""
        return Below(self._folder, self._root, self._relative + suffix, self._opener)

    def open(self) -> int:
        """A descriptor of the file for reading; the caller closes it. No symbolic link is followed."""
        return self._opener(self._folder, self._relative)


Local = t.Union[str, Below]
"""A file on this host to read: a path that the caller trusts, or a file below a folder that is held open."""


def open_local(file: Local) -> io.FileIO:
    """The regular file, unbuffered, for reading."""
    descriptor = file.open() if isinstance(file, Below) else os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    return open(descriptor, "rb", buffering=0)


def open_regular(path: str) -> int:
    """A descriptor of the regular file ``path``, for reading; symbolic links are followed. The null device is an empty file.

    Raises OSError, also for what is no file: a named pipe would wait for a writer, and a device may have no end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) or os.path.samestat(status, os.stat(os.devnull)):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is not a regular file", path)


def _names(relative: str) -> t.List[str]:
    names = relative.split("/") if relative else []
    if any(name in ("", ".", "..") for name in names):
        raise OSError(errno.EINVAL, "not a path below a folder", relative)
    return names
