# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's servers are what the other tests take them for."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import pathlib
import socket
import threading
import time
import typing as t

import lab
import pytest
from lab.filesystems import path_inside

boto_errors = pytest.importorskip("botocore.exceptions")
paramiko = pytest.importorskip("paramiko")


def login(server: t.Any, port: t.Optional[int] = None, password: bool = False) -> t.Any:
    """A Paramiko client that trusts only the server's present host key."""
    client = paramiko.SSHClient()
    kind, blob = server.host_key.split()
    key = paramiko.PKey.from_type_string(kind, base64.b64decode(blob))
    client.get_host_keys().add("[%s]:%d" % (server.host, port or server.port), kind, key)
    how = {"password": server.password} if password else {"key_filename": server.private_key_file}
    client.connect(server.host, port or server.port, server.user, look_for_keys=False, allow_agent=False, timeout=60, **how)
    return client


def put(server: t.Any, name: str, content: bytes, **how: t.Any) -> None:
    with login(server, **how) as client, client.open_sftp() as sftp, sftp.open(name, "wx") as stream:
        stream.write(content)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/etc/hosts", "etc/hosts"),
        ("etc//./hosts/", "etc/hosts"),
        ("/new/of/all", "new/of/all"),
        ("/../../etc/hosts", "etc/hosts"),
        ("/absolute/hosts", "etc/hosts"),
        ("/etc/relative/hosts", "etc/hosts"),
        ("/etc/above", "hosts"),
        ("/chain", "etc/hosts"),
        ("/absolute/../new", "new"),
        ("/dangling/new", "not/there/new"),
    ],
)
def test_a_path_inside_a_root_folder_never_leads_out(tmp_path: pathlib.Path, path: str, found: str) -> None:
    (tmp_path / "etc").mkdir()
    links = {"absolute": "/etc", "etc/relative": ".", "etc/above": "../../../hosts", "chain": "/absolute/hosts", "dangling": "/not/there"}
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    assert path_inside(tmp_path, path) == str(tmp_path / found)


def test_a_loop_of_links_inside_a_root_folder_is_an_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / "loop").symlink_to("/loop")
    with pytest.raises(OSError, match="symbolic links"):
        path_inside(tmp_path, "/loop")


def test_a_wait_returns_what_came_and_fails_with_what_there_is_instead() -> None:
    looks = iter([0, "", 3])
    assert lab.wait_until(lambda: next(looks), "unused", 60, pause=0) == 3
    with pytest.raises(AssertionError, match="it did not come to that: only 7"):
        lab.wait_until(lambda: False, lambda: "only %d" % 7, 0.01)
    with pytest.raises(AssertionError, match="^nothing came$"):
        lab.wait_until(lambda: None, "nothing came", 0)


