# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of each class become rows of their tables; what no table takes is refused with its reason."""

from __future__ import annotations

import json

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import keyring
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records import parser
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records.address import split_address
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records.refused import REASONS
from rigs.streams import document, line, upload

FIRST = {"level": "info", "time": "2026-11-03T02:00:01.002"}


def row(tmp_path, text: bytes, **changes) -> dict:
    """The row of a line, by column, without what is NULL; ``table`` is its table."""
    wanted = document(tmp_path, **changes)
    tables = {table.name: table for table in parser.tables_of(wanted)}
    name, values = parser.LineParser(wanted).parse(text)
    columns = [column.name for column in tables[name].columns]
    assert len(columns) == len(values)
    return {"table": name, **{column: value for column, value in zip(columns, values) if value is not None}}


def refused(tmp_path, text: bytes, **changes) -> tuple:
    with pytest.raises(parser.Refused) as caught:
        row(tmp_path, text, **changes)
    assert caught.value.reason in REASONS
    return caught.value.reason, caught.value.detail


def test_a_transfer(tmp_path) -> None:
    found = row(tmp_path, upload(9007199254740993, username="Zoë & Co", error="quota exceeded", ftp_mode="passive", level="error"))
    assert found == {
        "table": "sftpgo_transfer",
        "time_utc": "2026-11-03 00:59:58.114000",
        "time_text": "2026-11-03T01:59:58.114",
        "level": "error",
        "sender": "Upload",
        "local_addr": "192.0.2.5:2022",
        "client_ip": "198.51.100.20",
        "client_port": 50412,
        "elapsed_ms": 12,
        "size_bytes": 9007199254740993,
        "username": "Zoë & Co",
        "file_path": "/srv/data/alice/9007199254740993.csv",
        "virtual_path": "/9007199254740993.csv",
        "connection_id": "SFTP_9007199254740993_1",
        "protocol": "SFTP",
        "ftp_mode": "passive",
        "error": "quota exceeded",
    }


def test_a_command_has_no_empty_values(tmp_path) -> None:
    empty = dict.fromkeys(["filemode", "access_time", "modification_time", "ssh_command", "target_path", "virtual_target_path"], "")
    fields = {"remote_addr": "[2001:db8::7]:50412", "username": "alice", "file_path": "/srv/x", "virtual_path": "/x", "protocol": "SFTP"}
    text = line(**FIRST, sender="Truncate", **fields, **empty, uid=-1, gid=-1, size=4096, elapsed=0)
    assert row(tmp_path, text) == {
        "table": "sftpgo_command",
        "time_utc": "2026-11-03 01:00:01.002000",
        "time_text": FIRST["time"],
        "level": "info",
        "sender": "Truncate",
        "client_ip": "2001:db8::7",
        "client_port": 50412,
        "username": "alice",
        "file_path": "/srv/x",
        "virtual_path": "/x",
        "size_bytes": 4096,
        "elapsed_ms": 0,
        "protocol": "SFTP",
    }


def test_a_login_and_a_failed_one(tmp_path) -> None:
    login = row(tmp_path, line(**FIRST, sender="login", ip="198.51.100.9", username="bob", method="password", client="x", encrypted=True))
    assert (login["table"], login["client_ip"], login["encrypted"]) == ("sftpgo_login", "198.51.100.9", 1)
    failed = row(
        tmp_path, line(**FIRST, sender="connection_failed", client_ip="203.0.113.6", username="", login_type="password", error="no")
    )
    assert (failed["table"], failed["client_ip"], failed["username"]) == ("sftpgo_failed_login", "203.0.113.6", "")
    assert "extra" not in failed


def test_an_http_request_in_any_order_of_keys(tmp_path) -> None:
    fields = {"uri": "https://x.example/?a=1", "resp_status": 200, "remote_addr": "198.51.100.9", "proto": "HTTP/2.0", "method": "GET"}
    found = row(tmp_path, line(**fields, sender="httpd", **FIRST))
    assert (found["table"], found["client_ip"], found["resp_status"], "client_port" in found) == ("sftpgo_http", "198.51.100.9", 200, False)


@pytest.mark.parametrize("sender", ["httpd", "Upload", "Rename", "login", "connection_failed", "SFTP", "dataprovider"])
def test_a_message_of_any_sender(tmp_path, sender: str) -> None:
    found = row(
        tmp_path, line(**FIRST, sender=sender, connection_id="1", message="started", size=[1, {"a": None}]), parse={"new_fields": "reject"}
    )
    assert (found["table"], found["sender"], found["message"]) == ("sftpgo_application", sender, "started")
    assert json.loads(found["extra"]) == {"size": [1, {"a": None}]}


