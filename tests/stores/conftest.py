# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stores of each kind for tests that use several."""

from __future__ import annotations

import os
import pathlib

import pytest


@pytest.fixture
def options(tmp_path, swift, bucket, openssh):
    """The options of a store by its name: the kind, and a number for the second of its kind."""
    pytest.importorskip("boto3")
    pytest.importorskip("paramiko")
    folder = pathlib.Path(openssh.root_folder, "sync-" + os.urandom(6).hex())
    folder.mkdir()
    common = {
        "file": {},
        "s3": {
            "bucket": bucket,
            "endpoint_url": swift.endpoint_url,
            "access_key_id": swift.access_key,
            "secret_access_key": swift.secret_key,
            "addressing_style": "path",
            "checksum_calculation": "when_required",
        },
        "sftp": {
            "host": openssh.host,
            "port": openssh.port,
            "user": openssh.user,
            "private_key_file": openssh.private_key_file,
            "host_key": openssh.host_key,
        },
    }

    def of(name):
        kind = name.partition("-")[0]
        place = {"file": {"path": str(tmp_path / name)}, "s3": {"prefix": name}, "sftp": {"path": str(folder / name)}}
        return {"type": kind, "name": name, **common[kind], **place[kind]}

    return of
