# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A line of JSON becomes the same object, or is refused for the same reason, with msgspec and with json."""

from __future__ import annotations

import json
import math

import hypothesis.strategies as st
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records import decode
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records.refused import Refused
from hypothesis import example, given, settings
from rigs.examples import examples

pytest.importorskip("msgspec")

BOTH = (decode.decoder(), decode.decode_with_json)


def outcomes(line: bytes) -> list:
    found = []
    for function in BOTH:
        try:
            found.append(repr(function(line)))
        except Refused as refused:
            found.append((refused.reason, refused.detail))
    return found


def test_msgspec_is_what_the_first_of_both_uses() -> None:
    assert BOTH[0] is not BOTH[1]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"a":1}', "{'a': 1}"),
        (b' {"a" : [1.5e3, null, true, {}]} ', "{'a': [1500.0, None, True, {}]}"),
        (b'{"a":1,"a":2}', "{'a': 2}"),
        (b'{"a":9223372036854775807}', "{'a': 9223372036854775807}"),
        (b'{"a":-9223372036854775808}', "{'a': -9223372036854775808}"),
        (b'{"a":"\\ud83d\\ude00"}', "{'a': '\U0001f600'}"),
        (b'{"a":"\\\\u0000"}', "{'a': '\\\\u0000'}"),
        (b'{"a":1e-400}', "{'a': 0.0}"),
        (b'\xef\xbb\xbf{"a":1}\r', "{'a': 1}"),
    ],
)
def test_what_is_accepted(line: bytes, expected: str) -> None:
    assert outcomes(line) == [expected, expected]


@pytest.mark.parametrize("depth", [decode.MOST_DEPTH + 1, 200, 980, 986, 990, 1000, 100_000])
def test_what_is_nested_too_deeply_is_refused_at_the_same_depth_everywhere(depth: int) -> None:
    """Python cannot encode again all that it can decode: such a line must not end a follower."""
    for start, end in ((b"[", b"]"), (b'{"a":', b"}")):
        inner = depth - 1
        line = b'{"a":' + start * inner + b"1" + end * inner + b"}"
        assert outcomes(line) == [("not_json", "nested too deeply")] * 2
    flat = b'{"a":[' + b",".join([b"{}"] * depth) + b"]}"
    assert all(isinstance(each, str) for each in outcomes(flat))


def test_the_place_in_a_line_that_is_no_json_is_named_once() -> None:
    with pytest.raises(Refused) as raised:
        decode.decode_with_json(b'{"a":"b')
    assert raised.value.detail == "Unterminated string starting at character 5"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "not_json"),
        (b"panic: runtime error", "not_json"),
        (b'{"a":1', "not_json"),
        (b'{"a":1}{"b":2}', "not_json"),
        (b'{"a":"x\0y"}', "not_json"),
        (b'{"a":1}\xef\xbb\xbf', "not_json"),
        (b'{"a":NaN}', "not_json"),
        (b'{"a":-Infinity}', "not_json"),
        (b'{"a":' + b"[" * 100_000, "not_json"),
        (b"[1]", "not_object"),
        (b"null", "not_object"),
        (b'{"a":"\xff"}', "not_utf8"),
        (b'{"a":"\xed\xa0\x80"}', "not_utf8"),
        (b'{"a":9223372036854775808}', "bad_number"),
        (b'{"a":-9223372036854775809}', "bad_number"),
        (b'{"a":[1180591620717411303424]}', "bad_number"),
        (b'{"a":' + b"9" * 10_000 + b"}", "bad_number"),
        (b'{"a":1e999}', "bad_number"),
        (b'{"a":"\\ud800"}', "bad_text"),
        (b'{"\\udfff":1}', "bad_text"),
        (b'{"a":{"b":["\\u0000"]}}', "bad_text"),
        (b'{"\\u0000":1}', "bad_text"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_what_is_refused(line: bytes, reason: str) -> None:
    first, second = outcomes(line)
    assert first == second
    assert first[0] == reason


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 65), 1 << 65) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=examples(150), deadline=None)
@given(st.dictionaries(st.text(), VALUES, max_size=5), st.booleans())
@example({"a": math.pi}, False)
def test_any_object_has_one_outcome(value: dict, escaped: bool) -> None:
    first, second = outcomes(json.dumps(value, ensure_ascii=escaped).encode("utf-8", "surrogatepass"))
    assert first == second


@settings(max_examples=examples(150), deadline=None)
@given(st.text('{}[]":,0123456789.eE+-\\u aNdtrfnlsI\x00\t', max_size=30))
def test_any_text_has_one_outcome(text: str) -> None:
    first, second = outcomes(text.encode())
    assert first == second
