# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text that is safe to show."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import errors, texts
from hypothesis import given, strategies as st


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \u00fc \u4e2d", "plain \u00fc \u4e2d"),
        ("two\nlines", "two\nlines"),
        ("\x1b[2J\r\x07", r"\x1b[2J\r\x07"),
        ("\udcff", r"\xff"),
        ("\ud800", r"\ud800"),
        ("\u202e", r"\u202e"),
    ],
)
def test_what_could_control_a_terminal_is_escaped(text, shown):
    assert texts.printable(text) == shown


def test_one_line():
    assert texts.line("a\nb\x1b") == r"a\nb\x1b"
    assert texts.lines(["a\nok  forged", "b"]) == "a\\nok  forged\nb"


@given(st.text())
def test_any_text_becomes_utf8_without_control_characters(text):
    shown = texts.printable(text)
    shown.encode("utf-8")
    assert all(character.isprintable() or character == "\n" for character in shown)


def test_an_error_cannot_be_used_to_write_lines_or_to_control_a_terminal():
    error = errors.ConfigError("m\n\x1b", "s\r", "h\x07", ["p\n", "q"])
    assert str(error) == "s\\r: m\\n\\x1b. h\\x07\n  - p\\n\n  - q"
    assert error.message == "m\n\x1b"
