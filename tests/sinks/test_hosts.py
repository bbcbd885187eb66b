# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts that share a database: the same stream, the same lines, at the same time."""

from __future__ import annotations

import collections
import contextlib
import pathlib
import random
import subprocess
import time
import typing as t

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_check import normalise_stream
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.base import NoSchemaError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.opening import open_sink
from rigs.followers import start
from rigs.streams import given, upload
from rigs.sums import assert_sums_are_those_of_the_rows

pytestmark = pytest.mark.xdist_group("databases")
ROUNDS, LINES = 4, 1500


class Shared:
    """Two hosts with a folder each."""

    def __init__(self, folder: pathlib.Path, sink: t.Dict[str, t.Any]) -> None:
        self.folders = {name: folder / name for name in ("web1", "web2")}
        for each in self.folders.values():
            (each / "logs").mkdir(parents=True)
        self.given = {name: given(each, host=name, sinks=[sink]) for name, each in self.folders.items()}
        self.wanted = {name: normalise_stream(each) for name, each in self.given.items()}

    def write(self, numbers: t.Iterable[int]) -> None:
        data = b"".join(upload(number) + b"\n" for number in numbers)
        for each in self.folders.values():
            with open(each / "logs" / "sftpgo.log", "ab") as file:
                file.write(data)

    def rotate(self, number: int) -> None:
        for each in self.folders.values():
            (each / "logs" / "sftpgo.log").rename(each / "logs" / ("sftpgo-%d.log" % number))

    def stored(self) -> t.Dict[str, t.Counter[int]]:
        """How often each host has each line."""
        found: t.Dict[str, t.Counter[int]] = {name: collections.Counter() for name in self.folders}
        wanted = self.wanted["web1"]
        with contextlib.suppress(NoSchemaError), contextlib.closing(open_sink(wanted["sinks"][0], wanted, create=False)) as sink:
            statement = "SELECT host, size_bytes FROM sftpgo_transfer JOIN ingest_generation ON id = generation"
            for host, number in sink.select(statement):
                found[host][number] += 1
        return found


def test_two_hosts_with_the_same_lines_are_never_mixed_though_their_followers_are_killed(tmp_path, place) -> None:
    shared, chance = Shared(tmp_path, place.sink), random.Random(20261127)

    def has_more_than(before: int) -> bool:
        return any(len(each) > before for each in shared.stored().values())

    for number in range(ROUNDS):
        # Both begin at the same time, in the first round also with the tables.
        before = number * LINES
        shared.write(range(before, before + LINES))
        running = {name: start(shared.folders[name], each) for name, each in shared.given.items()}
        try:
            if number:
                # What is stored before a kill differs from host to host.
                time.sleep(chance.random())
                lab.wait_until(lambda: has_more_than(before), "no follower stores lines")  # noqa: B023
            else:
                lab.wait_until(lambda: all(shared.stored().values()), "a follower stores nothing")
            for each in running.values():
                assert each.poll() is None, each.communicate()
                each.kill()
                time.sleep(chance.random() / 10)
        finally:
            _end(running.values())
        if number % 2:
            shared.rotate(number)
    for wanted in shared.wanted.values():
        assert follower.catch_up(wanted)["sinks"][0]["error"] is None
    expected = collections.Counter(range(ROUNDS * LINES))
    assert shared.stored() == {"web1": expected, "web2": expected}
    with contextlib.closing(open_sink(shared.wanted["web1"]["sinks"][0], shared.wanted["web1"])) as sink:
        assert_sums_are_those_of_the_rows(sink.select)


def _end(running: t.Iterable[subprocess.Popen[str]]) -> None:
    for each in running:
        each.kill()
        each.communicate()
