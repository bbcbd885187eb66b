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
    }
    plays = [
        play(check_mode=True, **common),
        play(**common),
        play(**common),
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
        [str(program), str(tmp_path / "play.yml")],
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
    for task in ("configure", "remove"):
        (call,) = yaml.safe_load((ROLE / "tasks" / (task + ".yml")).read_text(encoding="utf-8"))
        assert set(access) <= set(call[MODULE])
    (call,) = yaml.safe_load((ROLE / "tasks" / "configure.yml").read_text(encoding="utf-8"))
    assert set(call[MODULE]) == (set(CLOUDWATCH_MONITORING) | set(access)) - {"state"}
