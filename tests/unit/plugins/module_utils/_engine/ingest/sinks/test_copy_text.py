# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows as text for LOAD DATA and COPY."""

from __future__ import annotations

import types
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.checkpoint import Batch
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records.tables import Columns
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks import sql
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.copy_text import text_of


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


def test_a_text_that_is_made_before_has_the_generation() -> None:
    rows = [(offset, "a\tb", None) for offset in range(sql.FEW)]
    columns = Columns(list(zip(*rows)))
    expected = text_of([(7, *row) for row in rows])
    sql._add_texts(Batch(0, t.cast(t.Any, types.SimpleNamespace(id=7)), {"many": columns, "few": Columns([(1,), ("\ud800",)])}))
    assert columns.text == expected == text_of(sql._with_generation(7, columns))
    assert list(columns) == rows
    half = Columns([(1,) * sql.FEW, ("\ud800",) * sql.FEW])
    sql._add_texts(Batch(0, t.cast(t.Any, types.SimpleNamespace(id=7)), {"many": half}))
    assert half.text is None
