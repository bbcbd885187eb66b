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

SCHEDULES = ("nightly", "weekly-verify", "monthly-drill")
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
    environment = awx.named("execution_environments")["log-archive execution environment of Default"]
    assert environment["image"] == SETTINGS["log_archive_awx_execution_environment_image"]
    assert {entry["execution_environment"] for entry in awx.named("job_templates").values()} == {environment["id"]}


def test_the_workflow_archives_then_verifies_then_notifies(controller: Controller) -> None:
    awx = controller.awx
    templates, workflows = awx.named("job_templates"), awx.named("workflow_job_templates")
    nodes = {(entry["workflow_job_template"], entry["identifier"]): entry for entry in awx.tables["workflow_job_template_nodes"].values()}
    nightly, weekly, monthly = (workflows["log-archive " + name]["id"] for name in SCHEDULES)
    assert {key: (entry["unified_job_template"], entry["extra_data"]) for key, entry in nodes.items()} == {
        (nightly, "archive"): (templates["log-archive archive"]["id"], {}),
        (nightly, "verify"): (templates["log-archive verify"]["id"], {}),
        (weekly, "verify"): (templates["log-archive verify"]["id"], {"log_archive_level": "read_back"}),
        (monthly, "drill"): (templates["log-archive drill"]["id"], {}),
    }
    links = {
        (node["id"], kind): awx.associations.get(("workflow_job_template_nodes", node["id"], kind), [])
        for node in nodes.values()
        for kind in ("success_nodes", "failure_nodes", "always_nodes")
    }
    # With a failure link AWX treats a failed node as handled and the workflow as successful, and sends no notification.
    assert {key: ids for key, ids in links.items() if ids} == {
        (nodes[nightly, "archive"]["id"], "success_nodes"): [nodes[nightly, "verify"]["id"]]
    }


def test_one_failure_is_one_message(controller: Controller) -> None:
    awx = controller.awx
    for name in awx.named("workflow_job_templates"):
        assert awx.associated("workflow_job_templates", name, "notification_templates_error") == ["log-archive notification"]
        assert awx.associated("workflow_job_templates", name, "notification_templates_success") == []
    for name in awx.named("job_templates"):
        assert awx.associated("job_templates", name, "notification_templates_error") == []


def test_the_schedules(controller: Controller) -> None:
    awx = controller.awx
    schedules, workflows = awx.named("schedules"), awx.named("workflow_job_templates")
    assert {name: entry["unified_job_template"] for name, entry in schedules.items()} == {
        name: workflows[name]["id"] for name in ("log-archive " + name for name in SCHEDULES)
    }
    assert schedules["log-archive nightly"]["rrule"] == "DTSTART;TZID=Europe/Paris:20260101T043000 RRULE:FREQ=DAILY;INTERVAL=1"
    assert all(entry["enabled"] for entry in schedules.values())


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
    assert [entry["enabled"] for entry in schedules.values()] == [False] * len(SCHEDULES)
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


def test_a_password_of_a_notification_is_written_only_on_request_and_all_else_at_once(controller: Controller) -> None:
    notifications = controller.awx.named("notification_templates")
    before = dict(notifications["log-archive notification"])
    configuration = {**SETTINGS["log_archive_awx_notification"]["configuration"], "username": "awx", "password": "a-s3cret"}

    def run(changes: int, **settings: t.Any) -> t.Dict[str, t.Any]:
        notification = {"type": "email", "configuration": configuration}
        done = controller.set_up("--tags=notification", log_archive_awx_notification=notification, **settings)
        assert (done.returncode, changed(done.stdout)) == (0, changes), done.stdout + done.stderr
        assert "a-s3cret" not in done.stdout + done.stderr
        return controller.awx.named("notification_templates")["log-archive notification"]["notification_configuration"]

    assert run(1)["password"] == "a-s3cret"
    run(0)
    configuration["password"] = "another-a-s3cret"
    assert run(0)["password"] == "a-s3cret"
    assert run(1, log_archive_awx_update_secrets=True)["password"] == "another-a-s3cret"
    configuration["host"] = "other.example.com"
    assert run(1)["host"] == "other.example.com"
    run(0)
    notifications["log-archive notification"].update(before)


def test_a_dry_run_on_an_awx_that_is_set_up_changes_and_promises_nothing(controller: Controller) -> None:
    done = controller.set_up("--check")
    assert (done.returncode, changed(done.stdout)) == (0, 0), done.stdout + done.stderr
    assert controller.awx.writes() == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"log_archive_awx_project_url": ""}, "log_archive_awx_project_url"),
        ({"log_archive_awx_notification": {"type": "pigeon", "configuration": {}}}, "log_archive_awx_notification"),
        ({"log_archive_awx_credentials": [{"name": "hosts"}]}, "type"),
        ({"log_archive_awx_credential_inputs": {"bukcet": {}}}, "log_archive_awx_credential_inputs has inputs for bukcet"),
        (
            {"log_archive_awx_schedules": {"nigthly": False}},
            "log_archive_awx_schedules knows only nightly, weekly-verify, monthly-drill; it does not know nigthly",
        ),
        (
            {"log_archive_awx_schedules": {"nightly": "DTSTART;TZID=Europe/London:20260101T013000 RRULE:FREQ=DAILY;INTERVAL=1"}},
            "01:30 Europe/London does not exist",
        ),
    ],
)
def test_a_mistake_in_the_settings_is_named_before_anything_is_done(controller: Controller, settings: t.Any, message: str) -> None:
    done = controller.set_up(**settings)
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert controller.awx.requests == []


