# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A receiver in AWX's place: as much of its REST API (v2) as the modules of the collection awx.awx use, on 127.0.0.1.

It is not AWX and runs no job. It stores what clients create and refuses what AWX documents to refuse: unknown and missing fields,
wrong types, references to what is not there, names that are taken, injectors that use a field that is not there, surveys, recurrence
rules and notifications that are not well formed, playbooks that AWX would not find in the project. In one thing it is stricter: AWX
passes over a field that it does not know, and here it is an error.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import http.server
import json
import os
import pathlib
import re
import secrets
import threading
import typing as t
import urllib.parse

import jinja2
import jinja2.sandbox
import jsonschema
from dateutil import rrule as recurrence

from .processes import HOST

VERSION = "24.6.1"
ENCRYPTED = "$encrypted$"
UNIFIED = ["projects", "inventory_sources", "job_templates", "workflow_job_templates"]
Json = t.Dict[str, t.Any]


class Refused(Exception):
    """The answer to a request that cannot be granted."""

    def __init__(self, status: int, body: t.Any) -> None:
        super().__init__("%d %s" % (status, body))
        self.status = status
        self.body = body


# -- what there is ----------------------------------------------------------------------------------------------------

TEXT: Json = {"type": ["string", "null"], "default": ""}
FLAG: Json = {"type": "boolean", "default": False}
NUMBER: Json = {"type": "integer", "minimum": 0, "default": 0}
OBJECT: Json = {"type": "object", "default": {}}


def choice(*values: t.Any, default: t.Any = None) -> Json:
    return {"enum": [*values, None], "default": values[0] if default is None else default}


def ref(*tables: str) -> Json:
    """The id of an entry of one of these tables."""
    return {"type": ["integer", "null"], "default": None, "ref": list(tables)}


def asks(*names: str) -> Json:
    """The fields ask_NAME_on_launch."""
    return {"ask_%s_on_launch" % name: FLAG for name in names}


# What a launch may be given by a schedule or by a node of a workflow.
PROMPTS: Json = {
    "extra_data": OBJECT,
    "inventory": ref("inventories"),
    "scm_branch": TEXT,
    "job_type": choice("run", "check"),
    "job_tags": TEXT,
    "skip_tags": TEXT,
    "limit": TEXT,
    "diff_mode": FLAG,
    "verbosity": NUMBER,
    "execution_environment": ref("execution_environments"),
    "forks": NUMBER,
    "job_slice_count": NUMBER,
    "timeout": NUMBER,
}
NOTIFIED = {"notification_templates_%s" % event: "notification_templates" for event in ("started", "success", "error")}


class Resource(t.NamedTuple):
    """One kind of object: its type, its fields (as JSON schema), those that must be given, those that are unique together."""

    type: str
    fields: Json
    required: t.Sequence[str] = ("name",)
    unique: t.Sequence[str] = ("name",)
    associations: t.Mapping[str, str] = {}
    # Fields that AWX itself sets, and passes over where a client sends them.
    read_only: t.Sequence[str] = ()


