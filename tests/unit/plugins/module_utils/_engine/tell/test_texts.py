# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text that is safe to show, and of limited length."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import texts
from hypothesis import given, strategies as st


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \u00fc \u4e2d", "plain \u00fc \u4e2d"),
        ("two\nlines", "two\nlines"),
        ("\x1b[2J\r\x07", r"\x1b[2J\r\x07"),
        ("\udcff", r"\udcff"),
        ("\u202e", r"\u202e"),
    ],
)
def test_what_could_control_a_terminal_is_escaped(text, shown):
    assert texts.printable(text) == shown


def test_one_line():
    assert texts.one_line("a\nb\x1b") == r"a b\x1b"


@given(st.text())
def test_any_text_becomes_utf8_without_control_characters(text):
    shown = texts.printable(text)
    shown.encode("utf-8")
    assert all(character.isprintable() or character == "\n" for character in shown)


def test_a_text_is_cut_after_a_whole_line():
    assert texts.cut("one\ntwo", 7) == "one\ntwo"
    assert texts.cut("one\ntwo\nthree", 12) == "one\n(cut)"
    assert texts.cut("a single long line", 12) == "a sing\n(cut)"


@given(st.text(), st.integers(min_value=len(texts.CUT) + 1, max_value=50))
def test_a_cut_text_is_never_longer_than_the_limit(text, limit):
    cut = texts.cut(text, limit)
    assert len(cut) <= limit
    assert cut == text or cut.endswith(texts.CUT)
