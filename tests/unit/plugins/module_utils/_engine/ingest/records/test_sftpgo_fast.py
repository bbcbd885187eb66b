# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fast way to rows gives what the other one gives, for usual and for odd lines."""

from __future__ import annotations

import functools
import itertools
import json
import random
import typing as t
from datetime import datetime, timedelta

import hypothesis.strategies as st
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.generate.sftpgo import generate_lines
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records import parser, times
from hypothesis import given, settings
from rigs.examples import examples
from rigs.streams import document, line, upload

pytest.importorskip("msgspec")
ODD = [
    upload(2**63 - 1),
    upload(2**63),
    upload(-(2**63)),
    upload(-(2**63) - 1),
    upload(size_bytes=1.0),
    upload(size_bytes=True),
    upload(size_bytes=None),
    upload(size_bytes="1"),
    upload(size_bytes=...),
    upload(username=None),
    upload(username="u" * 255),
    upload(username="u" * 256),
    upload(username="\U0001f600" * 255),
    upload(remote_addr=None),
    upload(remote_addr=5),
    upload(remote_addr=""),
    upload(remote_addr=":22"),
    upload(remote_addr="a" * 64 + ":22"),
    upload(remote_addr="a" * 65),
    upload(remote_addr="[2001:db8::1]:22"),
    upload(new=1),
    upload(level=None),
    upload(level="notice"),
    upload(level="l" * 33),
    upload(protocol="SMB"),
    upload(protocol=""),
    upload(protocol=None),
    upload(protocol=1),
    upload(protocol="p" * 33),
    upload(error=""),
    upload(time=None),
    upload(time=...),
    upload(time=5),
    upload(time="x"),
    upload(sender=None),
    upload(time="2026-11-03T02:00:60.000"),
    upload(time="2026-11-03T02:00:0١.000"),
    upload(time="2026-03-29T02:30:00.000"),
    upload(time="2026-02-30T02:30:00.000"),
    upload(time="2026-11-03 02:00"),
    upload(time="2026-11-03T25:00:00.000"),
    upload(time="2026-11-03T01:59+01.114"),
    upload(time="2026-11-03T01:59+01:00"),
    upload(time="2026-11-03T01:59:58.11"),
    upload(time="2026-11-03T01:59:58.1144"),
    upload(time="2026-11-03T01:59:58"),
    upload(time="2026-11-03T01:59:58.114Z"),
    upload(time="x" * 65),
    upload(file_path="\\u0041\n\x7f\u2028"),
    upload(connection_id="a\tb"),
    line(sender="Upload"),
    line(sender="nobody", message=5),
    line(time="2026-11-03T02:00:00.000", sender="Rename", virtual_target_path="/a", remote_addr=":22", uid=-1, filemode=""),
    line(time="2026-11-03T02:00:00.000", sender="Rename", virtual_target_path="", remote_addr="", uid=0, filemode="-1"),
    upload().replace(b'"alice"', b'"al\\u0069ce"'),
    upload().replace(b'"alice"', b'"al\\u0000ice"'),
    upload().replace(b'"alice"', b'"\\ud800"'),
    upload().replace(b'"alice"', b'"al\xffice"'),
    upload().replace(b'"alice"', b'"al\x01ice"'),
    upload().replace(b'"username"', b'"user\\u006eame"'),
    upload()[:-1] + b',"username":"bob"}',
    upload()[:-1] + b',"sender":"Download"}',
    upload()[:-1] + b',"sender":"login"}',
    upload() + b" ",
    upload() + b"x",
    b" " + upload(),
    b'{"x":{"sender":"Upload"},' + upload()[1:],
    b'{"x":"\\"sender\\":\\"login\\"",' + upload()[1:],
    upload().replace(b'"sender":"Upload"', b'"sender":"login"'),
    upload().replace(b'"sender":"Upload"', b'"sender":"Rename"'),
    b"[]",
    b"",
    b'{"sender":"',
    b'{"time":"2026-11-03T02:00:00.000","sender":"sftpd","message":"m","level":"debug"}',
    b'{"time":"2026-11-03T02:00:00.000","sender":"%s","message":"m","level":"debug"}' % (b"s" * 64),
    b'{"time":"2026-11-03T02:00:00.000","sender":"%s","message":"m","level":"debug"}' % (b"s" * 65),
    json.dumps(json.loads(upload())).encode(),
]


