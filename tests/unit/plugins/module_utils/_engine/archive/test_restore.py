# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From an archive back to files. What is damaged, foreign or hostile is refused, and then nothing is left in the destination."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import random
import stat
import tarfile
import zlib

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import restore as restoring
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.create import Contents, create_archive
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import periods, staging
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import IntegrityError, LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import envelope, keyring
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import files as selection
from rigs.host import at, files_below

fernet = pytest.importorskip("cryptography.fernet")

KEY = bytes(range(32))


def envelope_of(secret):
    return envelope.FernetEnvelope(keyring.Key(keyring.key_id(secret), secret))


ENVELOPE = envelope_of(KEY)
PERIOD = periods.Period(at("2024-01-12 14:00"), at("2024-01-12 15:00"))


def encrypted(tgz):
    """A Fernet token, made by the library that others use."""
    return fernet.Fernet(base64.urlsafe_b64encode(KEY)).encrypt(tgz)


def tar_of(*members, form=tarfile.PAX_FORMAT):
    """A tar of (TarInfo or name, content)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=form) as tar:
        for member, content in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


def info(name, kind=tarfile.REGTYPE, **fields):
    member = tarfile.TarInfo(name)
    member.type = kind
    for field, value in fields.items():
        setattr(member, field, value)
    return member


def restore(token, destination, overwrite=False, without=frozenset(), **options):
    placing = restoring.Placing(overwrite, without)
    return restoring.restore(io.BytesIO(token), ENVELOPE, str(destination), "the archive", placing=placing, **options)


@pytest.fixture
def destination(tmp_path):
    folder = tmp_path / "to"
    folder.mkdir()
    return folder


@pytest.fixture
def made(tmp_path):
    """An archive as we make it, of two logs: (token, manifest, {name: bytes})."""
    contents = {"a.log": b"first\n" * 5000, "b.log": os.urandom(3000)}
    sources = []
    for name, content in contents.items():
        path = tmp_path / name
        path.write_bytes(content)
        path.chmod(0o640)
        os.utime(path, (1705068000, 1705068000))
        sources.append(selection.source_at(str(path), PERIOD))
    created = create_archive(str(tmp_path / "x.tgz.fernet"), Contents(sources, "web1", "job", PERIOD), ENVELOPE)
    with open(created.path, "rb") as file:
        return file.read(), created.manifest, {str(tmp_path / name)[1:]: content for name, content in contents.items()}


def refused(token, destination, match=None, error=IntegrityError, **options):
    before = files_below(destination)
    with pytest.raises(error, match=match) as caught:
        restore(token, destination, **options)
    assert files_below(destination) == before
    assert [name for name in os.listdir(destination) if name.startswith(".")] == [], "a staging folder is left"
    return caught.value


# -- what is good -----------------------------------------------------------------------------------------------------


def test_files_come_back_with_bytes_mode_and_time(made, destination):
    token, manifest, contents = made
    files = restore(token, destination, manifest=manifest)
    assert {file.name: file.state for file in files} == dict.fromkeys(contents, "written")
    for name, content in contents.items():
        status = os.stat(destination / name)
        assert (destination / name).read_bytes() == content
        assert stat.S_IMODE(status.st_mode) == 0o640
        assert status.st_mtime == 1705068000
    assert {file.state for file in restore(token, destination, manifest=manifest)} == {"unchanged"}
    assert files_below(destination) == sorted(contents)


def test_set_id_bits_are_not_restored(destination):
    restore(encrypted(gzip.compress(tar_of((info("a", mode=0o6755), b"x")))), destination)
    assert stat.S_IMODE(os.stat(destination / "a").st_mode) == 0o755


def test_what_stands_there_is_overwritten_only_on_request(made, destination):
    token, _manifest, contents = made
    first = sorted(contents)[0]
    (destination / first).parent.mkdir(parents=True)
    (destination / first).write_bytes(b"other")
    refused(token, destination, "not overwritten", LogArchiveError)
    assert (destination / first).read_bytes() == b"other"
    restore(token, destination, overwrite=True)
    assert (destination / first).read_bytes() == contents[first]


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
@pytest.mark.parametrize("level", [1, 9])
def test_any_size_of_what_compresses_best(destination, size, level):
    """A few bytes of deflate become megabytes: the inflater's own limit falls anywhere."""
    for more in range(0, 600, 119):
        content = bytes(size + more)
        tgz = gzip.compress(tar_of(("zeros-%d" % more, content)), level)
        (file,) = restore(encrypted(tgz), destination)
        assert file.sha256 == hashlib.sha256(content).hexdigest()


