# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Count the work of an action, so that a test can show how it grows without measuring time."""

from __future__ import annotations

import sys
import typing as t


def calls_of(action: t.Callable[[], t.Any]) -> int:
    """How many functions, of Python or C, the action calls."""
    calls = 0

    def count(_frame: t.Any, event: str, _argument: t.Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(before)
    return calls


def sqlite_steps_of(connection: t.Any, action: t.Callable[[], t.Any]) -> int:
    """How many instructions of SQLite's virtual machine the action takes."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(count, 1)
    try:
        action()
    finally:
        connection.set_progress_handler(None, 0)
    return steps


def assert_linear(work: t.Callable[[int], int]) -> None:
    """The work for one more item is the same at 40 items and at 80. Quadratic work doubles; a third is tolerated."""
    at_20, at_40, at_80 = (work(count) for count in (20, 40, 80))
    assert (at_80 - at_40) / 40 <= 1.33 * (at_40 - at_20) / 20, (at_20, at_40, at_80)
