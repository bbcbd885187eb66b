# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders that stay open between uses, because opening them takes longer than most of the work in them."""

from __future__ import annotations

import _thread  # An idle run writes events, and importing threading takes a millisecond.
import contextlib
import os

from . import beneath, hints as t, protected

Opener = t.Callable[[str], t.ContextManager[int]]
"""Goes all the way to a folder and checks it, such as ``beneath.open_guarded``."""


class _Kept:
    """A folder that was reached by a path, and the path. Several threads may use it."""

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._kept: t.Optional[t.Tuple[str, int, beneath.Identity]] = None

    def take(self, path: str, way: t.Optional[int], opened: t.Callable[[], t.ContextManager[int]], private: bool) -> int:
        """A descriptor of the folder, which the caller closes. It is opened again if ``path`` leads elsewhere now.

        way: a descriptor of the folder to which ``path`` is relative. private: raise ConfigError if it holds keys or settings.
        """
        with self._lock:
            kept = self._kept
            if kept is None or kept[0] != path or not _leads_to(path or ".", way, kept[2]):
                self._close()
                with opened() as folder:
                    kept = self._kept = path, os.dup(folder), beneath.identity(os.fstat(folder))
            elif private:
                protected.refuse_folder(kept[1], path, protected.settings_identity())
            return os.dup(kept[1])

    def close(self) -> None:
        """Close the folder; the next use opens it again."""
        with self._lock:
            self._close()

    __del__ = close

    def _close(self) -> None:
        if self._kept is not None:
            os.close(self._kept[1])
            self._kept = None


def _leads_to(path: str, way: t.Optional[int], known: beneath.Identity) -> bool:
    """Whether the path leads to the folder that is held. A link on the way does no harm: what is held was reached without it."""
    try:
        return beneath.identity(os.stat(path, dir_fd=way)) == known
    except OSError:
        return False


class KeptFolder:
    """The folder ``path``, as ``opener`` opens it."""

    def __init__(self, path: str, opener: Opener) -> None:
        self._path = path
        self._opener = opener
        self._kept = _Kept()

    @contextlib.contextmanager
    def opened(self) -> t.Iterator[int]:
        """A descriptor of the folder. Raises what the opener raises, and ConfigError if the folder has become a keyring."""
        folder = self._kept.take(self._path, None, lambda: self._opener(self._path), True)
        try:
            yield folder
        finally:
            os.close(folder)

    def close(self) -> None:
        """Close the folder; the next use opens it again."""
        self._kept.close()


class KeptBelow:
    """The folder below another one that was used last: most archives of a run belong to the day of the one before."""

    def __init__(self) -> None:
        self._kept = _Kept()

    @contextlib.contextmanager
    def opened(self, folder: int, relative: str, create: bool = False, flush: bool = False) -> t.Iterator[int]:
        """As ``beneath.open_below``."""
        below = self._kept.take(relative, folder, lambda: beneath.open_below(folder, relative, create, flush), create)
        try:
            yield below
        finally:
            os.close(below)

    def open_file(self, folder: int, relative: str) -> int:
        """As ``beneath.open_file``, for reading."""
        parent, _slash, name = relative.rpartition("/")
        with self.opened(folder, parent) as holder:
            return beneath.open_file(holder, name)

    def close(self) -> None:
        """Close the folder; the next use opens it again."""
        self._kept.close()
