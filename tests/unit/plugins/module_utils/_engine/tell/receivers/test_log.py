# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The log file of run records: whole lines, rotated by size, shared by several processes."""

from __future__ import annotations

import json
import multiprocessing
import os

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise_receiver
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.messages import Message
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.receivers import log
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.receivers.base import ReceiverError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.records import complete


def lines_of(path, keep=0):
    names = [path.name] + ["%s.%d" % (path.name, number) for number in range(1, keep + 1)]
    return [line for name in reversed(names) if (path.parent / name).exists() for line in (path.parent / name).read_bytes().splitlines()]


def test_it_is_rotated_before_it_exceeds_its_size(tmp_path):
    path = tmp_path / "log"
    for number in range(10):
        log.append(str(path), b"line %d\n" % number, 14, keep=3)
    assert sorted(os.listdir(tmp_path)) == ["log", "log.1", "log.2", "log.3"]
    assert lines_of(path, 3) == [b"line %d" % number for number in range(2, 10)]
    assert path.stat().st_mode & 0o777 == 0o640 & ~os.umask(os.umask(0))


def test_a_line_larger_than_the_size_is_written_all_the_same(tmp_path):
    path = tmp_path / "log"
    for _time in range(2):
        log.append(str(path), b"x" * 100 + b"\n", 14, keep=1)
    assert [len(line) for line in lines_of(path, 1)] == [100, 100]


def test_an_unfinished_line_of_another_program_is_ended(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"half")
    log.append(str(path), b"whole\n", 1000, keep=1)
    assert path.read_bytes() == b"half\nwhole\n"


def test_a_full_disk_leaves_no_half_line(small_filesystem):
    path = small_filesystem(65536) / "log"
    log.append(str(path), b"first\n", 1 << 30, keep=1)
    with pytest.raises(OSError, match="No space left"):
        log.append(str(path), b"x" * 100_000 + b"\n", 1 << 30, keep=1)
    assert path.read_bytes() == b"first\n"


def write(path, writer):
    for number in range(100):
        log.append(path, json.dumps({"writer": writer, "number": number}).encode() + b"\n", 500, keep=200)


def test_several_processes_lose_and_mix_nothing(tmp_path):
    path = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write, args=(str(path), writer)) for writer in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    told = [json.loads(line) for line in lines_of(path, 200)]
    for writer in range(4):
        assert [each["number"] for each in told if each["writer"] == writer] == list(range(100))
    assert all(os.path.getsize(tmp_path / name) <= 500 for name in os.listdir(tmp_path))


RECORDS = [complete({"host": "web1", "job": job, "outcome": "done", "errors": []}) for job in ("syslog", "auth")]


def test_a_run_is_a_line_of_json(tmp_path):
    path = tmp_path / "log"
    log.deliver(normalise_receiver({"type": "log", "path": str(path)}), Message(RECORDS))
    assert [json.loads(line) for line in lines_of(path)] == RECORDS


def test_a_run_is_readable_text(tmp_path):
    path = tmp_path / "log"
    log.deliver(normalise_receiver({"type": "log", "path": str(path), "format": "plain"}), Message(RECORDS[:1]))
    assert path.read_text().startswith("web1 syslog: done\n")


def test_a_log_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(ReceiverError, match="cannot write .*/log: No such file or directory"):
        log.deliver(normalise_receiver({"type": "log", "path": str(tmp_path / "missing" / "log")}), Message(RECORDS))
