# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The source of a job: which of its logs a run takes, which are missing, and which it may delete."""

from __future__ import annotations

import hashlib
import os

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import protected
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state import status
from rigs.host import Host, archives_in, assert_complete, at, file_store
from rigs.runs import ALL, assert_all_archived, read_logs
from rigs.swaps import OTHER_USER, can_swap, opened_to_all, others_folder, swapping, unprivileged

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
    monkeypatch.setattr(protected, "SETTINGS", str(secrets))
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


def test_a_source_that_an_earlier_run_packed_is_deleted_only_if_it_still_has_the_same_bytes(host, tmp_path):
    down = tmp_path / "not" / "mounted"
    host.stores = [{"type": "file", "name": "late", "path": str(down), "attempts": 1}]
    kept, replaced = host.write_logs(13, 14)
    assert host.run(delete_sources=True)["exit_code"] == 3
    before = replaced.stat()
    other = replaced.with_name("other")
    other.write_bytes(bytes(before.st_size))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(replaced)
    down.mkdir(parents=True)
    record = host.run(delete_sources=True)
    assert record["sources_deleted"] == [str(kept)]
    assert "is not the file that was archived" in "".join(record["warnings"])
    assert replaced.exists()


@pytest.mark.skipif(not can_swap(), reason="needs root and renameat2")
def test_a_user_who_exchanges_a_folder_for_a_link_gets_nothing_archived_or_deleted_elsewhere(tmp_path):
    """The attack: the user owns a folder below 'paths', root runs the job with recurse and delete_sources."""
    host = Host(opened_to_all(tmp_path) / "host")
    host.logs.chmod(0o755)
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    secret = private / "a.log"
    secret.write_text("secret")
    theirs = others_folder(host.logs / "theirs")
    app = others_folder(theirs / "app")
    (theirs / "link").symlink_to(private)
    os.chown(theirs / "link", OTHER_USER, OTHER_USER, follow_symlinks=False)
    select = {"patterns": ["*.log"], "period": "none", "recurse": True, "require_closed": False}
    with swapping(app, theirs / "link"):
        for turn in range(25):
            for folder in (app, theirs / "link"):
                try:
                    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                except OSError:
                    continue
                with open(os.open("a.log", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=descriptor), "w") as file:
                    file.write("log %d" % turn)
                os.close(descriptor)
            host.run(select=select, delete_sources=True)
    assert secret.read_text() == "secret"
    archived = {source["sha256"] for manifest in archives_in(file_store(host.store)).values() for source in manifest["sources"]}
    assert archived and hashlib.sha256(b"secret").hexdigest() not in archived


# -- logs that cannot be read, or not yet ------------------------------------------------------------------------------


@pytest.fixture
def others(host):
    """The host of a job that runs without root, so that permissions count; call it before each run."""

    def given():
        for path in [host.folder, *host.folder.rglob("*")]:
            if os.geteuid() == 0:
                os.chown(path, OTHER_USER, OTHER_USER)
        opened_to_all(host.folder).chmod(0o755)
        return host

    return given


DAILY = {"patterns": ["app.%Y%m%d"], "period": "day", "catch_up": "0"}


def write_days(host, *days):
    for day in days:
        (host.logs / ("app.202401%02d" % day)).write_bytes(b"day %d" % day)


def run_unprivileged(given, day, **select):
    host = given()
    return unprivileged(lambda: host.run(at("2024-01-%02d 00:05" % day), select={**DAILY, **select}))


def state_of_job(host, day):
    row = status.of(host.document(select=DAILY), now=at("2024-01-%02d 00:06" % day))
    assert row["exit_code"] in (1, 3)
    return row["state"]


