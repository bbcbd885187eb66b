# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare what a store lists with what the catalog records, without reading an archive.

In a store on this host the manifests are read, too. A folder that was right is not read again as long as neither its archives in the
catalog nor the names, sizes, times and inodes of its files change.
"""

from __future__ import annotations

import contextlib
import functools
import time
import typing as t

from ..archive.manifest import digests, size_of
from ..archive.naming import manifest_key
from ..base.errors import IntegrityError, LogArchiveError, StoreNotFoundError
from ..base.walk import NO_FILES
from .inventory import describe_copy, describe_missing, fetch_manifest, objects_in
from .trust import Compared, Record, Trust

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest
    from ..stores.base import Store, StoredObject

Explain = t.Callable[[t.List[str]], t.Mapping[str, str]]
"""Called with keys of archives that the catalog does not record; returns what is wrong with those that should not be there."""

AT_ONCE = 100
"""Folders after which those that are right are remembered."""


def compare(store: Store, record: Record, own: t.Collection[str] = (), explain: t.Optional[Explain] = None) -> t.Dict[str, str]:
    """What is wrong with the archives of a store: {key: what}.

    An archive or its manifest is missing, or has another size, or another MD5 as the listing of an S3 server states it, or, in a store on
    this host, another manifest. record: what the catalog records of the store. own: the folders of the job's archives, which ``explain``
    judges as well if the catalog does not record them. Raises StoreError.
    """
    if record.compared is not None:
        surveyed = _survey(store, record.compared, own)
        if surveyed is not None:
            return _compare_folders(store, record, record.compared, surveyed, explain)
    trust = Trust(record=record)
    folders = _tops(trust.recorded) | set(own)
    return _compare(store, trust, [item for folder in sorted(folders) for item in store.list(folder)], explain)


def _tops(keys: t.Iterable[str]) -> t.Set[str]:
    """The folders of hosts and jobs in which these keys are."""
    return {"/".join(key.split("/")[:2]) + "/" for key in keys}


def _survey(store: Store, compared: Compared, own: t.Iterable[str]) -> t.Optional[t.Dict[str, t.Optional[str]]]:
    """The folders that must be compared, with their marks; one without a mark must not be remembered. None if the store must be listed."""
    # First what the catalog knows: what is added later makes another mark.
    right, recorded = compared.right(), compared.folders()
    now = time.time()
    marks: t.Dict[str, t.Optional[str]] = {}
    for top in sorted(_tops(recorded) | set(own)):
        found = store.survey(top, lambda folder: folder.mark(now))
        if found is None:
            return None
        marks.update(found)
    changed = {folder: mark for folder, mark in marks.items() if mark is None or mark != right.get(folder, NO_FILES)}
    changed.update((folder, marks.get(folder)) for folder in recorded if folder not in right or folder not in marks)
    return changed


def _compare_folders(
    store: Store, record: Record, compared: Compared, marks: t.Mapping[str, t.Optional[str]], explain: t.Optional[Explain]
) -> t.Dict[str, str]:
    """Compare the archives directly in these folders, and remember which folders are right. marks: by folder, before it is listed."""
    found = {}
    right = {}
    for count, folder in enumerate(sorted(marks), 1):
        trust = Trust(record=record._replace(held=functools.partial(compared.held, folder)))
        listed = objects_in(store, folder)
        wrong = _compare(store, trust, listed, explain)
        found.update(wrong)
        mark = marks[folder]
        expected = {*trust.recorded, *map(manifest_key, trust.recorded)}
        # What is right in the middle of an exchange of manifests is not right after it.
        if not (mark is None or wrong or record.exchanged) and expected == {item.key for item in listed}:
            right[folder] = mark
        # A monitor may have little patience: it does not start again each time.
        if count % AT_ONCE == 0 or count == len(marks):
            # A disk that is full must not hide the result.
            with contextlib.suppress(LogArchiveError):
                compared.remember(right)
            right = {}
    return found


def _compare(store: Store, trust: Trust, listed: t.Iterable[StoredObject], explain: t.Optional[Explain]) -> t.Dict[str, str]:
    sizes: t.Dict[str, int] = {}
    etags: t.Dict[str, t.Optional[str]] = {}
    for item in listed:
        sizes[item.key] = item.size
        etags[item.key] = item.etag
    recorded_etags = trust.etags() if any(etags.values()) else {}
    missing = trust.missing("", {key for key in trust.recorded if key in sizes and manifest_key(key) in sizes})
    found = {}
    for key, manifest in trust.recorded.items():
        if key in missing:
            found[key] = describe_missing(store, key, sizes)
        elif key in sizes and manifest_key(key) in sizes:
            why = _changed(store, key, manifest, sizes, trust)
            # Other ETags are not an MD5: of encrypted objects, and of those that were sent in parts.
            if why is None and etags[key] is not None and recorded_etags.get(key) == manifest["archive"]["md5"] != etags[key]:
                why = _other_bytes(store, key, manifest)
            if why is not None:
                found[key] = why
    found.update(_copies(store, trust, sizes))
    if explain is not None:
        strange = [key for key in sizes if key not in trust.recorded and key not in found and manifest_key(key) in sizes]
        found.update(explain(strange))
    return found


def _copies(store: Store, trust: Trust, sizes: t.Mapping[str, int]) -> t.Iterator[t.Tuple[str, str]]:
    """Archives that the catalog does not record, with the size and the manifest of one beside them that it records, and what is wrong."""

    def alike(key: str) -> t.Tuple[t.Any, ...]:
        return key.rpartition("/")[0], sizes.get(key), sizes.get(manifest_key(key))

    recorded: t.Dict[t.Tuple[t.Any, ...], t.List[str]] = {}
    for key in trust.recorded:
        recorded.setdefault(alike(key), []).append(key)
    for key in sizes:
        if key in trust.recorded or manifest_key(key) not in sizes or alike(key) not in recorded:
            continue
        try:
            manifest = fetch_manifest(store, key, sizes[manifest_key(key)])
        except (IntegrityError, StoreNotFoundError):
            continue  # Another file, which is not an archive.
        for original in recorded[alike(key)]:
            if manifest == trust.recorded[original]:
                yield key, describe_copy(store, key, original)


def _other_bytes(store: Store, key: str, manifest: Manifest) -> t.Optional[str]:
    """What is wrong with an archive of which the listing states another ETag: the server may have encrypted it meanwhile."""
    try:
        store.verify(key, digests(manifest), "size")
    except (IntegrityError, StoreNotFoundError) as error:
        return str(error)
    return None


def _changed(store: Store, key: str, manifest: Manifest, sizes: t.Mapping[str, int], trust: Trust) -> t.Optional[str]:
    """What is wrong with an archive that is in its place, as far as it shows without reading the archive."""
    right = ([manifest["archive"]["size"]], [size_of(one) for one in trust.may_have(key)])
    for name, what, known in ((key, "archive", right[0]), (manifest_key(key), "manifest", right[1])):
        if sizes[name] not in known:
            return "the %s has %d bytes, but the catalog records %d: it was replaced" % (what, sizes[name], known[0])
    if not store.remote:
        try:
            trust.check(key, fetch_manifest(store, key, sizes[manifest_key(key)]), store.location(manifest_key(key)))
        except IntegrityError as error:
            return str(error)
    return None
