# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give the ledger of a job another name, after the job was renamed. The chain goes on as it is.

Each file gets its new name as a second one, the entries last; only then do the old names go. So at any time one of the two names has the
whole ledger. The caller holds the lock of the job under both names.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ...base.errors import LogArchiveError
from ..folders import held
from .file import Ledger
from .parts import KEY, NEXT_KEY, name_of

_PARTS = (KEY, NEXT_KEY, ".sent", ".head", "")
"""The parts of a ledger, in the order in which they get their new names."""
_OF_CHAIN = ("", ".head")
"""The parts without which there is no ledger."""


def has_files(state: str, job: str) -> bool:
    """Whether the state folder has a part of a ledger of this name."""
    return any(os.path.lexists(os.path.join(state, name_of(job, part))) for part in _PARTS)


def move(state: str, old: str, new: str) -> bool:
    """Give the ledger of ``old`` the name ``new``; if ``new`` has another ledger, keep that of ``old`` aside. Returns whether there was
    one. Raises LogArchiveError."""
    if not has_files(state, old):
        return False
    try:
        with held(state) as folder:
            if any(_differ(folder, name_of(old, part), name_of(new, part)) for part in _OF_CHAIN):
                Ledger(state, old).set_aside()
            elif _identity(folder, name_of(new)) is None:
                for part in _PARTS:
                    _link(folder, name_of(old, part), name_of(new, part))
                os.fsync(folder)
            for part in reversed(_PARTS):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name_of(old, part), dir_fd=folder)
            os.fsync(folder)
        return True
    except OSError as error:
        raise LogArchiveError(
            "cannot rename the ledger of '%s' to '%s': %s" % (old, new, error.strerror), os.path.join(state, name_of(old))
        ) from error


def _differ(folder: int, old: str, new: str) -> bool:
    """Whether both are there, and are not the same file."""
    theirs, own = _identity(folder, old), _identity(folder, new)
    return theirs is not None and own is not None and theirs != own


def _link(folder: int, old: str, new: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new, dir_fd=folder)  # Of a move that was cut, or of a ledger that never began.
    with contextlib.suppress(FileNotFoundError):
        os.link(old, new, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)


def _identity(folder: int, name: str) -> t.Optional[t.Tuple[int, int]]:
    try:
        status = os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
