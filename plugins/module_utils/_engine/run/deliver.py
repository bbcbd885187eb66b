# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deliver spooled archives to the stores of a job."""

from __future__ import annotations

import functools
import os
import typing as t

from ..archive import manifest as manifests, naming
from ..base.errors import ConfigError, DiskFullError, LogArchiveError, SourceError, StoreFullError

if t.TYPE_CHECKING:
    from ..state.entry import Entry
    from ..state.record import ArchiveRecord, CopyRecord
    from ..stores.base import Store
    from .context import Context

    Result = t.TypeVar("Result")


_ELSEWHERE = "Give one of them another folder"
MOST_UNSETTLED = 50
MOST_SOURCES_UNSETTLED = 1000
"""Of all of them: their manifests are in memory."""
LARGEST_UNSETTLED = 16 << 20
"""Bytes of the archives that still take up the spool although every store has them."""
LEAST_FREE = 4 * LARGEST_UNSETTLED
"""Bytes: in a spool with less room each archive leaves it at once."""


def deliver(run: Context, entry: Entry, archive: ArchiveRecord) -> None:
    """Send a spooled archive to each store that awaits it. Once no store awaits it, ``settle`` may take it out of the spool.

    archive: its part of the record, which is brought up to date. The caller calls ``settle`` after the last one.
    """
    if run.check:
        archive["stores"] = {copy.store: {"state": copy.state} for copy in run.catalog.copies(entry).values()}
        archive["state"] = "would be sent"
        run.recorder.set_changed()
        run.expect(entry.key, manifests.period_of(entry.manifest).start)
        return
    copies = run.catalog.copies(entry)
    if not copies.keys() >= set(run.stores.names):
        run.catalog.await_stores(entry, run.stores.names)
        copies = run.catalog.copies(entry)
    waiting = False
    for name in run.stores.names:
        if copies[name].state == "pending":
            archive["stores"][name] = copy = _send(run, entry, name)
            waiting = waiting or copy["state"] != "verified"
    archive["state"] = "spooled"
    unsettled = run.unsettled
    unsettled.append((entry, None if waiting else archive))
    run.unsettled_sources += len(entry.manifest["sources"])
    run.unsettled_bytes += entry.size
    many = len(unsettled) >= MOST_UNSETTLED or run.unsettled_sources >= MOST_SOURCES_UNSETTLED
    if many or run.unsettled_bytes >= LARGEST_UNSETTLED or run.spool.free_bytes() < LEAST_FREE:
        settle(run)


def settle(run: Context) -> None:
    """Take archives that no store awaits out of the spool, and enter the copies that stores have verified since in the ledger.

    That is done for many small archives at once: each step writes to the disk and waits for it. If the run is killed before or meanwhile,
    the next one does it in ``recover``. The spool comes first: the other two need room.
    """
    unsettled = run.unsettled
    if not unsettled:
        return
    run.unsettled, run.unsettled_sources, run.unsettled_bytes = [], 0, 0
    done = [(entry, archive) for entry, archive in unsettled if archive is not None]
    run.spool.remove(*(entry.key for entry, _archive in done))
    # A manifest with many sources is not read again: its archive is alone.
    run.enter("put", unsettled[-1][0])
    if done:
        run.catalog.unspool(*(entry for entry, _archive in done))
    for _entry, archive in done:
        archive["state"] = "done"


def settling(run: Context, step: t.Callable[[], Result], full: t.Tuple[t.Type[LogArchiveError], ...] = (DiskFullError,)) -> Result:
    """Take a step that needs room. If there is none, settle what still takes up the spool, and take the step once more.

    full: the errors that mean a full disk. Raises what the step raises.
    """
    try:
        return step()
    except full:
        if not run.unsettled:
            raise
    settle(run)
    return step()


def unspool(run: Context, entry: Entry) -> None:
    """Remove an archive that no store awaits from the spool."""
    run.catalog.unspool(entry)
    run.spool.remove(entry.key)


