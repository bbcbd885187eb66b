# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs with a store that lies: after the catalog was lost, nothing is believed that no key proves, and no source is deleted for it."""

from __future__ import annotations

import os
import pathlib

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import keyring
from rigs import forgery
from rigs.holdings import KEYS
from rigs.host import Host
from rigs.runs import assert_all_archived, lose, read_logs

pytest.importorskip("cryptography")


@pytest.fixture
def archived(tmp_path: pathlib.Path) -> Host:
    """A host that has archived three logs, and then lost its catalog."""
    host = Host(tmp_path)
    host.write_logs(12, 13, 14)
    host.run()
    lose(host, "state")
    return host


def test_a_lost_catalog_adopts_what_it_can_authenticate(archived: Host) -> None:
    wanted = read_logs(archived)
    record = archived.run(delete_sources=True)
    assert (record["exit_code"], record["archives"], record["warnings"]) == (0, [], [])
    assert len(record["sources_deleted"]) == 3
    assert_all_archived(archived, wanted)


def test_a_forged_archive_is_not_adopted_and_the_log_is_archived_before_it_is_deleted(archived: Host) -> None:
    """The forger has replaced the archive by garbage, with a manifest that states the digests of the garbage and the right logs."""
    import hashlib

    wanted = read_logs(archived)
    garbage = os.urandom(1000)
    (archived.store / KEYS[1]).write_bytes(garbage)
    facts = {"size": 1000, "md5": hashlib.md5(garbage).hexdigest(), "sha256": hashlib.sha256(garbage).hexdigest()}
    forgery.downgrade(archived.store, KEYS[1], archive={**forgery.read_manifest(archived.store, KEYS[1])["archive"], **facts})
    record = archived.run(delete_sources=True)
    assert [archive["sources"] for archive in record["archives"]] == [[str(archived.logs / "syslog.20240112.13")]]
    assert len(record["sources_deleted"]) == 3
    assert any("cannot be authenticated" in text for text in record["warnings"])
    (again,) = archived.store.rglob("*.r2.tgz.fernet")
    forgery.remove(archived.store, KEYS[1])
    os.rename(again, archived.store / KEYS[1])
    os.rename(str(again) + ".manifest.json", str(archived.store / KEYS[1]) + ".manifest.json")
    assert_all_archived(archived, wanted)


def test_a_forged_manifest_of_the_new_version_is_a_warning(archived: Host) -> None:
    forgery.alter(archived.store, KEYS[1], created="2030-01-01T00:00:00Z")
    record = archived.run()
    assert len(record["archives"]) == 1
    assert any("cannot be used" in text and "HMAC differs" in text for text in record["warnings"])


def test_without_the_key_nothing_is_adopted(archived: Host) -> None:
    keyring.create(str(archived.folder / "other"))
    record = archived.run(encryption={"keyring": str(archived.folder / "other")})
    assert len(record["archives"]) == 3
    assert any("3 archive(s) are archived again" in text for text in record["warnings"])


def test_plain_archives_are_recognised_by_their_bytes_and_not_by_what_the_store_claims(tmp_path: pathlib.Path) -> None:
    """Nothing proves a plain archive, but the same logs make the same bytes."""
    host = Host(tmp_path)
    host.write_logs(14)
    host.run(encryption="none")
    lose(host, "state")
    record = host.run(encryption="none", delete_sources=True)
    assert [path.name for path in host.store.rglob("*.tgz")] == ["syslog.20240112.14.tgz"]
    assert len(record["sources_deleted"]) == 1


def test_a_forged_plain_archive_is_not_adopted(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path)
    host.write_logs(14)
    host.run(encryption="none")
    lose(host, "state")
    (archive,) = host.store.rglob("*.tgz")
    data = bytearray(archive.read_bytes())
    data[4] ^= 1
    archive.write_bytes(data)
    host.run(encryption="none", delete_sources=True)
    assert sorted(path.name for path in host.store.rglob("*.tgz")) == ["syslog.20240112.14.r2.tgz", "syslog.20240112.14.tgz"]


def test_a_manifest_in_the_store_does_not_make_retention_forget_what_the_catalog_records(archived: Host) -> None:
    archived.run()
    forgery.downgrade(archived.store, KEYS[0], period={"start": "2024-01-12T14:30:00Z", "end": "2024-01-12T15:00:00Z"})
    record = archived.run(retention={"keep_last": 3})
    assert record["pruned"]["file"]["removed"] == []
