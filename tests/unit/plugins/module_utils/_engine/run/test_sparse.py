# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files with holes: archived and restored without reading or writing the holes, and open to GNU tar and Python."""

from __future__ import annotations

import base64
import gzip
import io
import os
import pathlib
import random
import subprocess
import tarfile
import time

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import manifest as manifests
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import sparse
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import IntegrityError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import keyring
from hypothesis import given, settings, strategies
from rigs.examples import examples
from rigs.host import archives_in, file_store, log_bytes
from rigs.runs import ALL, restore

fernet = pytest.importorskip("cryptography.fernet")
MIB = 1 << 20


def write_sparse(path: pathlib.Path, size: int, *parts: tuple[int, bytes]) -> None:
    """A file of this size with these (offset, bytes), and holes between them."""
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in parts:
            file.seek(offset)
            file.write(data)
    if os.stat(path).st_blocks * 512 >= size:
        pytest.skip("this file system has no holes")


def used(path: pathlib.Path) -> int:
    return os.stat(path).st_blocks * 512


def opened(host, key):
    """The tgz of an archive, opened as anybody would with the key."""
    data = io.BytesIO()
    file_store(host.store).get(key, data)
    secret = keyring.load_current(str(host.keyring)).secret
    return fernet.Fernet(base64.urlsafe_b64encode(secret)).decrypt(data.getvalue())


PATTERNS = {
    "data between holes": (20 * MIB, (5 * MIB, b"middle" * 1000)),
    "data at the beginning": (20 * MIB, (0, b"first" * 1000)),
    "data at the end": (20 * MIB + 77, (20 * MIB, b"last" * 19 + b"!")),
    "only a hole": (20 * MIB,),
    "many": (60 * MIB, *[(number * 6 * MIB + 4096 * number, b"%d" % number * 50_000) for number in range(9)]),
    "odd size": (9 * MIB + 1, (3 * MIB + 13, b"x")),
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_holes_are_archived_and_restored(host, tmp_path, pattern):
    log = host.logs / "lastlog\udce9"
    write_sparse(log, *PATTERNS[pattern])
    (host.logs / "zzz").write_bytes(log_bytes("1", 3000))
    assert host.run(select=ALL, archive={"group": "run"})["errors"] == []
    (key,) = archives_in(file_store(host.store))
    for again in ("written", "unchanged"):
        (one,) = restore(host, host.folder / "to")
        assert {file.state for file in one.files} == {again}
    restored = host.folder / "to" / str(log)[1:]
    assert restored.read_bytes() == log.read_bytes()
    assert used(restored) <= used(log) + 64 * 1024
    # GNU tar and Python read the same.
    tgz = opened(host, key)
    (tmp_path / "a.tgz").write_bytes(tgz)
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xzf", tmp_path / "a.tgz", "-C", tmp_path / "out"], check=True)
    assert (tmp_path / "out" / str(log)[1:]).read_bytes() == log.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(tgz), mode="r:gz") as archive:
        assert archive.extractfile(str(log)[1:]).read() == log.read_bytes()


