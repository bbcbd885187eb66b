# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A job as AWX runs it: a private data folder for ansible-runner, made of a job template, answers to its survey, and credentials."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import typing as t

import jinja2.sandbox
import yaml
from lab import Fleet
from lab.awx_api import Awx

from .conftest import PROJECT

PROGRAMS = pathlib.Path(sys.executable).parent
Json = t.Dict[str, t.Any]


class Unsafe(str):
    """A text that AWX writes with the tag !unsafe: Ansible does not evaluate templates in it."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text)))


def unsafe(value: t.Any) -> t.Any:
    """A value as AWX hands it to Ansible if it comes from a credential, a survey or a launch: every text in it is unsafe."""
    if isinstance(value, str):
        return Unsafe(value)
    if isinstance(value, dict):
        return {Unsafe(name): unsafe(item) for name, item in value.items()}
    return [unsafe(item) for item in value] if isinstance(value, list) else value


class Outcome(t.NamedTuple):
    """How a job ended, and all that AWX would keep of it."""

    code: int
    status: str
    events: t.List[Json]
    output: str
    artifacts: pathlib.Path

    def tasks(self, host: str, kind: str = "runner_on_ok") -> t.List[str]:
        """The names of the tasks that ended so on a host."""
        data = [each["event_data"] for each in self.events if each["event"] == kind]
        return [each["task"] for each in data if each.get("host") == host]

    def hosts(self) -> t.Set[str]:
        """The hosts that any event is about."""
        return {each["event_data"]["host"] for each in self.events if each.get("event_data", {}).get("host")}

    def changed(self) -> t.List[t.Tuple[str, str]]:
        """Host and task, where a task says that it has changed something."""
        data = [each["event_data"] for each in self.events if each["event"] == "runner_on_ok"]
        return [(each["host"], each["task"]) for each in data if each["res"].get("changed")]

    def kept(self) -> t.Iterator[t.Tuple[pathlib.Path, str]]:
        """The files of the job that AWX takes over: events, output, status, facts."""
        for path in sorted(self.artifacts.rglob("*")):
            # ansible-runner's own record of how it was called, environment and all. It stays in the folder that AWX removes.
            if path.is_file() and path != self.artifacts / "command":
                yield path, path.read_text(encoding="utf-8", errors="replace")


def inject(credential_type: Json, inputs: Json, folder: pathlib.Path, env: t.Dict[str, str], cmdline: t.List[str]) -> None:
    """What a credential gives to a job, as AWX's documentation of custom credential types says it."""
    if credential_type["name"] == "Amazon Web Services":
        env["AWS_ACCESS_KEY_ID"] = inputs["username"]
        env["AWS_SECRET_ACCESS_KEY"] = inputs["password"]
        return
    if credential_type["name"] == "Machine":
        cmdline += ["-u", inputs["username"]]
        (folder / "env" / "ssh_key").write_text(inputs["ssh_key_data"], encoding="utf-8")
        return
    # What was left empty is not defined.
    names: Json = {name: value for name, value in inputs.items() if value != ""}
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment()
    injectors = credential_type["injectors"]
    for name, template in injectors.get("env", {}).items():
        env[name] = environment.from_string(template).render(names)
    extra_vars = {name: environment.from_string(template).render(names) for name, template in injectors.get("extra_vars", {}).items()}
    if extra_vars:
        path = folder / "env" / ("extra_vars_%d" % credential_type["id"])
        path.write_text(yaml.dump(unsafe(extra_vars), Dumper=_Dumper), encoding="utf-8")
        path.chmod(0o600)
        cmdline += ["-e", "@%s" % path]