def test_a_missing_collection_is_named_with_how_to_install_it(controller: Controller) -> None:
    done = controller.set_up(collections=False)
    assert done.returncode != 0
    assert (
        "The collection awx.awx is not installed. Install it with 'ansible-galaxy collection install awx.awx'" in done.stdout + done.stderr
    )
    assert controller.awx.requests == []


def test_names_that_another_organization_has_too_belong_to_this_one(controller: Controller) -> None:
    """Another organization with the same names, set up by its own administrator; then taken away, and nothing else with it."""
    awx = controller.awx
    before = {table: dict(entries) for table, entries in awx.tables.items()}
    other = awx.save("organizations", {"name": "Elsewhere"})["id"]
    awx.save("teams", {"name": "operators", "organization": other})
    awx.save("instance_groups", {"name": "site-1"})
    kind = awx.named("credential_types")["Source Control"]["id"]
    for organization in (awx.named("organizations")["Default"]["id"], other):
        scm = awx.save("credentials", {"name": "git", "organization": organization, "credential_type": kind})["id"]
    settings = {
        "log_archive_awx_organization": "Elsewhere",
        "log_archive_awx_project_credential": "git",
        "log_archive_awx_schedules": {"weekly-verify": False, "monthly-drill": False},
        "log_archive_awx_execution_environment_image": "",
        "log_archive_awx_job_slice_count": 4,
        "log_archive_awx_instance_groups": ["site-1"],
        "log_archive_awx_labels": ["logs"],
        "log_archive_awx_operator_teams": ["operators"],
    }
    done = controller.set_up(user=awx.organization_admin, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    templates = {entry["name"]: entry for entry in awx.tables["job_templates"].values() if entry["organization"] == other}
    assert len(templates) == len(PLAYBOOKS)
    inventory = next(entry["id"] for entry in awx.tables["inventories"].values() if entry["organization"] == other)
    assert next(entry["credential"] for entry in awx.tables["projects"].values() if entry["organization"] == other) == scm
    credentials = {entry["id"] for entry in awx.tables["credentials"].values() if entry["organization"] == other} - {scm}
    assert len(credentials) == 4
    for name, entry in templates.items():
        assert entry["inventory"] == inventory
        assert set(awx.associations["job_templates", entry["id"], "credentials"]) == credentials
        assert len(awx.associations["job_templates", entry["id"], "instance_groups"]) == 1
        assert len(awx.associations["job_templates", entry["id"], "labels"]) == 1
        sliced = name.rpartition(" ")[2] in ("site", "archive", "verify", "prune")
        assert entry["job_slice_count"] == (4 if sliced else 1), name
        execute = [each for each in awx.tables["roles"].values() if (each["of"], each["name"]) == (entry["id"], "execute_role")]
        assert len(awx.associations["roles", execute[0]["id"], "teams"]) == 1, name
    workflows = {entry["name"]: entry["id"] for entry in awx.tables["workflow_job_templates"].values() if entry["organization"] == other}
    schedules = {entry["name"]: entry for entry in awx.tables["schedules"].values() if entry["unified_job_template"] in workflows.values()}
    assert set(schedules) == {"log-archive nightly"}

    done = controller.set_up(user=awx.organization_admin, log_archive_awx_state="absent", **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    left = {table: set(entries) - set(before[table]) for table, entries in awx.tables.items()}
    others = {"organizations", "teams", "instance_groups", "labels", "roles", "project_updates"}
    assert {table for table, ids in left.items() if ids} - others == {"credentials"}
    assert {awx.tables["credentials"][each]["name"] for each in left["credentials"]} == {"git"}
    for each in left["credentials"]:
        awx.delete("credentials", each)
    assert {table: set(before[table]) - set(entries) for table, entries in awx.tables.items() if set(before[table]) - set(entries)} == {}


def test_an_administrator_without_the_credential_types_learns_who_can_write_them(controller: Controller) -> None:
    awx = controller.awx
    kind = awx.named("credential_types")["log-archive SFTP store"]
    description = kind["description"]
    kind["description"] = "that of an earlier version"
    try:
        done = controller.set_up("--tags=credential_types", user=awx.organization_admin)
        assert done.returncode != 0
        assert "Only a superuser may write credential types" in " ".join(done.stdout.split()), done.stdout
    finally:
        kind["description"] = description


def test_a_credential_that_is_not_there_is_named(controller: Controller) -> None:
    settings = {"log_archive_awx_credentials": [{"name": "gone", "type": "Machine"}], "log_archive_awx_credential_inputs": {}}
    done = controller.set_up("--tags=templates", **settings)
    assert done.returncode != 0
    assert "the organization Default has no credential gone of the type Machine: create it, or give its inputs" in done.stdout + done.stderr
    assert controller.awx.writes() == []


def test_what_the_settings_no_longer_have_is_removed(controller: Controller) -> None:
    awx = controller.awx
    settings: t.Dict[str, t.Any] = {
        "log_archive_awx_execution_environment_image": "",
        "log_archive_awx_notification": {},
        "log_archive_awx_schedules": {"nightly": False},
    }
    tags = "--tags=execution_environment,notification,workflow,schedules"
    with awx.as_it_was():
        done = controller.set_up(tags, **settings)
        assert done.returncode == 0, done.stdout + done.stderr
        assert awx.named("execution_environments") == awx.named("notification_templates") == {}
        assert set(awx.named("schedules")) == {"log-archive weekly-verify", "log-archive monthly-drill"}
        assert {entry["execution_environment"] for entry in awx.named("job_templates").values()} == {None}
        done = controller.set_up(tags, **settings)
        assert (done.returncode, changed(done.stdout)) == (0, 0), done.stdout + done.stderr
