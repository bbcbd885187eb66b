# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plugin of pytest: a test with real hosts, servers or clocks gets a second try, and the failure of the first is printed.

Such a test can fall because another process had the machine for a minute. A unit test cannot, so it has one try. A test that needed its
second try is a fault to find: the summary has its name and its first failure.
"""

from __future__ import annotations

import functools
import pathlib
import typing as t

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
WITH_REAL_PARTS = frozenset({"awx", "faults", "fleet", "integration", "lab", "newest", "search", "sinks", "stores"})


@functools.cache
def has_real_parts(path: pathlib.Path) -> bool:
    """Return whether the tests of this file use real hosts, servers or clocks."""
    return path.is_relative_to(TESTS) and path.relative_to(TESTS).parts[0] in WITH_REAL_PARTS


def pytest_collection_modifyitems(items: t.List[pytest.Item]) -> None:
    """Give each test with real parts a second try."""
    for item in items:
        if has_real_parts(item.path):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the first failure of each test that had a second try."""
    reports = terminalreporter.getreports("rerun")
    if reports:
        terminalreporter.section("tests with a second try: each is a fault to find")
    for report in reports:
        terminalreporter.write_sep("_", report.nodeid)
        terminalreporter.write_line(report.longreprtext)
