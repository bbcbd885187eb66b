# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifests that a job is exchanging in a store, recorded before the first of them is: what a rewrap is about to do.

A new manifest is encrypted at random, so it cannot be made a second time. A reader that finds it in the store before ledger and catalog
have it knows by this file that it is right, and the next run completes the rest.
"""

from __future__ import annotations

import json
import os
import typing as t

from ..base.beneath import open_file
from ..base.durable import write_atomically
from ..base.errors import LogArchiveError
from .folders import held, rewraps_path

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest


Exchanges = t.Dict[str, t.Mapping[str, "Manifest"]]
"""The new manifests, by the name of the store and the key of the archive."""


def begin(state: str, job: str, store: str, manifests: t.Mapping[str, Manifest]) -> None:
    """Record an exchange in a store that has no unfinished one. Raises LogArchiveError, and then nothing may be exchanged."""
    from ..archive.manifest import plain

    exchanges: Exchanges = {**unfinished(state, job), store: {key: t.cast("Manifest", plain(one)) for key, one in manifests.items()}}
    try:
        _write(state, job, exchanges)
    except OSError as error:
        path = rewraps_path(state, job)
        raise LogArchiveError("cannot record which manifests are exchanged: %s" % error.strerror, path) from error


def _write(state: str, job: str, exchanges: Exchanges) -> None:
    with held(state) as folder:
        write_atomically(os.path.basename(rewraps_path(state, job)), json.dumps(exchanges).encode("ascii"), dir_fd=folder)


def unfinished(state: str, job: str) -> Exchanges:
    """The exchanges that are not complete. Each store has at most one. Raises LogArchiveError if the file cannot be read."""
    path = rewraps_path(state, job)
    try:
        with held(state) as folder, open(open_file(folder, os.path.basename(path)), encoding="ascii") as file:
            found: Exchanges = {store: dict(manifests) for store, manifests in json.load(file).items()}
        if not all(isinstance(one, dict) and "archive" in one for manifests in found.values() for one in manifests.values()):
            raise ValueError("it contains something other than manifests")
        return found
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise LogArchiveError("cannot read which manifests a rewrap was exchanging: %s" % error.strerror, path) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise LogArchiveError(
            "the record of the manifests that a rewrap was exchanging is damaged (%s)" % error,
            path,
            "Restore the file from a backup, or move it away and run 'log-archive verify %s': it names the archives with a manifest that"
            " was already exchanged" % job,
        ) from error


def manifests_of(state: str, job: str, store: str) -> t.Mapping[str, Manifest]:
    """The manifests that may already be in this store, by the key of the archive. Raises LogArchiveError."""
    return unfinished(state, job).get(store, {})


def end(state: str, job: str, store: str) -> None:
    """Record that the exchange in a store is complete. Raises OSError, LogArchiveError."""
    left = {name: manifests for name, manifests in unfinished(state, job).items() if name != store}
    if left:
        _write(state, job, left)
        return
    with held(state) as folder:
        os.unlink(os.path.basename(rewraps_path(state, job)), dir_fd=folder)
        os.fsync(folder)
