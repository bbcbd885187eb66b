# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""playbooks/awx.yml, run with the real modules of awx.awx against a receiver that stands in for AWX."""

from __future__ import annotations

import json
import re
import typing as t

import pytest
from lab.awx_api import ENCRYPTED

from .conftest import PROJECT, SECRETS, SETTINGS, Controller

# One receiver and one first run for all of them.
pytestmark = pytest.mark.xdist_group("awx")

PLAYBOOKS = sorted(path.stem for path in (PROJECT / "playbooks").glob("*.yml"))


def changed(output: str) -> int:
    return int(re.search(r"changed=(\d+)", output)[1])


def test_a_second_run_changes_nothing(controller: Controller) -> None:
    done = controller.set_up()
    assert done.returncode == 0, done.stdout + done.stderr
    assert changed(done.stdout) == 0, done.stdout
    # The checkout is updated each time, because AWX knows only the playbooks in it.
    project = controller.awx.named("projects")["log-archive project"]
    assert controller.awx.writes() == [("POST", "/api/v2/projects/%d/update/" % project["id"])]


def test_every_playbook_of_the_project_has_a_job_template(controller: Controller) -> None:
    templates = controller.awx.named("job_templates")
    assert {entry["playbook"] for entry in templates.values()} == {"playbooks/%s.yml" % name for name in PLAYBOOKS}
    for name, entry in templates.items():
        assert entry["playbook"] == "playbooks/%s.yml" % name.rpartition(" ")[2]
        assert entry["ask_limit_on_launch"] and entry["ask_job_type_on_launch"] and entry["ask_diff_mode_on_launch"], name
        # A job accepts only the variables of its survey.
        assert not entry["ask_variables_on_launch"], name
        assert json.loads(entry["extra_vars"]) == SETTINGS["log_archive_awx_extra_vars"]
        assert controller.awx.associated("job_templates", name, "credentials") == ["bucket", "hosts", "keys", "offsite"]
        assert entry["survey_enabled"] == bool(controller.awx.survey(name).get("spec"))


def test_the_project_and_its_inventory(controller: Controller) -> None:
    awx = controller.awx
    project = awx.named("projects")["log-archive project"]
    assert (project["scm_type"], project["scm_update_on_launch"]) == ("git", True)
    source = awx.named("inventory_sources")["log-archive fleet from the project"]
    assert (source["source"], source["source_project"], source["source_path"]) == ("scm", project["id"], "inventory.yml")
    assert source["inventory"] == awx.named("inventories")["log-archive fleet"]["id"]
    assert source["overwrite"] and source["overwrite_vars"] and source["update_on_launch"]
    environment = awx.named("execution_environments")["log-archive execution environment"]
    assert environment["image"] == SETTINGS["log_archive_awx_execution_environment_image"]
    assert {entry["execution_environment"] for entry in awx.named("job_templates").values()} == {environment["id"]}


def test_the_workflow_archives_then_verifies_then_notifies(controller: Controller) -> None:
    awx = controller.awx
    templates = awx.named("job_templates")
    nodes = awx.named("workflow_job_template_nodes")
    assert {name: entry["unified_job_template"] for name, entry in nodes.items()} == {
        "archive": templates["log-archive archive"]["id"],
        "verify": templates["log-archive verify"]["id"],
    }
    assert awx.associated("workflow_job_template_nodes", "archive", "success_nodes") == ["verify"]
    # With a failure link AWX treats a failed node as handled and the workflow as successful, and sends no notification.
    for name in nodes:
        assert awx.associated("workflow_job_template_nodes", name, "failure_nodes") == []
        assert awx.associated("workflow_job_template_nodes", name, "always_nodes") == []
    assert awx.associated("workflow_job_templates", "log-archive nightly", "notification_templates_error") == ["log-archive notification"]
    assert awx.associated("workflow_job_templates", "log-archive nightly", "notification_templates_success") == []


