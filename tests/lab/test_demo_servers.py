# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo's servers start, take files, and still have them when they are started again."""

from __future__ import annotations

import pathlib
import runpy
import typing as t

import pytest

paramiko = pytest.importorskip("paramiko")
pytest.importorskip("asyncssh")

DEMO = pathlib.Path(__file__).resolve().parents[2] / "demo" / "servers.py"


@pytest.fixture
def servers() -> t.Dict[str, t.Any]:
    if not DEMO.exists():
        pytest.skip("the collection's tarball has no demo")
    return runpy.run_path(str(DEMO))


def test_the_sftp_server_keeps_its_files(servers: t.Dict[str, t.Any], tmp_path: pathlib.Path) -> None:
    for mode, content in (("wx", b"content"), ("r", b"content")):
        with servers["sftp_server"](tmp_path) as server, paramiko.SSHClient() as client:
            client.load_host_keys(server.known_hosts_file)
            client.connect(
                server.host, server.port, server.user, key_filename=server.private_key_file, look_for_keys=False, allow_agent=False
            )
            with client.open_sftp() as sftp, sftp.open("/kept", mode) as stream:
                if mode == "r":
                    assert stream.read() == content
                else:
                    stream.write(content)
            assert (pathlib.Path(server.root_folder) / "kept").read_bytes() == content


def test_the_web_server_gives_its_files_to_who_trusts_its_certificate(servers: t.Dict[str, t.Any], tmp_path: pathlib.Path) -> None:
    import http.client
    import ssl

    with servers["https_server"](tmp_path) as server:
        (pathlib.Path(server.root_folder) / "export.zip").write_bytes(b"content")
        context = ssl.create_default_context(cafile=server.ca_bundle)
        # As Python 3.13 does by itself.
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        address = server.url.rpartition("/")[2]
        connection = http.client.HTTPSConnection(address, context=context, timeout=60)
        connection.request("GET", "/export.zip")
        assert connection.getresponse().read() == b"content"
        connection.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            http.client.HTTPSConnection(address, timeout=60).connect()


def test_the_s3_server_keeps_its_objects(servers: t.Dict[str, t.Any], tmp_path: pathlib.Path, request: pytest.FixtureRequest) -> None:
    # Skips, or fails under 'make test', where Swift is not installed.
    request.getfixturevalue("swift")
    with servers["s3_server"](tmp_path) as server:
        server.client().put_object(Bucket=server.make_bucket("demo"), Key="kept", Body=b"content")
    with servers["s3_server"](tmp_path) as server:
        assert server.client().get_object(Bucket="demo", Key="kept")["Body"].read() == b"content"
