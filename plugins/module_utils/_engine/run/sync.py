# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copy archives from store to store, as they are: neither the archive nor its manifest is opened, and no key is needed.

One archive at a time passes through the spool. There its digests are compared with its manifest before the destination gets anything. The
catalog knows of a copy before it is made, and counts it once the destination has proven it. If a sync is killed at any step, the next one
finds that step undone and does it, or finds it done and recognises it.
"""

from __future__ import annotations

import os
import typing as t

from ..archive.manifest import digests
from ..archive.naming import folder_keys, manifest_key
from ..base.errors import IntegrityError, KeyNameError, LogArchiveError, StoreError, StoreExistsError, StoreNotFoundError
from ..base.lists import some
from ..holdings import inventory, prune
from ..holdings.policy import read_policy
from ..holdings.sync import Copy, check_source, find
from ..holdings.trust import Choice
from ..tell.lacking import lacking_in
from .context import Context
from .deliver import clean, opened
from .job import carry_out, context_of, finish_rewraps, recover, send_head
from .part import part_of
from .recover import fetch

if t.TYPE_CHECKING:
    from datetime import datetime

    from ..base.progress import Advance, Progress
    from ..config.document import JobDocument
    from ..holdings.trust import Part
    from ..state.catalog import Catalog
    from ..state.entry import Entry
    from ..state.lacking import Lacked
    from ..state.record import SyncedRecord, SyncRecord
    from ..stores.base import Store, Verification

BATCH = 100
"""Copies that are entered in the ledger at a time."""


class Wanted(t.NamedTuple):
    """What to copy. sources, destinations: names of stores. start, end: only periods that touch this time; either may be open."""

    sources: t.Sequence[str]
    destinations: t.Sequence[str]
    start: t.Optional[datetime] = None
    end: t.Optional[datetime] = None


def sync(
    document: JobDocument,
    wanted: Wanted,
    now: t.Optional[datetime] = None,
    check: bool = False,
    progress: t.Optional[Progress] = None,
) -> SyncedRecord:
    """Copy to each destination the archives that it lacks and that the job keeps (see ``tell.lacking``); returns the record, as a run does.

    check: a dry run; only record what would be copied. Failures are in the record. Raises LockedError if a run of the job is active.
    """
    with context_of(document, now, check, progress=progress) as context:
        if not check:
            context.spool.make()
        record = t.cast("SyncedRecord", context.recorder.record)
        record["synced"] = {}
        carry_out(context, lambda: _sync(context, wanted))
        return record


def _sync(run: Context, wanted: Wanted) -> None:
    if not run.check:
        recover(run)
        if run.catalog.entered.owes_entries(run.job):
            run.enter("adopt")
        finish_rewraps(run)
    for name in dict.fromkeys([*wanted.sources, *wanted.destinations]):
        _learn(run, name, wanted)
    for name in wanted.destinations:
        begun = _Destination(run, name, wanted).fill()
        if run.stores.written.get(name):
            clean(run, everywhere=begun)
    send_head(run)


class _Known:
    """The keys of the archives that a catalog knows, whatever became of them, in any store."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def __contains__(self, key: object) -> bool:
        return self._catalog.has_key(str(key))


def _learn(run: Context, name: str, wanted: Wanted) -> None:
    """Add to the catalog what a store has and the catalog does not know, because it was lost: otherwise nobody would miss a copy of it.

    Without a proof of who made it, an archive is left out: see ``holdings.trust``. A store that cannot be listed is a warning here; if
    something is to be copied from it, that is an error.
    """
    run.recorder.begin("learn %s" % name, listed=False)
    try:
        store = run.stores.open(name)
        here = run.catalog.held_by(run.host, run.job, name)
        known = _Known(run.catalog)
        part = _part(run, name, wanted)
        expected = here.by_key().keys() if part is None else {key for folder in part.folders for key in here.below(folder)}
        held = inventory.read(store, run.host, run.job, known, run.trust_of(name, part), run.document["was"], expected)
        there = {item.key for item in held.recorded}.union(held.unlisted)
        _warn_of_missing(run, name, sorted((expected if part is None else part.recorded.keys()) - there))
        proven = [one for one in held.archives if one.authenticated]
        refused = [item.why for key, item in held.damaged.items() if not run.catalog.has_key(key)]
        refused += ["%s cannot be authenticated" % store.location(one.key) for one in held.archives if not one.authenticated]
        if refused:
            text = "store %s: %d archive(s) that the catalog does not know are not copied, such as: %s"
            run.recorder.warn(text % (name, len(refused), refused[0]))
        if proven and run.check:
            text = "store %s: %d archive(s) that the catalog does not know would be entered, and then copied like the others"
            run.recorder.warn(text % (name, len(proven)))
        for one in [] if run.check else proven:
            proof = store.verify(one.key, digests(one.manifest))
            here.add(one.key, one.manifest, proof.level, proof.etag)
            run.recorder.set_changed()
            run.recorder.event("relearned", archive=one.key, store=name)
    except LogArchiveError as error:
        run.recorder.warn("cannot look in store %s for archives that the catalog does not know: %s" % (name, error))
    if not run.check and run.catalog.entered.owes_entries(run.job):
        run.enter("adopt")


