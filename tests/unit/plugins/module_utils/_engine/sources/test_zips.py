# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Untrusted zips: valid members are extracted completely; anything else is refused by name and leaves nothing behind."""

from __future__ import annotations

import datetime
import os
import random
import shutil
import stat
import struct
import subprocess
import tempfile
import time
import zipfile
import zoneinfo

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import IntegrityError, LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources.zips import Limits, extract, members
from hypothesis import given, settings, strategies
from rigs.examples import examples
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
    "name",
    ["/etc/passwd", "../up", "a/../../up", "a//b", "./../up", ".//a", "./.", "..", "a\\..\\..\\up", "C:\\windows", ".log-archive-x"]
    + ["./.log-archive-x"],
)
def test_no_member_leaves_the_folder(tmp_path, destination, name):
    entry = info("placeholder")
    entry.filename = name
    path = write_zip(tmp_path / "z.zip", ("good", b"x"), (entry, b"evil"))
    assert_refused(path, destination, "refused: the member name")
    assert files_below(tmp_path) == ["z.zip"]


@pytest.mark.parametrize("asked", ["db/dump.sql", "./db/dump.sql", "db/./dump.sql"])
@pytest.mark.parametrize("stored", ["./db/dump.sql", "db/dump.sql", "././db/dump.sql"])
def test_a_name_that_begins_with_the_current_folder_is_the_same_name(tmp_path, destination, asked, stored):
    path = write_zip(tmp_path / "z.zip", (info("./"), b""), (info(stored), DUMP), (info("./other"), b"x"))
    assert [member.name for member in members(path) if not member.is_folder] == ["db/dump.sql", "other"]
    assert [file.name for file in extract(path, str(destination), [asked])] == ["db/dump.sql"]
    assert files_below(destination) == ["db/dump.sql"]
    twice = write_zip(tmp_path / "twice.zip", (stored, b"1"), ("db/././dump.sql", b"2"))
    assert_refused(twice, tmp_path / "b", "contains the member 'db/dump.sql' twice")


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


@pytest.mark.parametrize("name", [b"\0", b"\0\0\0\0", b"\0/..", b"a\0/b"])
def test_a_name_that_begins_with_a_zero_byte_or_is_one_is_refused(tmp_path, destination, name):
    path = write_zip(tmp_path / "z.zip", ("x" * len(name), b"x"))
    data = (tmp_path / "z.zip").read_bytes().replace(b"x" * len(name) + b"x", name + b"x", 1)
    (tmp_path / "z.zip").write_bytes(data[::-1].replace(b"x" * len(name), name[::-1], 1)[::-1])
    assert len(members(path)) == 1
    assert_refused(path, destination, "")


@given(strategies.lists(strategies.tuples(strategies.binary(max_size=12), strategies.binary(max_size=20)), max_size=3), strategies.data())
@settings(max_examples=examples(150), deadline=None)
def test_a_zip_of_any_names_with_any_bytes_changed_is_refused_or_extracted(entries, data):
    """Every header field is hit: few members, and changes anywhere."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "z.zip")
        with zipfile.ZipFile(path, "w") as archive:
            for number, (name, content) in enumerate(entries):
                archive.writestr(zipfile.ZipInfo(name.decode("latin-1").replace("\0", "0") + str(number)), content)
        with open(path, "rb") as file:
            broken = bytearray(file.read())
        place = strategies.integers(0, len(broken) - 1)
        for at, byte in data.draw(strategies.lists(strategies.tuples(place, strategies.integers(0, 255)), max_size=4)):
            broken[at] = byte
        with open(path, "wb") as file:
            file.write(broken)
        try:
            members(path)
            extract(path, os.path.join(folder, "to"))
        except LogArchiveError:
            pass
        assert set(os.listdir(folder)) <= {"z.zip", "to"}


@pytest.mark.parametrize("ticks", [0, 2**63, 2**64 - 1, 2650467743999999999, 2650467743990000000], ids=hex)
def test_any_exact_time_of_windows_is_a_date_in_every_zone_or_ignored(tmp_path, destination, ticks):
    entry = info("a")
    entry.extra = struct.pack("<HHLHHQQQ", 10, 32, 0, 1, 24, ticks, 0, 0)
    path = write_zip(tmp_path / "z.zip", (entry, b"x"))
    (member,) = members(path)
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
        assert member.modified.astimezone(zoneinfo.ZoneInfo(zone))
    assert extract(path, str(destination))


def test_the_extra_fields_of_a_member_are_read_in_linear_time(tmp_path):
    entry = info("a")
    entry.extra = struct.pack("<HH", 0x7777, 0) * 16000
    began = time.process_time()
    for _again in range(20):
        members(write_zip(tmp_path / "z.zip", (entry, b"x")))
    assert time.process_time() - began < 5
