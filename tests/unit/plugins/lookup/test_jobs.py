# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lookup jobs, as a play uses it: with an inventory of groups and hosts, templates, and a value in Ansible Vault."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import textwrap
import typing as t

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.infra_ops.log_archive.plugins.lookup import jobs
from lab import quick_ansible
from lab.quick_ansible.warm import WarmAnsible

COLLECTIONS = os.environ.get("LOG_ARCHIVE_COLLECTIONS", str(pathlib.Path(__file__).resolve().parents[4] / "build" / "collections"))
PROGRAMS = pathlib.Path(sys.executable).parent
SECRET = "s3cr3t-of-the-bucket"


class Project:
    """A folder with an inventory, and what the lookup says there of a host."""

    def __init__(self, folder: pathlib.Path, ansible: WarmAnsible) -> None:
        self.folder = folder
        self.ansible = ansible
        self.write("vault", "pass")
        self.write("hosts.yml", "all: {hosts: {lonely: {}}, children: {web: {hosts: {web1: {}, web2: {}}}}}")

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")

    def play(self, host: str) -> subprocess.CompletedProcess:
        """Writes the documents of ``host`` by ``to_json`` and by a module's argument."""
        self.write(
            "play.yml",
            """\
            - hosts: %s
              gather_facts: false
              connection: local
              tasks:
                - ansible.builtin.copy:
                    content: "{{ lookup('infra_ops.log_archive.jobs') | ansible.builtin.to_json }}"
                    dest: "{{ playbook_dir }}/documents.json"
                    mode: "0600"
            """
            % host,
        )
        options = ["-i", "hosts.yml", "--vault-password-file", "vault", "-e", "ansible_python_interpreter=" + sys.executable]
        return self.ansible.run([str(PROGRAMS / "ansible-playbook"), *options, "play.yml"], str(self.folder))

    def documents(self, host: str) -> t.Dict[str, t.Any]:
        done = self.play(host)
        assert done.returncode == 0, done.stdout + done.stderr
        assert SECRET not in done.stdout + done.stderr
        return json.loads((self.folder / "documents.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def ansible(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[WarmAnsible]:
    """Runs the plays of this module."""
    environment = dict(os.environ, **quick_ansible.environment(), ANSIBLE_COLLECTIONS_PATH=COLLECTIONS)
    environment.update(ANSIBLE_NOCOLOR="1", ANSIBLE_PIPELINING="1")
    warm = WarmAnsible([], environment, tmp_path_factory.mktemp("ansible") / "warm-ansible.log")
    yield warm
    warm.close()


@pytest.fixture
def project(tmp_path: pathlib.Path, ansible: WarmAnsible) -> Project:
    return Project(tmp_path, ansible)


def example() -> t.Tuple[t.Dict[str, str], t.Any]:
    """The files that the documentation's example tells, and what it says comes out."""
    files: t.Dict[str, str] = {}
    before, after = jobs.EXAMPLES.split("- name: Show the jobs of web2", 1)
    name = ""
    for line in before.splitlines():
        head = line[2:].partition(".yml: ")
        if line.startswith(("# group_vars/", "# host_vars/")):
            name = head[0] + ".yml"
            files[name] = ""
        elif name:
            files[name] += line[4:] + "\n"
    return files, yaml.safe_load("\n".join(line[2:] for line in after.splitlines() if line.startswith("#")))


def test_the_example_in_the_documentation_is_right(project: Project) -> None:
    files, expected = example()
    assert sorted(files) == ["group_vars/all.yml", "group_vars/web.yml", "host_vars/web2.yml"]
    for name, text in files.items():
        project.write(name, text)
    assert project.documents("web2") == expected
    assert list(project.documents("web1")) == ["access", "auth", "syslog"]
    assert list(project.documents("lonely")) == ["auth", "syslog"]


def test_without_jobs_there_is_no_document(project: Project) -> None:
    assert project.documents("lonely") == {}


def test_templates_and_vaulted_values_are_plain_data_in_the_documents(project: Project) -> None:
    vaulted = VaultLib([("default", VaultSecret(b"pass"))]).encrypt(SECRET).decode("ascii")
    project.write(
        "group_vars/all.yml",
        """\
        folder: /var/log/{{ inventory_hostname }}
        hours: 3
        bucket_secret: !vault |
          %s
        log_archive_keyring: "{{ '/srv' }}/keys"
        log_archive_stores:
          bucket: {type: s3, bucket: b, access_key_id: a, secret_access_key: "{{ bucket_secret }}", attempts: "{{ hours + 1 }}"}
        log_archive_job_defaults: {select: {quiet: "{{ hours }}h"}}
        log_archive_jobs__web: "{{ {'made': {'select': {'paths': [folder]}}} }}"
        log_archive_jobs:
          made: {select: {recurse: "{{ hours > 2 }}"}, archive: {name: "%%Y{stem}"}}
        """
        % textwrap.indent(vaulted, "  " * 5).strip(),
    )
    document = project.documents("web1")["made"]
    assert document["select"] == {"paths": ["/var/log/web1"], "recurse": True, "quiet": "3h"}
    assert document["encryption"] == {"keyring": "/srv/keys"}
    assert document["archive"] == {"name": "%Y{stem}"}
    assert document["stores"] == [
        {"name": "bucket", "type": "s3", "bucket": "b", "access_key_id": "a", "secret_access_key": SECRET, "attempts": 4}
    ]


def test_a_mistake_names_host_job_key_and_what_is_allowed_and_no_secret(project: Project) -> None:
    project.write(
        "group_vars/all.yml",
        """\
        log_archive_stores: {bucket: {type: s3, bucket: b, access_key_id: a, secret_access_key: %s}}
        log_archive_jobs:
          syslog: {select: {paths: [/var/log], period: hours}}
          auth: {select: {paths: [var/log]}}
        """
        % SECRET,
    )
    done = project.play("web1")
    text = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 2
    assert "web1: 2 mistakes in its job documents" in text
    assert "- auth: select.paths[0]: must be an absolute path, not 'var/log'" in text
    assert "- syslog: select.period: must be one of hour, day, week, month, none, not 'hours'; did you mean 'hour'?" in text
    assert SECRET not in text


def test_a_variable_that_is_not_defined_is_named(project: Project) -> None:
    project.write("group_vars/all.yml", "log_archive_jobs: {a: {select: {paths: ['{{ nowhere }}']}}}")
    done = project.play("web1")
    assert done.returncode == 2
    assert "'nowhere' is undefined" in done.stdout + done.stderr


def test_ansible_doc_shows_it() -> None:
    argv = [PROGRAMS / "ansible-doc", "-t", "lookup", "infra_ops.log_archive.jobs"]
    env = dict(os.environ, ANSIBLE_COLLECTIONS_PATH=COLLECTIONS, ANSIBLE_NOCOLOR="1")
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "log_archive_jobs__web__web2" in done.stdout
