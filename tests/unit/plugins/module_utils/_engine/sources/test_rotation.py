# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names that rotation gives, and the content of compressed logs."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import rotation
from hypothesis import given, strategies

PACK = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE)}


@pytest.mark.parametrize(
    "name",
    ["x.log", "x.log.1", "x.log.10", "x.log.2.gz", "x.log-20240112", "x.log-20240112.gz", "x.log-2024-01-12", "x.log-1705068000.xz",
     "x.log.20240112", "x.1.log", "x.2.log.gz", "x-20240112.log", "x.log.gz"],
)  # fmt: skip
def test_names_of_one_log(name):
    assert rotation.stem(name) == "x.log"


@pytest.mark.parametrize("name", ["x.logs", "y.log", "x.log.bak", "x.log.1.old", "x.log.1a", "x1.log", "x.log.gz.gz", "x.log~"])
def test_names_of_another_log(name):
    assert rotation.stem(name) != "x.log"


@pytest.mark.parametrize("log", ["worker-1.log", "x.1.log", "app-01", "node.2024-01.log", "a.1.2.log", "access.log"])
@pytest.mark.parametrize("added", [".1", ".2.gz", ".10.xz", "-20240112", "-20240112.bz2"])
def test_a_log_with_numbers_in_its_own_name_keeps_its_stem(log, added):
    assert rotation.stem(log + added) == rotation.stem(log)


@given(strategies.text(strategies.characters(), min_size=1, max_size=30))
def test_any_name_has_a_stem(name):
    assert name.startswith(rotation.stem(name)[:1])


def content(tmp_path, name, data, largest=1 << 30):
    (tmp_path / name).write_bytes(data)
    descriptor = os.open(tmp_path / name, os.O_RDONLY)
    try:
        return rotation.digest(descriptor, name, largest), rotation.unpacked_size(descriptor, name)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("plain", [b"", b"line\n", bytes(3 << 20), os.urandom(1 << 20), b"a line of a log\n" * 100_000], ids=len)
def test_the_content_of_a_compressed_log(tmp_path, suffix, plain):
    packed = PACK[suffix](plain)
    found, size = content(tmp_path, "x.log.2" + suffix, packed)
    assert found == (hashlib.sha256(packed).hexdigest(), hashlib.sha256(plain).hexdigest())
    assert size == (len(plain) if suffix == ".gz" else None)
    assert content(tmp_path, "x.log.2" + suffix, packed, max(0, len(plain) - 1))[0].unpacked is None or not plain
    assert content(tmp_path, "x.log.2" + suffix, packed[:-1])[0].unpacked is None


def test_several_gzip_members_are_one_content(tmp_path):
    packed = b"".join(gzip.compress(b"%d" % number * 100_000) for number in range(5))
    plain = b"".join(b"%d" % number * 100_000 for number in range(5))
    assert content(tmp_path, "x.gz", packed)[0].unpacked == hashlib.sha256(plain).hexdigest()


def test_what_is_not_compressed_has_no_content(tmp_path):
    assert content(tmp_path, "x.log.1", b"plain")[0] == (hashlib.sha256(b"plain").hexdigest(), None)
    assert content(tmp_path, "x.log.1.gz", b"plain, whatever its name")[0].unpacked is None
    assert content(tmp_path, "y.gz", gzip.compress(b"x") + b"trailing")[0].unpacked is None
