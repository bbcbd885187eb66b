# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every module by its integration target, those that know stores also on a real S3 server and a real SFTP server."""

from __future__ import annotations

import importlib.util
import pathlib
import typing as t
import uuid

import lab
import pytest

_spec = importlib.util.spec_from_file_location("integration_run", pathlib.Path(__file__).with_name("run.py"))
assert _spec is not None and _spec.loader is not None
runner = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(runner)

ON_SERVERS = ("archive_upload", "archive_verify", "archive_restore", "archive_prune")


def passes(target: str, folder: pathlib.Path, variables: t.Mapping[str, t.Any]) -> None:
    result = runner.run(target, folder, variables)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("target", runner.names())
def test_target(target: str, tmp_path: pathlib.Path) -> None:
    passes(target, tmp_path, {})


@pytest.mark.parametrize("target", ON_SERVERS)
def test_target_on_s3(target: str, tmp_path: pathlib.Path, swift: lab.S3Server, bucket: str) -> None:
    store = {
        "type": "s3",
        "bucket": bucket,
        "prefix": "fleet",
        "endpoint_url": swift.endpoint_url,
        "region": swift.region,
        "access_key_id": swift.access_key,
        "secret_access_key": swift.secret_key,
        "addressing_style": "path",
    }
    passes(target, tmp_path, {"store": store})


@pytest.mark.parametrize("target", ON_SERVERS)
def test_target_on_sftp(target: str, tmp_path: pathlib.Path, openssh: lab.SftpServer) -> None:
    store = {
        "type": "sftp",
        "host": openssh.host,
        "port": openssh.port,
        "user": openssh.user,
        "path": "store-%s" % uuid.uuid4().hex,
        "private_key_file": openssh.private_key_file,
        "host_key": openssh.host_key,
    }
    passes(target, tmp_path, {"store": store})
