# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Follow a stream in its own process: signals, systemd, two followers; catching up, rejected lines and status."""

from __future__ import annotations

import contextlib
import errno
import gzip
import json
import lzma
import os
import pathlib
import shlex
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import typing as t

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LockedError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower, reading, retry, status
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.pump import Pump
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records import parser
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.base import SinkFullError, SinkUnavailableError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.opening import open_sink
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.sqlite import SqliteSink
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.systemd import Systemd
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.tail import sightings, walk
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.tail.file import File
from rigs.followers import start
from rigs.host import COMMAND, ENGINE_PATH
from rigs.streams import document, given, upload
from rigs.sums import assert_sums_are_those_of_the_rows


def write(path: pathlib.Path, *numbers: int) -> None:
    with open(path, "ab") as file:
        file.write(b"".join(upload(number) + b"\n" for number in numbers))


def sizes(folder: pathlib.Path, name: str = "db.sqlite") -> t.List[int]:
    with contextlib.closing(sqlite3.connect(folder / name)) as connection:
        return [row[0] for row in connection.execute("SELECT size_bytes FROM sftpgo_transfer ORDER BY size_bytes")]


def wait_for_sizes(folder: pathlib.Path, expected: t.List[int], name: str = "db.sqlite") -> None:
    def stored() -> t.List[int]:
        with contextlib.suppress(sqlite3.Error):
            return sizes(folder, name)
        return []

    lab.wait_until(lambda: stored() == expected, lambda: "%d rows are stored" % len(stored()))


def test_a_follower_ends_after_a_commit_and_talks_to_systemd(tmp_path, logs) -> None:
    write(logs / "sftpgo.log", 1, 2)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(lab.patience(60))
        running = start(tmp_path, given(tmp_path), NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="3000000")
        messages = []
        while "WATCHDOG=1" not in messages or "READY=1" not in messages:
            messages.append(manager.recv(4096).decode())
        write(logs / "sftpgo.log", 3)
        (logs / "sftpgo.log").rename(logs / "sftpgo-1.log")
        write(logs / "sftpgo.log", 4)
        wait_for_sizes(tmp_path, [1, 2, 3, 4])
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=lab.patience(60))
        while messages[-1] != "STOPPING=1":
            messages.append(manager.recv(4096).decode())
    assert (running.returncode, err) == (0, "")
    assert json.loads(out)["sinks"][0]["rows"] == 4
    assert any(message.startswith("STATUS=sqlite: ") for message in messages)


def test_a_second_follower_of_the_same_state_is_refused(tmp_path, logs) -> None:
    running = start(tmp_path, given(tmp_path))
    lab.wait_until((tmp_path / "db.sqlite").exists, "the follower made no database")
    try:
        with pytest.raises(
            LockedError, match=r"is followed already: another run holds the lock \(pid \d+.*That process stores the new lines"
        ):
            follower.catch_up(document(tmp_path))
    finally:
        running.kill()
        running.communicate()


def test_two_followers_by_mistake_store_each_line_once(tmp_path, logs) -> None:
    both = [start(tmp_path, given(tmp_path, state=str(tmp_path / name))) for name in ("one", "two")]
    try:
        for number in range(1, 1001):
            write(logs / "sftpgo.log", number)
            if number % 100 == 0:
                (logs / "sftpgo.log").rename(logs / ("sftpgo-%d.log" % number))
                time.sleep(0.05)
        wait_for_sizes(tmp_path, list(range(1, 1001)))
    finally:
        for each in both:
            each.send_signal(signal.SIGTERM)
    for each in both:
        _out, err = each.communicate(timeout=lab.patience(60))
        assert (each.returncode, err) == (0, "")
    assert sizes(tmp_path) == list(range(1, 1001))


def test_two_streams_of_one_folder_share_a_database(tmp_path, logs) -> None:
    write(logs / "sftpgo.log", 1, 2)
    assert follower.catch_up(document(tmp_path))["sinks"][0]["rows"] == 2
    assert follower.catch_up(document(tmp_path, name="second"))["sinks"][0]["rows"] == 2
    assert sizes(tmp_path) == [1, 1, 2, 2]


def test_one_sink_that_fails_does_not_stop_the_other(tmp_path, logs) -> None:
    write(logs / "sftpgo.log", 1)
    sinks = [
        {"type": "sqlite", "name": "bad", "path": str(tmp_path / "missing" / "db.sqlite")},
        {"type": "sqlite", "name": "good", "path": str(tmp_path / "good.sqlite")},
    ]
    result = follower.catch_up(document(tmp_path, sinks=sinks))
    assert [sink["error"] is None for sink in result["sinks"]] == [False, True]
    assert (result["exit_code"], sizes(tmp_path, "good.sqlite")) == (1, [1])


