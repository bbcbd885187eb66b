# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of timed_prompt, which is all of it: ansible.builtin.pause returns no answer if it has a time limit."""

from __future__ import annotations

import time
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import AnsiblePromptInterrupt, AnsiblePromptNoninteractive, Display

ARGUMENTS: t.Dict[str, t.Any] = {"prompt": {"type": "str", "required": True}, "seconds": {"type": "int", "default": 300}}


class ActionModule(ActionBase):
    """See the documentation of the module timed_prompt."""

    BYPASS_HOST_LOOP = True
    _supports_check_mode = True

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[t.Dict[str, t.Any]] = None) -> t.Dict[str, t.Any]:
        """Ask; returns the result that the module's documentation lists."""
        result = super().run(tmp, task_vars)
        arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)[1]
        answer, reason = self._ask(arguments["prompt"], arguments["seconds"])
        result.update(changed=False, answer=answer, reason=reason)
        return result

    def _ask(self, prompt: str, seconds: int) -> t.Tuple[t.Optional[str], t.Optional[str]]:
        started = time.monotonic()
        try:
            typed = Display().prompt_until("[%s]\n%s:" % (self._task.get_name().strip(), prompt), seconds=seconds)
        except AnsiblePromptNoninteractive:
            return None, "no_terminal"
        except AnsiblePromptInterrupt:
            raise AnsibleActionFail("the user interrupted the prompt") from None
        # At the end of the time Ansible returns what was typed until then, as if it were complete.
        if time.monotonic() - started >= seconds:
            return None, "timeout"
        return typed.decode("utf-8", "replace").strip(), None
