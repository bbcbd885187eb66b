# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The S3 store on a real Swift, and on the same Swift behind a proxy that makes it behave as other servers do."""

from __future__ import annotations

import base64
import datetime
import glob
import hashlib
import io
import ipaddress
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import errors
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import verify
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.comparison import compare
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.send import digests_of_file
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.trust import Record
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores import s3_versions
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.base import Digests
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.s3 import S3Store
from lab.http_fault_proxy import HttpFaultProxy, Request, http_fault_proxy, s3_error, with_etag
from rigs.host import Host, archives_in, file_store
from rigs.stores import new_store

KEY = "web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet"
MIB = 1024 * 1024
PART = 5 * MIB
KMS = {"x_amz_server_side_encryption": "aws:kms"}


class File(t.NamedTuple):
    path: str
    digests: Digests
    data: bytes

    def etag_of_parts(self) -> str:
        md5s = [hashlib.md5(self.data[at : at + PART]).digest() for at in range(0, len(self.data), PART)]
        return "%s-%d" % (hashlib.md5(b"".join(md5s)).hexdigest(), len(md5s))


MakeFile = t.Callable[..., File]
MakeStore = t.Callable[..., S3Store]


@pytest.fixture
def make_file(tmp_path: pathlib.Path) -> MakeFile:
    def make(size: int = 3000, name: str = "archive") -> File:
        data = os.urandom(size)
        path = tmp_path / name
        path.write_bytes(data)
        return File(str(path), Digests(size, hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest()), data)

    return make


@pytest.fixture
def small(make_file: MakeFile) -> File:
    return make_file()


@pytest.fixture
def large(make_file: MakeFile) -> File:
    """Three parts, the last one small."""
    return make_file(2 * PART + 1000)


@pytest.fixture
def proxy(swift: t.Any) -> t.Iterator[HttpFaultProxy]:
    with http_fault_proxy((swift.host, swift.port)) as proxy:
        yield proxy


@pytest.fixture
def make_store(swift: t.Any, bucket: str) -> t.Iterator[MakeStore]:
    """Call with a proxy of the lab (None for Swift itself) and options of S3Store."""
    made = []

    def make(proxy: t.Optional[HttpFaultProxy] = None, **options: t.Any) -> S3Store:
        settings = {
            "bucket": bucket,
            "prefix": "archives",
            "endpoint_url": proxy.endpoint_url if proxy else swift.endpoint_url,
            "region": swift.region,
            "access_key_id": swift.access_key,
            "secret_access_key": swift.secret_key,
            "part_size": PART,
            "retry_delay": 0.001,
            "attempts": 3,
        }
        made.append(new_store("s3", **dict(settings, **options)))
        return made[-1]

    yield make
    for store in made:
        store.close()


def stored_bytes(swift: t.Any, bucket: str, key: str = KEY) -> t.Optional[bytes]:
    """The bytes in the bucket, read without our code; None if there is no object."""
    client = swift.client()
    try:
        return t.cast(bytes, client.get_object(Bucket=bucket, Key="archives/" + key)["Body"].read())
    except client.exceptions.NoSuchKey:
        return None


