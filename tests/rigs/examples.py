# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many examples Hypothesis makes, and how many cases of a test there are.

Another interpreter breaks code that runs at all, not a rare example: so the oldest Python runs each test function with the first and the
last of its cases and with a tenth of the examples. All of them run on the other Pythons.
"""

from __future__ import annotations

import sys
import typing as t

import pytest

OLDEST = sys.version_info < (3, 10)


def examples(number: int) -> int:
    """As many, or a tenth of them on the oldest Python."""
    return max(5, number // 10) if OLDEST else number


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: t.List[pytest.Item]) -> None:
    """On the oldest Python, deselect what is between the first and the last case of each test function."""
    if not OLDEST:
        return
    cases: t.Dict[str, t.List[pytest.Item]] = {}
    for item in items:
        cases.setdefault(item.nodeid.split("[")[0], []).append(item)
    deselected = {item for found in cases.values() for item in found[1:-1]}
    config.hook.pytest_deselected(items=[item for item in items if item in deselected])
    items[:] = [item for item in items if item not in deselected]
