# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Broken servers under a job: the other store gets everything, the run ends partly done, and completes when the server is well."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.opening import open_store
from lab.http_fault_proxy import http_fault_proxy, s3_error, with_etag
from rigs.host import Host, assert_complete, assert_tidy, file_store, random_bytes

from faults.test_kill import s3_options, sftp_options

MIB = 1 << 20
QUICK = {"attempts": 2, "retry_delay": "0.02"}


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    made = Host(tmp_path / "host")
    (made.logs / "syslog.20240112.13").write_bytes(random_bytes(6 * MIB))
    (made.logs / "syslog.20240112.14").write_bytes(random_bytes(1000))
    return made


def wanted(host: Host) -> t.Dict[str, bytes]:
    return {str(path): path.read_bytes() for path in host.logs.iterdir()}


def assert_partly(host: Host, store: str, code: int = 3) -> t.Dict[str, t.Any]:
    """The file store has everything, the other one is awaited."""
    recap = host.run()
    assert recap["exit_code"] == code, recap["errors"]
    assert any(error.startswith("store %s: " % store) for error in recap["errors"]), recap["errors"]
    assert recap["spool"]["archives"] >= 1
    assert_complete(file_store(host.store), host, wanted(host))
    return recap


def assert_completes(host: Host, store: t.Any) -> None:
    recap = host.run()
    assert recap["exit_code"] == 0, recap["errors"]
    assert host.spooled() == []
    assert_complete(store, host, wanted(host))
    assert_complete(file_store(host.store), host, wanted(host))
    assert host.run()["outcome"] == "nothing to do"


# -- S3 ---------------------------------------------------------------------------------------------------------------

FAULTS: t.Dict[str, t.Dict[str, t.Any]] = {
    "500": {"operation": ".*", "refuse": s3_error(500, "InternalError")},
    "503 on parts": {"operation": "upload_part", "refuse": s3_error(503, "SlowDown")},
    "500 on complete": {"operation": "complete_multipart_upload", "refuse": s3_error(500, "InternalError")},
    "reset in a request": {"operation": "upload_part|put_object", "cut_up": 100},
    "denied": {"operation": ".*", "refuse": s3_error(403, "AccessDenied")},
    "no bucket": {"operation": ".*", "refuse": s3_error(404, "NoSuchBucket")},
}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_s3_fails_and_recovers(host: Host, swift: t.Any, bucket: str, name: str) -> None:
    with http_fault_proxy((swift.host, swift.port)) as proxy:
        host.stores.append(s3_options(swift, bucket, endpoint_url=proxy.endpoint_url, part_size="5M", **QUICK))
        proxy.fault(**FAULTS[name])
        assert_partly(host, "s3")
        host.stores[1]["endpoint_url"] = swift.endpoint_url
        assert_completes(host, open_store(host.document()["stores"][1]))
    assert swift.client().list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


def test_s3_resets_its_answers(host: Host, swift: t.Any, bucket: str) -> None:
    """What was stored is found there at the next attempt, proven, and sent only once."""
    with http_fault_proxy((swift.host, swift.port)) as proxy:
        host.stores.append(s3_options(swift, bucket, endpoint_url=proxy.endpoint_url, part_size="5M", **QUICK))
        proxy.fault("upload_part|put_object|complete_multipart_upload", cut_down=10)
        assert host.run()["exit_code"] in (0, 3)
        host.stores[1]["endpoint_url"] = swift.endpoint_url
        assert_completes(host, open_store(host.document()["stores"][1]))


def test_s3_lies_about_the_etag(host: Host, swift: t.Any, bucket: str) -> None:
    """Each of its answers names another MD5 than that of what it got: nothing is believed, and it is an integrity failure."""
    with http_fault_proxy((swift.host, swift.port)) as proxy:
        host.stores.append(s3_options(swift, bucket, endpoint_url=proxy.endpoint_url, part_size="5M", **QUICK))
        proxy.fault("put_object|upload_part|head_object|complete_multipart_upload", rewrite=with_etag("0" * 32))
        assert_partly(host, "s3", code=4)
        host.stores[1]["endpoint_url"] = swift.endpoint_url
        assert_completes(host, open_store(host.document()["stores"][1]))