def test_a_sink_that_needs_a_person_is_waited_for_while_the_other_goes_on(tmp_path, logs, monkeypatch) -> None:
    monkeypatch.setattr(follower, "LAST_DELAY", 0.05)
    sinks = [
        {"type": "sqlite", "name": "bad", "path": str(tmp_path / "missing" / "db.sqlite")},
        {"type": "sqlite", "name": "good", "path": str(tmp_path / "good.sqlite")},
    ]
    wanted, stop, states = document(tmp_path, sinks=sinks), threading.Event(), []
    write(logs / "sftpgo.log", 1)
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(lab.patience(60))
    systemd = Systemd({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    running = threading.Thread(target=follower.follow, args=(wanted, stop, systemd), kwargs={"watch": states.append})
    running.start()
    try:
        # The role looks at the status as soon as the service is ready.
        messages = [*iter(lambda: manager.recv(4096).decode(), "READY=1")]
        assert messages[-1].startswith("STATUS=bad is down: %s" % (tmp_path / "missing"))
        wait_for_sizes(tmp_path, [1], "good.sqlite")
        lab.wait_until(lambda: states and states[0]()[0].failed, "the sink is not reported at once")
        write(logs / "sftpgo.log", 2)
        wait_for_sizes(tmp_path, [1, 2], "good.sqlite")
        (tmp_path / "missing").mkdir()
        wait_for_sizes(tmp_path / "missing", [1, 2])
        lab.wait_until(lambda: not states[0]()[0].trouble, "the sink is still reported")
    finally:
        stop.set()
        running.join()
        manager.close()


def test_a_sink_that_can_be_opened_but_not_written_is_reported_once(tmp_path, logs, monkeypatch) -> None:
    monkeypatch.setattr(follower, "FIRST_DELAY", 0.02)
    wanted, stop = document(tmp_path, log=str(tmp_path / "events")), threading.Event()
    write(logs / "sftpgo.log", 1)
    assert follower.catch_up(wanted)["exit_code"] == 0
    commit, failures = SqliteSink.commit, []

    def fail_often(sink, batch, *arguments):
        if batch.rows and len(failures) < 4:
            failures.append(batch)
            raise SinkFullError("the database cannot be written", "db")
        return commit(sink, batch, *arguments)

    monkeypatch.setattr(SqliteSink, "commit", fail_often)
    write(logs / "sftpgo.log", 2)
    told: t.List[str] = []
    running = threading.Thread(target=follower.follow, args=(wanted, stop), kwargs={"tell": told.append})
    running.start()
    try:
        wait_for_sizes(tmp_path, [1, 2])
        lab.wait_until(lambda: "recovered" in (tmp_path / "events").read_text(), "the sink is still reported")
    finally:
        stop.set()
        running.join()
    events = [json.loads(text)["event"] for text in (tmp_path / "events").read_text().splitlines()]
    assert (len(failures), events) == (4, ["follow_started", "sink_failed", "sink_recovered", "follow_stopped"])
    assert told == ["sqlite is down: db: the database cannot be written", "sqlite works again"]


def test_what_is_lost_rejected_or_cannot_be_read_is_told_at_once(tmp_path, logs) -> None:
    write(logs / "sftpgo.log", 1)
    (tmp_path / "file").touch()
    running = start(tmp_path, given(tmp_path, follow={"paths": [str(logs), str(tmp_path / "file")]}))
    live = logs / "sftpgo.log"
    try:
        wait_for_sizes(tmp_path, [1])
        with open(live, "a", encoding="ascii") as log:
            log.write("plain\n" * 3)
        write(live, 2)
        wait_for_sizes(tmp_path, [1, 2])
        with open(live, "a", encoding="ascii") as log:
            log.write("and more\n")
        lab.wait_until(lambda: status.of(document(tmp_path))[0]["rejected"] == 4, "the last line is not rejected yet")
        # A writer that goes on at its old position after a truncation.
        end = live.stat().st_size
        os.truncate(live, 0)
        with open(live, "r+b") as log:
            log.seek(end)
            log.write(upload(3) + b"\n")
        wait_for_sizes(tmp_path, [1, 2, 3])
    finally:
        running.terminate()
        _out, err = running.communicate(timeout=lab.patience(60))
    rejected = "sqlite: rejected a line of %s at offset %d: not_json. Later ones are only counted: see 'log-archive streams'"
    hole = "sqlite: gap in %s at offset 0: zero bytes, left by a writer that went on at its old position after the file was truncated"
    assert err.splitlines() == [
        "log-archive: sqlite: cannot read %s: %s" % (tmp_path / "file", walk.NO_FOLDER),
        "log-archive: " + rejected % (live, len(upload(1)) + 1),
        "log-archive: " + hole % live,
    ]


@pytest.mark.parametrize("kind", ["mariadb", "postgresql", "opensearch"])
def test_a_bundle_that_cannot_be_read_is_named(tmp_path, logs, kind: str) -> None:
    bundle = tmp_path / "ca.pem"
    sink = {"type": kind, "host": "localhost", "ca_bundle": str(bundle)}
    sink.update({"path": str(tmp_path / "box")} if kind == "opensearch" else {"database": "logs", "user": "follower"})
    makes = {
        "No such file or directory": lambda: None,
        "it contains no certificate": lambda: bundle.write_text("nothing"),
        "it is not a regular file": lambda: (bundle.unlink(), os.mkfifo(bundle)),
    }
    for reason, make in makes.items():
        make()
        error = follower.catch_up(document(tmp_path, sinks=[sink]))["sinks"][0]["error"]
        assert error == "%s: the CA certificates cannot be read: %s. Correct the file, or 'ca_bundle'" % (bundle, reason)


def test_rows_without_their_positions_are_named(tmp_path, logs, monkeypatch) -> None:
    monkeypatch.setattr(follower, "LAST_DELAY", 0.05)
    write(logs / "sftpgo.log", 1)
    follower.catch_up(document(tmp_path))
    with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite")) as connection, connection:
        connection.execute("DELETE FROM ingest_generation")
        connection.execute("DELETE FROM ingest_summed")
    error = follower.catch_up(document(tmp_path))["sinks"][0]["error"]
    assert "sftpgo_transfer already has rows beyond the stored position. Rows and positions belong together" in error
    assert sizes(tmp_path) == [1]


def test_two_streams_fill_one_table(tmp_path, logs) -> None:
    """With a key that no other line has, each line is there; with another key, the second one is rejected."""
    write(logs / "sftpgo.log", 1, 1)
    table = "CREATE TABLE logdata (hash TEXT PRIMARY KEY, size INTEGER CHECK (size < 9), level TEXT NOT NULL%s)"
    for name, key, rest, expected in (
        ("by id", "row_id", " DEFAULT 'x'", [(2, 0), (2, 0)]),
        ("by line", "connection_id", " DEFAULT 'x'", [(1, 1), (0, 2)]),
        ("not filled", "row_id", "", ["the column level must have a value, but no line has one. Give it a default"] * 2),
    ):
        path = tmp_path / ("%s.sqlite" % name)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute(table % rest)
        sinks = [{"type": "sqlite", "path": str(path), "table": "logdata", "columns": {"hash": key, "size": "size_bytes"}}]
        for stream, wanted in zip(("first", "second"), expected):
            result = follower.catch_up(document(tmp_path, name=stream, sinks=sinks))["sinks"][0]
            if isinstance(wanted, str):
                assert wanted in (result["error"] or "")
            else:
                assert (result["rows"], result["rejected"], result["error"]) == (*wanted, None), name
    write(logs / "sftpgo.log", 9)
    sinks = [
        {"type": "sqlite", "path": str(tmp_path / "by id.sqlite"), "table": "logdata", "columns": {"hash": "row_id", "size": "size_bytes"}}
    ]
    result = follower.catch_up(document(tmp_path, name="first", sinks=sinks))["sinks"][0]
    assert (result["rows"], result["rejected"], result["error"]) == (0, 1, None)


def test_catching_up_twice_stores_nothing_new(tmp_path, logs) -> None:
    write(logs / "sftpgo.log", 1, 1)
    assert follower.catch_up(document(tmp_path))["sinks"][0]["rows"] == 2
    assert follower.catch_up(document(tmp_path))["sinks"][0]["lines"] == 0
    assert sizes(tmp_path) == [1, 1]


def test_a_clock_that_is_set_back_changes_nothing(tmp_path, logs, monkeypatch) -> None:
    write(logs / "sftpgo.log", 1)
    follower.catch_up(document(tmp_path))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 86400)
    write(logs / "sftpgo.log", 2)
    os.utime(logs / "sftpgo.log", (1, 1))
    follower.catch_up(document(tmp_path))
    (logs / "sftpgo.log").rename(logs / "sftpgo-1.log")
    write(logs / "sftpgo.log", 3)
    follower.catch_up(document(tmp_path))
    assert sizes(tmp_path) == [1, 2, 3]
    assert status.of(document(tmp_path))[0]["gaps"] == 0


def test_rejected_lines_are_stored_once_the_document_is_mended(tmp_path, logs) -> None:
    (logs / "sftpgo.log").write_bytes(upload(1, username="x" * 300) + b"\n" + b"y" * 3000 + b"\n" + b"no json\n" + upload(2) + b"\n")
    changes = {"parse": {"max_line": 2000}}
    result = follower.catch_up(document(tmp_path, **changes))
    assert (result["sinks"][0]["rows"], result["sinks"][0]["rejected"]) == (1, 3)
    assert status.of(document(tmp_path))[0]["exit_code"] == 3
    mended = document(tmp_path, parse={"long_values": "truncate"})
    found = [retry.retry(mended)[0] for _each in range(2)]
    assert [(each["tried"], each["stored"], each["rejected"], each["cut"], each["exit_code"]) for each in found] == [
        (2, 1, 1, 1, 3),
        (1, 0, 1, 1, 3),
    ]
    assert sizes(tmp_path) == [1, 2]


def test_a_rejected_line_has_the_reason_for_which_it_is_rejected_now(tmp_path, logs) -> None:
    (logs / "sftpgo.log").write_bytes(upload(1, username="x" * 300, time="2026-11-03", odd=1) + b"\n")

    def reasons() -> t.List[t.Tuple[str, str, int]]:
        with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite")) as connection:
            return connection.execute("SELECT reason, detail, bytes FROM ingest_rejected WHERE stored_at IS NULL").fetchall()

    follower.catch_up(document(tmp_path))
    (first,) = reasons()
    assert first[0] == "bad_time"
    given_again = retry.retry(document(tmp_path, parse={"time_format": "%Y-%m-%d"}))[0]
    assert (given_again["rejected"], [(each[0], each[2]) for each in reasons()]) == (1, [("long_value", first[2])])
    assert retry.retry(document(tmp_path, parse={"time_format": "%Y-%m-%d", "long_values": "truncate"}))[0]["stored"] == 1
    assert (reasons(), sizes(tmp_path)) == ([], [1])


@pytest.mark.parametrize("lines", [1, 7, retry.LINES])
def test_rejected_lines_that_the_database_refuses_are_found_by_halves(tmp_path, logs, monkeypatch, lines: int) -> None:
    monkeypatch.setattr(retry, "LINES", lines)
    monkeypatch.setattr(parser, "decoder", lambda: json.loads)
    write_long(logs / "sftpgo.log", *range(1, 20), 2**64, *range(20, 40), 2**64 + 1)
    assert follower.catch_up(document(tmp_path))["sinks"][0]["rejected"] == 41
    mended = document(tmp_path, parse={"long_values": "truncate"})
    found = [retry.retry(mended)[0] for _each in range(2)]
    assert [(each["tried"], each["stored"], each["rejected"]) for each in found] == [(41, 39, 2), (2, 0, 2)]
    assert sizes(tmp_path) == list(range(1, 40))
    with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite")) as connection:
        assert connection.execute("SELECT DISTINCT reason FROM ingest_rejected WHERE stored_at IS NULL").fetchall() == [("database",)]
        assert_sums_are_those_of_the_rows(connection.execute)


def write_long(path: pathlib.Path, *numbers: int) -> None:
    """Lines that are rejected unless long values are truncated."""
    with open(path, "ab") as file:
        file.write(b"".join(upload(number, username="x" * 300) + b"\n" for number in numbers))


def test_rejected_lines_that_another_process_stores_meanwhile_are_stored_once(tmp_path, logs, monkeypatch) -> None:
    write_long(logs / "sftpgo.log", *range(1, 11))
    follower.catch_up(document(tmp_path))
    mended = document(tmp_path, parse={"long_values": "truncate"})
    fetch = SqliteSink.rejected
    by_another: t.List[int] = []

    def with_another(sink: SqliteSink, *given: t.Any) -> t.Any:
        page = fetch(sink, *given)
        if page and not by_another:
            by_another.extend(each.rejected.line_offset for each in page[2:6])
            rows = [(each.rejected.line_offset, *parser.LineParser(mended).parse(each.rejected.line)[1]) for each in page[2:6]]
            with contextlib.closing(open_sink(mended["sinks"][0], mended)) as other:
                other.store_rejected(page[0].generation, by_another, {"sftpgo_transfer": rows})
        return page

    monkeypatch.setattr(SqliteSink, "rejected", with_another)
    result = retry.retry(mended)[0]
    assert (len(by_another), result["tried"], result["stored"], result["error"]) == (4, 6, 6, None)
    assert sizes(tmp_path) == list(range(1, 11))
    with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite")) as connection:
        assert_sums_are_those_of_the_rows(connection.execute)


def test_a_rejected_line_that_is_no_record_of_the_mended_profile_is_done(tmp_path, logs) -> None:
    header = b"version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
    (logs / "sftpgo.log").write_bytes(header + b"\n" + b"2 123 eni-1 192.0.2.1 192.0.2.2 1 2 6 10 20 1600000000 1600000060 ACCEPT OK\n")
    assert follower.catch_up(document(tmp_path, parse={"profile": "generic"}))["sinks"][0]["rejected"] == 2
    mended = document(tmp_path, parse={"profile": "vpc_flow", "timezone": "UTC"})
    found = retry.retry(mended)[0]
    assert (found["tried"], found["stored"], found["rejected"], found["error"]) == (2, 1, 0, None)
    assert status.of(mended)[0]["rejected"] == 0


@pytest.mark.parametrize("lines", [1, 8, reading.LINES])
def test_a_value_that_only_the_database_refuses_is_found_by_halves(tmp_path, logs, monkeypatch, lines: int) -> None:
    monkeypatch.setattr(reading, "LINES", lines)
    monkeypatch.setattr(parser, "decoder", lambda: json.loads)
    write(logs / "sftpgo.log", *range(1, 50), 2**64, *range(50, 100))
    result = follower.catch_up(document(tmp_path))
    assert (result["sinks"][0]["rows"], result["sinks"][0]["rejected"]) == (99, 1)
    assert sizes(tmp_path) == list(range(1, 100))
    with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite")) as connection:
        assert_sums_are_those_of_the_rows(connection.execute)


def test_lines_that_are_read_again_are_not_joined_with_a_hole_before_them(tmp_path, logs, monkeypatch) -> None:
    monkeypatch.setattr(parser, "decoder", lambda: json.loads)
    (logs / "sftpgo.log").write_bytes(upload(1) + b"\n")
    assert follower.catch_up(document(tmp_path))["sinks"][0]["rows"] == 1
    with open(logs / "sftpgo.log", "ab") as file:
        file.write(bytes(100))
    write(logs / "sftpgo.log", *range(2, 9), 2**64, 9)
    result = follower.catch_up(document(tmp_path))["sinks"][0]
    assert (result["rows"], result["rejected"]) == (8, 1)
    assert sizes(tmp_path) == list(range(1, 10))


def test_what_was_read_ahead_is_forgotten_when_the_database_fails(tmp_path, logs, monkeypatch) -> None:
    monkeypatch.setattr(reading, "LINES", 8)
    commit, failures = SqliteSink.commit, []

    def fail_twice(sink, batch, meanwhile):
        if len(failures) < 4 and batch.generation.lines >= 24:
            failures.append(batch)
            if len(failures) % 2:
                # The transaction is lost, or only its reply.
                meanwhile()
            else:
                commit(sink, batch, meanwhile)
            raise SinkUnavailableError("no answer", "db")
        return commit(sink, batch, meanwhile)

    monkeypatch.setattr(SqliteSink, "commit", fail_twice)
    write(logs / "sftpgo.log", *range(1, 100))
    result = follower.catch_up(document(tmp_path), sleep=lambda _seconds: None)
    assert (len(failures), result["sinks"][0]["error"]) == (4, None)
    assert sizes(tmp_path) == list(range(1, 100))


def test_a_batch_that_fails_half_way_is_not_stored(tmp_path, logs, monkeypatch) -> None:
    """Its rows are inserted, its sums fail, and the next batch is parsed meanwhile."""
    monkeypatch.setattr(reading, "LINES", 8)
    add, calls = SqliteSink._add_to_sums, []

    def fail_once(sink, table, sums):
        calls.append(table)
        if len(calls) == 3:
            raise SinkUnavailableError("no answer", "db")
        add(sink, table, sums)

    monkeypatch.setattr(SqliteSink, "_add_to_sums", fail_once)
    write(logs / "sftpgo.log", *range(1, 100))
    result = follower.catch_up(document(tmp_path), sleep=lambda _seconds: None)
    assert (result["sinks"][0]["error"], result["sinks"][0]["rows"]) == (None, 99)
    assert sizes(tmp_path) == list(range(1, 100))
    with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite")) as connection:
        assert_sums_are_those_of_the_rows(connection.execute)


def test_an_error_of_the_thread_that_parses_ends_the_call_and_loses_nothing(tmp_path, logs, monkeypatch) -> None:
    monkeypatch.setattr(reading, "LINES", 8)
    parse, calls = parser.LineParser.parse_lines, []

    def fail_once(lines_parser, lines):
        calls.append(threading.current_thread())
        if len(calls) == 4:
            raise MemoryError
        return parse(lines_parser, lines)

    monkeypatch.setattr(parser.LineParser, "parse_lines", fail_once)
    write(logs / "sftpgo.log", *range(1, 100))
    with pytest.raises(MemoryError):
        follower.catch_up(document(tmp_path))
    assert threading.current_thread() is not calls[3]
    assert sizes(tmp_path) == list(range(1, 25))
    assert follower.catch_up(document(tmp_path))["sinks"][0]["rows"] == 75
    assert sizes(tmp_path) == list(range(1, 100))


def test_the_status_names_an_altered_table_while_another_process_writes(tmp_path, logs) -> None:
    (logs / "sftpgo.log").write_bytes(upload(1) + b"\n")
    wanted = document(tmp_path)
    assert follower.catch_up(wanted)["exit_code"] == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite", isolation_level=None)) as other:
        other.execute("ALTER TABLE sftpgo_transfer RENAME COLUMN username TO name")
        other.execute("BEGIN IMMEDIATE")
        row = status.of(wanted)[0]
    assert "has no column named username" in row["error"]
    assert row["exit_code"] == 1


def test_the_status_of_a_stream(tmp_path, logs) -> None:
    wanted = document(tmp_path, follow={"backups": 2})
    first = status.of(wanted)[0]
    assert (first["state"], first["exit_code"]) == ("nothing was stored yet: no file name matches 'patterns' or 'rotated'", 1)
    absent = status.of(document(tmp_path, follow={"paths": [str(logs), "/nowhere"]}))[0]
    assert (absent["state"], absent["exit_code"]) == ("nothing was stored yet: the folder /nowhere does not exist", 1)
    (logs / "sftpgo.log").touch()
    assert status.of(wanted)[0]["state"] == "nothing was stored yet: the files contain no complete line"
    (logs / "sftpgo.log").unlink()
    assert not (tmp_path / "db.sqlite").exists()
    write(logs / "sftpgo.log", 1)
    follower.catch_up(wanted)
    row = status.of(wanted)[0]
    assert (row["state"], row["exit_code"], row["lines"], row["lag_bytes"], row["rotations_left"]) == ("fine", 0, 1, 0, 2)
    (logs / "sftpgo.log").rename(logs / "sftpgo-1.log")
    write(logs / "sftpgo-1.log", 2)
    write(logs / "sftpgo.log", 3)
    row = status.of(wanted)[0]
    assert (row["lag_bytes"], row["rotations_left"], row["files"]) == (2 * len(upload(2)) + 2, 1, 2)
    (logs / "sftpgo.log").rename(logs / "sftpgo-2.log")
    os.utime(logs / "sftpgo-1.log", (1, 1))
    row = status.of(wanted)[0]
    assert (row["rotations_left"], row["exit_code"]) == (0, 1)
    assert len(sizes(tmp_path)) == 1


def test_a_lost_file_is_a_gap_with_its_bytes(tmp_path, logs) -> None:
    write(logs / "sftpgo.log", 1, 2)
    pump = Pump(document(tmp_path), document(tmp_path)["sinks"][0])
    with contextlib.closing(pump):
        pump.look()
    (logs / "sftpgo.log").unlink()
    result = follower.catch_up(document(tmp_path), sleep=lambda _seconds: None)
    assert (result["sinks"][0]["gaps"], result["sinks"][0]["gap_bytes"]) == (1, 2 * len(upload(1)) + 2)
    write(logs / "sftpgo.log", 3)
    follower.catch_up(document(tmp_path))
    row = status.of(document(tmp_path))[0]
    assert (row["state"], row["exit_code"]) == ("the source lost lines, last noticed at %s" % row["gap_at"], 3)
    row = status.of(document(tmp_path), now=time.time() + status.RECENT_GAP)[0]
    assert (row["state"], row["exit_code"]) == ("fine; the source lost lines, last noticed at %s" % row["gap_at"], 0)


def test_gaps_and_rejected_lines_that_are_accepted_are_no_problem_any_more(tmp_path, logs) -> None:
    wanted = document(tmp_path, log=str(tmp_path / "events.jsonl"))

    def lose(number: int) -> None:
        write(logs / "sftpgo.log", number)
        with contextlib.closing(Pump(wanted, wanted["sinks"][0])) as pump:
            pump.look()
        (logs / "sftpgo.log").unlink()
        follower.catch_up(wanted, sleep=lambda _seconds: None)

    def found() -> t.Tuple[int, int, int, int, str]:
        row = status.of(wanted)[0]
        return row["rejected"], row["accepted"], row["gaps"], row["exit_code"], row["state"].partition(",")[0]

    lose(1)
    (logs / "sftpgo.log").write_bytes(b"no json\n" + upload(2, username="x" * 300) + b"\n")
    follower.catch_up(wanted)
    assert found() == (2, 0, 1, 3, "the source lost lines")
    status.accept(wanted)
    assert found() == (0, 2, 1, 0, "fine; the source lost lines")
    with open(logs / "sftpgo.log", "ab") as file:
        file.write(b"nor this\n")
    follower.catch_up(wanted)
    assert found() == (1, 2, 1, 3, "lines were rejected")
    # Also what is accepted is tried again.
    assert retry.retry(document(tmp_path, parse={"long_values": "truncate"}))[0]["tried"] == 3
    assert found() == (1, 1, 1, 3, "lines were rejected")
    status.accept(wanted)
    assert found()[:4] == (0, 2, 1, 0)
    (logs / "sftpgo.log").unlink()
    lose(3)
    assert found() == (0, 2, 3, 3, "the source lost lines")
    events = [json.loads(each) for each in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [(each["rejected"], each["gaps"]) for each in events if each["event"] == "losses_accepted"] == [(2, 1), (2, 1)]
    # A damaged file accepts nothing.
    (tmp_path / "state" / "sftpgo.stream.accepted.json").write_text("{")
    assert found()[:2] == (2, 0)


def unless(down: t.List[bool]) -> t.Callable[..., t.Any]:
    """``open_sink`` of a sink that is down as long as there is anything in the list."""

    def opened(*arguments: t.Any) -> t.Any:
        if down:
            raise SinkUnavailableError("no answer", "db")
        return open_sink(*arguments)

    return opened


def catch_up_with(pumped: Pump) -> None:
    """Store all that there is, also what becomes known by a few looks."""
    for _look in range(5):
        pumped.look()
        while pumped.step():
            pass


def test_a_file_that_came_and_went_while_the_sink_was_down_is_a_gap(tmp_path, logs) -> None:
    wanted, down = document(tmp_path), []

    live, lost = logs / "sftpgo.log", b"".join(upload(number) + b"\n" for number in (2, 3))
    with contextlib.closing(Pump(wanted, wanted["sinks"][0], open_sink=unless(down))) as pumped:
        write(live, 1)
        live.rename(logs / "sftpgo-0.log")
        write(live, 10)
        catch_up_with(pumped)
        down.append(True)
        pumped.close()
        # The sink knows this file, and not how large it became.
        write(live, 11, 12)
        pumped.watch()
        live.rename(logs / "sftpgo-10.log")
        pumped.watch()
        (logs / "sftpgo-10.log").unlink()
        for number, lines in enumerate(((2, 3), (4,)), 1):
            write(live, *lines)
            pumped.watch()
            live.rename(logs / ("sftpgo-%d.log" % number))
            pumped.watch()
        (logs / "sftpgo-1.log").unlink()
        write(live, 5)
        with pytest.raises(SinkUnavailableError):
            pumped.look()
        pumped.watch()
        for _outage in range(2):
            down.clear()
            catch_up_with(pumped)
            pumped.close()
            pumped.watch()
    assert sizes(tmp_path) == [1, 4, 5, 10]
    with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as sink:
        found = sink.select("SELECT path, line_offset, bytes, kind FROM ingest_gap JOIN ingest_generation ON id = generation")
    read, unread = (sum(len(upload(number)) + 1 for number in numbers) for numbers in ((10,), (11, 12)))
    assert sorted(found) == [(str(logs / "sftpgo-1.log"), 0, len(lost), "removed"), (str(live), read, unread, "removed")]


def test_very_many_files_that_came_and_went_while_the_sink_was_down_are_one_gap(tmp_path, logs, monkeypatch) -> None:
    monkeypatch.setattr(sightings, "MOST", 3)
    wanted, down = document(tmp_path), []

    with contextlib.closing(Pump(wanted, wanted["sinks"][0], open_sink=unless(down))) as pumped:
        for number in range(5):
            write(logs / ("sftpgo-%d.log" % number), number)
        catch_up_with(pumped)
        lost, kept = [], []
        for _outage in range(2):
            down.append(True)
            pumped.close()
            pumped.watch()
            # What the sink knows is not lost.
            (logs / ("sftpgo-%d.log" % len(lost))).unlink(missing_ok=True)
            for number in range(10 + 10 * _outage, 18 + 10 * _outage):
                path = logs / ("sftpgo-%d.log" % number)
                write(path, number)
                pumped.watch()
                if number % 4:
                    lost.append(path.stat().st_size)
                    path.unlink()
                elif number % 8:
                    kept.append(number)
                else:
                    kept.append(number)
                    (logs / (path.name + ".gz")).write_bytes(gzip.compress(path.read_bytes()))
                    path.unlink()
                pumped.watch()
            down.clear()
            catch_up_with(pumped)
            catch_up_with(pumped)
    assert sizes(tmp_path) == [*range(5), *kept]
    with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as sink:
        found = sink.select("SELECT path, bytes, kind FROM ingest_gap JOIN ingest_generation ON id = generation ORDER BY id")
    assert sum(row[1] for row in found) == sum(lost)
    assert {row[2] for row in found} == {"removed"}
    assert sum("more files" in row[0] for row in found) == 2


def test_a_glance_finds_lines_and_leaves_all_else_to_a_look(tmp_path, logs) -> None:
    write(logs / "sftpgo.log", 1)
    with contextlib.closing(Pump(document(tmp_path), document(tmp_path)["sinks"][0])) as pump:
        pump.glance()
        pump.look()
        assert (pump.step(), pump.step()) == (True, False)
        write(logs / "sftpgo.log", 2)
        assert not pump.step()
        pump.glance()
        assert (pump.step(), pump.step()) == (True, False)
        # A rotation and a new file, then a truncation.
        (logs / "sftpgo.log").rename(logs / "sftpgo-1.log")
        write(logs / "sftpgo-1.log", 3)
        write(logs / "sftpgo.log", 4)
        pump.glance()
        assert (pump.step(), pump.step()) == (True, False)
        assert sizes(tmp_path) == [1, 2, 3]
        pump.look()
        assert (pump.step(), sizes(tmp_path)) == (True, [1, 2, 3, 4])
        os.truncate(logs / "sftpgo.log", 0)
        pump.glance()
        assert not pump.step()
        write(logs / "sftpgo.log", 5)
        pump.glance()
        pump.look()
        while pump.step():
            pass
    assert sizes(tmp_path) == [1, 2, 3, 4, 5]


def test_what_cannot_be_read_is_a_warning(tmp_path, logs) -> None:
    write(logs / "sftpgo.log", 1)
    (tmp_path / "file").touch()
    wanted = document(tmp_path, follow={"paths": [str(logs), str(tmp_path / "file")]})
    result = follower.catch_up(wanted)
    assert (result["sinks"][0]["rows"], result["exit_code"]) == (1, 3)
    assert result["warnings"] == ["%s: %s" % (tmp_path / "file", walk.NO_FOLDER)]


@pytest.mark.parametrize("moment", ["check", "read", "identify"])
def test_a_disk_that_fails_for_a_while_is_a_warning_and_loses_nothing(tmp_path, logs, monkeypatch, moment: str) -> None:
    write(logs / "sftpgo.log", 1, 2)
    write(logs / "sftpgo-1.log", 3)
    wanted, pread = document(tmp_path), os.pread
    inode = (logs / "sftpgo.log").stat().st_ino

    def failing(fd: int, *given: int) -> bytes:
        if os.fstat(fd).st_ino == inode:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return pread(fd, *given)

    with contextlib.closing(Pump(wanted, wanted["sinks"][0])) as pump:
        if moment != "identify":
            pump.look()
        if moment == "check":
            while pump.step():
                pass
            write(logs / "sftpgo.log", 4)
        monkeypatch.setattr(os, "pread", failing)
        for _look in range(5):
            if moment != "read":
                pump.look()
            while pump.step():
                pass
            assert pump.problems == {str(logs / "sftpgo.log"): "Input/output error"}
        assert sizes(tmp_path) == ([1, 2, 3] if moment == "check" else [3])
        monkeypatch.setattr(os, "pread", pread)
        pump.look()
        while pump.step():
            pass
        assert (pump.problems, pump.counts.gaps) == ({}, 0)
    assert sizes(tmp_path) == ([1, 2, 3, 4] if moment == "check" else [1, 2, 3])


def test_a_compressed_file_of_another_kind_is_a_warning_and_hides_no_loss(tmp_path, logs) -> None:
    wanted = document(tmp_path, follow={"rotated": ["sftpgo-*"]})
    write(logs / "sftpgo-1.log", 1)
    with contextlib.closing(Pump(wanted, wanted["sinks"][0])) as pump:
        pump.look()
    (logs / "sftpgo-1.log").unlink()
    (logs / "sftpgo-1.log.xz").write_bytes(lzma.compress(upload(1) + b"\n"))
    result = follower.catch_up(wanted, sleep=lambda _seconds: None)
    assert (result["sinks"][0]["lines"], result["sinks"][0]["gap_bytes"], result["exit_code"]) == (0, len(upload(1)) + 1, 3)
    (warning,) = result["warnings"]
    assert warning.startswith("%s: compressed with xz, which is not supported" % (logs / "sftpgo-1.log.xz"))
    # With the usual pattern such files do not belong to the stream.
    assert follower.catch_up(document(tmp_path))["warnings"] == []


def test_the_work_for_a_file_does_not_grow_with_the_number_of_files(tmp_path, logs, monkeypatch) -> None:
    calls, unread = [0], File.unread.fget
    assert unread is not None

    def counted(file: File) -> int:
        calls[0] += 1
        return unread(file)

    monkeypatch.setattr(File, "unread", property(counted))
    for number in range(200):
        write(logs / ("sftpgo-%03d.log" % number), number)
    assert follower.catch_up(document(tmp_path))["sinks"][0]["rows"] == 200
    assert calls[0] < 200 * 20


def test_more_files_than_a_process_may_usually_open(tmp_path, logs) -> None:
    for number in range(80):
        write(logs / ("sftpgo-%02d.log" % number), number)
    path = tmp_path / "sftpgo.json"
    path.write_text(json.dumps(given(tmp_path)))
    for command in ("ingest", "streams"):
        call = "ulimit -S -n 64; exec %s" % shlex.join([*COMMAND, command, str(path)])
        done = subprocess.run(
            ["bash", "-c", call], env=dict(os.environ, PYTHONPATH=ENGINE_PATH), capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert sizes(tmp_path) == list(range(80))


@pytest.mark.parametrize(
    ("kind", "reason"), [("pipe", "not a regular file but a named pipe"), ("link", "a symbolic link, which is never followed")]
)
def test_what_replaces_a_log_is_a_warning_and_the_log_is_read_to_its_end(tmp_path, logs, kind: str, reason: str) -> None:
    write(logs / "sftpgo.log", 1)
    wanted = document(tmp_path)
    with contextlib.closing(Pump(wanted, wanted["sinks"][0])) as following:
        following.look()
        write(logs / "sftpgo.log", 2)
        (logs / "sftpgo.log").rename(tmp_path / "away")
        os.mkfifo(logs / "sftpgo.log") if kind == "pipe" else (logs / "sftpgo.log").symlink_to(tmp_path / "away")
        following.look()
        while following.step():
            pass
        assert (sizes(tmp_path), following.problems) == ([1, 2], {str(logs / "sftpgo.log"): reason})


def test_a_folder_with_a_followed_name_is_looked_into(tmp_path, logs) -> None:
    (logs / "sub").mkdir()
    write(logs / "sub" / "any", 1)
    wanted = document(tmp_path, follow={"patterns": ["*"], "rotated": [], "recurse": True})
    assert follower.catch_up(wanted)["sinks"][0]["rows"] == 1


def test_a_compressed_file_without_a_line_is_a_warning_and_hides_no_loss(tmp_path, logs) -> None:
    clock = [0.0]
    write(logs / "sftpgo.log", 1)
    (logs / "sftpgo-1.log.gz").write_bytes(b"this is not compressed")
    wanted = document(tmp_path)
    with contextlib.closing(Pump(wanted, wanted["sinks"][0], lambda: clock[0])) as following:
        following.look()
        (logs / "sftpgo.log").unlink()
        for clock[0] in (0.0, 70.0, 140.0, 210.0, 280.0):
            following.look()
            while following.step():
                pass
        assert following.problems == {str(logs / "sftpgo-1.log.gz"): "no line of it can be decompressed: its content is damaged"}
        assert following.counts.lines == 1
        assert not following.pause(1), "the file that was removed is given up"


def test_one_call_takes_the_rest_of_files_that_were_left_alone_for_long(tmp_path, logs, monkeypatch) -> None:
    """Cron's ``ingest`` does not wait for a minute. A date in the future proves nothing, and a later change is not lost."""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    damaged = gzip.compress(b"".join(upload(number) + b"\n" for number in range(1, 4)))[:-4]
    for name, content, age in (
        ("sftpgo-1.log", upload(11) + b"\n" + upload(12), 90),
        ("sftpgo-2.log", upload(13), 90),
        ("sftpgo-3.log.gz", damaged, 90),
        ("sftpgo-4.log", upload(21) + b"\n" + upload(22), 30),
        ("sftpgo-5.log", upload(23) + b"\n" + upload(24), -90),
        ("sftpgo.log", upload(31) + b"\n" + upload(32), 90),
    ):
        (logs / name).write_bytes(content)
        os.utime(logs / name, (now - age, now - age))
    first = follower.catch_up(document(tmp_path))
    assert sizes(tmp_path) == [1, 2, 3, 11, 12, 13, 21, 23, 31]
    assert (first["sinks"][0]["gaps"], first["warnings"]) == (1, [])
    write(logs / "sftpgo-1.log", 14)
    write(logs / "sftpgo-4.log", 25)
    # What was taken at its end is one line, and what was left is one with what follows.
    result = follower.catch_up(document(tmp_path))["sinks"][0]
    assert (result["rows"], result["rejected"], result["gaps"]) == (1, 1, 0)
    assert sizes(tmp_path) == [1, 2, 3, 11, 12, 13, 14, 21, 23, 31]


def test_without_systemd_and_with_a_watchdog_of_another_process_nothing_happens() -> None:
    quiet = Systemd({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"})
    assert quiet.watchdog is None
    quiet.ready()
    Systemd({"NOTIFY_SOCKET": "/nobody/listens"}).ready()
