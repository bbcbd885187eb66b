# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Inputs that are lists, or texts with commas."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.filter.comma_list import comma_list


@pytest.mark.parametrize(
    ("given", "items"),
    [("", []), (None, []), (False, []), ([], []), ("a", ["a"]), (" a, b ,,c ", ["a", "b", "c"]), (["a, b", "c"], ["a, b", "c"])],
)
def test_a_text_is_split_at_its_commas_and_a_list_is_not(given: t.Any, items: t.List[str]) -> None:
    assert comma_list(given) == items
