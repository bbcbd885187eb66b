# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job: select, pack, store, verify, prune, recap; and what a killed run left is completed by the next one.

The order of writing carries the guarantee. An archive is whole in the spool (manifest first, archive last) before the catalog
knows it; the catalog knows it before any store gets it; a store's copy counts when it is verified and the catalog says so; the spool
lets go of it after that; sources go last. Whatever step is cut short is found undone, or done and recognised, by the next run.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import stat
import time
import typing as t
from datetime import datetime, timezone

from ..archive import manifest as manifests, naming
from ..base import durable
from ..base.errors import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INTEGRITY,
    EXIT_PARTLY,
    ConfigError,
    IntegrityError,
    LogArchiveError,
    SelectionError,
    SourceError,
    StoreError,
)
from ..base.units import format_utc, parse_duration
from ..state.catalog import FILE_NAME, Catalog, Entry
from ..state.events import EventLog
from ..stores.opening import open_store
from ..tell.report import no_progress

if t.TYPE_CHECKING:
    from ..archive.create import Created
    from ..crypto.keyring import Key
    from ..holdings.retention import Item
    from ..sources.files import Selection, Source
    from ..stores.base import Store

Document = t.Dict[str, t.Any]
Recap = t.Dict[str, t.Any]
Advance = t.Callable[[int], None]
Progress = t.Callable[[str, int], t.ContextManager[Advance]]
"""Called with what begins and its size in bytes; gives the function that is told how many bytes have moved."""
Confirm = t.Callable[[str, str, int], bool]
"""Called with an archive's name, where it would go and its size; says whether it may."""

LEAVING_TYPES = ("s3", "sftp")
"""Store types whose archives leave the host: those that ``confirm`` asks about."""


def run(
    document: Document,
    now: t.Optional[datetime] = None,
    confirm: t.Optional[Confirm] = None,
    progress: t.Optional[Progress] = None,
    check: bool = False,
) -> Recap:
    """Run one job, and complete what earlier runs of it left.

    document: as ``job_spec.normalise`` returns it. now: an aware datetime, the clock by default. check: only say what would be done.
    Returns the recap: {job, host, check, started, seconds, outcome, exit_code, changed, archives, missing, skipped, pruned,
    sources_deleted, spool, warnings, errors}. What fails is in there, each store by itself; raised are only LockedError (another run of
    this job) and errors that leave no way to keep a record.
    """
    if check:
        return _Run(document, now, confirm, progress, check=True).execute()
    for folder in (document["state"], document["spool"]):
        _make_folder(folder)
        _require_own(folder)
    with _locked(document):
        return _Run(document, now, confirm, progress, check=False).execute()


def prune(document: Document, stores: t.Sequence[str] = (), now: t.Optional[datetime] = None, check: bool = False) -> Recap:
    """Apply retention now, to the stores of these names or to all of the job; the recap as of ``run``."""
    with contextlib.ExitStack() as stack:
        if not check:
            _make_folder(document["state"])
            _require_own(document["state"])
            stack.enter_context(_locked(document))
        return _Run(document, now, None, None, check).execute(only_prune=stores or [store["name"] for store in document["stores"]])


def host_name(document: Document) -> str:
    """The name under which this host's archives are stored."""
    return document["host"] or naming.host_name()


def spool_folder(document: Document, host: str) -> str:
    """Where the archives of a job wait; below it they lie as in a store."""
    return os.path.join(document["spool"], host, document["name"])


def store_of(options: t.Mapping[str, t.Any]) -> Store:
    """The store that an entry of the document's ``stores`` describes."""
    return open_store({name: value for name, value in options.items() if name not in ("required", "retention", "append_only")})


def policy_of(document: Document, options: t.Mapping[str, t.Any]) -> t.Optional[t.Dict[str, t.Any]]:
    """The retention that applies to a store of the job, or None where it keeps everything."""
    return options["retention"] or document["retention"]


