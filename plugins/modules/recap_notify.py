#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: recap_notify
short_description: Tell people of runs, by mail, chat, log or ping
version_added: 0.1.0
description:
  - Sends the recap of one run, or of all runs of a fleet in one message, to the same receivers that a job document knows as C(notify).
  - Each notification is tried twice. One that fails makes the module fail, after all the others were tried.
  - Neither a URL nor a password is in what the module returns, nor in what it says of a failure.
options:
  recaps:
    description:
      - The recaps, as M(infra_ops.log_archive.archive_run) returns them and C(log-archive run --json) prints them.
      - Of a host that has none, such as one that could not be reached, a dict with C(host), C(job), C(outcome) and C(errors) is enough.
      - Without any the module does nothing.
    type: list
    elements: dict
    required: true
requirements:
  - apprise (Python library on the host that runs the module, for O(notify[].type=chat))
notes:
  - Run it once and on the controller, C(run_once) and C(delegate_to=localhost), for one message of the whole fleet.
  - A recap in which the module archive_run has removed what looks like a secret is sent as it is.
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.notify
attributes:
  check_mode:
    support: full
    details: Says which notifications would be sent, and what they say. Nobody is connected.
  diff_mode:
    support: none
    details: A message that was sent replaces nothing.
  idempotent:
    support: none
    details: Each run of the module tells again. O(notify[].when) says of what.
seealso:
  - module: infra_ops.log_archive.archive_run
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Tell of all runs in one message, where any of them has failed
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
  description: What the message says in one line.
  returned: success, where there are recaps
  type: str
  sample: "[log-archive] 12 runs on 4 hosts: 1 failed"
text:
  description: The message as text.
  returned: success, where there are recaps
  type: str
notifications:
  description: What became of each of O(notify), in their order.
  returned: always, unless the options are wrong
  type: list
  elements: dict
  contains:
    type:
      description: The type of the notification.
      type: str
      returned: always
      sample: mail
    state:
      description: V(sent), V(failed), V(not due) where O(notify[].when) did not want it, and in check mode V(would be sent).
      type: str
      returned: always
      sample: sent
    error:
      description: Why it failed. V(null) where it did not.
      type: str
      returned: always
      sample: "notify[0] (mail): the server refuses the login (535)"
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError, LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise_receiver
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
            problems.append("notify[%d].type: textfile is for the job itself, which knows its stores" % index)
    if problems:
        raise ConfigError("%d mistake%s in the options" % (len(problems), "s" if len(problems) > 1 else ""), problems=problems)
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
