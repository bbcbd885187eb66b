# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Client ids: encrypted with the key of the entry's month, and in no file as plaintext."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import sqlite3
import subprocess
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import KeyMissingError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_check import normalise_stream
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import client_ids, keyring, months
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower, retry
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers import aead
from rigs.client_events import ID, document, event, given
from rigs.host import COMMAND, ENGINE_PATH

siv = pytest.mark.skipif(
    not hasattr(aead, "AESSIV"), reason="deterministic client ids need a newer cryptography than the oldest that archives need"
)

LINES = [
    event("2021-04-30T23:59:59", CLIENTID=ID),
    event("2021-05-01T00:00:00", **{"CLIENT ID": ID}),
    event("2020-12-31T12:00:00", CLIENT_ID=ID),
    event("2021-04-01T00:00:00", ID="a1"),
    event("2021-04-02T00:00:00", CLIENTID=ID, details=[{"clientId": ID, "code": 7}]),
]
BAD = [
    b'{"CLIENTID": "%s", "timestamp": "2021-04-01T00:00:00", ' % ID.encode(),
    event("never", CLIENTID=ID),
    event("2021-04-01T00:00:00", CLIENTID=ID, CLIENT_ID=ID),
    event("2021-04-01T00:00:00", CLIENTID={"value": ID}),
    event("2021-04-01T00:00:00", CLIENTID=ID * 100),
    event("2021-04-01T00:00:00", CLIENTID=ID, thread=3),
    event("2021-04-01T00:00:00", CLIENTID=ID, filler="x" * 2000),
]


