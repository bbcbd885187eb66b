# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The receiver that stands in for AWX refuses what AWX refuses. Without that, an accepted request would prove nothing."""

from __future__ import annotations

import json
import typing as t
import urllib.error
import urllib.request

import pytest
from lab.awx_api import ENCRYPTED, Awx, awx_api

from .conftest import PROJECT, REPOSITORY

Json = t.Dict[str, t.Any]


def ask(awx: Awx, method: str, path: str, body: t.Optional[Json] = None, token: str = "token") -> t.Tuple[int, t.Any]:
    request = urllib.request.Request(awx.url + "/api/v2/" + path, method=method, headers={"Authorization": "Bearer " + token})
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, None if body is None else json.dumps(body).encode()) as answer:
            raw = answer.read()
            return answer.status, json.loads(raw) if raw else None
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


@pytest.fixture(scope="module")
def awx() -> t.Iterator[Awx]:
    """With a project whose checkout is there, an inventory, a job template with a survey, a workflow of two nodes."""
    with awx_api({REPOSITORY: PROJECT}) as made:
        made.tokens[0] = ("token", made.username)
        organization = made.named("organizations")["Default"]["id"]

        def create(table: str, **fields: t.Any) -> int:
            status, answer = ask(made, "POST", table + "/", fields)
            assert status == 201, answer
            return answer["id"]

        project = create("projects", name="project", organization=organization, scm_type="git", scm_url=REPOSITORY)
        update = made.shown("projects", made.tables["projects"][project])["summary_fields"]["current_update"]["id"]
        states = [ask(made, "GET", "project_updates/%d/" % update)[1]["status"] for _look in range(2)]
        assert states == ["running", "successful"]
        inventory = create("inventories", name="fleet", organization=organization)
        template = create(
            "job_templates", name="archive", project=project, inventory=inventory, playbook="playbooks/archive.yml", survey_enabled=True
        )
        survey = {"name": "", "description": "", "spec": [dict(QUESTION)]}
        assert ask(made, "POST", "job_templates/%d/survey_spec/" % template, survey)[0] == 200
        workflow = create("workflow_job_templates", name="workflow", organization=organization)
        for name in ("first", "second"):
            create("workflow_job_template_nodes", identifier=name, workflow_job_template=workflow, unified_job_template=template)
        create("credentials", name="login", credential_type=made.named("credential_types")["Machine"]["id"], inputs={"password": "s3cret"})
        yield made


QUESTION: Json = {"question_name": "Jobs", "variable": "log_archive_only_jobs", "type": "text", "required": False, "default": ""}
RULE = "DTSTART:20260101T013000Z RRULE:FREQ=DAILY;INTERVAL=1"
INPUTS: Json = {"fields": [{"id": "key", "label": "Key", "type": "string", "secret": True}]}
EMAIL: Json = {
    "host": "h",
    "port": 25,
    "username": "",
    "password": "",
    "use_tls": False,
    "use_ssl": False,
    "sender": "a",
    "recipients": ["b"],
}


