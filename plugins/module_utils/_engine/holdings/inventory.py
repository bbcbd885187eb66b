# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archives of a store with their manifests, chosen by host, job, name and time."""

from __future__ import annotations

import io
import typing as t
from datetime import datetime

from ..archive.manifest import LARGEST, parse, period_of, source_bytes
from ..archive.naming import MANIFEST_SUFFIX, folder_key, manifest_key, unrevised
from ..base.errors import ArchiveNotFoundError, IntegrityError, LogArchiveError, StoreNotFoundError
from ..base.lists import some
from ..base.units import format_size
from ..stores.base import Store, StoredObject

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest
    from .facts import HeldArchive, Totals


class StoredArchive(t.NamedTuple):
    """One archive of a store; size in bytes as the store lists it, modified in seconds since the epoch."""

    key: str
    size: int
    modified: t.Optional[float]
    manifest: Manifest


class Choice(t.NamedTuple):
    """Which archives of the stores are wanted.

    names: archives with one of these names or keys, or that hold a log of this path; empty is all. start, end: archives with a period
    that touches this time; either may be open. latest: only those of the newest period of each host and job.
    """

    names: t.Sequence[str] = ()
    start: t.Optional[datetime] = None
    end: t.Optional[datetime] = None
    latest: bool = False


class Inventory(t.NamedTuple):
    """Everything below a prefix of a store.

    archives: by key. damaged: {key of an archive: why its manifest cannot be used}. orphans: manifests without an archive (an upload
    is under way, or a prune was interrupted). others: objects that are neither archives nor manifests.
    """

    archives: t.List[StoredArchive]
    damaged: t.Dict[str, str]
    orphans: t.List[StoredObject]
    others: t.List[StoredObject]


def read(
    store: Store,
    host: t.Optional[str] = None,
    job: t.Optional[str] = None,
    known: t.Optional[t.Mapping[str, Manifest]] = None,
) -> Inventory:
    """List a store, or a host's or job's part of it, with the manifest of each archive.

    known: manifests by key that need not be fetched again. Raises StoreError.
    """
    prefix = "" if host is None else "%s/" % host if job is None else folder_key(host, job)
    objects = {item.key: item for item in store.list(prefix)}
    with_manifest = [item for item in objects.values() if not item.key.endswith(MANIFEST_SUFFIX) and manifest_key(item.key) in objects]
    if job is not None:
        with_manifest = [item for item in with_manifest if item.key.split("/")[1:2] == [job]]
    archives = []
    damaged = {}
    for item, manifest in zip(with_manifest, _fetched(store, with_manifest, objects, known or {})):
        if isinstance(manifest, LogArchiveError):
            damaged[item.key] = str(manifest)
        else:
            archives.append(StoredArchive(item.key, item.size, item.modified, manifest))
    return Inventory(
        archives,
        damaged,
        [item for key, item in objects.items() if key.endswith(MANIFEST_SUFFIX) and key[: -len(MANIFEST_SUFFIX)] not in objects],
        [item for key, item in objects.items() if not key.endswith(MANIFEST_SUFFIX) and manifest_key(key) not in objects],
    )


def fetch_manifest(store: Store, key: str, size: t.Optional[int] = None) -> Manifest:
    """The manifest of the archive ``key``. size: of the manifest in bytes, as the store lists it. Raises IntegrityError, StoreError."""
    location = store.location(manifest_key(key))
    if size is not None and size > LARGEST:
        raise IntegrityError("the manifest is %d bytes; the limit is %s" % (size, format_size(LARGEST)), location)
    data = io.BytesIO()
    store.get(manifest_key(key), data)
    return parse(data.getvalue(), location)


def choose(archives: t.Iterable[StoredArchive], choice: Choice) -> t.List[StoredArchive]:
    """The archives of the choice, oldest first. Raises ArchiveNotFoundError for a name that does not exist."""
    chosen = overlapping(archives, choice.start, choice.end)
    if choice.names:
        chosen = named(chosen, choice.names)
    return latest(chosen) if choice.latest else chosen


def held_archive(store: Store, archive: StoredArchive) -> HeldArchive:
    """What is reported of an archive: the fields of its manifest, its place and its size."""
    return {
        **archive.manifest,
        "key": archive.key,
        "location": store.location(archive.key),
        "size": archive.size,
        "modified": archive.modified,
        "source_bytes": source_bytes(archive.manifest),
    }


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
    chosen = []
    for archive in archives:
        period = period_of(archive.manifest)
        if (end is None or period.start < end) and (start is None or period.end > start or period.start >= start):
            chosen.append(archive)
    return oldest_first(chosen)


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


def latest(archives: t.Iterable[StoredArchive]) -> t.List[StoredArchive]:
    """The archives of the newest period of each host and job."""
    newest: t.Dict[t.Tuple[str, str], str] = {}
    archives = list(archives)
    starts = effective(archives, lambda manifest: manifest["period"]["start"])
    for archive in archives:
        of = (archive.manifest["host"], archive.manifest["job"])
        newest[of] = max(newest.get(of, ""), starts[archive.key])
    return [a for a in archives if starts[a.key] == newest[(a.manifest["host"], a.manifest["job"])]]


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
    for archive in sorted(archives, key=lambda archive: unrevised(archive.key)[1]):
        first = unrevised(archive.key)[0]
        logs = [(first, source["path"]) for source in archive.manifest["sources"]]
        times[archive.key] = newest = max([time(archive.manifest), *(latest[log] for log in logs if log in latest)])
        latest.update(dict.fromkeys(logs, newest))
    return times


def _is_named(archive: StoredArchive, name: str) -> bool:
    sources = archive.manifest["sources"]
    return name in (archive.key, archive.manifest["archive"]["name"]) or any(name == source["path"] for source in sources)


def _fetched(
    store: Store,
    archives: t.Sequence[StoredObject],
    objects: t.Mapping[str, StoredObject],
    known: t.Mapping[str, Manifest],
) -> t.Iterable[t.Union[Manifest, LogArchiveError]]:
    """The manifest of each archive, or the error for one that cannot be used."""

    def fetch(item: StoredObject) -> t.Union[Manifest, LogArchiveError]:
        if item.key in known:
            return known[item.key]
        try:
            return fetch_manifest(store, item.key, objects[manifest_key(item.key)].size)
        except (IntegrityError, StoreNotFoundError) as error:
            return error

    if store.parallel_gets == 1 or all(item.key in known for item in archives):
        return map(fetch, archives)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(store.parallel_gets) as pool:
        return list(pool.map(fetch, archives))
