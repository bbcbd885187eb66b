# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of reports: whole or not at all, and never in place of something that is no file."""

from __future__ import annotations

import os
import pathlib
import stat

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import report_file


def test_a_report_replaces_one_of_before_and_is_private(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "report.html"
    for text in ("first", "caf\u00e9 \udcff"):
        report_file.write(str(path), text)
        assert path.read_bytes() == text.encode("utf-8", "surrogateescape")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_pipe_is_not_replaced(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LogArchiveError, match="pipe: cannot write the page: it is not a file"):
        report_file.write(str(tmp_path / "pipe"), "text", "page")
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)


def test_a_report_that_cannot_be_written_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(LogArchiveError, match="nowhere/report: cannot write the report: No such file or directory"):
        report_file.write(str(tmp_path / "nowhere" / "report"), "text")