@pytest.mark.parametrize(
    ("table", "fields", "wrong"),
    [
        ("organizations", {}, "name"),
        ("organizations", {"name": "Default"}, "__all__"),
        ("organizations", {"name": "other", "colour": "blue"}, "colour"),
        ("organizations", {"name": 7}, "name"),
        ("projects", {"name": "other", "organization": 999}, "organization"),
        ("projects", {"name": "other", "organization": 1, "scm_type": "git"}, "scm_url"),
        ("job_templates", {"name": "other", "inventory": "fleet", "project": "project", "playbook": "playbooks/none.yml"}, "playbook"),
        ("job_templates", {"name": "other", "project": "project", "playbook": "playbooks/archive.yml"}, "inventory"),
        ("inventory_sources", {"name": "other", "inventory": "fleet", "source": "scm"}, "source_project"),
        ("inventory_sources", {"name": "other", "inventory": "fleet", "source": "carrier pigeon"}, "source"),
        ("credential_types", {"name": "other", "kind": "cloud", "inputs": {"fields": [{"id": "a key", "label": "Key"}]}}, "inputs"),
        (
            "credential_types",
            {"name": "other", "kind": "cloud", "inputs": INPUTS, "injectors": {"env": {"KEY": "{{ other }}"}}},
            "injectors",
        ),
        (
            "credential_types",
            {"name": "other", "kind": "cloud", "inputs": INPUTS, "injectors": {"env": {"ANSIBLE_KEY": "{{ key }}"}}},
            "injectors",
        ),
        (
            "credential_types",
            {"name": "other", "kind": "cloud", "inputs": INPUTS, "injectors": {"extra_vars": {"key": ["{{ key }}"]}}},
            "injectors",
        ),
        ("credentials", {"name": "other", "credential_type": "Amazon Web Services", "inputs": {"username": "me"}}, "inputs"),
        ("credentials", {"name": "other", "credential_type": "Machine", "inputs": {"colour": "blue"}}, "inputs"),
        ("schedules", {"name": "other", "unified_job_template": "archive", "rrule": RULE.replace(";INTERVAL=1", "")}, "rrule"),
        ("schedules", {"name": "other", "unified_job_template": "archive", "rrule": RULE.replace("Z ", " ")}, "rrule"),
        (
            "schedules",
            {
                "name": "other",
                "unified_job_template": "archive",
                "rrule": RULE.replace("DTSTART:", "DTSTART;TZID=Mars:").replace("Z ", " "),
            },
            "rrule",
        ),
        ("schedules", {"name": "other", "unified_job_template": "archive", "rrule": RULE, "extra_data": {"store": "s3"}}, "extra_data"),
        ("schedules", {"name": "other", "unified_job_template": "archive", "rrule": RULE, "limit": "web1"}, "limit"),
        (
            "notification_templates",
            {"name": "other", "notification_type": "email", "notification_configuration": {}},
            "notification_configuration",
        ),
        (
            "notification_templates",
            {"name": "other", "notification_type": "email", "notification_configuration": {**EMAIL, "port": "25"}},
            "notification_configuration",
        ),
    ],
)
def test_an_object_that_awx_would_refuse(awx: Awx, table: str, fields: Json, wrong: str) -> None:
    places = {
        "inventory": "inventories",
        "project": "projects",
        "credential_type": "credential_types",
        "unified_job_template": "job_templates",
    }
    given = {
        name: awx.named(places[name])[value]["id"] if isinstance(value, str) and name in places else value for name, value in fields.items()
    }
    if table == "notification_templates":
        given["organization"] = awx.named("organizations")["Default"]["id"]
    before = len(awx.tables[table])
    status, answer = ask(awx, "POST", table + "/", given)
    assert (status, list(answer)) == (400, [wrong]), answer
    assert len(awx.tables[table]) == before


@pytest.mark.parametrize(
    "change",
    [
        {"type": "telepathy"},
        {"variable": "two words"},
        {"required": "no"},
        {"colour": "blue"},
        {"default": 7},
        {"min": "1"},
        {"type": "multiplechoice"},
        {"type": "multiplechoice", "choices": ["a", "b"], "default": "c"},
        {"type": "multiplechoice", "choices": "a\nb", "default": "a\nb"},
        {"type": "integer", "default": "7"},
    ],
)
def test_a_survey_that_awx_would_refuse(awx: Awx, change: Json) -> None:
    template = awx.named("job_templates")["archive"]["id"]
    survey = {"name": "", "description": "", "spec": [{**QUESTION, **change}]}
    status, answer = ask(awx, "POST", "job_templates/%d/survey_spec/" % template, survey)
    assert (status, list(answer)) == (400, ["error"])
    assert awx.survey("archive")["spec"] == [QUESTION]


def test_the_links_of_a_workflow_make_no_circle(awx: Awx) -> None:
    first, second = (awx.named("workflow_job_template_nodes")[name]["id"] for name in ("first", "second"))
    assert ask(awx, "POST", "workflow_job_template_nodes/%d/success_nodes/" % first, {"id": second})[0] == 204
    assert ask(awx, "POST", "workflow_job_template_nodes/%d/always_nodes/" % first, {"id": second})[0] == 400
    assert ask(awx, "POST", "workflow_job_template_nodes/%d/success_nodes/" % second, {"id": first})[0] == 400


