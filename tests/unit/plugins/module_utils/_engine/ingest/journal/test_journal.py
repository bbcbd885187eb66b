# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Follow units of a real journal: each entry once, through kills, boots and new numberings; what the journal removed is a gap."""

from __future__ import annotations

import contextlib
import io
import json
import pathlib
import random
import sqlite3
import struct
import subprocess
import time
import typing as t

import lab
import pytest
import rigs.journal
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower, status
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.journal import export, tracker
from rigs.followers import start
from rigs.journal import Journal, spoil, truncate
from rigs.streams import document, given, upload


@pytest.fixture
def journal(tmp_path: pathlib.Path) -> Journal:
    return Journal(tmp_path / "journal")


def wanted(folder: pathlib.Path, checked: bool = True, parse: t.Any = None, **changes: t.Any) -> t.Any:
    """The stream that follows the unit sftpgo of the journal in the folder. changes: to ``follow.journal``."""
    options = {"units": ["sftpgo"], "directory": str(folder / "journal"), **changes}
    follow = {"paths": None, "patterns": None, "rotated": None, "journal": options}
    return (document if checked else given)(folder, follow=follow, parse=parse or {})


def ingest(folder: pathlib.Path, **changes: t.Any) -> t.Dict[str, t.Any]:
    return follower.catch_up(wanted(folder, **changes), sleep=time.sleep)["sinks"][0]


def rows(folder: pathlib.Path, statement: str = "SELECT size_bytes FROM sftpgo_transfer ORDER BY size_bytes") -> t.List[t.Any]:
    with contextlib.closing(sqlite3.connect(folder / "db.sqlite")) as connection:
        return connection.execute(statement).fetchall()


def sizes(folder: pathlib.Path) -> t.List[int]:
    with contextlib.suppress(sqlite3.OperationalError):
        return [row[0] for row in rows(folder)]
    # A follower has not made the tables yet.
    return []


def test_entries_of_the_unit_are_stored_once_and_equal_ones_are_two_rows(tmp_path, journal) -> None:
    journal.write(upload(1), upload(2), upload(2))
    journal.write("not of this unit", unit="cron.service")
    assert ingest(tmp_path)["rows"] == 3
    assert ingest(tmp_path)["lines"] == 0
    (row,) = status.of(wanted(tmp_path))
    # The position has moved over the entry of the other unit.
    assert (row["position"], row["lag_bytes"], row["state"]) == ([{"path": "journal: sftpgo", "offset": 5, "size": 5}], 0, "fine")
    journal.reboot()
    journal.write(upload(3), file="system.journal")
    (row,) = status.of(wanted(tmp_path))
    assert row["lag_bytes"] == len(upload(3)) and row["lag_seconds"] >= 0
    assert ingest(tmp_path)["rows"] == 1
    assert sizes(tmp_path) == [1, 2, 2, 3] and status.of(wanted(tmp_path))[0]["gaps"] == 0


def test_messages_that_are_no_json_no_text_or_too_long_are_rejected(tmp_path, journal) -> None:
    long = b"{" + b" " * 5000 + b"}"
    journal.write(b"\xff\x00\n", b"plain", b'{\n"a": 1}', long, upload(1))
    found = ingest(tmp_path, parse={"max_line": 2000})
    assert (found["rows"], found["rejected"]) == (1, 4)
    rejected = rows(tmp_path, "SELECT line_offset, reason, bytes, length(line) FROM ingest_rejected ORDER BY line_offset")
    assert [row[:2] for row in rejected] == [(1, "not_utf8"), (2, "not_json"), (3, "bad_time"), (4, "too_long")]
    assert rejected[3][2:] == (len(long), 2000)


def test_a_line_can_be_the_whole_entry(tmp_path, journal) -> None:
    fields = {"PRIORITY": "3", "CODE": "a=b", "BLOB": b"\x00\xff", "TEXT": "two\nlines"}
    journal.write("Connection lost: é", **fields)
    assert ingest(tmp_path, lines="entry", parse={"profile": "generic"})["rows"] == 1
    ((time_utc, level, message, extra),) = rows(tmp_path, "SELECT time_utc, level, message, extra FROM generic_line")
    assert (time_utc, level, message) == ("2026-11-04 13:46:40.000001", "err", "Connection lost: é")
    extra = json.loads(extra)
    assert {name: extra[name] for name in ("CODE", "BLOB", "TEXT", "_SYSTEMD_UNIT")} == {
        "CODE": "a=b",
        "BLOB": [0, 255],
        "TEXT": "two\nlines",
        "_SYSTEMD_UNIT": "sftpgo.service",
    }


