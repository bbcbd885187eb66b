# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packing real files, opened again with gzip, tar and cryptography as anybody would."""

from __future__ import annotations

import base64
import datetime
import gzip
import hashlib
import io
import os
import random
import subprocess
import sys
import tarfile
import time
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import packing
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import SourceError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.periods import Period
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import envelope, keyring
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources.base import Source
from cryptography.fernet import Fernet

KEY = bytes(range(32))
ENVELOPE = envelope.FernetEnvelope(keyring.Key(keyring.key_id(KEY), KEY))


def selected(path):
    """The source of this path, whatever there is now."""
    path = os.fspath(path)
    moment = datetime.datetime(2024, 1, 12, tzinfo=datetime.timezone.utc)
    return Source(path, 0, 0, Period(moment, moment), os.path.dirname(path), (0, 0))


class Result(t.NamedTuple):
    """What was packed, and its sources."""

    facts: packing.Packed
    sources: list


def pack(*paths):
    sink = io.BytesIO()
    sources = []
    facts = packing.pack([selected(path) for path in paths], sink, ENVELOPE, lambda _selected, one: sources.append(one))
    return Result(facts, sources), sink.getvalue()


def tgz_of(token):
    return Fernet(base64.urlsafe_b64encode(KEY)).decrypt(token)


def contents_of(token):
    with tarfile.open(fileobj=io.BytesIO(tgz_of(token)), mode="r:gz") as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


@pytest.mark.parametrize(
    "size", [0, 1, 511, 512, 513, 32767, packing.BLOCK - 512, packing.BLOCK, packing.BLOCK + 1, 3 * packing.BLOCK + 77]
)
def test_what_is_packed_is_what_any_tar_finds(tmp_path, size):
    source = tmp_path / "syslog"
    source.write_bytes(random.Random(size).randbytes(size // 2) + b"l" * (size - size // 2))
    packed, token = pack(source)
    assert contents_of(token) == {str(source).lstrip("/"): source.read_bytes()}
    assert packed.sources[0].sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert not packed.sources[0].changed


def test_the_digests_are_those_of_what_was_written(tmp_path):
    source = tmp_path / "syslog"
    source.write_bytes(b"line\n" * 1_000_000)
    packed, token = pack(source)
    tgz = tgz_of(token)
    facts = packed.facts
    assert (facts.size, facts.md5, facts.sha256) == (len(token), hashlib.md5(token).hexdigest(), hashlib.sha256(token).hexdigest())
    assert (facts.tgz_size, facts.tgz_sha256) == (len(tgz), hashlib.sha256(tgz).hexdigest())


def test_the_tgz_is_one_gzip_member_that_gnu_tools_accept(tmp_path):
    source = tmp_path / "syslog"
    source.write_bytes(random.Random(1).randbytes(100) * 60_000)
    (tmp_path / "a.tgz").write_bytes(tgz_of(pack(source)[1]))
    subprocess.run(["gzip", "-t", tmp_path / "a.tgz"], check=True)
    listing = subprocess.run(["tar", "-tzf", tmp_path / "a.tgz"], check=True, capture_output=True, text=True).stdout
    assert listing == str(source).lstrip("/") + "\n"
    decompressor = __import__("zlib").decompressobj(31)
    decompressor.decompress((tmp_path / "a.tgz").read_bytes())
    assert decompressor.eof
    assert decompressor.unused_data == b""


def test_the_same_sources_give_the_same_tgz_in_any_order(tmp_path):
    for number in range(3):
        (tmp_path / ("log.%d" % number)).write_bytes(random.Random(number).randbytes(2_000_000))
    paths = sorted(tmp_path.iterdir())
    one, other = pack(*paths)[0], pack(*reversed(paths))[0]
    assert one.facts.tgz_sha256 == other.facts.tgz_sha256
    assert one.facts.sha256 != other.facts.sha256


def test_without_isal_the_same_files_come_out(tmp_path, monkeypatch):
    source = tmp_path / "syslog"
    source.write_bytes(b"a line of a log\n" * 300_000)
    monkeypatch.setitem(sys.modules, "isal", None)
    _packed, token = pack(source)
    assert contents_of(token) == {str(source).lstrip("/"): source.read_bytes()}


def test_names_with_newlines_and_bytes_that_are_not_utf8_survive(tmp_path):
    names = [b"new\nline.log", b"latin1-\xe9\xff.log", "déjà.log".encode(), b"long-" + b"x" * 200]
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(name)
    paths = [os.fsdecode(os.path.join(os.fsencode(tmp_path), name)) for name in names]
    packed, token = pack(*paths)
    (tmp_path / "a.tgz").write_bytes(tgz_of(token))
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["tar", "-xzf", tmp_path / "a.tgz", "-C", out], check=True, stderr=subprocess.DEVNULL)
    for name in names:
        with open(os.path.join(os.fsencode(out), os.fsencode(tmp_path).lstrip(b"/"), name), "rb") as file:
            assert file.read() == name
    assert {os.fsencode(source.path) for source in packed.sources} == {os.fsencode(path) for path in paths}


class _AtByte:
    """A progress callback that does something to the source once so many bytes have been read."""

    def __init__(self, count, action):
        self.left, self.action = count, action

    def __call__(self, count):
        self.left -= count
        if self.left <= 0 and self.action is not None:
            action, self.action = self.action, None
            action()


def pack_while(source, action):
    sink = io.BytesIO()
    packed = []
    packing.pack([selected(source)], sink, ENVELOPE, lambda _selected, one: packed.append(one), _AtByte(1, action))
    return packed[0], contents_of(sink.getvalue())[str(source).lstrip("/")]


def test_a_source_that_grows_is_packed_at_its_first_size_and_told(tmp_path):
    source = tmp_path / "growing"
    source.write_bytes(b"x" * (8 << 20))

    def grow():
        with source.open("ab") as file:
            file.write(b"later line\n")

    packed, content = pack_while(source, grow)
    assert packed.changed
    assert len(content) == packed.size == 8 << 20
    assert source.read_bytes().startswith(content)


def test_a_source_truncated_while_it_is_read_leaves_a_whole_tar_and_is_told(tmp_path):
    source = tmp_path / "syslog"
    source.write_bytes(b"x" * (5 << 20))
    packed, content = pack_while(source, lambda: os.truncate(source, 1 << 20))
    assert packed.changed
    assert len(content) == 5 << 20
    assert hashlib.sha256(content).hexdigest() == packed.sha256


def test_a_source_rewritten_in_place_with_its_time_set_back_is_told(tmp_path):
    source = tmp_path / "syslog"
    source.write_bytes(b"x" * (5 << 20))
    status = source.stat()
    # The kernel's clock of files moves every few milliseconds only.
    time.sleep(0.03)

    def rewrite():
        with source.open("r+b") as file:
            file.seek(4 << 20)
            file.write(b"forged")
        os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))

    packed, _content = pack_while(source, rewrite)
    assert packed.changed