def _send(run: Context, entry: Entry, name: str) -> CopyRecord:
    run.recorder.begin("store %s" % name)
    if name in run.stores.dead:
        return {"state": "pending", "error": run.stores.dead[name]}
    try:
        store = opened(run, name)
        if not _confirmed(run, entry, store):
            run.recorder.warn("%s was not sent to store %s: not confirmed" % (entry.name, name))
            return {"state": "pending", "error": "not confirmed"}
        copy = _put_into(run, entry, store)
    except (LogArchiveError, OSError) as error:
        return _failed(run, entry, name, error)
    run.recorder.set_changed()
    run.recorder.event("stored", archive=entry.name, store=name, verified_by=copy["verified_by"], attempts=copy["attempts"])
    return copy


def opened(run: Context, name: str) -> Store:
    """The store of this name, to send archives to. Raises what ``OpenStores.open`` raises, and ConfigError if it is the spool."""
    store = run.stores.open(name)
    if store.folder() == run.spool.identity:
        raise ConfigError("the store is the spool, from which archives are removed once they are stored", store.location(), _ELSEWHERE)
    return store


def _confirmed(run: Context, entry: Entry, store: Store) -> bool:
    if run.confirm is None or not store.remote:
        return True
    return run.confirm(entry.name, store.location(entry.key), entry.size)


def _put_into(run: Context, entry: Entry, store: Store) -> CopyRecord:
    """Send the archive. A store without room is pruned by its policy, and the archive is sent once more."""
    if run.document["prune"] == "before" and store.name not in run.stores.pruned:
        from .prune import make_room

        settle(run)
        run.stores.pruned.add(store.name)
        make_room(run, store.name)
        run.recorder.begin("store %s" % store.name)
    # A store on this host may share its disk with the spool.
    full = (DiskFullError,) if store.remote else (DiskFullError, StoreFullError)
    try:
        return settling(run, lambda: _put(run, entry, store), full)
    except StoreFullError as error:
        from .prune import make_room

        settle(run)
        if not make_room(run, store.name):
            raise
        run.recorder.begin("store %s" % store.name)
        run.recorder.warn("store %s had no room (%s); after retention the upload is tried again" % (store.name, error.message))
        return _put(run, entry, store)


def _put(run: Context, entry: Entry, store: Store) -> CopyRecord:
    from ..holdings.send import send

    with run.progress("%s <- %s" % (store.name, os.path.basename(entry.key)), entry.size) as advance:
        trust = functools.partial(run.trust_of, store.name)
        sent = send(store, run.spool.archive(entry.key), entry.manifest, entry.key, run.suffix, trust, advance)
    if sent.adopted is not None:
        run.recorder.warn("store %s already has the logs of %s; that archive is kept" % (store.name, store.location(sent.key)))
    run.stores.written.setdefault(store.name, set()).add(os.path.dirname(sent.key) + "/")
    run.catalog.set_verified(entry, store.name, sent.key, sent.verification.level, sent.verification.etag, sent.adopted)
    return {
        "state": "verified",
        "location": store.location(sent.key),
        "verified_by": sent.verification.level,
        "md5": sent.verification.md5,
        "etag": sent.verification.etag,
        "attempts": sent.attempts,
    }


def _failed(run: Context, entry: Entry, name: str, error: t.Union[LogArchiveError, OSError]) -> CopyRecord:
    if isinstance(error, OSError):
        error = SourceError("cannot read the archive in the spool: %s" % error.strerror, run.spool.path(entry.key))
    run.fail_store(name, error)
    run.catalog.set_failed(entry, name, str(error))
    run.recorder.event("store_failed", archive=entry.name, store=name, error=str(error))
    return {"state": "pending", "error": str(error)}


def clean(run: Context, everywhere: bool) -> None:
    """Remove unfinished uploads of killed runs from the stores that have every archive: there nothing else is unfinished.

    Looks in the folders that this run sent archives to. everywhere: in all folders of the job (after a run that was killed).
    """
    if run.check:
        return
    run.recorder.begin("clean up", listed=False)
    awaiting = {name for names in run.catalog.awaited(run.job).values() for name in names}
    for name in run.stores.names:
        if name in awaiting or name in run.stores.dead:
            continue
        folders = set(naming.folder_keys(run.host, run.document)) if everywhere else run.stores.written.get(name, set())
        try:
            for folder in sorted(folders):
                run.stores.open(name).clean(folder)
        except LogArchiveError as error:
            run.recorder.warn("store %s: cannot remove unfinished uploads of earlier runs: %s" % (name, error))
