# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifests that a job is exchanging in a store, recorded before the first of them is: what a rewrap is about to do.

A new manifest is encrypted at random, so it cannot be made a second time. Who finds it in the store before ledger and catalog have it knows
by this file that it is right, and the next run completes the rest.
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


class Exchange(t.NamedTuple):
    """The new manifests in one store, by the key of the archive."""

    store: str
    manifests: t.Mapping[str, Manifest]


def begin(state: str, job: str, exchange: Exchange) -> None:
    """Record an exchange. Raises LogArchiveError, and then nothing may be exchanged."""
    path = rewraps_path(state, job)
    try:
        with held(state) as folder:
            write_atomically(os.path.basename(path), json.dumps(exchange._asdict()).encode("ascii"), dir_fd=folder)
    except OSError as error:
        raise LogArchiveError("cannot record which manifests are exchanged: %s" % error.strerror, path) from error


def unfinished(state: str, job: str) -> t.Optional[Exchange]:
    """The exchange that is not complete; None if there is none. Raises LogArchiveError if the file cannot be read."""
    path = rewraps_path(state, job)
    try:
        with held(state) as folder, open(open_file(folder, os.path.basename(path)), encoding="ascii") as file:
            found = json.load(file)
            return Exchange(found["store"], found["manifests"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LogArchiveError("cannot read which manifests are exchanged (%s)" % error, path) from error


def manifests_of(state: str, job: str, store: str) -> t.Mapping[str, Manifest]:
    """The manifests that may already be in this store, by the key of the archive. Raises LogArchiveError."""
    exchange = unfinished(state, job)
    return {} if exchange is None or exchange.store != store else exchange.manifests


def end(state: str, job: str) -> None:
    """Record that the exchange is complete. Raises OSError."""
    with held(state) as folder:
        os.unlink(os.path.basename(rewraps_path(state, job)), dir_fd=folder)
        os.fsync(folder)
