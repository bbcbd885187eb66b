# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file of CloudTrail as lines with one record each."""

from __future__ import annotations

import json

import hypothesis.strategies as st
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit import envelope
from hypothesis import given
from rigs.aws_logs import log_file, record

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.lists(st.dictionaries(st.text(), _VALUES, max_size=4), max_size=5), st.integers(1, 40), st.sampled_from([None, 1]), st.booleans())
def test_a_file_becomes_lines_of_the_same_records_at_their_places(records, step, indent, ascii_only):
    data = json.dumps({"Records": records}, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "replace")
    begin = envelope.begin_of(data)
    splitter = envelope.Splitter(begin)
    lines = b"".join(splitter.feed(data[at : at + step]) for at in range(0, len(data), step))
    assert len(lines) == len(data)
    found = [each for each in lines.split(b"\n") if each.strip()]
    assert [json.loads(each) for each in found] == json.loads(data)["Records"]
    # Each byte keeps its place.
    assert all(new == old or new in b" \n" for new, old in zip(lines, data))


def test_what_follows_the_records_is_no_record():
    data = log_file([record()]) + b' {"more": 1}'
    lines = envelope.Splitter(envelope.begin_of(data)).feed(data).split(b"\n")
    assert json.loads(lines[0]) == record()
    assert lines[1].strip() == b'{"more": 1'


@pytest.mark.parametrize("data", [b"", b"{", b'{"eventVersion":"1.11"}', b'{"Records":{}}', b'[{"Records":[]}]'])
def test_other_files_are_no_files_of_cloudtrail(data):
    assert envelope.begin_of(data) is None
