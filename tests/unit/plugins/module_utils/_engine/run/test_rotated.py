# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logs that are archived, and then renamed, copied or compressed by a rotation: each state is archived once."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import re
import shutil
import sqlite3
import subprocess

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import rotated
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import rotation
from rigs.host import NOW, archives_in, at, file_store, log_bytes
from rigs.runs import ALL, restore

pytest.importorskip("cryptography")
LOGROTATE = shutil.which("logrotate", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")
LOGS = dict(ALL, patterns=["*.log", "*.log.*", "*.log-*"])


def archived(host):
    """What is in the archives: (name of the log, its bytes' digest), for each time that it is archived."""
    sources = [source for manifest in archives_in(file_store(host.store)).values() for source in manifest["sources"]]
    return sorted((os.path.basename(source["path"]), source["sha256"]) for source in sources)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def rotate(host, *options, rotations=1):
    """Rotate with the real logrotate."""
    conf, state = host.folder / "logrotate.conf", host.folder / "logrotate.state"
    conf.write_text("%s/x.log %s/y.log {\n  missingok\n  rotate 9\n  %s\n}\n" % (host.logs, host.logs, "\n  ".join(options)))
    conf.chmod(0o644)
    for _rotation in range(rotations):
        subprocess.run([LOGROTATE, "-f", "-s", state, conf], check=True, capture_output=True)


STYLES = {
    "default": ["create"],
    "compress": ["create", "compress"],
    "delaycompress": ["create", "compress", "delaycompress"],
    "copytruncate": ["copytruncate"],
    "copytruncate, delaycompress": ["copytruncate", "compress", "delaycompress"],
    "xz": ["create", "compress", "compresscmd /usr/bin/xz", "compressext .xz"],
    "bzip2": ["create", "compress", "delaycompress", "compresscmd /bin/bzip2", "compressext .bz2"],
    "dateext": ["create", "dateext", "dateformat -%s", "compress"],
    "extension": ["create", "extension .log", "compress", "delaycompress"],
    "olddir": ["create", "olddir old", "createolddir 755", "compress", "delaycompress"],
}


@pytest.mark.skipif(not LOGROTATE, reason="needs logrotate")
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("group", ["file", "run"])
def test_each_state_is_archived_once_through_six_rotations(host, style, group, monkeypatch):
    host.logs.chmod(0o755)
    for number in range(6):
        (host.logs / "x.log").write_bytes(log_bytes("x %d" % number, 3000 + number))
        (host.logs / "y.log").write_bytes(log_bytes("y %d" % number, 3000 + number))
        assert host.run(select=LOGS, archive={"group": group})["exit_code"] == 0
        rotate(host, *STYLES[style])
        if style == "dateext":
            # Rotations of one second would have the same name.
            for path in host.logs.glob("*.log-*"):
                if "-17050680" not in path.name:
                    path.rename(path.with_name(re.sub("-[0-9]+", "-170506800%d" % number, path.name)))
        assert host.run(select=LOGS, archive={"group": group})["errors"] == []
    with monkeypatch.context() as patched:
        patched.setattr(rotation, "digest", None)
        assert host.run(select=LOGS, archive={"group": group})["outcome"] == "nothing to do", "the catalog knows the new names"
    # Each state once, under the name that it had first; and the empty log that a rotation leaves.
    assert {name for name, _digest in archived(host)} == {"x.log", "y.log"}
    assert len(archived(host)) == len(set(archived(host)))
    written = [(name, sha256(log_bytes("%s %d" % (name[0], number), 3000 + number))) for name in ("x.log", "y.log") for number in range(6)]
    assert set(archived(host)) - {("x.log", sha256(b"")), ("y.log", sha256(b""))} == set(written)


@pytest.mark.skipif(not LOGROTATE, reason="needs logrotate")
def test_two_rotations_between_two_runs(host):
    """A log goes from x.log to x.log.2.gz at once; the one between is new as x.log.1."""
    options = "create", "compress", "delaycompress"
    for number in range(4):
        (host.logs / "x.log").write_bytes(log_bytes("seen %d" % number, 3000))
        assert host.run(select=LOGS)["exit_code"] == 0
        rotate(host, *options)
        (host.logs / "x.log").write_bytes(log_bytes("unseen %d" % number, 3000))
        rotate(host, *options)
        (host.logs / "x.log").unlink()
    host.run(select=LOGS)
    assert [name for name, _digest in archived(host)] == ["x.log"] * 4 + ["x.log.1"] * 4


@pytest.mark.skipif(not LOGROTATE, reason="needs logrotate")
def test_what_was_written_after_it_was_archived_is_archived(host):
    log = host.logs / "x.log"
    log.write_bytes(log_bytes("1", 3000))
    host.run(select=LOGS)
    with log.open("ab") as file:
        file.write(b"a late line\n")
    rotate(host, "create")
    host.run(select=LOGS)
    assert "x.log.1" in [name for name, _digest in archived(host)]


def test_a_recognised_log_is_deleted_on_request(host):
    log = host.logs / "x.log"
    log.write_bytes(log_bytes("1", 3000))
    host.run(select=LOGS)
    log.rename(host.logs / "x.log.1")
    packed = host.logs / "x.log.2.gz"
    packed.write_bytes(gzip.compress(log_bytes("1", 3000)))
    (host.logs / "y.log").write_bytes(b"new")
    record = host.run(select=LOGS, delete_sources=True)
    assert (record["exit_code"], record["warnings"]) == (0, [])
    assert sorted(map(os.path.basename, record["sources_deleted"])) == ["x.log.1", "x.log.2.gz", "y.log"]
    assert [name for name, _digest in archived(host)] == ["x.log", "y.log"]
    assert list(host.logs.iterdir()) == []


def test_a_recognised_log_that_changes_is_archived_and_not_deleted_unread(host):
    log = host.logs / "x.log"
    log.write_bytes(log_bytes("1", 3000))
    host.run(select=LOGS)
    log.rename(host.logs / "x.log.1")
    host.run(select=LOGS)
    status = os.stat(host.logs / "x.log.1")
    (host.logs / "x.log.1").write_bytes(log_bytes("2", 3000))
    os.utime(host.logs / "x.log.1", ns=(0, status.st_mtime_ns))
    record = host.run(select=LOGS, delete_sources=True)
    assert record["sources_deleted"] == []
    assert "it is not the file that was archived" in record["warnings"][0]


@pytest.mark.parametrize("other", ["y.log.1", "x.log.bak", "sub/x.log.1"])
def test_the_same_bytes_of_another_log_are_archived(host, other):
    (host.logs / "x.log").write_bytes(log_bytes("1", 3000))
    host.run(select=ALL)
    path = host.logs / other
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(log_bytes("1", 3000))
    (host.logs / "x.log").unlink()
    host.run(select=ALL)
    assert [name for name, _digest in archived(host)] == sorted(["x.log", os.path.basename(other)])


@pytest.mark.parametrize("how", ["link", "copy", "copy with its time"])
def test_a_second_name_beside_the_first_is_archived(host, how):
    """Logs of several workers are numbered, too: worker.1 and worker.2 may have the same first lines."""
    first, second = host.logs / "worker.1", host.logs / "worker.2"
    first.write_bytes(log_bytes("1", 3000))
    host.run(select=ALL)
    if how == "link":
        os.link(first, second)
    else:
        (shutil.copy2 if "time" in how else shutil.copy)(first, second)
    host.run(select=ALL)
    assert [name for name, _digest in archived(host)] == ["worker.1", "worker.2"]


def test_another_content_of_the_same_size_and_time_is_archived(host):
    log = host.logs / "x.log"
    log.write_bytes(log_bytes("1", 3000))
    host.run(select=LOGS)
    status = os.stat(log)
    log.unlink()
    (host.logs / "x.log.1").write_bytes(log_bytes("2", 3000))
    os.utime(host.logs / "x.log.1", ns=(0, status.st_mtime_ns))
    host.run(select=LOGS)
    assert [name for name, _digest in archived(host)] == ["x.log", "x.log.1"]


def test_a_log_that_changed_while_it_was_archived_is_not_taken_for_archived(host):
    log = host.logs / "x.log"
    log.write_bytes(log_bytes("1", 3000))
    host.run(select=LOGS)
    with contextlib.closing(sqlite3.connect(host.state / "catalog.sqlite", isolation_level=None)) as connection:
        connection.execute("UPDATE sources SET changed = 1")
    log.rename(host.logs / "x.log.1")
    host.run(select=LOGS)
    assert [name for name, _digest in archived(host)] == ["x.log", "x.log.1"]


def test_only_a_log_that_may_be_an_archived_one_is_read(host, monkeypatch):
    read = []
    digest = rotation.digest
    monkeypatch.setattr(rotation, "digest", lambda descriptor, name, largest: read.append(name) or digest(descriptor, name, largest))
    for number in range(20):
        (host.logs / ("x.log.%d" % number)).write_bytes(log_bytes(str(number), 3000 + number))
    host.run(select=LOGS)
    host.run(select=LOGS)
    assert read == []
    (host.logs / "x.log.99").write_bytes(log_bytes("99", 5000))
    (host.logs / "x.log.5").rename(host.logs / "x.log.50")
    host.run(select=LOGS)
    host.run(select=LOGS)
    assert list(map(os.path.basename, read)) == ["x.log.50"]


def test_with_a_period_and_catch_up_a_renamed_log_is_archived_once(host):
    """logrotate keeps the time of a log when it compresses it: the period by that time stays the same."""
    log = host.logs / "x.log"
    select = {"patterns": ["x.log*"], "period": "day", "catch_up": "7d"}
    moment = at("2024-01-11 23:30").timestamp()
    log.write_bytes(log_bytes("1", 3000))
    os.utime(log, (moment, moment))
    assert host.run(NOW, select=select)["exit_code"] == 0
    log.rename(host.logs / "x.log.1")
    assert host.run(NOW, select=select)["outcome"] == "nothing to do"
    (host.logs / "x.log.2.gz").write_bytes(gzip.compress((host.logs / "x.log.1").read_bytes()))
    os.utime(host.logs / "x.log.2.gz", (moment, moment))
    (host.logs / "x.log.1").unlink()
    record = host.run(at("2024-01-13 15:05"), select=select)
    assert record["archives"] == []
    assert [name for name, _digest in archived(host)] == ["x.log"]


def test_a_dry_run_predicts_that_nothing_is_archived(host):
    log = host.logs / "x.log"
    log.write_bytes(log_bytes("1", 3000))
    host.run(select=LOGS)
    log.rename(host.logs / "x.log.1")
    assert host.run(select=LOGS, check=True)["archives"] == []
    assert host.run(select=LOGS)["archives"] == []


def test_a_renamed_log_is_restored_under_the_name_that_it_was_archived_under(host):
    log = host.logs / "x.log"
    log.write_bytes(log_bytes("1", 3000))
    host.run(select=LOGS)
    log.rename(host.logs / "x.log.1")
    host.run(select=LOGS)
    (files,) = [one.files for one in restore(host, host.folder / "to")]
    assert [os.path.basename(file.name) for file in files] == ["x.log"]


@pytest.mark.skipif(not LOGROTATE, reason="needs logrotate")
@pytest.mark.parametrize("options", [["create"], ["create", "compress"], ["copytruncate"]])
def test_renamed_logs_are_recognised_after_the_catalog_is_lost(host, options):
    for number in range(3):
        (host.logs / "x.log").write_bytes(log_bytes(str(number), 3000 + number))
        host.run(select=LOGS)
        rotate(host, *options)
        (host.logs / "x.log").unlink()
    before = archived(host)
    shutil.rmtree(host.state)
    record = host.run(select=LOGS)
    assert (record["errors"], archived(host)) == ([], before)
    assert host.run(select=LOGS)["outcome"] == "nothing to do"


def test_a_file_that_cannot_be_opened_any_more_is_left_to_packing(host, monkeypatch):
    host.write_logs(14)
    monkeypatch.setattr(rotated, "open_file", lambda *_arguments: os.open("/nonexistent", os.O_RDONLY))
    assert host.run()["exit_code"] == 0
    assert len(archived(host)) == 1
