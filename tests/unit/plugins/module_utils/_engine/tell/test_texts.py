# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text of limited length."""

from __future__ import annotations

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import texts
from hypothesis import given, strategies as st


def test_a_text_is_cut_after_a_whole_line():
    assert texts.cut("one\ntwo", 7) == "one\ntwo"
    assert texts.cut("one\ntwo\nthree", 12) == "one\n(cut)"
    assert texts.cut("a single long line", 12) == "a sing\n(cut)"


@given(st.text(), st.integers(min_value=len(texts.CUT) + 1, max_value=50))
def test_a_cut_text_is_never_longer_than_the_limit(text, limit):
    cut = texts.cut(text, limit)
    assert len(cut) <= limit
    assert cut == text or cut.endswith(texts.CUT)
