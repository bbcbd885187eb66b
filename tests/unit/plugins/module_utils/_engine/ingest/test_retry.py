# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rejected lines of a stream that encrypts fields: no value is plaintext in the sink, and the lines can be tried again."""

from __future__ import annotations

import contextlib
import pathlib
import sqlite3
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import keyring
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower, retry
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records.parser import LineParser
from rigs.streams import document, upload

USER = "plain-alice"
BAD = {
    "not_json": b'{"username":"%s",' % USER.encode(),
    "not_object": b'["%s"]' % USER.encode(),
    "not_utf8": b'{"username":"%s\xff"}' % USER.encode(),
    "bad_text": upload(1, username=USER, file_path="\0"),
    "bad_number": upload(2, username=USER, size_bytes=1 << 80),
    "bad_time": upload(3, username=USER, time="never"),
    "bad_type": upload(4, username=USER, size_bytes={}),
    "long_value": upload(5, username=USER * 20),
    "new_field": upload(6, username=USER, colour="red"),
    "too_long": upload(7, username=USER, file_path="x" * 2000),
}
"""Lines by the reason for which they are rejected."""


@pytest.fixture
def keys(tmp_path) -> str:
    keyring.create(str(tmp_path / "keys"))
    return str(tmp_path / "keys")


def encrypting(folder: pathlib.Path, keys: str, **changes: t.Any) -> t.Any:
    changes.setdefault("parse", {"new_fields": "reject"})
    changes["parse"]["max_line"] = 1024
    return document(folder, transform={"encrypt": ["username"], "keyring": keys}, **changes)


def rows(folder: pathlib.Path, statement: str) -> t.List[t.Any]:
    with contextlib.closing(sqlite3.connect(folder / "db.sqlite")) as connection:
        return connection.execute(statement).fetchall()


def files_with(folder: pathlib.Path, text: str) -> t.List[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_no_rejected_line_shows_a_field_that_is_to_be_encrypted(tmp_path, logs, keys) -> None:
    (logs / "sftpgo.log").write_bytes(b"".join(line + b"\n" for line in BAD.values()))
    assert follower.catch_up(encrypting(tmp_path, keys))["sinks"][0]["rejected"] == len(BAD)
    assert [row[0] for row in rows(tmp_path, "SELECT reason FROM ingest_rejected ORDER BY line_offset")] == list(BAD)
    assert files_with(tmp_path, USER) == ["sftpgo.log"]
    # The key of new lines is another one by then.
    keyring.rotate(keys)
    found = retry.retry(encrypting(tmp_path, keys, parse={"new_fields": "keep"}))[0]
    assert (found["stored"], found["rejected"], found["cut"], found["error"]) == (1, len(BAD) - 2, 1, None)
    assert rows(tmp_path, "SELECT extra FROM sftpgo_transfer") == [('{"colour":"red"}',)]
    assert files_with(tmp_path, USER) == ["sftpgo.log"]


def test_a_line_that_the_database_refuses_is_encrypted_too(tmp_path, logs, keys) -> None:
    rows(tmp_path, "CREATE TABLE moved (id TEXT, name TEXT, size INTEGER CHECK (size < 10))")
    columns = {"id": "row_id", "name": "username", "size": "size_bytes"}
    wanted = encrypting(
        tmp_path, keys, sinks=[{"type": "sqlite", "path": str(tmp_path / "db.sqlite"), "table": "moved", "columns": columns}]
    )
    (logs / "sftpgo.log").write_bytes(upload(9, username=USER) + b"\n" + upload(10, username=USER) + b"\n")
    assert follower.catch_up(wanted)["sinks"][0]["rejected"] == 1
    assert rows(tmp_path, "SELECT reason FROM ingest_rejected") == [("database",)]
    assert files_with(tmp_path, USER) == ["sftpgo.log"]
    assert (retry.retry(wanted)[0]["rejected"], retry.retry(wanted)[0]["error"]) == (1, None)


def test_lines_that_were_rejected_before_the_stream_encrypted_are_tried_again(tmp_path, logs, keys) -> None:
    # Nor does a line with the form of an encrypted one stop the others.
    lines = [BAD["new_field"], b"0123456789abcdef gAAAAA==", BAD["not_json"], BAD["too_long"]]
    (logs / "sftpgo.log").write_bytes(b"".join(line + b"\n" for line in lines))
    assert follower.catch_up(document(tmp_path, parse={"new_fields": "reject", "max_line": 1024}))["sinks"][0]["rejected"] == 4
    for stored, rejected in (1, 2), (0, 2):
        found = retry.retry(encrypting(tmp_path, keys, parse={"new_fields": "keep"}))[0]
        assert (found["stored"], found["rejected"], found["cut"], found["error"]) == (stored, rejected, 1, None)
    assert USER not in str(rows(tmp_path, "SELECT * FROM sftpgo_transfer"))
    # None of them is plaintext now, and none is encrypted twice.
    parser = LineParser(encrypting(tmp_path, keys))
    kept = rows(tmp_path, "SELECT line, bytes FROM ingest_rejected ORDER BY line_offset")
    assert not any(USER.encode() in line or line in lines for line, _length in kept)
    assert [parser.unsealed(line, length) for line, length in kept[:3]] == lines[:3]
    # Of this one only the beginning was kept.
    assert parser.unsealed(kept[3][0], 0) == lines[3][:1024]


def test_a_line_whose_key_is_missing_keeps_its_reason(tmp_path, logs, keys) -> None:
    (logs / "sftpgo.log").write_bytes(BAD["new_field"] + b"\n")
    follower.catch_up(encrypting(tmp_path, keys))
    key = keyring.load_current(keys).id
    error = retry.retry(document(tmp_path))[0]["error"]
    assert error is not None
    assert "the key %s is needed for a rejected line, but the stream has no keyring" % key in error
    keyring.rotate(keys)
    keyring.remove(keys, key)
    # The lines behind it are tried.
    with open(logs / "sftpgo.log", "ab") as file:
        file.write(upload(8, username=USER, colour="red") + b"\n")
    follower.catch_up(encrypting(tmp_path, keys))
    found = retry.retry(encrypting(tmp_path, keys, parse={"new_fields": "keep"}))[0]
    assert (found["tried"], found["stored"], found["rejected"], found["exit_code"]) == (2, 1, 1, 1)
    assert key in (found["error"] or "")
    assert rows(tmp_path, "SELECT reason, stored_at IS NULL FROM ingest_rejected ORDER BY line_offset") == [
        ("new_field", 1),
        ("new_field", 0),
    ]
