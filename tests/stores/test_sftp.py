# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SFTP store against real servers: OpenSSH and ProFTPD, cut, frozen, full, and with the wrong key."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import pathlib
import re
import shutil
import stat
import subprocess
import tempfile
import threading
import time
import tracemalloc
import typing as t
import uuid

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import errors
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.durable import TEMP_PREFIX
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.base import Digests
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.sftp import SftpStore
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.sftp_host_keys import (
    fingerprint,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.sftp_login import load_private_key
from rigs.stores import new_store

MIB = 1024 * 1024
KEY = "web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet"
SFTP_SERVER = "/usr/lib/openssh/sftp-server"

pytest.importorskip("paramiko")


def digests_of(data: bytes) -> Digests:
    return Digests(len(data), hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest())


def temporary_name(key: str, digests: Digests) -> str:
    folder, _slash, name = key.rpartition("/")
    return "%s/%s%s.%s.part" % (folder, TEMP_PREFIX, name, digests.sha256[:16])


class Local(t.NamedTuple):
    path: str
    data: bytes
    digests: Digests


@pytest.fixture
def local(tmp_path: pathlib.Path) -> t.Callable[[int], Local]:
    """Call with a size for a local file of random bytes."""

    def make(size: int) -> Local:
        data = os.urandom(size)
        path = tmp_path / ("local-%d-%s" % (size, data[:4].hex()))
        path.write_bytes(data)
        return Local(str(path), data, digests_of(data))

    return make


@pytest.fixture
def store() -> t.Iterator[t.Callable[..., SftpStore]]:
    """Call with a server (and options that differ) for a store in a new folder of it."""
    made = []

    def make(server: t.Any, **options: t.Any) -> SftpStore:
        settings: t.Dict[str, t.Any] = {
            "host": server.host,
            "port": server.port,
            "user": server.user,
            "path": "%s/store %s" % (server.root_folder, uuid.uuid4().hex[:12]),
            "private_key_file": server.private_key_file,
            "host_key": server.host_key,
            "attempts": 1,
            "retry_delay": 0.01,
            "timeout": 20,
        }
        if "known_hosts_file" in options:
            settings.pop("host_key")
        settings.update(options)
        made.append(new_store("sftp", **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


def through(proxy: t.Any, server: t.Any) -> t.Dict[str, t.Any]:
    """Options that send a store through the proxy."""
    return {"host": proxy.host, "port": proxy.port, "host_key": server.host_key}


def folder_of(one: SftpStore) -> pathlib.Path:
    return pathlib.Path(one._root.path)


def names_in(one: SftpStore) -> t.List[str]:
    root = folder_of(one)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


# -- put, verify, get --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 255 * 1024, 255 * 1024 + 1, 9 * MIB + 17])
def test_put_then_get_gives_the_same_bytes(openssh: t.Any, store: t.Any, local: t.Any, size: int) -> None:
    one, file = store(openssh), local(size)
    moved: t.List[int] = []
    result = one.put(file.path, KEY, file.digests, moved.append)
    assert not result.existed
    assert result.verification == ("remote_hash", size, file.digests.md5, None)
    assert sum(moved) == size
    assert names_in(one) == [KEY]
    sink = io.BytesIO()
    one.get(KEY, sink)
    assert sink.getvalue() == file.data


def test_files_and_folders_are_closed_to_others(openssh: t.Any, proftpd: t.Any, store: t.Any, local: t.Any) -> None:
    for server in (openssh, proftpd):
        one, file = store(server), local(10)
        one.put(file.path, "a/b/c", file.digests)
        root = folder_of(one)
        assert stat.S_IMODE((root / "a/b/c").stat().st_mode) == 0o600
        assert [stat.S_IMODE(folder.stat().st_mode) for folder in (root, root / "a", root / "a/b")] == [0o700] * 3


@pytest.mark.parametrize("home", ["", "~/"])
def test_a_path_relative_to_the_start_of_the_session(openssh: t.Any, store: t.Any, local: t.Any, home: str) -> None:
    folder = "relative folder %d/it's" % len(home)
    one, file = store(openssh, path=home + folder), local(1000)
    assert one.put(file.path, KEY, file.digests).verification.level == "remote_hash"
    assert (pathlib.Path(openssh.root_folder) / folder / KEY).read_bytes() == file.data
    assert one.location("a/b") == "sftp://%s@127.0.0.1:%d/~/%s/a/b" % (openssh.user, openssh.port, folder)


@pytest.mark.parametrize(("server", "level"), [("openssh", "read_back"), ("openssh_sftp_only", "remote_hash")])
def test_the_upload_is_read_back_through_a_new_connection(
    request: pytest.FixtureRequest, store: t.Any, local: t.Any, new_proxy: t.Any, server: str, level: str
) -> None:
    target = request.getfixturevalue(server)
    proxy = new_proxy(target)
    one, file = store(target, verify=level, **through(proxy, target)), local(1000)
    assert one.put(file.path, KEY, file.digests).verification.level == "read_back"
    assert proxy.connections == 2


@pytest.mark.parametrize("level", ["size", "remote_hash"])
def test_an_upload_that_is_not_read_back_needs_one_login(openssh: t.Any, store: t.Any, local: t.Any, new_proxy: t.Any, level: str) -> None:
    proxy = new_proxy(openssh)
    one, file = store(openssh, verify=level, **through(proxy, openssh)), local(1000)
    for key in (KEY, KEY + ".manifest.json"):
        assert one.put(file.path, key, file.digests).verification.level == level
    assert proxy.connections == 1


@pytest.mark.parametrize(
    ("options", "asked_for", "level"),
    [
        # SFTP, a second lane, the command.
        ("", 3, "remote_hash"),
        # SFTP; refused are the second lane and both commands.
        ("Match all\nMaxSessions 1", 4, "read_back"),
    ],
)
def test_an_upload_over_a_long_line(
    new_openssh: t.Any, store: t.Any, local: t.Any, tmp_path: pathlib.Path, options: str, asked_for: int, level: str
) -> None:
    server, file = new_openssh(extra_config=options), local(24 * MIB)
    with lab.delay_proxy(tmp_path, server.port, 0.03) as port:
        one = store(server, host="127.0.0.1", port=port, host_key=server.host_key, known_hosts_file=None)
        first = one._root.session()._connection.transport
        assert one.put(file.path, KEY, file.digests).verification.level == level
        assert first._channel_counter == asked_for
    assert (folder_of(one) / KEY).read_bytes() == file.data


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [("size", "size"), ("server_digest", "remote_hash"), ("remote_hash", "remote_hash"), ("read_back", "read_back")],
)
def test_the_level_that_is_reported_is_the_one_that_was_reached(
    openssh: t.Any, store: t.Any, local: t.Any, wanted: str, reached: str
) -> None:
    one, file = store(openssh, verify=wanted), local(300000)
    verification = one.put(file.path, KEY, file.digests).verification
    assert verification.level == reached
    assert verification.md5 == (None if reached == "size" else file.digests.md5)


def test_without_a_shell_the_bytes_are_read_back(openssh_sftp_only: t.Any, store: t.Any, local: t.Any) -> None:
    one, file = store(openssh_sftp_only), local(300000)
    assert one.put(file.path, KEY, file.digests).verification == ("read_back", 300000, file.digests.md5, None)
    assert one.verify(KEY, file.digests).level == "read_back"


def test_proftpd_computes_the_hash_by_check_file(proftpd: t.Any, store: t.Any, local: t.Any) -> None:
    one, file = store(proftpd), local(3 * MIB)
    assert one.put(file.path, KEY, file.digests).verification.level == "remote_hash"
    path = folder_of(one) / KEY
    assert one._root.session().check_file(str(path), 3 * MIB) == ("sha256", file.digests.sha256)
    path.write_bytes(file.data[:-1] + bytes([file.data[-1] ^ 1]))
    with pytest.raises(errors.IntegrityError, match="sha256"):
        one.verify(KEY, file.digests)


def test_a_chroot_account_with_sftp_only(new_openssh: t.Any, store: t.Any, local: t.Any) -> None:
    if os.geteuid() != 0:
        pytest.skip("ChrootDirectory needs root")
    # sshd wants every parent of it to be closed to others, so not below a temporary folder of everybody.
    jail = tempfile.mkdtemp(prefix="log-archive-chroot-", dir="/var/lib")
    try:
        os.chmod(jail, 0o755)
        os.mkdir(jail + "/upload")
        server = new_openssh(extra_config="ChrootDirectory %s\nForceCommand internal-sftp" % jail)
        one, file = store(server, path="/upload/archives"), local(300000)
        assert one.put(file.path, KEY, file.digests).verification.level == "read_back"
        assert pathlib.Path(jail, "upload/archives", KEY).read_bytes() == file.data
        one.close()
    finally:
        shutil.rmtree(jail)


@pytest.mark.parametrize("level", ["remote_hash", "read_back"])
def test_a_flipped_bit_is_found(openssh: t.Any, store: t.Any, local: t.Any, level: str) -> None:
    one, file = store(openssh), local(600000)
    one.put(file.path, KEY, file.digests)
    path = folder_of(one) / KEY
    damaged = bytearray(file.data)
    damaged[333333] ^= 4
    path.write_bytes(damaged)
    assert one.verify(KEY, file.digests, "size").level == "size"
    with pytest.raises(errors.IntegrityError):
        one.verify(KEY, file.digests, level)


def test_an_upload_that_does_not_verify_is_removed(new_openssh: t.Any, store: t.Any, local: t.Any) -> None:
    script = 'case "$SSH_ORIGINAL_COMMAND" in md5sum*) echo "%s  -";; *) exec %s;; esac' % ("0" * 32, SFTP_SERVER)
    one, file = store(new_openssh(extra_config="ForceCommand " + script)), local(1000)
    with pytest.raises(errors.IntegrityError, match="0" * 32):
        one.put(file.path, KEY, file.digests)
    assert names_in(one) == []


def test_a_shell_that_never_answers_is_no_shell(new_openssh: t.Any, store: t.Any, local: t.Any) -> None:
    script = 'case "$SSH_ORIGINAL_COMMAND" in *sum*) sleep 30;; *) exec %s;; esac' % SFTP_SERVER
    one, file = store(new_openssh(extra_config="ForceCommand " + script), timeout=lab.patience(3)), local(1000)
    assert one.put(file.path, KEY, file.digests).verification.level == "read_back"


def test_a_login_script_that_prints_is_named(new_openssh: t.Any, store: t.Any) -> None:
    one = store(new_openssh(extra_config="ForceCommand echo Welcome to this host; exec %s" % SFTP_SERVER))
    with pytest.raises(errors.StoreError, match="Output of a login script breaks SFTP") as caught:
        one.list()
    assert not caught.value.retryable


def test_a_server_without_any_extension(new_openssh: t.Any, store: t.Any, local: t.Any) -> None:
    denied = "limits,statvfs,fstatvfs,fsync,posix-rename,hardlink,lsetstat,expand-path,copy-data"
    one, file = store(new_openssh(extra_config="ForceCommand %s -P %s" % (SFTP_SERVER, denied))), local(5 * MIB)
    assert one.put(file.path, KEY, file.digests).verification.level == "read_back"
    assert one._root.session().max_write == 32768
    assert one.free_bytes() is None


def test_posix_rename_is_used_if_the_server_has_no_rename(new_openssh: t.Any, store: t.Any, local: t.Any) -> None:
    one, file = store(new_openssh(extra_config="ForceCommand %s -P rename" % SFTP_SERVER)), local(1000)
    one.put(file.path, KEY, file.digests)
    assert names_in(one) == [KEY]


@pytest.mark.parametrize("side", ["client", "server"])
def test_keys_are_exchanged_again_in_the_middle(
    new_openssh: t.Any, store: t.Any, local: t.Any, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    if side == "client":
        import paramiko.packet

        monkeypatch.setattr(paramiko.packet.Packetizer, "REKEY_BYTES", 3 * MIB)
    one, file = store(new_openssh(extra_config="RekeyLimit 3M" if side == "server" else "")), local(16 * MIB)
    assert one.put(file.path, KEY, file.digests).verification.level == "remote_hash"
    assert one.verify(KEY, file.digests, "read_back").level == "read_back"


def test_memory_does_not_grow_with_the_file(openssh: t.Any, store: t.Any, local: t.Any) -> None:
    one, file = store(openssh, verify="read_back"), local(64 * MIB)
    with open(os.devnull, "r+b") as sink:

        class Sink(io.RawIOBase):
            def seek(self, *_args: t.Any) -> int:
                return 0

            def truncate(self, *_args: t.Any) -> int:
                return 0

            def write(self, data: t.Any) -> int:
                return sink.write(data)

        tracemalloc.start()
        try:
            one.put(file.path, KEY, file.digests)
            one.get(KEY, Sink())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 32 * MIB


# -- keys that are taken ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["openssh", "proftpd"])
def test_an_existing_object_is_never_replaced(request: t.Any, store: t.Any, local: t.Any, kind: str) -> None:
    one, first, second = store(request.getfixturevalue(kind)), local(5000), local(5000)
    one.put(first.path, KEY, first.digests)
    again = one.put(first.path, KEY, first.digests)
    assert again.existed
    assert again.verification.level == "remote_hash"
    with pytest.raises(errors.StoreExistsError):
        one.put(second.path, KEY, second.digests)
    assert names_in(one) == [KEY]
    assert (folder_of(one) / KEY).read_bytes() == first.data


@pytest.mark.parametrize("kind", ["openssh", "proftpd"])
def test_an_object_that_appears_during_the_upload_is_not_replaced(request: t.Any, store: t.Any, local: t.Any, kind: str) -> None:
    one, file = store(request.getfixturevalue(kind)), local(5000)
    path = folder_of(one) / KEY

    def meanwhile(_count: int) -> None:
        path.write_bytes(b"of another writer")

    with pytest.raises(errors.StoreExistsError):
        one.put(file.path, KEY, file.digests, meanwhile)
    assert path.read_bytes() == b"of another writer"
    assert names_in(one) == [KEY]


def test_a_rename_that_was_killed_halfway_is_completed(openssh: t.Any, store: t.Any, local: t.Any) -> None:
    one, file = store(openssh), local(5000)
    final, temporary = (folder_of(one) / name for name in (KEY, temporary_name(KEY, file.digests)))
    final.parent.mkdir(parents=True)
    temporary.write_bytes(file.data)
    os.link(temporary, final)
    assert one.put(file.path, KEY, file.digests).existed
    assert names_in(one) == [KEY]


# -- cuts and hangs ----------------------------------------------------------------------------------------------------


def test_an_upload_that_was_cut_is_resumed(openssh: t.Any, store: t.Any, local: t.Any, new_proxy: t.Any) -> None:
    proxy = new_proxy(openssh)
    one, file = store(openssh, attempts=2, **through(proxy, openssh)), local(40 * MIB)
    proxy.cut_after(up=36 * MIB)
    result = one.put(file.path, KEY, file.digests)
    assert result.attempts == 2
    assert result.verification.level == "remote_hash"
    assert names_in(one) == [KEY]
    # 36 up to the cut, 4 that were missing, 8 gone back, and what the server had not yet written when we came again; not 36 + 40.
    assert proxy.bytes_up < 66 * MIB


def test_a_link_that_breaks_every_3_mb_brings_all_of_a_large_archive(openssh: t.Any, store: t.Any, local: t.Any, new_proxy: t.Any) -> None:
    proxy = new_proxy(openssh)
    one, file = store(openssh, attempts=3, **through(proxy, openssh)), local(20 * MIB)
    proxy.cut_after(up=3 * MIB, down=3 * MIB, times=None)
    result = one.put(file.path, KEY, file.digests)
    # Neither way would ever end if it began again after a break. How much is on its way at each break depends on the machine.
    assert 7 <= result.attempts <= 20
    assert names_in(one) == [KEY]
    sink = io.BytesIO()
    one.get(KEY, sink)
    assert sink.getvalue() == file.data


def test_an_upload_that_was_cut_and_damaged_is_sent_again_from_its_start(openssh: t.Any, store: t.Any, local: t.Any) -> None:
    one, file = store(openssh), local(12 * MIB)
    left = folder_of(one) / temporary_name(KEY, file.digests)
    left.parent.mkdir(parents=True)
    left.write_bytes(bytes(11 * MIB))
    assert one.put(file.path, KEY, file.digests).verification.level == "remote_hash"
    assert (folder_of(one) / KEY).read_bytes() == file.data
    assert names_in(one) == [KEY]


def test_holes_near_the_end_of_a_cut_upload_are_filled(openssh: t.Any, store: t.Any, local: t.Any, new_proxy: t.Any) -> None:
    proxy = new_proxy(openssh)
    one, file = store(openssh, **through(proxy, openssh)), local(12 * MIB)
    left = folder_of(one) / temporary_name(KEY, file.digests)
    left.parent.mkdir(parents=True)
    left.write_bytes(file.data[: 7 * MIB] + bytes(MIB) + file.data[8 * MIB : 11 * MIB])
    assert one.put(file.path, KEY, file.digests).verification.level == "remote_hash"
    assert proxy.bytes_up < 10 * MIB


@pytest.mark.parametrize("left", [b"", b"short", bytes(3 * MIB)])
@pytest.mark.parametrize("level", ["size", "remote_hash"])
def test_a_left_over_that_is_no_use_is_replaced(openssh: t.Any, store: t.Any, local: t.Any, left: bytes, level: str) -> None:
    one, file = store(openssh, verify=level), local(2 * MIB)
    path = folder_of(one) / temporary_name(KEY, file.digests)
    path.parent.mkdir(parents=True)
    path.write_bytes(left)
    one.put(file.path, KEY, file.digests)
    assert (folder_of(one) / KEY).read_bytes() == file.data


@pytest.mark.parametrize("after", [200, 3000, 100000])
def test_a_cut_download_begins_again(openssh: t.Any, store: t.Any, local: t.Any, new_proxy: t.Any, after: int) -> None:
    one, file, proxy = store(openssh), local(MIB), new_proxy(openssh)
    one.put(file.path, KEY, file.digests)
    proxy.cut_after(down=after)
    sink = io.BytesIO()
    store(openssh, path=one._root.path, attempts=2, **through(proxy, openssh)).get(KEY, sink)
    assert sink.getvalue() == file.data
    assert proxy.connections == 2


def test_a_list_that_is_cut_is_an_error_or_whole_but_never_short(openssh: t.Any, store: t.Any, local: t.Any, new_proxy: t.Any) -> None:
    proxy = new_proxy(openssh)
    one = store(openssh, **through(proxy, openssh))
    for index in range(300):
        path = folder_of(one) / ("host/%d/archive-with-a-long-name-%d" % (index % 7, index))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert len(one.list()) == 300
    cut = new_proxy(openssh)
    cut.cut_after(down=proxy.bytes_down - 10000)
    other = store(openssh, path=one._root.path, **through(cut, openssh))
    with pytest.raises(errors.StoreUnavailableError):
        other.list()
    assert len(other.list()) == 300


def test_a_server_that_is_not_there(openssh: t.Any, store: t.Any, new_proxy: t.Any) -> None:
    proxy = new_proxy(openssh)
    proxy.refuse()
    with pytest.raises(errors.StoreUnavailableError, match="127.0.0.1:%d: cannot connect" % proxy.port):
        store(openssh, **through(proxy, openssh)).list()


@pytest.mark.parametrize("moment", ["before the login", "before a request", "while sending", "while receiving"])
def test_a_server_that_hangs_is_given_up_after_the_timeout(new_openssh: t.Any, store: t.Any, local: t.Any, moment: str) -> None:
    server = new_openssh()
    one, file = store(server, timeout=lab.patience(1)), local(32 * MIB)
    frozen = threading.Event()

    def freeze(_count: int = 0) -> None:
        if not frozen.is_set():
            frozen.set()
            server.pause()

    try:
        if moment == "before the login":
            freeze()
        elif moment == "before a request":
            one.list()
            freeze()
        elif moment == "while receiving":
            one.put(file.path, KEY, file.digests)
        with pytest.raises(errors.StoreUnavailableError, match="no answer within the timeout"):
            if moment == "while sending":
                one.put(file.path, KEY, file.digests, freeze)
            elif moment == "while receiving":
                one.get(KEY, io.BytesIO(), freeze)
            else:
                one.list()
    finally:
        server.resume()
    assert frozen.is_set()
    assert one.list() == ([] if moment != "while receiving" else one.list(KEY))


def test_all_sessions_killed_in_the_middle_of_an_upload(new_openssh: t.Any, store: t.Any, local: t.Any) -> None:
    server = new_openssh()
    one, file = store(server, attempts=2), local(16 * MIB)
    killed: t.List[int] = []

    def kill_once(_count: int) -> None:
        if not killed:
            killed.append(server.drop_sessions())

    assert one.put(file.path, KEY, file.digests, kill_once).attempts == 2
    assert (folder_of(one) / KEY).read_bytes() == file.data


# -- full ---------------------------------------------------------------------------------------------------------------


def test_an_archive_that_does_not_fit_is_not_sent(new_openssh: t.Any, store: t.Any, local: t.Any, small_filesystem: t.Any) -> None:
    one, file = store(new_openssh(root_folder=small_filesystem(2 * MIB))), local(3 * MIB)
    moved: t.List[int] = []
    with pytest.raises(errors.StoreFullError, match="%d bytes needed" % (3 * MIB)):
        one.put(file.path, KEY, file.digests, moved.append)
    assert sum(moved) == 0
    assert names_in(one) == []
    assert one.free_bytes() <= 2 * MIB


def test_a_disk_that_fills_up_meanwhile(new_openssh: t.Any, store: t.Any, local: t.Any, small_filesystem: t.Any) -> None:
    disk = small_filesystem(16 * MIB)
    one, file = store(new_openssh(root_folder=disk), attempts=3), local(14 * MIB)

    def fill(_count: int) -> None:
        with open(disk / "filler", "ab") as stream:
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            stream.write(bytes(free))

    with pytest.raises(errors.StoreFullError):
        one.put(file.path, KEY, file.digests, fill)
    assert names_in(one) == []


def test_no_space_at_close_is_not_hidden(new_openssh: t.Any, store: t.Any, local: t.Any, small_filesystem: t.Any) -> None:
    if shutil.which("fiu-run") is None or not os.path.exists(SFTP_SERVER):
        pytest.skip("needs fiu-run (fiu-utils) and %s" % SFTP_SERVER)
    disk = small_filesystem(3 * MIB)
    faults = "fiu-run -x -c 'enable name=posix/io/oc/close,failinfo=28' %s" % SFTP_SERVER
    one, file = store(new_openssh(root_folder=disk, extra_config="ForceCommand " + faults)), local(2 * MIB + MIB // 2)
    moved: t.List[int] = []
    with pytest.raises(errors.StoreFullError):
        one.put(file.path, KEY, file.digests, moved.append)
    assert sum(moved) == file.digests.size, "every write was confirmed: the error came at CLOSE"
    assert names_in(one) == []


# -- logins and permissions ----------------------------------------------------------------------------------------------


def test_a_folder_that_the_user_may_not_write(openssh_password: t.Any, store: t.Any, local: t.Any) -> None:
    one, file = store(openssh_password, attempts=3), local(1000)
    root = folder_of(one)
    root.mkdir()
    os.chmod(root, 0o755)
    try:
        with pytest.raises(errors.StoreDeniedError, match="permission denied"):
            one.put(file.path, KEY, file.digests)
    finally:
        root.rmdir()


def test_login_by_password(openssh_password: t.Any, proftpd: t.Any, store: t.Any, local: t.Any) -> None:
    for server in (openssh_password, proftpd):
        one, file = store(server, private_key_file=None, password=server.password), local(1000)
        assert not one.put(file.path, KEY, file.digests).existed


def test_a_wrong_password_is_tried_once_and_never_shown(new_openssh: t.Any, store: t.Any) -> None:
    server = new_openssh(password=True)
    one = store(server, private_key_file=None, password="not-the-password", attempts=4)
    with pytest.raises(errors.StoreDeniedError, match="refuses the password of user '%s'" % server.user) as caught:
        one.list()
    assert "not-the-password" not in str(caught.value)
    assert "not-the-password" not in repr(one._root.login)
    assert server.log().count("Failed password") == 1


def test_a_refusal_by_disconnect_is_a_refusal(new_openssh: t.Any, store: t.Any) -> None:
    server = new_openssh(password=True, extra_config="MaxAuthTries 1")
    one = store(server, private_key_file=None, password="wrong", attempts=4)
    with pytest.raises(errors.StoreDeniedError):
        one.list()
    assert server.log().count("Failed password") == 1


def test_a_key_that_the_server_does_not_know(openssh: t.Any, store: t.Any, tmp_path: pathlib.Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    with pytest.raises(errors.StoreDeniedError, match="refuses the private key"):
        store(openssh, private_key_file=str(tmp_path / "other"), attempts=4).list()


def test_the_password_is_used_if_the_key_is_refused(openssh_password: t.Any, store: t.Any, tmp_path: pathlib.Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    one = store(openssh_password, private_key_file=str(tmp_path / "other"), password=openssh_password.password)
    assert one.list() == []


def test_a_server_that_wants_key_and_password(new_openssh: t.Any, store: t.Any) -> None:
    server = new_openssh(password=True, extra_config="AuthenticationMethods publickey,password")
    assert store(server, password=server.password).list() == []
    with pytest.raises(errors.StoreDeniedError, match="requires further authentication: password"):
        store(server).list()


@pytest.mark.parametrize("kind", [("ed25519", []), ("ecdsa", []), ("rsa", ["-b", "2048"])])
def test_private_keys_of_every_kind_with_and_without_passphrase(
    openssh: t.Any, store: t.Any, tmp_path: pathlib.Path, kind: t.Tuple[str, t.List[str]]
) -> None:
    plain, locked = str(tmp_path / "plain"), str(tmp_path / "locked")
    subprocess.run(["ssh-keygen", "-q", "-t", kind[0], *kind[1], "-N", "", "-f", plain], check=True)
    shutil.copy(plain, locked)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "s3cret!", "-f", locked], check=True)
    expected = load_private_key(plain, None).get_base64()
    assert load_private_key(locked, "s3cret!").get_base64() == expected
    with pytest.raises(errors.ConfigError, match="Set private_key_passphrase"):
        load_private_key(locked, None)
    with pytest.raises(errors.ConfigError, match="passphrase is wrong") as caught:
        load_private_key(locked, "wr0ng!")
    assert "wr0ng!" not in str(caught.value)


def test_a_private_key_file_that_is_none(openssh: t.Any, store: t.Any, tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ConfigError, match="cannot read the private key"):
        store(openssh, private_key_file=str(tmp_path / "missing")).list()
    (tmp_path / "noise").write_text("hello\n")
    with pytest.raises(errors.ConfigError, match="not a private key"):
        store(openssh, private_key_file=str(tmp_path / "noise")).list()


# -- host keys ----------------------------------------------------------------------------------------------------------


def assert_nothing_was_sent(server: t.Any) -> None:
    """By the server's debug log: a client connected, sent its version, and left without requesting a login."""
    began = time.monotonic()
    log = ""
    while not re.search(r"Connection (closed|reset) by|Disconnected from|kex_exchange|KEXINIT received", log):
        assert not lab.overdue(began, 10), "the log does not show that the client came: %s" % log
        time.sleep(0.02)
        log = server.log().partition("remote software version paramiko")[2]
    assert "userauth-request" not in log
    assert "SSH2_MSG_SERVICE_REQUEST" not in log.upper()
    assert server.user not in log


@pytest.mark.parametrize("source", ["pinned", "known_hosts", "accept new"])
def test_a_changed_host_key_is_refused_before_anything_is_sent(new_openssh: t.Any, store: t.Any, source: str) -> None:
    server = new_openssh(debug=True, password=True)
    old = server.host_key
    server.change_host_key()
    options = {"host_key": old} if source == "pinned" else {"known_hosts_file": server.known_hosts_file}
    if source == "accept new":
        options["accept_new_host_key"] = True
    one = store(server, password=server.password, attempts=4, **options)
    with pytest.raises(errors.StoreDeniedError, match="nothing was sent") as caught:
        one.list()
    for key in (old, server.host_key):
        assert fingerprint(base64.b64decode(key.split()[1])) in str(caught.value)
    assert "ssh-keyscan -p %d -t ed25519 127.0.0.1" % server.port in str(caught.value)
    assert_nothing_was_sent(server)
    with open(server.known_hosts_file) as stream:
        assert stream.read().split()[-1] == old.split()[1], "known_hosts is as it was"


def test_a_server_without_a_key_of_the_known_kind_is_refused(new_openssh: t.Any, store: t.Any, tmp_path: pathlib.Path) -> None:
    server = new_openssh(debug=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(tmp_path / "other")], check=True)
    with pytest.raises(errors.StoreDeniedError, match="no host key of a known type: expected ecdsa-sha2-nistp256 SHA256"):
        store(server, host_key=(tmp_path / "other.pub").read_text(), attempts=4).list()
    assert_nothing_was_sent(server)


def test_the_kind_of_host_key_that_is_known_is_asked_for(new_openssh: t.Any, store: t.Any, tmp_path: pathlib.Path) -> None:
    lines = []
    for kind in ("ecdsa", "rsa"):
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(tmp_path / kind)], check=True)
        lines.append("HostKey %s" % (tmp_path / kind))
    server = new_openssh(extra_config="\n".join(lines))
    for kind in ("ecdsa", "rsa"):
        assert store(server, host_key=(tmp_path / (kind + ".pub")).read_text()).list() == []
    assert store(server).list() == []


def test_an_unknown_host_key_is_refused_with_a_hint(new_openssh: t.Any, store: t.Any, tmp_path: pathlib.Path) -> None:
    server = new_openssh(debug=True)
    with pytest.raises(errors.StoreDeniedError, match="not known.*SHA256:.*ssh-keyscan"):
        store(server, known_hosts_file=str(tmp_path / "none")).list()
    assert_nothing_was_sent(server)
    assert not (tmp_path / "none").exists()


def test_a_new_host_key_is_written_down_on_request(new_openssh: t.Any, store: t.Any, tmp_path: pathlib.Path) -> None:
    server = new_openssh()
    file = tmp_path / "new folder" / "known_hosts"
    assert store(server, known_hosts_file=str(file), accept_new_host_key=True).list() == []
    assert file.read_text() == server.known_hosts + "\n"
    assert store(server, known_hosts_file=str(file), accept_new_host_key=True).list() == []
    assert file.read_text() == server.known_hosts + "\n"
    found = subprocess.run(
        ["ssh-keygen", "-F", "[127.0.0.1]:%d" % server.port, "-f", str(file)], capture_output=True, text=True, check=False
    )
    assert server.host_key in found.stdout


def test_a_new_host_key_goes_on_a_line_of_its_own(new_openssh: t.Any, store: t.Any, tmp_path: pathlib.Path) -> None:
    server = new_openssh()
    file = tmp_path / "known_hosts"
    file.write_text("other ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA")
    assert store(server, known_hosts_file=str(file), accept_new_host_key=True).list() == []
    assert file.read_text() == "other ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA\n" + server.known_hosts + "\n"


def test_hashed_names_are_understood(openssh: t.Any, store: t.Any, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(openssh.known_hosts + "\n")
    subprocess.run(["ssh-keygen", "-H", "-f", str(file)], check=True, capture_output=True)
    assert "127.0.0.1" not in file.read_text()
    assert store(openssh, known_hosts_file=str(file)).list() == []


def test_a_revoked_key_is_refused(openssh: t.Any, store: t.Any, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text("%s\n@revoked * %s\n" % (openssh.known_hosts, openssh.host_key))
    for accept in (False, True):
        with pytest.raises(errors.StoreDeniedError, match="revoked"):
            store(openssh, known_hosts_file=str(file), accept_new_host_key=accept).list()


CERTIFICATES = {
    # Host key, authority's key, options of ssh-keygen, names in known_hosts; whether ssh accepts it.
    "ed25519": ("ed25519", "ed25519", "-n 127.0.0.1", "127.0.0.1", True),
    "rsa by rsa": ("rsa", "rsa", "-n 127.0.0.1", "127.0.0.1", True),
    "ecdsa": ("ecdsa", "ecdsa", "-n 127.0.0.1", "127.0.0.1", True),
    "with the port": ("ed25519", "ed25519", "-n 127.0.0.1", "[127.0.0.1]:{port}", True),
    "of two hosts": ("ed25519", "ed25519", "-n example.org,127.0.0.1", "*", True),
    "of a pattern": ("ed25519", "ed25519", "-n 127.*", "127.0.0.1", False),
    "without names": ("ed25519", "ed25519", "", "127.0.0.1", True),
    "of another host": ("ed25519", "ed25519", "-n example.org", "127.0.0.1", False),
    "known for another host": ("ed25519", "ed25519", "-n 127.0.0.1", "example.org", False),
    "expired": ("ed25519", "ed25519", "-n 127.0.0.1 -V -2h:-1h", "127.0.0.1", False),
    "of the future": ("ed25519", "ed25519", "-n 127.0.0.1 -V +1h:+2h", "127.0.0.1", False),
    "signed with SHA-1": ("ed25519", "rsa", "-n 127.0.0.1 -t ssh-rsa", "127.0.0.1", False),
    "with an unknown option": ("ed25519", "ed25519", "-n 127.0.0.1 -O critical:x@example.org=1", "127.0.0.1", False),
}


@pytest.mark.parametrize("case", CERTIFICATES)
def test_host_certificates_are_judged_as_ssh_judges_them(new_openssh: t.Any, store: t.Any, tmp_path: pathlib.Path, case: str) -> None:
    kind, authority_kind, options, names, accepted = CERTIFICATES[case]
    for name, of in (("host", kind), ("authority", authority_kind)):
        subprocess.run(["ssh-keygen", "-q", "-t", of, "-N", "", "-f", str(tmp_path / name)], check=True)
    sign = ["ssh-keygen", "-q", "-s", str(tmp_path / "authority"), "-I", "host", "-h", *options.split(), str(tmp_path / "host.pub")]
    subprocess.run(sign, check=True, capture_output=True)
    server = new_openssh(extra_config="HostKey {0}\nHostCertificate {0}-cert.pub".format(tmp_path / "host"))
    file = tmp_path / "known_hosts"
    line = "@cert-authority %s %s" % (names.format(port=server.port), (tmp_path / "authority.pub").read_text())
    file.write_text(line)

    def judged() -> bool:
        ssh = ["ssh", "-F", "none", "-i", server.private_key_file, "-p", str(server.port), "-l", server.user]
        for option in ("UserKnownHostsFile=%s" % file, "GlobalKnownHostsFile=/dev/null", "StrictHostKeyChecking=yes", "BatchMode=yes"):
            ssh += ["-o", option]
        ssh_accepts = subprocess.run([*ssh, "127.0.0.1", "true"], check=False, capture_output=True).returncode == 0
        try:
            ours = store(server, known_hosts_file=str(file)).list() == []
        except errors.StoreDeniedError as error:
            assert "nothing was sent" in str(error)
            ours = False
        assert ours == ssh_accepts
        return ours

    assert judged() is accepted
    if case == "ed25519":
        file.write_text(line + "@revoked * " + (tmp_path / "authority.pub").read_text())
        assert judged() is False
        file.write_text(line + "127.0.0.1 " + server.host_key + "\n")
        assert judged() is True, "the server also has the key of a plain line"
        (tmp_path / "authority").unlink()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "authority")], check=True, input=b"y")
        file.write_text("@cert-authority 127.0.0.1 " + (tmp_path / "authority.pub").read_text())
        assert judged() is False, "another authority of the same host"