def unfinished(swift: t.Any, bucket: str) -> t.List[str]:
    return [one["Key"] for one in swift.client().list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


# -- a real Swift ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("checksums", ["when_required", "when_supported"])
@pytest.mark.parametrize("size", [0, 1, 3000, PART, PART + 1, 2 * PART + 1000])
def test_put_stores_the_bytes_and_reports_the_proof(
    make_store: MakeStore, make_file: MakeFile, swift: t.Any, bucket: str, size: int, checksums: str
) -> None:
    file = make_file(size)
    result = make_store(checksum_calculation=checksums).put(file.path, KEY, file.digests)
    assert not result.existed
    assert result.attempts == 1
    assert result.verification.level == "server_digest"
    assert result.verification.etag == (file.digests.md5 if size <= PART else file.etag_of_parts())
    assert result.verification.md5 == (file.digests.md5 if size <= PART else None)
    assert stored_bytes(swift, bucket) == file.data
    assert unfinished(swift, bucket) == []


@pytest.mark.parametrize("level", ["remote_hash", "read_back"])
def test_a_level_that_the_server_cannot_show_is_reached_by_reading_back(make_store: MakeStore, large: File, level: str) -> None:
    verification = make_store(verify=level).put(large.path, KEY, large.digests).verification
    assert (verification.level, verification.md5) == ("read_back", large.digests.md5)


@pytest.mark.parametrize("size", [3000, PART + 1000])
def test_progress_adds_up_to_the_size(make_store: MakeStore, make_file: MakeFile, size: int) -> None:
    file = make_file(size)
    moved: t.List[int] = []
    make_store().put(file.path, KEY, file.digests, moved.append)
    assert sum(moved) == size
    assert min(moved) > 0
    moved.clear()
    make_store().get(KEY, io.BytesIO(), moved.append)
    assert sum(moved) == size


@pytest.mark.parametrize("size", [3000, PART + 1000])
def test_the_same_bytes_are_not_sent_again(
    proxy: HttpFaultProxy, make_store: MakeStore, make_file: MakeFile, swift: t.Any, bucket: str, size: int
) -> None:
    file = make_file(size)
    make_store().put(file.path, KEY, file.digests)
    result = make_store(proxy).put(file.path, KEY, file.digests)
    assert (result.existed, result.verification.level) == (True, "server_digest")
    # Nothing was sent, and the local file gave the ETag of the parts, so nothing was read back either. A file of parts might have been sent
    # in part before: that question goes out with the first one, and so does the beginning of an upload, which is not needed.
    begun = {"list_multipart_uploads", "create_multipart_upload", "abort_multipart_upload"}
    assert set(proxy.operations()) == ({"head_object"} | begun if size > PART else {"head_object"})
    assert unfinished(swift, bucket) == []


@pytest.mark.parametrize("size", [3000, PART + 1000])
@pytest.mark.parametrize("other", [3000, PART + 1000])
def test_other_bytes_are_never_overwritten(
    make_store: MakeStore, make_file: MakeFile, swift: t.Any, bucket: str, size: int, other: int
) -> None:
    first, second = make_file(size, "first"), make_file(other, "second")
    store = make_store()
    store.put(first.path, KEY, first.digests)
    with pytest.raises(errors.StoreExistsError, match="not overwritten"):
        store.put(second.path, KEY, second.digests)
    assert stored_bytes(swift, bucket) == first.data


@pytest.mark.parametrize("size", [3000, PART + 1000])
def test_an_object_that_appears_between_head_and_put_is_not_overwritten(
    proxy: HttpFaultProxy, make_store: MakeStore, make_file: MakeFile, swift: t.Any, bucket: str, size: int
) -> None:
    file = make_file(size)

    def other_writer(request: Request) -> bool:
        swift.client().put_object(Bucket=bucket, Key="archives/" + KEY, Body=b"another writer's")
        return True

    # Swift itself refuses, by If-None-Match: the rewrite changes nothing.
    proxy.fault("put_object|complete_multipart_upload", when=other_writer, rewrite=lambda answer: answer)
    with pytest.raises(errors.StoreExistsError):
        make_store(proxy).put(file.path, KEY, file.digests)
    assert stored_bytes(swift, bucket) == b"another writer's"
    assert unfinished(swift, bucket) == []


def test_swift_refuses_a_wrong_content_md5(swift: t.Any, bucket: str) -> None:
    # What all the rest rests on: this server looks at what we send.
    client = swift.client()
    with pytest.raises(client.exceptions.ClientError, match="BadDigest"):
        client.put_object(Bucket=bucket, Key="key", Body=b"these bytes", ContentMD5=base64.b64encode(bytes(16)).decode())


@pytest.mark.parametrize("size", [3000, PART + 1000])
def test_a_file_that_is_not_what_was_packed_is_not_stored(
    make_store: MakeStore, make_file: MakeFile, swift: t.Any, bucket: str, size: int
) -> None:
    file = make_file(size)
    with open(file.path, "r+b") as stream:
        stream.seek(size // 2)
        stream.write(b"flipped")
    with pytest.raises(errors.IntegrityError, match="SHA-256 differs") as raised:
        make_store().put(file.path, KEY, file.digests)
    assert raised.value.subject == file.path
    os.truncate(file.path, size - 1)
    with pytest.raises(errors.IntegrityError, match="size differs"):
        make_store().put(file.path, KEY, file.digests)
    assert stored_bytes(swift, bucket) is None
    assert unfinished(swift, bucket) == []


@pytest.mark.parametrize(
    ("options", "hint"),
    [({"secret_access_key": "wrong-s3cret"}, "secret_access_key"), ({"access_key_id": "no:body"}, "access_key_id")],
)
@pytest.mark.parametrize("call", ["put", "get", "verify", "list", "delete", "clean"])
def test_refused_credentials_are_reported_and_not_tried_again(
    proxy: HttpFaultProxy, make_store: MakeStore, small: File, options: t.Dict[str, str], hint: str, call: str
) -> None:
    store = make_store(proxy, **options)
    arguments = {"put": (small.path, KEY, small.digests), "get": (KEY, io.BytesIO()), "verify": (KEY, small.digests), "delete": ([KEY],)}
    with pytest.raises(errors.StoreDeniedError, match=hint) as raised:
        getattr(store, call)(*arguments.get(call, ()))
    assert "s3cret" not in str(raised.value)
    # At most a HEAD and the GET that gives its reason.
    assert len(proxy.requests) <= 2
    assert "put_object" not in proxy.operations()


def test_missing_credentials_are_reported_with_a_hint(swift: t.Any, bucket: str, monkeypatch: pytest.MonkeyPatch, small: File) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    with pytest.raises(errors.StoreDeniedError, match="AWS_"):
        new_store("s3", bucket=bucket, endpoint_url=swift.endpoint_url).list()
    with pytest.raises(errors.StoreDeniedError, match="nightly"):
        new_store("s3", bucket=bucket, endpoint_url=swift.endpoint_url, profile="nightly").list()


@pytest.mark.parametrize("call", ["put", "get", "verify", "list", "delete", "clean"])
def test_a_missing_bucket_is_reported(make_store: MakeStore, small: File, call: str) -> None:
    store = make_store(bucket="no-such-bucket")
    arguments = {"put": (small.path, KEY, small.digests), "get": (KEY, io.BytesIO()), "verify": (KEY, small.digests), "delete": ([KEY],)}
    with pytest.raises(errors.StoreNotFoundError, match="Create the bucket"):
        getattr(store, call)(*arguments.get(call, ()))


def test_a_missing_key_is_not_found(make_store: MakeStore, small: File) -> None:
    with pytest.raises(errors.StoreNotFoundError, match=KEY):
        make_store().verify(KEY, small.digests)
    with pytest.raises(errors.StoreNotFoundError, match=KEY):
        make_store().get(KEY, io.BytesIO())


def test_verify_finds_other_bytes(make_store: MakeStore, small: File, swift: t.Any, bucket: str) -> None:
    store = make_store()
    other = bytes(len(small.data))
    swift.client().put_object(Bucket=bucket, Key="archives/" + KEY, Body=other)
    for level in ("size", "server_digest", "remote_hash", "read_back"):
        with pytest.raises(errors.IntegrityError, match=hashlib.md5(other).hexdigest()):
            store.verify(KEY, small.digests, level)
    swift.client().put_object(Bucket=bucket, Key="archives/" + KEY, Body=b"short")
    with pytest.raises(errors.IntegrityError, match="5 bytes"):
        store.verify(KEY, small.digests, "size")


def test_verify_is_as_cheap_as_the_level_allows(proxy: HttpFaultProxy, make_store: MakeStore, small: File, large: File) -> None:
    # The fixtures share a file name: each file is put before the next is made by its own store.
    store = make_store()
    pathlib.Path(small.path).write_bytes(small.data)
    store.put(small.path, "small", small.digests)
    pathlib.Path(large.path).write_bytes(large.data)
    store.put(large.path, "large", large.digests)
    fresh = make_store(proxy)
    assert fresh.verify("small", small.digests, "size").level == "server_digest"
    assert fresh.verify("small", small.digests, "server_digest").level == "server_digest"
    assert fresh.verify("large", large.digests, "size").level == "size"
    assert set(proxy.operations()) == {"head_object"}
    assert fresh.verify("large", large.digests, "server_digest").level == "read_back"
    assert fresh.verify("small", small.digests, "remote_hash").level == "read_back"
    assert proxy.operations().count("get_object") == 2
    # The store that sent the parts knows what their ETag must be.
    assert store.verify("large", large.digests, "server_digest").level == "server_digest"


def test_list_sees_only_what_is_below_prefix_and_all_pages(
    make_store: MakeStore, swift: t.Any, bucket: str, small: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = swift.client()
    names = ["a/%04d" % number for number in range(25)]
    for name in names:
        client.put_object(Bucket=bucket, Key="archives/" + name, Body=b"x")
    for elsewhere in ("archives-old/a/1", "b", "archives/a/folder/"):
        client.put_object(Bucket=bucket, Key=elsewhere, Body=b"x")
    store = make_store()
    # A thousand objects a page take a minute to make: the server is asked for smaller pages, and batches are smaller.
    store.bucket.connect().meta.events.register(
        "before-parameter-build.s3.ListObjectsV2", lambda params, **_others: params.update(MaxKeys=10)
    )
    monkeypatch.setattr(s3_versions, "DELETE_BATCH", 10)
    store.put(small.path, "b/caf\u00e9 & <more>+%41?.tgz", small.digests)
    found = store.list()
    assert [one.key for one in found] == names + ["b/caf\u00e9 & <more>+%41?.tgz"]
    assert found[-1].size == len(small.data)
    assert found[-1].etag == small.digests.md5
    assert abs(t.cast(float, found[-1].modified) - datetime.datetime.now().timestamp()) < 3600
    assert [one.key for one in store.list("a/001")] == names[10:20]
    # More than one batch, and keys that are gone already.
    assert store.delete(names + ["never/was"]) == dict.fromkeys(names + ["never/was"])
    assert [one.key for one in store.list()] == ["b/caf\u00e9 & <more>+%41?.tgz"]


def test_clean_aborts_what_is_left_below_the_prefix_only(make_store: MakeStore, swift: t.Any, bucket: str) -> None:
    client = swift.client()
    for key in ("archives/web1/a", "archives/web2/b", "archives-old/c", "d"):
        client.create_multipart_upload(Bucket=bucket, Key=key)
    store = make_store()
    assert store.clean("web1/") == ["web1/a"]
    assert store.clean() == ["web2/b"]
    assert store.clean() == []
    assert unfinished(swift, bucket) == ["archives-old/c", "d"]


def test_a_closed_store_connects_again(make_store: MakeStore, small: File) -> None:
    store = make_store()
    store.put(small.path, KEY, small.digests)
    store.close()
    assert [one.key for one in store.list()] == [KEY]


def test_location_names_no_secret(make_store: MakeStore, bucket: str) -> None:
    store = make_store(secret_access_key="s3cret")
    assert store.location(KEY) == "s3://%s/archives/%s" % (bucket, KEY)
    assert make_store(prefix="").location("a") == "s3://%s/a" % bucket


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"part_size": MIB}, "5 MiB"),
        ({"access_key_id": "a"}, "must be set together"),
        ({"endpoint_url": "https://me:secret@host"}, "without credentials"),
        ({"endpoint_url": "host:9000"}, "http"),
    ],
)
def test_options_that_cannot_work_are_refused_at_once(options: t.Dict[str, t.Any], message: str) -> None:
    with pytest.raises(errors.ConfigError, match=message):
        new_store("s3", bucket="bucket", **options)


