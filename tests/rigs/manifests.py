# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manifests for tests of what is recorded about archives; no archive belongs to them."""

from __future__ import annotations

import typing as t


def manifest(name: str = "x", size: int = 10, **source: t.Any) -> t.Any:
    """The manifest of an archive of one source, as far as the catalog reads it. source: changes of the source's facts."""
    return {
        "archive": {"name": name, "size": size, "md5": "m", "sha256": name},
        "period": {"start": "2024-01-12T14:00:00Z", "end": "2024-01-12T15:00:00Z"},
        "sources": [dict({"path": "/var/log/%s\udcff" % name, "size": 1, "mtime_ns": 2, "changed": False, "sha256": "s"}, **source)],
    }
