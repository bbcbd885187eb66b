# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verify the archives of a store against their manifests."""

from __future__ import annotations

import typing as t

from ..archive.manifest import digests
from ..archive.naming import MANIFEST_SUFFIX, is_archive_key
from ..base.errors import IntegrityError, StoreNotFoundError
from ..stores.base import Store
from .inventory import Inventory, StoredArchive


class Checked(t.NamedTuple):
    """One archive. level: at which the store's copy was proven, None if it was not; error: why the verification failed."""

    key: str
    level: t.Optional[str]
    error: t.Optional[str]


def verify(store: Store, archive: StoredArchive, level: t.Optional[str]) -> Checked:
    """Prove the store's copy of an archive. level: None is the store's own. Raises StoreError if the store fails."""
    try:
        return Checked(archive.key, store.verify(archive.key, digests(archive.manifest), level).level, None)
    except (IntegrityError, StoreNotFoundError) as error:
        return Checked(archive.key, None, str(error))


def unusable(held: Inventory) -> t.List[Checked]:
    """The problems that an inventory shows: unusable manifests, manifests without an archive, archives without a manifest. By key."""
    damaged = [Checked(key, None, why) for key, why in held.damaged.items()]
    missing = [
        Checked(orphan.key[: -len(MANIFEST_SUFFIX)], None, "there is only its manifest (the archive was removed, or its upload was cut)")
        for orphan in held.orphans
    ]
    # Other tools put their files at other keys.
    bare = [Checked(other.key, None, "there is no manifest beside the archive") for other in held.others if is_archive_key(other.key)]
    return sorted(damaged + missing + bare)