def test_clocks_that_differ_are_reported_with_both_times(swift: t.Any, bucket: str) -> None:
    code = (
        "import sys; sys.path[:0] = %r\n"
        "from rigs.stores import new_store\n"
        "new_store('s3', bucket=%r, endpoint_url=%r, region='us-east-1', access_key_id=%r, secret_access_key=%r).list()\n"
        % (sys.path, bucket, swift.endpoint_url, swift.access_key, swift.secret_key)
    )
    libraries = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not libraries:
        pytest.skip("libfaketime is not installed: 'apt-get install libfaketime'")
    env = dict(os.environ, LD_PRELOAD=libraries[0], FAKETIME="+3h", FAKETIME_DONT_FAKE_MONOTONIC="1")
    moments = [datetime.datetime.now(datetime.timezone.utc)]
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env)
    assert "StoreDeniedError" in ran.stderr
    last = ran.stderr.splitlines()[-1]
    assert "the clocks differ" in last
    # A day may end meanwhile.
    moments.append(datetime.datetime.now(datetime.timezone.utc))
    assert any((moment + datetime.timedelta(hours=3)).strftime("this host has %Y-%m-%dT") in last for moment in moments)
    assert last.count(":") >= 6


# -- memory and start-up --------------------------------------------------------------------------------------------------


