# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manifests as the catalog has them: as JSON; one with many sources as a line of JSON without them, and the sources compressed after it."""

from __future__ import annotations

from ..base import hints as t

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest


def encode(manifest: Manifest) -> t.Union[str, bytes]:
    """The manifest as a value of the database. "created" is in the same form in both (see ``Counts.last_created``)."""
    import json

    sources = manifest["sources"]
    if isinstance(sources, list):
        return json.dumps(manifest)
    head = json.dumps({**manifest, "sources": len(sources)}).encode("ascii")
    return b"".join([head, b"\n", *sources.packed()])


def decode(value: t.Union[str, bytes]) -> Manifest:
    """The manifest of a value of the database. Raises ValueError for a damaged one."""
    import json

    if isinstance(value, str):
        return t.cast("Manifest", json.loads(value))
    from ..base.rows import Rows

    end = value.index(b"\n")
    manifest = json.loads(value[:end])
    rows: t.Any = Rows()
    rows.unpack(memoryview(value)[end + 1 :], manifest["sources"])
    return t.cast("Manifest", {**manifest, "sources": rows})
