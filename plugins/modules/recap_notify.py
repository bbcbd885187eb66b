#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: recap_notify
short_description: Report runs by mail, chat, log file, ping or AWS
version_added: 0.9.0
description:
  - Sends the recap of one run, or the recaps of a whole fleet in one message, to the receivers that a job document configures in C(notify).
  - Each notification gets two attempts. If one fails, the module still tries all the others, and then fails.
  - Neither the return values nor the error messages contain URLs or passwords.
options:
  recaps:
    description:
      - The recaps that M(infra_ops.log_archive.archive_run) returns or C(log-archive run --json) prints.
      - For a host without a recap, for example an unreachable host, a dict with C(host), C(job), C(outcome) and C(errors) is sufficient.
      - If the list is empty, the module does nothing.
    type: list
    elements: dict
    required: true
requirements:
  - apprise (Python library on the host that runs the module, for O(notify[].type=chat))
  - boto3 (Python library on the host that runs the module, for O(notify[].type=cloudwatch) and O(notify[].type=eventbridge))
notes:
  - To send one message for the whole fleet, run the module once, on the controller, with C(run_once) and C(delegate_to=localhost).
  - The module sends recaps unchanged. M(infra_ops.log_archive.archive_run) and C(log-archive run) remove secrets from them.
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.notify
attributes:
  check_mode:
    support: full
    details: Returns the message, and which notifications would be sent. It does not connect to any server.
  diff_mode:
    support: none
    details: A notification has no previous state.
  idempotent:
    support: none
    details: Each call sends the notifications again. O(notify[].when) selects the runs to report.
seealso:
  - module: infra_ops.log_archive.archive_run
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Report all runs in one message if any of them failed
  infra_ops.log_archive.recap_notify:
    recaps: "{{ ansible_play_hosts_all | map('extract', hostvars, ['archived', 'recap']) | select('defined') }}"
    notify:
      - type: mail
        to:
          - ops@example.com
        server: smtp.example.com
        user: archive
        password: "{{ smtp_password }}"
        when: [failure]
      - type: chat
        url: "{{ mattermost_webhook }}"
        when: [failure, warning]
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
subject:
  description: A one-line summary of the runs.
  returned: success, if there are recaps
  type: str
  sample: "[log-archive] 12 runs on 4 hosts: 1 failed"
text:
  description: The message as plain text.
  returned: success, if there are recaps
  type: str
notifications:
  description: The result of each entry of O(notify), in the same order.
  returned: always, unless the options are invalid
  type: list
  elements: dict
  contains:
    type:
      description: The type of the notification.
      type: str
      returned: always
      sample: mail
    state:
      description: >-
        V(sent), V(failed), V(not due) if O(notify[].when) does not select these runs, or in check mode V(would be sent).
      type: str
      returned: always
      sample: sent
    error:
      description: Why the notification failed. V(null) if it did not.
      type: str
      returned: always
      sample: "notify[0] (mail): the server refuses the login (535)"
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError, LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise_receiver, refuse
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import NOTIFY
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import notifying
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.messages import Message
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.records import complete
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import argument_spec, reporting, unescaped_paths
from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import NOTIFY_OPTION

WANTED = {"host": str, "job": str, "outcome": str, "errors": list}
"""What a recap must have. Everything else is optional."""


def main() -> None:
    arguments = argument_spec(NOTIFY_OPTION)
    arguments["recaps"] = {"type": "list", "elements": "dict", "required": True}
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    with reporting(module) as result:
        targets = _targets(module.params["notify"])
        recaps = _recaps(module.params["recaps"])
        outcomes = notifying.send(targets, recaps, module.check_mode) if recaps else []
        if recaps:
            message = Message(recaps)
            result.update(subject=message.subject, text=message.text())
        result["notifications"] = [{"type": each.type, "state": each.state, "error": each.error} for each in outcomes]
        result["changed"] = any(each.state in ("sent", "would be sent") for each in outcomes)
        errors = [each.error for each in outcomes if each.error]
        if errors:
            raise LogArchiveError("%d of %d notifications failed (%s)" % (len(errors), len(outcomes), "; ".join(errors)))


def _targets(given_targets: t.Sequence[t.Mapping[str, t.Any]]) -> t.List[t.Dict[str, t.Any]]:
    targets, problems = [], []
    for index, target in enumerate(given_targets):
        try:
            targets.append(normalise_receiver(unescaped_paths(target, NOTIFY)))
        except ConfigError as error:
            problems += ["notify[%d].%s" % (index, problem) for problem in error.problems]
            continue
        if target["type"] == "textfile":
            problems.append("notify[%d].type: textfile is available only in a job document" % index)
    refuse(problems, "options")
    return targets


def _recaps(recaps: t.Sequence[t.Mapping[str, t.Any]]) -> t.List[t.Dict[str, t.Any]]:
    problems = [
        "recaps[%d].%s: is missing, or is not a %s" % (index, name, "string" if kind is str else "list")
        for index, recap in enumerate(recaps)
        for name, kind in WANTED.items()
        if not isinstance(recap.get(name), kind)
    ]
    if problems:
        raise ConfigError("recaps are not recaps of runs", problems=problems)
    return [complete(recap) for recap in recaps]


if __name__ == "__main__":
    main()
