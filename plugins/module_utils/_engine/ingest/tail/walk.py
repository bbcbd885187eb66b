# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which files a stream follows now."""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import stat
import typing as t

from ...base.beneath import identity, open_below, open_file, open_folder
from ...base.protected import SECRET, is_secret

if t.TYPE_CHECKING:
    from ...base.beneath import Identity
    from ...config.stream_document import FollowOptions

_ODD = {stat.S_IFLNK: "a symbolic link, which is never followed", stat.S_IFIFO: "not a regular file but a named pipe"}
UNSUPPORTED = {
    ".7z": "7z", ".Z": "compress", ".br": "brotli", ".bz2": "bzip2", ".lz": "lzip", ".lz4": "lz4", ".lzma": "lzma", ".xz": "xz",
    ".zip": "zip", ".zst": "zstd",
}  # fmt: skip
"""Compressed files that are not read, by the end of their names."""
MOST_DEPTH = 32
"""Levels of subfolders."""


class Found(t.NamedTuple):
    """A file. path: as the stream names it; root: the folder that is opened first; relative: the path below it.

    live: whether the source writes to this name. compressed: whether it ends in ``.gz``, or is a Parquet file. size: in bytes on the disk.
    """

    path: str
    root: str
    relative: str
    live: bool
    compressed: bool
    key: Identity
    size: int
    mtime_ns: int

    @property
    def folder(self) -> str:
        """The folder of the file."""
        return os.path.dirname(self.path)


class Walk(t.NamedTuple):
    """What a walk found. absent: the paths of the stream that do not exist. empty: by path, the device of each folder with nothing in it.

    problems: what could not be read, and why, by path. unsupported: the same for compressed files that are never read.
    """

    files: t.List[Found]
    absent: t.List[str]
    empty: t.Dict[str, int]
    problems: t.Dict[str, str]
    unsupported: t.Dict[str, str]


class Names:
    """Distinguishes live and rotated names from others."""

    def __init__(self, options: FollowOptions) -> None:
        self._live = _compiled(options["patterns"])
        self._rotated = _compiled(options["rotated"])

    def kind(self, name: str) -> t.Optional[t.Tuple[bool, bool]]:
        """Whether a name is live, and whether its file is compressed; None if it is not followed."""
        if self._live(name):
            return True, False
        if name.endswith(".gz"):
            return (False, True) if self._rotated(name) or self._rotated(name[:-3]) else None
        return (False, name.endswith(".parquet")) if self._rotated(name) else None


NO_FOLDER = "not a folder; name its folder in 'paths', and the file in 'patterns'"


def walk(options: FollowOptions, names: Names) -> Walk:
    """Look into all folders of a stream. A folder that does not exist is not a problem: it may come later."""
    result = Walk([], [], {}, {}, {})
    for root in options["paths"]:
        try:
            with open_folder(root) as folder:
                _walk_folder(folder, root, "", options["recurse"], names, result)
        except FileNotFoundError:
            result.absent.append(root)
        except NotADirectoryError:
            result.problems[root] = NO_FOLDER
        except OSError as error:
            result.problems[root] = error.strerror or str(error)
    return result


def _walk_folder(folder: int, root: str, below: str, recurse: bool, names: Names, result: Walk) -> None:
    with os.scandir(folder) as entries:
        listed = list(entries)
    if not listed:
        result.empty[os.path.join(root, below) if below else root] = os.fstat(folder).st_dev
    plain = {entry.name for entry in listed}
    for entry in listed:
        relative = os.path.join(below, entry.name)
        kind = names.kind(entry.name)
        try:
            if entry.is_dir(follow_symlinks=False):
                # Also one with a name that is followed: with the pattern * that is each of them.
                if recurse and below.count("/") < MOST_DEPTH:
                    with open_below(folder, entry.name) as inner:
                        _walk_folder(inner, root, relative, recurse, names, result)
            elif kind == (False, False) and os.path.splitext(entry.name)[1] in UNSUPPORTED:
                program = UNSUPPORTED[os.path.splitext(entry.name)[1]]
                text = "compressed with %s, which is not supported: compress it with gzip, or change 'rotated' so that it does not match"
                result.unsupported[os.path.join(root, relative)] = text % program
            elif kind is not None:
                status = os.stat(entry.name, dir_fd=folder, follow_symlinks=False)
                # A compressed file is being written as long as the plain one is there.
                if stat.S_ISREG(status.st_mode) and not (entry.name.endswith(".gz") and entry.name[:-3] in plain):
                    found = Found(os.path.join(root, relative), root, relative, *kind, identity(status), status.st_size, status.st_mtime_ns)
                    result.files.append(found)
                elif kind[0] and not stat.S_ISREG(status.st_mode):
                    result.problems[os.path.join(root, relative)] = _ODD.get(stat.S_IFMT(status.st_mode), "not a regular file")
        except FileNotFoundError:
            continue
        except OSError as error:
            result.problems[os.path.join(root, relative)] = error.strerror or str(error)


def open_found(found: Found) -> int:
    """A descriptor of the file. Raises OSError; also FileNotFoundError if another file has its name now."""
    with open_folder(found.root) as folder:
        fd = open_file(folder, found.relative)
    if identity(os.fstat(fd)) != found.key:
        os.close(fd)
        raise FileNotFoundError(found.path)
    if is_secret(fd, found.path):
        os.close(fd)
        raise PermissionError(errno.EACCES, SECRET, found.path)
    return fd


def _compiled(patterns: t.Sequence[str]) -> t.Callable[[str], t.Optional[t.Match[str]]]:
    return re.compile("|".join(map(fnmatch.translate, patterns)) or r"(?!)").match