def write(logs: pathlib.Path, *lines: bytes) -> None:
    with open(logs / "events.log", "ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))


def rows(folder: pathlib.Path, what: str = "kind, client_id, client_key, extra") -> t.List[t.Any]:
    with contextlib.closing(sqlite3.connect(folder / "db.sqlite")) as connection:
        return connection.execute("SELECT %s FROM client_event ORDER BY line_offset" % what).fetchall()


def test_each_entry_has_the_key_of_its_month(tmp_path, logs) -> None:
    write(logs, *LINES)
    assert follower.catch_up(document(tmp_path))["sinks"][0]["rows"] == 5
    found = rows(tmp_path)
    assert [row[0] for row in found] == ["error", "error", "error", "data", "error"]
    assert [row[2] for row in found] == ["2021_April", "2021_May", "2020_December", None, "2021_April"]
    assert found[3][1] is None
    for _kind, token, key, _extra in (found[0], found[1], found[2]):
        # Any implementation of Fernet opens it with the file of the key.
        assert Fernet((tmp_path / "keys" / (key + ".key")).read_bytes().strip()).decrypt(token.encode()).decode() == ID
    assert found[0][1] != found[4][1]
    nested = json.loads(found[4][3])["details"][0]
    assert (client_ids.reveal(client_ids.keys_of(str(tmp_path / "keys")), nested["clientId"]).text, nested["code"]) == (ID, 7)


@siv
def test_with_deterministic_the_same_id_has_one_token_a_month(tmp_path, logs) -> None:
    write(logs, *LINES)
    follower.catch_up(document(tmp_path, client_ids={"deterministic": True}))
    april, may, _december, _data, again = (row[1] for row in rows(tmp_path))
    assert april == again
    assert april != may
    keys = client_ids.keys_of(str(tmp_path / "keys"))
    assert [client_ids.reveal(keys, token) for token in (april, may)] == [("2021_April", ID), ("2021_May", ID)]
    with pytest.raises(KeyMissingError):
        client_ids.reveal({"2021_May": keys["2021_May"]}, april)


@pytest.mark.parametrize("deterministic", [False, pytest.param(True, marks=siv)])
def test_no_file_no_output_and_no_error_has_an_id(tmp_path, logs, deterministic) -> None:
    write(logs, *LINES, *BAD)
    wanted = given(tmp_path, client_ids={"deterministic": deterministic}, parse={"max_line": 1024, "new_fields": "keep"})
    path = tmp_path / "events.json"
    path.write_text(json.dumps(wanted))
    outputs = []
    for command in (["ingest", "--dry-run"], ["ingest"], ["ingest", "--rejected"], ["streams"], ["streams", "--json"]):
        done = subprocess.run(
            [*COMMAND, *command, str(path)], capture_output=True, env=dict(os.environ, PYTHONPATH=ENGINE_PATH), check=False
        )
        outputs.append(done.stdout + done.stderr)
    assert b"7 of them rejected" in outputs[1]
    assert b"5 rejected lines in sqlite tried again, 0 stored, 5 rejected again; 2 cannot be tried" in outputs[2]
    follower.catch_up(document(tmp_path, sinks=[{"type": "sqlite", "path": str(tmp_path / "missing" / "db")}]))
    for folder, _folders, names in os.walk(tmp_path):
        for name in names:
            if folder != str(logs):
                outputs.append(pathlib.Path(folder, name).read_bytes())
    assert len(outputs) > 8
    assert not any(ID.encode() in each for each in outputs)


def test_a_rejected_line_is_stored_when_the_document_is_mended(tmp_path, logs) -> None:
    write(logs, event("2021-04-01T00:00:00", CLIENTID=ID, code=7))
    assert follower.catch_up(document(tmp_path, parse={"new_fields": "reject"}))["sinks"][0]["rejected"] == 1
    assert retry.retry(document(tmp_path))[0]["stored"] == 1
    assert rows(tmp_path)[0][2:] == ("2021_April", '{"code":7}')


def test_a_line_that_was_rejected_with_another_profile_is_encrypted(tmp_path, logs) -> None:
    write(logs, event("never", CLIENTID=ID))
    follower.catch_up(document(tmp_path, parse={"profile": "generic"}, client_ids=None))
    for _try in range(2):
        found = retry.retry(document(tmp_path))[0]
        assert (found["rejected"], found["cut"]) == (1, 0)
    with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite")) as connection:
        (line,) = connection.execute("SELECT line FROM ingest_rejected").fetchone()
    assert b" gAAAA" in line


def test_a_dry_run_creates_no_key(tmp_path, logs) -> None:
    write(logs, *LINES, *BAD)
    assert follower.catch_up(document(tmp_path), check=True)["sinks"][0]["rows"] == 6
    assert not (tmp_path / "keys").exists()


def test_a_key_that_was_taken_away_is_named_and_not_replaced(tmp_path, logs) -> None:
    write(logs, LINES[0])
    follower.catch_up(document(tmp_path))
    keys = str(tmp_path / "keys")
    key = months.load(keys, "2021-04")
    keyring.remove(keys, key.id)
    write(logs, LINES[0])
    error = follower.catch_up(document(tmp_path))["sinks"][0]["error"]
    assert error is not None
    assert key.id in error
    assert "2021_April" in error
    with pytest.raises(KeyMissingError, match="2021_April"):
        client_ids.keys_of(keys, "2021-04")
    with pytest.raises(KeyMissingError, match="2019_March"):
        client_ids.keys_of(keys, "2019-03")
    # As the escrow gives it back.
    keyring.add(keys, key.secret)
    assert follower.catch_up(document(tmp_path))["sinks"][0]["rows"] == 1
    assert [info.id for info in keyring.list_keys(keys)] == [key.id]


def test_a_key_file_of_another_program_is_used_and_gets_into_the_keyring(tmp_path, logs) -> None:
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    text = Fernet.generate_key()
    (keys / "2021_April.key").touch(0o600)
    (keys / "2021_April.key").write_bytes(text)
    write(logs, LINES[0])
    follower.catch_up(document(tmp_path))
    assert Fernet(text).decrypt(rows(tmp_path)[0][1].encode()).decode() == ID
    # The escrow copies the keys that are listed.
    assert len(keyring.list_keys(str(keys))) == 1
    (keys / "2021_April.key").chmod(0o644)
    assert "may no longer be secret" in (
        follower.catch_up(document(tmp_path, name="other", sinks=second(tmp_path)))["sinks"][0]["error"] or ""
    )


def second(folder: pathlib.Path) -> t.List[t.Dict[str, str]]:
    return [{"type": "sqlite", "path": str(folder / "second.sqlite")}]


def test_two_sinks_and_two_followers_share_the_key_of_a_month(tmp_path, logs) -> None:
    write(logs, LINES[0])
    follower.catch_up(
        document(tmp_path, sinks=[{"type": "sqlite", "path": str(tmp_path / "db.sqlite")}, dict(second(tmp_path)[0], name="b")])
    )
    assert len(keyring.list_keys(str(tmp_path / "keys"))) == 1


@pytest.mark.parametrize(
    "changes",
    [{"client_ids": None}, {"parse": {"profile": "generic"}}, {"parse": {"profile": "sftpgo"}}],
    ids=["none", "generic", "sftpgo"],
)
def test_the_profile_and_the_keyring_belong_together(tmp_path, changes) -> None:
    with pytest.raises(Exception, match="client_ids: the profile client_events requires it, and no other profile allows it"):
        normalise_stream(given(tmp_path, **changes))


def test_reveal_on_the_command_line(tmp_path, logs) -> None:
    write(logs, LINES[0], LINES[1])
    wanted = given(tmp_path)
    path = tmp_path / "events.json"
    path.write_text(json.dumps(wanted))
    follower.catch_up(normalise_stream(wanted))
    tokens = [row[1] for row in rows(tmp_path)]
    env = dict(os.environ, PYTHONPATH=ENGINE_PATH)

    def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run([*COMMAND, "reveal", *arguments], capture_output=True, text=True, input=text, env=env, check=False)

    assert run("--config", str(path), *tokens).stdout == "%s\n%s\n" % (ID, ID)
    shown = json.loads(run("--keyring", str(tmp_path / "keys"), "--json", text="\n".join(tokens)).stdout)
    assert [(each["client_id"], each["client_key"]) for each in shown] == [(ID, "2021_April"), (ID, "2021_May")]
    wrong = run("--keyring", str(tmp_path / "keys"), "--month", "2021-04", tokens[1])
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "no key opens the token (tried: 2021_April)" in wrong.stderr
    missing = run("--keyring", str(tmp_path / "keys"), "--month", "2021-06", tokens[1])
    assert "the key 2021_June is needed, but it is not in the keyring (it holds 2021_April, 2021_May)" in missing.stderr
    app = {**wanted, "name": "app", "parse": {"profile": "generic"}}
    del app["client_ids"]
    (tmp_path / "app.json").write_text(json.dumps(app))
    assert "app: the stream encrypts no client ids" in run("--config", str(tmp_path), "--stream", "app", tokens[1]).stderr