# -- list, delete, clean ------------------------------------------------------------------------------------------------


def test_list_is_by_string_prefix_sorted_and_shows_no_unfinished_upload(openssh: t.Any, store: t.Any) -> None:
    one = store(openssh)
    assert one.list() == []
    root = folder_of(one)
    for key in ("b/2", "a/b/c", "a/b2", "a/b/.hidden", "a/b/%sc.0123.part" % TEMP_PREFIX, "ab"):
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(key.encode())
    (root / "a/link").symlink_to(root / "b/2")
    (root / "loop").symlink_to(root)
    assert [item.key for item in one.list()] == ["a/b/.hidden", "a/b/c", "a/b2", "ab", "b/2"]
    assert [item.key for item in one.list("a")] == ["a/b/.hidden", "a/b/c", "a/b2", "ab"]
    assert [item.key for item in one.list("a/b")] == ["a/b/.hidden", "a/b/c", "a/b2"]
    assert [item.key for item in one.list("a/b/")] == ["a/b/.hidden", "a/b/c"]
    assert [item.key for item in one.list("a/b/c")] == ["a/b/c"]
    assert one.list("a/c/d") == []
    assert one.list("a/../a/b") == one.list("/etc/ho") == one.list("../") == []
    found = one.list("b/2")[0]
    assert (found.size, found.modified) == (3, int((root / "b/2").stat().st_mtime))


