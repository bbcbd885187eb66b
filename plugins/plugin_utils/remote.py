# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running ``log-archive`` on a host from an action plugin, over the connection alone.

A module would have to be packed, copied and started by Python, which takes seven times the processor time of the command.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import typing as t

if t.TYPE_CHECKING:
    from ansible.plugins.action import ActionBase

NOT_FOUND = 127
"""The exit status of a POSIX shell that did not find a command."""


def execute(action: ActionBase, argv: t.Sequence[str]) -> t.Dict[str, t.Any]:
    """Run a command on the host of the action, with its privileges; returns ``rc``, ``stdout`` and ``stderr``.

    A command that is missing gives the ``rc`` ENOENT and no output, as ``ansible.builtin.command`` returns it. Raises
    AnsibleConnectionFailure if the host does not answer.
    """
    marker = "log-archive-" + os.urandom(16).hex()
    environment = action._compute_environment_string()
    program = " ".join([*([environment] if environment else []), *map(shlex.quote, argv)])
    answer = action._low_level_execute_command("/bin/sh -c " + shlex.quote(_script(program, marker)))
    return separated(answer["rc"], answer["stdout"], answer["stderr"], marker, argv[0])


def _script(program: str, marker: str) -> str:
    # With a terminal, such as SSH has for sudo, both outputs arrive as one, and sudo prints into it, too. So each part gets a mark.
    return (
        "printf '%%s\\n' %(marker)s; { errors=$(%(program)s </dev/null 2>&1 >&3 3>&-); status=$?; } 3>&1; "
        "printf '\\n%%s\\n%%s\\n' %(marker)s \"$errors\"; exit $status"
    ) % {"marker": marker, "program": program}


def separated(rc: int, stdout: str, stderr: str, marker: str, command: str) -> t.Dict[str, t.Any]:
    """The result of a command from what the connection returned."""
    before, *rest = re.split("(?m)^%s$\n?" % marker, stdout.replace("\r\n", "\n"))
    if len(rest) != 2:
        # It did not start, or its end did not arrive, which is not a success.
        return {"rc": rc or 1, "stdout": "", "stderr": "\n".join(text for text in (stdout.strip(), stderr.strip()) if text)}
    printed, errors = (text.rstrip("\n") for text in rest)
    if rc == NOT_FOUND and not printed and command in errors:
        return {"rc": errno.ENOENT, "stdout": "", "stderr": ""}
    return {"rc": rc, "stdout": printed, "stderr": "\n".join(text for text in (before.strip(), stderr.strip(), errors) if text)}
