# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ``doctor`` finds wrong with a real host in a folder, which command mends it, and that it changes nothing."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import pathlib
import shutil
import time
import typing as t
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import main as cli
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import doctor
from rigs import streams
from rigs.host import JOB, Host, files_below

pytest.importorskip("cryptography")
LOGS = {"patterns": ["*"], "period": "none"}


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host with a job that ran, and a crontab that starts it."""
    made = Host(tmp_path / "host")
    for path in made.write_logs(13):
        os.utime(path, (time.time() - 7200,) * 2)
    made.write_document(select=LOGS)
    (tmp_path / "cron").mkdir()
    (tmp_path / "cron" / "log-archive").write_text("5 * * * * root /usr/local/bin/log-archive run %s\n" % JOB)
    monkeypatch.setattr(doctor, "CRONTABS", (str(tmp_path / "cron"),))
    monkeypatch.setattr(doctor, "UNITS", (str(tmp_path / "units"),))
    # Whether this machine runs cron is not what is tested: this process stands for it.
    name = pathlib.Path("/proc/self/comm").read_text().strip()
    monkeypatch.setattr(doctor, "CRON", (name,))
    made.run(now=datetime.now(timezone.utc), select=LOGS)
    return made


def examine(host: Host, *arguments: str) -> t.Tuple[int, t.Dict[str, t.Dict[str, t.Any]]]:
    """The exit code, and what is not ok, by the name of the check."""
    output = io.StringIO()
    before = files_below(host.folder)
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
        code = cli.main(["doctor", *arguments, "--json", "--config", str(host.folder / "jobs")])
    assert [path for path in before if path not in files_below(host.folder)] == []
    found = json.loads(output.getvalue())
    assert all(set(check) == set(doctor.Check._fields) for check in found)
    # A container's clock may be set from outside, and its kernel as it likes.
    return code, {one["check"]: one for one in found if one["state"] != "ok" and (one["job"] or one["state"] == "failed")}


def test_a_host_that_is_well_has_nothing_to_mend(host: Host) -> None:
    assert examine(host) == (0, {})


def no_keyring(host: Host) -> None:
    shutil.rmtree(host.keyring)


def no_logs(host: Host) -> None:
    shutil.rmtree(host.logs)


def no_store(host: Host) -> None:
    shutil.rmtree(host.store)


def state_is_open(host: Host) -> None:
    host.state.chmod(0o777)


def no_cron(host: Host) -> None:
    shutil.rmtree(host.folder.parent / "cron")


def commented(host: Host) -> None:
    path = host.folder.parent / "cron" / "log-archive"
    path.write_text("# " + path.read_text())


@pytest.mark.parametrize(
    ("damage", "check", "state", "code", "remedy"),
    [
        (no_keyring, "keys", "failed", 2, "log-archive key create syslog"),
        (no_logs, "logs", "failed", 1, "mkdir, or correct select.paths of the job"),
        (no_store, "store file", "failed", 1, "mount it"),
        (state_is_open, "folders", "failed", 2, None),
        (no_cron, "schedule", "warning", 0, "/log-archive run syslog"),
        (commented, "schedule", "warning", 0, "/log-archive run syslog"),
    ],
)
def test_each_fault_is_found_with_what_mends_it(
    damage: t.Callable[[Host], None], check: str, state: str, code: int, remedy: t.Optional[str], host: Host
) -> None:
    damage(host)
    returned, found = examine(host)
    assert (found[check]["state"], returned) == (state, code), found
    assert found[check]["job"] == JOB and found[check]["text"]
    if remedy is not None:
        assert remedy in found[check]["remedy"]


def test_a_file_system_that_is_read_only_is_found(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """To change the owner of the folder, or to move the catalog away, would not help."""
    real, accessible = os.statvfs, os.access

    class ReadOnly:
        f_flag = os.ST_RDONLY

        def __init__(self, path: str) -> None:
            self._real = real(path)

        def __getattr__(self, name: str) -> t.Any:
            return getattr(self._real, name)

    def refused(path: t.Any, mode: int, **named: t.Any) -> bool:
        return not (mode & os.W_OK and str(path).endswith("catalog.sqlite")) and accessible(path, mode, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "statvfs", ReadOnly)
        patch.setattr(os, "access", refused)
        code, found = examine(host)
    assert code == 1 and "is read-only" in found["folders"]["text"] and "mount -o remount,rw /" in found["folders"]["remedy"]
    assert "Read-only file system" in found["runs"]["text"] and found["runs"]["remedy"] is None


def test_the_crontab_of_another_job_is_none_of_this_job(host: Host) -> None:
    (host.folder.parent / "cron" / "log-archive").write_text("5 * * * * root log-archive run %s-old\n" % JOB)
    # Cron has no $LOG_ARCHIVE_CONFIG.
    assert examine(host)[1]["schedule"]["remedy"].endswith("log-archive run %s --config %s/jobs" % (JOB, host.folder))
    (host.folder.parent / "cron" / "log-archive").write_text("5 * * * * root log-archive run --all\n")
    assert "schedule" not in examine(host)[1]


def test_a_crontab_that_cannot_be_read_may_start_the_job(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root can read every file."""
    path = host.folder.parent / "cron" / "log-archive"

    def refused(name: t.Any, *arguments: t.Any, **named: t.Any) -> t.Any:
        if name == str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
        return open(name, *arguments, **named)

    host.write_document(select=LOGS, schedule={"at": "5 past each hour"})
    monkeypatch.setattr(doctor, "open", refused, raising=False)
    code, found = examine(host)
    assert (code, found["schedule"]["state"]) == (0, "warning")
    assert found["schedule"]["text"] == "found nothing that starts the job, but this user cannot read %s" % path
    path.unlink()
    assert examine(host)[0] == 1