def test_list_looks_only_into_folders_that_can_match(openssh_password: t.Any, store: t.Any, local: t.Any) -> None:
    one, file = store(openssh_password), local(10)
    one.put(file.path, "mine/2024/a", file.digests)
    closed = folder_of(one) / "mine/2023"
    closed.mkdir(mode=0o700)  # of another user: looking into it is refused
    assert [item.key for item in one.list("mine/2024")] == ["mine/2024/a"]
    with pytest.raises(errors.StoreDeniedError):
        one.list("mine/")


def test_delete_removes_folders_that_became_empty_but_not_the_root(openssh: t.Any, store: t.Any) -> None:
    one = store(openssh)
    root = folder_of(one)
    for key in ("a/b/c/1", "a/b/c/2", "a/d/3", "e/f/4", "5"):
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(b"x")
    keys = ["a/b/c/1", "a/b/c/2", "e/f/4", "never/was"]
    assert one.delete(keys) == dict.fromkeys(keys)
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == ["5", "a", "a/d", "a/d/3"]
    assert one.delete(["a/d/3", "5"]) == {"a/d/3": None, "5": None}
    assert root.is_dir()
    assert one.list() == []


def test_delete_reports_each_key_that_is_left(openssh: t.Any, store: t.Any) -> None:
    one = store(openssh)
    (folder_of(one) / "folder/inside").mkdir(parents=True)
    (folder_of(one) / "file").write_bytes(b"x")
    outcome = one.delete(["file", "folder"])
    assert outcome["file"] is None
    assert "failed to delete" in str(outcome["folder"])


