# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archives of a store with their manifests, chosen by host, job, name and time."""

from __future__ import annotations

import collections
import io
import threading
import typing as t
from datetime import datetime

from ..archive.manifest import LARGEST, memory_of, parse, period_of, plain, source_bytes
from ..archive.naming import MANIFEST_SUFFIX, day_of, folder_key, head_of, manifest_key, unrevised
from ..base.errors import ArchiveNotFoundError, IntegrityError, LogArchiveError, StoreNotFoundError
from ..base.lists import some
from ..base.periods import Period
from ..base.units import format_size
from ..stores.base import Store, StoredObject
from .trust import Choice, Trust

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest
    from ..base.walk import Folder
    from ..config.document import StoreOptions
    from .facts import HeldArchive, Totals


MOST_MEMORY = 1 << 30
"""Bytes that the manifests of one listing may take in memory, by ``memory_of``. Those of 250,000 archives of one log take as much."""
EARLIEST = 32 * 86400
"""Seconds before the end of its period at which an archive may be made: a log of the current month may be archived on its first day."""
ARCHIVES_OF_A_REQUEST = 500
"""A listing of S3 has 1,000 objects; an archive and its manifest are two."""
SMALL = 1 << 20
"""Bytes; larger manifests are fetched one at a time."""


class StoredArchive(t.NamedTuple):
    """One archive of a store; size in bytes as the store lists it, modified in seconds since the epoch.

    authenticated: whether the manifest is (see ``Trust.check``).
    """

    key: str
    size: int
    modified: t.Optional[float]
    manifest: Manifest
    authenticated: t.Optional[bool] = None


class Damaged(t.NamedTuple):
    """An archive that cannot be used. claim: the manifest that is not believed, or that the catalog records; None if there is none."""

    why: str
    claim: t.Optional[Manifest]


class Inventory(t.NamedTuple):
    """Everything below a prefix of a store.

    archives: by key. recorded: archives with manifests that were not fetched, because the caller knows them. unlisted: keys of those in
    folders with exactly the names that the caller expects: the store was not asked for more. damaged: by key, archives with a manifest
    that cannot be used or is not believed, and those that the store has lost.
    orphans: manifests without an archive (an upload is under way, or a prune was interrupted). others: objects that are neither archives,
    nor manifests, nor heads of a ledger.
    """

    archives: t.List[StoredArchive]
    damaged: t.Dict[str, Damaged]
    orphans: t.List[StoredObject]
    others: t.List[StoredObject]
    recorded: t.Sequence[StoredObject] = ()
    unlisted: t.Collection[str] = ()


def read(
    store: Store,
    host: t.Optional[str] = None,
    job: t.Optional[str] = None,
    recorded: t.Container[str] = (),
    trust: t.Optional[Trust] = None,
    was: t.Sequence[str] = (),
    expected: t.Collection[str] = (),
) -> Inventory:
    """List a store, or a host's or job's part of it, with the manifest of each archive.

    was: earlier names of the job; their archives belong to it. expected: the recorded archives that the store should have.
    recorded: keys of archives of which the caller needs no manifest. trust: how far the manifests are believed; by default, by their
    place alone. Of archives that are certainly not of the trust's choice no manifest is fetched, and the inventory may not have them.
    Raises StoreError.
    """
    trust = trust or Trust()
    names = [] if job is None else [job, *was]
    prefixes = [""] if host is None else ["%s/" % host] if job is None else [folder_key(host, name) for name in names]
    folders = prefixes if trust.part is None else trust.part.folders
    objects, unlisted = _listed(store, folders, expected)
    # A listing of years: each name is looked at once.
    plain_keys = [key for key in objects if not key.endswith(MANIFEST_SUFFIX)]
    described = {key[: -len(MANIFEST_SUFFIX)] for key in objects if key.endswith(MANIFEST_SUFFIX)}
    with_manifest = [objects[key] for key in plain_keys if key in described]
    if names and host is None:
        with_manifest = [item for item in with_manifest if item.key.split("/")[1:2] in [[name] for name in names]]
    archives = []
    present = {item.key for item in with_manifest}.union(unlisted)
    damaged = {
        key: Damaged(describe_missing(store, key, objects), manifest)
        for prefix in prefixes
        for key, manifest in trust.missing(prefix, present).items()
    }
    others = () if trust.part is None else trust.part.others
    unknown = [item for item in with_manifest if item.key not in recorded and item.key not in others and _may_touch(item, trust.choice)]
    for item, manifest in zip(unknown, _fetched(store, unknown, objects)):
        if isinstance(manifest, LogArchiveError):
            damaged[item.key] = Damaged(str(manifest), None)
            continue
        try:
            authenticated = trust.check(item.key, manifest, store.location(manifest_key(item.key)))
        except IntegrityError as error:
            damaged[item.key] = Damaged(str(error), manifest)
        else:
            archives.append(StoredArchive(item.key, item.size, item.modified, manifest, authenticated))
    for copy, original in _copies(archives, trust):
        damaged[copy.key] = Damaged(describe_copy(store, copy.key, original.key), copy.manifest)
    return Inventory(
        [archive for archive in archives if archive.key not in damaged],
        damaged,
        [objects[manifest_key(key)] for key in sorted(described.difference(objects))],
        [objects[key] for key in plain_keys if key not in described and head_of(key) is None],
        [item for item in with_manifest if item.key in recorded],
        unlisted,
    )