RESOURCES: t.Dict[str, Resource] = {
    "organizations": Resource(
        "organization",
        {"name": TEXT, "description": TEXT, "max_hosts": NUMBER, "default_environment": ref("execution_environments")},
        associations=NOTIFIED,
    ),
    "execution_environments": Resource(
        "execution_environment",
        {
            "name": TEXT,
            "description": TEXT,
            "organization": ref("organizations"),
            "image": TEXT,
            "credential": ref("credentials"),
            "pull": choice("", "always", "missing", "never"),
        },
        required=("name", "image"),
    ),
    "credential_types": Resource(
        "credential_type",
        {"name": TEXT, "description": TEXT, "kind": choice("cloud", "net"), "inputs": OBJECT, "injectors": OBJECT},
        required=("name", "kind"),
        unique=("name", "kind"),
        read_only=("managed",),
    ),
    "credentials": Resource(
        "credential",
        {
            "name": TEXT,
            "description": TEXT,
            "organization": ref("organizations"),
            "credential_type": ref("credential_types"),
            "inputs": OBJECT,
        },
        required=("name", "credential_type"),
        unique=("organization", "name", "credential_type"),
    ),
    "projects": Resource(
        "project",
        {
            "name": TEXT,
            "description": TEXT,
            "organization": ref("organizations"),
            "local_path": TEXT,
            "scm_type": choice("", "git", "svn", "insights", "archive"),
            "scm_url": TEXT,
            "scm_branch": TEXT,
            "scm_refspec": TEXT,
            "scm_clean": FLAG,
            "scm_delete_on_update": FLAG,
            "scm_track_submodules": FLAG,
            "scm_update_on_launch": FLAG,
            "scm_update_cache_timeout": NUMBER,
            "allow_override": FLAG,
            "timeout": NUMBER,
            "credential": ref("credentials"),
            "default_environment": ref("execution_environments"),
        },
        required=("name", "organization"),
        unique=("name", "organization"),
        associations=NOTIFIED,
        read_only=("scm_revision", "playbooks"),
    ),
    "inventories": Resource(
        "inventory",
        {
            "name": TEXT,
            "description": TEXT,
            "organization": ref("organizations"),
            "kind": choice("", "smart", "constructed"),
            "host_filter": {"type": ["string", "null"], "default": None},
            "variables": TEXT,
            "prevent_instance_group_fallback": FLAG,
        },
        required=("name", "organization"),
        unique=("name", "organization"),
    ),
    "inventory_sources": Resource(
        "inventory_source",
        {
            "name": TEXT,
            "description": TEXT,
            "inventory": ref("inventories"),
            "source": choice("scm", "ec2", "constructed"),
            "source_path": TEXT,
            "source_project": ref("projects"),
            "source_vars": TEXT,
            "overwrite": FLAG,
            "overwrite_vars": FLAG,
            "update_on_launch": FLAG,
            "update_cache_timeout": NUMBER,
            "verbosity": NUMBER,
            "timeout": NUMBER,
            "limit": TEXT,
            "credential": ref("credentials"),
            "execution_environment": ref("execution_environments"),
        },
        required=("name", "inventory", "source"),
        unique=("name", "inventory"),
        associations=NOTIFIED,
    ),
    "job_templates": Resource(
        "job_template",
        {
            "name": TEXT,
            "description": TEXT,
            "organization": ref("organizations"),
            "job_type": choice("run", "check"),
            "inventory": ref("inventories"),
            "project": ref("projects"),
            "playbook": TEXT,
            "forks": NUMBER,
            "limit": TEXT,
            "verbosity": NUMBER,
            "extra_vars": TEXT,
            "timeout": NUMBER,
            "execution_environment": ref("execution_environments"),
            "survey_enabled": FLAG,
            "become_enabled": FLAG,
            "diff_mode": FLAG,
            "allow_simultaneous": FLAG,
            "job_slice_count": dict(NUMBER, default=1),
            **asks("variables", "limit", "tags", "skip_tags", "job_type", "verbosity", "inventory", "credential", "diff_mode"),
            **asks("execution_environment", "labels", "forks", "job_slice_count", "timeout", "instance_groups", "scm_branch"),
        },
        unique=("name", "organization"),
        associations=dict(NOTIFIED, credentials="credentials", labels="labels", instance_groups="instance_groups"),
        read_only=("organization",),
    ),
    "workflow_job_templates": Resource(
        "workflow_job_template",
        {
            "name": TEXT,
            "description": TEXT,
            "organization": ref("organizations"),
            "inventory": ref("inventories"),
            "limit": TEXT,
            "extra_vars": TEXT,
            "survey_enabled": FLAG,
            "allow_simultaneous": FLAG,
            **asks("variables", "inventory", "limit", "scm_branch", "labels", "skip_tags", "tags"),
        },
        unique=("name", "organization"),
        associations=dict(NOTIFIED, notification_templates_approvals="notification_templates", labels="labels"),
    ),
    "workflow_job_template_nodes": Resource(
        "workflow_job_template_node",
        {
            **PROMPTS,
            "workflow_job_template": ref("workflow_job_templates"),
            "unified_job_template": ref(*UNIFIED),
            "identifier": TEXT,
            "all_parents_must_converge": FLAG,
        },
        required=("workflow_job_template",),
        unique=("identifier", "workflow_job_template"),
        associations={
            **{"%s_nodes" % way: "workflow_job_template_nodes" for way in ("success", "failure", "always")},
            "credentials": "credentials",
        },
        read_only=("type",),
    ),
    "schedules": Resource(
        "schedule",
        {
            **PROMPTS,
            "name": TEXT,
            "description": TEXT,
            "rrule": TEXT,
            "unified_job_template": ref(*UNIFIED),
            "enabled": dict(FLAG, default=True),
        },
        required=("name", "rrule", "unified_job_template"),
        unique=("unified_job_template", "name"),
        associations={"credentials": "credentials"},
    ),
    "labels": Resource("label", {"name": TEXT, "organization": ref("organizations")}, ("name", "organization"), ("name", "organization")),
    "instance_groups": Resource("instance_group", {"name": TEXT}),
    "teams": Resource("team", {"name": TEXT, "organization": ref("organizations")}, ("name", "organization"), ("name", "organization")),
    # AWX makes one for each object and kind of permission.
    "roles": Resource("role", {"name": TEXT, "of": NUMBER}, unique=("name", "of"), associations={"teams": "teams"}),
    "notification_templates": Resource(
        "notification_template",
        {
            "name": TEXT,
            "description": TEXT,
            "organization": ref("organizations"),
            "notification_type": choice("email", "webhook"),
            "notification_configuration": OBJECT,
            "messages": {
                "type": ["object", "null"],
                "default": {"started": None, "success": None, "error": None, "workflow_approval": None},
            },
        },
        required=("name", "organization", "notification_type", "notification_configuration"),
        unique=("organization", "name"),
    ),
}

# The references without which an object cannot be: it is deleted with the other.
CASCADES = {
    ("schedules", "unified_job_template"),
    ("workflow_job_template_nodes", "workflow_job_template"),
    ("inventory_sources", "inventory"),
    ("labels", "organization"),
}

# What fields that only AWX sets are at first.
READ_ONLY: Json = {"managed": False, "scm_revision": "", "playbooks": []}