def test_a_journal_that_begins_anew_is_followed_on(tmp_path, journal) -> None:
    """Its entries have a new numbering, which begins at 1."""
    journal.write(upload(1), upload(2))
    assert ingest(tmp_path)["rows"] == 2
    journal.reboot()
    (tmp_path / "journal" / "system.journal").rename(tmp_path / "journal" / "old.journal")
    journal.write(upload(3), upload(4))
    assert ingest(tmp_path) == {"sink": "sqlite", "lines": 2, "rows": 2, "rejected": 0, "gaps": 0, "gap_bytes": 0, "error": None}
    assert ingest(tmp_path)["lines"] == 0 and sizes(tmp_path) == [1, 2, 3, 4]
    assert rows(tmp_path, "SELECT closed, read_offset FROM ingest_generation ORDER BY id") == [(1, 3), (0, 3)]


def test_entries_that_were_removed_unread_are_a_gap(tmp_path, journal) -> None:
    journal.write(upload(1))
    ingest(tmp_path)
    journal.write(upload(2))
    (tmp_path / "journal" / "system.journal").unlink()
    journal.reboot()
    journal.write(upload(3))
    found = ingest(tmp_path)
    assert (found["rows"], found["gaps"], found["gap_bytes"]) == (1, 1, 0)
    assert rows(tmp_path, "SELECT kind, bytes FROM ingest_gap") == [("vacuumed", None)]
    assert ingest(tmp_path)["gaps"] == 0 and sizes(tmp_path) == [1, 3]


def test_a_journal_that_begins_anew_with_an_earlier_clock_is_read_from_its_beginning(tmp_path, journal, monkeypatch) -> None:
    """A journal in memory, of a machine whose clock is wrong at boot: journalctl looks for a cursor that it does not have by the time."""
    journal.write(upload(1), upload(2))
    assert ingest(tmp_path)["rows"] == 2
    (journal.folder / "system.journal").unlink()
    journal.reboot()
    monkeypatch.setattr(rigs.journal, "START", rigs.journal.START - 3_600_000_000)
    journal.write(upload(3), upload(4))
    found = ingest(tmp_path)
    assert (found["rows"], found["gaps"]) == (2, 1)
    journal.write(upload(5))
    assert ingest(tmp_path)["rows"] == 1 and ingest(tmp_path)["lines"] == 0
    assert sizes(tmp_path) == [1, 2, 3, 4, 5]


def test_a_numbering_that_begins_anew_with_an_earlier_clock_is_read_beside_the_old_one(tmp_path, journal, monkeypatch) -> None:
    """A damaged journal was replaced at boot, before the clock was right: journalctl sorts its entries before those of the old file."""
    journal.write(upload(1), upload(2))
    journal.write("noise", unit="cron.service")
    assert ingest(tmp_path)["rows"] == 2
    (journal.folder / "system.journal").rename(journal.folder / "system@1.journal~")
    journal.reboot()
    with monkeypatch.context() as earlier:
        earlier.setattr(rigs.journal, "START", rigs.journal.START - 3_600_000_000)
        journal.write("noise", unit="cron.service")
        assert ingest(tmp_path)["lines"] == 0
        journal.write(upload(3), upload(4))
        assert ingest(tmp_path)["rows"] == 2
        journal.write(upload(5))
        assert ingest(tmp_path)["rows"] == 1
        journal.write(upload(6))
    # The clock is right again.
    journal.write(upload(7))
    assert ingest(tmp_path)["rows"] == 2 and ingest(tmp_path)["lines"] == 0
    assert sizes(tmp_path) == [1, 2, 3, 4, 5, 6, 7] and rows(tmp_path, "SELECT kind FROM ingest_gap") == []


def test_a_quiet_unit_has_no_gap_when_its_last_entry_goes(tmp_path, journal) -> None:
    journal.write(upload(1))
    journal.reboot()
    journal.write("noise", "noise", unit="cron.service", file="newer.journal")
    assert ingest(tmp_path)["rows"] == 1
    (tmp_path / "journal" / "system.journal").unlink()
    journal.reboot()
    journal.write(upload(2), file="newer.journal")
    found = ingest(tmp_path)
    assert (found["rows"], found["gaps"]) == (1, 0)


def test_a_unit_that_wrote_nothing_yet_has_a_position(tmp_path, journal) -> None:
    journal.write("noise", unit="cron.service")
    assert ingest(tmp_path)["lines"] == 0
    (tmp_path / "journal" / "system.journal").unlink()
    journal.reboot()
    journal.write(upload(1))
    found = ingest(tmp_path)
    assert (found["rows"], found["gaps"]) == (1, 1)


def gap_rows(folder: pathlib.Path) -> t.List[t.Any]:
    return rows(folder, "SELECT kind, detail, bytes FROM ingest_gap")


