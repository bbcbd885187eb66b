# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role cloud_audit in plays, on a server with the APIs of AWS: check mode, once, again, and removal."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import lab
import yaml
from ansible_collections.infra_ops.log_archive.plugins.module_utils._cloud_options import CLOUDWATCH_MONITORING
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.aws_spec import AWS
from lab import quick_ansible

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
ROLE = CHECKOUT / "roles" / "cloud_audit"
MODULE = "infra_ops.log_archive.cloudwatch_monitoring"


def play(**changes: t.Any) -> t.Dict[str, t.Any]:
    return {
        "hosts": "localhost",
        "gather_facts": False,
        "check_mode": changes.pop("check_mode", False),
        "diff": True,
        "vars": changes,
        "tasks": [{"ansible.builtin.import_role": {"name": "infra_ops.log_archive.cloud_audit"}}],
    }


def test_the_role_sets_up_once_and_removes(aws_server: lab.AwsServer, tmp_path: pathlib.Path) -> None:
    client = aws_server.client("logs")
    client.create_log_group(logGroupName="/trail")
    client.create_log_group(logGroupName="/hosts/web1")
    common: t.Dict[str, t.Any] = {
        # Text, as of -e: every number and boolean is converted.
        "cloud_audit_run_log_days": "90",
        "cloud_audit_dashboard": "true",
        "cloud_audit_trail_log_group": "/trail",
        "cloud_audit_retention": {"/hosts/web1": "7"},
        "cloud_audit_jobs": "{{ dict(['web1'] | product(['syslog'])) | dict2items(key_name='host', value_name='job') }}",
        "cloud_audit_actions": ["arn:aws:sns:eu-west-3:123456789012:operators"],
        "cloud_audit_aws": aws_server.options,
        "cloud_audit_validate_jobs": ["trail", "other-trail"],
        "cloud_audit_validate_at": "06:30 daily",
        "cloud_audit_reports": str(tmp_path / "reports"),
        "cloud_audit_user": "root",
        "cloud_audit_group": "root",
        "cloud_audit_command": str(command_in(tmp_path)),
        "cloud_audit_log_dir": str(tmp_path),
    }
    crontab = tmp_path / "crontab"
    # Role variables, which only variables of the command line overrule.
    places = json.dumps({"_cloud_audit_crontab": str(crontab), "_cloud_audit_unit": str(tmp_path / "unit")})
    plays = [
        play(check_mode=True, **common),
        play(**common),
        play(**common),
        {"hosts": "localhost", "gather_facts": False, "tasks": [copy_of(crontab)]},
        play(cloud_audit_state="absent", **common),
    ]
    (tmp_path / "play.yml").write_text(json.dumps(plays), encoding="utf-8")
    settings = {
        **quick_ansible.environment(),
        "ANSIBLE_COLLECTIONS_PATH": os.environ.get("LOG_ARCHIVE_COLLECTIONS", str(CHECKOUT / "build" / "collections")),
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_VERBOSITY": "3",
        "HOME": str(tmp_path),
    }
    program = pathlib.Path(sys.executable).parent / "ansible-playbook"
    done = subprocess.run(
        [str(program), str(tmp_path / "play.yml"), "--extra-vars", places],
        env={**os.environ, **settings},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.moto.SECRET not in done.stdout + done.stderr
    assert list(outcomes(done.stdout)) == ["changed", "changed", "ok", "changed"]
    assert {each["logGroupName"]: each.get("retentionInDays") for each in client.describe_log_groups()["logGroups"]} == {
        "/trail": None,
        "/hosts/web1": 7,
        "/log-archive/runs": 90,
    }
    assert aws_server.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    assert not crontab.exists() and (tmp_path / "reports").is_dir()
    entry = crontab.with_suffix(".copy").read_text(encoding="utf-8").splitlines()[-1].split(None, 6)
    assert entry[:6] == ["30", "6", "*", "*", "*", "root"]
    ended = subprocess.run(["/bin/sh", "-c", entry[6].replace("\\%", "%")], capture_output=True, text=True, check=False)
    # The command of the test ends as one with findings does.
    assert (ended.returncode, ended.stdout) == (4, "")
    _date, called = (tmp_path / "audit.log").read_text(encoding="utf-8").splitlines()[:2]
    reports = tmp_path / "reports"
    assert called == "audit validate trail other-trail --report %s/audit.json --html %s/audit.html" % (reports, reports)


def command_in(folder: pathlib.Path) -> pathlib.Path:
    """A command that prints its arguments and has findings."""
    path = folder / "log-archive"
    path.write_text('#!/bin/sh\necho "$*"\nexit 4\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def copy_of(path: pathlib.Path) -> t.Dict[str, t.Any]:
    """A task that copies a file, before a later play removes it."""
    return {"ansible.builtin.copy": {"src": str(path), "dest": str(path.with_suffix(".copy")), "mode": "0600"}}


def outcomes(output: str) -> t.Iterator[str]:
    """Whether each call of the module changed something."""
    task = ""
    for line in output.splitlines():
        if line.startswith("TASK ["):
            task = line
        elif line.startswith(("changed: [localhost]", "ok: [localhost]")) and "alarms, metric filters" in task:
            yield line.partition(":")[0]


def test_the_role_has_an_option_for_each_of_the_module() -> None:
    options = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
    named = {name[len("cloud_audit_") :] for name in options}
    assert set(CLOUDWATCH_MONITORING) <= named
    access = options["cloud_audit_aws"]["options"]
    assert set(access) == set(AWS) - {"timeout", "attempts", "retry_delay"}
    assert {name for name, option in access.items() if option.get("no_log")} == {
        name for name, option in AWS.items() if option.get("secret")
    }
    (call,) = yaml.safe_load((ROLE / "tasks" / "configure.yml").read_text(encoding="utf-8"))
    assert set(call[MODULE]) == set(CLOUDWATCH_MONITORING) | set(access)
