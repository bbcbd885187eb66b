# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real hosts as fixtures."""

from __future__ import annotations

import os
import pathlib
import typing as t

import lab
import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: t.List[pytest.Item]) -> None:
    """The tests of a file use the same hosts one after the other: with pytest-xdist one worker gets them all (--dist=loadgroup)."""
    here = str(pathlib.Path(__file__).parent) + os.sep
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="session")
def fleet_factory(
    start_session_part: t.Callable[[t.ContextManager[t.Any]], t.Any], tmp_path_factory: pytest.TempPathFactory
) -> t.Callable[..., lab.Fleet]:
    """Call with lab.fleet's names of hosts for a fleet that stays until the session ends."""
    return lambda **hosts: start_session_part(lab.fleet(tmp_path_factory.mktemp("fleet"), **hosts))


@pytest.fixture(scope="module")
def host(start_part: t.Callable[[t.ContextManager[t.Any]], t.Any], tmp_path_factory: pytest.TempPathFactory) -> lab.Host:
    """A fresh light host of this module's own, alone with the controller (``host.fleet``)."""
    fleet: lab.Fleet = start_part(lab.fleet(tmp_path_factory.mktemp("fleet"), light=("web1",)))
    return fleet.hosts["web1"]