VARIABLE = "^[a-zA-Z_]+[a-zA-Z0-9_]*$"
CREDENTIAL_TYPE_INPUTS: Json = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "required": {"type": "array", "items": {"type": "string"}},
        "fields": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["id", "label"],
                "properties": {
                    "id": {"type": "string", "pattern": VARIABLE},
                    "label": {"type": "string"},
                    "help_text": {"type": "string"},
                    "type": {"enum": ["string", "boolean"]},
                    "format": {"enum": ["ssh_private_key", "url"]},
                    "choices": {"type": "array", "minItems": 1, "items": {"type": "string"}, "uniqueItems": True},
                    "multiline": {"type": "boolean"},
                    "secret": {"type": "boolean"},
                    "ask_at_runtime": {"type": "boolean"},
                    "default": {"type": ["string", "boolean"]},
                },
            },
        },
    },
}


def _named(pattern: str, value: Json) -> Json:
    return {"type": "object", "additionalProperties": False, "patternProperties": {pattern: value}}


CREDENTIAL_TYPE_INJECTORS: Json = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "file": _named(r"^template(\.[a-zA-Z_]+[a-zA-Z0-9_]*)?$", {"type": "string"}),
        "env": _named(VARIABLE, {"type": "string", "pattern": "^[\\x00-\\x7f]*$"}),
        "extra_vars": _named(VARIABLE, {"type": "string"}),
    },
}

# The credential types that are there from the beginning, as far as they are used here. Their injectors are code in AWX.
MANAGED_TYPES: t.Dict[str, Json] = {
    "Machine": {
        "kind": "ssh",
        "inputs": {
            "fields": [
                {"id": "username", "label": "Username", "type": "string"},
                {"id": "password", "label": "Password", "type": "string", "secret": True},
                {"id": "ssh_key_data", "label": "SSH Private Key", "type": "string", "secret": True, "multiline": True},
            ]
        },
    },
    "Vault": {
        "kind": "vault",
        "inputs": {
            "fields": [{"id": "vault_password", "label": "Vault Password", "type": "string", "secret": True}],
            "required": ["vault_password"],
        },
    },
    "Source Control": {
        "kind": "scm",
        "inputs": {"fields": [{"id": "ssh_key_data", "label": "SCM Private Key", "type": "string", "secret": True, "multiline": True}]},
    },
    "Amazon Web Services": {
        "kind": "cloud",
        "inputs": {
            "fields": [
                {"id": "username", "label": "Access Key", "type": "string"},
                {"id": "password", "label": "Secret Key", "type": "string", "secret": True},
                {"id": "security_token", "label": "STS Token", "type": "string", "secret": True},
            ],
            "required": ["username", "password"],
        },
    },
}

NOTIFICATIONS: t.Dict[str, t.Dict[str, t.Any]] = {
    # Field: its type, and its default where it need not be given.
    "email": {
        "host": str,
        "port": int,
        "username": str,
        "password": str,
        "use_tls": bool,
        "use_ssl": bool,
        "sender": str,
        "recipients": list,
        "timeout": (int, 30),
    },
    "webhook": {
        "url": str,
        "http_method": (str, "POST"),
        "disable_ssl_verification": (bool, False),
        "username": (str, ""),
        "password": (str, ""),
        "headers": dict,
    },
}

QUESTION_TYPES = {"text": str, "textarea": str, "password": str, "multiplechoice": str, "multiselect": str, "integer": int, "float": float}
QUESTION_KEYS = {"question_name", "question_description", "variable", "type", "required", "default", "min", "max", "choices"}
PLAYBOOK_LINE = re.compile(r"^\s*?-?\s*?(?:hosts|include|import_playbook):\s*?.*?$")


# -- what AWX checks --------------------------------------------------------------------------------------------------


def refuse(field: str, message: str, status: int = 400) -> t.NoReturn:
    raise Refused(status, {field: [message]})


def is_a(value: t.Any, expected: type) -> bool:
    """Whether a value is of a type; a boolean is no number here."""
    return isinstance(value, expected) and (expected is bool or not isinstance(value, bool))


def check_schema(field: str, value: t.Any, schema: Json) -> None:
    for error in jsonschema.Draft7Validator(schema).iter_errors(value):
        refuse(field, "%s at %s" % (error.message, "/".join(map(str, error.absolute_path)) or "the top"))


def check_credential_type(entry: Json) -> None:
    """Inputs and injectors are well formed, and injectors use no field that is not an input."""
    check_schema("inputs", entry["inputs"], CREDENTIAL_TYPE_INPUTS)
    check_schema("injectors", entry["injectors"], CREDENTIAL_TYPE_INJECTORS)
    fields = entry["inputs"].get("fields", [])
    names = [field["id"] for field in fields]
    if "tower" in names or len(set(names)) != len(names):
        refuse("inputs", "field ids must be unique, and 'tower' is reserved")
    for field in fields:
        kind = field.setdefault("type", "string")
        for key in ("choices", "multiline", "format", "secret"):
            if key in field and kind != "string":
                refuse("inputs", "%s is not allowed for type %s (%s)" % (key, kind, field["id"]))
    for name in entry["inputs"].get("required", []):
        if name not in names:
            refuse("inputs", "the required field %s is not defined" % name)
    files = entry["injectors"].get("file", {})
    if "template" in files:
        if len(files) > 1:
            refuse("injectors", "Must use multi-file syntax when injecting multiple files")
        filename: t.Any = "FILE"
    else:
        filename = {name.partition(".")[2]: "FILE" for name in files}
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)
    for kind, templates in entry["injectors"].items():
        for name, template in templates.items():
            if kind == "env" and name.startswith("ANSIBLE_"):
                refuse("injectors", "Environment variable %s may affect Ansible configuration" % name)
            try:
                environment.from_string(template).render(dict.fromkeys(names, "EXAMPLE"), tower={"filename": filename})
            except jinja2.TemplateError as error:
                refuse("injectors", "%s uses an undefined field or is no template (%s)" % (name, error))


