# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verifying the archives of a store. With file stores and archives as a job makes them."""

from __future__ import annotations

import os

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.naming import manifest_key
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import StoreError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import inventory, verify as verifying
from rigs.holdings import KEYS, put

pytest.importorskip("cryptography")


def test_verify_each_archive(store):
    held = inventory.read(store)
    put(store, KEYS[1], b"other bytes")
    os.unlink(os.path.join(store.location(), KEYS[2]))
    checked = [verifying.verify(store, archive, None) for archive in held.archives]
    assert [one.level for one in checked] == ["read_back", None, None]
    assert checked[0].error is None and "bytes" in checked[1].error and "the archive does not exist" in checked[2].error


def test_count_good_archives_and_name_bad_ones():
    def results():
        yield verifying.Checked("a/b/lost", None, "there is no manifest beside the archive")
        for number in range(10_000):
            yield verifying.Checked("a/b/%d" % number, "size", None, number > 0)
        yield verifying.Checked("a/b/other", "read_back", None)

    counts = verifying.count(results())
    failed = verifying.FailedArchive("a/b/lost", "there is no manifest beside the archive")
    assert counts == verifying.Counts(10_001, {"size": 10_000, "read_back": 1}, 9_999, 1, 0, [failed])


def test_what_an_inventory_alone_shows(store):
    os.unlink(os.path.join(store.location(), KEYS[0]))
    put(store, manifest_key(KEYS[1]), b"{")
    os.unlink(os.path.join(store.location(), manifest_key(KEYS[2])))
    put(store, "20241201.tgz")
    found = verifying.unusable(inventory.read(store))
    assert [one.key for one in found] == KEYS
    assert [one.level for one in found] == [None] * 3


def test_each_level_that_a_file_store_has(store):
    (archive, *_rest) = inventory.read(store).archives
    for level in ("size", "server_digest", "remote_hash", "read_back"):
        checked = verifying.verify(store, archive, level)
        assert (checked.key, checked.error) == (KEYS[0], None)
        assert checked.level is not None


def test_size_does_not_see_other_bytes_and_read_back_does(store):
    (archive, *_rest) = inventory.read(store).archives
    put(store, KEYS[0], b"x" * archive.size)
    assert verifying.verify(store, archive, "size") == (KEYS[0], "size", None, None, True)
    assert verifying.verify(store, archive, "read_back").level is None


def test_a_store_that_fails_is_no_damaged_archive(store, monkeypatch):
    (archive, *_rest) = inventory.read(store).archives

    def failing_verify(_store, key, *_arguments):
        raise StoreError("no answer", key)

    monkeypatch.setattr(type(store), "verify", failing_verify)
    with pytest.raises(StoreError, match="no answer"):
        verifying.verify(store, archive, None)


def test_an_intact_store_has_nothing_unusable(store):
    put(store, "20241201.tgz")
    assert verifying.unusable(inventory.read(store)) == []
