# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifest beside each archive: its logs, sizes and digests, and the key that opens it.

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
"""Bytes; a larger manifest is refused unread. A manifest of 100,000 sources has about 30 MiB."""

if t.TYPE_CHECKING:
    from ..stores.base import Digests
    from .facts import Manifest

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
    """Read a manifest's file. Raises FileNotFoundError, IntegrityError."""
    with open(path, "rb") as file:
        return parse(file.read(LARGEST), path)


def parse(data: bytes, subject: str) -> Manifest:
    """Read a manifest that came from a store or a disk. Raises IntegrityError, which states the defect; subject names the manifest."""
    from ..crypto.envelope import check_facts

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
    check_facts(manifest["encryption"], subject)
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
    """The size of all its logs together, in bytes."""
    return sum(source["size"] for source in manifest["sources"])


def same_sources(one: Manifest, other: Manifest) -> bool:
    """Whether two manifests describe the same bytes of the same sources (their ciphertexts always differ)."""
    return source_identities(one) == source_identities(other)


def source_identities(manifest: Manifest) -> t.Tuple[t.Tuple[str, int, str], ...]:
    """Path, size and SHA-256 of each source, in order: equal for archives of the same bytes of the same sources."""
    return tuple(sorted((source["path"], source["size"], source["sha256"]) for source in manifest["sources"]))


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
