# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send an archive with its manifest to a store, never over something else, and prove that it arrived."""

from __future__ import annotations

import hashlib
import itertools
import os
import typing as t

from ..archive import manifest as manifests, naming
from ..base.errors import IntegrityError, LogArchiveError, StoreExistsError, StoreNotFoundError
from ..stores.base import Digests, Progress, Store, Verification
from . import inventory


class Sent(t.NamedTuple):
    """One archive in a store. existed: the very same bytes were there already. adopted: the manifest of what the store holds, where
    that is another ciphertext of the same sources, which was there before and is kept."""

    key: str
    existed: bool
    attempts: int
    verification: Verification
    adopted: t.Optional[manifests.Manifest]


def send(store: Store, path: str, manifest: manifests.Manifest, key: str, suffix: str, progress: t.Optional[Progress] = None) -> Sent:
    """Send the archive ``path`` and the manifest beside it to ``key``.

    The manifest goes first: an archive that stands in a store always has one. Where other logs already stand at the key, the next
    free revision of it is used ('syslog.r2.tgz.fernet'; ``suffix`` says where the name ends); where the same logs stand there (the
    catalog was lost, say), they are verified and kept. Raises StoreError, IntegrityError, OSError where the local file cannot be read.
    """
    described = digests_of_file(naming.manifest_key(path))
    for revision in itertools.count(1):
        candidate = naming.revised(key, suffix, revision)
        try:
            noted = store.put(naming.manifest_key(path), naming.manifest_key(candidate), described)
            try:
                result = store.put(path, candidate, manifests.digests(manifest), progress)
            except StoreExistsError:
                if not noted.existed:
                    store.delete([naming.manifest_key(candidate)])
                raise
            return Sent(candidate, result.existed, result.attempts, result.verification, None)
        except StoreExistsError:
            found = _same_logs(store, candidate, manifest)
            if found is not None:
                return Sent(candidate, True, 1, found[1], found[0])
    raise AssertionError("itertools.count ends never")


def look(store: Store, manifest: manifests.Manifest, key: str, suffix: str) -> t.Tuple[str, t.Optional[Sent]]:
    """What ``send`` would do, and nothing is sent: the key, and None where the archive would go there, else what is there already."""
    for revision in itertools.count(1):
        candidate = naming.revised(key, suffix, revision)
        found = _same_logs(store, candidate, manifest)
        if found is not None:
            return candidate, Sent(candidate, True, 1, found[1], None if found[0]["archive"] == manifest["archive"] else found[0])
        if all(item.key != candidate for item in store.list(candidate)):
            return candidate, None
    raise AssertionError("itertools.count ends never")


def manifest_beside(path: str) -> manifests.Manifest:
    """The manifest of a local archive; LogArchiveError where archive or manifest is not there, IntegrityError."""
    for needed in (path, naming.manifest_key(path)):
        if not os.path.isfile(needed):
            raise LogArchiveError("there is no such file", needed, "An archive is sent together with the manifest beside it")
    try:
        return manifests.load(naming.manifest_key(path))
    except OSError as error:
        raise LogArchiveError("the manifest cannot be read (%s)" % error.strerror, naming.manifest_key(path)) from error


def _same_logs(store: Store, key: str, manifest: manifests.Manifest) -> t.Optional[t.Tuple[manifests.Manifest, Verification]]:
    try:
        there = inventory.fetch_manifest(store, key)
        if manifests.same_sources(there, manifest):
            return there, store.verify(key, manifests.digests(there))
    except (IntegrityError, StoreNotFoundError):
        pass  # Not a whole archive of ours: it stays as it is, and ours gets another name.
    return None


def digests_of_file(path: str) -> Digests:
    """Size, MD5 and SHA-256 of a local file."""
    size = 0
    md5 = hashlib.new("md5", usedforsecurity=False)
    sha256 = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            size += len(chunk)
            md5.update(chunk)
            sha256.update(chunk)
    return Digests(size, md5.hexdigest(), sha256.hexdigest())


def described(store: Store, key: str, manifest: manifests.Manifest, sent: t.Optional[Sent]) -> t.Dict[str, t.Any]:
    """What a caller tells of an archive that was sent to ``key``, or (None) would be."""
    told: t.Dict[str, t.Any] = {"state": "sent", "size": manifest["archive"]["size"], "md5": manifest["archive"]["md5"]}
    if sent is not None:
        key = sent.key
        told.update(
            state="sent" if not sent.existed else "present" if sent.adopted is None else "adopted",
            remote_md5=sent.verification.md5,
            etag=sent.verification.etag,
            verified_by=sent.verification.level,
            attempts=sent.attempts,
        )
    return dict(told, key=key, location=store.location(key), changed=told["state"] == "sent")
