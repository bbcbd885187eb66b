# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run is deleting is written down, and a run that was killed meanwhile is completed."""

from __future__ import annotations

import os
import pathlib

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state import folders, removals


def test_what_was_written_down_is_read_again_until_it_is_done(tmp_path: pathlib.Path) -> None:
    path = folders.removals_path(str(tmp_path), "syslog")
    one = removals.Removal("/var/log", os.fsdecode(b"app/\xff\n.log"), 5, 7, ".log-archive-x.removed")
    assert removals.unfinished(path) == []
    removals.begin(path, [one])
    assert removals.unfinished(path) == [one]
    removals.keep(path, [one])
    assert removals.unfinished(path) == [one]
    removals.keep(path, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", "[[1]]", "5", "\udcff"])
def test_a_damaged_file_is_an_error_that_says_what_to_look_for(tmp_path: pathlib.Path, content: str) -> None:
    path = tmp_path / "syslog.removals.json"
    path.write_bytes(os.fsencode(content))
    with pytest.raises(LogArchiveError, match=r"log-archive-\*.removed") as caught:
        removals.unfinished(str(path))
    assert str(path) in str(caught.value)
