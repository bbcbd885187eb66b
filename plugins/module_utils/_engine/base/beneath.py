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


def remove(folder: int, relative: str, wanted: Identity) -> bool:
    """Delete the file ``relative`` if it is the one of this device and inode, and no other; returns whether it is gone by us.

    The name may change hands between a look and an unlink (a rotation, or an attack). So the file gets a private name first; what turns
    out to be another file gets its name back. If that name was taken meanwhile, FileExistsError names the private one; nothing is lost.
    """
    with parent_of(folder, relative) as (holder, name):
        if identity(os.lstat(name, dir_fd=holder)) != wanted:
            return False
        private = "%s%s-%s.removed" % (TEMP_PREFIX, os.fsdecode(os.fsencode(name)[:180]), os.urandom(8).hex())
        os.rename(name, private, src_dir_fd=holder, dst_dir_fd=holder)
        if identity(os.lstat(private, dir_fd=holder)) == wanted:
            os.unlink(private, dir_fd=holder)
            return True
        try:
            rename_without_overwrite(private, name, dir_fd=holder)
        except FileExistsError as error:
            raise FileExistsError(error.errno, "another file took its place meanwhile; it is now %s" % private, relative) from error
        return False


def require_private(folder: int, path: str) -> None:
    """Raise ConfigError unless only root and the running user can change names in this folder. path: how the message names it."""
    status = os.fstat(folder)
    if status.st_uid not in (0, os.geteuid()):
        raise ConfigError(
            "the folder belongs to the user with id %d, who can exchange what is written there" % status.st_uid,
            ascii(path),
            "Choose a folder that belongs to root or to the user that runs this",
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            "group or others can write to the folder (mode %04o) and exchange what is written there" % stat.S_IMODE(status.st_mode),
            ascii(path),
            "Choose another folder, or run: chmod go-w %s" % ascii(path).strip("'"),
        )


def _names(relative: str) -> t.List[str]:
    names = relative.split("/") if relative else []
    if any(name in ("", ".", "..") for name in names):
        raise OSError(errno.EINVAL, "not a path below a folder", relative)
    return names
