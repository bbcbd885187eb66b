# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A follower in its own process."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import typing as t

from rigs.host import COMMAND, ENGINE_PATH


def start(folder: pathlib.Path, wanted: t.Dict[str, t.Any], **environment: str) -> subprocess.Popen[str]:
    """Start ``log-archive follow`` for a stream as a person would write it; it prints JSON as it ends."""
    documents = pathlib.Path(wanted["state"] + ".d")
    documents.mkdir(exist_ok=True)
    path = documents / ("%s.json" % wanted["name"])
    path.touch(0o600)
    path.write_text(json.dumps(wanted))
    return subprocess.Popen(
        [*COMMAND, "follow", str(path), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ, PYTHONPATH=ENGINE_PATH, **environment),
    )