def test_names_of_any_bytes(destination):
    names = ["line\nbreak", "tab\t", "quote'\"", "\udcff\udc80 not utf-8", "ünï", "a" * 255, "-rf", " ", "~", "deep/" * 60 + "x"]
    restore(encrypted(gzip.compress(tar_of(*((name, name.encode("utf-8", "surrogateescape")) for name in names)))), destination)
    assert files_below(destination) == sorted(names)
    for name in names:
        assert (destination / name).read_bytes() == name.encode("utf-8", "surrogateescape")


# -- what is damaged --------------------------------------------------------------------------------------------------


def test_cut_at_every_length(destination):
    token = encrypted(gzip.compress(tar_of(("a", b"some text")), mtime=0))
    for length in range(len(token)):
        refused(token[:length], destination)
    assert restore(token, destination)


def test_every_flipped_bit(destination):
    token = encrypted(gzip.compress(tar_of(("a", b"some text")), mtime=0))
    for position in range(len(token)):
        damaged = bytearray(token)
        damaged[position] ^= 1 << (position % 8)
        refused(bytes(damaged), destination)


@pytest.mark.parametrize("tail", [b"\n\n", b"A", b"====", b"\0", b" "])
def test_trailing_bytes(made, destination, tail):
    refused(made[0] + tail, destination)


def test_another_key(made, destination):
    with pytest.raises(IntegrityError):
        restoring.restore(io.BytesIO(made[0]), envelope_of(bytes(32)), str(destination), "the archive")
    assert os.listdir(destination) == []


def test_another_archive_than_the_manifest_describes(made, destination):
    refused(encrypted(gzip.compress(tar_of(("a", b"x")))), destination, "does not match its manifest", manifest=made[1])


def described(token, sources):
    return {
        "archive": {"sha256": hashlib.sha256(token).hexdigest()},
        "sources": [
            {"name": name, "size": len(content), "mtime_ns": 0, "sha256": hashlib.sha256(content).hexdigest()} for name, content in sources
        ],
    }


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ([], "'a' is not in the manifest"),
        ([("a", b"y")], "'a' differs"),
        ([("a", b"x"), ("b", b"")], "'b' is missing from the archive"),
        ([("b", b""), ("a", b"x"), ("c", b"")], "'b' is missing from the archive"),
    ],
)
def test_other_files_than_the_manifest_describes(destination, sources, said):
    token = encrypted(gzip.compress(tar_of(("a", b"x"))))
    refused(token, destination, said, manifest=described(token, sources))


@pytest.mark.parametrize("length", [0, 100, 511, 512, 513, 1000, 1030, 1535])
def test_a_tar_that_ends_within_a_member(destination, length):
    whole = tar_of(("a", b"x" * 1000))
    token = encrypted(gzip.compress(whole[:length]))
    if length == 0:
        refused(token, destination)
    else:
        refused(token, destination, "truncated|damaged")


@pytest.mark.parametrize("cut", [1, 4, 8, 9, 20])
def test_a_tgz_that_is_cut(destination, cut):
    refused(encrypted(gzip.compress(tar_of(("a", b"x")))[:-cut]), destination, "truncated|damaged")


def test_a_tgz_with_a_wrong_checksum(destination):
    tgz = bytearray(gzip.compress(tar_of(("a", b"x"))))
    tgz[-6] ^= 1  # the CRC-32 takes the four bytes before the size
    refused(encrypted(bytes(tgz)), destination, "damaged")


def test_what_is_no_tgz(destination):
    for content in (b"", b"text", zlib.compress(tar_of(("a", b"x"))), tar_of(("a", b"x")), os.urandom(5000)):
        refused(encrypted(content), destination)


@pytest.mark.parametrize("seed", range(8))
def test_headers_with_random_damage_are_refused_or_understood(destination, seed):
    """Whatever tarfile makes of them, the error is one of ours, and no file lands outside."""
    chance = random.Random(seed)
    good = tar_of((info("é" * 120, mtime=1.5), b"x"), ("b/c", b"y" * 600), (info("d", uid=10**9), b""))
    for _round in range(60):
        damaged = bytearray(good)
        for _damage in range(chance.randint(1, 4)):
            header = chance.choice([0, 512, 1024, 2048, 2560])
            damaged[header + chance.randrange(512)] = chance.randrange(256)
        for header in range(0, len(damaged) - 512, 512):
            checksum = sum(damaged[header : header + 148]) + 8 * 32 + sum(damaged[header + 156 : header + 512])
            if chance.random() < 0.8 and damaged[header + 257 : header + 262] == b"ustar":
                damaged[header + 148 : header + 156] = b"%06o\0 " % checksum
        try:
            restore(encrypted(gzip.compress(bytes(damaged), 1)), destination, overwrite=True)
        except LogArchiveError:
            pass
    assert os.listdir(destination.parent) == ["to"]


