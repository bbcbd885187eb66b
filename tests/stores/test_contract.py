# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The contract of every store, tested on each: a folder, Swift's S3 API, OpenSSH and ProFTPD.

``site`` is the place behind a store: it opens stores, and reads and changes the stored bytes behind their backs.
"""

from __future__ import annotations

import hashlib
import io
import os
import pathlib
import random
import threading

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.durable import TEMP_PREFIX
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import (
    ConfigError,
    IntegrityError,
    LogArchiveError,
    StoreError,
    StoreExistsError,
    StoreNotFoundError,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.levels import VERIFICATION_LEVELS, reaches
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.base import Digests
from rigs.stores import new_store

MIB = 1 << 20
KEY = "host/job/2024/01/12/syslog.20240112.12.tgz.fernet"
LEFTOVER = TEMP_PREFIX + "syslog-0123456789abcdef.part"


class FolderSite:
    """A store whose files can be seen in a local folder."""

    secrets = ()

    def __init__(self, folder, options):
        self.folder = pathlib.Path(folder)
        self.options = options
        self.stores = []

    def open(self, root="root", **more):
        store = new_store(**dict({"attempts": 2, "retry_delay": 0.01}, **dict(self.options, path=self.root(root), **more)))
        self.stores.append(store)
        return store

    def root(self, root):
        return str(self.folder / root)

    def path(self, key, root="root"):
        return self.folder / root / key

    def write(self, key, data, root="root"):
        self.path(key, root).parent.mkdir(parents=True, exist_ok=True)
        self.path(key, root).write_bytes(data)

    def read(self, key, root="root"):
        path = self.path(key, root)
        return path.read_bytes() if path.is_file() else None

    def remove(self, key):
        self.path(key).unlink()

    def leave_unfinished(self, folder):
        self.write("%s/%s" % (folder, LEFTOVER), b"half")

    def unfinished_folders(self):
        return sorted({str(path.parent.relative_to(self.folder / "root")) for path in self.folder.rglob(TEMP_PREFIX + "*")})

    def folders(self):
        root = self.folder / "root"
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_dir())


class SftpSite(FolderSite):
    """The folder in which the sessions of an SFTP server start."""

    def __init__(self, server, name):
        pathlib.Path(server.root_folder, name).mkdir()
        super().__init__(
            pathlib.Path(server.root_folder, name),
            {
                "type": "sftp",
                "host": server.host,
                "port": server.port,
                "user": server.user,
                "private_key_file": server.private_key_file,
                "password": server.password,
                "host_key": server.host_key,
            },
        )
        self.name = name
        self.secrets = (server.password,) if server.password else ()

    def root(self, root):
        return "%s/%s" % (self.name, root)


class S3Site:
    """A bucket."""

    def __init__(self, server, bucket):
        self.server = server
        self.bucket = bucket
        self.client = server.client()
        self.secrets = (server.secret_key,)
        self.stores = []

    def open(self, root="root", **more):
        options = {
            "type": "s3",
            "bucket": self.bucket,
            "prefix": root,
            "endpoint_url": self.server.endpoint_url,
            "region": self.server.region,
            "access_key_id": self.server.access_key,
            "secret_access_key": self.server.secret_key,
            "addressing_style": "path",
            "part_size": 5 * MIB,
            "attempts": 2,
            "retry_delay": 0.01,
        }
        store = new_store(**dict(options, **more))
        self.stores.append(store)
        return store

    def write(self, key, data, root="root"):
        self.client.put_object(Bucket=self.bucket, Key="%s/%s" % (root, key), Body=data)

    def read(self, key, root="root"):
        try:
            return self.client.get_object(Bucket=self.bucket, Key="%s/%s" % (root, key))["Body"].read()
        except self.client.exceptions.NoSuchKey:
            return None

    def remove(self, key):
        self.client.delete_object(Bucket=self.bucket, Key="root/" + key)

    def leave_unfinished(self, folder):
        self.client.create_multipart_upload(Bucket=self.bucket, Key="root/%s/syslog" % folder)

    def unfinished_folders(self):
        uploads = self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", ())
        return sorted({os.path.dirname(upload["Key"])[len("root/") :] for upload in uploads})

    def folders(self):
        return []


@pytest.fixture(params=["file", "s3", "sftp", "sftp-proftpd"])
def site(request, tmp_path):
    kind = request.param
    if kind == "file":
        place = FolderSite(tmp_path / "site", {"type": "file"})
        place.folder.mkdir()
    elif kind == "s3":
        pytest.importorskip("boto3")
        place = S3Site(request.getfixturevalue("swift"), request.getfixturevalue("bucket"))
    else:
        pytest.importorskip("paramiko")
        server = request.getfixturevalue("openssh" if kind == "sftp" else "proftpd")
        place = SftpSite(server, "contract-" + os.urandom(6).hex())
    yield place
    for store in place.stores:
        store.close()


@pytest.fixture
def store(site):
    return site.open()


class Spooled:
    """A local file, as the spool holds it, and what it must be."""

    def __init__(self, path, data):
        self.path = str(path)
        self.data = data
        self.digests = Digests(len(data), hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest())
        path.write_bytes(data)


@pytest.fixture
def spool(tmp_path):
    """Call with bytes, or with a size for that many arbitrary ones, for a Spooled."""

    def spooled(data):
        if isinstance(data, int):
            data = random.Random(data).randbytes(data)
        return Spooled(tmp_path / ("spooled-" + os.urandom(4).hex()), data)

    return spooled


def fetched(store, key):
    sink = io.BytesIO()
    store.get(key, sink)
    return sink.getvalue()


# -- put and get -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 32767, MIB, 5 * MIB, 11 * MIB + 7])
def test_the_bytes_that_are_put_are_stored_and_read_back(site, store, spool, size):
    file = spool(size)
    result = store.put(file.path, KEY, file.digests)
    assert (result.key, result.existed) == (KEY, False)
    assert site.read(KEY) == file.data
    assert fetched(store, KEY) == file.data
    assert result.verification.size == size
    assert reaches(result.verification.level, store.verify_level)
    assert result.verification.md5 in (None, file.digests.md5)
    assert site.unfinished_folders() == []


@pytest.mark.parametrize("key", ["plain", "a b/c+d%20e/f&g=h?i#j", "é/日本語.tgz", "a/..b/.hidden", "x/" + "n" * 200])
def test_any_plain_name_can_be_a_key(store, spool, key):
    file = spool(b"data")
    store.put(file.path, key, file.digests)
    assert [item.key for item in store.list()] == [key]
    assert fetched(store, key) == b"data"
    assert store.delete([key]) == {key: None}
    assert store.list() == []


@pytest.mark.parametrize("level", VERIFICATION_LEVELS)
def test_a_put_is_proven_at_the_level_that_was_asked_or_better(site, spool, level):
    file = spool(6 * MIB)
    result = site.open(verify=level).put(file.path, KEY, file.digests)
    assert reaches(result.verification.level, level)


def test_the_same_bytes_already_there_are_not_sent_again(site, store, spool):
    file = spool(100_000)
    store.put(file.path, KEY, file.digests)
    moved = []
    again = site.open().put(file.path, KEY, file.digests, moved.append)
    assert again.existed and sum(moved) == 0
    assert reaches(again.verification.level, store.verify_level)
    assert site.read(KEY) == file.data


@pytest.mark.parametrize("other", [b"other", b"different length"])
def test_other_bytes_are_never_overwritten(site, store, spool, other):
    site.write(KEY, other)
    file = spool(b"bytes")
    with pytest.raises(StoreExistsError, match="not overwritten"):
        store.put(file.path, KEY, file.digests)
    assert site.read(KEY) == other
    assert [item.key for item in store.list()] == [KEY]
    assert site.unfinished_folders() == []


@pytest.mark.parametrize("size", [0, 300, 6 * MIB])
def test_a_manifest_is_replaced_by_another_one(site, store, spool, size):
    old, new = spool(1000), spool(size)
    store.put(old.path, KEY, old.digests)
    for _again in range(2):
        store.replace(new.path, KEY, new.digests)
        assert site.read(KEY) == new.data
    assert [item.key for item in store.list()] == [KEY]
    assert site.unfinished_folders() == []
    # What follows never overwrites again.
    with pytest.raises(StoreExistsError, match="not overwritten"):
        store.put(old.path, KEY, old.digests)


def test_a_manifest_that_rotted_replaces_nothing(site, store, spool):
    old, new = spool(1000), spool(1000)
    store.put(old.path, KEY, old.digests)
    pathlib.Path(new.path).write_bytes(new.data[:-1])
    with pytest.raises(LogArchiveError):
        store.replace(new.path, KEY, new.digests)
    assert site.read(KEY) == old.data
    assert [item.key for item in store.list()] == [KEY]


@pytest.mark.parametrize("spoil", ["bit", "cut", "extended"])
@pytest.mark.parametrize("size", [1000, 6 * MIB])
def test_a_spooled_file_that_rotted_never_becomes_visible(site, store, spool, spoil, size):
    file = spool(size)
    rotten = bytearray(file.data)
    if spoil == "bit":
        rotten[size // 2] ^= 1
    elif spoil == "cut":
        del rotten[-1]
    else:
        rotten += b"x"
    pathlib.Path(file.path).write_bytes(rotten)
    if spoil == "extended" and isinstance(site, SftpSite):
        # It sends as many bytes as the digests are of, and these are right.
        store.put(file.path, KEY, file.digests)
        assert site.read(KEY) == file.data
        return
    with pytest.raises(IntegrityError):
        store.put(file.path, KEY, file.digests)
    assert site.read(KEY) is None
    assert store.list() == []
    with pytest.raises(StoreNotFoundError):
        store.verify(KEY, file.digests, "size")


def test_a_spooled_file_that_is_gone_is_named_and_not_tried_again(site, store, spool):
    file = spool(b"data")
    os.unlink(file.path)
    with pytest.raises((LogArchiveError, FileNotFoundError)) as failure:
        store.put(file.path, KEY, file.digests)
    assert file.path in str(failure.value)
    assert not isinstance(failure.value, StoreError)
    assert site.read(KEY) is None


def test_progress_adds_up_to_the_size(store, spool):
    file = spool(6 * MIB + 5)
    sent, received = [], []
    store.put(file.path, KEY, file.digests, sent.append)
    store.get(KEY, io.BytesIO(), received.append)
    assert sum(sent) == sum(received) == len(file.data)
    assert min(sent) >= 0 and len(sent) > 1 and len(received) > 1


def test_get_begins_at_the_start_of_a_sink_that_was_used(store, spool):
    file = spool(b"data")
    store.put(file.path, KEY, file.digests)
    sink = io.BytesIO(b"something longer")
    sink.seek(5)
    store.get(KEY, sink)
    assert sink.getvalue() == b"data"


def test_a_failing_sink_fails_with_its_own_error(store, spool):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    file = spool(b"data")
    store.put(file.path, KEY, file.digests)
    with pytest.raises(OSError) as failure:
        store.get(KEY, Full())
    assert failure.value.errno == 28
    assert fetched(store, KEY) == b"data"


def test_two_writers_of_one_key_end_with_one_whole_archive(site, spool):
    files = [spool(3 * MIB), spool(3 * MIB + 1)]
    results = {}

    def put(file):
        try:
            results[file.path] = site.open().put(file.path, KEY, file.digests)
        except LogArchiveError as error:
            results[file.path] = error

    threads = [threading.Thread(target=put, args=(file,)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    won = [file for file in files if not isinstance(results[file.path], LogArchiveError)]
    lost = [results[file.path] for file in files if file not in won]
    assert len(won) == 1, results
    # Swift does not check If-None-Match and write in one step, so both may write: the loser finds the other's bytes.
    assert isinstance(lost[0], (StoreExistsError, IntegrityError) if isinstance(site, S3Site) else StoreExistsError)
    assert site.read(KEY) == won[0].data


# -- missing and forbidden keys ----------------------------------------------------------------------------------------


def test_get_and_verify_of_a_missing_key_say_so(site, store, spool):
    file = spool(b"data")
    store.put(file.path, "host/there", file.digests)
    # A server may say no more than "permission denied" of a name below a file.
    for key, error in (("host/missing", StoreNotFoundError), ("nowhere/missing", StoreNotFoundError), ("host/there/below", StoreError)):
        with pytest.raises(error) as failure:
            store.get(key, io.BytesIO())
        assert store.location(key) in str(failure.value)
        with pytest.raises(error):
            store.verify(key, file.digests)


@pytest.mark.parametrize("key", ["", "/etc/x", "a//b", "../x", "a/../../x", "a/./b", "a/", "nul\0", "a/" + LEFTOVER])
def test_a_key_that_could_lead_out_or_be_hidden_is_refused(store, spool, key):
    file = spool(b"data")
    for call in (
        lambda: store.put(file.path, key, file.digests),
        lambda: store.get(key, io.BytesIO()),
        lambda: store.verify(key, file.digests),
        lambda: store.delete(["good", key]),
    ):
        with pytest.raises(ConfigError, match="valid key"):
            call()


# -- verify ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", VERIFICATION_LEVELS)
@pytest.mark.parametrize("size", [5, 6 * MIB])
def test_verify_reaches_each_level(store, spool, level, size):
    file = spool(size)
    store.put(file.path, KEY, file.digests)
    proof = store.verify(KEY, file.digests, level)
    assert reaches(proof.level, level) and proof.size == size
    assert proof.md5 == file.digests.md5 or (proof.md5 is None and proof.level != "read_back")


# The size alone does not show a changed bit.
@pytest.mark.parametrize(
    ("tampering", "level"),
    [
        (tampering, level)
        for tampering in ("bit", "cut", "extended", "emptied")
        for level in VERIFICATION_LEVELS
        if (tampering, level) != ("bit", "size")
    ],
)
@pytest.mark.parametrize("size", [1000, 6 * MIB])
def test_verify_sees_what_was_changed_behind_its_back(site, store, spool, level, size, tampering):
    file = spool(size)
    store.put(file.path, KEY, file.digests)
    data = bytearray(file.data)
    if tampering == "bit":
        data[-1] ^= 0x80
    elif tampering == "cut":
        del data[-1]
    elif tampering == "extended":
        data += b"x"
    else:
        data.clear()
    site.remove(KEY)
    site.write(KEY, bytes(data))
    with pytest.raises(IntegrityError) as failure:
        store.verify(KEY, file.digests, level)
    assert store.location(KEY) in str(failure.value)
    assert site.read(KEY) == data


def test_verify_by_another_store_object_needs_nothing_remembered(site, store, spool):
    file = spool(6 * MIB)
    store.put(file.path, KEY, file.digests)
    other = site.open()
    for level in VERIFICATION_LEVELS:
        assert reaches(other.verify(KEY, file.digests, level).level, level)


# -- list --------------------------------------------------------------------------------------------------------------


def test_list_is_sorted_and_knows_sizes_and_times(site, store, spool):
    for key, size in (("b/2", 2), ("a/1", 1), ("b-1", 3), ("a", 0) if isinstance(site, S3Site) else ("a0", 0), ("b/10", 4)):
        file = spool(size)
        store.put(file.path, key, file.digests)
    items = store.list()
    assert [item.key for item in items] == sorted(item.key for item in items)
    assert {item.key: item.size for item in items}["b/10"] == 4
    assert len(items) == 5
    assert all(item.modified > 1.6e9 for item in items)


def test_list_takes_any_beginning_of_a_key(site, store):
    keys = ["host/job/2024/01/a", "host/job/2024/02/b", "host/job/2025/01/c", "host/job2/d", "host2/e", "top"]
    for key in keys:
        site.write(key, b"x")
    for prefix in (
        "",
        "host",
        "host/",
        "host/job",
        "host/job/",
        "host/job/2024",
        "host/job/2024/01/",
        "host/job/2024/01/a",
        "to",
        "none/",
        "x",
    ):
        assert [item.key for item in store.list(prefix)] == [key for key in keys if key.startswith(prefix)], prefix
    for prefix in ("/", "../", "/host", "host/../", "host//", "./host"):
        assert store.list(prefix) == [], prefix


def test_hosts_are_the_folders_of_the_root(site, store):
    assert store.hosts() == []
    for key in ("web2/job/2024/01/12/a", "web1/job/2024/01/12/a", "web1/other/b", "top", LEFTOVER):
        site.write(key, b"x")
    assert store.hosts() == ["web1", "web2"]
    flat = site.open("flat", layout="flat")
    site.write("web3~job~20240112~a.tgz.fernet", b"x", "flat")
    site.write("of-another-program", b"x", "flat")
    assert flat.hosts() == ["web3"]


def test_list_hides_unfinished_uploads(site, store):
    site.write("host/whole", b"x")
    site.write("host/" + LEFTOVER, b"x")
    site.leave_unfinished("host")
    site.leave_unfinished("other")
    assert [item.key for item in store.list()] == ["host/whole"]
    assert store.list("other/") == []
    assert store.list("host/" + TEMP_PREFIX) == []


def test_a_store_that_was_never_used_is_empty(site):
    store = site.open("never-used")
    assert store.list() == []
    assert store.list("host/job/") == []
    assert store.clean() == []
    assert store.delete([KEY]) == {KEY: None}


# -- delete and clean --------------------------------------------------------------------------------------------------


def test_delete_removes_these_and_no_others_and_missing_ones_are_gone(site, store):
    for key in ("host/a", "host/b", "host/c"):
        site.write(key, b"x")
    asked = ["host/a", "host/missing", "nowhere/missing", "host/c"]
    assert store.delete(asked) == dict.fromkeys(asked)
    assert [item.key for item in store.list()] == ["host/b"]
    assert site.read("host/a") is None
    assert store.delete([]) == {}


def test_delete_takes_folders_along_that_became_empty(site, store):
    for key in ("host/job/2024/01/a", "host/job/2024/02/b", "host/job/2024/02/c"):
        site.write(key, b"x")
    store.delete(["host/job/2024/01/a", "host/job/2024/02/b"])
    assert site.folders() in ([], ["host", "host/job", "host/job/2024", "host/job/2024/02"])
    store.delete(["host/job/2024/02/c"])
    assert site.folders() == []
    site.write(KEY, b"x")
    assert [item.key for item in store.list()] == [KEY]


def test_more_keys_than_one_batch_are_deleted(site, store):
    keys = ["host/%04d" % number for number in range(1003 if not isinstance(site, S3Site) else 30)]
    for key in keys:
        site.write(key, b"")
    assert store.delete(keys) == dict.fromkeys(keys)
    assert store.list() == []


def test_clean_removes_leftovers_below_the_prefix_and_nothing_else(site, store):
    for folder in ("host/job/2024", "host/job2/2024"):
        site.leave_unfinished(folder)
        site.write(folder + "/whole", b"x")
    assert len(store.clean("host/job/")) == 1
    assert site.unfinished_folders() == ["host/job2/2024"]
    assert len(store.clean()) == 1
    assert site.unfinished_folders() == []
    assert store.clean() == []
    assert [item.key for item in store.list()] == ["host/job/2024/whole", "host/job2/2024/whole"]


# -- a flat folder that other programs use too ---------------------------------------------------------------------------


def test_a_flat_store_keeps_archives_among_the_files_of_other_programs(site, spool):
    store = site.open(layout="flat")
    foreign = ["dump.tgz", "web1~notes", "below/web1~syslog~20240112~x"]
    for name in foreign:
        site.write(name, b"foreign")
    name = "web1~syslog~20240112~syslog.12.tgz.fernet"
    key, other = "web1/syslog/2024/01/12/syslog.12.tgz.fernet", "web10/syslog/2024/01/12/syslog.12.tgz.fernet"
    file = spool(6 * MIB)
    for one in (key, key + ".manifest.json", other):
        store.put(file.path, one, file.digests)
    assert store.put(file.path, key, file.digests).existed
    assert site.read(name) == file.data == fetched(store, key)
    assert store.location(key).endswith("/" + name)
    assert reaches(store.verify(key, file.digests).level, store.verify_level)
    assert [item.key for item in store.list("web1/syslog/")] == [key, key + ".manifest.json"]
    assert [item.key for item in store.list("web1/")] == [key, key + ".manifest.json"]
    assert [item.key for item in store.list()] == sorted([*foreign[:2], key, key + ".manifest.json", other])
    outcome = {}
    assert store.delete([key, "web1/syslog/2024/01/12/missing"], outcome) == dict.fromkeys([key, "web1/syslog/2024/01/12/missing"])
    assert set(outcome) == {key, "web1/syslog/2024/01/12/missing"}
    assert [item.key for item in store.list()] == sorted([*foreign[:2], key + ".manifest.json", other])
    for name in foreign:
        assert site.read(name) == b"foreign"


def test_a_flat_store_cleans_up_after_its_job_alone(site):
    names = ["web1~syslog~20240112~a", "web1~auth~20240112~a", "web1~syslog~notes" if isinstance(site, S3Site) else "dump"]
    for name in names:
        if isinstance(site, S3Site):
            site.client.create_multipart_upload(Bucket=site.bucket, Key="root/" + name)
        else:
            site.write("%s%s.0123456789abcdef.part" % (TEMP_PREFIX, name), b"half")
    store = site.open(layout="flat")
    assert len(store.clean("web1/syslog/2024/01/12/")) == 1
    assert store.clean("web1/syslog/") == []
    assert len(store.clean("web1/auth/")) == 1


# -- the store itself --------------------------------------------------------------------------------------------------


def test_a_closed_store_can_be_used_again(store, spool):
    file = spool(b"data")
    store.close()
    store.put(file.path, KEY, file.digests)
    store.close()
    store.close()
    assert fetched(store, KEY) == b"data"


def test_stores_with_other_roots_do_not_see_each_other(site, spool):
    one, two = site.open("root"), site.open("root2")
    file = spool(b"one")
    one.put(file.path, KEY, file.digests)
    assert two.list() == []
    with pytest.raises(StoreNotFoundError):
        two.get(KEY, io.BytesIO())
    other = spool(b"two")
    assert not two.put(other.path, KEY, other.digests).existed
    site.leave_unfinished("host")
    assert two.clean() == []
    two.delete([KEY])
    assert fetched(one, KEY) == b"one"
    assert site.unfinished_folders() == ["host"]


def test_location_names_the_key_and_no_secret(site, store):
    assert store.location(KEY).endswith(KEY)
    assert store.location(KEY).startswith(store.location())
    for secret in site.secrets:
        assert secret not in store.location(KEY) + repr(store)


def test_free_bytes_is_a_number_or_unknown(store, spool):
    file = spool(b"data")
    store.put(file.path, KEY, file.digests)
    free = store.free_bytes()
    assert free is None or free > 0


def status(field):
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field + ":"))


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="the peak of resident memory can be reset on Linux only")
def test_memory_does_not_grow_with_the_file(store, spool, tmp_path):
    small = spool(6 * MIB)
    store.put(small.path, "small", small.digests)
    store.verify("small", small.digests, "read_back")
    fetched(store, "small")
    size, md5, sha256 = 64 * MIB, hashlib.md5(), hashlib.sha256()
    with open(tmp_path / "large", "wb") as file:
        for number in range(64):
            block = random.Random(number).randbytes(MIB)
            md5.update(block)
            sha256.update(block)
            file.write(block)
    digests = Digests(size, md5.hexdigest(), sha256.hexdigest())
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    before = status("VmRSS")
    store.put(str(tmp_path / "large"), KEY, digests)
    store.verify(KEY, digests, "read_back")
    with open(tmp_path / "fetched", "w+b") as sink:
        store.get(KEY, sink)
    assert status("VmHWM") - before < 40 * MIB
    with open(tmp_path / "fetched", "rb") as file:
        sha256 = hashlib.sha256()
        while True:
            block = file.read(MIB)
            if not block:
                break
            sha256.update(block)
    assert sha256.hexdigest() == digests.sha256
