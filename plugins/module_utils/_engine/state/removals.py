# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sources that a run is deleting, recorded before the first of them gets its private name.

A run that is killed meanwhile leaves files under private names in the folders of the logs. The next run finds them by this file.
"""

from __future__ import annotations

import json
import os
import typing as t

from ..base.beneath import open_file
from ..base.durable import write_atomically
from ..base.errors import LogArchiveError
from ..base.named_tuple import NamedTuple
from .folders import held


class Removal(NamedTuple):
    """One file: the folder below which its path is opened, that path, its device and inode, and the name it has while it is removed."""

    root: str
    relative: str
    device: int
    inode: int
    private: str

    @property
    def path(self) -> str:
        """Its absolute path."""
        return os.path.join(self.root, self.relative)


def begin(path: str, removals: t.Sequence[Removal]) -> None:
    """Record the removals. Raises LogArchiveError, and then nothing may be removed."""
    folder, name = os.path.split(path)
    try:
        with held(folder) as state:
            write_atomically(name, json.dumps(removals).encode("ascii"), dir_fd=state)
    except OSError as error:
        raise LogArchiveError("cannot record which sources are being deleted: %s" % error.strerror, path) from error


def unfinished(path: str) -> t.List[Removal]:
    """The sources that a killed run was deleting. Raises LogArchiveError if the file cannot be read."""
    try:
        folder, name = os.path.split(path)
        with held(folder) as state, open(open_file(state, name), encoding="ascii") as file:
            return [Removal(*removal) for removal in json.load(file)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise LogArchiveError(
            "cannot read which sources a killed run was deleting (%s)" % error,
            path,
            "Find files named .log-archive-*.removed beside the logs, rename them to their original names, and remove this file",
        ) from error


def keep(path: str, removals: t.Sequence[Removal]) -> None:
    """Record that only these removals are not complete. Without any the file is removed."""
    if removals:
        begin(path, removals)
        return
    folder, name = os.path.split(path)
    with held(folder) as state:
        os.unlink(name, dir_fd=state)