@pytest.mark.parametrize("lines", ["message", "entry"])
def test_an_archived_file_that_is_damaged_is_a_gap_once(tmp_path, journal, lines) -> None:
    journal.write(upload(1), upload(2), file="user@1.journal")
    journal.write(*(upload(each) for each in range(10, 30)), file="system@2.journal")
    journal.write(upload(3), file="system@3.journal")
    journal.write(upload(4))
    truncate(journal.folder / "user@1.journal")
    spoil(journal.folder / "system@2.journal", 10)
    truncate(journal.folder / "system@3.journal")
    # As journald names a file that it found damaged.
    (journal.folder / "system@3.journal").rename(journal.folder / "system@3.journal~")
    changes = {"lines": lines} if lines == "message" else {"lines": lines, "parse": {"profile": "generic"}}
    result = follower.catch_up(wanted(tmp_path, **changes), sleep=time.sleep)
    (found,) = result["sinks"]
    assert (found["rows"], result["exit_code"], result["warnings"]) == (11, 0, [])
    gaps = gap_rows(tmp_path)
    assert {(kind, size) for kind, _detail, size in gaps} == {("damaged", None)} and found["gaps"] == len(gaps)
    for name in ("system@2.journal", "system@3.journal~", "user@1.journal"):
        assert [name in detail for _kind, detail, _size in gaps].count(True) == 1, gaps
    # They are still there, and behind the position.
    journal.write(upload(5))
    result = follower.catch_up(wanted(tmp_path, **changes), sleep=time.sleep)
    assert (result["sinks"][0]["rows"], result["sinks"][0]["gaps"], result["warnings"]) == (1, 0, [])
    assert status.of(wanted(tmp_path, **changes))[0]["warnings"] == []


def test_a_damaged_file_whose_entries_are_stored_is_no_gap(tmp_path, journal) -> None:
    journal.write(upload(1), upload(2), file="system@1.journal")
    journal.write(upload(3))
    assert ingest(tmp_path)["rows"] == 3
    truncate(journal.folder / "system@1.journal")
    journal.write(upload(4))
    found = ingest(tmp_path)
    assert (found["rows"], found["gaps"], gap_rows(tmp_path)) == (1, 0, [])


def test_a_damaged_file_is_no_gap_before_an_entry_after_it(tmp_path, journal) -> None:
    """Otherwise each call would find it again: the position is before it."""
    journal.write(upload(1))
    ingest(tmp_path)
    (journal.folder / "system.journal").rename(journal.folder / "system@1.journal")
    journal.write(upload(2), file="system@2.journal")
    truncate(journal.folder / "system@2.journal")
    assert [ingest(tmp_path)["gaps"] for _each in range(2)] == [0, 0]
    # An entry of another unit is enough.
    journal.write("noise", unit="cron.service")
    assert [ingest(tmp_path)["gaps"] for _each in range(2)] == [1, 0]


def test_the_active_file_is_a_warning_until_it_can_be_read(tmp_path, journal) -> None:
    """It can look truncated for a moment, while journald makes it."""
    journal.write(upload(1))
    ingest(tmp_path)
    journal.write(upload(2))
    system = journal.folder / "system.journal"
    whole = system.read_bytes()
    truncate(system)
    result = follower.catch_up(wanted(tmp_path), sleep=time.sleep)
    assert result["warnings"] == ["journal: sftpgo: Journal file %s is truncated, ignoring file." % system]
    system.write_bytes(whole)
    result = follower.catch_up(wanted(tmp_path), sleep=time.sleep)
    assert (result["sinks"][0]["rows"], result["sinks"][0]["gaps"], result["warnings"]) == (1, 0, [])


def test_a_journal_that_cannot_be_read_is_a_warning(tmp_path, journal, monkeypatch) -> None:
    journal.write(upload(1))
    ingest(tmp_path)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    result = follower.catch_up(wanted(tmp_path))
    assert (result["exit_code"], result["warnings"]) == (3, ["journal: sftpgo: cannot run journalctl: No such file or directory"])
    # As a user without rights gets it.
    program = tmp_path / "bin" / "journalctl"
    program.write_text("#!/bin/sh\necho 'Hint: You are currently not seeing messages from other users and the system.' >&2\n")
    program.chmod(0o755)
    (row,) = status.of(wanted(tmp_path))
    result = follower.catch_up(wanted(tmp_path))
    assert result["exit_code"] == row["exit_code"] == 3 and "not seeing messages" in result["warnings"][0]
    assert result["sinks"][0]["gaps"] == 0, "what cannot be seen is not lost"


