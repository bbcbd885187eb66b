# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Following under faults: a full disk, and a storm of kills and rotations."""

from __future__ import annotations

import contextlib
import pathlib
import sqlite3

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_check import normalise_stream
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower
from rigs.streams import given, upload


def test_a_full_disk_loses_nothing(tmp_path: pathlib.Path) -> None:
    (tmp_path / "logs").mkdir()
    with contextlib.ExitStack() as stack:
        try:
            small = pathlib.Path(stack.enter_context(lab.small_filesystem(tmp_path / "small", 4 << 20)))
        except lab.Unavailable as reason:
            pytest.skip(str(reason))
        wanted = normalise_stream(given(tmp_path, sinks=[{"type": "sqlite", "path": str(small / "db.sqlite")}]))
        (small / "filler").write_bytes(b"x" * (3 << 20))
        (tmp_path / "logs" / "sftpgo.log").write_bytes(b"".join(upload(number) + b"\n" for number in range(6000)))
        result = follower.catch_up(wanted, sleep=lambda _seconds: None)
        assert result["exit_code"] == 1
        assert "Free some space; nothing is lost" in (result["sinks"][0]["error"] or "")
        (small / "filler").unlink()
        assert follower.catch_up(wanted)["exit_code"] == 0
        with contextlib.closing(sqlite3.connect(small / "db.sqlite")) as connection:
            rows = connection.execute("SELECT size_bytes FROM sftpgo_transfer ORDER BY size_bytes").fetchall()
        assert rows == [(number,) for number in range(6000)]
