#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: job_document
short_description: Manage the job documents of the command log-archive
version_added: 0.1.0
description:
  - Writes a job document to the file C(<folder>/<name>.json), or removes it. The command C(log-archive) reads it from there.
  - The document is checked first, with the same checks as those of the command, and the file is replaced atomically. If the document has
    a mistake, the file does not change.
  - The file begins with C(// Managed by Ansible (infra_ops.log_archive)). Use this line to find the files that Ansible has written.
options:
  folder:
    description: The folder of job documents. It must exist.
    type: path
    default: /etc/log-archive/jobs.d
  name:
    description: The name of the job. Required with O(state=absent). Otherwise it is O(job.name).
    type: str
  state:
    description: Whether the document exists.
    type: str
    choices: [present, absent]
    default: present
  mode:
    description:
      - The permissions of the file. A document that contains a secret is refused if other users could read it.
    type: raw
    default: "0640"
notes:
  - For archives without encryption, set O(job.encryption) to a dict with O(job.encryption.format=none).
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.document
  - ansible.builtin.files
attributes:
  check_mode:
    support: full
    details: The folder does not have to exist yet.
  diff_mode:
    support: full
    details: Secrets and unknown options are shown as C(********).
  idempotent:
    support: full
seealso:
  - plugin: infra_ops.log_archive.jobs
    plugin_type: lookup
  - module: infra_ops.log_archive.archive_run
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Write the documents of all jobs of the host
  infra_ops.log_archive.job_document:
    job: "{{ lookup('infra_ops.log_archive.jobs')[item] }}"
    group: log-archive-operators
    mode: "0660"
  loop: "{{ lookup('infra_ops.log_archive.jobs').keys() }}"

- name: Remove a job
  infra_ops.log_archive.job_document:
    name: syslog
    state: absent

- name: Find the documents that Ansible has written
  ansible.builtin.find:
    paths: /etc/log-archive/jobs.d
    patterns: "*.json"
    contains: "// Managed by Ansible .*"
  register: written
"""

RETURN = r"""
path:
  description: The path of the file.
  returned: success
  type: str
  sample: /etc/log-archive/jobs.d/syslog.json
"""

import grp
import json
import os
import pwd
import re
import stat
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import durable
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError, LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise_options
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.option import Spec
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import DEFAULT_CONFIG, JOB
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import argument_spec, document, reporting, unescaped
from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import DOCUMENT_OPTION

HEADER = "// Managed by Ansible (infra_ops.log_archive): changes here are overwritten\n"
MASK = "********"


def main() -> None:
    arguments = argument_spec(DOCUMENT_OPTION)
    arguments.update(
        folder={"type": "path", "default": DEFAULT_CONFIG},
        name={"type": "str"},
        state={"type": "str", "choices": ["present", "absent"], "default": "present"},
        mode={"type": "raw", "default": "0640"},
    )
    module = AnsibleModule(
        argument_spec=arguments,
        required_if=[("state", "present", ["job"]), ("state", "absent", ["name"])],
        mutually_exclusive=[("job", "name")],
        add_file_common_args=True,
        supports_check_mode=True,
    )
    with reporting(module) as result:
        wanted = document(module.params) if module.params["job"] else None
        name = wanted["name"] if wanted else normalise_options({"name": module.params["name"]}, {"name": JOB["name"]})["name"]
        path = os.path.join(unescaped(module.params["folder"]), name + ".json")
        result["path"] = path
        try:
            _apply(module, path, wanted if module.params["state"] == "present" else None, result)
        except OSError as error:
            raise LogArchiveError("cannot write or remove the job document: %s" % error.strerror, error.filename or path) from error


def _apply(module: AnsibleModule, path: str, wanted: t.Optional[t.Dict[str, t.Any]], result: t.Dict[str, t.Any]) -> None:
    there = os.lstat(path) if os.path.lexists(path) else None
    # Users who may write to the folder can put anything there. Only a regular file is read; anything else is replaced.
    before = _read(path) if there is not None and stat.S_ISREG(there.st_mode) else None
    attributes: t.Dict[str, t.Any] = {}
    after = None
    if wanted is None:
        result["changed"] = there is not None
        if result["changed"] and not module.check_mode:
            os.unlink(path)
            durable.fsync_folder(os.path.dirname(path))
    else:
        mode = _mode(module, there)
        if mode & 0o007 and masked(wanted, JOB) != wanted:
            raise ConfigError(
                "the job document contains a secret, and other users could read it with the mode %04o" % mode,
                path,
                "Set a mode such as 0640",
            )
        after = text(wanted).encode("utf-8", "backslashreplace")
        result["changed"] = before != after
        if result["changed"] and not module.check_mode:
            durable.write_atomically(path, after, mode, _owner(module.params, there))
        if not result["changed"] or not module.check_mode:
            common = module.load_file_common_arguments(module.params, path)
            result["changed"] = module.set_fs_attributes_if_different(common, result["changed"], attributes, expand=False)
    if module._diff:
        content = {"before_header": path, "before": shown(before), "after_header": path, "after": shown(after)}
        result["diff"] = [content] * (before != after) + [attributes] * bool(attributes)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _mode(module: AnsibleModule, there: t.Optional[os.stat_result]) -> int:
    mode = module.params["mode"]
    try:
        if isinstance(mode, int):
            return mode
        if re.fullmatch("[0-7]+", mode):
            return int(mode, 8)
        # A symbolic mode changes the mode of the existing file, or the mode 0600 of a new file.
        return module._symbolic_mode_to_octal(there or os.stat_result((stat.S_IFREG | 0o600, *[0] * 9)), mode)
    except (ValueError, TypeError):
        raise ConfigError("must be permissions such as '0640' or 'u=rw,g=r,o=', not %r" % (mode,), "mode") from None


def _owner(params: t.Mapping[str, t.Any], there: t.Optional[os.stat_result]) -> t.Tuple[int, int]:
    """The user and group ids of the new file; -1 keeps the default. For root, the default is the owner of the file that is replaced."""
    kept = (there.st_uid, there.st_gid) if there is not None and os.geteuid() == 0 else (-1, -1)
    user, group = params["owner"], params["group"]
    return (
        kept[0] if user is None else int(user) if user.isdigit() else _looked_up(lambda: pwd.getpwnam(user).pw_uid, "user", user),
        kept[1] if group is None else int(group) if group.isdigit() else _looked_up(lambda: grp.getgrnam(group).gr_gid, "group", group),
    )


def _looked_up(call: t.Callable[[], int], what: str, name: str) -> int:
    try:
        return call()
    except KeyError:
        raise ConfigError("the %s does not exist on this host" % what, name) from None


def text(document: t.Mapping[str, t.Any]) -> str:
    """The content of the file of a job document. The same document always has the same content."""
    return HEADER + json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def shown(data: t.Optional[bytes]) -> str:
    """A file as a diff may show it. Comments, and files that are not job documents, are not shown, because they can contain secrets."""
    if data is None:
        return ""
    lines = data.decode("utf-8", "replace").splitlines()
    try:
        held = json.loads("\n".join(line for line in lines if not line.lstrip().startswith("//")))
    except (ValueError, RecursionError):
        return "(not a job document)\n"
    if not isinstance(held, dict):
        return "(not a job document)\n"
    shape = "" if text(_ordered(held, JOB)).encode("utf-8", "backslashreplace") == data else "(with other comments, or another layout)\n"
    return shape + text(masked(_ordered(held, JOB), JOB))


def masked(value: t.Any, spec: Spec) -> t.Any:
    """The document with a mask instead of each secret, each unknown option, and each value of a wrong type."""
    return {name: _masked(item, spec[name]) if name in spec else MASK for name, item in value.items()}


def _masked(value: t.Any, option: t.Mapping[str, t.Any]) -> t.Any:
    if value is None:
        return None
    if option["type"] == "list":
        return [_masked(item, dict(option, type=option["elements"])) for item in value] if isinstance(value, list) else MASK
    if option["type"] == "dict" and isinstance(value, dict):
        return masked(value, option["options"])
    known = value in option.get("shorthand", {}) if isinstance(value, str) and option["type"] == "dict" else option["type"] != "dict"
    return MASK if option.get("secret") or not known or isinstance(value, (dict, list)) else value


def _ordered(value: t.Any, spec: Spec) -> t.Any:
    """The document in the order of the table, unknown options last."""
    names = [name for name in spec if name in value] + sorted(name for name in value if name not in spec)
    return {name: _ordered_option(value[name], spec.get(name, {})) for name in names}


def _ordered_option(value: t.Any, option: t.Mapping[str, t.Any]) -> t.Any:
    if isinstance(value, list):
        return [_ordered_option(item, option) for item in value]
    return _ordered(value, option["options"]) if isinstance(value, dict) and "options" in option else value


if __name__ == "__main__":
    main()