def whole_is_cheaper(options: StoreOptions, archives: int, folders: int) -> bool:
    """Whether listing so many archives of a job takes no more requests than listing so many folders, of days, in which some of them are.

    options: of the store.
    """
    if options["type"] == "s3" or options["layout"] == "flat":
        return archives <= ARCHIVES_OF_A_REQUEST * folders
    # It is listed folder by folder, with several requests for each: a daily job has as many folders as archives.
    return archives <= folders


def objects_in(store: Store, folder: str) -> t.List[StoredObject]:
    """The objects directly in a folder, which ends with '/'. Raises StoreError."""
    return [item for item in store.list(folder) if item.key.rpartition("/")[0] + "/" == folder]


def _listed(store: Store, prefixes: t.Iterable[str], expected: t.Collection[str]) -> t.Tuple[t.Dict[str, StoredObject], t.Sequence[str]]:
    """The objects below these prefixes, by key, and the expected archives in the folders that were not listed: they have exactly these.

    For the names of 200,000 files the kernel takes a fifth of the time that it takes for their sizes.
    """
    names: t.Dict[str, t.List[str]] = {}
    for key in expected:
        folder, slash, name = key.rpartition("/")
        names.setdefault(folder + slash, []).append(name)

    def is_as_expected(folder: Folder) -> bool:
        here = names.get(folder.path, ())
        return {*here, *[name + MANIFEST_SUFFIX for name in here]} == folder.names()

    objects: t.Dict[str, StoredObject] = {}
    unlisted: t.List[str] = []
    for prefix in prefixes:
        surveyed = store.survey(prefix, is_as_expected) if expected else None
        if surveyed is None:
            objects.update((item.key, item) for item in store.list(prefix))
            continue
        for folder, as_expected in surveyed.items():
            if as_expected:
                unlisted += [folder + name for name in names.get(folder, ())]
            else:
                objects.update((item.key, item) for item in objects_in(store, folder))
    return objects, unlisted


def _may_touch(item: StoredObject, choice: Choice) -> bool:
    """Whether the period of an archive may touch the time of the choice, by the archive's key and by when the store got it."""
    day = day_of(item.key)
    if day is None or (choice.start is None and choice.end is None):
        return True
    if choice.end is not None and day.start >= choice.end:
        return False
    if choice.start is None or day.end > choice.start or item.modified is None:
        return True
    return item.modified >= choice.start.timestamp() - EARLIEST


def _copies(archives: t.Sequence[StoredArchive], trust: Trust) -> t.Iterator[t.Tuple[StoredArchive, StoredArchive]]:
    """Archives with the bytes and the manifest of another revision: (the copy, the original).

    Who can write to a store may add one. It would be restored as the newest state of the log.
    """
    by_bytes: t.Dict[t.Tuple[str, str], t.List[StoredArchive]] = {}
    for archive in archives:
        by_bytes.setdefault((archive.key.rpartition("/")[0], archive.manifest["archive"]["sha256"]), []).append(archive)
    for same in by_bytes.values():
        if len(same) > 1:
            original = min(same, key=lambda archive: (archive.key not in trust.recorded, unrevised(archive.key)[1]))
            yield from ((one, original) for one in same if one is not original and one.manifest == original.manifest)


