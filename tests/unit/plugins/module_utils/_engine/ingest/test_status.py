# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status of a stream shows what would stop its next line."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import KeyringError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import keyring
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower, status
from rigs import client_events
from rigs.host import COMMAND, ENGINE_PATH
from rigs.streams import document, given, upload


def test_a_keyring_that_cannot_be_used_is_a_problem(tmp_path, logs) -> None:
    keys = tmp_path / "keys"
    wanted = document(tmp_path, transform={"encrypt": ["username"], "keyring": str(keys)})
    with pytest.raises(KeyringError, match="does not exist") as raised:
        follower.catch_up(wanted)
    assert status.of(wanted)[0]["error"] == str(raised.value)
    keyring.create(str(keys))
    (logs / "sftpgo.log").write_bytes(upload(1) + b"\n")
    follower.catch_up(wanted)
    assert status.of(wanted)[0]["exit_code"] == 0
    keys.chmod(0o755)
    row = status.of(wanted)[0]
    assert "is open to its group or to others (0755)" in row["state"]
    # What is stored is shown nevertheless.
    assert (row["exit_code"], row["lines"]) == (1, 1)
    shutil.rmtree(keys)
    keys.mkdir(mode=0o700)
    assert "the keyring has no current key" in status.of(wanted)[0]["state"]


def test_the_keys_of_client_ids_are_looked_at_too(tmp_path, logs) -> None:
    wanted = client_events.document(tmp_path, client_ids={"keyring": str(tmp_path / "etc" / "keys")})
    assert "the keyring cannot be created" in (status.of(wanted)[0]["error"] or "")
    # A keyring that can be created is none.
    (tmp_path / "etc").mkdir()
    assert status.of(wanted)[0]["error"] is None
    (tmp_path / "etc" / "keys").write_bytes(b"")
    assert "the keyring is not a folder" in (status.of(wanted)[0]["error"] or "")


def test_a_folder_that_was_there_and_is_gone_is_a_problem(tmp_path, logs) -> None:
    more = tmp_path / "more"
    more.mkdir()
    wanted = document(tmp_path, follow={"paths": [str(logs), str(more), "/nowhere"]})
    (more / "sftpgo.log").write_bytes(upload(1) + b"\n")
    follower.catch_up(wanted)
    # The first one has had no file, and the third one never was there: both may come later.
    assert status.of(wanted)[0]["state"] == "fine"
    # As an NFS share that is not mounted.
    more.rename(tmp_path / "away")
    row = status.of(wanted)[0]
    gone = "%s: the folder does not exist any more" % more
    assert (row["state"], row["exit_code"], row["warnings"]) == ("cannot read " + gone, 3, [gone])
    result = follower.catch_up(wanted)
    assert (result["warnings"], result["exit_code"]) == (["/nowhere: the folder does not exist", gone], 3)
    (tmp_path / "away").rename(more)
    assert status.of(wanted)[0]["state"] == "fine"


def test_an_empty_folder_without_its_file_system_is_a_problem(tmp_path, logs) -> None:
    wanted = document(tmp_path, follow={"paths": [str(logs)], "recurse": True})
    (logs / "host").mkdir()
    (logs / "host" / "sftpgo.log").write_bytes(upload(1) + b"\n")
    follower.catch_up(wanted)
    (logs / "host" / "sftpgo.log").unlink()
    (logs / "empty").mkdir()
    # As if the file had been on a file system that was mounted here.
    with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite")) as connection, connection:
        connection.execute("UPDATE ingest_generation SET device = device + 1")
    unmounted = "%s: the folder is empty, and its files were on another file system: mount it" % (logs / "host")
    result = follower.catch_up(wanted)
    assert (result["warnings"], result["exit_code"], result["sinks"][0]["gaps"]) == ([unmounted], 3, 0)
    row = status.of(wanted)[0]
    assert (row["state"], row["exit_code"], row["warnings"]) == ("cannot read " + unmounted, 3, [unmounted])
    # With a file it is mounted, so that the log is gone.
    (logs / "host" / "other").touch()
    assert follower.catch_up(wanted)["sinks"][0]["gaps"] == 1


