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
  purge:
    description:
      - With O(jobs), remove the documents in O(folder) that Ansible has written and that are of no job in O(jobs). Documents that operators
        wrote stay.
    type: bool
    default: false
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
    jobs: "{{ lookup('infra_ops.log_archive.jobs').values() }}"
    purge: true
    group: log-archive-operators
    mode: "0660"

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
  returned: success, without O(jobs)
  type: str
  sample: /etc/log-archive/jobs.d/syslog.json
written:
  description: With O(jobs), the files that changed, or would change in check mode.
  returned: success
  type: list
  elements: str
  sample: [/etc/log-archive/jobs.d/syslog.json]
removed:
  description: With O(jobs), the files that were removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: []
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
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise, normalise_options
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.files import job_of
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.option import Spec
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import DEFAULT_CONFIG, JOB
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import set_up
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import argument_spec, document, reporting, unescaped
from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import DOCUMENT_OPTION

HEADER = "// Managed by Ansible (infra_ops.log_archive): changes here are overwritten\n"
MARK = b"// Managed by Ansible (infra_ops.log_archive)"
MASK = "********"


def main() -> None:
    arguments = argument_spec(DOCUMENT_OPTION)
    arguments.update(
        folder={"type": "path", "default": DEFAULT_CONFIG},
        name={"type": "str"},
        purge={"type": "bool", "default": False},
        state={"type": "str", "choices": ["present", "absent"], "default": "present"},
        mode={"type": "raw", "default": "0640"},
    )
    module = AnsibleModule(
        argument_spec=arguments,
        required_if=[("state", "present", ["job", "jobs"], True), ("state", "absent", ["name"])],
        mutually_exclusive=[("job", "jobs", "name")],
        add_file_common_args=True,
        supports_check_mode=True,
    )
    with reporting(module) as result:
        folder = unescaped(module.params["folder"])
        plan = _plan(module.params, folder)
        differences: t.List[t.Dict[str, t.Any]] = []
        changed: t.List[str] = []
        for path, wanted in plan:
            try:
                if _apply(module, path, wanted, differences):
                    changed.append(path)
            except OSError as error:
                message = "cannot write or remove the job document: %s" % error.strerror
                raise LogArchiveError(message, error.filename or path) from error
        result["changed"] = bool(changed)
        if module.params["jobs"] is None:
            result["path"] = plan[0][0]
        else:
            gone = [path for path, wanted in plan if wanted is None]
            result.update(written=[path for path in changed if path not in gone], removed=gone)
        if module._diff:
            result["diff"] = differences


def _plan(params: t.Mapping[str, t.Any], folder: str) -> t.List[t.Tuple[str, t.Optional[t.Dict[str, t.Any]]]]:
    """Each file with the document that it must hold, None if it must not exist. All documents are checked here, before any is written."""
    if params["state"] == "absent":
        name = normalise_options({"name": params["name"]}, {"name": JOB["name"]})["name"]
        return [(os.path.join(folder, name + ".json"), None)]
    jobs = [params["job"]] if params["jobs"] is None else params["jobs"]
    plan: t.List[t.Tuple[str, t.Optional[t.Dict[str, t.Any]]]] = []
    for job in jobs:
        wanted = document({"job": job})
        plan.append((os.path.join(folder, wanted["name"] + ".json"), wanted))
    others = _others(folder, [path for path, _document in plan]) if params["purge"] else []
    return plan + [(path, None) for path in others]


def _others(folder: str, kept: t.Sequence[str]) -> t.List[str]:
    """The documents in a folder that Ansible has written, but for those to keep. A folder that is not there has none."""
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    paths = [os.path.join(folder, name) for name in names if name.endswith(".json")]
    return [path for path in paths if path not in kept and _is_of_ansible(path)]


def _is_of_ansible(path: str) -> bool:
    """Whether the first line of a regular file says so. No link is followed: operators may write to the folder."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return False
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return file.readline(len(HEADER) + 1).startswith(MARK)


def _apply(module: AnsibleModule, path: str, wanted: t.Optional[t.Dict[str, t.Any]], differences: t.List[t.Dict[str, t.Any]]) -> bool:
    """Write or remove one document; return whether that changes something."""
    there = os.lstat(path) if os.path.lexists(path) else None
    # Users who may write to the folder can put anything there. Only a regular file is read; anything else is replaced.
    before = _read(path) if there is not None and stat.S_ISREG(there.st_mode) else None
    attributes: t.Dict[str, t.Any] = {}
    after = None
    metrics = [] if before is None else set_up.folders_of(_given(before))
    if wanted is None:
        changed = there is not None
        if changed and not module.check_mode:
            os.unlink(path)
            durable.fsync_folder(os.path.dirname(path))
            set_up.remove(job_of(path), metrics)
    else:
        mode = _mode(module, there)
        if mode & 0o007 and masked(wanted, JOB) != wanted:
            raise ConfigError(
                "the job document contains a secret, and other users could read it with the mode %04o" % mode,
                path,
                "Set a mode such as 0640",
            )
        after = text(wanted).encode("utf-8", "backslashreplace")
        changed = before != after
        if changed and not module.check_mode:
            durable.write_atomically(path, after, mode, _owner(module.params, there))
            set_up.remove(job_of(path), set(metrics) - set(set_up.folders_of(wanted)))
            set_up.add(normalise(wanted, path))
        if not changed or not module.check_mode:
            common = module.load_file_common_arguments(module.params, path)
            changed = module.set_fs_attributes_if_different(common, changed, attributes, expand=False)
    if module._diff:
        content = {"before_header": path, "before": shown(before), "after_header": path, "after": shown(after)}
        differences += [content] * (before != after) + [attributes] * bool(attributes)
    return changed


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _given(data: bytes) -> t.Dict[str, t.Any]:
    """The document that is in these bytes; nothing if they hold none."""
    lines = data.decode("utf-8", "replace").splitlines()
    try:
        given = json.loads("\n".join(line for line in lines if not line.lstrip().startswith("//")))
    except (ValueError, RecursionError):
        return {}
    return given if isinstance(given, dict) else {}


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
