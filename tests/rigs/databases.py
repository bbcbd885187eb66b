# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A sink in a database server of the lab."""

from __future__ import annotations

import contextlib
import typing as t

import lab
import pytest
from lab.databases import DatabaseServer


class Place:
    """Where a sink is. sink: its options; rows: the result of a SELECT in it."""

    def __init__(self, sink: t.Dict[str, t.Any], rows: t.Callable[[str], t.List[t.List[str]]], server: t.Optional[DatabaseServer]) -> None:
        self.sink = sink
        self.rows = rows
        self.server = server


def started(part: t.ContextManager[t.Any], stack: contextlib.ExitStack) -> t.Any:
    try:
        return stack.enter_context(part)
    except lab.Unavailable as reason:
        pytest.skip(str(reason))