def test_clean_removes_our_unfinished_uploads_below_the_prefix(openssh: t.Any, store: t.Any) -> None:
    one = store(openssh)
    root = folder_of(one)
    for key in ("h/j/%sx.tgz.01.part" % TEMP_PREFIX, "h/k/%sx.tgz.01.part" % TEMP_PREFIX, "h/j/.other.part", "h/j/x.tgz"):
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(b"x")
    assert one.clean("h/j/") == ["h/j/%sx.tgz.01.part" % TEMP_PREFIX]
    assert names_in(one) == ["h/j/.other.part", "h/j/x.tgz", "h/k/%sx.tgz.01.part" % TEMP_PREFIX]
    assert len(one.clean()) == 1


def test_a_missing_object_is_not_found(openssh: t.Any, store: t.Any, local: t.Any) -> None:
    one, file = store(openssh), local(10)
    with pytest.raises(errors.StoreNotFoundError):
        one.get("a/b", io.BytesIO())
    with pytest.raises(errors.StoreNotFoundError):
        one.verify("a/b", file.digests)


def test_free_bytes_before_the_root_exists(openssh: t.Any, store: t.Any) -> None:
    one = store(openssh, path=openssh.root_folder + "/not/yet/there")
    free = os.statvfs(openssh.root_folder)
    assert one.free_bytes() == pytest.approx(free.f_bavail * free.f_frsize, rel=0.1)


def test_a_store_can_be_used_again_after_close_and_after_a_sink_that_fails(openssh: t.Any, store: t.Any, local: t.Any) -> None:
    one, file = store(openssh), local(8 * MIB)
    one.put(file.path, KEY, file.digests)

    class Broken(io.BytesIO):
        def write(self, data: t.Any) -> int:
            raise RuntimeError("local trouble")

    with pytest.raises(RuntimeError, match="local trouble"):
        one.get(KEY, Broken())
    assert [item.key for item in one.list()] == [KEY]
    one.close()
    assert [item.key for item in one.list()] == [KEY]


def test_a_local_file_that_became_short(openssh: t.Any, store: t.Any, local: t.Any) -> None:
    one, file = store(openssh), local(5000)
    with pytest.raises(errors.IntegrityError, match="the archive in the spool is shorter"):
        one.put(file.path, KEY, file.digests._replace(size=6000))
    assert one.list() == []
