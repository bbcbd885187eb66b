# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists in messages."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.lists import first, some, spans


def test_some_names_the_first_and_counts_the_rest():
    assert some(["a", "b"]) == "a, b"
    assert some(list("abc"), 2, "; ") == "a; b and 1 more"


def test_the_first_rows_and_the_number_of_the_others():
    assert first(list("abc"), 3) == list("abc")
    assert first(list("abcd"), 3) == ["a", "b", "c", "and 1 more; the JSON output lists all"]


@pytest.mark.parametrize(
    ("periods", "text"),
    [
        ([("1", "2")], "1 to 2"),
        ([("1", "2"), ("2", "3"), ("3", "4")], "1 to 4 (3 periods)"),
        ([("1", "2"), ("2", "3"), ("7", "8")], "1 to 3 (2 periods), 7 to 8"),
    ],
)
def test_periods_that_follow_each_other_are_one_span(periods, text):
    assert spans(periods) == text


def test_many_spans_are_counted():
    assert spans([(str(number), str(number + 1)) for number in range(0, 40, 2)]).endswith("18 to 19 and 10 more")