@pytest.mark.parametrize("name", ["openssh", "openssh_sftp_only", "openssh_password", "proftpd"])
def test_relative_names_land_in_the_root_folder(name: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue(name)
    put(server, "by-key", b"content")
    assert pathlib.Path(server.root_folder, "by-key").read_bytes() == b"content"


@pytest.mark.parametrize("name", ["openssh_password", "proftpd"])
def test_a_password_logs_in_and_a_wrong_one_does_not(name: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue(name)
    put(server, "by-password", b"content", password=True)
    with pytest.raises(paramiko.AuthenticationException), paramiko.SSHClient() as client:
        client.load_host_keys(server.known_hosts_file)
        client.connect(server.host, server.port, server.user, "wrong", look_for_keys=False, allow_agent=False)


def test_openssh_runs_commands_unless_only_sftp_is_allowed(openssh: lab.SftpServer, openssh_sftp_only: lab.SftpServer) -> None:
    with login(openssh) as client:
        assert client.exec_command("echo hello")[1].read() == b"hello\n"
    with login(openssh_sftp_only) as client:
        assert b"hello" not in client.exec_command("echo hello")[1].read()


def test_the_temporary_user_has_no_rights(openssh_password: lab.SftpServer) -> None:
    with login(openssh_password) as client, client.open_sftp() as sftp, pytest.raises(PermissionError):
        sftp.open("/etc/written-by-lab", "w")


def test_proftpd_reports_the_digest_of_a_file(proftpd: lab.SftpServer) -> None:
    from paramiko.sftp import CMD_EXTENDED, CMD_EXTENDED_REPLY, int64

    put(proftpd, "digested", b"content")
    with login(proftpd) as client, client.open_sftp() as sftp:
        kind, answer = sftp._request(CMD_EXTENDED, "check-file-name", "digested", "md5", int64(0), int64(0), 0)
    assert kind == CMD_EXTENDED_REPLY
    assert answer.get_text() == "md5"
    assert answer.get_remainder() == hashlib.md5(b"content", usedforsecurity=False).digest()


def test_a_changed_host_key_is_refused(new_openssh: t.Callable[..., lab.SftpServer]) -> None:
    server = new_openssh()
    login(server).close()
    server.change_host_key()
    with pytest.raises(paramiko.BadHostKeyException), paramiko.SSHClient() as client:
        client.load_host_keys(server.known_hosts_file)
        client.connect(server.host, server.port, server.user, key_filename=server.private_key_file)
    login(server).close()


def test_a_paused_server_hangs_and_goes_on_when_it_is_resumed(new_openssh: t.Callable[..., lab.SftpServer]) -> None:
    server = new_openssh()
    with login(server) as client, client.open_sftp() as sftp:
        sftp.get_channel().settimeout(0.5)
        server.pause()
        with pytest.raises(socket.timeout):
            sftp.listdir()
        server.resume()
    put(server, "after", b"")


def test_dropped_sessions_end_and_new_ones_are_served(new_openssh: t.Callable[..., lab.SftpServer]) -> None:
    server = new_openssh()
    with login(server) as client, client.open_sftp() as sftp:
        assert server.drop_sessions() >= 1
        with pytest.raises((paramiko.SSHException, OSError, EOFError)):
            sftp.listdir()
    put(server, "after", b"")


def test_a_stopped_server_refuses_and_can_be_started_again(new_openssh: t.Callable[..., lab.SftpServer]) -> None:
    server = new_openssh()
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port))
    server.start()
    put(server, "after", b"")


def test_the_s3_server_refuses_a_wrong_digest(swift: lab.S3Server, bucket: str) -> None:
    wrong = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
    with pytest.raises(boto_errors.ClientError, match="BadDigest"):
        swift.client().put_object(Bucket=bucket, Key="key", Body=b"content", ContentMD5=wrong)


def test_the_s3_server_refuses_a_wrong_secret(swift: lab.S3Server, bucket: str) -> None:
    stranger = lab.S3Server(swift.host, swift.port, swift.access_key, "wrong")
    with pytest.raises(boto_errors.ClientError, match="SignatureDoesNotMatch"):
        stranger.client().list_objects_v2(Bucket=bucket)


def test_the_s3_server_does_not_overwrite_on_request(swift: lab.S3Server, bucket: str) -> None:
    swift.client().put_object(Bucket=bucket, Key="key", Body=b"content", IfNoneMatch="*")
    with pytest.raises(boto_errors.ClientError, match="PreconditionFailed"):
        swift.client().put_object(Bucket=bucket, Key="key", Body=b"other", IfNoneMatch="*")


def test_the_s3_server_has_multipart_etags(swift: lab.S3Server, bucket: str) -> None:
    parts = [os.urandom(5 * 1024 * 1024), b"rest"]
    client = swift.client()
    upload = client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    done = [
        {"PartNumber": number, "ETag": client.upload_part(Bucket=bucket, Key="key", UploadId=upload, PartNumber=number, Body=part)["ETag"]}
        for number, part in enumerate(parts, 1)
    ]
    client.complete_multipart_upload(Bucket=bucket, Key="key", UploadId=upload, MultipartUpload={"Parts": done})
    digests = b"".join(hashlib.md5(part, usedforsecurity=False).digest() for part in parts)
    expected = '"%s-2"' % hashlib.md5(digests, usedforsecurity=False).hexdigest()
    assert client.head_object(Bucket=bucket, Key="key")["ETag"] == expected


