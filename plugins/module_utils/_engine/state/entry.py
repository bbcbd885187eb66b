# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archives of the catalog, and their copies in the stores."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest


class Copy(t.NamedTuple):
    """An archive's copy in one store. ``state``: pending, verified, pruned, or "given up" (the store will not get it).

    manifest: what the store holds, if that is another ciphertext than the catalog's (the store had it first).
    """

    store: str
    key: str
    state: str
    verified_by: t.Optional[str]
    error: t.Optional[str]
    manifest: t.Optional[Manifest]


class Entry(t.NamedTuple):
    """One archive in the catalog. spooled: it is still in the spool."""

    id: int
    host: str
    job: str
    key: str
    manifest: Manifest
    spooled: bool

    @property
    def name(self) -> str:
        """The archive's file name."""
        return self.manifest["archive"]["name"]

    @property
    def size(self) -> int:
        """The archive's size in bytes."""
        return self.manifest["archive"]["size"]


class Unentered(t.NamedTuple):
    """A verified copy without an entry in the ledger."""

    archive: int
    store: str
    key: str
    manifest: Manifest


class Known(t.NamedTuple):
    """The ledger that the catalog knows: its id, and the last entry that the catalog has learned of."""

    ledger: str
    seq: int