def test_a_timer_that_nobody_started_is_found(host: Host) -> None:
    no_cron(host)
    units = host.folder.parent / "units"
    units.mkdir()
    (units / "log-archive-syslog-test.service").write_text('[Service]\nExecStart=/bin/sh -c "exec log-archive run %s"\n' % JOB)
    code, found = examine(host)
    assert (code, found["schedule"]["remedy"]) == (1, "systemctl enable --now log-archive-syslog-test.timer")


def test_a_document_that_cannot_be_used_does_not_hide_the_other_jobs(host: Host) -> None:
    (host.folder / "jobs" / "broken.json").write_text("{")
    (host.folder / "jobs" / "broken.json").chmod(0o600)
    code, found = examine(host)
    assert (code, found["document"]["remedy"]) == (2, "log-archive check-config broken")
    assert examine(host, JOB) == (0, {})


def test_streams_are_checked_on_a_host_without_jobs_too(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "streams.d"
    folder.mkdir()
    monkeypatch.setenv("LOG_ARCHIVE_STREAMS", str(folder))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "sftpgo.log").write_bytes(streams.upload() + b"\n")
    (tmp_path / "jobs").mkdir(mode=0o700)
    for name, given in (("sftpgo", streams.given(tmp_path)), ("broken", {"name": "broken"})):
        (folder / (name + ".json")).touch(0o600)
        (folder / (name + ".json")).write_text(json.dumps(given))
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = cli.main(["doctor", "--json", "--config", str(tmp_path / "jobs")])
    found = {one["job"]: one for one in json.loads(output.getvalue()) if one["job"]}
    assert (code, {name: one["state"] for name, one in found.items()}) == (2, {"stream broken": "failed", "stream sftpgo": "failed"})
    assert found["stream sftpgo"]["remedy"] == "log-archive streams sftpgo"
    with contextlib.redirect_stdout(io.StringIO()):
        assert cli.main(["ingest", str(folder / "sftpgo.json")]) == 0
        (folder / "broken.json").unlink()
        assert cli.main(["doctor", "--json", "--config", str(tmp_path / "jobs")]) == 0


def test_a_job_that_has_not_run_for_long_is_run(host: Host) -> None:
    shutil.rmtree(host.state)
    code, found = examine(host)
    assert (code, found["runs"]["remedy"], found["runs"]["text"]) == (1, "log-archive run syslog", "has never run")


def test_a_clock_that_was_set_back_is_found(host: Host) -> None:
    for path in host.logs.iterdir():
        os.utime(path, (time.time() - 3600,) * 2)
    host.run(now=datetime.now(timezone.utc) + timedelta(days=3), select=LOGS)
    code, found = examine(host)
    assert code == 1 and "but the clock shows" in found["clock"]["text"]


def test_people_get_failures_first_and_what_mends_them(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    no_keyring(host)
    no_cron(host)
    assert cli.main(["doctor", "--config", str(host.folder / "jobs")]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("failed   syslog: keys: ") and lines[1] == "         -> log-archive key create syslog"
    states = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert states[:-1] == sorted(states[:-1], key=["failed", "warning", "ok"].index)
    assert lines[-1].startswith("1 failed, ")