@pytest.mark.parametrize("before", [True, False], ids=["after a success", "from the first run on"])
def test_a_log_that_cannot_be_read_is_archived_once_it_can_be_however_late(others, host, before):
    if before:
        write_days(host, 9)
        assert run_unprivileged(others, 10)["exit_code"] == 0
    secret = host.logs / "app.20240110"
    for day in range(10, 20):
        write_days(host, day)
        secret.chmod(0)
        record = run_unprivileged(others, day + 1)
        assert (record["exit_code"], record["outcome"]) == (3, "partly done"), record
        assert record["missing"] == [] and record["warnings"] == []
        assert record["errors"] == [
            "%s: no permission to read it. Give the user of the job the right to read it, or exclude it (select.exclude)" % secret
        ]
        assert str(secret) in state_of_job(host, day + 1)
    secret.chmod(0o600)
    record = run_unprivileged(others, 21)
    assert [archive["sources"] for archive in record["archives"]] == [[str(secret)]]
    assert_all_archived(host, read_logs(host))


@pytest.mark.parametrize("period", ["day", "none"])
def test_a_folder_that_cannot_be_read_is_a_failure_and_hides_no_period(others, host, period):
    write_days(host, 9)
    select = {"period": period, "recurse": True}
    assert run_unprivileged(others, 10, **select)["exit_code"] == 0
    closed = host.logs / "closed"
    closed.mkdir()
    (closed / "app.20240110").write_bytes(b"x")
    for day in (11, 14):
        others()
        closed.chmod(0)
        record = run_unprivileged(others, day, **select)
        assert (record["exit_code"], record["missing"], record["warnings"]) == (3, [], []), record
        assert "%s: no permission to access it" % closed in record["errors"][0]
    closed.chmod(0o700)
    record = run_unprivileged(others, 20, **select)
    assert [archive["sources"] for archive in record["archives"]] == [[str(closed / "app.20240110")]]


def test_many_logs_that_cannot_be_read_are_a_few_errors(others, host):
    for number in range(30):
        (host.logs / ("%02d.log" % number)).touch(0)
    record = run_unprivileged(others, 10, patterns=["*.log"], period="none")
    assert len(record["errors"]) == 11 and len(record["skipped"]) == 30
    assert record["errors"][-1] == "%s: 20 more files or folders cannot be read; '--json' lists them as skipped" % host.logs


def test_an_archived_log_that_can_no_longer_be_read_is_no_error(others, host):
    write_days(host, 9)
    assert run_unprivileged(others, 10, period="none")["exit_code"] == 0
    (host.logs / "app.20240109").chmod(0)
    assert run_unprivileged(others, 11, period="none")["outcome"] == "nothing to do"


def test_a_period_whose_log_was_not_ready_stays_open_over_successful_runs(host):
    write_days(host, 10, 11, 12)
    for day in (11, 12):
        os.utime(host.logs / ("app.202401%d" % day), (at("2024-01-10").timestamp(),) * 2)
    busy = host.logs / "app.20240110"
    for day in (11, 12, 13):
        os.utime(busy, (at("2024-01-%d 00:04" % day).timestamp(),) * 2)
        record = host.run(at("2024-01-%d 00:05" % day), select=dict(DAILY, quiet="5m"))
        assert (record["exit_code"], record["missing"], record["open_since"]) == (0, [], "2024-01-10T00:00:00Z")
        assert record["warnings"] == [
            "1 log(s) are not ready and wait for a later run, first '%s': modified 1m ago, less than 5m (quiet)" % busy
        ]
    record = host.run(at("2024-01-14 00:05"), select=dict(DAILY, quiet="5m"))
    assert record["open_since"] is None
    assert_all_archived(host, read_logs(host))


def test_a_first_success_looks_back_to_the_first_run(host):
    """The store was broken from the first run on; nothing of what was due meanwhile is lost."""
    encryption = {"keyring": str(host.folder / "missing")}
    for day in (10, 11, 12, 13):
        write_days(host, day)
        assert host.run(at("2024-01-%d 00:05" % (day + 1)), select=DAILY, encryption=encryption)["exit_code"] == 2
    write_days(host, 14)
    assert host.run(at("2024-01-15 00:05"), select=DAILY)["exit_code"] == 0
    assert_all_archived(host, read_logs(host))
