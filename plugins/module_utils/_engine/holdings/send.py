# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send an archive with its manifest to a store, without overwriting anything, and prove that it arrived."""

from __future__ import annotations

import os
import typing as t

from ..archive.manifest import digests, load, same_sources
from ..archive.naming import MANIFEST_SUFFIX, manifest_key, revised
from ..base.beneath import open_local
from ..base.errors import IntegrityError, LogArchiveError, StoreError, StoreExistsError, StoreNotFoundError
from ..base.progress import Advance
from ..stores.base import Digests, PutResult, Store, Verification, digests_of
from .inventory import fetch_manifest
from .trust import Trust

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest
    from ..base.beneath import Local
    from .facts import SentArchive


MOST_REVISIONS = 2000
"""Of one archive: more than a job makes that archives a growing log every minute of a day."""


class Sent(t.NamedTuple):
    """One archive in a store. existed: the same bytes were there already. adopted: the manifest of another archive of the same logs
    that was there already and is kept; None if there was none."""

    key: str
    existed: bool
    attempts: int
    verification: Verification
    adopted: t.Optional[Manifest]


def send(
    store: Store,
    path: Local,
    manifest: Manifest,
    key: str,
    suffix: str,
    trust: t.Callable[[], Trust] = Trust,
    progress: t.Optional[Advance] = None,
) -> Sent:
    """Send the archive ``path`` and the manifest beside it to ``key``.

    The manifest goes first: an archive in a store always has one. If an archive of other logs is at the key, this one gets the next free
    revision of the key ('syslog.r2.tgz.fernet'; ``suffix`` is the end that stays). If an archive of the same logs is there (the catalog
    was lost, for example), it is verified and kept, but only if its manifest is authenticated, or describes the very bytes of this one.
    trust: returns how far manifests are believed; by default no key is known. Raises StoreError, IntegrityError, and OSError if the
    local file cannot be read.
    """
    for candidate in _revisions(key, suffix):
        try:
            result = put(store, path, manifest, candidate, progress)
            return Sent(candidate, result.existed, result.attempts, result.verification, None)
        except StoreExistsError:
            # A server can report any digest. Sources may be deleted for what is kept here.
            found = _same_logs(store, candidate, manifest, trust(), "read_back")
            if found is not None:
                return Sent(candidate, True, 1, found[1], found[0])
    raise _no_free_name(store, key)


def put(store: Store, path: Local, manifest: Manifest, key: str, progress: t.Optional[Advance] = None) -> PutResult:
    """Send the archive ``path``, and before it the manifest beside it, to this very key. Raises StoreExistsError if it is taken."""
    beside = path + MANIFEST_SUFFIX
    manifest_put = store.put(beside, manifest_key(key), digests_of_file(beside))
    try:
        return store.put(path, key, digests(manifest), progress)
    except StoreExistsError:
        if not manifest_put.existed:
            store.delete([manifest_key(key)])
        raise


def look(store: Store, manifest: Manifest, key: str, suffix: str, trust: t.Optional[Trust] = None) -> t.Tuple[str, t.Optional[Sent]]:
    """Predict ``send``: the key, and None if the archive would be sent there, else the archive that is there already."""
    for candidate in _revisions(key, suffix):
        found = _same_logs(store, candidate, manifest, trust)
        if found is not None:
            return candidate, Sent(candidate, True, 1, found[1], None if found[0]["archive"] == manifest["archive"] else found[0])
        if all(item.key != candidate for item in store.list(candidate)):
            return candidate, None
    raise _no_free_name(store, key)


def _revisions(key: str, suffix: str) -> t.Iterator[str]:
    return (revised(key, suffix, revision) for revision in range(1, MOST_REVISIONS + 1))


def _no_free_name(store: Store, key: str) -> StoreError:
    return StoreError(
        "the store reports that all %d revisions of the archive exist, and each holds other logs" % MOST_REVISIONS,
        store.location(key),
        "Check the store: a server that reports every name as taken does this",
    )


def manifest_beside(path: str) -> Manifest:
    """The manifest of a local archive. Raises LogArchiveError if the archive or the manifest is missing, IntegrityError."""
    for needed in (path, manifest_key(path)):
        if not os.path.isfile(needed):
            raise LogArchiveError("the file does not exist", needed, "An archive is sent with its manifest, which must be beside it")
    try:
        return load(manifest_key(path))
    except OSError as error:
        raise LogArchiveError("cannot read the manifest: %s" % error.strerror, manifest_key(path)) from error


def _same_logs(
    store: Store, key: str, manifest: Manifest, trust: t.Optional[Trust], level: t.Optional[str] = None
) -> t.Optional[t.Tuple[Manifest, Verification]]:
    try:
        there = fetch_manifest(store, key)
        known = digests(there) == digests(manifest) or (trust or Trust()).check(key, there, store.location(manifest_key(key)))
        if known and same_sources(there, manifest):
            return there, store.verify(key, digests(there), level)
    except (IntegrityError, StoreNotFoundError):
        pass  # Not a whole archive: it stays as it is, and the new one gets another name.
    return None


def digests_of_file(path: Local) -> Digests:
    """Size, MD5 and SHA-256 of a local file."""
    with open_local(path) as file:
        return digests_of(t.cast(t.BinaryIO, file))


def sent_archive(store: Store, key: str, manifest: Manifest, sent: t.Optional[Sent]) -> SentArchive:
    """What is reported of an archive that was sent to ``key``, or (None) would be."""
    facts: SentArchive = {
        "key": key if sent is None else sent.key,
        "location": store.location(key if sent is None else sent.key),
        "state": "sent" if sent is None or not sent.existed else "present" if sent.adopted is None else "adopted",
        "changed": sent is None or not sent.existed,
        "size": manifest["archive"]["size"],
        "md5": manifest["archive"]["md5"],
    }
    if sent is not None:
        facts["remote_md5"] = sent.verification.md5
        facts["etag"] = sent.verification.etag
        facts["verified_by"] = sent.verification.level
        facts["attempts"] = sent.attempts
    return facts
