# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two processes store a backlog in turns: each line once, in order, whatever becomes of one of them and of the database."""

from __future__ import annotations

import contextlib
import os
import pathlib
import resource
import signal
import sqlite3
import typing as t

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower, helper as helper_module, turns
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.helper import Helper, HelperError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.pump import Pump
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.sqlite import SqliteSink
from rigs.streams import document, upload
from rigs.sums import assert_sums_are_those_of_the_rows
from rigs.turns import InTurns

MOST = 1200
"""Lines of a backlog: about five turns of each process."""


@pytest.fixture
def in_turns(monkeypatch) -> InTurns:
    return InTurns(monkeypatch)


def write(path: pathlib.Path, *numbers: int) -> None:
    with open(path, "ab") as file:
        file.write(b"".join(upload(number) + b"\n" for number in numbers))


def assert_stored_once(folder: pathlib.Path, count: int = MOST) -> None:
    """Each number up to ``count`` is one row, in the order of the lines of its file, and the sums are those of the rows."""
    with contextlib.closing(sqlite3.connect(folder / "db.sqlite")) as connection:
        found = [row[0] for row in connection.execute("SELECT size_bytes FROM sftpgo_transfer ORDER BY generation, line_offset")]
        assert sorted(found) == list(range(1, count + 1))
        assert_sums_are_those_of_the_rows(connection.execute)


