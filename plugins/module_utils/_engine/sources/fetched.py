# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folder of a job for files that are fetched from elsewhere: below the state, new for each run, and removed at its end."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..base import beneath
from ..base.errors import LogArchiveError


@contextlib.contextmanager
def new_folder(state: str, below: str) -> t.Iterator[str]:
    """The path of the new folder ``below`` of the folder ``state``, until the context ends. No symbolic link below the state is followed.

    Raises LogArchiveError if what a killed run left, or what was fetched, cannot be removed.
    """
    path = os.path.join(state, below)
    with beneath.open_private(state) as folder:
        try:
            beneath.remove_tree(folder, below)  # A killed run may have left it.
            with beneath.open_below(folder, below, create=True):
                pass
        except OSError as error:
            raise _not_removed(path, error) from error
        try:
            yield path
        finally:
            try:
                beneath.remove_tree(folder, below)
            except OSError as error:
                raise _not_removed(path, error) from error


def _not_removed(path: str, error: OSError) -> LogArchiveError:
    link = error.errno in beneath.ABSENT
    why = "a symbolic link or a file is in place of a folder" if link else error.strerror
    return LogArchiveError("cannot remove the downloaded files: %s" % why, path, "Remove it by hand" if link else None)