def test_memory_of_a_put_does_not_grow_with_the_file(swift: t.Any, bucket: str, tmp_path: pathlib.Path) -> None:
    code = (
        "import hashlib, resource, sys; sys.path[:0] = %r\n"
        "from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.base import Digests\n"
        "from rigs.stores import new_store\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "store = new_store('s3', bucket=%r, endpoint_url=%r, region='us-east-1', access_key_id=%r, secret_access_key=%r)\n"
        "store.put(sys.argv[1], 'big', Digests(int(sys.argv[2]), sys.argv[3], sys.argv[4]))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
        % (sys.path, bucket, swift.endpoint_url, swift.access_key, swift.secret_key)
    )
    path = tmp_path / "big"
    size = 120 * MIB
    with open(path, "wb") as stream:
        stream.truncate(size)
    zeros = bytes(size)
    digests = [str(size), hashlib.md5(zeros).hexdigest(), hashlib.sha256(zeros).hexdigest()]
    # A child of this large process would count our own memory at its start as its peak: the launcher between is small.
    launcher = "import subprocess, sys; raise SystemExit(subprocess.call([sys.executable, '-c'] + sys.argv[1:]))"
    ran = subprocess.run([sys.executable, "-c", launcher, code, str(path), *digests], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    # boto3 and its description of S3 alone are some 42 MiB.
    assert int(ran.stdout) < 60 * 1024


def test_boto3_is_not_imported_before_the_first_call() -> None:
    code = (
        "import sys; sys.path[:0] = %r\n"
        "from rigs.stores import new_store\n"
        "new_store('s3', bucket='bucket').location('key')\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('boto3', 'botocore', 'urllib3', 'concurrent')])\n" % sys.path
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


# -- servers that fail ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("operation", ["put_object", "head_object", "upload_part", "create_multipart_upload", "complete_multipart_upload"])
def test_a_server_error_is_tried_again(
    proxy: HttpFaultProxy, make_store: MakeStore, make_file: MakeFile, swift: t.Any, bucket: str, status: int, operation: str
) -> None:
    file = make_file(3000 if operation in ("put_object", "head_object") else PART + 1000)
    proxy.fault(operation, times=1, refuse=s3_error(status, "InternalError"))
    result = make_store(proxy).put(file.path, KEY, file.digests)
    assert (result.attempts, result.existed) == (2, False)
    assert stored_bytes(swift, bucket) == file.data
    assert unfinished(swift, bucket) == []
    # boto3 makes no tries of its own.
    assert proxy.operations().count(operation) <= 4


def test_a_server_that_stays_broken_is_unavailable_and_the_next_put_goes_on(
    proxy: HttpFaultProxy, make_store: MakeStore, large: File, swift: t.Any, bucket: str
) -> None:
    proxy.fault("complete_multipart_upload", times=3, refuse=s3_error(503, "SlowDown"))
    with pytest.raises(errors.StoreUnavailableError, match="503 SlowDown"):
        make_store(proxy).put(large.path, KEY, large.digests)
    assert proxy.operations().count("complete_multipart_upload") == 3
    # Only the missing parts are sent again.
    assert proxy.operations().count("upload_part") == 3
    assert proxy.operations().count("create_multipart_upload") == 1
    # Another process finds the parts, and sends none again; another archive of the same name does not touch them.
    assert unfinished(swift, bucket) == ["archives/" + KEY]
    proxy.requests.clear()
    proxy.fault("list_multipart_uploads", times=1, refuse=s3_error(503, "SlowDown"))
    assert make_store(proxy).put(large.path, KEY, large.digests)[1:3] == (False, 2)
    assert "upload_part" not in proxy.operations()
    # One was begun before the other was found.
    assert [proxy.operations().count(one + "_multipart_upload") for one in ("create", "abort", "complete")] == [1, 1, 1]
    assert stored_bytes(swift, bucket) == large.data
    assert unfinished(swift, bucket) == []


def test_an_upload_of_another_archive_under_the_same_name_is_not_touched(
    make_store: MakeStore, make_file: MakeFile, swift: t.Any, bucket: str
) -> None:
    client = swift.client()
    other = client.create_multipart_upload(Bucket=bucket, Key="archives/" + KEY)["UploadId"]
    client.upload_part(Bucket=bucket, Key="archives/" + KEY, UploadId=other, PartNumber=1, Body=bytes(PART))
    file = make_file(2 * PART + 1000)
    make_store().put(file.path, KEY, file.digests)
    assert stored_bytes(swift, bucket) == file.data
    assert len(client.list_parts(Bucket=bucket, Key="archives/" + KEY, UploadId=other)["Parts"]) == 1


def test_a_link_that_breaks_every_6_mb_brings_all_of_a_large_archive(
    swift: t.Any, new_proxy: t.Any, make_store: MakeStore, make_file: MakeFile, bucket: str
) -> None:
    file = make_file(6 * PART + 1000)
    link = new_proxy(swift)
    link.cut_after(up=6 * MIB, down=6 * MIB, times=None)
    store = make_store(endpoint_url="http://%s:%d" % (link.host, link.port), attempts=1)
    assert store.put(file.path, KEY, file.digests).attempts > 1
    assert link.bytes_up < 2 * len(file.data)
    sink = io.BytesIO()
    store.get(KEY, sink)
    assert sink.getvalue() == file.data
    assert link.bytes_down < 1.5 * len(file.data)


def test_parts_that_arrived_are_not_sent_again(
    proxy: HttpFaultProxy, make_store: MakeStore, large: File, swift: t.Any, bucket: str
) -> None:
    proxy.fault("upload_part", times=1, when=lambda request: request.query["partNumber"] == "2", cut_up=MIB)
    assert make_store(proxy).put(large.path, KEY, large.digests).attempts == 2
    assert proxy.operations().count("upload_part") == 4
    assert stored_bytes(swift, bucket) == large.data


def test_an_upload_that_the_server_forgot_begins_again(
    proxy: HttpFaultProxy, make_store: MakeStore, large: File, swift: t.Any, bucket: str
) -> None:
    proxy.fault("complete_multipart_upload", times=1, refuse=s3_error(404, "NoSuchUpload"))
    assert make_store(proxy).put(large.path, KEY, large.digests).attempts == 2
    assert proxy.operations().count("create_multipart_upload") == 2
    assert stored_bytes(swift, bucket) == large.data


def test_an_error_inside_a_200_on_completion_is_seen(
    proxy: HttpFaultProxy, make_store: MakeStore, large: File, swift: t.Any, bucket: str
) -> None:
    proxy.fault("complete_multipart_upload", times=1, refuse=s3_error(200, "InternalError"))
    assert make_store(proxy).put(large.path, KEY, large.digests).attempts == 2
    assert stored_bytes(swift, bucket) == large.data


@pytest.mark.parametrize("size", [3000, PART + 1000])
def test_an_answer_that_got_lost_after_the_object_was_made(
    proxy: HttpFaultProxy, make_store: MakeStore, make_file: MakeFile, swift: t.Any, bucket: str, size: int
) -> None:
    file = make_file(size)
    proxy.fault("put_object|complete_multipart_upload", times=1, rewrite=lambda _answer: s3_error(500, "InternalError"))
    result = make_store(proxy).put(file.path, KEY, file.digests)
    assert result.existed
    assert result.verification.level == "server_digest"
    assert "get_object" not in proxy.operations()
    assert stored_bytes(swift, bucket) == file.data


@pytest.mark.parametrize("cut", [0, 1, 100000])
def test_a_connection_cut_while_sending(
    proxy: HttpFaultProxy, make_store: MakeStore, make_file: MakeFile, swift: t.Any, bucket: str, cut: int
) -> None:
    file = make_file(300000)
    proxy.fault("put_object", times=1, cut_up=cut)
    assert make_store(proxy).put(file.path, KEY, file.digests).attempts == 2
    assert stored_bytes(swift, bucket) == file.data


def test_a_connection_cut_while_receiving(proxy: HttpFaultProxy, make_store: MakeStore, make_file: MakeFile) -> None:
    file = make_file(300000)
    store = make_store(proxy)
    store.put(file.path, KEY, file.digests)
    proxy.fault("get_object", times=2, cut_down=100000)
    sink = io.BytesIO()
    store.get(KEY, sink)
    assert sink.getvalue() == file.data
    proxy.fault("get_object", cut_down=100000)
    with pytest.raises(errors.StoreUnavailableError):
        store.verify(KEY, file.digests, "read_back")


def test_a_body_shorter_than_announced_is_not_taken_for_whole(proxy: HttpFaultProxy, make_store: MakeStore, small: File) -> None:
    store = make_store(proxy)
    store.put(small.path, KEY, small.digests)
    headers = {"content-type": "application/octet-stream"}
    proxy.fault("get_object", rewrite=lambda answer: answer._replace(headers=dict(answer.headers, **headers), body=answer.body[:-1]))
    with pytest.raises(errors.IntegrityError):
        store.verify(KEY, small.digests, "read_back")


def test_a_refused_connection(make_store: MakeStore, small: File, proxy: HttpFaultProxy) -> None:
    proxy.close()
    with pytest.raises(errors.StoreUnavailableError, match="Could not connect"):
        make_store(proxy).put(small.path, KEY, small.digests)


def test_a_server_that_is_silent(swift: t.Any, new_proxy: t.Any, make_store: MakeStore, small: File) -> None:
    silent = new_proxy(swift)
    silent.hang()
    with pytest.raises(errors.StoreUnavailableError, match="(?i)timeout"):
        make_store(endpoint_url="http://%s:%d" % (silent.host, silent.port), timeout=0.2, attempts=1).list()


def test_an_answer_that_is_not_s3(proxy: HttpFaultProxy, make_store: MakeStore) -> None:
    page = s3_error(200, "x")._replace(body=b"<html><body>Please log in to the guest network<br></body></html>")
    proxy.fault("list_objects", refuse=page)
    with pytest.raises(errors.StoreUnavailableError, match="cannot read the server's answer|answered 500"):
        make_store(proxy).list()


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (s3_error(403, "AccessDenied"), errors.StoreDeniedError, "policy"),
        (s3_error(400, "ExpiredToken"), errors.StoreDeniedError, "expired"),
        (s3_error(403, "RequestTimeTooSkewed", ServerTime="2024-01-12T12:00:00Z"), errors.StoreDeniedError, "the server 2024-01-12T12"),
        (s3_error(413, "EntityTooLarge"), errors.StoreFullError, "quota"),
        (s3_error(403, "QuotaExceeded"), errors.StoreFullError, "quota"),
        (s3_error(507, "XMinioStorageFull"), errors.StoreFullError, "quota"),
        (s3_error(411, "MissingContentLength"), errors.StoreError, "when_required"),
        (s3_error(400, "AuthorizationHeaderMalformed", Region="eu-west-3"), errors.StoreError, "Set region to eu-west-3"),
        (s3_error(301, "PermanentRedirect", Endpoint="b.s3.eu-west-3.example"), errors.StoreError, "b.s3.eu-west-3.example"),
        (s3_error(400, "IllegalLocationConstraintException"), errors.StoreError, "Set region"),
    ],
)
def test_answers_that_trying_again_does_not_cure(
    proxy: HttpFaultProxy, make_store: MakeStore, small: File, answer: t.Any, kind: t.Type[errors.StoreError], message: str
) -> None:
    proxy.fault("put_object", refuse=answer)
    with pytest.raises(kind, match=message) as raised:
        make_store(proxy).put(small.path, KEY, small.digests)
    assert not raised.value.retryable
    # A wrong region is tried once in the right one, by boto3.
    assert proxy.operations().count("put_object") <= 2