def test_followers_that_are_killed_and_meet_store_each_entry_once(tmp_path, journal) -> None:
    chance = random.Random(7)
    number = 0
    running: t.List[subprocess.Popen[str]] = []
    states = ("one", "two")
    try:
        for _round in range(3):
            running = [start(tmp_path, dict(wanted(tmp_path, checked=False), state=str(tmp_path / state))) for state in states]
            for _each in range(4):
                journal.write(*(upload(number + each) for each in range(1, 21)), file="system.journal")
                number += 20
                time.sleep(lab.patience(0.1) * chance.random())
            for each in running:
                each.kill()
                each.communicate()
    finally:
        for each in running:
            each.kill()
            each.communicate()
    assert ingest(tmp_path)["error"] is None
    assert sizes(tmp_path) == list(range(1, number + 1))
    assert status.of(wanted(tmp_path))[0]["gaps"] == 0


def test_a_running_follower_stores_entries_as_they_come(tmp_path, journal) -> None:
    journal.write(upload(1))
    running = start(tmp_path, wanted(tmp_path, checked=False))
    try:
        for number in (2, 3):
            journal.write(upload(number))
            lab.wait_until(lambda: len(sizes(tmp_path)) >= number, lambda: "stored: %s" % sizes(tmp_path))  # noqa: B023
    finally:
        running.terminate()
        out, err = running.communicate(timeout=lab.patience(60))
    assert (running.returncode, err) == (0, "") and json.loads(out)["sinks"][0]["rows"] == 3


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"paths": ["/var/log"]}, "follow.paths: cannot be combined with journal"),
        ({"journal": {"units": ["a b"]}}, "follow.journal.units[0]: 'a b' is not the name of a unit"),
        ({"journal": {"units": []}}, "follow.journal.units: must not be empty"),
        ({"journal": None}, "follow.paths: is missing (The folders that contain the logs."),
    ],
)
def test_mistakes_of_a_document_with_a_journal_are_named(tmp_path, changes, problem) -> None:
    follow = {"paths": None, "patterns": None, "rotated": None, "journal": {"units": ["a"]}, **changes}
    with pytest.raises(ConfigError) as caught:
        document(tmp_path, follow=follow)
    assert any(each.startswith(problem) for each in caught.value.problems), caught.value.problems


CURSOR = b"__CURSOR=s=aa;i=1f;b=bb;m=1;t=1;x=1\n__REALTIME_TIMESTAMP=5\n"


def read(data: bytes, most: int = 100) -> t.List[export.Entry]:
    return list(export.entries(io.BytesIO(data), most, lambda name: name != "OTHER"))


def test_the_export_format_is_read_in_bounded_memory(tmp_path) -> None:
    big = b"x" * (export.CHUNK * 3)
    data = CURSOR + b"OTHER=1\nTEXT=" + big + b"\nBINARY\n" + struct.pack("<Q", len(big)) + big + b"\nEMPTY=\n\n-- No entries --\n"
    (entry,) = read(data)
    assert (entry.sequence, entry.number, entry.realtime) == ("aa", 31, 5)
    assert entry.fields == [
        export.Field("TEXT", big[:100], len(big)),
        export.Field("BINARY", b"", len(big)),
        export.Field("EMPTY", b"", 0),
    ]
    # An entry that is cut at any byte is none, and what follows no valid cursor is none.
    assert [read(data[:end]) for end in (1, 20, len(CURSOR), len(CURSOR) + 12, len(data) - 20 - len(big), len(data) - 25)] == [[]] * 6
    assert read(b"__CURSOR=nonsense\nA=1\n\n" + CURSOR + b"\n")[0].fields == []


def test_a_file_that_is_renamed_as_the_journal_is_listed_is_waited_for(tmp_path, journal, monkeypatch) -> None:
    journal.write(upload(1))
    ingest(tmp_path)
    journal.write(upload(2))
    system = tmp_path / "journal" / "system.journal"
    hidden, renamed = tmp_path / "hidden", tmp_path / "journal" / "system@1.journal"
    real = tracker.Journal.after

    def after(self: t.Any, cursor: t.Any) -> t.Any:
        # A listing that lacks the file, as it can during a rename. It is there when the last entry is looked for.
        if renamed.exists():
            return real(self, cursor)
        system.rename(hidden)
        reading = real(self, cursor)
        assert not list(reading)
        hidden.rename(renamed)
        return reading

    monkeypatch.setattr(tracker.Journal, "after", after)
    journal.write(upload(3))
    time.sleep(0.6)
    ingest(tmp_path)
    ingest(tmp_path)
    assert sizes(tmp_path) == [1, 2, 3] and status.of(wanted(tmp_path))[0]["gaps"] == 0