class Jobs:
    """Launches the job templates of an AWX on a fleet."""

    def __init__(self, awx: Awx, fleet: Fleet, inventory: pathlib.Path, credentials: t.Mapping[str, Json]) -> None:
        self.awx = awx
        self.fleet = fleet
        self.credentials = credentials
        # All that a credential type calls secret; launch() looks for them in whatever a job leaves, and counts the files.
        self.secrets: t.List[str] = []
        self.searched = 0
        for kind, inputs in credentials.items():
            fields = awx.named("credential_types")[kind]["inputs"]["fields"]
            self.secrets += [inputs[field["id"]].strip() for field in fields if field.get("secret") and inputs.get(field["id"])]
        self._number = 0
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "AWS_"))}
        environment.update(fleet.environment())
        # AWX runs ansible-inventory once per source, and keeps hosts and groups with their variables as they are written there.
        exported = subprocess.run(
            [str(PROGRAMS / "ansible-inventory"), "--inventory", str(inventory), "--list", "--export"],
            env=environment,
            cwd=fleet.home,
            check=True,
            capture_output=True,
            text=True,
        )
        self.inventory = exported.stdout
        self._environment = environment

    def launch(
        self,
        name: str,
        answers: t.Optional[Json] = None,
        limit: str = "",
        check: bool = False,
        diff: bool = False,
        verbosity: int = 0,
        credentials: t.Optional[t.Mapping[str, Json]] = None,
    ) -> Outcome:
        """Run a job of a template.

        answers: to its survey; what is not answered is its default, as AWX does it. credentials: inputs by type, if not the usual ones.
        """
        template = self.awx.named("job_templates")["log-archive " + name]
        questions = {question["variable"]: question for question in self.awx.survey("log-archive " + name).get("spec", [])}
        answers = answers or {}
        assert set(answers) <= set(questions), "AWX takes only what the survey asks for"
        assert all(variable in answers or "default" in question for variable, question in questions.items() if question["required"])
        given = {variable: question["default"] for variable, question in questions.items() if "default" in question}

        self._number += 1
        folder = self.fleet.folder / ("job-%d" % self._number)
        for part in ("env", "inventory"):
            (folder / part).mkdir(parents=True)
        shutil.copytree(PROJECT, folder / "project")
        script = folder / "inventory" / "hosts"
        script.write_text("#!/usr/bin/env python3\nprint(%r)\n" % self.inventory, encoding="utf-8")
        script.chmod(0o700)
        env: t.Dict[str, str] = {"AWX_PRIVATE_DATA_DIR": str(folder)}
        cmdline: t.List[str] = ["-" + "v" * verbosity] if verbosity else []
        cmdline += ["--check"] * check + ["--diff"] * diff
        types = self.awx.named("credential_types")
        for kind, inputs in (self.credentials if credentials is None else credentials).items():
            inject(types[kind], inputs, folder, env, cmdline)
        # Those of the template are the administrator's, and trusted.
        extra_vars = {**json.loads(template["extra_vars"]), **unsafe({**given, **answers, "awx_job_id": self._number})}
        (folder / "env" / "extravars").write_text(yaml.dump(extra_vars, Dumper=_Dumper), encoding="utf-8")
        (folder / "env" / "envvars").write_text(json.dumps(env), encoding="utf-8")
        (folder / "env" / "cmdline").write_text(" ".join(cmdline), encoding="utf-8")

        argv = [PROGRAMS / "ansible-runner", "run", folder, "--playbook", template["playbook"], "--ident", "job", "--quiet"]
        done = self.fleet.run([*argv, *(["--limit", limit] if limit else [])], env=self._environment, cwd=self.fleet.home)
        artifacts = folder / "artifacts" / "job"
        events = [json.loads(path.read_text(encoding="utf-8")) for path in (artifacts / "job_events").glob("*.json")]
        events.sort(key=lambda each: each["counter"])
        output = (artifacts / "stdout").read_text(encoding="utf-8") + done.stdout + done.stderr
        outcome = Outcome(done.returncode, (artifacts / "status").read_text(encoding="utf-8"), events, output, artifacts)
        # AWX deletes the folder of a job: a play that relies on what it wrote there fails the next one.
        shutil.rmtree(folder / "inventory")
        shutil.rmtree(folder / "project")
        for path, content in outcome.kept():
            self.searched += 1
            for secret in self.secrets:
                # As it is, and as JSON writes it.
                assert secret not in content and json.dumps(secret)[1:-1] not in content, "%s holds a secret" % path.name
        return outcome