class _Run:
    def __init__(
        self,
        document: Document,
        now: t.Optional[datetime],
        confirm: t.Optional[Confirm],
        progress: t.Optional[Progress],
        check: bool,
    ) -> None:
        self.document = document
        self.job: str = document["name"]
        self.host = host_name(document)
        self.now = now or datetime.now(timezone.utc)
        self.confirm = confirm
        self.progress = progress or no_progress
        self.check = check
        self.known_state = not check or os.path.exists(os.path.join(document["state"], FILE_NAME))
        self.catalog = Catalog(document["state"] if self.known_state else None, readonly=check and self.known_state)
        self.events = EventLog(None if check else document["log"], self.job, self.host)
        self.stores: t.Dict[str, Store] = {}
        self.dead: t.Dict[str, str] = {}
        self.key: t.Optional[Key] = None
        self.error_codes: t.List[int] = []
        self.coming: t.List[Item] = []
        self.after_kill = False
        self.sent_to: t.Dict[str, t.Set[str]] = {}
        self.step = "start"
        self.recap: Recap = {
            "job": self.job,
            "host": self.host,
            "check": check,
            "started": format_utc(self.now),
            "seconds": 0.0,
            "outcome": "",
            "exit_code": EXIT_DONE,
            "changed": False,
            "steps": {},
            "archives": [],
            "missing": [],
            "skipped": [],
            "pruned": {},
            "sources_deleted": [],
            "spool": {"archives": 0, "bytes": 0},
            "warnings": [],
            "errors": [],
        }

    def execute(self, only_prune: t.Sequence[str] = ()) -> Recap:
        began = time.monotonic()
        last = self.catalog.last_run(self.job)
        self.after_kill = last is not None and last.ended is None
        run = None if self.check or only_prune else self.catalog.begin_run(self.job, self.now.timestamp())
        previous = self.catalog.last_ended(self.job) if run is not None and self.document["notify"] else None
        try:
            self._note("run_started")
            if run is not None and self.document["notify"]:
                from ..tell import notifying

                self._notified(notifying.started(self.document))
            if only_prune:
                self._prune(only_prune, always=True)
            else:
                self._archive_and_ship()
                self._prune([store["name"] for store in self.document["stores"]], always=False)
        except LogArchiveError as error:
            self._fail(error)
        except OSError as error:
            self._fail(LogArchiveError("the run ended early (%s)" % error.strerror, error.filename))
        except BaseException as error:
            self.recap["errors"].append("the run ended early: %s" % (str(error) or type(error).__name__))
            self._count("errors", self.step)
            self.error_codes.append(EXIT_FAILED)
            raise
        finally:
            for store in self.stores.values():
                store.close()
            self._conclude(time.monotonic() - began)
            if run is not None:
                self.catalog.end_run(run, time.time(), self.recap["exit_code"], self.recap)
                if self.document["notify"]:
                    # Only now: whatever becomes of it, the run is written down.
                    from ..tell import notifying

                    warnings = notifying.notify(self.document, self.recap, previous and previous.recap)
                    if warnings:
                        self._notified(warnings)
                        # The event log may be what fails now.
                        self._judge()
                        self.catalog.end_run(run, time.time(), self.recap["exit_code"], self.recap)
            self.catalog.close()
        return self.recap

    def _archive_and_ship(self) -> None:
        if not self.check:
            self._recover()
        for entry in self.catalog.entries(self.job, spooled=True):
            self._ship(entry, self._described(entry, "spooled"))
        self._begin("fetch" if self.document["web"] else "select")
        files = self._archive_new()
        if self.document["delete_sources"]:
            self._begin("delete sources")
            self._delete_sources(files)
        self.step = "clean up"
        self._clean()

    # -- before: what a killed run left -------------------------------------------------------------------------------

    def _recover(self) -> None:
        """Bring spool and catalog together again. The lock is ours: nobody else writes here."""
        self.step = "recover"
        for host in os.listdir(self.document["spool"]):
            for folder, _folders, names in os.walk(spool_folder(self.document, host)):
                for name in sorted(names):
                    path = os.path.join(folder, name)
                    if name.startswith(durable.TEMP_PREFIX):
                        os.unlink(path)
                    elif name.endswith(naming.MANIFEST_SUFFIX):
                        # It may be gone meanwhile, with an archive that every store had.
                        if os.path.exists(path) and not os.path.exists(path[: -len(naming.MANIFEST_SUFFIX)]):
                            os.unlink(path)
                    else:
                        self._recover_archive(host, path)
        for entry in self.catalog.entries(self.job, spooled=True):
            if not os.path.exists(self._spooled(entry)):
                self._recover_missing(entry)

    def _recover_archive(self, host: str, path: str) -> None:
        key = os.path.relpath(path, self.document["spool"]).replace(os.sep, "/")
        entry = self.catalog.by_key(key)
        try:
            manifest = manifests.load(naming.manifest_key(path))
        except (FileNotFoundError, IntegrityError) as error:
            self._warn("%s lies in the spool without a readable manifest and is left alone (%s)" % (path, error))
            return
        if entry is None:
            from ..holdings.send import digests_of_file

            if digests_of_file(path) != manifests.digests(manifest):
                self._warn("%s lies in the spool but is not what its manifest says; it is left alone" % path)
                return
            self.catalog.add(host, self.job, key, manifest, [store["name"] for store in self.document["stores"]])
            self._note("recovered", archive=manifest["archive"]["name"])
        elif not entry.spooled and entry.manifest["archive"] == manifest["archive"]:
            self._remove_from_spool(entry)

    def _recover_missing(self, entry: Entry) -> None:
        """The spool lost an archive that some store still awaits: take it from a store that has it, else let it be made again."""
        copies = self.catalog.copies(entry)
        if all(o["name"] in copies and copies[o["name"]].state != "pending" for o in self.document["stores"]):
            self.catalog.unspool(entry)
            return
        verified = [copy for copy in copies.values() if copy.state == "verified"]
        # What was shipped before first; a ciphertext that was found in a store and kept is as good.
        for copy in sorted(verified, key=lambda copy: copy.manifest is not None):
            options = next((o for o in self.document["stores"] if o["name"] == copy.store), None)
            if options is None:
                continue
            try:
                if copy.manifest is not None:
                    entry = self.catalog.adopt(entry, copy.store, copy.manifest)
                self._respool(entry, self._store(options), copy.key)
            except (LogArchiveError, OSError) as error:
                self._warn("%s is gone from the spool and cannot be taken from store %s (%s)" % (self._name(entry), copy.store, error))
                continue
            self._warn("%s was gone from the spool and was taken from store %s" % (self._name(entry), copy.store))
            return
        if verified:
            return
        self.catalog.forget(entry)
        self._warn("%s is gone from the spool before any store had it; its sources are archived again" % self._name(entry))

    def _respool(self, entry: Entry, store: Store, key: str) -> None:
        path = self._spooled(entry)
        _make_folder(os.path.dirname(path))
        part = os.path.join(os.path.dirname(path), durable.TEMP_PREFIX + os.path.basename(path))
        with open(part, "w+b") as file:
            store.get(key, file)
            file.flush()
            os.fsync(file.fileno())
        from ..holdings.send import digests_of_file

        if digests_of_file(part) != manifests.digests(entry.manifest):
            os.unlink(part)
            raise IntegrityError("the store's copy is not what the manifest says", store.location(key))
        durable.write_atomically(naming.manifest_key(path), manifests.dump(entry.manifest))
        os.replace(part, path)
        durable.fsync_folder(os.path.dirname(path))

    # -- select and pack ----------------------------------------------------------------------------------------------

    def _archive_new(self) -> t.List[Source]:
        """Archive what is selected, or was fetched, and not archived yet; return all of it."""
        if self.document["web"] is not None:
            return self._archive_dump()
        try:
            selection = self._select()
        except LogArchiveError as error:
            self._fail(error)
            return []
        self.recap["skipped"] = [{"path": s.path, "reason": s.reason} for s in selection.skipped]
        self._archive_files(selection.files)
        self._note_missing(selection)
        return selection.files

    def _archive_dump(self) -> t.List[Source]:
        """Fetch what a web server has, archive it, and remember which version it was, so that it is not fetched again."""
        from ..sources import dumps

        with contextlib.ExitStack() as stack:
            try:
                dump = stack.enter_context(dumps.fetched(self.document, self.now, self.progress, self.check))
            except LogArchiveError as error:
                self._fail(error)
                return []
            if dump.problem is not None:
                if self.document["web"]["absent"] == "error":
                    self._fail(SelectionError(dump.problem, hint="The job says that this is an error (web.absent)"))
                else:
                    self._warn(dump.problem)
                return []
            failed = len(self.recap["errors"])
            self._archive_files(dump.files, dump.folder)
            if not self.check and len(self.recap["errors"]) == failed:
                dump.remember()
        return []

    def _archive_files(self, files: t.Sequence[Source], below: str = "/") -> None:
        new = self._not_archived(files)
        if new and self.catalog.last_success(self.job, self.now.timestamp()) is None:
            self._relearn(new)
            new = self._not_archived(files)
        archive, select = self.document["archive"], self.document["select"]
        fields = {"host": self.host, "job": self.job}
        try:
            groups = naming.group(new, archive["group"], archive["name"], select["period"], select["timezone"], fields)
        except LogArchiveError as error:
            self._fail(error)
            groups = []
        for group in groups:
            try:
                self._archive(group, below)
            except LogArchiveError as error:
                self._fail(error)
                break  # No room, no key, no library: the next archive would fail in the same way.

    def _not_archived(self, files: t.Sequence[Source]) -> t.List[Source]:
        archived = self.catalog.archived_sources(self.job, [source.path for source in files])
        return [s for s in files if (s.path, s.size, s.mtime_ns) not in archived]

    def _relearn(self, new: t.Sequence[Source]) -> None:
        """The catalog is new, or was lost: what stores hold of these sources already, proven again, is not archived twice."""
        from ..holdings import inventory

        wanted = {(source.path, source.size, source.mtime_ns) for source in new}
        learned: t.List[Entry] = []
        for options in self.document["stores"]:
            try:
                store = self._store(options)
                held = inventory.read(store, self.host, self.job).archives
                for key, manifest in [(archive.key, archive.manifest) for archive in held]:
                    if wanted.isdisjoint((s["path"], s["size"], s["mtime_ns"]) for s in manifest["sources"] if not s.get("changed")):
                        continue
                    try:
                        proof = store.verify(key, manifests.digests(manifest), "size" if self.check else None)
                    except IntegrityError as error:
                        self._warn("store %s: %s" % (options["name"], error))
                        continue
                    entry = next((e for e in learned if manifests.same_sources(e.manifest, manifest)), None)
                    if entry is None:
                        if self.catalog.by_key(key) is not None:
                            continue
                        entry = self.catalog.add(self.host, self.job, key, manifest, [o["name"] for o in self.document["stores"]])
                        learned.append(entry)
                    adopted = None if entry.manifest["archive"] == manifest["archive"] else manifest
                    self.catalog.set_verified(entry, store.name, key, proof.level, proof.etag, adopted)
            except LogArchiveError as error:
                self._store_failed(options["name"], error)
        for entry in learned:
            self._note("relearned", archive=self._name(entry))
            if not self.check:
                self._recover_missing(entry)
            copies = self.catalog.copies(entry)
            if any(copy.state == "pending" for copy in copies.values()):
                self._ship(entry, self._described(entry, "spooled"))
            elif self.check:
                self.catalog.unspool(entry)

    def _select(self) -> Selection:
        from ..sources.files import select

        options = dict(self.document["select"], must_exist=False)
        last = self.catalog.last_success(self.job, self.now.timestamp())
        if last is not None:
            since = self.now.timestamp() - last.started
            options["catch_up"] = max(parse_duration(options["catch_up"]), since)
        return select(options, self.now)

    def _note_missing(self, selection: Selection) -> None:
        """Periods that should have a log and neither have one now nor were archived before."""
        from ..base.periods import expected_periods

        select = self.document["select"]
        newest = [] if select["period"] == "none" else expected_periods(select["period"], select["offset"], 0, select["timezone"], self.now)
        first = self.catalog.first_run(self.job)
        since = self.now.timestamp() if first is None else first
        # What the job never had a chance to archive is not missing: on its first run only the period that is due counts.
        periods = [p for p in selection.missing if p in newest or p.start.timestamp() >= since]
        periods = [p for p in periods if not self.catalog.covers(self.job, format_utc(p.start), format_utc(p.end))]
        self.recap["missing"] = [{"start": format_utc(p.start), "end": format_utc(p.end)} for p in periods]
        patterns = ", ".join(select["patterns"])
        self.step = "select"
        if periods:
            spans = ", ".join("%s to %s" % (format_utc(p.start), format_utc(p.end)) for p in periods)
            text = "no log matches %s for %s" % (patterns, spans)
        elif select["period"] == "none" and not selection.files:
            text = "nothing matches %s in %s" % (patterns, ", ".join(select["paths"]))
        else:
            return
        if select["must_exist"]:
            self._fail(SelectionError(text, hint="The job says that it must exist (select.must_exist)"))
        else:
            self._warn(text)

    def _archive(self, group: naming.Group, below: str) -> None:
        suffix = self._suffix()
        first_key = naming.archive_key(self.host, self.job, group.period, group.name + suffix)
        keys = (naming.revised(first_key, suffix, revision) for revision in itertools.count(1))
        # What lies in the spool and cannot be used was left alone, and is not written over.
        spool = self.document["spool"]
        key = next(key for key in keys if self.catalog.by_key(key) is None and not os.path.lexists(os.path.join(spool, key)))
        path = os.path.join(spool, key)
        self._begin("pack")
        total = sum(source.size for source in group.sources)
        if self.check:
            entry = {"name": os.path.basename(path), "key": key, "sources": [s.path for s in group.sources], "source_bytes": total}
            self.recap["archives"].append(dict(entry, state="would be archived", stores={}))
            self.recap["changed"] = True
            self._expect(key, group.period.start)
            return
        if self.key is None and self.document["encryption"]["format"] == "fernet":
            from ..crypto.keyring import load_current

            self.key = load_current(self.document["encryption"]["keyring"])
        _make_folder(os.path.dirname(path))
        created = self._create(path, group, self.key, below)
        if created is None:
            return
        self.recap["changed"] = True
        for warning in created.warnings:
            self._warn(warning)
        entry = self.catalog.add(self.host, self.job, key, created.manifest, [store["name"] for store in self.document["stores"]])
        archive = created.manifest["archive"]
        self._note("archived", archive=archive["name"], size=archive["size"], sha256=archive["sha256"], seconds=round(created.seconds, 3))
        self._ship(entry, self._described(entry, "archived"))

    def _expect(self, key: str, start: datetime) -> None:
        """Check mode: count an archive that is not in the stores yet in the plan of what would be pruned."""
        from ..holdings.retention import Item

        self.coming.append(Item(key, start, self.host, self.job, 0))

    def _create(self, path: str, group: naming.Group, key: t.Optional[Key], below: str) -> t.Optional[Created]:
        """Make one archive; of a group without the sources that cannot be read, each of which is told. None if none is left."""
        from ..archive.create import create_archive

        sources = group.sources
        refuse = self.document["archive"]["changed"] == "refuse"
        while sources:
            try:
                with self.progress("pack %s" % os.path.basename(path), sum(source.size for source in sources)) as advance:
                    return create_archive(path, sources, key, self.host, self.job, group.period, refuse, advance, below)
            except SourceError as error:
                if error.vanished:
                    self._warn(str(error))
                else:
                    self._fail(error)
                sources = [source for source in sources if source.path != error.path]
        return None

    def _described(self, entry: Entry, state: str) -> t.Dict[str, t.Any]:
        archive = entry.manifest["archive"]
        described = {
            "name": archive["name"],
            "key": entry.key,
            "state": state,
            "size": archive["size"],
            "sha256": archive["sha256"],
            "key_id": entry.manifest["encryption"].get("key_id"),
            "sources": [source["path"] for source in entry.manifest["sources"]],
            "source_bytes": sum(source["size"] for source in entry.manifest["sources"]),
            "stores": {},
        }
        self.recap["archives"].append(described)
        return described

    # -- store and verify ---------------------------------------------------------------------------------------------

    def _ship(self, entry: Entry, described: t.Dict[str, t.Any]) -> None:
        """Bring a spooled archive to each store that awaits it; let go of it when every required store has it."""
        if self.check:
            described["stores"] = {copy.store: {"state": copy.state} for copy in self.catalog.copies(entry).values()}
            described["state"] = "would be sent"
            self.recap["changed"] = True
            self._expect(entry.key, manifests.period_of(entry.manifest).start)
            return
        self.catalog.await_stores(entry, [store["name"] for store in self.document["stores"]])
        copies = self.catalog.copies(entry)
        waiting = False
        for options in self.document["stores"]:
            copy = copies[options["name"]]
            if copy.state == "pending":
                described["stores"][copy.store] = outcome = self._send(entry, options)
                waiting = waiting or (options["required"] and outcome["state"] != "verified")
        if waiting:
            described["state"] = "spooled"
            return
        self.catalog.unspool(entry)
        self._remove_from_spool(entry)
        described["state"] = "done"

    def _send(self, entry: Entry, options: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
        name = options["name"]
        self._begin("store %s" % name)
        if name in self.dead:
            return {"state": "pending", "error": self.dead[name]}
        path = self._spooled(entry)
        try:
            store = self._store(options)
            if not self._confirmed(entry, store):
                self._warn("%s was not sent to store %s: not confirmed" % (self._name(entry), name))
                return {"state": "pending", "error": "not confirmed"}
            with self.progress("%s <- %s" % (name, os.path.basename(path)), entry.manifest["archive"]["size"]) as advance:
                sent = self._put(entry, store, path, advance)
        except (LogArchiveError, OSError) as error:
            return self._not_sent(entry, name, error)
        self.recap["changed"] = True
        self._note("stored", archive=self._name(entry), store=name, verified_by=sent["verified_by"], attempts=sent["attempts"])
        return sent

    def _confirmed(self, entry: Entry, store: Store) -> bool:
        if self.confirm is None or store.type not in LEAVING_TYPES:
            return True
        return self.confirm(self._name(entry), store.location(entry.key), entry.manifest["archive"]["size"])

    def _not_sent(self, entry: Entry, name: str, error: Exception) -> t.Dict[str, t.Any]:
        if isinstance(error, OSError):
            error = SourceError("the spooled archive cannot be read (%s)" % error.strerror, str(error.filename))
        self._store_failed(name, t.cast(LogArchiveError, error))
        self.catalog.set_failed(entry, name, str(error))
        self._note("store_failed", archive=self._name(entry), store=name, error=str(error))
        return {"state": "pending", "error": str(error)}

    def _store_failed(self, name: str, error: LogArchiveError) -> None:
        if not isinstance(error, (IntegrityError, SourceError)):
            # What failed after all its attempts would fail for the next archive too, and take as long.
            self.dead[name] = str(error)
        self.recap["errors"].append("store %s: %s" % (name, error))
        self._count("errors", "store %s" % name)
        self.error_codes.append(error.exit_code)

    def _put(self, entry: Entry, store: Store, path: str, advance: Advance) -> t.Dict[str, t.Any]:
        from ..holdings.send import send

        sent = send(store, path, entry.manifest, entry.key, self._suffix(), advance)
        if sent.adopted is not None:
            self._warn("store %s already holds the logs of %s; that archive is kept" % (store.name, store.location(sent.key)))
        self.sent_to.setdefault(store.name, set()).add(os.path.dirname(sent.key) + "/")
        self.catalog.set_verified(entry, store.name, sent.key, sent.verification.level, sent.verification.etag, sent.adopted)
        return {
            "state": "verified",
            "location": store.location(sent.key),
            "verified_by": sent.verification.level,
            "md5": sent.verification.md5,
            "etag": sent.verification.etag,
            "attempts": sent.attempts,
        }

    def _store(self, options: t.Mapping[str, t.Any]) -> Store:
        name = options["name"]
        if name not in self.stores:
            self.stores[name] = store_of(options)
        return self.stores[name]

    # -- after: sources, retention, recap -----------------------------------------------------------------------------

    def _delete_sources(self, files: t.Sequence[Source]) -> None:
        """Delete sources that every required store has verified and that are unchanged since."""
        required = [store["name"] for store in self.document["stores"] if store["required"]]
        archived = self.catalog.archived_sources(self.job, [source.path for source in files])
        if self.check:
            self.recap["sources_deleted"] = [source.path for source in files]
            return
        for (path, size, mtime_ns), archive in sorted(archived.items()):
            entry = self.catalog.entry(archive)
            copies = self.catalog.copies(entry)
            if any(name not in copies or copies[name].state == "pending" for name in required):
                continue
            try:
                status = os.lstat(path)
                if not stat.S_ISREG(status.st_mode) or (status.st_size, status.st_mtime_ns) != (size, mtime_ns):
                    continue
                os.unlink(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                self._fail(LogArchiveError("the archived source cannot be deleted (%s)" % error.strerror, path))
                continue
            self.recap["sources_deleted"].append(path)
            self._note("source_deleted", path=path, archive=self._name(entry))

    def _clean(self) -> None:
        """Where nothing is pending, what is unfinished was left by killed runs: look where this run has sent archives, and after a
        run that was killed (it may have been while it cleaned) everywhere."""
        if self.check:
            return
        awaiting = {name for names in self.catalog.awaited(self.job).values() for name in names}
        for options in self.document["stores"]:
            name = options["name"]
            everywhere = {naming.folder_key(self.host, self.job)} if self.after_kill else set()
            folders = everywhere or self.sent_to.get(name, set())
            if name not in awaiting and name not in self.dead:
                try:
                    for folder in sorted(folders):
                        self._store(options).clean(folder)
                except LogArchiveError as error:
                    self._warn("store %s: unfinished uploads of earlier runs cannot be removed (%s)" % (name, error))

    def _prune(self, names: t.Sequence[str], always: bool) -> None:
        """Apply retention to each of these stores that has nothing pending. Last, and only there.

        The plan depends on what a store holds and not on the clock, so a store that got nothing new needs no new plan.
        """
        awaited = {} if self.check else self.catalog.awaited(self.job)
        for options in self.document["stores"]:
            policy = policy_of(self.document, options)
            name = options["name"]
            if policy is None or name not in names:
                continue
            self.step = "prune %s" % name
            if options["append_only"]:
                if always:
                    self._warn("store %s was not pruned: it is append-only for this host, and pruned on its own side" % name)
                continue
            if name in self.dead or any(name in stores for stores in awaited.values()):
                self._warn("store %s was not pruned: archives still wait for it" % name)
                continue
            text = json.dumps(policy, sort_keys=True)
            if always or self.coming or self.catalog.needs_prune(self.job, name, text):
                try:
                    self._prune_store(options, policy, text, awaited)
                except LogArchiveError as error:
                    self._fail(error)

    def _prune_store(
        self, options: t.Mapping[str, t.Any], policy: t.Mapping[str, t.Any], text: str, awaited: t.Mapping[str, t.Sequence[str]]
    ) -> None:
        from ..holdings import prune as pruning, retention

        name = options["name"]
        self._begin("prune %s" % name)
        store = self._store(options)
        pruning_plan = pruning.plan(
            store,
            retention.parse_policy({rule: value for rule, value in policy.items() if rule != "name_template"}),
            self.now,
            self.host,
            self.job,
            policy["name_template"],
            self.document["select"]["timezone"],
            self.catalog.held(self.job, name),
            awaited,
            self.coming,
            lambda key: self.catalog.was_pruned(name, key),
        )
        plan = pruning_plan.plan
        done = pruning.Pruned([item.key for item, _reason in plan.remove], plan.bytes_freed, {})
        if not self.check:
            # The catalog lets go first: it never says that a store holds what was deleted.
            self.catalog.set_pruned(name, done.removed)
            done = pruning.execute(store, pruning_plan)
        self.recap["pruned"][name] = {
            "kept": len(plan.keep),
            "removed": done.removed,
            "bytes_freed": done.bytes_freed,
            "refusals": plan.refusals,
        }
        if self.check:
            self.recap["pruned"][name]["plan"] = pruning.described(plan)
        for refusal in plan.refusals:
            self._warn("store %s: %s" % (name, refusal))
        for key, why in pruning_plan.damaged.items():
            self._warn("store %s: %s is not judged, its manifest cannot be used (%s)" % (name, key, why))
        for key, why in done.failed.items():
            self._fail(StoreError("cannot be deleted (%s)" % why, store.location(key)))
        if done.removed:
            self._note("pruned", store=name, removed=done.removed, bytes_freed=done.bytes_freed)
        # What is kept only because another store awaits it may go once that store has it.
        if not (self.check or plan.refusals or done.failed or awaited):
            self.catalog.set_prune_done(self.job, name, text)

    def _conclude(self, seconds: float) -> None:
        recap = self.recap
        spooled = self.catalog.entries(self.job, spooled=True)
        recap["spool"] = {"archives": len(spooled), "bytes": sum(entry.manifest["archive"]["size"] for entry in spooled)}
        pruned = any(pruned["removed"] for pruned in recap["pruned"].values())
        recap["changed"] = bool(recap["changed"] or recap["sources_deleted"] or pruned)
        recap["seconds"] = round(seconds, 3)
        self._judge()
        self._note("run_ended", outcome=recap["outcome"], exit_code=recap["exit_code"], seconds=recap["seconds"])
        self._judge()

    def _judge(self) -> None:
        recap = self.recap
        spooled = bool(recap["spool"]["archives"])
        if EXIT_INTEGRITY in self.error_codes:
            recap["exit_code"], recap["outcome"] = EXIT_INTEGRITY, "integrity failure"
        elif self.error_codes and not recap["changed"] and not spooled:
            recap["exit_code"], recap["outcome"] = max(self.error_codes), "failed"
        elif self.error_codes or (spooled and not self.check):
            recap["exit_code"], recap["outcome"] = EXIT_PARTLY, "partly done"
        else:
            recap["exit_code"], recap["outcome"] = EXIT_DONE, "done" if recap["changed"] else "nothing to do"

    # -- small ones ---------------------------------------------------------------------------------------------------

    def _suffix(self) -> str:
        return self.document["archive"]["suffix"] or naming.SUFFIXES[self.document["encryption"]["format"]]

    def _spooled(self, entry: Entry) -> str:
        return os.path.join(self.document["spool"], entry.key)

    def _name(self, entry: Entry) -> str:
        return t.cast(str, entry.manifest["archive"]["name"])

    def _remove_from_spool(self, entry: Entry) -> None:
        path = self._spooled(entry)
        for name in (path, naming.manifest_key(path)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
        folder = os.path.dirname(path)
        # Not empty ends it; one that is gone (the spool was lost) does not.
        with contextlib.suppress(OSError):
            while folder != spool_folder(self.document, entry.host):
                with contextlib.suppress(FileNotFoundError):
                    os.rmdir(folder)
                folder = os.path.dirname(folder)

    def _note(self, event: str, **fields: t.Any) -> None:
        """Write an event; a log that cannot be written is an error of this run, and no reason to leave the logs unarchived."""
        try:
            self.events.write(event, **fields)
        except LogArchiveError as error:
            self.events = EventLog(None, self.job, self.host)
            self._fail(error)

    def _begin(self, step: str) -> None:
        """What follows is this step of the run."""
        self.step = step
        self.recap["steps"].setdefault(step, {"state": "done", "errors": 0, "warnings": 0})

    def _count(self, kind: str, step: str) -> None:
        counted = self.recap["steps"].setdefault(step, {"state": "done", "errors": 0, "warnings": 0})
        counted[kind] += 1
        counted["state"] = "failed" if counted["errors"] else "warning"

    def _notified(self, warnings: t.Sequence[str]) -> None:
        self.step = "notify"
        for warning in warnings:
            self._warn(warning)

    def _warn(self, text: str) -> None:
        self.recap["warnings"].append(text)
        self._count("warnings", self.step)
        self._note("warning", text=text)

    def _fail(self, error: LogArchiveError) -> None:
        self.recap["errors"].append(str(error))
        self._count("errors", self.step)
        self.error_codes.append(error.exit_code)
        self._note("error", text=str(error))


@contextlib.contextmanager
def _locked(document: Document) -> t.Iterator[None]:
    path = os.path.join(document["state"], "%s.lock" % document["name"])
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(durable.lock(path, wait=False))
        except OSError as error:
            raise LogArchiveError("the lock cannot be made (%s)" % error.strerror, path) from error
        yield


def _make_folder(path: str) -> None:
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as error:
        raise LogArchiveError(
            "the folder cannot be made (%s)" % error.strerror, path, "Make it, owned by the user that runs the job"
        ) from error


def _require_own(folder: str) -> None:
    """What root writes among another user's files, that user's own runs could not touch any more."""
    owner = os.stat(folder).st_uid
    if os.geteuid() == 0 and owner != 0:
        import pwd

        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = str(owner)
        raise ConfigError(
            "the job belongs to the user %s, whose folder this is, and runs as root would lock it out" % name,
            folder,
            "Run it as %s (become_user, runuser), or with the command that the role runner installs, which does so by itself" % name,
        )