def test_a_stream_that_can_look_into_no_folder_is_a_problem(tmp_path, logs) -> None:
    wanted = document(tmp_path, follow={"patterns": ["live"], "rotated": ["*"]})
    (logs / "a").write_bytes(upload(1) + b"\n")
    # It is read to its end, so nothing is open.
    os.utime(logs / "a", (1, 1))
    follower.catch_up(wanted)
    assert status.of(wanted)[0]["state"] == "fine"
    shutil.rmtree(logs)
    row = status.of(wanted)[0]
    assert (row["state"], row["exit_code"]) == ("cannot read %s: the folder does not exist" % logs, 3)


@pytest.mark.parametrize(("paths", "code"), [(["logs", "wrong"], 0), (["wrong"], 3)])
def test_an_ingest_names_a_folder_that_does_not_exist(tmp_path, logs, paths, code: int) -> None:
    (logs / "sftpgo.log").write_bytes(upload(1) + b"\n")
    (tmp_path / "sftpgo.json").write_text(json.dumps(given(tmp_path, follow={"paths": [str(tmp_path / path) for path in paths]})))
    done = subprocess.run(
        [*COMMAND, "ingest", str(tmp_path / "sftpgo.json")], capture_output=True, text=True, env={"PYTHONPATH": ENGINE_PATH}, check=False
    )
    assert (done.returncode, done.stderr) == (code, "")
    assert "warning: %s: the folder does not exist" % (tmp_path / "wrong") in done.stdout


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("DROP TABLE moved", "no such table: moved"),
        ("ALTER TABLE moved RENAME COLUMN name TO username", "table moved has no column named name"),
    ],
)
def test_a_mapped_table_that_was_altered_is_a_problem(tmp_path, logs, change: str, expected: str) -> None:
    path = tmp_path / "db.sqlite"
    columns = {"id": "row_id", "name": "username"}
    wanted = document(tmp_path, sinks=[{"type": "sqlite", "path": str(path), "table": "moved", "columns": columns}])
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE moved (id TEXT, name TEXT)")
        (logs / "sftpgo.log").write_bytes(upload(1) + b"\n")
        follower.catch_up(wanted)
        # A writer holds nobody up.
        connection.execute("BEGIN IMMEDIATE")
        assert status.of(wanted)[0]["state"] == "fine"
        connection.rollback()
        connection.execute(change)
    row = status.of(wanted)[0]
    assert expected in row["state"]
    assert row["exit_code"] == 1
    assert expected in (follower.catch_up(wanted, check=True)["sinks"][0]["error"] or "")


def test_a_mapped_table_that_never_was_there_is_a_problem(tmp_path, logs) -> None:
    path = tmp_path / "db.sqlite"
    wanted = document(tmp_path, sinks=[{"type": "sqlite", "path": str(path), "table": "moved", "columns": {"id": "row_id"}}])
    assert "Create it with the table moved" in status.of(wanted)[0]["state"]
    assert not path.exists()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE other (id TEXT)")
        assert "no such table: moved" in status.of(wanted)[0]["state"]
        connection.execute("CREATE VIEW moved AS SELECT id FROM other")
        connection.execute("CREATE TRIGGER moving INSTEAD OF INSERT ON moved BEGIN INSERT INTO other VALUES (NEW.id); END")
        assert status.of(wanted)[0]["state"].startswith(status.NOTHING)
        (logs / "sftpgo.log").write_bytes(upload(1) + b"\n")
        follower.catch_up(wanted)
        assert status.of(wanted)[0]["state"] == "fine"
        assert connection.execute("SELECT COUNT(*) FROM other").fetchall() == [(1,)]