def describe_missing(store: Store, key: str, objects: t.Container[str]) -> str:
    """Why an archive that the catalog records is missing among these objects."""
    what = "the archive" if key not in objects else "the manifest of the archive"
    return str(IntegrityError("the catalog records it, but %s is missing from the store: it was removed" % what, store.location(key)))


def describe_copy(store: Store, key: str, original: str) -> str:
    """Why an archive that has the bytes of another revision is not used."""
    why = "it is a copy of %s: somebody put it there, as another state of the log" % original
    return str(IntegrityError(why, store.location(key), "Remove it"))


class Budget:
    """Memory that the manifests of one listing take together. For use by several threads."""

    def __init__(self, most: int) -> None:
        self._lock = threading.Lock()
        self._left = self._most = most

    def take(self, size: int, subject: str) -> None:
        """Take ``size`` bytes. Raises IntegrityError if fewer are left."""
        with self._lock:
            if size > self._left:
                raise IntegrityError(
                    "the manifest was not read: with it, the manifests of this listing would take more than %s" % format_size(self._most),
                    subject,
                    "List a part of the store: one host, or one job of a host",
                )
            self._left -= size


def fetch_manifest(store: Store, key: str, size: t.Optional[int] = None, budget: t.Optional[Budget] = None) -> Manifest:
    """The manifest of the archive ``key``. size: of the manifest in bytes, as the store lists it. Raises IntegrityError, StoreError."""
    location = store.location(manifest_key(key))
    if size is not None and size > LARGEST:
        raise IntegrityError("the manifest is %d bytes; the limit is %s" % (size, format_size(LARGEST)), location)
    data = io.BytesIO()
    store.get(manifest_key(key), data, most=LARGEST if size is None else size)
    if budget is not None:
        budget.take(memory_of(data.getvalue()), location)
    return parse(data.getvalue(), location)


def choose(archives: t.Iterable[StoredArchive], choice: Choice) -> t.List[StoredArchive]:
    """The archives of the choice, oldest first. Raises ArchiveNotFoundError for a name that does not exist."""
    chosen = overlapping(archives, choice.start, choice.end)
    if choice.names:
        chosen = named(chosen, choice.names)
    return latest(chosen) if choice.latest else chosen


def held_archive(store: Store, archive: StoredArchive) -> HeldArchive:
    """What is reported of an archive: the fields of its manifest, its place and its size."""
    more = {
        "key": archive.key,
        "location": store.location(archive.key),
        "size": archive.size,
        "modified": archive.modified,
        "source_bytes": source_bytes(archive.manifest),
    }
    return t.cast("HeldArchive", {**plain(archive.manifest), **more})


def totals(archives: t.Sequence[StoredArchive]) -> Totals:
    """What is reported of several archives together."""
    return {
        "archives": len(archives),
        "size": sum(archive.size for archive in archives),
        "source_bytes": sum(source_bytes(archive.manifest) for archive in archives),
        "hosts": sorted({archive.manifest["host"] for archive in archives}),
        "jobs": sorted({archive.manifest["job"] for archive in archives}),
    }


def overlapping(archives: t.Iterable[StoredArchive], start: t.Optional[datetime], end: t.Optional[datetime]) -> t.List[StoredArchive]:
    """The archives with a period that touches the time from ``start`` to ``end`` (either may be open), oldest first."""
    return oldest_first(archive for archive in archives if _touches(period_of(archive.manifest), start, end))


def _touches(period: Period, start: t.Optional[datetime], end: t.Optional[datetime]) -> bool:
    return (end is None or period.start < end) and (start is None or period.end > start or period.start >= start)


def may_be_chosen(key: str, damaged: Damaged, choice: Choice) -> bool:
    """Whether an archive that cannot be used may be one of the choice: by what its manifest claims, else by its key."""
    claim = damaged.claim
    if choice.names:
        archive = StoredArchive(key, 0, None, claim) if claim is not None else None
        return any(name in (key, key.rpartition("/")[2]) or (archive is not None and _is_named(archive, name)) for name in choice.names)
    period = period_of(claim) if claim is not None else day_of(key)
    return period is None or _touches(period, choice.start, choice.end)


def is_there(archives: t.Iterable[StoredArchive], name: str) -> bool:
    """Whether one of the archives has this name or key, or holds this source."""
    return any(_is_named(archive, name) for archive in archives)