@pytest.mark.parametrize("action", ["remove", "rotate", "replace"])
def test_a_source_removed_or_rotated_away_while_it_is_read_is_whole(tmp_path, action):
    source = tmp_path / "syslog"
    source.write_bytes(b"x" * (5 << 20))

    def act():
        if action == "remove":
            source.unlink()
        elif action == "rotate":
            source.rename(tmp_path / "syslog.1")
            source.write_bytes(b"new")
        else:
            (tmp_path / "other").write_bytes(b"other")
            os.replace(tmp_path / "other", source)

    packed, content = pack_while(source, act)
    assert content == b"x" * (5 << 20)
    assert (packed.vanished, packed.changed) == (True, False)


def test_a_link_a_fifo_and_a_missing_source_are_refused_by_name(tmp_path):
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo", "missing"):
        with pytest.raises(SourceError, match=name) as caught:
            pack(tmp_path / name)
        assert caught.value.vanished == (name == "missing")


def test_a_source_whose_folder_has_become_a_link_is_refused(tmp_path):
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "log").write_bytes(b"secret")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "app").symlink_to(tmp_path / "private")
    source = selected(tmp_path / "logs" / "app" / "log")._replace(root=str(tmp_path / "logs"))
    with pytest.raises(SourceError, match="a part of its path .* is a symbolic link") as caught:
        packing.pack([source], io.BytesIO(), ENVELOPE, lambda _selected, _one: None)
    assert not caught.value.vanished


def test_the_mode_owner_and_time_of_a_source_are_in_the_tar(tmp_path):
    source = tmp_path / "syslog"
    source.write_bytes(b"x")
    source.chmod(0o640)
    os.utime(source, ns=(0, 1_700_000_000_123_456_789))
    packed, token = pack(source)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(tgz_of(token)))) as archive:
        member = archive.next()
    assert (member.mode, member.mtime, member.uid) == (0o640, 1_700_000_000, os.getuid())
    assert packed.sources[0].mtime_ns == 1_700_000_000_123_456_789
