# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of a host, ``/etc/log-archive/host.json``."""

from __future__ import annotations

from .option import Spec

ROOTS: Spec = {
    "state": {"type": "list", "elements": "path", "description": ["Folders below which O(state) of a job must lie."]},
    "spool": {"type": "list", "elements": "path", "description": ["Folders below which O(spool) of a job must lie."]},
    "log": {"type": "list", "elements": "path", "description": ["Folders below which O(log) of a job must lie."]},
    "notify": {"type": "list", "elements": "path", "description": ["Folders below which O(notify[].path) of a job must lie."]},
    "stores": {"type": "list", "elements": "path", "description": ["Folders below which the file stores of a job must lie."]},
    "select": {"type": "list", "elements": "path", "description": ["Folders below which O(select.paths) of a job must lie."]},
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
