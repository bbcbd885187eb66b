# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""All files below a folder that is held open. No symbolic link is followed, and nobody can exchange a folder after it was opened."""

from __future__ import annotations

import operator
import os

from . import hints as t
from .beneath import ABSENT, open_below

if t.TYPE_CHECKING:
    Result = t.TypeVar("Result")

SETTLED = 3
"""Seconds. The times of a file that was changed twice within this time may be equal: file systems round them, to 2 s at most."""

NO_FILES = ""
"""The mark of a folder without files."""


def anything(_path: str) -> bool:
    """Every path counts."""
    return True


def walk(
    folder: int,
    relative: str = "",
    enter: t.Callable[[str], bool] = anything,
    most: int = 1 << 24,
    wanted: t.Optional[t.Callable[[str], bool]] = None,
) -> t.Iterator[t.Tuple[str, os.stat_result]]:
    """All regular files below ``relative`` with their status, in no order; none if ``relative`` is not a folder.

    enter: whether to go into the folder of this path. wanted: whether the file of this path counts. most: the largest number of names to
    look at; OverflowError names the folder that exceeds it. The ``filename`` of an OSError is the path of the folder that cannot be read.
    """
    seen = 0
    waiting = [relative]
    for here, entries in _scanned(folder, waiting):
        beginning = here + "/" if here else ""
        try:
            for entry in entries:
                seen += 1
                if seen > most:
                    raise OverflowError(here)
                path = beginning + entry.name
                if entry.is_dir(follow_symlinks=False):
                    if enter(path):
                        waiting.append(path)
                elif (wanted is None or wanted(path)) and entry.is_file(follow_symlinks=False):
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    yield path, status
        except OSError as error:
            _raise_unless_absent(error, here)


class Folder:
    """The regular files directly in a folder that is open. path: with "/" at its end."""

    def __init__(self, path: str, files: t.List[os.DirEntry[str]]) -> None:
        self.path = path
        self._files = files

    def names(self) -> t.Set[str]:
        """Their names."""
        return {entry.name for entry in self._files}

    def has(self, text: str) -> bool:
        """Whether a name has this text in it, which has no "/"."""
        return text in "/".join([entry.name for entry in self._files])

    def mark(self, now: float) -> t.Optional[str]:
        """A text that differs once a file was made, removed, exchanged or written; None if that may have happened just now.

        It is a hash of names, inodes, sizes and times, of which no program can set the last one (ctime). now: in seconds since the epoch.
        """
        import hashlib

        facts: t.List[object] = []
        newest = 0
        for entry in sorted(self._files, key=operator.attrgetter("name")):
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                return None
            changed = status.st_ctime_ns
            facts += (entry.name, status.st_ino, status.st_size, status.st_mtime_ns, changed)
            if changed > newest:
                newest = changed
        if newest > (now - SETTLED) * 1e9:
            return None
        return hashlib.sha256(ascii(facts).encode("ascii")).hexdigest()[:32] if facts else NO_FILES


def survey(folder: int, relative: str, look: t.Callable[[Folder], Result], most: int = 1 << 24) -> t.Dict[str, Result]:
    """What ``look`` returns of each folder from ``relative`` down, by the folder's path with "/" at its end; otherwise as ``walk``."""
    found = {}
    seen = 0
    waiting = [relative]
    for here, entries in _scanned(folder, waiting):
        beginning = here + "/" if here else ""
        files = []
        try:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    files.append(entry)
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(beginning + entry.name)
                seen += 1
                if seen > most:
                    raise OverflowError(here)
            found[beginning] = look(Folder(beginning, files))
        except OSError as error:
            _raise_unless_absent(error, here)
    return found


def _scanned(folder: int, waiting: t.List[str]) -> t.Iterator[t.Tuple[str, t.Iterator[os.DirEntry[str]]]]:
    """Each folder that waits, with what is in it. The caller adds folders to ``waiting`` meanwhile; the last one comes first."""
    # The folder that was opened last and the one above it: most folders are in one of them, and the way from the top is long.
    above, opened = ("", os.dup(folder)), ("", os.dup(folder))
    try:
        while waiting:
            here = waiting.pop()
            parent, _slash, name = here.rpartition("/")
            try:
                if not name or parent not in (above[0], opened[0]):
                    descriptor = _opened(folder, parent)
                    os.close(above[1])
                    above = parent, descriptor
                elif parent != above[0]:
                    descriptor = os.dup(opened[1])
                    os.close(above[1])
                    above = parent, descriptor
                descriptor = _opened(above[1], name)
                os.close(opened[1])
                opened = here, descriptor
                entries = os.scandir(descriptor)
            except OSError as error:
                _raise_unless_absent(error, here)
                continue
            with entries:
                yield here, entries
    finally:
        os.close(above[1])
        os.close(opened[1])


def _opened(folder: int, relative: str) -> int:
    with open_below(folder, relative) as inner:
        return os.dup(inner)


def _raise_unless_absent(error: OSError, here: str) -> None:
    if error.errno not in ABSENT:
        raise OSError(error.errno, error.strerror, here) from error
