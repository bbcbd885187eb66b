# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SFTP store on servers that miss what others have, forbid what others allow, or send almost nothing."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import pathlib
import subprocess
import time
import typing as t

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import errors
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.durable import TEMP_PREFIX
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores import sftp_connection
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.base import Digests
from lab.odd_sftp import odd_sftp_server
from rigs.stores import new_store

asyncssh = pytest.importorskip("asyncssh")
pytest.importorskip("paramiko")

KEY = "web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet"
MIB = 1 << 20


class File(t.NamedTuple):
    path: str
    data: bytes
    digests: Digests


@pytest.fixture
def new_file(tmp_path: pathlib.Path) -> t.Callable[[int], File]:
    def make(size: int) -> File:
        data = os.urandom(size)
        path = tmp_path / ("file-" + data[:4].hex())
        path.write_bytes(data)
        return File(str(path), data, Digests(size, hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest()))

    return make


def new(server: t.Any, **options: t.Any) -> t.Any:
    settings = {
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "path": server.root_folder + "/store",
        "private_key_file": server.private_key_file,
        "host_key": server.host_key,
        "attempts": 1,
        "retry_delay": "0.01",
        "timeout": "20",
    }
    return new_store("sftp", **dict(settings, **options))


def stored(server: t.Any, key: str = KEY) -> bytes:
    return pathlib.Path(server.root_folder, "store", key).read_bytes()


# -- what a server does not have ------------------------------------------------------------------------------------------


def test_a_server_that_announces_statvfs_and_refuses_it(tmp_path: pathlib.Path, new_file: t.Any) -> None:
    def refuse(_self: t.Any, _path: bytes) -> t.Any:
        raise asyncssh.SFTPOpUnsupported("not here")

    with odd_sftp_server(tmp_path / "server", statvfs=refuse) as server:
        one, file = new(server), new_file(5000)
        assert one.put(file.path, KEY, file.digests).verification.level == "read_back"
        assert "statvfs@openssh.com" in one._root.session().extensions
        assert one.free_bytes() is None
        assert stored(server) == file.data
        one.close()


