# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Untrusted zips: valid members are extracted completely; anything else is refused by name and leaves nothing behind."""

from __future__ import annotations

import datetime
import os
import random
import shutil
import stat
import subprocess
import zipfile

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import IntegrityError, LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources.zips import Limits, extract, members
from rigs.host import files_below

DUMP = b"insert into t values (1);\n" * 4000


def write_zip(path, *entries, compression=zipfile.ZIP_DEFLATED):
    """A zip of (ZipInfo or name, content)."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for entry, content in entries:
            archive.writestr(entry, content, compression)
    return str(path)


def info(name, mode=None, system=3, when=(2024, 1, 12, 23, 0, 0)):
    entry = zipfile.ZipInfo(name, when)
    entry.create_system = system
    entry.external_attr = (mode or 0) << 16
    return entry


@pytest.fixture
def destination(tmp_path):
    return tmp_path / "to"


def assert_refused(path, destination, message, **options):
    with pytest.raises(IntegrityError) as raised:
        extract(path, str(destination), **options)
    assert message in str(raised.value)
    assert not destination.exists() or os.listdir(destination) == []


def test_members_are_extracted_with_their_bytes_and_times(tmp_path, destination):
    path = write_zip(tmp_path / "z.zip", (info("db/dump.sql"), DUMP), (info("db/"), b""), (info("readme"), b"hello"))
    one = extract(path, str(destination), ["db/dump.sql"])
    assert [(file.name, file.size, file.state) for file in one] == [("db/dump.sql", len(DUMP), "written")]
    assert files_below(destination) == ["db/dump.sql"]
    assert (destination / "db/dump.sql").read_bytes() == DUMP
    assert datetime.datetime.fromtimestamp((destination / "db/dump.sql").stat().st_mtime) == datetime.datetime(2024, 1, 12, 23)
    assert [file.state for file in extract(path, str(destination))] == ["unchanged", "written"]
    assert files_below(destination) == ["db/dump.sql", "readme"]
    assert stat.S_IMODE((destination / "readme").stat().st_mode) == 0o600


def test_members_lists_names_sizes_times_and_kinds(tmp_path):
    path = write_zip(tmp_path / "z.zip", (info("db/"), b""), (info("db/dump.sql"), DUMP), (info("odd", when=(2024, 2, 30, 0, 0, 0)), b""))
    listed = members(path)
    assert [(m.name, m.size, m.is_folder, m.encrypted) for m in listed] == [
        ("db/", 0, True, False),
        ("db/dump.sql", len(DUMP), False, False),
        ("odd", 0, False, False),
    ]
    assert 0 < listed[1].packed_size < len(DUMP)
    assert [m.modified for m in listed] == [datetime.datetime(2024, 1, 12, 23)] * 2 + [None]


def test_a_dry_run_returns_the_plan_and_writes_nothing(tmp_path, destination):
    path = write_zip(tmp_path / "z.zip", ("a", DUMP), ("b", b"x"))
    would = extract(path, str(destination), check=True)
    assert not destination.exists()
    assert extract(path, str(destination), ["a"]) == would[:1]
    assert [file.state for file in extract(path, str(destination), check=True)] == ["unchanged", "written"]
    (destination / "b").write_bytes(b"other")
    with pytest.raises(LogArchiveError, match="not overwritten"):
        extract(path, str(destination), check=True)
    assert_refused(path, tmp_path / "bomb", "larger than 10 B", limits=Limits(size=10), check=True)


def test_existing_files_are_replaced_only_on_request(tmp_path, destination):
    path = write_zip(tmp_path / "z.zip", ("a", b"new"))
    destination.mkdir()
    (destination / "a").write_bytes(b"old")
    with pytest.raises(LogArchiveError, match="not overwritten; nothing was extracted"):
        extract(path, str(destination))
    assert (destination / "a").read_bytes() == b"old"
    assert extract(path, str(destination), overwrite=True)[0].state == "written"
    assert (destination / "a").read_bytes() == b"new"


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up", "a/../../up", "a//b", "./a", "..", "a\\..\\..\\up", "C:\\windows", ".log-archive-x"]
)
def test_no_member_leaves_the_folder(tmp_path, destination, name):
    entry = info("placeholder")
    entry.filename = name
    path = write_zip(tmp_path / "z.zip", ("good", b"x"), (entry, b"evil"))
    assert_refused(path, destination, "refused: the member name")
    assert files_below(tmp_path) == ["z.zip"]


def test_a_name_with_a_zero_byte_is_refused(tmp_path, destination):
    path = write_zip(tmp_path / "z.zip", ("good.txtXevil", b"x"))
    with open(path, "r+b") as file:
        data = file.read().replace(b"good.txtXevil", b"good.txt\0evil")
        file.seek(0)
        file.write(data)
    assert_refused(path, destination, "refused")


@pytest.mark.parametrize(
    ("mode", "message"),
    [(stat.S_IFLNK | 0o777, "a symbolic link"), (stat.S_IFIFO | 0o600, "special file"), (stat.S_IFCHR | 0o600, "special")],
)
def test_links_and_devices_are_refused(tmp_path, destination, mode, message):
    path = write_zip(tmp_path / "z.zip", (info("link", mode), b"/etc/passwd"))
    assert_refused(path, destination, message)


def test_a_link_in_the_destination_is_not_followed(tmp_path, destination):
    destination.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (destination / "db").symlink_to(tmp_path / "elsewhere")
    path = write_zip(tmp_path / "z.zip", ("db/dump.sql", DUMP))
    with pytest.raises(LogArchiveError, match="the path of a restored file contains a symbolic link"):
        extract(path, str(destination))
    assert files_below(tmp_path / "elsewhere") == []


def test_a_zip_bomb_is_stopped_by_ratio_size_and_number_of_members(tmp_path, destination):
    path = write_zip(tmp_path / "z.zip", ("zeros", bytes(30 << 20)), ("more", bytes(30 << 20)))
    assert_refused(path, destination, "the expansion ratio of the member 'zeros' exceeds 100", limits=Limits(ratio=100))
    assert_refused(path, destination, "the extracted files are larger than 40", limits=Limits(size=40 << 20, ratio=1e9))
    assert_refused(path, destination, "the zip has 2 members; the limit is 1", limits=Limits(members=1))
    assert len(extract(path, str(destination), limits=Limits(ratio=1e9))) == 2


def test_sizes_in_headers_are_not_trusted(tmp_path, destination):
    """The header of the member gives a small size, and the member inflates to much more."""
    path = write_zip(tmp_path / "z.zip", ("zeros", bytes(30 << 20)))
    with open(path, "r+b") as file:
        data = file.read().replace((30 << 20).to_bytes(4, "little"), (10).to_bytes(4, "little"))
        file.seek(0)
        file.write(data)
    assert_refused(path, destination, "zeros")


def test_a_directory_too_large_to_read_is_refused_before_it_is_read(tmp_path):
    path = write_zip(tmp_path / "z.zip", *[("%s%d" % ("n" * 600, number), b"") for number in range(20)])
    with pytest.raises(IntegrityError, match="the directory of the zip is too large for 10 members"):
        members(path, Limits(members=10))


def test_a_zip64_is_read_and_its_directory_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)
    path = write_zip(tmp_path / "z.zip", *[("%s%d" % ("n" * 600, number), b"") for number in range(20)])
    assert b"PK\6\6" in (tmp_path / "z.zip").read_bytes()
    assert len(members(path)) == 20
    with pytest.raises(IntegrityError, match="the directory of the zip is too large for 10 members"):
        members(path, Limits(members=10))


def test_the_same_name_twice_is_refused(tmp_path, destination):
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = write_zip(tmp_path / "z.zip", ("a", b"1"), ("a", b"2"))
    assert_refused(path, destination, "twice")


def test_an_encrypted_member_is_named(tmp_path, destination):
    zip_program = shutil.which("zip")
    path = write_zip(tmp_path / "z.zip", ("secret.sql", DUMP))
    if zip_program:
        (tmp_path / "secret.sql").write_bytes(DUMP)
        os.unlink(path)
        subprocess.run([zip_program, "-q", "-P", "password", path, "secret.sql"], cwd=tmp_path, check=True)
        os.unlink(tmp_path / "secret.sql")
    else:
        with open(path, "r+b") as file:
            data = bytearray(file.read())
            data[6] |= 1
            data[data.index(b"PK\1\2") + 8] |= 1
            file.seek(0)
            file.write(data)
    assert [m.encrypted for m in members(path)] == [True]
    assert_refused(path, destination, "the member 'secret.sql' is encrypted")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_is_named(tmp_path, destination, compression):
    content = os.urandom(50_000)
    path = write_zip(tmp_path / "z.zip", ("good", b"x"), ("bad.sql", content), compression=compression)
    with open(path, "r+b") as file:
        file.seek(30_000)
        file.write(bytes(100))
    assert_refused(path, destination, "the member 'bad.sql' is damaged")
    assert extract(path, str(destination), ["good"])[0].size == 1


@pytest.mark.parametrize(("compression", "message"), [(zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "lzma")])
def test_a_compression_without_a_bound_on_memory_is_refused(tmp_path, destination, compression, message):
    path = write_zip(tmp_path / "z.zip", ("a", DUMP), compression=compression)
    assert_refused(path, destination, "the member 'a' is compressed by %s" % message)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\3\4" + bytes(100), b"<html>404</html>" * 1000])
def test_a_file_that_is_not_a_zip_is_refused(tmp_path, destination, content):
    (tmp_path / "z.zip").write_bytes(content)
    assert_refused(str(tmp_path / "z.zip"), destination, "not a zip, or a damaged one")


@pytest.mark.parametrize("cut", [1, 22, 60, 5000])
def test_a_truncated_zip_is_refused(tmp_path, destination, cut):
    path = write_zip(tmp_path / "z.zip", ("a", os.urandom(6000)))
    os.truncate(path, os.path.getsize(path) - cut)
    assert_refused(path, destination, "not a zip, or a damaged one")


def test_a_missing_member_is_reported_with_the_existing_ones(tmp_path, destination):
    path = write_zip(tmp_path / "z.zip", ("dump.sql", DUMP), ("folder/", b""))
    assert_refused(path, destination, "the zip contains no file 'other.sql'. It contains 'dump.sql'", names=["other.sql"])
    assert_refused(path, destination, "the zip contains no file 'folder/'", names=["folder/"])


def test_a_missing_or_unreadable_zip_is_an_error(tmp_path, destination):
    with pytest.raises(LogArchiveError, match="cannot read the zip"):
        extract(str(tmp_path / "missing"), str(destination))
    with pytest.raises(LogArchiveError, match="cannot read the zip"):
        members(str(tmp_path))


def test_random_damage_never_escapes_as_another_error(tmp_path, destination):
    path = write_zip(tmp_path / "z.zip", (info("a.sql"), DUMP), (info("b/c"), b"x" * 100), (info("d/"), b""))
    whole = (tmp_path / "z.zip").read_bytes()
    generator = random.Random(17)
    for _round in range(400):
        broken = bytearray(whole)
        for _change in range(generator.randint(1, 4)):
            broken[generator.randrange(len(broken))] = generator.randrange(256)
        (tmp_path / "z.zip").write_bytes(broken)
        try:
            members(path)
            extract(path, str(destination), overwrite=True)
        except LogArchiveError:
            continue
    assert not [name for name in files_below(tmp_path) if not name.startswith(("to/", "z.zip"))]
