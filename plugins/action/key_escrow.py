# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of key_escrow: it copies a key before the host has it or uses it.

It runs in the process of the controller, so no key is a task's argument, a variable or a result, and a key is only written under its final
name and a temporary one beside it.
"""

from __future__ import annotations

import base64
import os
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import keyring
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import difference
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.escrow import SUFFIX, Escrow

ARGUMENTS: t.Dict[str, t.Any] = {
    "keyring": {"type": "path", "required": True},
    "folder": {"type": "str", "required": True},
    "host": {"type": "str"},
    "vault_secret": {"type": "str", "no_log": True},
    "key": {"type": "str", "no_log": True},
    "make_current": {"type": "bool", "default": False},
    "rotate": {"type": "bool", "default": False},
    "max_age": {"type": "str"},
    "restore": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """See the documentation of the module key_escrow."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[t.Dict[str, t.Any]] = None) -> t.Dict[str, t.Any]:
        """Compare, copy, restore and rotate keys; returns the result that the module's documentation lists."""
        result = super().run(tmp, task_vars)
        self._vars = task_vars or {}
        # fernet_key checks which options go together.
        arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)[1]
        try:
            result.update(self._escrow(arguments))
        except LogArchiveError as error:
            raise AnsibleActionFail(str(error)) from None
        except OSError as error:
            raise AnsibleActionFail("cannot use the escrow: %s: %s" % (error.filename, error.strerror)) from None
        return result

    def _escrow(self, arguments: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
        check = self._task.check_mode
        ring = arguments["keyring"]
        escrow = Escrow(arguments["folder"], arguments["host"] or self._vars["inventory_hostname"], arguments["vault_secret"])
        wanted = {name: arguments[name] for name in ("rotate", "max_age", "key", "make_current") if arguments[name]}
        plan = self._fernet_key(True, keyring=ring, **wanted)
        before = {key["id"]: key for key in plan["keys"]}
        copied = [id for id in before if not escrow.holds(id)]
        restored = [id for id in escrow.ids() if arguments["restore"] and id not in before]
        for id in [] if check else copied:
            escrow.write(id, self._key_of_host(ring, before[id]))
        for id in [] if check else restored:
            self._fernet_key(False, keyring=ring, key=escrow.read(id))

        imported = plan["key_id"] if arguments["key"] else None
        if imported and not escrow.holds(imported):
            copied.append(imported)
            if not check:
                escrow.write(imported, arguments["key"].strip())
        done = plan
        if plan["changed"] and not check:
            text = arguments["key"]
            if text is None:
                secret = keyring.generate_key()
                text = base64.urlsafe_b64encode(secret).decode("ascii")
                copied.append(keyring.key_id(secret))
                escrow.write(copied[-1], text)
            done = self._fernet_key(False, keyring=ring, key=text, make_current=arguments["make_current"] or not arguments["key"])
        changed = bool(plan["changed"] or copied or restored)
        result = {name: done[name] for name in ("key_id", "current", "previous")}
        result.update(changed=changed, copied=copied, restored=restored, folder=escrow.folder, warnings=escrow.unencrypted(before))
        if self._task.diff:
            after = {key["id"] for key in done["keys"]}.union(restored, copied)
            result["diff"] = difference(
                (_line(id, id not in copied) for id in sorted(before)),
                [_line(id, True) for id in sorted(after)]
                + ["a new key, with a copy"] * (check and plan["changed"] and not arguments["key"]),
            )
        return result

    def _key_of_host(self, ring: str, key: t.Mapping[str, t.Any]) -> str:
        # At -vvv a connection shows the output of a module, unless its play context has no_log. The task's own no_log would also hide
        # the result and the reason of a failure.
        shown = self._connection._play_context
        before, shown.no_log = shown.no_log, True
        try:
            path = os.path.join(ring, *(["removed"] if key["removed"] else []), key["id"] + SUFFIX)
            answer = self._module("ansible.builtin.slurp", {"src": path})
        finally:
            shown.no_log = before
        return base64.b64decode(answer["content"]).decode("ascii", "replace").strip()

    def _fernet_key(self, check: bool, **arguments: t.Any) -> t.Dict[str, t.Any]:
        before, self._task.check_mode = self._task.check_mode, check
        try:
            return self._module("infra_ops.log_archive.fernet_key", arguments)
        finally:
            self._task.check_mode = before

    def _module(self, name: str, arguments: t.Dict[str, t.Any]) -> t.Dict[str, t.Any]:
        answer = self._execute_module(module_name=name, module_args=arguments, task_vars=self._vars)
        if answer.get("failed"):
            # The result has more, such as the error output of an interpreter that could not start.
            raise AnsibleActionFail(str(answer.get("msg", "%s failed" % name)), result=answer)
        return answer


def _line(id: str, copy: bool) -> str:
    return "%s (%s)" % (id, "copy" if copy else "no copy")
