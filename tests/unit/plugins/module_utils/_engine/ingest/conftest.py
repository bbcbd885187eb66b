# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folder that the stream of ``rigs.streams`` follows."""

from __future__ import annotations

import pathlib

import pytest


@pytest.fixture
def logs(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"