class Receiver:
    """A server that takes one connection after the other and keeps what it received; echoes where asked."""

    def __init__(self, echo: bool = False) -> None:
        self.listener = socket.create_server((lab.HOST, 0))
        self.host, self.port = self.listener.getsockname()
        self.received: t.List[bytes] = []
        self.finished = threading.Semaphore(0)
        self.echo = echo
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _address = self.listener.accept()
            content = b""
            with connection:
                try:
                    while True:
                        piece = connection.recv(65536)
                        if not piece:
                            break
                        content += piece
                        if self.echo:
                            connection.sendall(piece)
                except OSError as error:
                    assert error.errno in (errno.ECONNRESET, errno.EPIPE)
            self.received.append(content)
            self.finished.release()


def send_all(port: int, content: bytes) -> bytes:
    """Send, end, and return what came back; ConnectionError where it was reset."""
    with socket.create_connection((lab.HOST, port), timeout=60) as client:
        client.sendall(content)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while True:
            piece = client.recv(65536)
            if not piece:
                return answer
            answer += piece


def test_the_proxy_passes_on_everything_and_counts(new_proxy: t.Callable[..., lab.TcpProxy]) -> None:
    proxy = new_proxy(Receiver(echo=True))
    content = os.urandom(1_000_000)
    assert send_all(proxy.port, content) == content
    assert (proxy.connections, proxy.bytes_up, proxy.bytes_down) == (1, 1_000_000, 1_000_000)


@pytest.mark.parametrize("limit", [0, 1, 100_000])
def test_the_proxy_cuts_after_exactly_so_many_bytes(limit: int, new_proxy: t.Callable[..., lab.TcpProxy]) -> None:
    receiver = Receiver()
    proxy = new_proxy(receiver)
    proxy.cut_after(up=limit)
    with pytest.raises(ConnectionError):
        send_all(proxy.port, b"x" * 10_000_000)
    assert receiver.finished.acquire(timeout=lab.patience(10))
    assert len(receiver.received[0]) == limit
    send_all(proxy.port, b"once only")
    assert receiver.finished.acquire(timeout=lab.patience(10))
    assert receiver.received[1] == b"once only"


def test_the_proxy_cuts_the_answer(new_proxy: t.Callable[..., lab.TcpProxy]) -> None:
    proxy = new_proxy(Receiver(echo=True))
    proxy.cut_after(down=10, times=2)
    for _attempt in range(2):
        with pytest.raises(ConnectionError):
            send_all(proxy.port, b"x" * 1000)
    assert len(send_all(proxy.port, b"x" * 1000)) == 1000


def test_the_proxy_refuses_and_listens_again_on_the_same_port(new_proxy: t.Callable[..., lab.TcpProxy]) -> None:
    proxy = new_proxy(Receiver(echo=True))
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        send_all(proxy.port, b"content")
    proxy.restore()
    assert send_all(proxy.port, b"content") == b"content"


def test_the_proxy_hangs_until_it_is_restored_or_cut(new_proxy: t.Callable[..., lab.TcpProxy]) -> None:
    proxy = new_proxy(Receiver(echo=True))
    with socket.create_connection((lab.HOST, proxy.port), timeout=0.3) as client:
        proxy.hang()
        client.sendall(b"content")
        with pytest.raises(socket.timeout):
            client.recv(7)
        proxy.restore()
        client.settimeout(10)
        assert client.recv(7) == b"content"
        assert proxy.cut_now() == 1
        with pytest.raises(ConnectionError):
            client.recv(1)


def test_a_line_is_long_and_wide(tmp_path: pathlib.Path) -> None:
    receiver = Receiver(echo=True)
    content = os.urandom(4_000_000)
    with lab.delay_proxy(tmp_path, receiver.port, 0.1) as port:
        began = time.monotonic()
        assert send_all(port, content) == content
        took = time.monotonic() - began
    # One round trip to connect, one for the echo; and not one for each of the 61 pieces.
    assert 0.2 <= took < lab.patience(3)


def test_a_small_filesystem_fills_up(small_filesystem: t.Callable[..., pathlib.Path]) -> None:
    folder = small_filesystem(1024 * 1024)
    with pytest.raises(OSError, match="No space left"):
        (folder / "big").write_bytes(b"x" * 1024 * 1024 + b"x")
    folder = small_filesystem(1024 * 1024, inodes=2)
    (folder / "first").touch()
    with pytest.raises(OSError, match="No space left"):
        (folder / "second").touch()
