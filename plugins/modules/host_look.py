#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# The action plugin of the same name, on the controller, replaces documents by their digests and compares keys with their copies.

from __future__ import annotations

DOCUMENTATION = r"""
module: host_look
short_description: Compare a host with its wanted state in one call
version_added: 0.9.0
description:
  - Compares a host with layouts, documents, an engine and a keyring, and runs commands that print facts about it. The playbook C(site)
    skips each role that would change nothing.
  - It changes nothing. If it cannot be sure that something is as wanted, it reports a difference.
options:
  layouts:
    description: Layouts, each a dict with a C(name) and any of the options C(groups), C(users) and C(paths) of
      M(infra_ops.log_archive.host_layout).
    type: list
    elements: dict
    default: []
  documents:
    description: The documents that must exist on the host. Only their digests are sent to it.
    type: list
    elements: dict
    default: []
    suboptions:
      layout:
        description: The name of the layout to report as different if a document differs, or if the folder has another document that Ansible
          wrote.
        type: str
        required: true
      kind:
        description: The kind of the documents.
        type: str
        choices: [job, stream]
        required: true
      folder:
        description: The folder of the documents.
        type: path
        required: true
      documents:
        description: The documents.
        type: list
        elements: dict
      digests:
        description: SHA-256 of each file, by its path. By default those of O(documents[].documents).
        type: dict
      owner:
        description: Owner of the files.
        type: str
        default: root
      group:
        description: Group of the files.
        type: str
        default: root
      mode:
        description: Permissions of the files as octal digits.
        type: str
        default: "0640"
  engine:
    description: The expected installation of the engine.
    type: dict
    suboptions:
      prefix:
        description: The folder, as for M(infra_ops.log_archive.host_command).
        type: path
        required: true
      interpreter:
        description: The interpreter of the command.
        type: path
        required: true
      digest:
        description: Digest of the engine. By default that of this collection.
        type: str
  keyring:
    description: The folder of a keyring.
    type: path
  escrow:
    description: The copies of the keys on the controller, to compare with the keys of O(keyring).
    type: dict
    suboptions:
      folder:
        description: The folder of the copies, as for M(infra_ops.log_archive.key_escrow).
        type: str
        required: true
      vault_secret:
        description: The password of the copies.
        type: str
  commands:
    description: Commands that print facts, each a list of arguments, by name. They must not change anything.
    type: dict
    default: {}
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: full
seealso:
  - module: infra_ops.log_archive.host_layout
  - module: infra_ops.log_archive.job_document
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Compare the jobs of the host with the inventory
  infra_ops.log_archive.host_look:
    layouts:
      - name: jobs
        paths:
          - path: /etc/log-archive/jobs.d
            state: directory
            group: log-archive-operators
            mode: "2770"
    documents:
      - layout: jobs
        kind: job
        folder: /etc/log-archive/jobs.d
        documents: "{{ lookup('infra_ops.log_archive.jobs').values() }}"
        group: log-archive-operators
        mode: "0660"
    commands:
      cron: [sh, -c, test -e /usr/bin/crontab && echo crontab]
  register: look

- name: Report that the jobs differ
  ansible.builtin.debug:
    msg: The jobs would change.
  when: "'jobs' not in look.same"
"""

RETURN = r"""
same:
  description: Names of the layouts that the host already has, including their documents.
  returned: success
  type: list
  elements: str
  sample: [jobs]
left_out:
  description: Paths of the layouts that were skipped because a path in their C(requires) is missing.
  returned: success
  type: list
  elements: str
  sample: []
engine_is_installed:
  description: Whether exactly O(engine) is installed.
  returned: success
  type: bool
  sample: true
key_ids:
  description: IDs of the keys in O(keyring). It is empty if the keyring has no current key, or has a problem.
  returned: success
  type: list
  elements: str
  sample: [0f1e2d3c4b5a6978]
keys_have_copies:
  description: Whether there are keys, and each key has a readable copy in O(escrow), which is encrypted if there is a password.
  returned: success
  type: bool
  sample: true
outputs:
  description: For each of O(commands), its exit code and its output.
  returned: success
  type: dict
  sample: {cron: {rc: 0, stdout: crontab, stdout_lines: [crontab], stderr: ""}}
"""

