# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures of the fault tests; the servers come from tests/conftest.py."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t
from datetime import datetime

import pytest
from rigs.host import ENGINE_PATH, NOW, Host


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    """A host with a file store."""
    return Host(tmp_path / "host")


class Killer:
    """Runs of a job that are killed; see killer.py."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, os.path.join(os.path.dirname(__file__), "killer.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(os.environ, PYTHONPATH=ENGINE_PATH),
        )

    def run(self, document: t.Dict[str, t.Any], now: datetime = NOW, **how: t.Any) -> t.Dict[str, t.Any]:
        """One run in its own process: {killed, steps, recap, error}."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(dict(how, document=document, now=now.isoformat())) + "\n")
        self._process.stdin.flush()
        return t.cast(t.Dict[str, t.Any], json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="session")
def killer() -> t.Iterator[Killer]:
    """The program killer.py, running."""
    started = Killer()
    yield started
    started.close()
