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
        # Columns with one value, at the edges and between them, and rows that are all the same.
        ([(1, 2, "a", None, "x", None), (1, 2, "b", None, "y", None)], "1\t2\ta\t\\N\tx\t\\N\n1\t2\tb\t\\N\ty\t\\N\n"),
        ([(5, "a", 7), (6, "a", 8)], "5\ta\t7\n6\ta\t8\n"),
        ([("", 0, None)] * 3, "\t0\t\\N\n" * 3),
        # NULL among numbers, and among texts of which some are empty.
        ([(1, None, ""), (1, 0, None), (1, 3, "")], "1\t\\N\t\n1\t0\t\\N\n1\t3\t\n"),
        # Escapes in a column with one value, and beside NULL.
        ([("\t", None, "\\"), ("\t", 4, None)], "\\t\t\\N\t\\\\\n\\t\t4\t\\N\n"),
        ([("\r", 1), ("\r", 2)], "\\r\t1\n\\r\t2\n"),
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
