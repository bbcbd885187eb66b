# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""LOG_ARCHIVE_REQUIRE_ALL=1 ('make test'): a test that is skipped fails, so that no missing part goes unnoticed.

A part that this machine lacks belongs into the requirements or into tests/lab/install.sh. ``ALLOWED`` lists what cannot be installed.
"""

from __future__ import annotations

import os
import re
import typing as t

import pytest

ALLOWED = (
    r"the collection's tarball has no ",
    # The data lies outside of the repository.
    r"no real logs beside this checkout",
    # The state of the machine.
    r"this machine has no logs in /var/log that we may read",
    r"this machine writes to its logs all the time",
    r"this kernel lets anybody make hard links",
    r"this file system has no such dates",
    # Python older than the feature.
    r"this interpreter does not list its own modules",
)

Report = t.TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def judged(report: Report) -> Report:
    """The report, as a failure if it is a skip that is not allowed."""
    if os.environ.get("LOG_ARCHIVE_REQUIRE_ALL") != "1" or report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return report
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not re.search("|".join(ALLOWED), reason):
        report.outcome = "failed"
        report.longrepr = "LOG_ARCHIVE_REQUIRE_ALL is set, but this was skipped: %s" % reason
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> t.Generator[None, pytest.TestReport, pytest.TestReport]:
    return judged((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> t.Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return judged((yield))