def test_bytes_damaged_on_the_way_are_sent_again(proxy: HttpFaultProxy, make_store: MakeStore, small: File) -> None:
    proxy.fault("put_object", times=1, refuse=s3_error(400, "BadDigest"))
    assert make_store(proxy).put(small.path, KEY, small.digests).attempts == 2


@pytest.mark.parametrize("size", [3000, PART + 1000])
def test_a_conflict_with_another_writer_is_tried_again(
    proxy: HttpFaultProxy, make_store: MakeStore, make_file: MakeFile, size: int
) -> None:
    file = make_file(size)
    proxy.fault("put_object|complete_multipart_upload", times=1, refuse=s3_error(409, "ConditionalRequestConflict"))
    assert make_store(proxy).put(file.path, KEY, file.digests).attempts == 2


def test_a_user_without_the_right_to_list_can_put(proxy: HttpFaultProxy, make_store: MakeStore, small: File) -> None:
    # AWS answers 403, not 404, for an object that is not there to those who may not list.
    proxy.fault("head_object|get_object", times=2, refuse=s3_error(403, "AccessDenied"))
    assert make_store(proxy).put(small.path, KEY, small.digests).attempts == 1


def test_keys_that_could_not_be_deleted_are_reported_each(proxy: HttpFaultProxy, make_store: MakeStore, small: File) -> None:
    store = make_store(proxy)
    store.put(small.path, "a", small.digests)
    body = (
        b"<DeleteResult><Deleted><Key>archives/c</Key></Deleted>"
        b"<Error><Key>archives/a</Key><Code>AccessDenied</Code><Message>locked until 2030</Message></Error>"
        b"<Error><Key>archives/b</Key><Code>NoSuchKey</Code><Message>gone</Message></Error></DeleteResult>"
    )
    proxy.fault("delete_objects", rewrite=lambda answer: answer._replace(body=body))
    assert store.delete(["a", "b", "c", "d"]) == {
        "a": "AccessDenied: locked until 2030 (pruning needs the right s3:DeleteObject, and s3:DeleteObjectVersion with 'versions: delete';"
        " or set append_only for the store)",
        "b": None,
        "c": None,
        "d": "the server did not confirm it",
    }


# -- buckets with versions ------------------------------------------------------------------------------------------------


