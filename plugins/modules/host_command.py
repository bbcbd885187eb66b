#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: host_command
short_description: Install the command log-archive on a host
version_added: 0.9.0
description:
  - Installs the engine of this collection as a Python package in C(<prefix>/lib/log_archive), and the command as
    C(<prefix>/bin/log-archive). The host then archives without a controller and without Ansible.
  - The installation is atomic. Each version is written to a new folder and compiled, and then one rename of a symbolic link activates it.
    If the installation is interrupted, the previous version stays active.
  - A run in progress keeps the version that it started with. The next installation removes that version.
options:
  prefix:
    description: The folder to install into.
    type: path
    default: /opt/log-archive
  interpreter:
    description:
      - The Python interpreter that runs the command, such as C(/opt/log-archive/venv/bin/python). It must be Python 3.9 or newer and have
        the libraries that the stores of the host need. Required with O(state=present).
    type: path
  state:
    description:
      - Whether the command is installed.
      - V(absent) keeps other files in O(prefix). It removes the folder if it is empty.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
attributes:
  check_mode:
    support: full
    details: The interpreter does not have to exist yet.
  diff_mode:
    support: full
    details: The version, the interpreter, and each file with the first digits of its SHA-256, before and after.
  idempotent:
    support: full
    details: The contents are compared. If a file was changed on the host, or the interpreter differs, the command is installed again.
seealso:
  - module: infra_ops.log_archive.job_document
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Install the command
  infra_ops.log_archive.host_command:
    interpreter: /opt/log-archive/venv/bin/python

- name: Remove the command
  infra_ops.log_archive.host_command:
    state: absent
"""

RETURN = r"""
version:
  description: The version that this collection installs.
  returned: success
  type: str
  sample: 0.9.0
previous:
  description: The version that was installed before. V(null) if there was none.
  returned: success
  type: str
  sample: 0.9.0
command:
  description: The path of the command.
  returned: success
  type: str
  sample: /opt/log-archive/bin/log-archive
package:
  description: The folder of the package, a symbolic link to the active version.
  returned: success
  type: str
  sample: /opt/log-archive/lib/log_archive
"""

import os
import re
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils import _engine
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError, LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._installation import (
    PROBE,
    Installation,
    digest_of,
    launcher_of,
    lines_of,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import difference, reporting, unescaped

LONGEST_FIRST_LINE = 127
MANUAL = "import sys; sys.path.insert(0, sys.argv[1]); from log_archive.cli.main import main; raise SystemExit(main(['man']))"
"""The program that prints the manual page of the package in a folder."""


def _shipped() -> None:
    """Never called. Ansible ships the modules that import statements name: with these imports it ships the whole engine."""
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import launch  # noqa: F401
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cloud import export, queries, reconcile  # noqa: F401
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import document  # noqa: F401
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import zips  # noqa: F401
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state import record  # noqa: F401
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import set_up  # noqa: F401


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "prefix": {"type": "path", "default": "/opt/log-archive"},
            "interpreter": {"type": "path"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ["interpreter"])],
        supports_check_mode=True,
    )
    with reporting(module) as result:
        host = Installation(unescaped(module.params["prefix"]))
        result.update(version=_engine.__version__, previous=host.version(), command=host.command, package=host.package)
        before = host.lines()
        try:
            if module.params["state"] == "absent":
                after: t.List[str] = []
                result["changed"] = host.exists()
                if result["changed"] and not module.check_mode:
                    host.remove()
            else:
                after = _present(module, host, result)
        except OSError as error:
            raise LogArchiveError(
                "the command cannot be installed or removed (%s)" % error.strerror, error.filename or host.prefix
            ) from error
        if module._diff:
            result["diff"] = difference(before, after)


def _present(module: AnsibleModule, host: Installation, result: t.Dict[str, t.Any]) -> t.List[str]:
    interpreter = unescaped(module.params["interpreter"])
    launcher = launcher_of(interpreter, host.package)
    first = launcher.partition("\n")[0]
    if not os.path.isabs(interpreter) or re.search(r"\s", interpreter) or len(os.fsencode(first)) > LONGEST_FIRST_LINE:
        raise ConfigError(
            "must be an absolute path without blanks, of %d bytes at most" % (LONGEST_FIRST_LINE - len("#! -IXutf8")),
            "interpreter %s" % interpreter,
            "The first line of the command contains it",
        )
    if os.path.lexists(host.package) and not os.path.islink(host.package):
        raise ConfigError("the path exists, but this module did not create it", host.package, "Move it away")
    engine = sources()
    tag = _cache_tag(module, interpreter)
    result["changed"] = tag is None or not host.holds(digest_of(engine), launcher, tag)
    if result["changed"] and not module.check_mode:
        host.install(engine, launcher, lambda folder: _compile(module, interpreter, folder))
    return lines_of(_engine.__version__, launcher, engine)


def _cache_tag(module: AnsibleModule, interpreter: str) -> t.Optional[str]:
    """The cache tag of the interpreter, which is part of the names of compiled files. None in check mode if it does not exist yet."""
    if not os.path.exists(interpreter):
        if module.check_mode:
            return None
        raise ConfigError("the interpreter does not exist", interpreter, "Install one with the role dependencies")
    code, out, err = module.run_command([interpreter, "-I", "-c", PROBE], handle_exceptions=False)
    if code != 0 or out.strip() == "old":
        raise ConfigError("the interpreter cannot run the command (%s)" % (err.strip() or "it is older than Python 3.9"), interpreter)
    return t.cast(str, out.strip())


def _compile(module: AnsibleModule, interpreter: str, folder: str) -> bytes:
    """Compile the package in the folder; returns its manual page."""
    code, out, err = module.run_command([interpreter, "-I", "-m", "compileall", "-q", folder], handle_exceptions=False)
    if code != 0:
        raise LogArchiveError("the engine cannot be compiled (%s)" % (out + err).strip(), interpreter)
    code, out, err = module.run_command([interpreter, "-IXutf8", "-c", MANUAL, folder], handle_exceptions=False)
    if code != 0:
        raise LogArchiveError("the engine cannot print its manual page (%s)" % err.strip(), interpreter)
    return out.encode("utf-8")


def sources() -> t.Dict[str, bytes]:
    """The files of the engine that Ansible shipped with this module, by their paths below the package."""
    from importlib import resources

    found: t.Dict[str, bytes] = {}

    def visit(folder: t.Any, below: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir():
                visit(entry, below + entry.name + "/")
            elif entry.name.endswith(".py"):
                found[below + entry.name] = entry.read_bytes()

    visit(resources.files(_engine), "")
    return dict(sorted(found.items()))


if __name__ == "__main__":
    main()
