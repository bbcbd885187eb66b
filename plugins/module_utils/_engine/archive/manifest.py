# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifest beside each archive: what it holds, how big and whole it is, which key opens it.

Canonical JSON: keys sorted, no spaces, ASCII (a path that is not UTF-8 carries surrogate escapes, PEP 383), one line.
Readers accept fields that they do not know; ``version`` changes only when a known field changes its meaning.
"""

from __future__ import annotations

import json
import typing as t
from datetime import datetime, timezone

from ..base.errors import IntegrityError
from ..base.periods import Period

VERSION = 1
LARGEST = 64 << 20
"""Bytes; a manifest that is larger is refused unread. One of 100,000 sources has about 30 MiB."""

if t.TYPE_CHECKING:
    from ..stores.base import Digests

# Not at run time: building TypedDicts would take an idle run longer than reading its catalog.
if t.TYPE_CHECKING:

    class ArchiveFacts(t.TypedDict):
        """The archive as stores hold it. ``size`` in bytes; digests in lowercase hex."""

        name: str
        size: int
        md5: str
        sha256: str

    class TgzFacts(t.TypedDict):
        """The tgz inside the archive."""

        size: int
        sha256: str

    class _EncryptionFormat(t.TypedDict):
        format: str

    class EncryptionFacts(_EncryptionFormat, total=False):
        """``format``: fernet or none; ``key_id`` only with fernet."""

        key_id: str

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
        """One log in the archive. ``path`` on the host, ``name`` in the tar. ``changed``: it changed while it was read."""

        uid: int
        gid: int
        changed: bool
        vanished: bool
        period: PeriodText

    class Manifest(t.TypedDict):
        """The manifest of one archive, version 1."""

        version: int
        engine: str
        host: str
        job: str
        created: str
        archive: ArchiveFacts
        tgz: TgzFacts
        encryption: EncryptionFacts
        period: PeriodText
        sources: t.List[SourceFacts]


_NEEDED: t.Dict[str, t.Any] = {
    "version": int,
    "host": str,
    "job": str,
    "created": str,
    "archive": {"name": str, "size": int, "md5": str, "sha256": str},
    "tgz": {"size": int, "sha256": str},
    "encryption": {"format": str},
    "period": {"start": str, "end": str},
    "sources": list,
}
_NEEDED_OF_SOURCE = {"path": str, "name": str, "size": int, "mtime_ns": int, "mode": str, "sha256": str}


def dump(manifest: Manifest) -> bytes:
    """The canonical bytes of a manifest."""
    return json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii") + b"\n"


def load(path: str) -> Manifest:
    """Read a manifest's file; raises FileNotFoundError, IntegrityError."""
    with open(path, "rb") as file:
        return parse(file.read(LARGEST), path)


def parse(data: bytes, subject: str) -> Manifest:
    """Read a manifest that came from a store or a disk; IntegrityError names what is wrong with it."""
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise IntegrityError("the manifest is not JSON (%s)" % error, subject) from error
    _check(manifest, _NEEDED, "", subject)
    if manifest["version"] > VERSION:
        raise IntegrityError(
            "the manifest has version %d; this engine reads up to %d" % (manifest["version"], VERSION),
            subject,
            "Use a newer version of infra_ops.log_archive",
        )
    encryption = manifest["encryption"]
    if encryption["format"] not in ("fernet", "none"):
        raise IntegrityError(
            "the manifest names an encryption that this engine does not know: %r" % encryption["format"],
            subject,
            "Use a newer version of infra_ops.log_archive",
        )
    if encryption["format"] == "fernet" and not isinstance(encryption.get("key_id"), str):
        raise IntegrityError("the manifest lacks 'encryption.key_id' (str)", subject)
    for index, source in enumerate(manifest["sources"]):
        _check(source, _NEEDED_OF_SOURCE, "sources[%d]." % index, subject)
    try:
        period_of(manifest)
    except ValueError as error:
        raise IntegrityError("the manifest's period is not a time (%s)" % error, subject) from error
    return t.cast("Manifest", manifest)


def _check(value: t.Any, needed: t.Mapping[str, t.Any], where: str, subject: str) -> None:
    if not isinstance(value, dict):
        raise IntegrityError("the manifest's '%s' is not an object" % (where.rstrip(".") or "top"), subject)
    for name, kind in needed.items():
        if isinstance(kind, dict):
            _check(value.get(name), kind, "%s%s." % (where, name), subject)
        elif not isinstance(value.get(name), kind):
            raise IntegrityError("the manifest lacks '%s%s' (%s)" % (where, name, kind.__name__), subject)


def digests(manifest: Manifest) -> Digests:
    """Size, MD5 and SHA-256 of the archive that the manifest describes."""
    from ..stores.base import Digests

    archive = manifest["archive"]
    return Digests(archive["size"], archive["md5"], archive["sha256"])


def period_of(manifest: Manifest) -> Period:
    """The span of time that the archive covers."""
    period = manifest["period"]
    return Period(_time(period["start"]), _time(period["end"]))


def source_bytes(manifest: Manifest) -> int:
    """Bytes of all its sources."""
    return sum(source["size"] for source in manifest["sources"])


def same_sources(one: Manifest, other: Manifest) -> bool:
    """Whether two manifests describe the same bytes of the same sources (their ciphertexts always differ)."""
    return _identities(one) == _identities(other)


def _identities(manifest: Manifest) -> t.List[t.Tuple[str, int, str]]:
    return sorted((source["path"], source["size"], source["sha256"]) for source in manifest["sources"])


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
