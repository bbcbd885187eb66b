# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reports about a store's archives: listed, sent, checked, judged by retention. Sizes are in bytes, digests in lowercase hex.

Import this module for type checking only: building the types takes longer than an idle run takes to read its catalog.
"""

from __future__ import annotations

import typing as t

from ..archive.facts import Manifest


class HeldArchive(Manifest):
    """An archive as a store lists it, with the fields of its manifest. ``modified`` in seconds since the epoch, None if unknown."""

    key: str
    location: str
    size: int
    modified: t.Optional[float]
    source_bytes: int


class Totals(t.TypedDict):
    """Several archives together."""

    archives: int
    size: int
    source_bytes: int
    hosts: t.List[str]
    jobs: t.List[str]


class _SentNeeded(t.TypedDict):
    key: str
    location: str
    state: str
    changed: bool
    size: int
    md5: str


class SentArchive(_SentNeeded, total=False):
    """An archive that was sent to a store, or (without the optional fields) would be.

    ``state``: sent; present: the same archive was there already; adopted: another archive of the same logs was there and is kept.
    ``md5``: of the local archive. ``remote_md5``: as the store reported it or as it was read back, None if proven otherwise.
    ``verified_by``: a verification level.
    """

    remote_md5: t.Optional[str]
    etag: t.Optional[str]
    verified_by: str
    attempts: int


class PlanRow(t.TypedDict):
    """What retention decides on one archive. ``action``: remove or keep. ``time``: start of its period, in UTC."""

    action: str
    key: str
    time: str
    reason: str