def test_both_processes_store_about_half_of_a_backlog(tmp_path, logs, in_turns) -> None:
    """Also if no file may be large, which holds for the lines in memory, too."""
    write(logs / "sftpgo.log", *range(1, MOST + 1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 20, hard))
    try:
        result = in_turns.catch_up(document(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (result["rows"], result["lines"], result["error"], in_turns.reasons) == (MOST, MOST, None, [])
    assert (len(in_turns.helpers), 400 <= sum(stored.rows for stored in in_turns.stored) <= 800) == (1, True)
    assert_stored_once(tmp_path)


def test_a_batch_that_ends_with_its_file_does_not_end_the_turns(tmp_path, logs, in_turns) -> None:
    for number in range(6):
        write(logs / ("sftpgo-%d.log" % number), *range(200 * number + 1, 200 * (number + 1) + 1))
    result = in_turns.catch_up(document(tmp_path))
    assert (result["rows"], len(in_turns.helpers), in_turns.reasons) == (MOST, 1, [])
    assert sum(stored.rows for stored in in_turns.stored) >= 400
    assert_stored_once(tmp_path)


def test_lines_that_the_other_process_rejects_and_gaps_are_counted_and_logged(tmp_path, logs, in_turns, monkeypatch) -> None:
    logged: t.List[t.Any] = []
    stored = follower.SinkLog.stored
    monkeypatch.setattr(follower.SinkLog, "stored", lambda log, each: (logged.append(each), stored(log, each)))
    with open(logs / "sftpgo.log", "ab") as file:
        for number in range(1, MOST + 1):
            file.write(upload(number) + b"\n" + (b"no json\n" + bytes(3000) + b"x" * 3000 + b"\n" if number % 100 == 0 else b""))
    result = in_turns.catch_up(document(tmp_path, parse={"max_line": "2 KiB"}))
    assert (result["rows"], result["rejected"], result["gaps"], result["error"]) == (MOST, 24, 12, None)
    theirs = [each for each in in_turns.stored if each.rejected]
    assert theirs and all(each in logged for each in theirs)
    assert {gap.kind for each in theirs for gap in each.gaps} == {"hole"}
    assert {t.cast(t.Any, each.first_rejected)[1] for each in theirs} <= {"not_json", "too_long"}
    with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite")) as connection:
        kinds = connection.execute("SELECT reason, COUNT(*), MIN(bytes) FROM ingest_rejected GROUP BY reason ORDER BY reason").fetchall()
    assert kinds == [("not_json", 12, 7), ("too_long", 12, 3000)]
    assert_stored_once(tmp_path)


@pytest.mark.parametrize("moment", ["send", "store", "receive"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_another_process_that_is_lost_costs_no_line(tmp_path, logs, in_turns, monkeypatch, moment: str, how: int) -> None:
    """It dies or hangs before it parses, when it is to store, or behind its commit."""
    call, calls = getattr(turns.Helper, moment), []

    def lose(helper: Helper, *given: t.Any) -> t.Any:
        calls.append(given)
        if len(calls) == 3:
            if moment == "receive":
                lab.wait_until(lambda: helper_module.select.select([helper._output], [], [], 0)[0], "it does not answer")
            helper._process.send_signal(how)
            monkeypatch.setattr(helper_module, "PATIENCE", 0.1)
            monkeypatch.setattr(turns, "PATIENCE", 0.1)
        return call(helper, *given)

    monkeypatch.setattr(turns.Helper, moment, lose)
    write(logs / "sftpgo.log", *range(1, MOST + 1))
    result = in_turns.catch_up(document(tmp_path))
    assert result["error"] is None
    assert_stored_once(tmp_path)
    if moment != "receive":
        # An answer that is on its way is read nevertheless; the next turn fails.
        assert len(in_turns.reasons) == 1
        assert ("status -9" if how == signal.SIGKILL else "no answer within") in in_turns.reasons[0]
        # It may have stored a batch, and not have answered.
        assert result["rows"] in (MOST, MOST - 120)


def test_a_process_that_is_lost_with_its_answer_is_the_case_of_a_lost_reply(tmp_path, logs, in_turns, monkeypatch) -> None:
    calls: t.List[t.Any] = []
    read = Helper._read

    def lose(helper: Helper, length: int, patience: float) -> bytearray:
        found = read(helper, length, patience)
        if length == helper_module.LENGTH.size:
            calls.append(length)
            if len(calls) == 4:
                raise EOFError
        return found

    monkeypatch.setattr(Helper, "_read", lose)
    write(logs / "sftpgo.log", *range(1, MOST + 1))
    result = in_turns.catch_up(document(tmp_path))
    assert (result["error"], len(in_turns.reasons), result["rows"]) == (None, 1, MOST - 120)
    assert_stored_once(tmp_path)


def test_another_follower_that_stores_the_batch_of_the_other_process_first(tmp_path, logs, in_turns, monkeypatch) -> None:
    wanted, store, calls = document(tmp_path), turns.Helper.store, []

    def be_late(helper: Helper) -> None:
        calls.append(helper)
        if len(calls) == 2:
            with contextlib.closing(Pump(wanted, wanted["sinks"][0])) as second:
                second._alone = True
                second.look()
                second.step()
        store(helper)

    monkeypatch.setattr(turns.Helper, "store", be_late)
    write(logs / "sftpgo.log", *range(1, MOST + 1))
    result = in_turns.catch_up(wanted)
    assert (result["error"], in_turns.reasons, result["rows"]) == (None, [], MOST - 120)
    # After a conflict the position is read again, and the turns begin again.
    assert len(in_turns.helpers) == 2
    assert_stored_once(tmp_path)


def test_a_row_that_the_database_refuses_to_the_other_process_is_found_without_it(tmp_path, logs, in_turns) -> None:
    wanted = document(tmp_path)
    follower.catch_up(wanted)
    with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite")) as connection:
        connection.execute(
            "CREATE TRIGGER odd BEFORE INSERT ON sftpgo_transfer WHEN NEW.size_bytes = 250 BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    write(logs / "sftpgo.log", *range(1, MOST + 1))
    result = in_turns.catch_up(wanted)
    assert (result["rows"], result["rejected"], result["error"], in_turns.reasons) == (MOST - 1, 1, None, [])


def test_what_the_other_process_meets_is_reported_and_the_rest_is_stored_later(tmp_path, logs, in_turns, monkeypatch) -> None:
    """A table is gone as it stores its second batch."""
    wanted, store, calls = document(tmp_path), turns.Helper.store, []
    with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite", isolation_level=None, timeout=60)) as connection:

        def lose_the_table(helper: Helper) -> None:
            calls.append(helper)
            if len(calls) == 2:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                connection.execute("ALTER TABLE sftpgo_transfer RENAME TO away")
            store(helper)

        monkeypatch.setattr(turns.Helper, "store", lose_the_table)
        write(logs / "sftpgo.log", *range(1, MOST + 1))
        result = in_turns.catch_up(wanted)
        assert "no such table: sftpgo_transfer" in result["error"]
        assert in_turns.reasons == []
        connection.execute("ALTER TABLE away RENAME TO sftpgo_transfer")
    again = in_turns.catch_up(wanted)
    assert (again["error"], result["rows"] + again["rows"]) == (None, MOST)
    assert_stored_once(tmp_path)


def test_a_look_in_the_middle_of_the_turns_stores_what_was_read(tmp_path, logs, in_turns) -> None:
    wanted = document(tmp_path)
    write(logs / "sftpgo.log", *range(1, MOST + 1))
    with contextlib.closing(Pump(wanted, wanted["sinks"][0])) as pump:
        pump.look()
        for _each in range(4):
            assert pump.step()
        (logs / "sftpgo.log").rename(logs / "sftpgo-1.log")
        write(logs / "sftpgo.log", *range(MOST + 1, MOST + 301))
        pump.look()
        while pump.step():
            pass
        assert pump.counts.rows == MOST + 300
    assert_stored_once(tmp_path, MOST + 300)


def test_a_pump_that_is_closed_while_the_other_process_stores_counts_that(tmp_path, logs, in_turns) -> None:
    wanted = document(tmp_path)
    write(logs / "sftpgo.log", *range(1, MOST + 1))
    with contextlib.closing(Pump(wanted, wanted["sinks"][0])) as pump:
        pump.look()
        pump.step()
        pump.step()
        assert pump.counts.rows == 2 * 120
    assert pump.counts.rows == 3 * 120
    with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite")) as connection:
        assert connection.execute("SELECT COUNT(*) FROM sftpgo_transfer").fetchall() == [(3 * 120,)]
    in_turns.catch_up(wanted)
    assert_stored_once(tmp_path)


def test_the_other_process_ends_with_this_one(tmp_path, logs) -> None:
    """What stops a service gets to both processes: only the end of its input ends the other one, which has stored nothing then."""
    wanted = document(tmp_path)
    write(logs / "sftpgo.log", 1)
    with contextlib.closing(Pump(wanted, wanted["sinks"][0])) as pump:
        pump.look()
        helper = Helper(wanted, wanted["sinks"][0])
        try:
            lab.wait_until(lambda: helper.is_ready, "the other process does not start")
            helper._process.send_signal(signal.SIGTERM)
            helper._process.send_signal(signal.SIGINT)
            read = t.cast(t.Any, pump)._reader.read(t.cast(t.Any, pump)._tracker)
            helper.send(read)
            t.cast(t.Any, helper._process.stdin).close()
            assert helper._process.wait(lab.patience(60)) == 0
        finally:
            helper.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite")) as connection:
        assert connection.execute("SELECT COUNT(*) FROM sftpgo_transfer").fetchall() == [(0,)]


def test_another_process_that_cannot_open_the_database_says_so(tmp_path, logs) -> None:
    wanted = document(tmp_path)
    (tmp_path / "db.sqlite").mkdir()
    helper = Helper(wanted, wanted["sinks"][0])
    with contextlib.closing(helper), pytest.raises(HelperError, match="it failed: .*db.sqlite"):
        lab.wait_until(lambda: helper.is_ready, "the other process does not start")


def test_lines_for_which_no_memory_is_left_are_stored_without_the_other_process(tmp_path, logs, in_turns, monkeypatch) -> None:
    write_at, calls = os.pwrite, []

    def write_less(fd: int, data: bytes, at: int) -> int:
        calls.append(at)
        return write_at(fd, data[:-1] if len(calls) == 2 else data, at)

    monkeypatch.setattr(os, "pwrite", write_less)
    write(logs / "sftpgo.log", *range(1, MOST + 1))
    result = in_turns.catch_up(document(tmp_path))
    assert (result["rows"], result["error"], in_turns.reasons) == (MOST, None, ["no memory is left for the lines"])
    assert_stored_once(tmp_path)


def test_another_process_that_cannot_be_sent_the_document_is_ended(tmp_path, monkeypatch) -> None:
    started: t.List[t.Any] = []

    def refuse(helper: Helper, _message: t.Any) -> None:
        started.append(helper._process)
        raise HelperError("the pipe is broken")

    monkeypatch.setattr(Helper, "_send", refuse)
    wanted = document(tmp_path)
    with pytest.raises(HelperError, match="the pipe is broken"):
        Helper(wanted, wanted["sinks"][0])
    assert [process.returncode for process in started] == [-signal.SIGKILL]


def test_one_processor_is_not_shared_by_two_processes(tmp_path, logs, in_turns, monkeypatch) -> None:
    monkeypatch.setattr(turns.os, "sched_getaffinity", lambda _process: {0})
    write(logs / "sftpgo.log", *range(1, MOST + 1))
    assert in_turns.catch_up(document(tmp_path))["rows"] == MOST
    assert in_turns.helpers == []
    assert_stored_once(tmp_path)


def test_a_sink_without_turns_gets_no_second_process(tmp_path, logs, in_turns, monkeypatch) -> None:
    monkeypatch.setattr(SqliteSink, "has_turns", False)
    write(logs / "sftpgo.log", *range(1, MOST + 1))
    assert in_turns.catch_up(document(tmp_path))["rows"] == MOST
    assert in_turns.helpers == []
