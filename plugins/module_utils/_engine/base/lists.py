# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists in messages, which must stay readable however long the list is."""

from __future__ import annotations

import typing as t

MOST = 10
"""Items of a list that a message names. Their number is always stated, and the JSON output has all of them."""


def some(items: t.Sequence[str], most: int = MOST, separator: str = ", ") -> str:
    """The first of the items, and how many more there are: "a, b and 9967 more"."""
    text = separator.join(items[:most])
    return text if len(items) <= most else "%s and %d more" % (text, len(items) - most)