def test_a_job_takes_at_most_one_credential_of_a_type(awx: Awx) -> None:
    template = awx.named("job_templates")["archive"]["id"]
    types = awx.named("credential_types")
    ids = []
    for name, kind in (("one", "Machine"), ("two", "Machine"), ("repository", "Source Control")):
        status, answer = ask(awx, "POST", "credentials/", {"name": name, "credential_type": types[kind]["id"], "inputs": {}})
        assert status == 201, answer
        ids.append(answer["id"])
    statuses = [ask(awx, "POST", "job_templates/%d/credentials/" % template, {"id": each})[0] for each in ids]
    assert statuses == [204, 400, 400]


def test_a_secret_is_not_shown_and_kept_where_it_is_sent_back(awx: Awx) -> None:
    login = awx.named("credentials")["login"]
    shown = ask(awx, "GET", "credentials/%d/" % login["id"])[1]["inputs"]
    assert shown == {"password": ENCRYPTED}
    assert ask(awx, "PATCH", "credentials/%d/" % login["id"], {"inputs": {**shown, "username": "root"}})[0] == 200
    assert login["inputs"] == {"password": "s3cret", "username": "root"}


def test_what_belongs_to_no_organization_needs_a_superuser(awx: Awx) -> None:
    awx.tokens[1] = ("token of an administrator", awx.organization_admin)
    fields = {"name": "other", "kind": "cloud", "inputs": INPUTS, "injectors": {}}
    assert ask(awx, "POST", "credential_types/", fields, token="token of an administrator")[0] == 403
    assert ask(awx, "POST", "organizations/", {"name": "another"}, token="token of an administrator")[0] == 403
    assert ask(awx, "GET", "credential_types/", token="token of an administrator")[0] == 200
    assert ask(awx, "POST", "labels/", {"name": "logs", "organization": 1}, token="token of an administrator")[0] == 201


def test_a_name_is_unique_only_within_its_organization(awx: Awx) -> None:
    other = ask(awx, "POST", "organizations/", {"name": "Elsewhere"})[1]["id"]
    assert ask(awx, "POST", "inventories/", {"name": "fleet", "organization": other})[0] == 201
    assert ask(awx, "GET", "inventories/?name=fleet")[1]["count"] == 2
    assert ask(awx, "GET", "inventories/?name=fleet&organization__name=Elsewhere")[1]["count"] == 1


def test_deleting_takes_what_cannot_be_alone_and_empties_other_references(awx: Awx) -> None:
    organization = awx.named("organizations")["Default"]["id"]
    environment = ask(awx, "POST", "execution_environments/", {"name": "image", "image": "example/image"})[1]["id"]
    template = awx.named("job_templates")["archive"]
    template["execution_environment"] = environment
    workflow = ask(awx, "POST", "workflow_job_templates/", {"name": "short", "organization": organization})[1]["id"]
    schedule = ask(awx, "POST", "schedules/", {"name": "short", "unified_job_template": workflow, "rrule": RULE})[1]["id"]
    assert ask(awx, "DELETE", "execution_environments/%d/" % environment)[0] == 204
    assert template["execution_environment"] is None
    assert ask(awx, "DELETE", "workflow_job_templates/%d/" % workflow)[0] == 204
    assert ask(awx, "GET", "schedules/%d/" % schedule)[0] == 404
    machine = awx.named("credential_types")["Machine"]["id"]
    assert ask(awx, "DELETE", "credential_types/%d/" % machine)[0] == 403


def test_a_request_without_a_token_is_refused(awx: Awx) -> None:
    assert ask(awx, "GET", "organizations/", token="guessed")[0] == 401
    assert ask(awx, "POST", "tokens/", {}, token="token")[0] == 401


def test_a_question_for_what_is_not_there(awx: Awx) -> None:
    assert ask(awx, "GET", "organizations/?colour=blue")[0] == 400
    assert ask(awx, "GET", "carriages/")[0] == 404
    assert ask(awx, "GET", "projects/999/")[0] == 404
    assert ask(awx, "GET", "organizations/?name=Nobody")[1]["count"] == 0
