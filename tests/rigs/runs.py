# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tests of runs share: sources that change while a run reads them, lost state, and what must be true after a run."""

from __future__ import annotations

import os
import pathlib
import shutil
import typing as t

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.inventory import Choice
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.restore import (
    Restored,
    restore_from_stores,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.stock import Holdings
from rigs.host import JOB, NAME, Host, assert_complete, assert_tidy, file_store, files_below

ALL = {"patterns": ["*"], "period": "none", "recurse": True}
"""The ``select`` of a job that takes every file."""
EVERYTHING = Choice()
GROUPS = ["file", "period", "run"]


def read_logs(host: Host) -> t.Dict[str, bytes]:
    """The content of every log by path."""
    return {os.path.join(host.logs, name): (host.logs / name).read_bytes() for name in files_below(host.logs)}


def assert_all_archived(host: Host, wanted: t.Mapping[str, bytes]) -> None:
    """The host's store has exactly these sources, without leftovers, and the spool is empty."""
    assert_complete(file_store(host.store), host, wanted)
    assert_tidy(host.store)
    assert host.spooled() == []


def tree(folder: pathlib.Path) -> t.Dict[str, t.Tuple[t.Any, ...]]:
    """All that a run could change: names, sizes, times to the nanosecond, modes, contents."""
    found = {}
    for path, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            full = os.path.join(path, name)
            status = os.lstat(full)
            content = None if name in folders else pathlib.Path(full).read_bytes()
            found[full] = (status.st_mode, status.st_size if content is not None else 0, status.st_mtime_ns, status.st_ino, content)
    return found


def restore(host: Host, to: pathlib.Path, choice: Choice = EVERYTHING, **options: t.Any) -> t.List[Restored]:
    """Restore from the stores of the host's job."""
    holdings = Holdings(host.document()["stores"], NAME, JOB, str(host.keyring))
    return list(restore_from_stores([holdings], choice, str(to), **options))


def lose(host: Host, *folders: str) -> None:
    """Remove these folders of the host: state, spool."""
    for folder in folders:
        shutil.rmtree(host.folder / folder)


class OnBegin:
    """A progress callback that calls a function when an operation begins."""

    def __init__(self, action: t.Callable[[], t.Any]) -> None:
        self._action = action

    def __enter__(self) -> t.Callable[[int], None]:
        self._action()
        return lambda count: None

    def __exit__(self, *_error: object) -> None:
        return None


class Meddler:
    """A progress callback that changes a source when packing begins, or once ``at_byte`` bytes are packed."""

    def __init__(self, action: t.Callable[[], t.Any], at_byte: t.Optional[int] = None) -> None:
        self._action = action
        self._at = at_byte

    def __call__(self, what: str, total: int) -> t.ContextManager[t.Callable[[int], None]]:
        return self if what.startswith("pack") else OnBegin(lambda: None)

    def __enter__(self) -> t.Callable[[int], None]:
        if self._at is None:
            self._action()
        return self._advance

    def __exit__(self, *_error: object) -> None:
        return None

    def _advance(self, count: int) -> None:
        if self._at is not None:
            self._at -= count
            if self._at <= 0:
                self._at = None
                self._action()


class Restless(Meddler):
    """A progress callback that changes a source all the time, in every attempt to pack it."""

    def __init__(self, action: t.Callable[[], t.Any]) -> None:
        super().__init__(action, 1)

    def _advance(self, count: int) -> None:
        self._action()
