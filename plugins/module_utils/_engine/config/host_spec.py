# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of a host, ``/etc/log-archive/host.json``."""

from __future__ import annotations

from .option import Spec

ROOTS: Spec = {
    name: {"type": "list", "elements": "path", "description": ["Folders below which %s must lie." % what]}
    for name, what in {
        "state": "O(state) of a job or stream",
        "spool": "O(spool) of a job",
        "log": "O(log) of a job or stream",
        "notify": "O(notify[].path) of a job or stream and O(page.path) of a stream",
        "stores": "file stores and SQLite sinks",
        "select": "O(select.paths) of a job and O(follow.paths) of a stream",
    }.items()
}

HOST: Spec = {
    "roots": {
        "type": "dict",
        "default": {},
        "options": ROOTS,
        "description": [
            "The folders below which the paths in job documents must lie, by option. A root itself is allowed, too.",
            "The paths of an option that is not listed here may lie anywhere, except among keys and settings.",
        ],
    },
}