def check_inputs(inputs: Json, credential_type: Json) -> None:
    fields = {field["id"]: field for field in credential_type["inputs"].get("fields", [])}
    for name, value in inputs.items():
        if name not in fields:
            refuse("inputs", "%s is no input of %s" % (name, credential_type["name"]))
        expected = {"string": str, "boolean": bool}[fields[name].get("type", "string")]
        if not isinstance(value, expected):
            refuse("inputs", "%s is not of type %s" % (name, fields[name].get("type", "string")))
        if "choices" in fields[name] and value not in fields[name]["choices"]:
            refuse("inputs", "%s is not one of its choices" % name)
        if fields[name].get("format") == "ssh_private_key" and value != ENCRYPTED and "PRIVATE KEY-----" not in value:
            refuse("inputs", "%s is no private key" % name)
    for name in credential_type["inputs"].get("required", []):
        if not inputs.get(name):
            refuse("inputs", "%s is required for %s" % (name, credential_type["name"]))


def check_survey(spec: Json) -> None:
    """A survey is well formed; like AWX, tidy the choices. Errors come under 'error', as the modules expect."""

    def wrong(message: str) -> t.NoReturn:
        raise Refused(400, {"error": message})

    for field, expected in (("name", str), ("description", str), ("spec", list)):
        if not isinstance(spec.get(field), expected):
            wrong("Field '%s' is missing from survey spec, or not of its type." % field)
    if not spec["spec"]:
        wrong("'spec' doesn't contain any items.")
    seen = set()
    for question in spec["spec"]:
        unknown = set(question) - QUESTION_KEYS
        if unknown:
            wrong("unknown in a survey question: %s" % ", ".join(sorted(unknown)))
        for field, expected in (("type", str), ("question_name", str), ("variable", str), ("required", bool)):
            if not isinstance(question.get(field), expected):
                wrong("'%s' in survey question '%s' is missing or not of its type" % (field, question.get("variable")))
        name = question["variable"]
        if name in seen or " " in name:
            wrong("'variable' '%s' duplicated or not a variable's name" % name)
        seen.add(name)
        if question["type"] not in QUESTION_TYPES:
            wrong("'%s' is not one of the allowed question types" % question["type"])
        default = question.get("default", "")
        if default != "" and not is_a(default, QUESTION_TYPES[question["type"]]):
            wrong("Default value of '%s' expected to be of type %s" % (name, question["type"]))
        for key in ("min", "max"):
            if question.get(key) is not None and not is_a(question[key], int):
                wrong("The %s limit of '%s' expected to be integer" % (key, name))
        if question["type"] in ("multiplechoice", "multiselect"):
            choices = question.get("choices")
            if not choices or not isinstance(choices, (str, list)):
                wrong("Survey question '%s' must specify choices." % name)
            if isinstance(choices, str):
                question["choices"] = "\n".join(each for each in choices.splitlines() if each.strip())
                choices = question["choices"].splitlines()
            given = [each for each in default.splitlines() if each.strip()]
            if question["type"] == "multiplechoice" and len(given) > 1:
                wrong("Multiple Choice (Single Select) can only have one default value.")
            if set(given) - set(choices):
                wrong("Default choice must be answered from the choices listed.")


def check_rrule(rule: str) -> None:
    starts = re.findall(r".*?(DTSTART(;[^:]+)?\:[0-9]+T[0-9]+Z?)", rule)
    if len(starts) != 1:
        refuse("rrule", "exactly one valid DTSTART is required")
    if re.findall(r".*?(DTSTART:[0-9]+T[0-9]+) ", rule):
        refuse("rrule", "DTSTART cannot be a naive datetime")
    if "rrule:" not in rule.lower():
        refuse("rrule", "One or more rule required in rrule.")
    for each in re.findall(r".*?(RULE\:[^\s]*)", rule):
        if "interval" not in each.lower():
            refuse("rrule", "INTERVAL required in rrule")
        if "secondly" in each.lower() or re.match(r".*?BYDAY[\:\=][0-9]+[a-zA-Z]{2}", each):
            refuse("rrule", "SECONDLY and BYDAY with a numeric prefix are not supported")
        if "COUNT" in each and "UNTIL" in each:
            refuse("rrule", "RRULE may not contain both COUNT and UNTIL")
    try:
        start = recurrence.rrulestr(rule, forceset=True)[0]
    except (ValueError, IndexError) as error:
        refuse("rrule", "rrule parsing failed validation: %s" % error)
    if start.tzinfo is None:
        refuse("rrule", "A valid TZID must be provided (e.g., America/New_York)")


