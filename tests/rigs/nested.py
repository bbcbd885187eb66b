# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nested dicts and lists with one value replaced."""

from __future__ import annotations

import copy
import typing as t


def replaced(value: t.Any, path: t.Sequence[t.Any], new: t.Any) -> t.Any:
    """A copy of nested dicts and lists with another value at this path; the empty path is the whole."""
    if not path:
        return new
    changed = copy.deepcopy(value)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = new
    return changed
