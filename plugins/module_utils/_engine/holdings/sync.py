# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a store has in the place of an archive that is to be copied there from another store, without opening it."""

from __future__ import annotations

import typing as t

from ..archive.manifest import digests
from ..archive.naming import manifest_key
from ..base.errors import IntegrityError, StoreExistsError, StoreNotFoundError
from .inventory import fetch_manifest

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest
    from ..stores.base import Store, Verification

REMOVE = "Compare the stores with 'log-archive verify'; remove what does not belong there yourself, and sync again"


class Copy(t.NamedTuple):
    """A copy of an archive on record: the name of its store, its key there, and its manifest."""

    store: str
    key: str
    manifest: Manifest


class There(t.NamedTuple):
    """What a store has: a manifest, and unless it is alone the proof of the archive beside it."""

    manifest: Manifest
    verification: t.Optional[Verification]


def find(store: Store, key: str, manifests: t.Sequence[Manifest], listed: t.Container[str]) -> t.Optional[There]:
    """What the store has under this key; None if it has no manifest there.

    manifests: of the copies of the archive that are on record. listed: the keys in the store.
    Raises StoreExistsError if it is not one of these, IntegrityError if the archive beside it is damaged, StoreError.
    """
    if manifest_key(key) not in listed:
        return None
    try:
        there = fetch_manifest(store, key)
    except StoreNotFoundError:
        return None
    except IntegrityError as error:
        raise StoreExistsError(
            "a file that is not a manifest has this name; it was not overwritten (%s)" % error.message, error.subject, REMOVE
        ) from error
    if there not in manifests:
        raise StoreExistsError("another archive is stored under this name; it was not overwritten", store.location(key), REMOVE)
    if key not in listed:
        return There(there, None)
    try:
        return There(there, store.verify(key, digests(there)))
    except StoreNotFoundError:
        return There(there, None)


def check_source(store: Store, copy: Copy) -> None:
    """Check that the store has the manifest that is on record for this copy. Raises IntegrityError, StoreNotFoundError, StoreError."""
    if fetch_manifest(store, copy.key) != copy.manifest:
        raise IntegrityError("the archive was replaced: its manifest is not the one that the catalog records", store.location(copy.key))