# -- what is hostile: encrypted with our own key ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up", "a/../../up", "a/..", "..", ".", "a//b", "./a", "a/./b", "//x", ".log-archive-restore-x/a", "a/../b"]
)
def test_a_member_that_would_leave_the_destination(destination, name):
    refused(encrypted(gzip.compress(tar_of(("good", b"x"), (name, b"x")))), destination, "refused")
    assert os.listdir(destination.parent) == ["to"]


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "special"),
        (tarfile.DIRTYPE, "folder"),
        (tarfile.CONTTYPE, "special"),
        (tarfile.GNUTYPE_SPARSE, "special"),
    ],
)
def test_a_member_that_is_no_regular_file(destination, kind, what):
    data = tar_of(("good", b"x"), (info("bad", kind, linkname="/etc/passwd"), b""), form=tarfile.GNU_FORMAT)
    refused(encrypted(gzip.compress(data)), destination, what)


def test_a_sparse_file_by_pax_header(destination):
    """It would fill the disk with an exbibyte of nothing."""
    member = info("sparse")
    member.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.size": str(1 << 60), "GNU.sparse.map": "0,1"}
    refused(encrypted(gzip.compress(tar_of((member, b"x")))), destination, "refused|damaged")


def test_a_name_twice(destination):
    refused(encrypted(gzip.compress(tar_of(("a", b"x"), ("a", b"y")))), destination, "'a' twice")


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b", "z")])
def test_a_name_that_is_a_file_and_a_folder(destination, names):
    refused(encrypted(gzip.compress(tar_of(*((name, b"x") for name in names)))), destination, "exists in place of a", LogArchiveError)


def test_a_folder_where_a_file_must_be_and_the_other_way_round(destination):
    (destination / "a").mkdir()
    (destination / "f").write_bytes(b"x")
    for names in (("0", "a"), ("0", "f/b")):
        token = encrypted(gzip.compress(tar_of(*((name, b"y") for name in names))))
        for overwrite in (False, True):
            refused(token, destination, "exists in place of a", LogArchiveError, overwrite=overwrite)


def test_a_symlink_that_lies_in_the_destination(destination, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (destination / "link").symlink_to(outside)
    (destination / "dangling").symlink_to(outside / "new")
    for name in ("link/evil", "link", "dangling", "dangling/evil"):
        token = encrypted(gzip.compress(tar_of(("0", b"x"), (name, b"evil"))))
        refused(token, destination, "the path of a restored file contains a symbolic link", LogArchiveError, overwrite=True)
    assert os.listdir(outside) == []


def test_a_member_that_claims_to_be_huge(destination):
    member = info("a")
    member.size = 1 << 50
    data = member.tobuf(tarfile.GNU_FORMAT) + b"x" * 5000
    refused(encrypted(gzip.compress(data)), destination, "truncated")


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_a_header_that_would_fill_the_memory(destination, kind):
    member = info("header", kind)
    member.size = 1 << 34
    refused(encrypted(gzip.compress(member.tobuf(tarfile.GNU_FORMAT) + bytes(5000))), destination, "a header of 17179869184 bytes")


@pytest.mark.parametrize("mtime", ["1e300", "-1e300", "inf", "nan", "1e12", "x"])
def test_a_time_that_is_none(destination, mtime):
    member = info("a")
    member.pax_headers = {"mtime": mtime}
    try:
        restore(encrypted(gzip.compress(tar_of((member, b"x")))), destination)
    except IntegrityError:
        assert os.listdir(destination) == []


# -- killed restores --------------------------------------------------------------------------------------------------


def test_the_staging_folder_of_a_killed_restore_is_removed_by_the_next(destination):
    stale = destination / (staging.STAGING_PREFIX + "killed")
    stale.mkdir()
    (stale / "1").write_bytes(b"plaintext")
    restore(encrypted(gzip.compress(tar_of(("a", b"x")))), destination)
    assert files_below(destination) == ["a"]
    assert os.listdir(destination) == ["a"]


def test_the_staging_folder_of_a_living_restore_stays(destination):
    with staging.staging_in(str(destination)):
        (folder,) = os.listdir(destination)
        restore(encrypted(gzip.compress(tar_of(("a", b"x")))), destination)
        assert folder in os.listdir(destination)
    assert os.listdir(destination) == ["a"]