def _part(run: Context, name: str, wanted: Wanted) -> t.Optional[Part]:
    """The part of a store with all archives of the wanted time; None if any is wanted."""
    if wanted.start is None and wanted.end is None:
        return None
    here, listing = run.catalog.held_by(run.host, run.job, name), run.catalog.listings.last(run.job, name)
    choice = Choice(start=wanted.start, end=wanted.end)
    return part_of(run.stores.options[name], folder_keys(run.host, run.document), here, listing, choice)


def _warn_of_missing(run: Context, name: str, missing: t.List[str]) -> None:
    """Warn of archives that the store had and that somebody removed. They are evidence: who knows why they are gone copies them back.

    missing: their keys. Those that retention would remove may be gone.
    """
    policy = run.stores.options[name]["retention"] or run.document["retention"]
    if missing and policy is not None:
        due = prune.due(run.catalog.held_by(run.host, run.job, name).by_key(), read_policy(policy), run.now)
        missing = [key for key in missing if key not in due]
    if missing:
        text = (
            "store %s: %d archive(s) were removed there, and a sync does not put them back: %s. 'log-archive verify %s' names all of them"
        )
        run.recorder.warn(text % (name, len(missing), some(missing), run.job))


class _Destination:
    """One store that is filled."""

    def __init__(self, run: Context, name: str, wanted: Wanted) -> None:
        self._run = run
        self._name = name
        self._wanted = wanted
        self._listed: t.Dict[str, t.Set[str]] = {}
        self._by_folder = False
        self._nowhere: t.Dict[str, t.List[str]] = {}
        self._record: SyncRecord = {"copied": [], "present": [], "bytes": 0, "failed": {}}

    def fill(self) -> bool:
        """Copy what the store lacks; returns whether an earlier sync was killed while it did."""
        run = self._run
        t.cast("SyncedRecord", run.recorder.record)["synced"][self._name] = self._record
        run.recorder.begin("sync %s" % self._name)
        store, wanted = run.stores.options[self._name], self._wanted
        lacked = lacking_in(run.document, store, run.catalog, run.now, given_up=True, start=wanted.start, end=wanted.end)
        folders = {os.path.dirname(one.key) for one in lacked}
        held = run.catalog.held_by(run.host, run.job, self._name)
        self._by_folder = bool(lacked) and not inventory.whole_is_cheaper(store, held.count(), len(folders))
        # Each byte is fetched, and sent.
        with run.progress("sync %s" % self._name, 2 * sum(one.size for one in lacked)) as advance:
            for count, one in enumerate(lacked, 1):
                try:
                    self._copy(one, advance)
                except (LogArchiveError, OSError) as error:
                    if self._fail(one, error if isinstance(error, LogArchiveError) else _local(error)):
                        break
                if not (run.check or count % BATCH):
                    run.enter("put")
        self._report_nowhere()
        if lacked and not run.check:
            run.enter("put")
        return any(one.begun for one in lacked)

    def _copy(self, one: Lacked, advance: Advance) -> None:
        """Copy one archive. Raises StoreExistsError, IntegrityError and KeyNameError for this archive, other errors if the store fails."""
        run = self._run
        destination = opened(run, self._name) if not run.check else run.stores.open(self._name)
        entry = run.catalog.entry(one.archive)
        known = run.catalog.copies(entry).values()
        copies = [Copy(copy.store, copy.key, copy.manifest or entry.manifest) for copy in known if copy.state == "verified"]
        for key in sorted({copy.key for copy in copies}):
            # Not every store can name an adopted archive: before anything is read.
            destination.layout.name_of(manifest_key(key))
            there = find(destination, key, [copy.manifest for copy in copies if copy.key == key], self._keys(destination, one.host, key))
            if there is not None and there.verification is not None:
                self._have(entry, Copy(self._name, key, there.manifest), there.verification)
                self._record["present"].append(key)
                return
            if there is not None:
                # Only the manifest of this one is there: its upload was cut.
                copies = [copy for copy in copies if (copy.key, copy.manifest) == (key, there.manifest)]
        usable = [copy for copy in copies if self._is_usable(copy)]
        if not usable:
            for copy in copies:
                self._nowhere.setdefault(copy.store, []).append(one.key)
            self._record["failed"][one.key] = "none of the stores to copy from has it"
        elif run.check:
            self._count_copied(usable[0].key, one.size)
        else:
            self._copy_from(usable, entry, destination, advance)

    def _copy_from(self, copies: t.Sequence[Copy], entry: Entry, destination: Store, advance: Advance) -> None:
        """Copy from the first of these that is whole."""
        from ..holdings.send import put

        run = self._run
        copy = self._fetch(copies, entry, advance)
        if copy is None:
            return
        run.recorder.begin("sync %s" % self._name)
        try:
            run.catalog.lacking.begin(entry.id, self._name, copy.key)
            run.stores.written.setdefault(self._name, set()).add(os.path.dirname(copy.key) + "/")
            result = put(destination, run.spool.archive(entry.key), copy.manifest, copy.key, advance)
        finally:
            run.spool.remove(entry.key)
        self._have(entry, copy, result.verification)
        self._count_copied(copy.key, copy.manifest["archive"]["size"])
        run.recorder.event("synced", archive=entry.name, store=self._name, source=copy.store, verified_by=result.verification.level)

    def _fetch(self, copies: t.Sequence[Copy], entry: Entry, advance: Advance) -> t.Optional[Copy]:
        """Bring the archive to the spool; returns the copy that was whole, None if there is none. Each that is not is an error."""
        run = self._run
        for copy in copies:
            if copy.store in run.stores.dead:
                continue
            run.recorder.begin("sync %s" % self._name)
            try:
                source = run.stores.open(copy.store)
                check_source(source, copy)
                fetch(run, entry._replace(manifest=copy.manifest), source, copy.key, advance)
            except (IntegrityError, StoreNotFoundError) as error:
                run.recorder.fail(error)
                self._record["failed"][entry.key] = str(error)
            except LogArchiveError as error:
                run.fail_store(copy.store, error)
                self._record["failed"][entry.key] = str(error)
            else:
                self._record["failed"].pop(entry.key, None)
                return copy
        return None

    def _keys(self, destination: Store, host: str, key: str) -> t.Set[str]:
        """What the store lists of this host and the job; at least of the folder of the key, if that takes fewer requests."""
        place = os.path.dirname(key) + "/" if self._by_folder else host
        if place not in self._listed:
            folders = [place] if self._by_folder else folder_keys(host, self._run.document)
            self._listed[place] = {item.key for folder in folders for item in destination.list(folder)}
        return self._listed[place]

    def _is_usable(self, copy: Copy) -> bool:
        return copy.store != self._name and copy.store in self._wanted.sources and copy.store in self._run.stores.options

    def _have(self, entry: Entry, copy: Copy, verification: Verification) -> None:
        """Record that the store has proven its copy."""
        self._run.recorder.set_changed()
        if not self._run.check:
            self._run.catalog.lacking.begin(entry.id, self._name, copy.key)
            other = None if copy.manifest == entry.manifest else copy.manifest
            self._run.catalog.set_verified(entry, self._name, copy.key, verification.level, verification.etag, other)

    def _count_copied(self, key: str, size: int) -> None:
        self._run.recorder.set_changed()
        self._record["copied"].append(key)
        self._record["bytes"] += size

    def _fail(self, one: Lacked, error: LogArchiveError) -> bool:
        """Record why the store did not get an archive; returns whether the store fails as a whole."""
        run = self._run
        self._record["failed"][one.key] = str(error)
        run.recorder.event("sync_failed", archive=one.key, store=self._name, error=str(error))
        if not isinstance(error, (StoreExistsError, IntegrityError, KeyNameError)):
            run.fail_store(self._name, error)
            return True
        # What the store has under that name is not this copy.
        if not run.check:
            run.catalog.lacking.abandon(one.archive, self._name)
        run.recorder.fail_store(self._name, error)
        return False

    def _report_nowhere(self) -> None:
        """One error for all archives that can be read from no store."""
        keys = sorted({key for keys in self._nowhere.values() for key in keys})
        if keys:
            text = "%d archive(s) cannot be copied: none of the stores to copy from has them, only %s: %s"
            self._run.recorder.fail(
                StoreError(
                    text % (len(keys), ", ".join(sorted(self._nowhere)), some(keys)),
                    "store %s" % self._name,
                    "Add that store to the job again, or name it with --from",
                )
            )


def _local(error: OSError) -> LogArchiveError:
    return LogArchiveError("cannot use the spool (%s)" % error.strerror, error.filename)
