# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host of the tests of runs."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest
from rigs.host import Host


@pytest.fixture
def host(tmp_path):
    """A host in a folder in memory, if the machine has one with room: hundreds of runs need not wait for a disk."""
    # A container's is small by default, and other tests use it.
    if not os.access("/dev/shm", os.W_OK) or shutil.disk_usage("/dev/shm").free < 32 << 20:
        yield Host(tmp_path)
        return
    with tempfile.TemporaryDirectory(prefix="log-archive-test-", dir="/dev/shm") as folder:
        yield Host(folder)
