# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The source of a job: which of its logs a run takes, which are missing, and which it may delete."""

from __future__ import annotations

import os

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import files as selection
from rigs.host import archives_in, assert_complete, at, file_store
from rigs.runs import ALL, assert_all_archived, read_logs

pytest.importorskip("cryptography")


def test_catch_up_to_the_last_success(host):
    host.write_logs(8)
    assert host.run(at("2024-01-12 09:05"), select={"catch_up": "0"})["exit_code"] == 0
    host.write_logs(9, 10, 11, 12, 13, 14)
    assert host.run(select={"catch_up": "0"})["exit_code"] == 0
    assert_all_archived(host, read_logs(host))


def test_a_run_under_a_wrong_clock_does_not_hide_periods(host):
    """The clock was years ahead for one run, which succeeded; what comes after it is right again is caught up all the same."""
    host.write_logs(8)
    assert host.run(at("2024-01-12 09:05"), select={"catch_up": "0"})["exit_code"] == 0
    assert host.run(at("2024-06-01 00:05"), select={"catch_up": "0"})["exit_code"] == 0
    host.write_logs(9, 10, 11, 12, 13, 14)
    host.run(select={"catch_up": "0"})
    assert_all_archived(host, read_logs(host))


def test_a_clock_that_goes_back(host):
    host.write_logs(12, 13, 14)
    assert host.run()["exit_code"] == 0
    assert host.run(at("2024-01-12 13:05"))["outcome"] == "nothing to do"
    assert host.run(at("2023-01-01 00:05"))["exit_code"] == 0
    assert host.run()["outcome"] == "nothing to do"
    assert_all_archived(host, read_logs(host))


def test_missing_periods_are_a_warning_and_an_error_only_on_request(host):
    host.write_logs(13)
    record = host.run()
    assert record["missing"] == [{"start": "2024-01-12T14:00:00Z", "end": "2024-01-12T15:00:00Z"}]
    assert "no log matches syslog.%Y%m%d.%H" in record["warnings"][0]
    assert record["exit_code"] == 0
    assert host.run(select={"must_exist": True})["exit_code"] == 1


def test_links_folders_pipes_and_sockets_are_no_sources(host):
    (host.logs / "real").write_bytes(b"x")
    (host.logs / "link").symlink_to("real")
    (host.logs / "dangling").symlink_to("nothing")
    os.mkfifo(host.logs / "pipe")
    record = host.run(select=ALL)
    assert {os.path.basename(skipped["path"]) for skipped in record["skipped"]} == {"link", "dangling", "pipe"}
    assert_complete(file_store(host.store), host, {str(host.logs / "real"): b"x"})


def test_keys_and_files_of_the_folder_of_keys_are_never_archived(host, tmp_path, monkeypatch):
    """Whoever may edit a job document must not get at the keys through an archive of their own."""
    secrets = tmp_path / "etc"
    secrets.mkdir()
    (secrets / "id_ed25519").write_text("a private key")
    monkeypatch.setattr(selection, "_SECRETS", str(secrets))
    (host.logs / "link").symlink_to(secrets)
    (host.logs / "plain").write_bytes(b"x")
    record = host.run(select=dict(ALL, paths=[str(host.logs), str(host.keyring), str(secrets), str(host.logs / "link")]))
    assert [archive["sources"] for archive in record["archives"] if "plain" in archive["name"]] == [[str(host.logs / "plain")]]
    taken = {path for archive in record["archives"] for path in archive["sources"]}
    assert not [path for path in taken if path.endswith((".key", "id_ed25519"))]
    refused = [skipped["path"] for skipped in record["skipped"] if "never archived" in skipped["reason"]]
    assert sorted(map(os.path.basename, refused)) == sorted([*(n for n in os.listdir(host.keyring) if n.endswith(".key")), "id_ed25519"])


def test_sources_are_deleted_once_every_required_store_has_them_and_if_unchanged(host, tmp_path):
    down = tmp_path / "not" / "mounted"
    host.stores = [{"type": "file", "path": str(host.store)}, {"type": "file", "name": "second", "path": str(down), "attempts": 1}]
    first, second = host.write_logs(13, 14)
    record = host.run(delete_sources=True)
    assert record["exit_code"] == 3
    assert record["sources_deleted"] == []
    assert first.exists() and second.exists()
    down.mkdir(parents=True)
    second.write_bytes(b"changed since")
    record = host.run(delete_sources=True)
    assert record["exit_code"] == 0
    # The first is safe now. The second was archived anew in the same run, and is safe too.
    assert sorted(record["sources_deleted"]) == [str(first), str(second)]
    assert len(archives_in(file_store(down))) == len(archives_in(file_store(host.store))) == 3