def test_the_schedules(controller: Controller) -> None:
    awx = controller.awx
    schedules = awx.named("schedules")
    nightly = schedules["log-archive nightly"]
    assert nightly["unified_job_template"] == awx.named("workflow_job_templates")["log-archive nightly"]["id"]
    assert nightly["rrule"] == "DTSTART;TZID=Europe/Paris:20260101T013000 RRULE:FREQ=DAILY;INTERVAL=1"
    weekly = schedules["log-archive weekly-verify"]
    assert weekly["unified_job_template"] == awx.named("job_templates")["log-archive verify"]["id"]
    assert weekly["extra_data"] == {"log_archive_level": "read_back"}
    assert nightly["enabled"] and weekly["enabled"]
    # A failure of a scheduled job sends the notification.
    assert awx.associated("job_templates", "log-archive verify", "notification_templates_error") == ["log-archive notification"]


def test_the_secrets_are_stored_and_not_shown(controller: Controller) -> None:
    credentials = controller.awx.named("credentials")
    assert credentials["bucket"]["inputs"] == {"username": "AKIDEXAMPLE", "password": SECRETS["aws"]}
    shown = controller.awx.list("credentials", {"name": "bucket"})["results"][0]["inputs"]
    assert shown == {"username": "AKIDEXAMPLE", "password": ENCRYPTED}


def test_only_a_changed_setting_is_written(controller: Controller) -> None:
    schedules = controller.awx.named("schedules")
    done = controller.set_up("--tags=schedules", "--check", log_archive_awx_schedules_enabled=False)
    assert (done.returncode, changed(done.stdout)) == (0, 1), done.stdout + done.stderr
    assert controller.awx.writes() == []
    done = controller.set_up("--tags=schedules", log_archive_awx_schedules_enabled=False)
    assert (done.returncode, changed(done.stdout)) == (0, 1), done.stdout + done.stderr
    assert controller.awx.writes() == [("PATCH", "/api/v2/schedules/%d/" % entry["id"]) for entry in schedules.values()]
    assert [entry["enabled"] for entry in schedules.values()] == [False, False]
    for entry in schedules.values():
        entry["enabled"] = True


def test_a_secret_is_written_again_on_request(controller: Controller) -> None:
    inputs = {name: dict(given) for name, given in SETTINGS["log_archive_awx_credential_inputs"].items()}
    inputs["offsite"]["password"] = "another-s3cret"
    done = controller.set_up("--tags=credentials", log_archive_awx_credential_inputs=inputs)
    assert (done.returncode, changed(done.stdout)) == (0, 0), done.stdout + done.stderr
    done = controller.set_up("--tags=credentials", log_archive_awx_credential_inputs=inputs, log_archive_awx_update_secrets=True)
    assert (done.returncode, changed(done.stdout)) == (0, 1), done.stdout + done.stderr
    assert controller.awx.named("credentials")["offsite"]["inputs"]["password"] == "another-s3cret"
    assert "another-s3cret" not in done.stdout + done.stderr


def test_a_notification_with_a_password_is_changed_only_on_request(controller: Controller) -> None:
    configuration = {**SETTINGS["log_archive_awx_notification"]["configuration"], "username": "awx", "password": "a-s3cret"}
    settings: t.Dict[str, t.Any] = {"log_archive_awx_notification": {"type": "email", "configuration": configuration}}
    done = controller.set_up("--tags=notification", log_archive_awx_update_secrets=True, **settings)
    assert (done.returncode, changed(done.stdout)) == (0, 1), done.stdout + done.stderr
    assert "a-s3cret" not in done.stdout + done.stderr
    assert (
        controller.awx.named("notification_templates")["log-archive notification"]["notification_configuration"]["password"] == "a-s3cret"
    )
    done = controller.set_up("--tags=notification", **settings)
    assert (done.returncode, changed(done.stdout)) == (0, 0), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"log_archive_awx_project_url": ""}, "log_archive_awx_project_url"),
        ({"log_archive_awx_notification": {"type": "pigeon", "configuration": {}}}, "log_archive_awx_notification"),
        ({"log_archive_awx_credentials": [{"name": "hosts"}]}, "type"),
    ],
)
def test_a_mistake_in_the_settings_is_named_before_anything_is_done(controller: Controller, settings: t.Any, message: str) -> None:
    done = controller.set_up(**settings)
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert controller.awx.requests == []
