# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every module by its integration target; those that know stores also together, on a real S3 server and a real SFTP server."""

from __future__ import annotations

import importlib.util
import io
import os
import pathlib
import typing as t
import uuid
import zipfile

import lab
import pytest
from lab import quick_ansible
from lab.https import https_server
from lab.quick_ansible.warm import WarmAnsible

_spec = importlib.util.spec_from_file_location("integration_run", pathlib.Path(__file__).with_name("run.py"))
assert _spec is not None and _spec.loader is not None
runner = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(runner)

NEED_SERVERS = ("web_dump", "archive_stores")


@pytest.fixture(scope="module")
def ansible(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[WarmAnsible]:
    """Runs the targets of this module."""
    folder = tmp_path_factory.mktemp("targets")
    environment = dict(os.environ, **quick_ansible.environment(), **runner.environment(folder))
    warm = WarmAnsible([], environment, folder / "warm-ansible.log", ["boto3", "botocore.client", "paramiko"])
    yield warm
    warm.close()


@pytest.fixture
def passes(ansible: WarmAnsible, tmp_path: pathlib.Path) -> t.Callable[..., None]:
    """Call with a target and its variables."""

    def run(target: str, **variables: t.Any) -> None:
        result = ansible.run(runner.prepare(target, tmp_path, variables), str(tmp_path))
        assert result.returncode == 0, result.stdout + result.stderr

    return run


@pytest.mark.parametrize("target", [name for name in runner.names() if name not in NEED_SERVERS])
def test_target(target: str, passes: t.Callable[..., None]) -> None:
    passes(target)


def test_web_dump(tmp_path: pathlib.Path, passes: t.Callable[..., None]) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("dump.sql", b"insert;\n" * 1000)
        archive.writestr(zipfile.ZipInfo("readme", (2020, 1, 1, 0, 0, 0)), b"old")
    with https_server(tmp_path / "server", client_certificate=True) as server:
        server.files["/export.zip"] = data.getvalue()
        server.login = ("dump", "secret")
        certificate, key = server.authority.issue("client")
        web = {
            "url": server.url(),
            "ca_bundle": server.authority.certificate_file,
            "client_certificate": certificate,
            "client_key": key,
            "user": "dump",
            "password": "secret",
        }
        passes("web_dump", web=web)


def test_target_on_s3(passes: t.Callable[..., None], swift: lab.S3Server, bucket: str) -> None:
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
    passes("archive_stores", store=store)


def test_target_on_sftp(passes: t.Callable[..., None], openssh: lab.SftpServer) -> None:
    store = {
        "type": "sftp",
        "host": openssh.host,
        "port": openssh.port,
        "user": openssh.user,
        "path": "store-%s" % uuid.uuid4().hex,
        "private_key_file": openssh.private_key_file,
        "host_key": openssh.host_key,
    }
    passes("archive_stores", store=store)
