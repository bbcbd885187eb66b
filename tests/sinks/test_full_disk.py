# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Database servers of which the disk is full, with the real ones: nothing is lost, and nothing is stored twice."""

from __future__ import annotations

import contextlib
import pathlib
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.opening import open_sink
from lab.databases import DatabaseServer, mariadb_server, postgresql_server
from rigs.databases import started
from rigs.streams import document, upload
from rigs.sums import assert_sums_are_those_of_the_rows

pytestmark = pytest.mark.xdist_group("databases")
MIB = 1 << 20
LINES = 12_000
ROOM = 3 * MIB
"""Less than the lines need, more than a server needs to live."""


def small_server(kind: str) -> t.ContextManager[DatabaseServer]:
    if kind == "mariadb":
        return mariadb_server("--innodb-log-file-size=4M", "--aria-log-file-size=8M", size=300 * MIB)
    return postgresql_server("-c", "max_wal_size=4MB", "-c", "min_wal_size=2MB", size=100 * MIB)


@pytest.mark.parametrize("kind", ["mariadb", "postgresql"])
def test_a_full_disk_of_the_server_loses_nothing(tmp_path: pathlib.Path, logs: pathlib.Path, kind: str) -> None:
    (logs / "sftpgo.log").write_bytes(b"".join(upload(number) + b"\n" for number in range(LINES)))
    with contextlib.ExitStack() as stack:
        server = started(small_server(kind), stack)
        wanted = document(tmp_path, sinks=[server.sink(timeout=10)])
        with contextlib.closing(open_sink(wanted["sinks"][0], wanted)):
            pass
        filler = server.folder / "filler"
        with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(MIB // 4))
        size = filler.stat().st_size
        with open(filler, "ab") as file:
            file.truncate(size - ROOM)
        first = follower.catch_up(wanted, sleep=lambda _seconds: None)
        assert first["sinks"][0]["error"] is not None
        filler.unlink()
        if follower.catch_up(wanted)["sinks"][0]["error"] is not None:
            # It did not survive that: PostgreSQL cannot go on without its log.
            server.kill()
            server.start()
            assert follower.catch_up(wanted)["sinks"][0]["error"] is None
        with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as sink:
            found = sink.select("SELECT size_bytes FROM sftpgo_transfer ORDER BY size_bytes")
            assert [row[0] for row in found] == [*range(LINES)]
            assert_sums_are_those_of_the_rows(sink.select)
        print(kind, first["sinks"][0])