def test_an_account_that_may_not_remove_can_repeat_a_put(new_openssh: t.Any, new_file: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = new_openssh(extra_config="ForceCommand internal-sftp -P remove")
    one, first, second = new(server), new_file(5000), new_file(5000)
    one.put(first.path, KEY, first.digests)
    again = one.put(first.path, KEY, first.digests)
    assert again.existed
    with pytest.raises(errors.StoreExistsError):
        one.put(second.path, KEY, second.digests)
    # An upload that was cut, and one whose leftover holds other bytes, begin again in the same file.
    name = "%s%s.%s.part" % (TEMP_PREFIX, "b", second.digests.sha256[:16])
    for left in (b"half", bytes(9 * MIB)):
        pathlib.Path(server.root_folder, "store", name).write_bytes(left)
        assert one.put(second.path, "b", second.digests).verification.level == "read_back"
        assert stored(server, "b") == second.data
        assert sorted(path.name for path in pathlib.Path(server.root_folder, "store").iterdir()) == ["b", "web1"]
        os.unlink(os.path.join(server.root_folder, "store", "b"))
    large = new_file(12 * MIB)
    name = "%s%s.%s.part" % (TEMP_PREFIX, "c", large.digests.sha256[:16])
    pathlib.Path(server.root_folder, "store", name).write_bytes(bytes(11 * MIB))
    assert one.put(large.path, "c", large.digests).verification.level == "read_back"
    assert stored(server, "c") == large.data
    (refusal,) = one.delete([KEY]).values()
    assert "refuses to delete: permission denied" in refusal
    one.close()


@pytest.mark.parametrize("kind", ["openssh", "proftpd"])
def test_a_path_that_is_a_file_is_named(request: pytest.FixtureRequest, new_file: t.Any, kind: str) -> None:
    server = request.getfixturevalue(kind)
    pathlib.Path(server.root_folder, "a file").write_bytes(b"")
    file = new_file(10)
    for path in ("a file", "a file/below"):
        one = new(server, path=server.root_folder + "/" + path)
        with pytest.raises(errors.StoreError, match="on the server is a file, not a folder.*Set path to a folder"):
            one.put(file.path, KEY, file.digests)
        if path == "a file":
            with pytest.raises(errors.StoreError, match="is a file, not a folder"):
                one.list()
        one.close()


# -- servers that send almost nothing -------------------------------------------------------------------------------------


def test_keepalive_packets_are_no_progress(new_openssh: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sftp_connection, "_KEEPALIVE", 1)
    server = new_openssh()
    timeout = lab.patience(3)
    one = new(server, timeout="%.1f" % timeout)
    one.list()
    server.pause()
    try:
        began = time.monotonic()
        with pytest.raises(errors.StoreUnavailableError, match="no answer within the timeout"):
            one.list()
        assert not lab.overdue(began, 3 * timeout)
    finally:
        server.resume()


def test_a_file_that_comes_one_byte_at_a_time_is_given_up(tmp_path: pathlib.Path, new_file: t.Any) -> None:
    async def read(_self: t.Any, file: t.Any, offset: int, _size: int) -> bytes:
        await asyncio.sleep(0.2)
        file.seek(offset)
        return t.cast(bytes, file.read(1))

    with odd_sftp_server(tmp_path / "server", read=read) as server:
        timeout = min(4.0, lab.patience(1))
        one = new(server, timeout="%.1f" % timeout)
        pathlib.Path(server.root_folder, "store").mkdir()
        pathlib.Path(server.root_folder, "store", "a").write_bytes(bytes(1000))
        began = time.monotonic()
        with pytest.raises(errors.StoreUnavailableError, match="no answer within the timeout"):
            one.get("a", io.BytesIO())
        assert not lab.overdue(began, 15 * timeout)


def test_a_folder_that_is_listed_one_name_at_a_time_is_given_up(tmp_path: pathlib.Path) -> None:
    async def scandir(_self: t.Any, _path: bytes) -> t.Any:
        number = 0
        while True:
            number += 1
            await asyncio.sleep(0.3)
            yield asyncssh.SFTPName(b"name-%d" % number, attrs=asyncssh.SFTPAttrs(size=1, permissions=0o100644))

    with odd_sftp_server(tmp_path / "server", scandir=scandir) as server:
        timeout = min(4.0, lab.patience(1))
        one = new(server, timeout="%.1f" % timeout)
        pathlib.Path(server.root_folder, "store").mkdir()
        began = time.monotonic()
        with pytest.raises(errors.StoreError):
            one.list()
        assert not lab.overdue(began, 15 * timeout)


# -- old keys -------------------------------------------------------------------------------------------------------------


def test_a_server_with_sha1_signatures_only_is_named(new_openssh: t.Any, tmp_path: pathlib.Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", str(tmp_path / "rsa")], check=True)
    server = new_openssh(extra_config="HostKey %s\nHostKeyAlgorithms ssh-rsa" % (tmp_path / "rsa"))
    for host_key in ((tmp_path / "rsa.pub").read_text(), None):
        options = {"host_key": host_key} if host_key else {"host_key": None, "known_hosts_file": str(tmp_path / "none")}
        with pytest.raises(errors.StoreError, match="SHA-1 .ssh-rsa.*Update the server") as raised:
            new(server, **options).list()
        assert not raised.value.retryable


def test_a_server_that_takes_a_login_with_sha1_only_is_named(new_openssh: t.Any, tmp_path: pathlib.Path) -> None:
    key = tmp_path / "login"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", str(key)], check=True)
    server = new_openssh(extra_config="PubkeyAcceptedAlgorithms ssh-rsa")
    pathlib.Path(server.folder, "authorized_keys").write_text((tmp_path / "login.pub").read_text())
    with pytest.raises(errors.StoreDeniedError, match="SHA-1"):
        new(server, private_key_file=str(key)).list()


# -- known hosts as OpenSSH reads them --------------------------------------------------------------------------------------


def ssh_accepts(server: t.Any, known_hosts: pathlib.Path) -> bool:
    """Whether OpenSSH's own client accepts the server."""
    options = ["-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=%s" % known_hosts, "-o", "GlobalKnownHostsFile=/dev/null"]
    options += ["-o", "BatchMode=yes", "-F", "/dev/null", "-i", server.private_key_file, "-p", str(server.port)]
    ran = subprocess.run(["ssh", *options, "%s@%s" % (server.user, server.host), "true"], capture_output=True, text=True, check=False)
    return ran.returncode == 0


def test_entries_without_a_port_count_for_other_ports(openssh: t.Any, tmp_path: pathlib.Path) -> None:
    key = openssh.host_key
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKkdq1L5pQIjyFpcEBRc7CNtrbGIfKkhlVnMbT2fQ4D5"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(tmp_path / "ecdsa")], check=True)
    ecdsa = " ".join((tmp_path / "ecdsa.pub").read_text().split()[:2])
    named = "[127.0.0.1]:%d" % openssh.port
    cases = [
        (["127.0.0.1 " + key], True),
        (["127.0.0.* " + key], True),
        (["127.0.0.1 " + ecdsa, "127.0.0.1 " + key], True),
        (["127.0.0.1 " + other], False),
        (["[127.0.0.1]:1 " + key], False),
        # The entry with the port counts alone, if there is one.
        ([named + " " + other, "127.0.0.1 " + key], False),
        ([named + " " + key, "127.0.0.1 " + other], True),
        (["@revoked 127.0.0.1 " + key, named + " " + key], None),
    ]
    for lines, accepted in cases:
        file = tmp_path / "known_hosts"
        file.write_text("".join(line + "\n" for line in lines))
        one = new(openssh, host_key=None, known_hosts_file=str(file))
        try:
            one.list()
            found = True
        except errors.StoreDeniedError:
            found = False
        one.close()
        assert found == bool(accepted), lines
        if accepted is not None:
            assert ssh_accepts(openssh, file) == accepted, lines
