# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows that are kept compressed: they are what a list of them would be."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import rows
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.rows import OF_A_BLOCK, Rows, rows_of
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.staging import ExtractedFile

COUNTS = [0, 1, OF_A_BLOCK - 1, OF_A_BLOCK, OF_A_BLOCK + 1, 3 * OF_A_BLOCK + 7]


def sources(count: int) -> t.List[t.Any]:
    return [{"path": "/a\udcff\n%d" % number, "size": number, "data": [[0, 1]]} for number in range(count)]


@pytest.mark.parametrize("count", COUNTS)
def test_rows_are_what_a_list_is(count: int) -> None:
    listed = sources(count)
    kept = Rows(rows=listed)
    assert (list(kept), len(kept), list(kept)) == (listed, count, listed)
    assert kept == listed and listed == kept and kept == Rows(rows=listed)
    assert b"[%s]" % b",".join(kept.texts()) == rows.canonical(listed).encode()
    assert all(row in kept for row in listed) and {"path": "/b"} not in kept


@pytest.mark.parametrize("count", COUNTS[1:])
def test_rows_that_differ_are_not_equal(count: int) -> None:
    kept = Rows(rows=sources(count))
    other = sources(count)
    other[-1]["size"] = -1
    for different in (other, other[:-1], sources(count + 1), Rows(rows=other), Rows(rows=other[:-1])):
        assert kept != different and different != kept
    assert kept != "text" and kept != None  # noqa: E711


@pytest.mark.parametrize("count", COUNTS)
def test_packed_rows_are_unpacked(count: int) -> None:
    kept = Rows(rows=sources(count))
    again: Rows[t.Any] = Rows()
    again.unpack(memoryview(b"".join(kept.packed())), count)
    again.append({"path": "/last"})
    assert again == [*kept, {"path": "/last"}]


def test_packed_rows_that_are_cut_are_refused() -> None:
    data = b"".join(Rows(rows=sources(OF_A_BLOCK + 1)).packed())
    for length in (1, 5, len(data) - 1):
        with pytest.raises(ValueError, match="cut"):
            Rows().unpack(memoryview(data)[:length], OF_A_BLOCK + 1)


def test_named_tuples_are_made_again() -> None:
    files = [ExtractedFile("/to/a", "a", 1, "0" * 64, "written")] * 2
    assert list(Rows(ExtractedFile._make, files)) == files


def test_few_rows_are_a_list() -> None:
    assert isinstance(rows_of(iter([1, 2]), 2), list)
    assert isinstance(rows_of(iter([1, 2]), rows.MANY + 1), Rows)
