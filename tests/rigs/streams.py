# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A folder with a live log and a stream that follows it into SQLite; and lines of each class of SFTPGo's log."""

from __future__ import annotations

import json
import pathlib
import typing as t

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_check import normalise_stream

NAME = "sftpgo"
HOST = "web1"


def given(folder: pathlib.Path, **changes: t.Any) -> t.Dict[str, t.Any]:
    """The stream as a person would write it. changes: further keys; those of ``follow`` and ``parse`` are merged."""
    follow = {"paths": [str(folder / "logs")], "patterns": ["sftpgo.log"], "rotated": ["sftpgo-*.log"], "poll": 0.05}
    follow.update(changes.pop("follow", {}))
    parse = {"profile": "sftpgo", "timezone": "Europe/Paris"}
    parse.update(changes.pop("parse", {}))
    document = {
        "name": NAME,
        "host": HOST,
        "follow": follow,
        "parse": parse,
        "sinks": [{"type": "sqlite", "path": str(folder / "db.sqlite")}],
        "state": str(folder / "state"),
    }
    document.update(changes)
    return document


def document(folder: pathlib.Path, **changes: t.Any) -> t.Any:
    """The same, checked."""
    return normalise_stream(given(folder, **changes))


def line(**fields: t.Any) -> bytes:
    """A line as SFTPGo's logger writes it: compact, in this order, without a newline."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def upload(number: int = 1, **changes: t.Any) -> bytes:
    """An upload; ``number`` makes it another one."""
    fields = {
        "level": "info",
        "time": "2026-11-03T01:59:58.114",
        "sender": "Upload",
        "local_addr": "192.0.2.5:2022",
        "remote_addr": "198.51.100.20:50412",
        "elapsed_ms": 12,
        "size_bytes": number,
        "username": "alice",
        "file_path": "/srv/data/alice/%d.csv" % number,
        "virtual_path": "/%d.csv" % number,
        "connection_id": "SFTP_%d_1" % number,
        "protocol": "SFTP",
    }
    fields.update(changes)
    return line(**{name: value for name, value in fields.items() if value is not ...})
