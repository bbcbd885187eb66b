# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names in a flat store, and a file store in a folder that other programs use too."""

from __future__ import annotations

import hashlib
import io
import os
import pathlib
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.naming import longest_flat_name, manifest_key
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.durable import TEMP_PREFIX
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError, KeyNameError, StoreError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores import base, file_root, layout
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.base import Digests, Store
from hypothesis import given, strategies as st
from rigs.host import files_below
from rigs.stores import new_store

FLAT = layout.LAYOUTS["flat"]
KEY = "web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet"
NAME = "web1~syslog~20240112~syslog.20240112.12.tgz.fernet"
part = st.text("ab.-~/0", min_size=1, max_size=4)


def test_a_key_and_its_name() -> None:
    assert FLAT.name_of(KEY) == NAME
    assert FLAT.key_of(NAME) == KEY
    assert FLAT.name_of(manifest_key(KEY)) == manifest_key(NAME)
    assert FLAT.name_of("dump.tgz") == FLAT.key_of("dump.tgz") == "dump.tgz"


@given(st.lists(st.tuples(part, part, st.sampled_from(["2024/01/12", "2024/11/2", "2024"]), part).map("/".join) | part, max_size=8))
def test_two_keys_never_have_one_name(keys: t.List[str]) -> None:
    names = {}
    for key in keys:
        try:
            name = FLAT.name_of(key)
        except ConfigError:
            continue
        assert "/" not in name
        assert names.setdefault(name, key) == key
        assert FLAT.key_of(name) == key
        assert all(name.startswith(FLAT.beginning(key[:length])) for length in range(len(key) + 1))


@pytest.mark.parametrize(
    "key",
    [
        "web~1/syslog/2024/01/12/a",
        "web1/sys~log/2024/01/12/a",
        "web1/syslog/a",
        "web1/syslog/2024/1/12/a",
        "web1/syslog/2024/01/12/a/b",
        "../syslog/2024/01/12/a",
        NAME,
        TEMP_PREFIX + "web1/syslog/2024/01/12/a",
        "web1/syslog/2024/01/12/" + "a" * 250,
    ],
)
def test_a_key_that_has_no_name_is_refused(key: str) -> None:
    with pytest.raises(KeyNameError, match="flat store"):
        FLAT.name_of(key)


def test_names_of_archives_leave_room_for_those_of_host_and_job() -> None:
    assert longest_flat_name("web1", "syslog", ".tgz.fernet") == 180
    longest = longest_flat_name("h" * 64, "j" * 60, ".tgz.fernet")
    name = FLAT.name_of("%s/%s/2024/01/12/%s.r999999999.tgz.fernet.manifest.json" % ("h" * 64, "j" * 60, "n" * longest))
    assert len(name) == layout.LONGEST_FLAT_NAME
    with pytest.raises(ConfigError, match=r"h{64}.*too long for a store with flat names"):
        longest_flat_name("h" * 64, "j" * 150, ".tgz.fernet")


# -- a folder that other programs use too ------------------------------------------------------------------------------

FOREIGN = {"dump.20240112.tgz": b"dump", "notes": b"", "below/web1~syslog~20240112~x": b"x", "web1~syslog~list": b"", ".hidden": b"h"}


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    root = tmp_path / "shared"
    for name, data in FOREIGN.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    os.symlink("/etc/passwd", root / "web1~syslog~20240112~link")
    return root


@pytest.fixture
def store(folder: pathlib.Path) -> Store:
    return t.cast(Store, new_store("file", path=str(folder), layout="flat"))


def put(store: Store, folder: pathlib.Path, key: str, data: bytes = b"data") -> None:
    source = folder.parent / "spooled"
    source.write_bytes(data)
    store.put(str(source), key, Digests(len(data), hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest()))


def test_an_archive_is_one_file_of_the_folder(store: Store, folder: pathlib.Path) -> None:
    put(store, folder, KEY)
    assert (folder / NAME).read_bytes() == b"data"
    assert store.location(KEY) == str(folder / NAME)
    sink = io.BytesIO()
    store.get(KEY, sink)
    assert sink.getvalue() == b"data"
    assert store.verify(KEY, Digests(4, hashlib.md5(b"data").hexdigest(), hashlib.sha256(b"data").hexdigest())).level == "read_back"
    assert store.delete([KEY, "web9/none/2024/01/12/a"]) == {KEY: None, "web9/none/2024/01/12/a": None}
    assert not (folder / NAME).exists()