def versions(swift: t.Any, bucket: str) -> t.List[str]:
    answer = swift.client().list_object_versions(Bucket=bucket)
    return sorted(one["Key"] for kind in ("Versions", "DeleteMarkers") for one in answer.get(kind, []))


@pytest.fixture
def versioned(swift: t.Any, bucket: str) -> str:
    swift.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def test_a_deletion_leaves_versions_and_reports_them(make_store: MakeStore, small: File, swift: t.Any, versioned: str) -> None:
    store = make_store()
    store.put(small.path, "a/1", small.digests)
    assert store.keeps_versions()
    assert store.delete(["a/1"]) == {"a/1": None}
    assert store.list() == []
    assert store.hidden == {"a/1"}
    assert versions(swift, versioned) == ["archives/a/1"] * 2


def test_all_versions_are_deleted_on_request(make_store: MakeStore, small: File, swift: t.Any, versioned: str) -> None:
    store = make_store(versions="delete")
    for key in ("a/1", "a/2", "b/1"):
        store.put(small.path, key, small.digests)
    make_store().delete(["a/1"])
    make_store().put(small.path, "a/1", small.digests)
    assert not store.keeps_versions()
    assert store.delete(["a/1", "b/1", "never"]) == {"a/1": None, "b/1": None, "never": None}
    assert versions(swift, versioned) == ["archives/a/2"]
    assert store.hidden == set()


def test_all_versions_in_a_flat_layout_are_deleted_and_none_of_other_programs(
    make_store: MakeStore, small: File, swift: t.Any, versioned: str
) -> None:
    keys = ["web1/syslog/2024/01/12/a", "web1/syslog/2024/01/12/a.manifest.json", "web1/syslog/2024/01/13/b"]
    names = ["archives/web1~syslog~20240112~a", "archives/web1~syslog~20240112~a.manifest.json", "archives/web1~syslog~20240113~b"]
    foreign = "archives/web1~syslog~20240112~"
    swift.client().put_object(Bucket=versioned, Key=foreign, Body=b"x")
    hiding, deleting = make_store(layout="flat"), make_store(layout="flat", versions="delete")
    for key in keys:
        deleting.put(small.path, key, small.digests)
    assert versions(swift, versioned) == sorted([foreign, *names])
    assert hiding.delete(keys[:1]) == {keys[0]: None}
    assert (hiding.keeps_bytes(keys[0]), hiding.keeps_bytes(keys[1])) == (True, False)
    assert deleting.delete(keys) == dict.fromkeys(keys)
    assert versions(swift, versioned) == [foreign]


def test_a_bucket_without_versions_is_pruned_with_either_setting(make_store: MakeStore, small: File) -> None:
    store = make_store(versions="delete")
    store.put(small.path, "a/1", small.digests)
    assert store.delete(["a/1"]) == {"a/1": None}
    assert store.list() == []
    assert not make_store().keeps_versions()


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("object is WORM protected", "Object Lock protects it; it can be removed after its time"),
        ("Access Denied because object protected by object lock.", "Object Lock protects it; it can be removed after its time"),
        ("Access Denied", "or Object Lock protects the version"),
    ],
)
def test_a_version_under_object_lock_is_named(
    proxy: HttpFaultProxy, make_store: MakeStore, small: File, versioned: str, message: str, hint: str
) -> None:
    store = make_store(proxy, versions="delete")
    store.put(small.path, "a/1", small.digests)
    locked = s3_error(200, "AccessDenied", message, Key="archives/a/1").body.partition(b"?>")[2]
    proxy.fault("delete_objects", rewrite=lambda answer: answer._replace(body=b"<DeleteResult>%s</DeleteResult>" % locked))
    refused = str(store.delete(["a/1"])["a/1"])
    assert message in refused and hint in refused
    assert ("s3:DeleteObjectVersion" in refused) is (message == "Access Denied"), "rights do not help against a lock"


def test_an_account_without_the_right_to_delete_is_told_what_pruning_needs(
    proxy: HttpFaultProxy, make_store: MakeStore, small: File
) -> None:
    proxy.fault("delete_objects", refuse=s3_error(403, "AccessDenied"))
    with pytest.raises(errors.StoreDeniedError, match="Pruning needs the right s3:DeleteObject"):
        make_store(proxy).delete([KEY])


# -- the listing and the catalog --------------------------------------------------------------------------------------------


def test_an_object_of_the_same_size_with_other_bytes_shows_in_the_listing(
    make_store: MakeStore, small: File, swift: t.Any, bucket: str, tmp_path: pathlib.Path
) -> None:
    """As in ``status``, which reads no archive."""
    host = Host(tmp_path / "host")
    host.write_logs(13, 14)
    host.run()
    manifests = archives_in(file_store(host.store))
    store = make_store()
    for key, manifest in manifests.items():
        for name, digests in (
            (key, verify.digests(manifest)),
            (key + ".manifest.json", digests_of_file(str(host.store / (key + ".manifest.json")))),
        ):
            store.put(str(host.store / name), name, digests)
    etags = {key: str(manifest["archive"]["md5"]) for key, manifest in manifests.items()}
    record = Record(lambda: manifests, etags=lambda: etags)
    assert compare(store, record) == {}
    key = sorted(manifests)[0]
    swift.client().put_object(Bucket=bucket, Key="archives/" + key, Body=b"x" * manifests[key]["archive"]["size"])
    assert list(compare(store, record)) == [key]
    etags[key] = "of another kind"
    assert compare(store, record) == {}, "an ETag that was no MD5 of the archive proves nothing"


# -- servers that report wrong values -------------------------------------------------------------------------------------


def wrong_etag_of(operation: str) -> t.Callable[[HttpFaultProxy], None]:
    return lambda proxy: proxy.fault(operation, rewrite=with_etag("0123456789abcdef" * 2))


@pytest.mark.parametrize("operation", ["put_object", "put_object|head_object"])
def test_a_wrong_etag_of_an_object_is_found_and_the_object_removed(
    proxy: HttpFaultProxy, make_store: MakeStore, small: File, swift: t.Any, bucket: str, operation: str
) -> None:
    wrong_etag_of(operation)(proxy)
    with pytest.raises(errors.IntegrityError, match="0123456789abcdef.*was removed again"):
        make_store(proxy).put(small.path, KEY, small.digests)
    assert stored_bytes(swift, bucket) is None


