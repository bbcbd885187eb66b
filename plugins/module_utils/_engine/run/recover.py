# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring spool, catalog and stores together: after a run that was killed, and after the spool or the catalog was lost."""

from __future__ import annotations

import functools
import os

from ..archive import manifest as manifests
from ..archive.naming import MANIFEST_SUFFIX, unrevised
from ..base import hints as t
from ..base.errors import IntegrityError, LogArchiveError

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest
    from ..base.progress import Advance
    from ..sources.base import Source
    from ..state.entry import Entry
    from ..stores.base import Store
    from .context import Context


def bring_together(run: Context, keys: t.Iterable[str]) -> None:
    """Bring spool and catalog together. keys: of the archives in the spool. The run holds the lock: no other process writes there."""
    # The first archive of a name before its revisions, as they were made.
    for key in sorted(keys, key=unrevised):
        _recover_archive(run, key)
    for entry in run.catalog.entries(run.job, spooled=True):
        if not run.spool.holds(entry.key):
            _recover_missing(run, entry)


def _recover_archive(run: Context, key: str) -> None:
    """An archive in the spool: add it to the catalog if it is not there, remove it if every store has it."""
    path = run.spool.path(key)
    try:
        manifest = manifests.load(run.spool.archive(key) + MANIFEST_SUFFIX)
    except (FileNotFoundError, IntegrityError) as error:
        run.recorder.warn("skipped %s in the spool: it has no readable manifest (%s)" % (path, error))
        return
    entry = run.catalog.by_key(key)
    if entry is None:
        from ..holdings.send import digests_of_file

        if digests_of_file(run.spool.archive(key)) != manifests.digests(manifest):
            run.recorder.warn("skipped %s in the spool: it differs from its manifest" % path)
            return
        entry = run.catalog.add(key.split("/")[0], run.job, key, manifest, run.stores.names)
        run.recorder.event("recovered", archive=entry.name)
    elif not entry.spooled and manifest["archive"] in [one["archive"] for one in _manifests(run, entry)]:
        run.spool.remove(key)


def _manifests(run: Context, entry: Entry) -> t.List[Manifest]:
    """The manifests of an archive: a copy that was there already is another ciphertext. A sync that was killed leaves either."""
    return [entry.manifest, *(copy.manifest for copy in run.catalog.copies(entry).values() if copy.manifest is not None)]


def _recover_missing(run: Context, entry: Entry) -> Entry:
    """An archive that the spool lost and a store still awaits: fetch it from another store, or let the run create it again.

    Returns the entry as it is now: with the manifest of another ciphertext, if only that could be fetched.
    """
    copies = run.catalog.copies(entry)
    if all(name in copies and copies[name].state != "pending" for name in run.stores.names):
        run.catalog.unspool(entry)
        return entry
    verified = [copy for copy in copies.values() if copy.state == "verified"]
    # Prefer a copy of the archive that this host made; another ciphertext that a store already had is as good.
    for copy in sorted(verified, key=lambda copy: copy.manifest is not None):
        if copy.store not in run.stores.options:
            continue
        try:
            store = run.stores.open(copy.store)
            if copy.manifest is not None:
                entry = run.catalog.adopt(entry, copy.store, copy.manifest)
            fetch(run, entry, store, copy.key)
        except (LogArchiveError, OSError) as error:
            run.recorder.warn("%s disappeared from the spool and cannot be fetched from store %s: %s" % (entry.name, copy.store, error))
            continue
        run.recorder.warn("%s disappeared from the spool; it was fetched from store %s" % (entry.name, copy.store))
        return entry
    if not verified:
        run.catalog.forget(entry)
        run.recorder.warn("%s disappeared from the spool before a store had it; its sources are archived again" % entry.name)
    return entry


def fetch(run: Context, entry: Entry, store: Store, key: str, progress: t.Optional[Advance] = None) -> None:
    """Bring an archive back to the spool from a store. Raises IntegrityError if its bytes are not those of the manifest of the entry."""
    from ..stores.base import digests_of

    def write(file: t.BinaryIO) -> None:
        store.get(key, file, progress, most=entry.size)
        file.seek(0)
        if digests_of(file) != manifests.digests(entry.manifest):
            raise IntegrityError("the store's copy differs from the manifest", store.location(key))

    run.spool.put(entry.key, entry.manifest, write)


# -- a lost catalog ---------------------------------------------------------------------------------------------------