def test_a_listing_has_the_keys_of_a_host_or_job_and_no_file_of_other_programs(store: Store, folder: pathlib.Path) -> None:
    keys = [KEY, "web1/syslog2/2024/01/12/a", "web1/syslog/2024/02/01/b", "web10/syslog/2024/01/12/c"]
    for key in keys:
        put(store, folder, key)
    (folder / (TEMP_PREFIX + NAME + "-0123456789abcdef.part")).write_bytes(b"half")
    for prefix in ("web1/", "web1/syslog/", "web1/syslog", "web1/syslog/2024/01/12/", KEY, "web1/syslog/20", "web10/", "web9/", "/", "../"):
        assert [item.key for item in store.list(prefix)] == sorted(key for key in keys if key.startswith(prefix)), prefix
    assert [item.key for item in store.list()] == sorted([*keys, *(name for name in FOREIGN if "/" not in name)])


def test_cleaning_removes_the_unfinished_uploads_of_the_job_alone(store: Store, folder: pathlib.Path) -> None:
    for name in (NAME, "web1~auth~20240112~a", "dump"):
        (folder / (TEMP_PREFIX + name + "-0123456789abcdef.part")).write_bytes(b"half")
    assert len(store.clean("web1/syslog/2024/01/12/")) == 1
    assert store.clean("web1/syslog/") == []
    left = [name for name in files_below(folder) if name.startswith(TEMP_PREFIX)]
    assert left == [TEMP_PREFIX + "dump-0123456789abcdef.part", TEMP_PREFIX + "web1~auth~20240112~a-0123456789abcdef.part"]
    assert set(FOREIGN) <= set(files_below(folder))


def test_files_of_other_programs_take_no_memory_and_have_a_limit(
    store: Store, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, folder, KEY)
    for number in range(60):
        (folder / ("other-%d" % number)).touch()
    monkeypatch.setattr(base, "MOST_OBJECTS", 10)
    assert [item.key for item in store.list("web1/")] == [KEY]
    with pytest.raises(StoreError, match="more than 10 objects"):
        store.list()
    monkeypatch.setattr(file_root, "MOST_OBJECTS", 50)
    with pytest.raises(StoreError, match="files of other programs"):
        store.list("web1/")


def test_the_suffix_of_manifests_is_that_of_naming() -> None:
    assert manifest_key("") == layout.MANIFEST_SUFFIX


@given(st.text("ab.-~/0%: é\udc80\n", min_size=1, max_size=12))
def test_an_adopted_archive_has_one_key_and_its_object_one_name(original: str) -> None:
    name = layout.adopted_name(original)
    if name is None:
        return
    key = "web1/syslog/2024/01/12/" + name
    tree = layout.LAYOUTS["tree"]
    assert (tree.name_of(key), layout.adopted_of(key)) == (original, layout.Adopted(original, False))
    manifest = tree.name_of(manifest_key(key))
    assert manifest.endswith(layout.ADOPTED_MANIFEST_SUFFIX) and tree.key_of(manifest) == manifest_key(key)
    # An object with the name of a key belongs to no key.
    assert tree.key_of(key) is None and tree.key_of(manifest_key(key)) is None


@pytest.mark.parametrize(
    "original",
    [
        KEY,
        manifest_key(KEY),
        "a.manifest.json",
        "web1/syslog/2024/01/12/adopted:x.adopted.json",
        "web1/syslog/ledger/000000000001-a.json",
        "web1~syslog~ledger-000000000001-a.json",
        "../20241201.tgz",
        "a//b",
        TEMP_PREFIX + "a",
        "a" * 181,
        "é" * 31,
    ],
)
def test_what_this_software_made_or_cannot_name_is_not_adopted(original: str) -> None:
    assert layout.adopted_name(original) is None
    encoded = original.replace("/", "%2F")
    found = layout.adopted_of("web1/syslog/2024/01/12/adopted:" + encoded)
    assert found is None or (found.original, found.is_manifest) == (original[: -len(layout.MANIFEST_SUFFIX)], True)


@pytest.mark.parametrize("original", ["old/20241201.tgz", "web1~syslog~20240112~a.tgz"])
def test_an_object_of_a_tree_has_the_name_of_its_key_in_a_flat_store(original: str) -> None:
    key = "web1/syslog/2024/01/12/%s" % layout.adopted_name(original)
    assert FLAT.name_of(key) == key.replace("/", "~", 2).replace("/", "", 2).replace("/", "~")
    assert FLAT.key_of(FLAT.name_of(key)) == key
    assert FLAT.key_of(FLAT.name_of(manifest_key(key))) == manifest_key(key)
    assert FLAT.originals([manifest_key(key)]) == {}
    assert layout.LAYOUTS["tree"].originals([manifest_key(key)]) == {original: [key]}
    # Where it keeps its name, the name of the key is no second one.
    assert FLAT.key_of("web1~syslog~20240112~adopted:20241201.tgz") is None


def test_an_adopted_archive_may_be_too_long_for_a_flat_store() -> None:
    key = "%s/syslog/2024/01/12/%s" % ("h" * 50, layout.adopted_name("a/" + "b" * 170))
    assert len(FLAT.name_of(key)) < layout.LONGEST_FLAT_NAME
    with pytest.raises(KeyNameError, match="has 262 bytes"):
        FLAT.name_of(manifest_key(key))