@functools.cache
def lines() -> t.List[bytes]:
    """Made on the first use, because each process imports this file."""
    return [each.text.encode().rstrip(b"\n") for each in itertools.islice(generate_lines(7, datetime(2026, 3, 28)), 4000)]


@functools.cache
def kinds() -> t.Dict[str, bytes]:
    """The last line of each sender."""
    return {sender: each for each in lines() for sender in [json.loads(each)["sender"]]}


@pytest.fixture(scope="module", params=[{}, {"long_values": "truncate"}, {"new_fields": "reject", "timezone": "UTC"}], ids=str)
def parsers(request, tmp_path_factory):
    wanted = document(tmp_path_factory.mktemp("stream"), parse=request.param)
    fast, other = parser.LineParser(wanted), parser.LineParser(wanted)
    assert fast._fast is not None
    other._fast = None
    return fast, other


def result(one, *texts):
    rows, refused = one.parse_lines(list(enumerate(texts)))
    shown = {
        table: sorted([[(value.__class__, value) for value in row] for row in found], key=lambda row: row[0][1])
        for table, found in rows.items()
    }
    return shown, sorted((line, error.reason, error.detail) for line, error in refused)


def assert_same(parsers, text):
    assert result(parsers[0], text) == result(parsers[1], text), text


def test_usual_lines_are_parsed_the_fast_way_and_alike(parsers) -> None:
    for text in lines():
        assert parsers[0]._fast([(0, text)])[1] == []
        assert_same(parsers, text)


def test_many_lines_at_once(parsers) -> None:
    assert parsers[0]._fast(list(enumerate(lines())))[1] == []
    for texts in (lines(), ODD, [*lines()[:200], *ODD, *lines()[:200]]):
        assert result(parsers[0], *texts) == result(parsers[1], *texts)


@pytest.mark.parametrize("odd", [{"level": "notice"}, {"protocol": "SMB"}, {"ftp_mode": "auto"}])
def test_lines_with_new_names_are_parsed_the_fast_way_too(parsers, odd) -> None:
    texts = [upload(number, **odd if number % 3 else {}) for number in range(10)]
    assert parsers[0]._fast(list(enumerate(texts)))[1] == []
    assert result(parsers[0], *texts) == result(parsers[1], *texts)


@pytest.mark.parametrize("hours", [1, times.FEW_HOURS, times.FEW_HOURS + 1])
def test_lines_of_many_hours_at_once(parsers, hours: int) -> None:
    """They begin in the hour in which summer time begins."""
    start = datetime(2026, 3, 29, 1, 59, 59, 500_000)
    texts = [upload(number, time=(start + timedelta(hours=number % hours)).isoformat("T", "milliseconds")) for number in range(100)]
    assert parsers[0]._fast(list(enumerate(texts)))[1] == []
    assert result(parsers[0], *texts) == result(parsers[1], *texts)


@pytest.mark.parametrize("field", ["sender", "message", "remote_addr", "level", "not a name"])
def test_a_time_field_that_has_another_meaning_too(tmp_path, field: str) -> None:
    wanted = document(tmp_path, parse={"time_field": field})
    text = line(**{"time": "12:00", "sender": "common", "message": "m", "level": "debug", field: "2026-11-03T02:00:00.000"})
    assert parser.LineParser(wanted)._fast is None
    assert len(result(parser.LineParser(wanted), text)[0].get("sftpgo_application", [])) == (field != "sender")


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_odd_lines(parsers, text) -> None:
    assert_same(parsers, text)


@settings(max_examples=examples(300), deadline=None)
@given(st.deferred(lambda: st.sampled_from(sorted(kinds()))), st.randoms(use_true_random=False))
def test_lines_with_random_changes(parsers, sender: str, chance: random.Random) -> None:
    fields = json.loads(kinds()[sender])
    for _each in range(chance.randrange(3)):
        name = chance.choice([*fields, "new", "error", "message"])
        fields[name] = chance.choice(
            ["", "x" * 300, 0, -1, 1.5, True, None, 2**64, [], {"a": 1}, "Upload", "é", "\0", "2026-10-25T02:30:00.500"]
        )
        if chance.random() < 0.3:
            del fields[chance.choice([*fields])]
    text = bytearray(json.dumps(fields, ensure_ascii=chance.random() < 0.5, separators=(",", ":")).encode())
    for _each in range(chance.choice([0, 0, 1, 2])):
        text[chance.randrange(len(text))] = chance.randrange(256)
    assert_same(parsers, bytes(text))