def test_a_wrong_etag_of_a_part_is_found_and_the_upload_aborted(
    proxy: HttpFaultProxy, make_store: MakeStore, large: File, swift: t.Any, bucket: str
) -> None:
    proxy.fault("upload_part", when=lambda request: request.query["partNumber"] == "2", rewrite=with_etag("ab" * 16))
    with pytest.raises(errors.IntegrityError, match="part 2"):
        make_store(proxy).put(large.path, KEY, large.digests)
    assert stored_bytes(swift, bucket) is None
    assert unfinished(swift, bucket) == []


@pytest.mark.parametrize("etag", ["0123456789abcdef" * 2 + "-3", "0123456789abcdef" * 2 + "-2"])
def test_a_wrong_etag_of_all_parts_is_found_and_the_object_removed(
    proxy: HttpFaultProxy, make_store: MakeStore, large: File, swift: t.Any, bucket: str, etag: str
) -> None:
    proxy.fault("complete_multipart_upload|head_object", rewrite=with_etag(etag))
    with pytest.raises(errors.IntegrityError, match="was removed again"):
        make_store(proxy).put(large.path, KEY, large.digests)
    assert stored_bytes(swift, bucket) is None


def test_a_size_that_differs_is_found_and_the_object_removed(
    proxy: HttpFaultProxy, make_store: MakeStore, small: File, swift: t.Any, bucket: str
) -> None:
    proxy.fault("head_object", rewrite=lambda answer: answer._replace(headers=dict(answer.headers, **{"content-length": "2999"})))
    with pytest.raises(errors.IntegrityError, match="2999 bytes, not 3000"):
        make_store(proxy).put(small.path, KEY, small.digests)
    assert stored_bytes(swift, bucket) is None


def test_bytes_that_read_back_differently_are_removed(
    proxy: HttpFaultProxy, make_store: MakeStore, small: File, swift: t.Any, bucket: str
) -> None:
    proxy.fault("get_object", rewrite=lambda answer: answer._replace(body=b"\0" + answer.body[1:]))
    with pytest.raises(errors.IntegrityError, match="read back.*was removed again"):
        make_store(proxy, verify="read_back").put(small.path, KEY, small.digests)
    assert stored_bytes(swift, bucket) is None


def test_a_damaged_object_that_cannot_be_removed_is_named(proxy: HttpFaultProxy, make_store: MakeStore, small: File) -> None:
    wrong_etag_of("put_object")(proxy)
    proxy.fault("delete_object", refuse=s3_error(403, "AccessDenied"))
    with pytest.raises(errors.IntegrityError, match="could not be removed.*AccessDenied"):
        make_store(proxy).put(small.path, KEY, small.digests)


# -- servers that are different -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3000, PART + 1000])
@pytest.mark.parametrize(
    "refusal", [s3_error(501, "NotImplemented"), s3_error(400, "InvalidArgument"), s3_error(501, "NotImplemented")._replace(body=b"")]
)
def test_a_server_without_if_none_match_is_asked_before_and_remembered(
    proxy: HttpFaultProxy, make_store: MakeStore, make_file: MakeFile, swift: t.Any, bucket: str, size: int, refusal: t.Any
) -> None:
    file = make_file(size)
    operation = "put_object|complete_multipart_upload"
    proxy.fault(operation, when=lambda request: "if-none-match" in request.headers, refuse=refusal)
    store = make_store(proxy)
    assert store.put(file.path, KEY, file.digests).attempts == 1
    assert stored_bytes(swift, bucket) == file.data
    proxy.requests.clear()
    store.put(file.path, "second", file.digests)
    writes = [request for request in proxy.requests if request.operation in operation]
    assert [("if-none-match" in request.headers) for request in writes] == [False]
    with pytest.raises(errors.StoreExistsError):
        other = make_file(size, "other")
        store.put(other.path, KEY, other.digests)
    assert stored_bytes(swift, bucket) == file.data


def test_a_501_that_is_not_for_if_none_match_is_reported(proxy: HttpFaultProxy, make_store: MakeStore, small: File) -> None:
    proxy.fault("put_object", refuse=s3_error(501, "NotImplemented", "no such storage class"))
    with pytest.raises(errors.StoreError, match="no such storage class"):
        make_store(proxy, storage_class="GLACIER").put(small.path, KEY, small.digests)


@pytest.mark.parametrize(
    ("etag", "level"), [("", "server_digest"), ("0x8DC1234", "server_digest"), ("f" * 32, "read_back"), ("f" * 32 + "-7", "read_back")]
)
@pytest.mark.parametrize("size", [3000, PART + 1000])
def test_another_etag_on_head_than_before(
    proxy: HttpFaultProxy, make_store: MakeStore, make_file: MakeFile, swift: t.Any, bucket: str, size: int, etag: str, level: str
) -> None:
    # A proxy may have made it up, or it is another writer's object: only the bytes can show it.
    file = make_file(size)
    proxy.fault("head_object", rewrite=with_etag(etag))
    result = make_store(proxy).put(file.path, KEY, file.digests)
    assert (result.existed, result.verification.level) == (False, level)
    assert stored_bytes(swift, bucket) == file.data


@pytest.mark.parametrize("level", ["size", "server_digest", "read_back"])
@pytest.mark.parametrize("size", [3000, PART + 1000])
def test_an_object_that_another_writer_stored_after_us_is_not_removed(
    proxy: HttpFaultProxy, make_store: MakeStore, make_file: MakeFile, swift: t.Any, bucket: str, size: int, level: str
) -> None:
    # Swift is one of the servers that do not check If-None-Match at the end of the upload: it takes both.
    file = make_file(size)
    others = bytes(size)

    def overwritten(answer: t.Any) -> t.Any:
        swift.client().put_object(Bucket=bucket, Key="archives/" + KEY, Body=others)
        return answer

    proxy.fault("put_object|complete_multipart_upload", rewrite=overwritten)
    with pytest.raises(errors.StoreExistsError):
        make_store(proxy, verify=level).put(file.path, KEY, file.digests)
    assert stored_bytes(swift, bucket) == others


