# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One search server at a time, empty at the begin of a test. It has little room for requests, so that it answers 429 now and then."""

from __future__ import annotations

import contextlib
import pathlib
import typing as t

import pytest
from lab.https import Authority
from lab.search import SearchNode, search_node
from rigs.databases import started

SETTINGS = {"indexing_pressure__memory__limit": "150kb", "action__destructive_requires_name": "false"}


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session", params=["opensearch", "elasticsearch"])
def running_node(request, tmp_path_factory) -> t.Iterator[SearchNode]:
    with contextlib.ExitStack() as stack:
        folder = tmp_path_factory.mktemp(request.param)
        yield started(search_node(request.param, folder, **SETTINGS), stack)


@pytest.fixture
def node(running_node: SearchNode) -> SearchNode:
    running_node.clear()
    return running_node


@pytest.fixture
def logs(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"
