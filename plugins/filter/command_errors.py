# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What went wrong on a host where a play has run the command ``log-archive``."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import EXIT_DONE, EXIT_PARTLY

DOCUMENTATION = r"""
name: command_errors
short_description: What went wrong where a play ran the command log-archive
version_added: 0.1.0
description:
  - Takes the registered result of a task that ran C(log-archive COMMAND --json) and returns what went wrong there, one sentence each.
    An empty list means that nothing did.
  - A play can so let all hosts run, show what came of it, and then fail exactly those hosts that failed, each with its reasons.
positional: _input
options:
  _input:
    description:
      - The result. One of a host that was unreachable or does not have the command is welcome, and so is one that is undefined.
      - A dict with C(no_jobs) stands for a host that has nothing to run.
    type: dict
    required: true
  partly:
    description: Whether it is fine that archives wait in the spool, because nothing was to be sent off the host.
    type: bool
    default: false
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Run every job
  ansible.builtin.command:
    argv: [/usr/local/bin/log-archive, run, --all, --json]
  register: archived
  changed_when: archived | infra_ops.log_archive.command_rows | selectattr('changed', 'defined') | selectattr('changed') | length > 0
  failed_when: archived | infra_ops.log_archive.command_errors | length > 0
"""

RETURN = r"""
_value:
  description: What went wrong, with the job where the command named it.
  type: list
  elements: str
"""

LAST_LINES = 5
"""Of what the command wrote to standard error, where it did not come to its result."""


def command_errors(result: t.Any, partly: bool = False) -> t.List[str]:
    """See DOCUMENTATION."""
    if not isinstance(result, dict):
        return ["nothing was run here"]
    if result.get("no_jobs"):
        return []
    if result.get("unreachable"):
        return ["unreachable: %s" % result.get("msg", "no reason given")]
    code = result.get("rc")
    if code == EXIT_DONE:
        return []
    try:
        told = json.loads(result.get("stdout") or "")
    except ValueError:
        return [_without_result(result, code)]
    if isinstance(told, dict):
        # The error that ended the command names every mistake by itself.
        return [told.get("error", {}).get("text") or "log-archive ended with status %s" % code]
    errors = [text for row in told for text in _of_row(row)]
    if code == EXIT_PARTLY and partly and not errors:
        return []
    return errors or ["log-archive ended with status %s" % code]


def _without_result(result: t.Mapping[str, t.Any], code: t.Any) -> str:
    lines = (result.get("stderr") or result.get("msg") or "no reason given").strip().splitlines()
    text = "log-archive gave no result (status %s): %s" % (code, " / ".join(lines[-LAST_LINES:]))
    if "No such file or directory" in text and not result.get("stderr"):
        return text + ". Set the host up with infra_ops.log_archive.site"
    return text


def _of_row(row: t.Mapping[str, t.Any]) -> t.List[str]:
    """What one row of ``run``, ``prune``, ``verify`` or ``status`` says against its job."""
    job = "%s: " % row["job"] if row.get("job") else ""
    if "errors" in row:
        return [job + text for text in row["errors"]]
    if "error" in row:
        return ["%sstore %s: %s: %s" % (job, row["store"], row["key"], row["error"])] if row["error"] else []
    return [job + row["state"]] if row.get("exit_code") else []


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"command_errors": command_errors}
