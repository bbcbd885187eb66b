# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role schedule on real hosts: cron and systemd start jobs by themselves, and what they start archives.

After a look at a host that has no systemd, the tests use one that has both, one after the other: from cron to timers to removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import subprocess
import tarfile
import typing as t

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import schedule
from cryptography.fernet import Fernet
from fleet.roles import Played, difference, play, snapshot, succeed

CRONTAB = "/etc/cron.d/log-archive"
LOGS = "/var/log/log-archive"
LOG = "/var/log/events/syslog.20240112.13"
STORE = "/var/backups/log-archive"
PASSWORD = "the-password-of-a-store"
EACH_MINUTE = {"at": "* * * * *", "spread": "1s"}
SELECT = {"paths": ["/var/log/events"], "patterns": ["syslog.%Y%m%d.%H"]}
JOBS: t.Dict[str, t.Any] = {
    "syslog": {"select": SELECT, "stores": ["local"], "schedule": EACH_MINUTE},
    "busy": {"select": SELECT, "stores": ["local"], "schedule": EACH_MINUTE},
    "nightly": {"select": SELECT, "stores": ["elsewhere"], "schedule": {"at": "23:00 daily", "spread": "1h"}},
    "by-hand": {"select": SELECT, "stores": ["local"]},
}
STORES = {
    "local": {"type": "file", "path": STORE},
    "elsewhere": {"type": "sftp", "host": "storage", "user": "web1", "path": "/archive", "password": PASSWORD},
}


def scheduled(host: t.Any, *arguments: str, jobs: t.Sequence[str] = tuple(JOBS), **variables: t.Any) -> Played:
    """Play the role with these jobs, and find nothing secret in what it prints."""
    variables = {"log_archive_jobs": {name: JOBS[name] for name in jobs}, "log_archive_stores": STORES, **variables}
    played = play(host, ["schedule"], "-vvv", *arguments, **variables)
    assert PASSWORD not in played.output
    return played


