# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check what a store holds against the manifests."""

from __future__ import annotations

import typing as t

from ..archive import manifest as manifests
from ..archive.naming import MANIFEST_SUFFIX, is_archive_key
from ..base.errors import IntegrityError, StoreNotFoundError
from ..stores.base import Store
from .inventory import Inventory, StoredArchive


class Checked(t.NamedTuple):
    """One archive: ``level`` at which it was proven (None where it was not) and ``error``, why it is not what it must be."""

    key: str
    level: t.Optional[str]
    error: t.Optional[str]


def verify(store: Store, archive: StoredArchive, level: t.Optional[str]) -> Checked:
    """Prove one archive at ``level`` (the store's own by default). A store that cannot be asked raises StoreError."""
    try:
        return Checked(archive.key, store.verify(archive.key, manifests.digests(archive.manifest), level).level, None)
    except (IntegrityError, StoreNotFoundError) as error:
        return Checked(archive.key, None, str(error))


def unusable(held: Inventory) -> t.List[Checked]:
    """What an inventory alone shows to be wrong: manifests that cannot be read, that are alone, or that are not there."""
    damaged = [Checked(key, None, why) for key, why in held.damaged.items()]
    missing = [
        Checked(orphan.key[: -len(MANIFEST_SUFFIX)], None, "its manifest is there, the archive is not (removed, or an upload that was cut)")
        for orphan in held.orphans
    ]
    # Whatever lies elsewhere is none of ours.
    bare = [Checked(other.key, None, "it has no manifest beside it") for other in held.others if is_archive_key(other.key)]
    return sorted(damaged + missing + bare)