def test_a_new_field_is_kept_or_rejected(tmp_path) -> None:
    text = upload(1, zone="eu", nested={"ö": 1.5})
    assert json.loads(row(tmp_path, text)["extra"]) == {"zone": "eu", "nested": {"ö": 1.5}}
    assert refused(tmp_path, text, parse={"new_fields": "reject"}) == ("new_field", "nested, zone")


def test_a_long_value_is_rejected_or_cut(tmp_path) -> None:
    text = upload(1, username="ü" * 300, remote_addr="x" * 70)
    assert refused(tmp_path, text) == ("long_value", "client_ip has 70 characters; its column takes 64")
    found = row(tmp_path, text, parse={"long_values": "truncate"})
    assert (found["username"], found["client_ip"]) == ("ü" * 255, "x" * 64)


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({"size_bytes": "12"}, "bad_type", "size_bytes is not a whole number"),
        ({"size_bytes": 1.0}, "bad_type", "size_bytes is not a whole number"),
        ({"size_bytes": True}, "bad_type", "size_bytes is not a whole number"),
        ({"username": 1}, "bad_type", "username is not a text"),
        ({"remote_addr": {}}, "bad_type", "remote_addr is not a text"),
        ({"sender": ...}, "bad_type", "sender is missing"),
        ({"sender": []}, "bad_type", "sender is not a text"),
        ({"time": ...}, "bad_time", "missing"),
        ({"time": 5}, "bad_time", "not a text"),
        ({"time": "yesterday"}, "bad_time", "not in ISO format"),
        ({"time": "2026-02-30T01:00:00"}, "bad_time", "no such date, time or offset"),
        ({"time": "2026-02-03T01:00:60"}, "bad_time", "no such second"),
        ({"time": "0001-01-01T00:00:00"}, "bad_time", "the year is not between 1970 and 9998"),
        ({"time": "1" * 70}, "bad_time", "longer than 64 characters"),
        ({"size_bytes": 2**70}, "bad_number", "an integer does not fit into 64 bits"),
    ],
    ids=str,
)
def test_what_is_refused(tmp_path, changes: dict, reason: str, detail: str) -> None:
    assert refused(tmp_path, upload(1, **changes)) == (reason, detail)


@pytest.mark.parametrize(
    ("time_format", "value", "expected"),
    [
        ("iso", "2026-07-01T00:00:00.5", "2026-06-30 22:00:00.500000"),
        ("iso", "2026-07-01 00:00", "2026-06-30 22:00:00.000000"),
        ("iso", "2026-07-01T00:00:00,123456789Z", "2026-07-01 00:00:00.123456"),
        ("iso", "2026-07-01T00:00:59+05:30", "2026-06-30 18:30:59.000000"),
        ("iso", "2026-07-01T00:00:59 -0230", "2026-07-01 02:30:59.000000"),
        # Both occurrences of the hour in which summer time ends, and an hour that does not exist.
        ("iso", "2026-10-25T02:30:00.000", "2026-10-25 00:30:00.000000"),
        ("iso", "2026-03-29T02:30:00.000", "2026-03-29 01:30:00.000000"),
        ("unix", 1767225600.25, "2026-01-01 00:00:00.250000"),
        ("unix_ms", 1767225600250, "2026-01-01 00:00:00.250000"),
        ("unix", "1767225600", "2026-01-01 00:00:00.000000"),
        ("%d/%b/%Y:%H:%M:%S %z", "03/Nov/2026:02:00:00 +0100", "2026-11-03 01:00:00.000000"),
        ("iso", "2026-11-03t01:59:58z", "2026-11-03 01:59:58.000000"),
        # A leap second is the end of its day, and what is no leap second is refused.
        ("iso", "2016-12-31T23:59:60.5Z", "2016-12-31 23:59:59.999999"),
        ("iso", "2017-01-01T05:29:60+05:30", "2016-12-31 23:59:59.999999"),
    ],
)
def test_times(tmp_path, time_format: str, value, expected: str) -> None:
    found = row(tmp_path, line(time=value, message="x"), parse={"profile": "generic", "time_format": time_format})
    assert (found["time_utc"], found["time_text"]) == (expected, str(value))


@pytest.mark.parametrize(("time_format", "value"), [("unix", "x"), ("unix", None), ("unix", True), ("unix", 1e300), ("%Y", "26")])
def test_odd_times(tmp_path, time_format: str, value) -> None:
    assert refused(tmp_path, line(time=value), parse={"profile": "generic", "time_format": time_format})[0] == "bad_time"


