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
import os
import stat
import typing as t

from .durable import TEMP_PREFIX, rename_without_overwrite
from .errors import ConfigError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
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
def open_below(folder: int, relative: str, create: bool = False, mode: int = 0o700) -> t.Iterator[int]:
    """A descriptor of the folder ``relative`` below ``folder``; '' is ``folder`` itself.

    create: make missing folders, with the permissions ``mode``.
    """
    here = os.dup(folder)
    try:
        for name in _names(relative):
            if create:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, mode, dir_fd=here)
            inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = inner
        yield here
    finally:
        os.close(here)


@contextlib.contextmanager
def parent_of(folder: int, relative: str, create: bool = False, mode: int = 0o700) -> t.Iterator[t.Tuple[int, str]]:
    """The folder that holds the file ``relative``, as a descriptor, and the file's name in it."""
    parent, _slash, name = relative.rpartition("/")
    if name in ("", ".", ".."):
        raise OSError(errno.EINVAL, "not a path of a file below a folder", relative)
    with open_below(folder, parent, create, mode) as holder:
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
def open_private(path: str, create: bool = False) -> t.Iterator[int]:
    """A descriptor of the folder ``path``, which only root and the running user can exchange, as each folder and link on the way to it.

    create: make missing folders with the mode 0700. Raises ConfigError that names the folder or link of another user, or the folder that
    others can write to. A folder above ``path`` may be writable for all if it is sticky, as /tmp is.
    """
    waiting = [name for name in os.path.abspath(path).split("/") if name][::-1]
    links = 0
    so_far: t.List[str] = []
    here = os.open("/", _FOLDER)
    try:
        while waiting:
            name = waiting.pop()
            so_far.append(name)
            target = _own_link(here, name, "/" + "/".join(so_far))
            if target is not None:
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                so_far.pop()
                beyond = os.path.normpath(os.path.join("/", *so_far, target))
                waiting += [name for name in beyond.split("/") if name][::-1]
                so_far, above = [], here
                here = os.open("/", _FOLDER)
                os.close(above)
                continue
            if create:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=here)
            inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = inner
            if waiting:
                _require_safe_way(here, "/" + "/".join(so_far))
        require_private(here, "/" + "/".join(so_far))
        yield here
    finally:
        os.close(here)


def _own_link(folder: int, name: str, path: str) -> t.Optional[str]:
    """The target of a symbolic link that root or the running user made; None if ``name`` is no link."""
    try:
        status = os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return None
    if not stat.S_ISLNK(status.st_mode):
        return None
    _require_owner(status, path, "symbolic link")
    return os.readlink(name, dir_fd=folder)


def require_private(folder: int, path: str) -> None:
    """Raise ConfigError unless only root and the running user can change names in this folder. path: how the message names it."""
    status = os.fstat(folder)
    _require_owner(status, path)
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            "group or others can write to the folder (mode %04o) and exchange what is written there" % stat.S_IMODE(status.st_mode),
            ascii(path).strip("'"),
            "Choose another folder, or run: chmod go-w %s" % ascii(path).strip("'"),
        )


def _require_safe_way(folder: int, path: str) -> None:
    status = os.fstat(folder)
    _require_owner(status, path)
    # A group of our own, or root's, is not another user. In a sticky folder only the owner of a name can exchange it.
    others = stat.S_IWOTH if status.st_gid in (0, os.getegid()) else stat.S_IWGRP | stat.S_IWOTH
    if status.st_mode & others and not status.st_mode & stat.S_ISVTX:
        raise ConfigError(
            "others can write to the folder (mode %04o) and exchange the folders in it" % stat.S_IMODE(status.st_mode),
            ascii(path).strip("'"),
            "Choose a folder elsewhere, or take that right from others (chmod)",
        )


def _require_owner(status: os.stat_result, path: str, what: str = "folder") -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise ConfigError(
            "the %s belongs to the user with id %d, who can exchange what is written there" % (what, status.st_uid),
            ascii(path).strip("'"),
            "Choose a folder that belongs to root or to the user that runs this",
        )


def _names(relative: str) -> t.List[str]:
    names = relative.split("/") if relative else []
    if any(name in ("", ".", "..") for name in names):
        raise OSError(errno.EINVAL, "not a path below a folder", relative)
    return names