def check_notification(entry: Json) -> None:
    """The configuration has the fields of its type; like AWX, fill in the defaults."""
    configuration = entry["notification_configuration"]
    known = NOTIFICATIONS[entry["notification_type"]]
    unknown = set(configuration) - set(known)
    if unknown:
        refuse("notification_configuration", "unknown: %s" % ", ".join(sorted(unknown)))
    for field, expected in known.items():
        if isinstance(expected, tuple):
            expected, default = expected
            configuration.setdefault(field, default)
        if field not in configuration:
            refuse("notification_configuration", "Missing required fields for Notification Configuration: %s." % field)
        if not is_a(configuration[field], expected):
            refuse("notification_configuration", "Configuration field '%s' incorrect type, expected %s." % (field, expected.__name__))
    if configuration.get("recipients") == []:
        refuse("notification_configuration", "No values specified for field 'recipients'")
    if configuration.get("http_method", "POST") not in ("POST", "PUT"):
        refuse("notification_configuration", "HTTP method must be either 'POST' or 'PUT'.")


def playbooks_of(folder: pathlib.Path) -> t.List[str]:
    """The playbooks that AWX offers of a project: YAML files, not below roles, tasks and the like, with a line that looks like a play's."""
    found = []
    for path in sorted(folder.rglob("*.y*ml")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part in ("roles", "tasks", "group_vars", "host_vars") for part in parts[:-1])
        if not hidden and any(PLAYBOOK_LINE.match(line) for line in path.read_text(encoding="utf-8").splitlines()):
            found.append("/".join(parts))
    return found


# -- the state --------------------------------------------------------------------------------------------------------