def named(archives: t.Iterable[StoredArchive], names: t.Sequence[str]) -> t.List[StoredArchive]:
    """The archives with these names or keys; ArchiveNotFoundError lists those that do not exist, with similar names."""
    archives = list(archives)
    chosen = {archive.key: archive for archive in archives for name in names if _is_named(archive, name)}
    missing = [name for name in names if not is_there(archives, name)]
    if missing:
        import difflib

        near = difflib.get_close_matches(missing[0], [archive.manifest["archive"]["name"] for archive in archives], 3)
        raise ArchiveNotFoundError(
            "no archive has this name (%d archives searched)" % len(archives),
            some(missing),
            "Similar names: %s" % ", ".join(near) if near else "List the store to see which archives it has",
        )
    return oldest_first(chosen.values())


def latest(archives: t.Iterable[StoredArchive], names: t.Optional[t.Mapping[str, t.Optional[str]]] = None) -> t.List[StoredArchive]:
    """The archives of the newest period of each host and job. names: {earlier name of a job: its name}."""

    def group(archive: StoredArchive) -> t.Tuple[str, t.Optional[str]]:
        job = archive.manifest["job"]
        return archive.manifest["host"], (names or {}).get(job, job)

    newest: t.Dict[t.Tuple[str, t.Optional[str]], str] = {}
    archives = list(archives)
    starts = effective(archives, lambda manifest: manifest["period"]["start"])
    for archive in archives:
        newest[group(archive)] = max(newest.get(group(archive), ""), starts[archive.key])
    return [archive for archive in archives if starts[archive.key] == newest[group(archive)]]


def oldest_first(archives: t.Iterable[StoredArchive]) -> t.List[StoredArchive]:
    """The archives by period, and those of a period as they were made. A revision (of a log that had grown) comes after what it revises,
    whatever the clock of the host was when it was made."""
    archives = list(archives)
    starts = effective(archives, lambda manifest: manifest["period"]["start"])
    made = effective(archives, lambda manifest: manifest["created"])
    return sorted(archives, key=lambda archive: (starts[archive.key], made[archive.key], unrevised(archive.key)[1], archive.key))


def effective(archives: t.Iterable[StoredArchive], time: t.Callable[[Manifest], str]) -> t.Dict[str, str]:
    """A time of each archive, by key: its own, but never one before that of an archive that it revises (with an older state of a log).

    The clock of the host may have been set back between the two.
    """
    latest: t.Dict[t.Tuple[str, str], str] = {}
    times = {}
    archives = sorted(archives, key=lambda archive: unrevised(archive.key)[1])
    revisions = collections.Counter(unrevised(archive.key)[0] for archive in archives)
    for archive in archives:
        first = unrevised(archive.key)[0]
        if revisions[first] == 1:
            times[archive.key] = time(archive.manifest)
            continue
        logs = [(first, source["path"]) for source in archive.manifest["sources"]]
        times[archive.key] = newest = max([time(archive.manifest), *(latest[log] for log in logs if log in latest)])
        latest.update(dict.fromkeys(logs, newest))
    return times


def _is_named(archive: StoredArchive, name: str) -> bool:
    sources = archive.manifest["sources"]
    return name in (archive.key, archive.manifest["archive"]["name"]) or any(name == source["path"] for source in sources)


def _fetched(
    store: Store, archives: t.Sequence[StoredObject], objects: t.Mapping[str, StoredObject]
) -> t.List[t.Union[Manifest, LogArchiveError]]:
    """The manifest of each archive, or the error for one that cannot be used."""
    budget = Budget(MOST_MEMORY)
    sizes = {item.key: objects[manifest_key(item.key)].size for item in archives}

    def fetch(key: str) -> t.Union[Manifest, LogArchiveError]:
        try:
            return fetch_manifest(store, key, sizes[key], budget)
        except (IntegrityError, StoreNotFoundError) as error:
            return error

    # Smallest first: a few huge manifests, which anybody may have put there, do not use up the memory of the others.
    keys = sorted(sizes, key=lambda key: sizes[key])
    small = [key for key in keys if sizes[key] <= SMALL]
    fetched: t.Dict[str, t.Union[Manifest, LogArchiveError]] = {}
    if store.parallel_gets > 1 and small:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(store.parallel_gets) as pool:
            fetched.update(zip(small, pool.map(fetch, small)))
    fetched.update((key, fetch(key)) for key in keys if key not in fetched)
    return [fetched[item.key] for item in archives]
