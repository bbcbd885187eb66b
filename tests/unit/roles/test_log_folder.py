# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What cron and systemd start, without its log folder: gone (in memory, after a reboot), or not writable. The job runs anyway."""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import typing as t

import pytest

jinja2 = pytest.importorskip("jinja2")
yaml = pytest.importorskip("yaml")

ROLES = pathlib.Path(__file__).resolve().parents[3] / "roles"
SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]
ENTRY = {"name": "syslog", "at": "hourly", "offset": 0, "cron": "5 * * * *", "on_calendar": "hourly"}


def rendered(role: str, template: str, **variables: t.Any) -> str:
    """A template of a role as Ansible renders it; the variables of the role that it uses are rendered first."""
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True)
    environment.filters["quote"] = shlex.quote
    of_role = yaml.safe_load((ROLES / role / "vars" / "main.yml").read_text(encoding="utf-8"))
    for name in ("_schedule_open_log", "_schedule_create_folder", "_archive_server_open_log"):
        if name in of_role and name not in variables:
            variables[name] = environment.from_string(of_role[name]).render(variables)
    return str(environment.from_string((ROLES / role / "templates" / template).read_text(encoding="utf-8")).render(variables))


def command_of_cron(folder: pathlib.Path, job: pathlib.Path, **variables: t.Any) -> str:
    variables.update(schedule_log_dir=str(folder), _schedule_run=shlex.quote(str(job)), _schedule_entries=[ENTRY])
    return command_of_line(rendered("schedule", "cron.j2", **variables).splitlines()[-1])


def command_of_line(line: str) -> str:
    """What cron runs for a line of /etc/cron.d."""
    command = line.split(maxsplit=6)[6]
    assert not re.search(r"(?<!\\)%", command), "cron would end the command there"
    return command.replace("\\%", "%")


def command_of_unit(folder: pathlib.Path, job: pathlib.Path) -> str:
    variables = {"schedule_user": "root", "schedule_read_all_logs": False, "_schedule_entry": ENTRY}
    text = rendered("schedule", "job.service.j2", schedule_log_dir=str(folder), _schedule_run=shlex.quote(str(job)), **variables)
    return re.findall(r'^ExecStart=/bin/sh -c "(.*)"$', text, re.MULTILINE)[0].replace("$$", "$").replace("%%", "%")


@pytest.fixture
def job(tmp_path: pathlib.Path) -> pathlib.Path:
    """A command that leaves a trace and prints a line."""
    path = tmp_path / "it's a job"
    path.write_text('#!/bin/sh\necho "ran $*" >> %s\necho printed\n' % shlex.quote(str(tmp_path / "trace")), encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("kind", ["cron", "unit"])
@pytest.mark.parametrize("folder", ["there", "gone", "cannot be made", "log cannot be opened"])
def test_a_job_runs_without_its_log_folder(tmp_path: pathlib.Path, job: pathlib.Path, shell: str, kind: str, folder: str) -> None:
    logs = tmp_path / "100% of LOGs"
    log = logs / "syslog.log"
    if folder == "there":
        logs.mkdir()
    elif folder == "cannot be made":
        logs.write_bytes(b"")
    elif folder == "log cannot be opened":
        log.mkdir(parents=True)
    user = {"schedule_user": "root", "_schedule_cron_user": "root"}
    command = command_of_cron(logs, job, **user) if kind == "cron" else command_of_unit(logs, job)
    done = subprocess.run([shell, "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    assert (tmp_path / "trace").read_text(encoding="utf-8") == "ran syslog\n"
    if folder in ("there", "gone"):
        assert log.read_text(encoding="utf-8").endswith("\nprinted\n")
        assert done.stdout == "" and log.stat().st_mode & 0o007 == 0 or kind == "unit"
    else:
        assert done.stdout.endswith("printed\n"), "systemd keeps it in the journal"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
@pytest.mark.parametrize("folder", ["there", "cannot be made"])
def test_a_job_that_cron_starts_as_root_runs_without_the_log_of_its_user(tmp_path: pathlib.Path, job: pathlib.Path, folder: str) -> None:
    for each in (tmp_path, *tmp_path.parents):
        each.chmod(each.stat().st_mode | 0o111)
    logs = tmp_path / "logs"
    if folder == "there":
        logs.mkdir()
        os.chown(logs, 65534, 65534)
    command = command_of_cron(logs, job, schedule_user="nobody", _schedule_cron_user="root")
    subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert (tmp_path / "trace").read_text(encoding="utf-8") == "ran syslog\n"
    if folder == "there":
        assert (logs / "syslog.log").read_text(encoding="utf-8").endswith("\nprinted\n")
        assert (logs / "syslog.log").stat().st_uid == 65534
    else:
        assert not logs.exists()


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("template", ["cron.j2", "service.j2"])
@pytest.mark.parametrize("folder", ["gone", "cannot be made"])
def test_the_server_seals_without_its_log_folder(tmp_path: pathlib.Path, job: pathlib.Path, shell: str, template: str, folder: str) -> None:
    logs = tmp_path / "logs"
    if folder != "gone":
        logs.write_bytes(b"")
    quoted = shlex.quote(str(job))
    variables = {
        "_archive_server_logs": str(logs),
        "_archive_server_seal": quoted,
        "_archive_server_prune": quoted,
        "archive_server_base": "/srv/100% $HOME",
        "_archive_server_prune_entry": ENTRY,
        "_archive_server_timer": {"name": "seal", "about": "seal", "command": quoted + " '/srv/100% $HOME'"},
    }
    text = rendered("archive_server", template, **variables)
    if template == "cron.j2":
        command = command_of_line(next(line for line in text.splitlines() if " root umask" in line))
    else:
        command = re.findall(r'^ExecStart=/bin/sh -c "(.*)"$', text, re.MULTILINE)[0].replace("$$", "$").replace("%%", "%")
    assert subprocess.run([shell, "-c", command], capture_output=True, check=False).returncode == 0
    assert (tmp_path / "trace").read_text(encoding="utf-8") == "ran /srv/100% $HOME\n"
    assert folder != "gone" or (logs / "seal.log").read_text(encoding="utf-8") == "printed\n"