class Awx:
    """What the receiver holds. ``tables`` and ``associations`` are for looking; ``requests`` has every (method, path) in order."""

    def __init__(self, scm: t.Mapping[str, pathlib.Path]) -> None:
        # A superuser, and an administrator of the organizations with the same password.
        self.username = "admin"
        self.organization_admin = "orgadmin"
        self.password = secrets.token_urlsafe(12)
        self.url = ""
        self.scm = dict(scm)
        self.tables: t.Dict[str, t.Dict[int, Json]] = {name: {} for name in (*RESOURCES, "project_updates")}
        # (table, id, association) -> ids, in the order in which they came.
        self.associations: t.Dict[t.Tuple[str, int, str], t.List[int]] = {}
        self.surveys: t.Dict[int, Json] = {}
        # id -> token and user
        self.tokens: t.Dict[int, t.Tuple[str, str]] = {}
        self.requests: t.List[t.Tuple[str, str]] = []
        self._last_id = 0
        self._lock = threading.Lock()
        self._store("organizations", {"name": "Default", "description": ""})
        for name, content in MANAGED_TYPES.items():
            self._store("credential_types", {"name": name, "managed": True, "injectors": {}, **content})

    # For tests.

    @contextlib.contextmanager
    def as_it_was(self) -> t.Iterator[None]:
        """Hold again at the end what was there at the beginning."""
        held = {name: copy.deepcopy(getattr(self, name)) for name in ("tables", "associations", "surveys")}
        try:
            yield
        finally:
            with self._lock:
                vars(self).update(held)

    def named(self, table: str) -> t.Dict[str, Json]:
        """The objects of a table by their names (nodes by their identifiers), as they are, secrets too."""
        key = "identifier" if table == "workflow_job_template_nodes" else "name"
        return {entry[key]: entry for entry in self.tables[table].values()}

    def associated(self, table: str, name: str, association: str) -> t.List[str]:
        """The names of what is associated with an object."""
        other = self.named(RESOURCES[table].associations[association])
        ids = self.associations.get((table, self.named(table)[name]["id"], association), [])
        return sorted(each for each, entry in other.items() if entry["id"] in ids)

    def survey(self, name: str) -> Json:
        """The survey of a job template."""
        return self.surveys.get(self.named("job_templates")[name]["id"], {})

    def writes(self) -> t.List[t.Tuple[str, str]]:
        """The requests that were to change something, logins aside."""
        return [each for each in self.requests if each[0] not in ("GET", "HEAD") and "/tokens/" not in each[1]]

    # Requests.

    def _store(self, table: str, given: Json) -> Json:
        self._last_id += 1
        defaults = (
            {name: copy.deepcopy(schema["default"]) for name, schema in RESOURCES[table].fields.items()} if table in RESOURCES else {}
        )
        read_only = {name: READ_ONLY[name] for name in RESOURCES[table].read_only if name in READ_ONLY} if table in RESOURCES else {}
        entry = {**read_only, **defaults, **given, "id": self._last_id}
        self.tables[table][self._last_id] = entry
        return entry

    def _entry(self, table: str, number: t.Any) -> Json:
        try:
            return self.tables[table][int(number)]
        except (KeyError, ValueError):
            raise Refused(404, {"detail": "Not found."}) from None

    def shown(self, table: str, entry: Json) -> Json:
        """An object as AWX shows it: with its type, addresses and summary, without its secrets."""
        url = "/api/v2/%s/%d/" % (table, entry["id"])
        answer = dict(copy.deepcopy(entry), url=url, type=RESOURCES[table].type if table in RESOURCES else "project_update")
        answer["related"] = {name: url + name + "/" for name in RESOURCES[table].associations} if table in RESOURCES else {}
        answer["summary_fields"] = {}
        if table in ("job_templates", "workflow_job_templates"):
            answer["related"]["survey_spec"] = url + "survey_spec/"
            roles = {role["name"]: {"id": role["id"]} for role in self.tables["roles"].values() if role["of"] == entry["id"]}
            answer["summary_fields"]["object_roles"] = roles
        if table == "projects":
            answer["related"]["update"] = url + "update/"
            for update in self.tables["project_updates"].values():
                if update["project"] == entry["id"]:
                    key = "last_update" if update["status"] in ("successful", "failed") else "current_update"
                    answer["summary_fields"][key] = {"id": update["id"], "status": update["status"]}
        if table == "credentials":
            secret = [
                each["id"] for each in self.tables["credential_types"][entry["credential_type"]]["inputs"]["fields"] if each.get("secret")
            ]
            answer["inputs"] = {name: ENCRYPTED if name in secret and value else value for name, value in entry["inputs"].items()}
        if table == "notification_templates" and entry["notification_configuration"].get("password"):
            answer["notification_configuration"]["password"] = ENCRYPTED
        if table == "inventory_sources":
            answer["organization"] = self.tables["inventories"][entry["inventory"]]["organization"]
        return answer

    def list(self, table: str, query: t.Mapping[str, str]) -> Json:
        """Those whose fields have the values of the query; or__ ones need only one of them."""
        tables = UNIFIED if table == "unified_job_templates" else [table]
        if table != "unified_job_templates" and table not in self.tables:
            raise Refused(404, {"detail": "The requested resource could not be found."})
        entries = [self.shown(each, entry) for each in tables for entry in self.tables[each].values()]
        either = []
        for name, value in query.items():
            field = name[4:] if name.startswith("or__") else name
            if entries and not any(field.partition("__")[0] in entry for entry in entries):
                raise Refused(400, {"detail": "%s has no field named '%s'" % (table, field)})
            if name.startswith("or__"):
                either.append((field, value))
            else:
                entries = [entry for entry in entries if str(self.value(entry, field)) == value]
        if either:
            entries = [entry for entry in entries if any(str(entry.get(field)) == value for field, value in either)]
        return {"count": len(entries), "next": None, "previous": None, "results": entries}

    def value(self, entry: Json, field: str) -> t.Any:
        """A field of an object, or, as organization__name, of the one that it refers to."""
        name, _two, rest = field.partition("__")
        if not rest:
            return entry.get(name)
        target = next((table[entry[name]] for table in self.tables.values() if entry.get(name) in table), None)
        return None if target is None else self.value(target, rest)

    def save(self, table: str, given: Json, entry: t.Optional[Json] = None) -> Json:
        """Create or change an object, after every check."""
        resource = RESOURCES[table]
        given = {name: value for name, value in given.items() if name not in resource.read_only or name in resource.fields}
        for name, value in given.items():
            schema = resource.fields.get(name)
            if schema is None:
                refuse(name, "%s have no such field" % table)
            check_schema(name, value, {key: each for key, each in schema.items() if key not in ("ref", "default")})
            if "ref" in schema and value is not None and not any(value in self.tables[each] for each in schema["ref"]):
                refuse(name, 'Invalid pk "%s" - object does not exist.' % value)
            if value is None and schema in (TEXT,):
                given[name] = ""
            if value is None and "enum" in schema:
                given[name] = schema["default"]
        if entry is None:
            for name in resource.required:
                if given.get(name) in (None, ""):
                    refuse(name, "This field is required.")
        defaults = {name: copy.deepcopy(schema["default"]) for name, schema in resource.fields.items()}
        wanted = {**defaults, **(entry or {}), **copy.deepcopy(given)}
        for other in self.tables[table].values():
            if other is not entry and all(other.get(name) == wanted[name] for name in resource.unique):
                refuse("__all__", "%s with this %s already exists." % (resource.type, " and ".join(resource.unique)))
        self.check(table, wanted, entry)
        if entry is None:
            entry = self._store(table, wanted)
            if table in ("job_templates", "workflow_job_templates"):
                for role in ("admin_role", "execute_role", "read_role"):
                    self._store("roles", {"name": role, "of": entry["id"]})
        else:
            entry.update(wanted)
        if table == "projects" and entry["scm_type"] and {"scm_url", "scm_branch", "scm_type"} & set(given):
            self.update_project(entry)
        return entry

    def check(self, table: str, wanted: Json, entry: t.Optional[Json]) -> None:
        """What only this kind of object is asked."""
        if table == "credential_types":
            if entry is not None and entry.get("managed"):
                raise Refused(403, {"detail": "Modifications not allowed for managed credential types"})
            check_credential_type(wanted)
        elif table == "credentials":
            kept = entry["inputs"] if entry is not None else {}
            wanted["inputs"] = {name: kept.get(name, value) if value == ENCRYPTED else value for name, value in wanted["inputs"].items()}
            check_inputs(wanted["inputs"], self.tables["credential_types"][wanted["credential_type"]])
        elif table == "projects":
            if wanted["scm_type"] and not wanted["scm_url"]:
                refuse("scm_url", "SCM URL is required.")
            if wanted["scm_type"] and wanted["local_path"]:
                refuse("local_path", "This path is set by AWX.")
        elif table == "inventory_sources":
            if wanted["source"] == "scm" and wanted["source_project"] is None:
                refuse("source_project", "Project required for scm type sources.")
        elif table == "job_templates":
            self.check_job_template(wanted)
        elif table == "workflow_job_template_nodes":
            self.check_prompts(wanted, self.template(wanted["unified_job_template"]))
        elif table == "schedules":
            check_rrule(wanted["rrule"])
            self.check_prompts(wanted, self.template(wanted["unified_job_template"]))
        elif table == "notification_templates":
            check_notification(wanted)

    def template(self, number: t.Optional[int]) -> Json:
        return next((self.tables[table][number] for table in UNIFIED if number in self.tables[table]), {}) if number is not None else {}

    def check_job_template(self, wanted: Json) -> None:
        if wanted["inventory"] is None and not wanted["ask_inventory_on_launch"]:
            refuse("inventory", "Job Template must provide 'inventory' or allow prompting for it.")
        if wanted["project"] is None:
            refuse("project", "Job Templates must have a project assigned.")
        if not wanted["playbook"]:
            refuse("playbook", "Must select playbook for project.")
        project = self.tables["projects"][wanted["project"]]
        # As in AWX the organization is that of the project.
        wanted["organization"] = project["organization"]
        if wanted["playbook"] not in project["playbooks"]:
            refuse("playbook", "Playbook not found for project.")
        if wanted["extra_vars"]:
            json.loads(wanted["extra_vars"])

    def check_prompts(self, wanted: Json, template: Json) -> None:
        """A launch is given only what its template asks for."""
        answered = {question["variable"] for question in self.surveys.get(template.get("id", 0), {}).get("spec", [])}
        if not template.get("survey_enabled"):
            answered = set()
        if not template.get("ask_variables_on_launch"):
            for name in wanted["extra_data"]:
                if name not in answered:
                    refuse("extra_data", "Variables %s are not allowed on launch." % name)
        for field, schema in PROMPTS.items():
            if field != "extra_data" and wanted[field] != schema["default"] and not template.get("ask_%s_on_launch" % field):
                refuse(field, "Field is not configured to prompt on launch.")

    def update_project(self, project: Json) -> Json:
        """Begin an update of a project's checkout; the first look at it finds it running, the next one done."""
        update = {
            "project": project["id"],
            "name": project["name"],
            "status": "pending",
            "failed": False,
            "finished": None,
            "scm_revision": "",
        }
        return self._store("project_updates", update)

    def look_at_update(self, update: Json) -> None:
        if update["status"] == "pending":
            update["status"] = "running"
        elif update["status"] == "running":
            project = self.tables["projects"][update["project"]]
            folder = self.scm.get(project["scm_url"])
            update["status"] = "successful" if folder is not None else "failed"
            project["playbooks"] = playbooks_of(folder) if folder is not None else []
            project["scm_revision"] = "0" * 40 if folder is not None else ""
            update.update(failed=folder is None, finished="2026-01-01T00:00:00Z", scm_revision=project["scm_revision"])

    def associate(self, table: str, number: int, association: str, given: Json) -> None:
        """Associate or disassociate by id."""
        other = RESOURCES[table].associations[association]
        if not is_a(given.get("id"), int) or set(given) - {"id", "disassociate"}:
            raise Refused(400, {"msg": "'id' is required to associate or disassociate"})
        ids = self.associations.setdefault((table, number, association), [])
        target = self._entry(other, given["id"])
        if given.get("disassociate"):
            if given["id"] in ids:
                ids.remove(given["id"])
            return
        if table == "job_templates" and association == "credentials":
            types = [self.tables["credentials"][each]["credential_type"] for each in ids]
            kind = self.tables["credential_types"][target["credential_type"]]["kind"]
            if target["credential_type"] in types:
                raise Refused(400, {"error": "Cannot assign multiple credentials of one type."})
            if kind not in ("ssh", "vault", "cloud", "net", "kubernetes"):
                raise Refused(400, {"error": "Cannot assign a Credential of kind `%s`." % kind})
        if other == "workflow_job_template_nodes":
            self.check_edge(number, given["id"], association)
        if given["id"] not in ids:
            ids.append(given["id"])

    def check_edge(self, parent: int, child: int, association: str) -> None:
        nodes = self.tables["workflow_job_template_nodes"]
        if nodes[parent]["workflow_job_template"] != nodes[child]["workflow_job_template"]:
            raise Refused(400, {"Error": "Nodes of two workflows."})

        def children(node: int) -> t.List[int]:
            ways = ("success_nodes", "failure_nodes", "always_nodes")
            return [each for way in ways for each in self.associations.get(("workflow_job_template_nodes", node, way), [])]

        if child in children(parent) and child not in self.associations.get(("workflow_job_template_nodes", parent, association), []):
            raise Refused(400, {"Error": "Relationship not allowed."})
        waiting = [child]
        while waiting:
            node = waiting.pop()
            if node == parent:
                raise Refused(400, {"Error": "Cycle detected."})
            waiting += children(node)

    def delete(self, table: str, number: int) -> None:
        """Delete an object, and what cannot be without it; other references to it become null."""
        entry = self._entry(table, number)
        if table == "credential_types" and any(each["credential_type"] == number for each in self.tables["credentials"].values()):
            raise Refused(403, {"detail": "Credential types that are in use cannot be deleted"})
        if entry.get("managed"):
            raise Refused(403, {"detail": "Deletion not allowed for managed credential types"})
        del self.tables[table][number]
        self.surveys.pop(number, None)
        for ids in self.associations.values():
            if number in ids:
                ids.remove(number)
        for other, resource in RESOURCES.items():
            for name, schema in resource.fields.items():
                if table not in schema.get("ref", ()):
                    continue
                for each in [each for each in self.tables[other].values() if each[name] == number]:
                    if (other, name) in CASCADES:
                        self.delete(other, each["id"])
                    else:
                        each[name] = None

    def login(self, header: str) -> t.Tuple[str, str]:
        """'basic' or 'token', and the user, if the header has credentials; else two empty texts."""
        kind, _space, rest = header.partition(" ")
        if kind == "Basic":
            user, _colon, password = base64.b64decode(rest).decode().partition(":")
            known = user in (self.username, self.organization_admin) and secrets.compare_digest(password, self.password)
            return ("basic", user) if known else ("", "")
        user = next((user for token, user in self.tokens.values() if kind == "Bearer" and token == rest), "")
        return ("token", user) if user else ("", "")

    def authorize(self, user: str, method: str, table: str, number: t.Optional[str]) -> None:
        """What only a superuser may do: organizations, and what belongs to no organization."""
        denied = table in ("credential_types", "instance_groups") or (table == "organizations" and number is None)
        if user != self.username and method in ("POST", "PATCH", "DELETE") and denied:
            raise Refused(403, {"detail": "You do not have permission to perform this action."})

    def answer(self, method: str, target: str, header: str, body: t.Any) -> t.Tuple[int, t.Any]:
        """Status and body of the answer to one request."""
        with self._lock:
            address = urllib.parse.urlsplit(target)
            self.requests.append((method, address.path))
            try:
                return self._answer(method, address, header, body)
            except Refused as refused:
                return refused.status, refused.body

    def _answer(self, method: str, address: urllib.parse.SplitResult, header: str, body: t.Any) -> t.Tuple[int, t.Any]:
        match = re.fullmatch(r"/api/v2/(\w+)/(?:(\d+)/)?(?:(\w+)/)?", address.path)
        login, user = self.login(header)
        if match is None:
            raise Refused(404, {"detail": "The requested resource could not be found."})
        table, number, part = match.groups()
        if not login or (table == "tokens") != (login == "basic"):
            raise Refused(401, {"detail": "Authentication credentials were not provided. To establish a login session, visit /api/login/."})
        if table == "tokens":
            return self._tokens(method, number, user)
        self.authorize(user, method, table, number)
        if number is None:
            if method == "GET":
                return 200, self.list(table, dict(urllib.parse.parse_qsl(address.query, keep_blank_values=True)))
            if method == "POST" and table in RESOURCES:
                return 201, self.shown(table, self.save(table, body))
            raise Refused(405, {"detail": 'Method "%s" not allowed.' % method})
        if table not in self.tables:
            raise Refused(404, {"detail": "Not found."})
        entry = self._entry(table, number)
        if part is not None:
            return self._part(method, table, entry, part, body)
        if table == "project_updates":
            self.look_at_update(entry)
        if method == "GET":
            return 200, self.shown(table, entry)
        if method == "PATCH" and table in RESOURCES:
            return 200, self.shown(table, self.save(table, body, entry))
        if method == "DELETE" and table in RESOURCES:
            self.delete(table, entry["id"])
            return 204, None
        raise Refused(405, {"detail": 'Method "%s" not allowed.' % method})

    def _tokens(self, method: str, number: t.Optional[str], user: str) -> t.Tuple[int, t.Any]:
        if method == "POST" and number is None:
            self._last_id += 1
            token = secrets.token_urlsafe(20)
            self.tokens[self._last_id] = (token, user)
            return 201, {"id": self._last_id, "token": token}
        if method == "DELETE" and number is not None and int(number) in self.tokens:
            del self.tokens[int(number)]
            return 204, None
        raise Refused(405, {"detail": 'Method "%s" not allowed.' % method})

    def _part(self, method: str, table: str, entry: Json, part: str, body: t.Any) -> t.Tuple[int, t.Any]:
        if part == "survey_spec" and table in ("job_templates", "workflow_job_templates"):
            if method == "POST":
                check_survey(body)
                self.surveys[entry["id"]] = body
                return 200, {}
            if method == "DELETE":
                self.surveys.pop(entry["id"], None)
                return 200, {}
            return 200, self.surveys.get(entry["id"], {})
        if part == "update" and table == "projects" and method == "POST":
            return 202, self.shown("project_updates", self.update_project(entry))
        if part not in RESOURCES[table].associations:
            raise Refused(404, {"detail": "The requested resource could not be found."})
        if method == "POST":
            self.associate(table, entry["id"], part, body)
            return 204, None
        other = RESOURCES[table].associations[part]
        found = [self.shown(other, self.tables[other][each]) for each in self.associations.get((table, entry["id"], part), [])]
        return 200, {"count": len(found), "next": None, "previous": None, "results": found}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    awx: Awx

    def _reply(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        status, body = self.awx.answer(self.command, self.path, self.headers.get("Authorization", ""), json.loads(raw) if raw else {})
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", VERSION)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_DELETE = _reply

    def log_message(self, format: str, *arguments: t.Any) -> None:
        """Nothing: a test looks at Awx.requests."""


@contextlib.contextmanager
def awx_api(scm: t.Mapping[str, t.Union[str, os.PathLike[str]]]) -> t.Iterator[Awx]:
    """Run the receiver until the context ends. scm: address of a repository -> the folder that stands for its checkout."""
    awx = Awx({url: pathlib.Path(folder) for url, folder in scm.items()})
    with http.server.ThreadingHTTPServer((HOST, 0), type("Handler", (_Handler,), {"awx": awx})) as server:
        awx.url = "http://%s:%d" % (HOST, server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield awx
        finally:
            server.shutdown()
            thread.join()
