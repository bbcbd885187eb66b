# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sending an archive with its manifest: nothing is overwritten, the same logs are recognised, others get the next name."""

from __future__ import annotations

import base64
import hashlib
import os

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.manifest import dump
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.naming import manifest_key
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import IntegrityError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import keyring
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import send as shipping
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.trust import Trust
from rigs.archives import archive_maker
from rigs.host import file_store

pytest.importorskip("cryptography")
NAME = "h/j/2024/01/12/x.tgz"
SECOND = "h/j/2024/01/12/x.r2.tgz"


@pytest.fixture
def make(tmp_path):
    return archive_maker(tmp_path)


@pytest.fixture
def store(tmp_path):
    return file_store(tmp_path / "store")


def keys(store):
    return [item.key for item in store.list()]


def test_manifest_and_archive_arrive(make, store):
    sent = shipping.send(store, *make(b"log"), NAME, ".tgz")
    assert (sent.key, sent.existed, sent.adopted, sent.verification.level) == (NAME, False, None, "read_back")
    assert keys(store) == [NAME, manifest_key(NAME)]


def test_the_very_same_archive_is_recognised(make, store):
    archive = make(b"log")
    shipping.send(store, *archive, NAME, ".tgz")
    again = shipping.send(store, *archive, NAME, ".tgz")
    assert (again.key, again.existed, again.adopted) == (NAME, True, None)
    assert keys(store) == [NAME, manifest_key(NAME)]


@pytest.fixture
def trust(tmp_path):
    """Trust in the manifests of archives that ``make`` makes."""
    keyring.import_key(str(tmp_path / "keyring"), base64.urlsafe_b64encode(bytes(32)))
    return Trust(str(tmp_path / "keyring"))


def test_another_ciphertext_of_the_same_logs_is_kept_and_reported_if_it_is_authentic(make, store, trust):
    first = make(b"log")
    shipping.send(store, *first, NAME, ".tgz")
    sent = shipping.send(store, *make(b"log"), NAME, ".tgz", lambda: trust)
    assert (sent.key, sent.existed, sent.adopted) == (NAME, True, first[1])
    assert keys(store) == [NAME, manifest_key(NAME)]


@pytest.mark.parametrize("changes", [{}, {"version": 1}, {"hmac": "0" * 64}])
def test_another_ciphertext_that_is_not_proven_stays_and_ours_gets_the_next_name(make, store, trust, changes):
    """Whoever can write to the store can claim to have these logs, and the host may delete them."""
    path, manifest = make(b"log")
    shipping.send(store, path, manifest, NAME, ".tgz")
    with open(os.path.join(store.location(), manifest_key(NAME)), "wb") as file:
        file.write(dump({**manifest, **changes}))
    sent = shipping.send(store, *make(b"log"), NAME, ".tgz", (lambda: trust) if changes else Trust)
    assert (sent.key, sent.existed, sent.adopted) == (SECOND, False, None)


def test_other_logs_get_the_next_name(make, store):
    shipping.send(store, *make(b"log"), NAME, ".tgz")
    second = make(b"other log")
    assert shipping.send(store, *second, NAME, ".tgz").key == SECOND
    assert shipping.send(store, *second, NAME, ".tgz").existed
    assert keys(store) == [SECOND, manifest_key(SECOND), NAME, manifest_key(NAME)]


@pytest.mark.parametrize("what", ["archive", "manifest", "archive is damaged", "manifest is damaged"])
def test_half_of_something_or_something_damaged_stays_and_ours_gets_the_next_name(make, store, what):
    shipping.send(store, *make(b"log"), NAME, ".tgz")
    victim = os.path.join(store.location(), NAME if what.startswith("archive") else manifest_key(NAME))
    if "damaged" in what:
        with open(victim, "wb") as file:
            file.write(b"damaged")
    else:
        os.unlink(victim)
    sent = shipping.send(store, *make(b"log"), NAME, ".tgz")
    if what == "manifest":
        # The archive is another ciphertext, so its key is taken; no manifest of ours is left beside it.
        assert sent.key == SECOND
        assert manifest_key(NAME) not in keys(store)
    else:
        assert sent.key == SECOND
    assert {SECOND, manifest_key(SECOND)} <= set(keys(store))


def test_an_archive_that_changed_in_the_spool_is_not_sent(make, store):
    path, manifest = make(b"log")
    with open(path, "r+b") as file:
        file.write(b"X")
    with pytest.raises(IntegrityError):
        shipping.send(store, path, manifest, NAME, ".tgz")
    assert NAME not in keys(store)


def test_digests(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"a" * 3_000_000)
    assert shipping.digests_of_file(str(path)) == (
        3_000_000,
        hashlib.md5(b"a" * 3_000_000, usedforsecurity=False).hexdigest(),
        hashlib.sha256(b"a" * 3_000_000).hexdigest(),
    )
