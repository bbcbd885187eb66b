# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of a sink."""

from __future__ import annotations

import os
import typing as t

from .option import PLAIN_NAME, PLAIN_NAME_MEANS, Spec

SINK: Spec = {
    "type": {
        "type": "str",
        "required": True,
        "choices": ["sqlite"],
        "description": ["The type of the sink: V(sqlite), a file of SQLite on this host."],
    },
    "name": {
        "type": "str",
        "pattern": PLAIN_NAME,
        "pattern_means": PLAIN_NAME_MEANS,
        "description": ["The name of the sink in messages. The default is its type."],
    },
    "path": {
        "type": "path",
        "types": ["sqlite"],
        "description": ["The file of the database. It is created if it does not exist; its folder must exist."],
    },
}

NEEDED_BY_SINK = {"sqlite": ("path",)}


def _sqlite_problems(sink: t.Mapping[str, t.Any]) -> t.List[str]:
    if sink["path"] and os.path.basename(sink["path"]) == "":
        return ["path: must be a file, not a folder"]
    return []


SINK_PROBLEMS = {"sqlite": _sqlite_problems}
"""By type: mistakes that show only when options are seen together, each as 'option: what is wrong'. Checking opens no sink."""