def relearn(run: Context, sources: t.Sequence[Source]) -> None:
    """The catalog is new, or was lost: learn which of these sources the stores already have, so that none is archived twice.

    What a store has counts only once it is verified again, and only if its manifest is authenticated: sources are deleted for it.
    """
    from .deliver import deliver, settle

    # For a store that has archives: many sources have many states.
    wanted = functools.lru_cache(None)(lambda: {state for one in sources for state in _states(one.path, one.size, one.mtime_ns)})
    learned: t.Dict[bytes, Entry] = {}
    for name in run.stores.names:
        try:
            _relearn_from(run, name, wanted, learned)
        except LogArchiveError as error:
            run.fail_store(name, error)
    if learned and not run.check:
        run.enter("adopt")
    for entry in learned.values():
        run.recorder.event("relearned", archive=entry.name)
        if not run.check:
            entry = _recover_missing(run, entry)
        if any(copy.state == "pending" for copy in run.catalog.copies(entry).values()):
            deliver(run, entry, run.recorder.add_archive(entry, "spooled"))
            settle(run)  # The next one may have to be fetched, and there may be no room for both.
        elif run.check:
            run.catalog.unspool(entry)


def _states(path: str, size: int, mtime_ns: int) -> t.List[t.Tuple[t.Any, ...]]:
    """By what a log is found: itself, and what a rotation made of it (``run.rotated`` then compares the bytes).

    A renamed or copied log has the same size. logrotate gives a compressed log the time of the log.
    """
    from ..sources.rotation import stem

    folder, name = os.path.split(path)
    log = folder, stem(name)
    return [(path, size, mtime_ns), (*log, "size", size), (*log, "second", mtime_ns // 10**9)]


def _relearn_from(run: Context, name: str, wanted: t.Callable[[], t.Set[t.Tuple[t.Any, ...]]], learned: t.Dict[bytes, Entry]) -> None:
    """Add to the catalog, and to ``learned``, the archives of one store that may hold a wanted source."""
    from ..holdings import inventory

    store = run.stores.open(name)
    # A server can report any digest. Before a source is deleted, its archive is read.
    level = "size" if run.check else "read_back" if run.document["delete_sources"] else None
    held = inventory.read(store, run.host, run.job, trust=run.trust_of(name), was=run.document["was"])
    _warn_of_unusable(run, name, [item.why for item in held.damaged.values()])
    unknown = 0
    present: t.Dict[str, t.Set[int]] = {}
    for key in [*(archive.key for archive in held.archives), *held.damaged]:
        first, revision = unrevised(key)
        present.setdefault(first, set()).add(revision)
    for first, revisions in present.items():
        # Retention removed one before the last: its number is free, and a new state of the log must come after the last.
        if len(revisions) < max(revisions):
            run.revisions[first] = max(*revisions, run.revisions.get(first, 0))
    for archive in held.archives:
        manifest = archive.manifest
        steady = [source for source in manifest["sources"] if not source.get("changed")]
        if all(wanted().isdisjoint(_states(source["path"], source["size"], source["mtime_ns"])) for source in steady):
            continue
        if not archive.authenticated:
            unknown += 1
            continue
        try:
            proof = store.verify(archive.key, manifests.digests(manifest), level)
        except IntegrityError as error:
            run.recorder.warn("store %s: %s" % (name, error))
            continue
        identities = manifests.source_identities(manifest)
        entry = learned.get(identities)
        if entry is None:
            if run.catalog.has_key(archive.key):
                continue
            entry = run.catalog.add(run.host, run.job, archive.key, manifest, run.stores.names)
            learned[identities] = entry
        adopted = None if entry.manifest["archive"] == manifest["archive"] else manifest
        run.catalog.set_verified(entry, name, archive.key, proof.level, proof.etag, adopted)
    if not run.check:
        from .recorded import remember_inventory

        remember_inventory(run, name, held)
    if unknown:
        run.recorder.warn(
            "store %s: the logs of %d archive(s) are archived again, because these archives cannot be authenticated"
            " (an older version made them, they are not encrypted, or their key is missing)" % (name, unknown)
        )


def _warn_of_unusable(run: Context, name: str, problems: t.Sequence[str]) -> None:
    if problems:
        run.recorder.warn("store %s: %d archive(s) cannot be used, such as: %s" % (name, len(problems), problems[0]))
