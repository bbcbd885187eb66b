# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWX as playbooks/awx.yml sets it up with the modules of awx.awx, in the receiver tests/lab/awx_api.py."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
from lab import quick_ansible
from lab.awx_api import Awx, awx_api
from lab.quick_ansible.warm import WarmAnsible

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
PROJECT = CHECKOUT / "docs" / "awx-project"
PROGRAMS = pathlib.Path(sys.executable).parent
# The folder of collections that 'make build/awx/.stamp' takes out of PyPI's bundle.
AWX_COLLECTIONS = CHECKOUT / "build" / "awx"

REPOSITORY = "https://git.example.com/fleet.git"
SECRETS = {
    "login": "s3cret-of-the-login",
    "sftp": "s3cret-of-the-sftp-store",
    "aws": "s3cret-of-the-bucket",
    "fernet": "c2VjcmV0LW9mLXRoZS1mZXJuZXQta2V5LTAxMjM0NTY=",
    "escrow": "s3cret-of-the-escrow",
}
SETTINGS: t.Dict[str, t.Any] = {
    "log_archive_awx_project_url": REPOSITORY,
    "log_archive_awx_execution_environment_image": "registry.example.com/log-archive-ee:0.9.0",
    "log_archive_awx_time_zone": "Europe/Paris",
    "log_archive_awx_extra_vars": {"log_archive_batch": "100%"},
    "log_archive_awx_credentials": [
        {"name": "hosts", "type": "Machine"},
        {"name": "bucket", "type": "Amazon Web Services"},
        {"name": "offsite", "type": "log-archive SFTP store"},
        {"name": "keys", "type": "log-archive Fernet key"},
    ],
    "log_archive_awx_credential_inputs": {
        "hosts": {"username": "ansible", "password": SECRETS["login"]},
        "bucket": {"username": "AKIDEXAMPLE", "password": SECRETS["aws"]},
        "offsite": {"host": "sftp.example.com", "user": "backup", "host_key": "ssh-ed25519 AAAA", "password": SECRETS["sftp"]},
        "keys": {"fernet_keys": SECRETS["fernet"], "escrow_vault_secret": SECRETS["escrow"]},
    },
    "log_archive_awx_notification": {
        "type": "email",
        "configuration": {
            "host": "mail.example.com",
            "port": 25,
            "username": "",
            "password": "",
            "use_tls": False,
            "use_ssl": False,
            "sender": "awx@example.com",
            "recipients": ["operators@example.com"],
            "timeout": 30,
        },
    },
}


class Controller:
    """The receiver, and the playbook that sets it up."""

    def __init__(self, awx: Awx, collections: pathlib.Path, home: pathlib.Path) -> None:
        self.awx = awx
        self._env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTEST_CURRENT_TEST")}
        self._env.update(
            quick_ansible.environment(),
            ANSIBLE_COLLECTIONS_PATH="%s:%s" % (collections, AWX_COLLECTIONS),
            ANSIBLE_HOME=str(home),
            ANSIBLE_NOCOLOR="1",
            ANSIBLE_PIPELINING="1",
            CONTROLLER_HOST=awx.url,
            CONTROLLER_USERNAME=awx.username,
            CONTROLLER_PASSWORD=awx.password,
            # The receiver speaks HTTP. Ansible reads all authorities of the machine for each request, and this took half of a run.
            CONTROLLER_VERIFY_SSL="false",
            SSL_CERT_FILE=os.devnull,
            SSL_CERT_DIR=os.devnull,
        )
        self._home = home
        # By user: the environment of the process states it.
        self._warm: t.Dict[str, WarmAnsible] = {}

    def close(self) -> None:
        """End what waits for further runs."""
        for each in self._warm.values():
            each.close()

    def set_up(self, *arguments: str, user: str = "", collections: bool = True, **settings: t.Any) -> subprocess.CompletedProcess[str]:
        """Run awx.yml with SETTINGS and these; Awx.requests holds what this run asked.

        user: instead of the superuser. collections: whether awx.awx is installed.
        """
        self.awx.requests.clear()
        given = self._home / "settings.json"
        given.write_text(json.dumps({**SETTINGS, **settings}), encoding="utf-8")
        argv = [str(PROGRAMS / "ansible-playbook"), "infra_ops.log_archive.awx", "-e", "@%s" % given, *arguments]
        env = dict(self._env, CONTROLLER_USERNAME=user or self.awx.username)
        if not collections:
            env["ANSIBLE_COLLECTIONS_PATH"] = env["ANSIBLE_COLLECTIONS_PATH"].rpartition(":")[0]
            return subprocess.run(argv, env=env, cwd=self._home, capture_output=True, text=True, check=False)
        if user not in self._warm:
            self._warm[user] = WarmAnsible([], env, self._home / "warm-ansible.log")
        return self._warm[user].run(argv, str(self._home))


@pytest.fixture(scope="session")
def fresh_controller(collections_path: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Controller]:
    """An AWX in which nothing has been set up."""
    if not AWX_COLLECTIONS.is_dir():
        pytest.skip("the collection awx.awx is not there: make build/awx/.stamp")
    with awx_api({REPOSITORY: PROJECT}) as awx:
        made = Controller(awx, collections_path, tmp_path_factory.mktemp("controller"))
        yield made
        made.close()


@pytest.fixture(scope="session")
def controller(fresh_controller: Controller) -> Controller:
    """An AWX as awx.yml sets it up on its first run."""
    done = fresh_controller.set_up("-vvv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=0" not in done.stdout
    for secret in SECRETS.values():
        assert secret not in done.stdout + done.stderr
    return fresh_controller
