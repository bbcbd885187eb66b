# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The content of a manifest, and the report of an archive in a folder. Sizes are in bytes, digests in lowercase hex.

Import this module for type checking only: building the types takes longer than an idle run takes to read its catalog.
"""

from __future__ import annotations

import typing as t

from ..base.rows import Rows
from ..crypto.envelope import EncryptionFacts


class ArchiveFacts(t.TypedDict):
    """The archive as stores hold it."""

    name: str
    size: int
    md5: str
    sha256: str


class TgzFacts(t.TypedDict):
    """The tgz inside the archive."""

    size: int
    sha256: str


class PeriodText(t.TypedDict):
    """A span of time in UTC, each end as "2024-01-12T13:00:00Z"."""

    start: str
    end: str


class _SourceNeeded(t.TypedDict):
    path: str
    name: str
    size: int
    mtime_ns: int
    mode: str
    sha256: str


class SourceFacts(_SourceNeeded, total=False):
    """One log in the archive.

    ``path`` on the host, ``name`` in the tar; ``mtime_ns`` in nanoseconds since the epoch; ``mode`` in octal, as "0640"; ``changed``: it
    changed while it was read; ``vanished``: it was removed or replaced after it was opened; ``data``: where a file with holes has data, as
    [offset, length] (then ``sha256`` is that of this map and the data, see ``base.sparse``). Other makers may leave out the rest.
    """

    uid: int
    gid: int
    changed: bool
    vanished: bool
    data: t.List[t.List[int]]
    period: PeriodText


ManySources = t.Union[t.List[SourceFacts], Rows[SourceFacts]]
"""The sources of a manifest; compressed if they are many."""


class _ManifestNeeded(t.TypedDict):
    version: int
    engine: str
    host: str
    job: str
    created: str
    archive: ArchiveFacts
    tgz: TgzFacts
    encryption: EncryptionFacts
    period: PeriodText
    sources: ManySources


class AdoptedFacts(t.TypedDict):
    """How an archive that an earlier script made was adopted.

    ``key``: the name of the object in its store. ``template``: gave the period from the name. ``content``: tgz or zip, what the archive is,
    or what its token encloses. ``hmac_key_id``: of the key of the keyring that made the HMAC of the manifest of a plain archive; None if
    there is none, or if the archive is a token.
    """

    key: str
    template: str
    content: str
    hmac_key_id: t.Optional[str]


class Manifest(_ManifestNeeded, total=False):
    """The manifest of one archive. ``created`` in UTC; ``sources`` is a list unless there are many; ``hmac`` in hex, from version 2 on if
    the archive is encrypted, or was adopted with a key. ``adopted``: only of an adopted archive."""

    hmac: str
    adopted: AdoptedFacts


class _LocalNeeded(t.TypedDict):
    path: str
    name: str
    manifest_path: str
    period: PeriodText
    sources: t.List[str]
    source_bytes: int


class LocalArchive(_LocalNeeded, total=False):
    """An archive in a folder. An archive that is not made yet has no ``size``, digests, ``key_id`` and ``ratio``.

    ``ratio``: bytes of the logs divided by bytes of the archive.
    """

    size: int
    md5: str
    sha256: str
    key_id: t.Optional[str]
    ratio: float