import hashlib
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.infra_ops.log_archive.plugins.module_utils import _installation, _layout, _written

DOCUMENTS = {
    "layout": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": ["job", "stream"], "required": True},
    "folder": {"type": "path", "required": True},
    "documents": {"type": "list", "elements": "dict", "no_log": True},
    # A document may hold a secret that is easily guessed.
    "digests": {"type": "dict", "no_log": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "mode": {"type": "str", "default": "0640"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "layouts": {"type": "list", "elements": "dict", "default": []},
            "documents": {"type": "list", "elements": "dict", "default": [], "options": DOCUMENTS},
            "engine": {
                "type": "dict",
                "options": {
                    "prefix": {"type": "path", "required": True},
                    "interpreter": {"type": "path", "required": True},
                    "digest": {"type": "str"},
                },
            },
            "keyring": {"type": "path", "no_log": False},
            "escrow": {
                "type": "dict",
                "options": {"folder": {"type": "str", "required": True}, "vault_secret": {"type": "str", "no_log": True}},
            },
            "commands": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    left_out: t.List[str] = []
    same = [layout["name"] for layout in module.params["layouts"] if _is_same(module, layout, left_out)]
    for folder in module.params["documents"]:
        if folder["layout"] in same and not _has_documents(module, folder):
            same.remove(folder["layout"])
    key_ids = _key_ids(module.params["keyring"])
    module.exit_json(
        changed=False,
        same=same,
        left_out=left_out,
        engine_is_installed=_has_engine(module, module.params["engine"]),
        key_ids=key_ids,
        keys_have_copies=False,
        outputs={name: _output(module, argv) for name, argv in module.params["commands"].items()},
    )


def _is_same(module: AnsibleModule, given: t.Mapping[str, t.Any], left_out: t.List[str]) -> bool:
    checked = ArgumentSpecValidator({"name": {"type": "str", "required": True}, **_layout.ARGUMENTS}).validate(given)
    if checked.error_messages:
        module.fail_json(msg="layouts: %s" % "; ".join(checked.error_messages))
    layout = _layout.Layout(True, module.run_command)
    try:
        _layout.check_options(checked.validated_parameters)
        layout.ensure(checked.validated_parameters)
    except (_layout.LayoutError, OSError):
        # The role reports it.
        return False
    left_out += layout.left_out
    return not layout.changes


def _has_documents(module: AnsibleModule, folder: t.Mapping[str, t.Any]) -> bool:
    paths = [{"path": path, **{name: folder[name] for name in ("owner", "group", "mode")}} for path in folder["digests"]]
    try:
        return (
            _is_same(module, {"name": folder["layout"], "paths": paths}, [])
            and all(_digest(path) == digest for path, digest in folder["digests"].items())
            and not _written.others(folder["folder"], list(folder["digests"]))
        )
    except OSError:
        return False


def _digest(path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        return hashlib.sha256(file.read(_layout.LONGEST_FILE)).hexdigest()


def _has_engine(module: AnsibleModule, engine: t.Optional[t.Mapping[str, t.Any]]) -> bool:
    if engine is None:
        return False
    host = _installation.Installation(engine["prefix"])
    try:
        code, out, _err = module.run_command([engine["interpreter"], "-I", "-c", _installation.PROBE], handle_exceptions=False)
        launcher = _installation.launcher_of(engine["interpreter"], host.package)
        return code == 0 and host.holds(engine["digest"], launcher, out.strip())
    except OSError:
        return False


def _key_ids(folder: t.Optional[str]) -> t.List[str]:
    if folder is None or not os.path.isdir(folder):
        return []
    # A host compiles all that a module imports at each call.
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import KeyringError
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import keyring

    try:
        keyring.load_current(folder)
        return [key.id for key in keyring.list_keys(folder)]
    except (KeyringError, OSError):
        return []


def _output(module: AnsibleModule, argv: t.Sequence[str]) -> t.Dict[str, t.Any]:
    try:
        code, out, err = module.run_command([str(argument) for argument in argv], handle_exceptions=False)
    except OSError as error:
        code, out, err = 127, "", str(error)
    out = out.rstrip("\r\n")
    return {"rc": code, "stdout": out, "stdout_lines": out.splitlines(), "stderr": err.rstrip("\r\n")}


if __name__ == "__main__":
    main()
