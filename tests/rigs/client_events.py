# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stream of client events, and their lines."""

from __future__ import annotations

import json
import pathlib
import typing as t

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_check import normalise_stream

ID = "C-4711-plaintext"


def given(folder: pathlib.Path, **changes: t.Any) -> t.Dict[str, t.Any]:
    """The stream as a person would write it. changes: further keys; those of ``parse`` and ``client_ids`` are merged."""
    ids = changes.pop("client_ids", {})
    document = {
        "name": "events",
        "host": "app1",
        "follow": {"paths": [str(folder / "logs")], "patterns": ["*.log", "logs_*.txt"], "rotated": ["events-*"], "poll": 0.05},
        "parse": {"profile": "client_events", "timezone": "UTC", **changes.pop("parse", {})},
        "client_ids": None if ids is None else {"keyring": str(folder / "keys"), **ids},
        "sinks": [{"type": "sqlite", "path": str(folder / "db.sqlite")}],
        "state": str(folder / "state"),
        "log": str(folder / "events.jsonl"),
        **changes,
    }
    return {name: value for name, value in document.items() if value is not None}


def document(folder: pathlib.Path, **changes: t.Any) -> t.Any:
    """The same, checked."""
    return normalise_stream(given(folder, **changes))


def event(timestamp: str, **fields: t.Any) -> bytes:
    """A line without its newline."""
    return json.dumps(
        {**fields, "timestamp": timestamp, "log_level": fields.pop("log_level", "INFO"), "thread": fields.pop("thread", "main")}
    ).encode()
