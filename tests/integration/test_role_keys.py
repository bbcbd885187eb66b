# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role keys refuses before it writes a key: it runs here with no host at all."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
from lab import quick_ansible

pytest.importorskip("ansible")

PROGRAM = pathlib.Path(sys.executable).with_name("ansible-playbook")
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.include_role:
        name: infra_ops.log_archive.keys
        tasks_from: preflight
"""


@pytest.mark.parametrize(
    ("variables", "env", "message"),
    [
        ({}, {}, None),
        ({"keys_escrow": "INVENTORY/../escrow"}, {}, None),
        ({"keys_escrow": "INVENTORY/escrow"}, {}, "which lies in an inventory folder"),
        (
            {"keys_escrow": "INVENTORY/project/escrow"},
            {"AWX_PRIVATE_DATA_DIR": "INVENTORY"},
            "when this job ends, and the copies of the keys",
        ),
        ({"keys_escrow": "/srv/escrow"}, {"AWX_PRIVATE_DATA_DIR": "INVENTORY"}, None),
        ({"keys_rotate": True}, {"LOG_ARCHIVE_FERNET_KEYS": "one two"}, "keys_import sets the current key"),
        ({"keys_restore_from_escrow": "true"}, {}, "keys_restore_from_escrow requires keys_escrow"),
        (
            {"keys_import": [TEMPLATE := "{% raw %}{{ lookup('env', 'X') }}{% endraw %}"]},
            {},
            "keys_import is a template that was not evaluated",
        ),
        ({"log_archive_escrow_vault_secret": TEMPLATE}, {}, "keys_escrow_vault_secret is a template that was not evaluated"),
    ],
)
def test_a_mistake_in_the_variables_is_named(
    tmp_path: pathlib.Path, collections_path: pathlib.Path, variables: t.Dict[str, t.Any], env: t.Dict[str, str], message: t.Optional[str]
) -> None:
    inventory = tmp_path / "inventory"
    inventory.mkdir()
    (inventory / "hosts.ini").write_text("web1 ansible_connection=local\n")
    play = tmp_path / "play.yml"
    play.write_text(PLAY)
    given = json.dumps(variables).replace("INVENTORY", str(inventory))
    environment = dict(
        {name: value for name, value in os.environ.items() if not name.startswith("LOG_ARCHIVE_")},
        **quick_ansible.environment(),
        **{name: value.replace("INVENTORY", str(inventory)) for name, value in env.items()},
        ANSIBLE_COLLECTIONS_PATH=str(collections_path),
        ANSIBLE_HOME=str(tmp_path / "ansible"),
    )
    argv = [PROGRAM, "--inventory", inventory, "-e", given, play]
    done = subprocess.run(argv, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (message is None), done.stdout + done.stderr
    assert message is None or message in " ".join((done.stdout + done.stderr).split())