def test_a_tebibyte_with_a_mebibyte_of_data(host):
    """lastlog of a host with user ids from a directory. Reading its holes would take hours."""
    log = host.logs / "lastlog"
    write_sparse(log, 1 << 40, (0, log_bytes("1", MIB // 2)), ((1 << 40) - MIB // 2, log_bytes("2", MIB // 2)))
    began = time.process_time()
    for _again in range(2):
        assert host.run(select=ALL)["errors"] == []
    (manifest,) = archives_in(file_store(host.store)).values()
    assert manifest["archive"]["size"] < MIB
    restore(host, host.folder / "to")
    restore(host, host.folder / "to")
    restored = host.folder / "to" / str(log)[1:]
    assert (os.stat(restored).st_size, used(restored) < 4 * MIB) == (1 << 40, True)
    log.rename(host.logs / "lastlog.1")
    record = host.run(select=ALL, delete_sources=True)
    assert (record["archives"], record["warnings"], len(record["sources_deleted"])) == ([], [], 1)
    assert time.process_time() - began < 20


def test_zeros_of_a_file_without_holes_become_holes(host):
    log = host.logs / "zeros"
    log.write_bytes(b"begin" + bytes(8 * MIB) + b"end")
    assert host.run(select=ALL)["errors"] == []
    (manifest,) = archives_in(file_store(host.store)).values()
    assert "data" not in manifest["sources"][0]
    restore(host, host.folder / "to")
    restored = host.folder / "to" / str(log)[1:]
    assert restored.read_bytes() == log.read_bytes()
    assert used(restored) < MIB


def test_a_restored_file_that_differs_between_the_data_is_not_taken_for_restored(host):
    log = host.logs / "log"
    write_sparse(log, 20 * MIB, (0, b"x" * 5000))
    host.run(select=ALL)
    restore(host, host.folder / "to")
    restored = host.folder / "to" / str(log)[1:]
    with restored.open("r+b") as file:
        file.seek(10 * MIB)
        file.write(b"!")
    (one,) = restore(host, host.folder / "to", overwrite=True)
    assert [file.state for file in one.files] == ["written"]
    assert restored.read_bytes() == log.read_bytes()


def test_a_hole_that_is_filled_while_it_is_packed_is_noticed(host):
    log = host.logs / "log"
    write_sparse(log, 20 * MIB, (0, b"x" * 5000))
    descriptor = os.open(log, os.O_RDWR)
    try:
        data = sparse.find_data(descriptor, os.fstat(descriptor))
        before = sparse.sha256_of_file(descriptor)
        os.pwrite(descriptor, b"!", 10 * MIB)
        assert sparse.sha256_of_file(descriptor) != before
        assert sparse.sha256_of_file(descriptor, data) is None
    finally:
        os.close(descriptor)


PARTS = strategies.lists(strategies.tuples(strategies.integers(0, 40), strategies.integers(1, 3 * MIB)), max_size=5)


@given(PARTS, strategies.integers(0, 60))
@settings(max_examples=examples(25), deadline=None)
def test_any_layout_is_written_as_it_was_read(parts, size):
    """What a writer makes of the map and the data is the file; the map is in order, and within the file."""
    import tempfile

    with tempfile.TemporaryFile(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as source, tempfile.TemporaryFile() as copy:
        for position, length in parts:
            os.pwrite(source.fileno(), random.Random(position).randbytes(length), position * MIB)
        source.truncate(max(os.fstat(source.fileno()).st_size, size * MIB))
        status = os.fstat(source.fileno())
        data = sparse.find_data(source.fileno(), status)
        assert data is None or sparse.problem_of(list(data), status.st_size) is None
        entries = data or [(0, status.st_size)]
        writer = sparse.Writer(copy.fileno(), status.st_size, data)
        for offset, length in entries:
            for start in range(offset, offset + length, 100_000):
                writer.write(memoryview(os.pread(source.fileno(), min(100_000, offset + length - start), start)))
        writer.finish()
        source.seek(0)
        copy.seek(0)
        assert copy.read() == source.read()
        assert sparse.sha256_of_file(copy.fileno(), data) == sparse.sha256_of_file(source.fileno()) or data is None


BAD_MAPS = [[], [[0]], [[0, -1]], [[5, 5], [0, 5]], [[0, 100]], [[True, 1]], [["0", 1]], "0,1", {"a": 1}, [[0, 1]] * 2, [[0, 0]] * 9999]


@pytest.mark.parametrize("data", BAD_MAPS, ids=lambda data: str(data)[:20])
def test_a_map_in_a_manifest_is_checked(host, data):
    host.write_logs(14)
    host.run()
    (manifest,) = archives_in(file_store(host.store)).values()
    manifest["sources"][0].update(size=50, data=data)
    with pytest.raises(IntegrityError, match="data"):
        manifests.parse(manifests.dump(manifest), "x")


def sparse_tar(text: bytes, realsize: int, stored: int, minor: str = "0") -> bytes:
    info = tarfile.TarInfo("GNUSparseFile.0/file")
    info.size = stored
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": minor, "GNU.sparse.name": "x", "GNU.sparse.realsize": "%d" % realsize}
    content = (text + bytes(-len(text) % 512)).ljust(stored, b"\1")
    return info.tobuf(tarfile.PAX_FORMAT) + content + bytes(-len(content) % 512 + 1024)


@pytest.mark.parametrize(
    "tar",
    [
        sparse_tar(b"1\n5\n10\n", 10, 522),
        sparse_tar(b"2\n5\n1\n0\n1\n", 10, 514),
        sparse_tar(b"1\n-5\n1\n", 10, 513),
        sparse_tar(b"x\n", 10, 513),
        sparse_tar(b"1\n0\n10\n", 10, 522, minor="1"),
        sparse_tar(b"99999999\n" + b"1\n" * (5 << 20), 10, 11 << 20),
        sparse_tar(b"0\n", 1 << 62, 512),
    ],
    ids=["beyond the end", "backwards", "negative", "no number", "another format", "without end", "empty"],
)
def test_a_hostile_sparse_member_is_refused(host, tmp_path, tar):
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import restore as restoring
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto.envelope import PlainEnvelope

    (tmp_path / "to").mkdir()
    with pytest.raises(IntegrityError):
        restoring.restore(io.BytesIO(gzip.compress(tar)), PlainEnvelope(), str(tmp_path / "to"), "the archive")
    assert list((tmp_path / "to").iterdir()) == []
