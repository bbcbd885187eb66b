# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows as text for LOAD DATA and COPY."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records.tables import Columns
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.copy_text import prepared_text, text_of


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([], ""),
        ([(1, "a", None)], "1\ta\t\\N\n"),
        ([("a", 1), (None, None), ("", -1)], "a\t1\n\\N\t\\N\n\t-1\n"),
        # Escapes, also if another row of the column has none, and the text that stands for NULL.
        ([("plain", "x"), ("a\tb\nc\\d\re", "\\N")], "plain\tx\na\\tb\\nc\\\\d\\re\t\\\\N\n"),
        ([(2**63 - 1, "é\U0001f600\u2028")], "9223372036854775807\té\U0001f600\u2028\n"),
    ],
)
def test_text(rows, text: str) -> None:
    assert text_of(rows) == text.encode()


def test_half_of_a_surrogate_pair() -> None:
    with pytest.raises(UnicodeEncodeError):
        text_of([("\ud800",)])


def test_a_text_that_is_made_before() -> None:
    rows = [(offset, "a\tb", None) for offset in range(5)]
    text = prepared_text(Columns(list(zip(*rows))))
    assert text == text_of(rows) == text_of(Columns(list(zip(*rows)), text))
    # It is refused when it is stored.
    assert prepared_text([("\ud800",)]) is None