def test_a_generic_line_keeps_every_field(tmp_path) -> None:
    found = row(tmp_path, line(ts="2026-07-01T00:00:00Z", level="warn", a=1, b="x"), parse={"profile": "generic", "time_field": "ts"})
    assert (found["level"], json.loads(found["extra"])) == ("warn", {"a": 1, "b": "x"})


def test_two_fields_exchange_their_names(tmp_path) -> None:
    given = line(time="2026-07-01T00:00:00Z", a=1, b=2, c=3)
    found = row(tmp_path, given, parse={"profile": "generic"}, transform={"rename": {"a": "b", "b": "a", "c": "d"}})
    assert json.loads(found["extra"]) == {"b": 1, "a": 2, "d": 3}


def test_fields_are_renamed_kept_and_encrypted(tmp_path) -> None:
    fernet = pytest.importorskip("cryptography.fernet")
    folder = str(tmp_path / "keyring")
    keyring.create(folder)
    transform = {
        "rename": {"user": "username"},
        "keep": ["level", "sender", "size_bytes", "username"],
        "encrypt": ["username"],
        "keyring": folder,
    }
    found = row(tmp_path, upload(7, username=..., user="alice"), transform=transform)
    assert set(found) == {"table", "time_utc", "time_text", "level", "sender", "size_bytes", "username"}
    import base64

    key = fernet.Fernet(base64.urlsafe_b64encode(keyring.load_current(folder).secret))
    assert key.decrypt(found["username"].encode()) == b"alice"


@pytest.mark.parametrize("long_values", ["truncate", "reject"])
def test_a_token_that_its_column_cannot_hold_is_never_cut(tmp_path, long_values: str) -> None:
    folder = str(tmp_path / "keyring")
    keyring.create(folder)
    wanted = document(tmp_path, parse={"long_values": long_values}, transform={"encrypt": ["username"], "keyring": folder})
    lines = parser.LineParser(wanted)
    assert len(lines.parse(upload(1, username="u" * 100))[1]) > 0
    with pytest.raises(parser.Refused, match="username has 268 characters if it is encrypted; its column takes 255") as raised:
        lines.parse(upload(1, username="u" * 130))
    assert raised.value.reason == "long_value"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("198.51.100.20:50412", ("198.51.100.20", 50412)),
        ("198.51.100.20", ("198.51.100.20", None)),
        ("[2001:db8::5]:443", ("2001:db8::5", 443)),
        ("[2001:db8::5]", ("2001:db8::5", None)),
        ("2001:db8::77", ("2001:db8::77", None)),
        ("", ("", None)),
        ("host:port", ("host:port", None)),
        ("1.2.3.4:99999", ("1.2.3.4:99999", None)),
    ],
)
def test_addresses(text: str, expected: tuple) -> None:
    assert split_address(text) == expected


def test_the_same_rows_without_msgspec(tmp_path, monkeypatch) -> None:
    lines = [upload(number, zone=number) for number in range(3)]
    expected = [row(tmp_path, each) for each in lines]
    monkeypatch.setitem(__import__("sys").modules, "msgspec", None)
    assert [row(tmp_path, each) for each in lines] == expected


def test_a_line_is_judged_the_same_after_others_of_its_kind(tmp_path) -> None:
    """The parser remembers what lines look like; each of these differs a little from the one before."""
    lines = [
        upload(1),
        upload(2, time="2026-11-03T01:59:59.999"),
        upload(3, username="ü" * 255),
        upload(3, username="ü" * 256),
        upload(4, new=1),
        upload(5, virtual_path=...),
        upload(6, virtual_path=..., new=1),
        upload(7, virtual_path=None),
        upload(8, size_bytes=True),
        upload(9, size_bytes="9"),
        upload(10, time="2026-11-03T01:59:60.000"),
        upload(11, time="2026-11-03T01:59:5x.000"),
        upload(12, time="2026-11-03T01:59:58,114"),
        upload(13, time="2026-11-03T01:59:58.\u0663\u0663\u0663"),
        upload(14, remote_addr="198.51.100.20"),
        upload(15, remote_addr="x" * 65),
        line(**FIRST, sender="login", ip="1", username="u", method="m", encrypted=True),
        line(**FIRST, sender="login", ip="1", username="u", method="m", encrypted=False),
    ]
    one = parser.LineParser(document(tmp_path))

    def outcome(parse, text: bytes) -> tuple:
        try:
            return parse(text)
        except parser.Refused as refused:
            return refused.reason, refused.detail

    fresh = [outcome(parser.LineParser(document(tmp_path)).parse, each) for each in lines]
    for _each in range(2):
        assert [outcome(one.parse, each) for each in lines] == fresh
    assert [each[0] for each in fresh].count("sftpgo_transfer") == 9
