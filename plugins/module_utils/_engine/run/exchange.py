# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exchange manifests in a store, as it is recorded; also what a rewrap that was cut has left (see ``rewrap``)."""

from __future__ import annotations

import contextlib
import typing as t

from ..archive.manifest import pieces
from ..archive.naming import manifest_key
from ..base.errors import IntegrityError, LogArchiveError, StoreNotFoundError
from ..base.staging import failing_clearly, temporary_folder
from ..state import rewraps
from ..stores.base import digests_of

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest
    from ..stores.base import Digests, Store
    from .context import Context


def finish(context: Context, name: str) -> None:
    """Complete the exchange that is recorded for a store, if there is one. The context has the lock of the job. Raises LogArchiveError."""
    state = context.document["state"]
    manifests = rewraps.manifests_of(state, context.job, name)
    if not manifests:
        return
    # A store that the job no longer has is compared with nothing.
    if name in context.stores.options:
        store = context.stores.open(name)
        done = {key: manifest for key, manifest in manifests.items() if _put(store, key, manifest)}
        context.ledger.rewrap(name, done)
        context.catalog.entered.rewrapped(name, done)
    try:
        rewraps.end(state, context.job, name)
    except OSError as error:
        raise LogArchiveError("cannot record that the manifests are exchanged: %s" % error.strerror, state) from error


def finish_of_run(context: Context) -> None:
    """The same at the beginning of a run: a store that fails, or a disk that is full, does not keep the run from archiving."""
    context.recorder.begin("rewrap", listed=False)
    again = "cannot complete a rewrap that was interrupted: %s. The next run, or 'log-archive key rewrap', tries again"
    try:
        names = sorted(rewraps.unfinished(context.document["state"], context.job))
    except LogArchiveError as error:
        context.recorder.warn(again % error)
        return
    for name in names:
        try:
            finish(context, name)
        except LogArchiveError as error:
            context.recorder.warn(again % error)


def _put(store: Store, key: str, manifest: Manifest) -> bool:
    """Put a manifest into the store; returns whether it is there. The archive may have been pruned or replaced since."""

    from ..holdings.inventory import fetch_manifest

    try:
        there = fetch_manifest(store, key)
    except (StoreNotFoundError, IntegrityError):
        return False
    if there == manifest:
        return True
    if there["archive"] != manifest["archive"]:
        return False
    with written(manifest) as (path, digests):
        store.replace(path, manifest_key(key), digests)
    return True


@contextlib.contextmanager
def written(manifest: Manifest) -> t.Iterator[t.Tuple[str, Digests]]:
    """The path of a temporary file with a manifest, and its digests. Raises DiskFullError or LogArchiveError if it cannot be written."""
    import tempfile

    folder = temporary_folder()
    with failing_clearly(folder), tempfile.NamedTemporaryFile(dir=folder, prefix=".log-archive-") as file:
        file.writelines(pieces(manifest))
        file.flush()
        with open(file.name, "rb") as stream:
            digests = digests_of(stream)
        yield file.name, digests