def test_an_empty_etag_on_completion(proxy: HttpFaultProxy, make_store: MakeStore, large: File) -> None:
    # Ceph RGW 16; HEAD has it.
    proxy.fault("complete_multipart_upload", rewrite=with_etag(""))
    verification = make_store(proxy).put(large.path, KEY, large.digests).verification
    assert (verification.level, verification.etag) == ("server_digest", large.etag_of_parts())


@pytest.mark.parametrize("size", [3000, PART + 1000])
@pytest.mark.parametrize("level", ["server_digest", "read_back"])
def test_etags_of_kms_are_not_taken_for_md5(
    proxy: HttpFaultProxy, make_store: MakeStore, make_file: MakeFile, size: int, level: str
) -> None:
    file = make_file(size)
    # The real server knows a part by its real ETag, so only the answers about the whole object are changed.
    proxy.fault("put_object|complete_multipart_upload|head_object", rewrite=with_etag("ab" * 16, **KMS))
    store = make_store(proxy, verify=level)
    assert store.put(file.path, KEY, file.digests).verification.level == level
    assert store.verify(KEY, file.digests, "size").level == "size"
    # An ETag that proves nothing: the bytes are read.
    assert store.verify(KEY, file.digests, "server_digest").level == "read_back"


def test_etags_of_kms_parts_are_not_compared_and_are_sent_back_unchanged(proxy: HttpFaultProxy, make_store: MakeStore, large: File) -> None:
    proxy.fault("upload_part|complete_multipart_upload", rewrite=with_etag("ab" * 16, **KMS))
    # Swift knows its parts by other ETags and refuses to complete: what matters here is that the parts were taken.
    with pytest.raises(errors.StoreError, match="InvalidPart"):
        make_store(proxy).put(large.path, KEY, large.digests)
    assert proxy.operations().count("upload_part") == 3


def test_a_sha256_that_the_server_stored_is_a_remote_hash(proxy: HttpFaultProxy, make_store: MakeStore, small: File) -> None:
    store = make_store(proxy)
    store.put(small.path, KEY, small.digests)
    reported = {
        "x-amz-checksum-sha256": base64.b64encode(bytes.fromhex(small.digests.sha256)).decode(),
        "x-amz-checksum-type": "FULL_OBJECT",
    }
    proxy.fault("head_object", times=1, rewrite=lambda answer: answer._replace(headers=dict(answer.headers, **reported)))
    assert store.verify(KEY, small.digests, "remote_hash").level == "remote_hash"
    reported["x-amz-checksum-sha256"] = base64.b64encode(bytes(32)).decode()
    proxy.fault("head_object", times=1, rewrite=lambda answer: answer._replace(headers=dict(answer.headers, **reported)))
    with pytest.raises(errors.IntegrityError, match="SHA-256"):
        store.verify(KEY, small.digests, "server_digest")


def test_another_sha256_of_the_parts_is_found_and_the_object_removed(
    proxy: HttpFaultProxy, make_store: MakeStore, large: File, swift: t.Any, bucket: str
) -> None:
    lie = b"<ChecksumSHA256>%s-3</ChecksumSHA256></CompleteMultipartUploadResult>" % base64.b64encode(bytes(32))
    proxy.fault(
        "complete_multipart_upload",
        rewrite=lambda answer: answer._replace(body=answer.body.replace(b"</CompleteMultipartUploadResult>", lie)),
    )
    with pytest.raises(errors.IntegrityError, match="SHA-256.*was removed again"):
        make_store(proxy, checksum_calculation="when_supported").put(large.path, KEY, large.digests)
    assert stored_bytes(swift, bucket) is None


def test_delete_sends_content_md5_and_no_other_checksum(proxy: HttpFaultProxy, make_store: MakeStore, small: File) -> None:
    # Older Swift demands it; Swift itself checks it.
    store = make_store(proxy)
    store.put(small.path, KEY, small.digests)
    assert store.delete([KEY]) == {KEY: None}
    headers = proxy.requests[-1].headers
    assert "content-md5" in headers
    assert not [name for name in headers if name.startswith(("x-amz-checksum", "x-amz-sdk-checksum"))]
    assert store.list() == []


# -- TLS ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A certificate for 127.0.0.1 that is its own authority, with its key, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "lab")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    plain = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(plain + made.public_bytes(serialization.Encoding.PEM))
    return str(path)


@pytest.fixture
def tls_proxy(swift: t.Any, certificate: str) -> t.Iterator[HttpFaultProxy]:
    with http_fault_proxy((swift.host, swift.port), certificate) as proxy:
        yield proxy


@pytest.mark.parametrize("checksums", ["when_required", "when_supported"])
@pytest.mark.parametrize("size", [3000, PART + 1000])
def test_a_server_over_tls_that_refuses_streamed_checksums(
    tls_proxy: HttpFaultProxy, make_store: MakeStore, make_file: MakeFile, certificate: str, size: int, checksums: str
) -> None:
    # Ceph RGW 16 over TLS answers 411 to them.
    file = make_file(size)

    def streamed(request: Request) -> bool:
        return "transfer-encoding" in request.headers or request.headers.get("x-amz-content-sha256", "").startswith("STREAMING")

    tls_proxy.fault(".*", when=streamed, refuse=s3_error(411, "MissingContentLength"))
    store = make_store(tls_proxy, ca_bundle=certificate, checksum_calculation=checksums)
    assert store.put(file.path, KEY, file.digests).attempts == 1
    sent = [request for request in tls_proxy.requests if request.operation in ("put_object", "upload_part")]
    assert {request.headers["x-amz-content-sha256"] for request in sent} == {"UNSIGNED-PAYLOAD"}
    assert all("content-md5" in request.headers for request in sent)


def test_an_untrusted_certificate_is_reported_and_not_tried_again(tls_proxy: HttpFaultProxy, make_store: MakeStore, small: File) -> None:
    with pytest.raises(errors.StoreError, match="certificate is not accepted.*ca_bundle") as raised:
        make_store(tls_proxy).put(small.path, KEY, small.digests)
    assert not raised.value.retryable
    assert tls_proxy.requests == []


def test_tls_to_a_server_without_it_is_reported(swift: t.Any, make_store: MakeStore) -> None:
    with pytest.raises(errors.StoreUnavailableError, match="scheme"):
        make_store(endpoint_url=swift.endpoint_url.replace("http:", "https:")).list()