@pytest.fixture(scope="module")
def escrow(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The folder of the copies of keys."""
    return tmp_path_factory.mktemp("escrow")


@pytest.fixture(scope="module")
def ready(fleet_factory: t.Any, escrow: pathlib.Path) -> t.Any:
    """A host with cron and systemd that has all that a job needs to run."""
    host = fleet_factory(systemd=("files1",)).hosts["files1"]
    variables = {
        "log_archive_dependencies": "packages",
        "log_archive_stores": STORES,
        "log_archive_escrow": str(escrow),
        "log_archive_witness": "",
    }
    variables["log_archive_jobs"] = {name: JOBS[name] for name in JOBS if name != "nightly"}
    succeed(host, ["dependencies", "permissions", "keys", "runner"], **variables)
    host.run(["install", "-d", "-o", "log-archive", "-m", "700", STORE])
    host.run(["install", "-d", "-m", "755", os.path.dirname(LOG)])
    host.path(LOG).write_text("a line of a log\n", encoding="utf-8")
    return host


@pytest.fixture(scope="module")
def without(ready: t.Any) -> t.Any:
    """What that host looks like before the role."""
    return snapshot(ready)


def entries(host: t.Any) -> t.Dict[str, str]:
    """The lines of the crontab by the names of the jobs."""
    text = host.path(CRONTAB).read_text(encoding="utf-8")
    return dict(re.findall(r"^# log-archive: (\S+) .*\n(.*)$", text, re.MULTILINE))


def configuration(host: t.Any) -> t.Any:
    """All below /etc: elsewhere the jobs that run meanwhile leave their traces."""
    return {path: about for path, about in snapshot(host).items() if path.startswith("/etc/")}


def output(host: t.Any, job: str) -> str:
    """What the runs of a job have printed."""
    return host.path("%s/%s.log" % (LOGS, job)).read_text(encoding="utf-8")


def wait_for_outputs(host: t.Any, **texts: str) -> None:
    """Return once the log of each job has its text."""
    lab.wait_until(
        lambda: all(text in output(host, job) for job, text in texts.items()), lambda: {job: output(host, job) for job in texts}, 90
    )


@contextlib.contextmanager
def locked(host: t.Any, job: str) -> t.Iterator[None]:
    """As if a run of the job were under way."""
    lock = ["runuser", "-u", "log-archive", "--", "flock", "/var/lib/log-archive/%s.lock" % job, "sh", "-c", "echo held; exec cat"]
    enter = ["nsenter", "--target=%d" % host.pid, "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--"]
    with subprocess.Popen([*enter, *lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        try:
            yield
        finally:
            holder.communicate()


def mails(host: t.Any) -> t.List[str]:
    """What the mailer got, so far."""
    return [path.read_text(encoding="utf-8") for path in host.path("/var/tmp").glob("mail.*")]


def unit(host: t.Any, name: str) -> t.Dict[str, str]:
    """What systemd says of a unit."""
    wanted = "--property=ActiveState,UnitFileState,LoadState,Result,User,NextElapseUSecRealtime"
    return dict(line.split("=", 1) for line in host.run(["systemctl", "show", wanted, "log-archive-" + name]).stdout.splitlines())


def content_of_archive(host: t.Any, escrow: pathlib.Path, folder: pathlib.Path) -> str:
    """The log in the only archive of the job syslog, opened with the copy of its key and nothing of ours."""
    [manifest] = host.path("%s/%s/syslog" % (STORE, host.name)).rglob("*.manifest.json")
    key_id = json.loads(manifest.read_text(encoding="utf-8"))["encryption"]["key_id"]
    key = (escrow / host.name / (key_id + ".key")).read_bytes()
    (folder / "tgz").write_bytes(Fernet(key.strip()).decrypt(manifest.with_name(manifest.name[: -len(".manifest.json")]).read_bytes()))
    with tarfile.open(folder / "tgz") as tar:
        [member] = tar.getmembers()
        file = tar.extractfile(member)
        assert file is not None
        return file.read().decode("utf-8")


# -- a host without systemd --------------------------------------------------------------------------------------------


def test_check_mode_on_a_fresh_host_changes_nothing(host: t.Any) -> None:
    before = snapshot(host)
    played = scheduled(host, "--check", "--diff")
    assert played.code == 0 and not difference(before, snapshot(host)), played.output
    assert played.changed == 1 and "+++ after: %s/nightly.log\n" % LOGS in played.output
    assert "+# log-archive: nightly (23:00 daily; this host " in played.output


def test_a_host_without_systemd_or_cron_is_told_so(host: t.Any) -> None:
    played = scheduled(host, schedule_type="systemd")
    assert played.code == 2 and "schedule_type is systemd, but the service manager of %s is" % host.name in played.output
    host.run(["mv", "/usr/bin/crontab", "/usr/bin/crontab.away"])
    try:
        played = scheduled(host, schedule_install_cron=False)
    finally:
        host.run(["mv", "/usr/bin/crontab.away", "/usr/bin/crontab"])
    assert played.code == 2 and "cron is not installed on %s (Debian), so no job would ever run" % host.name in played.output
    assert not host.path(CRONTAB).exists()


# -- cron --------------------------------------------------------------------------------------------------------------


def test_each_job_with_a_schedule_has_an_entry_and_a_log(ready: t.Any, without: t.Any) -> None:
    played = scheduled(ready)
    assert played.code == 0, played.output
    assert list(entries(ready)) == ["busy", "nightly", "syslog"]
    seconds = schedule.offset(3600, ready.name, "nightly")
    assert 0 < seconds < 3600 and entries(ready)["nightly"].startswith("0 23 * * * log-archive sleep %d; " % seconds)
    told = ready.run(["find", CRONTAB, *["%s/%s.log" % (LOGS, name) for name in entries(ready)], "-printf", "%M %u %g\\n"]).stdout
    assert told.splitlines() == ["-rw-r--r-- root root", *["-rw-r----- log-archive log-archive-operators"] * 3]
    before = configuration(ready)
    assert scheduled(ready, "--diff")[::2] == (0, 0) and not difference(before, configuration(ready))


def test_cron_runs_the_jobs_tells_it_in_their_logs_and_sends_no_mail(ready: t.Any, escrow: pathlib.Path, tmp_path: pathlib.Path) -> None:
    # A mailer, and an entry that is mailed: without it there would be none of ours either.
    mailer = ready.path("/usr/sbin/sendmail")
    mailer.write_text('#!/bin/sh\nexec cat > "$(mktemp /var/tmp/mail.XXXXXX)"\n', encoding="ascii")
    mailer.chmod(0o755)
    ready.path("/etc/cron.d/another").write_text("* * * * * root echo to be mailed\n", encoding="ascii")
    with locked(ready, "busy"):
        wait_for_outputs(ready, syslog="syslog: ", busy="another run holds the lock")
        lab.wait_until(lambda: any("to be mailed" in mail for mail in mails(ready)), lambda: mails(ready), 90)
    ready.path("/etc/cron.d/another").unlink()
    # The next minute may have come: a mailer writes first the head of a mail, then its text.
    lab.wait_until(lambda: all("to be mailed" in mail for mail in mails(ready)), lambda: mails(ready))
    mailer.unlink()
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d\nsyslog: done\n", output(ready, "syslog")), output(ready, "syslog")
    assert not output(ready, "nightly")
    assert content_of_archive(ready, escrow, tmp_path) == "a line of a log\n"
    for path in ready.path("/var/tmp").glob("mail.*"):
        path.unlink()


def test_an_entry_goes_with_its_job_and_root_opens_no_log_of_the_user(ready: t.Any) -> None:
    # What the user could put there.
    ready.run(["ln", "-sf", "/etc/shadow", LOGS + "/busy.log"])
    shadow = snapshot(ready)["/etc/shadow"]
    try:
        played = scheduled(ready, jobs=["busy", "syslog"], log_archive_read_all_logs=True)
        assert played.code == 0 and list(entries(ready)) == ["busy", "syslog"], played.output
        ready.run(["truncate", "--size=0", LOGS + "/syslog.log"])
        for name in ("busy", "syslog"):
            user, command = entries(ready)[name].split(maxsplit=6)[5:]
            assert user == "root"
            ready.run(["/bin/sh", "-c", command.replace("\\%", "%")], check=False)
        assert snapshot(ready)["/etc/shadow"] == shadow
        assert "syslog: nothing to do" in output(ready, "syslog")
    finally:
        # Not for the next tests, which write to this log.
        ready.run(["rm", LOGS + "/busy.log"])


# -- systemd -----------------------------------------------------------------------------------------------------------


def test_a_switch_to_timers_leaves_nothing_of_cron(ready: t.Any) -> None:
    before = configuration(ready)
    played = scheduled(ready, "--check", "--diff", schedule_type="systemd")
    assert played.code == 0 and not difference(before, configuration(ready)), played.output
    played = scheduled(ready, schedule_type="systemd")
    assert played.code == 0 and not ready.path(CRONTAB).exists(), played.output
    for name in ("busy", "nightly", "syslog"):
        assert {"ActiveState": "active", "UnitFileState": "enabled"}.items() <= unit(ready, name + ".timer").items()
    assert "23:00:00" in unit(ready, "nightly.timer")["NextElapseUSecRealtime"]
    service = ready.path("/etc/systemd/system/log-archive-nightly.service").read_text(encoding="utf-8")
    assert "ExecStartPre=/bin/sleep %d\n" % schedule.offset(3600, ready.name, "nightly") in service and PASSWORD not in service
    before = configuration(ready)
    assert scheduled(ready, "--diff", schedule_type="systemd")[::2] == (0, 0) and not difference(before, configuration(ready))


def test_a_timer_makes_up_for_a_moment_that_was_missed_and_a_run_under_way_is_no_failure(ready: t.Any) -> None:
    with locked(ready, "busy"):
        for name in ("busy", "syslog"):
            timer = "log-archive-%s.timer" % name
            ready.run(["systemctl", "stop", timer, "log-archive-%s.service" % name])
            # On the host: there an absolute link leads to a file of the host, from here it would lead to one of this machine.
            ready.run(["truncate", "--size=0", "%s/%s.log" % (LOGS, name)])
            ready.run(["touch", "--date=yesterday", "/var/lib/systemd/timers/stamp-" + timer])
            ready.run(["systemctl", "start", timer])
        wait_for_outputs(ready, syslog="syslog: nothing to do", busy="another run holds the lock")
        services = ("busy.service", "syslog.service")
        lab.wait_until(lambda: "activating" not in [unit(ready, name)["ActiveState"] for name in services], "a service does not end", 90)
        for name in ("busy", "syslog"):
            about = unit(ready, name + ".service")
            assert {"ActiveState": "inactive", "Result": "success", "User": "log-archive"}.items() <= about.items(), output(ready, name)


def test_a_job_runs_without_its_log_folder_which_is_created_again_if_that_is_possible(ready: t.Any) -> None:
    """As after a reboot with /var/log in memory."""
    ready.run(["rm", "-r", LOGS])
    ready.run(["systemctl", "start", "log-archive-syslog.service"])
    assert ready.run(["stat", "--format=%a %U %G", LOGS]).stdout == "2750 log-archive log-archive-operators\n"
    assert "\nsyslog: " in output(ready, "syslog")
    ready.run(["rm", "-r", LOGS])
    ready.path(LOGS).touch()
    try:
        # It runs. Its event log is there, too, and that is all that fails.
        ready.run(["systemctl", "start", "log-archive-syslog.service"], check=False)
        (status,) = json.loads(ready.run(["log-archive", "status", "--json", "syslog"], check=False).stdout)
        assert status["last_exit_code"] == 1, status
    finally:
        ready.path(LOGS).unlink()
        ready.run(["systemd-tmpfiles", "--create", "/etc/tmpfiles.d/log-archive.conf"])


def test_a_timer_follows_its_schedule_and_reads_every_log_where_that_is_wanted(ready: t.Any) -> None:
    later = {"syslog": dict(JOBS["syslog"], schedule={"at": "04:05 daily", "spread": "1s"})}
    private = ready.path("/var/log/events/syslog.20240112.14")
    private.write_text("only for root\n", encoding="utf-8")
    private.chmod(0o600)
    ready.run(["systemctl", "start", "log-archive-syslog.service"], check=False)
    played = scheduled(ready, schedule_type="systemd", log_archive_read_all_logs=True, log_archive_jobs=later)
    assert played.code == 0, played.output
    assert "04:05:00" in unit(ready, "syslog.timer")["NextElapseUSecRealtime"]
    for gone in ("busy.timer", "busy.service", "nightly.timer", "nightly.service"):
        assert unit(ready, gone)["LoadState"] == "not-found"
    assert not list(ready.path(STORE).rglob("syslog.20240112.14.tgz.fernet")), "it could be read without the capability"
    ready.run(["systemctl", "start", "log-archive-syslog.service"])
    assert list(ready.path(STORE).rglob("syslog.20240112.14.tgz.fernet")), output(ready, "syslog")


def test_the_validation_of_trails_is_started_by_a_timer(ready: t.Any) -> None:
    # This file of the role cloud_audit sends nothing to AWS.
    audit = ["cloud_audit/preflight", "cloud_audit/schedule"]
    variables = {"cloud_audit_validate_jobs": ["by-hand"], "cloud_audit_validate_type": "systemd", "cloud_audit_validate_at": "* * * * *"}
    assert succeed(ready, audit, "--check", "--diff", **variables).changed and unit(ready, "audit.timer")["LoadState"] == "not-found"
    succeed(ready, audit, **variables)
    assert succeed(ready, audit, **variables).changed == 0
    assert unit(ready, "audit.timer")["UnitFileState"] == "enabled"
    ready.run(["systemctl", "stop", "log-archive-audit.timer"])
    ready.run(["touch", "--date=yesterday", "/var/lib/systemd/timers/stamp-log-archive-audit.timer"])
    ready.run(["systemctl", "start", "log-archive-audit.timer"])
    # The job archives no trail: the unit fails with the exit code of the command.
    lab.wait_until(lambda: unit(ready, "audit.service")["Result"] == "exit-code", lambda: unit(ready, "audit.service"), 90)
    assert unit(ready, "audit.service")["User"] == "log-archive"
    assert "by-hand: the job has no source cloudtrail" in output(ready, "audit")
    journal = ["journalctl", "--identifier=log-archive", "--output=cat"]
    lab.wait_until(lambda: "audit validate ended with status 2" in ready.run(journal).stdout, lambda: ready.run(journal).stdout)
    assert ready.run(["stat", "--format=%a %U %G", LOGS + "/audit"]).stdout == "750 log-archive log-archive-operators\n"
    succeed(ready, audit, **{**variables, "cloud_audit_validate_type": "cron"})
    assert unit(ready, "audit.timer")["LoadState"] == "not-found" and ready.path("/etc/cron.d/log-archive-audit").exists()
    assert not ready.path("/var/lib/systemd/timers/stamp-log-archive-audit.timer").exists()
    succeed(ready, audit, cloud_audit_state="absent")
    assert not ready.path("/etc/cron.d/log-archive-audit").exists()


def test_no_timer_is_left_when_it_is_taken_off(ready: t.Any, without: t.Any) -> None:
    assert scheduled(ready, schedule_state="absent").code == 0
    assert unit(ready, "syslog.timer")["LoadState"] == "not-found"
    # Their own: the logs of the runs, the archives, the catalog.
    kept = (LOGS + "/", "/var/log/", STORE, "/var/lib/log-archive/", "/var/spool/log-archive/")
    assert not {path for path in difference(without, snapshot(ready)) if "log-archive" in path and not path.startswith(kept)}
    assert scheduled(ready, schedule_state="absent")[::2] == (0, 0)
