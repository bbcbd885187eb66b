# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The event log: one line of JSON per event."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.events import EventLog


def test_a_line_per_event(tmp_path):
    path = tmp_path / "events"
    log = EventLog(str(path), "job", "host")
    log.write("one", text="line\nbreak \udcff", number=1)
    log.write("two")
    first, second = [json.loads(line) for line in path.read_text().splitlines()]
    assert (first["event"], first["text"], first["job"], first["host"], first["pid"]) == (
        "one",
        "line\nbreak \udcff",
        "job",
        "host",
        os.getpid(),
    )
    assert second["event"] == "two" and second["time"] >= first["time"] and second["time"].endswith("Z")
    assert stat.S_IMODE(path.stat().st_mode) & 0o027 == 0


def test_without_a_path_nothing_is_written():
    EventLog(None, "job", "host").write("one")


def test_a_rotation_is_followed(tmp_path):
    path = tmp_path / "events"
    log = EventLog(str(path), "job", "host")
    log.write("one")
    path.rename(tmp_path / "events.1")
    log.write("two")
    assert json.loads(path.read_text())["event"] == "two"


def test_a_link_that_takes_its_place_is_followed(tmp_path):
    path = tmp_path / "events"
    log = EventLog(str(path), "job", "host")
    log.write("one")
    (tmp_path / "elsewhere").mkdir()
    path.rename(tmp_path / "events.1")
    path.symlink_to(tmp_path / "elsewhere" / "events")
    log.write("two")
    log.write("three")
    assert [json.loads(line)["event"] for line in (tmp_path / "elsewhere" / "events").read_text().splitlines()] == ["two", "three"]
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere" / "new")
    log.write("four")
    assert json.loads((tmp_path / "elsewhere" / "new").read_text())["event"] == "four"


def test_a_cut_line_does_not_spoil_the_next(tmp_path):
    path = tmp_path / "events"
    path.write_text('{"event": "cu')
    EventLog(str(path), "job", "host").write("next")
    assert json.loads(path.read_text().splitlines()[1])["event"] == "next"


def test_a_log_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(LogArchiveError, match="cannot write the event log"):
        EventLog(str(tmp_path / "missing" / "events"), "job", "host").write("one")


def _write(path, number):
    log = EventLog(path, "job%d" % number, "host")
    for count in range(200):
        log.write("event", count=count, padding="x" * 500)


def test_lines_of_several_runs_do_not_mix(tmp_path):
    path = str(tmp_path / "events")
    writers = [multiprocessing.get_context("fork").Process(target=_write, args=(path, number)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with open(path, encoding="ascii") as file:
        events = [json.loads(line) for line in file if line != "\n"]
    assert len(events) == 800
