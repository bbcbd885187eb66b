# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A new archive in a catalog's database."""

from __future__ import annotations

import itertools
import typing as t

from ..base.units import parse_utc
from . import revisions
from .database import Database, integer, integers
from .manifests import encode

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest, SourceFacts
    from ..base.beneath import Identity


def insert(
    database: Database,
    host: str,
    job: str,
    key: str,
    manifest: Manifest,
    identities: t.Iterable[t.Optional[Identity]] = (),
    spooled: bool = True,
) -> int:
    """Record an archive and its logs, within a transaction of the caller; returns its id.

    identities: device and inode of its logs, as far as they are known, in the order of the manifest. spooled: whether it is in the spool.
    """
    period, name, size = manifest["period"], manifest["archive"]["name"], manifest["archive"]["size"]
    begin, end = _seconds(period["start"]), _seconds(period["end"])
    known = itertools.chain(identities, itertools.repeat(None))
    sources = ((*_source(source), *integers(identity)) for source, identity in zip(manifest["sources"], known))
    start = revisions.start_of(database.execute, job, key, begin, lambda: {_path(source) for source in manifest["sources"]})
    facts = (host, job, key, period["start"], period["end"], size, encode(manifest), int(spooled), start, end - begin, name)
    archive = database.insert(
        "INSERT INTO archives (host, job, key, period_start, period_end, size, manifest, spooled, start, seconds, name)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        facts,
    )
    database.executemany("INSERT INTO sources VALUES (?, ?, ?, ?, ?, ?, ?, ?)", ((archive, *source) for source in sources))
    return archive


def _seconds(text: str) -> int:
    """A time of a manifest in seconds since the epoch."""
    return int(parse_utc(text).timestamp())


def _source(source: SourceFacts) -> t.Tuple[bytes, int, t.Union[int, bytes], bool, str]:
    changed = source.get("changed", False)
    return _path(source), source["size"], integer(source["mtime_ns"]), changed, source["sha256"]


def _path(source: SourceFacts) -> bytes:
    return source["path"].encode("utf-8", "surrogateescape")