def test_s3_refuses_the_secret(host: Host, swift: t.Any, bucket: str) -> None:
    """Asked once, because repeated failures lock accounts."""
    with http_fault_proxy((swift.host, swift.port)) as proxy:
        host.stores.append(s3_options(swift, bucket, endpoint_url=proxy.endpoint_url, **QUICK))
        host.stores[1]["secret_access_key"] = "wrong-marker-secret"
        recap = assert_partly(host, "s3")
        assert "wrong-marker-secret" not in str(recap)
        assert len(proxy.requests) == 1
        host.stores[1]["secret_access_key"] = swift.secret_key
        assert_completes(host, open_store(host.document()["stores"][1]))


# -- SFTP -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("up", [0, 3000, MIB])
def test_sftp_is_cut_in_the_middle(host: Host, openssh: t.Any, new_proxy: t.Any, up: int) -> None:
    proxy = new_proxy(openssh)
    root = "cut-%s-%d" % (os.path.basename(host.folder.parent), up)
    host.stores.append(sftp_options(openssh, root, port=proxy.port, host_key=openssh.host_key, known_hosts_file=None, **QUICK))
    proxy.cut_after(up=up, times=None)
    assert_partly(host, "sftp")
    proxy.restore()
    assert_completes(host, file_store(os.path.join(openssh.root_folder, root)))
    assert_tidy(os.path.join(openssh.root_folder, root))


def test_sftp_is_cut_every_5_mib(host: Host, openssh: t.Any, new_proxy: t.Any) -> None:
    """Each connection brings the archive further, so one run delivers it."""
    proxy = new_proxy(openssh)
    root = "cut-often-%s" % os.path.basename(host.folder.parent)
    host.stores.append(sftp_options(openssh, root, port=proxy.port, host_key=openssh.host_key, known_hosts_file=None, **QUICK))
    proxy.cut_after(up=5 * MIB, times=None)
    assert_completes(host, file_store(os.path.join(openssh.root_folder, root)))
    assert_tidy(os.path.join(openssh.root_folder, root))


def test_sftp_host_key_changed(host: Host, new_openssh: t.Any, new_proxy: t.Any) -> None:
    """Nothing is sent, not even the user's name or a password."""
    server = new_openssh(debug=True)
    host.stores.append(sftp_options(server, "changed", password="marker-password-8", **QUICK))
    server.change_host_key()
    recap = assert_partly(host, "sftp")
    assert "host key" in " ".join(recap["errors"])
    assert "marker-password-8" not in str(recap)
    log = server.log()
    assert "userauth-request" not in log and "user %s" % server.user not in log
    with open(server.known_hosts_file, "w", encoding="ascii") as known_hosts:
        known_hosts.write(server.known_hosts + "\n")
    assert_completes(host, file_store(os.path.join(server.root_folder, "changed")))


def test_sftp_hangs(host: Host, new_openssh: t.Any) -> None:
    server = new_openssh()
    host.stores.append(sftp_options(server, "hung", timeout="0.5", **QUICK))
    server.pause()
    try:
        assert_partly(host, "sftp")
    finally:
        server.resume()
    host.stores[1]["timeout"] = "30"
    assert_completes(host, file_store(os.path.join(server.root_folder, "hung")))


def test_sftp_is_down_and_then_refuses_to_write(host: Host, new_openssh: t.Any) -> None:
    server = new_openssh()
    host.stores.append(sftp_options(server, "down", **QUICK))
    server.stop()
    assert_partly(host, "sftp")
    server.start()
    os.mkdir(os.path.join(server.root_folder, "down"))
    blocker = os.path.join(server.root_folder, "down", "web1")
    with open(blocker, "w", encoding="ascii") as file:
        file.write("a file where a folder must be")
    assert host.run()["exit_code"] == 3
    os.unlink(blocker)
    assert_completes(host, file_store(os.path.join(server.root_folder, "down")))
