# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of command_run, which is all of it: it needs the connection only, no module on the host."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import command, remote, witnessing

ARGUMENTS: t.Dict[str, t.Any] = {
    "arguments": {"type": "list", "elements": "str", "required": True},
    "command": {"type": "path", "default": "/opt/log-archive/bin/log-archive"},
    "config": {"type": "path"},
    "witness": {
        "type": "dict",
        "options": {
            "folder": {"type": "str", "required": True},
            "jobs": {"type": "list", "elements": "str", "default": []},
            "accept": {"type": "bool", "default": False},
            "remember": {"type": "bool", "default": True},
        },
    },
}
NOTHING_TO_RUN = ("no_jobs", command.MISSING_COMMAND)
WITH_HEADS = ("run", "status")
"""The rows of these commands state where the ledgers end."""


class ActionModule(ActionBase):
    """See the documentation of the module command_run."""

    _supports_check_mode = True

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[t.Dict[str, t.Any]] = None) -> t.Dict[str, t.Any]:
        """Run the command; returns the result that the module's documentation lists."""
        result = super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)[1]
        if self._task.check_mode:
            return dict(result, changed=False, skipped=True, msg="in check mode the command does not run")
        argv = [arguments["command"], *arguments["arguments"], "--json"]
        result.update(remote.execute(self, argv + (["--config", arguments["config"]] if arguments["config"] else [])))
        # Otherwise Ansible takes each status but 0 for a failure.
        result["failed"] = False
        rows = command.rows(result)
        result["changed"] = any(isinstance(row, dict) and row.get("changed") is True for row in rows)
        # The site playbook does not set up such a host, so it has nothing to run.
        if command.error_kind(result) in NOTHING_TO_RUN and not self._has_jobs(variables):
            result["no_jobs"] = True
        elif rows and arguments["witness"]:
            witnessed = self._witnessed(arguments, rows, variables)
            result["warnings"] = [*result.get("warnings", ()), *witnessed.pop("warnings", ())]
            result["witnessed"] = witnessed
        return result

    def _has_jobs(self, variables: t.Dict[str, t.Any]) -> bool:
        lookup = self._shared_loader_obj.lookup_loader.get("infra_ops.log_archive.jobs", loader=self._loader, templar=self._templar)
        try:
            return bool(lookup.run([], variables=variables)[0])
        except AnsibleError:
            return True  # They have mistakes, which the playbook site reports.

    def _witnessed(
        self, arguments: t.Mapping[str, t.Any], rows: t.List[t.Dict[str, t.Any]], variables: t.Mapping[str, t.Any]
    ) -> t.Dict[str, t.Any]:
        witness = arguments["witness"]
        # To accept a ledger takes a look at it.
        stated = rows if arguments["arguments"][0] in WITH_HEADS and not witness["accept"] else None
        known = {"command": arguments["command"], "config": arguments["config"], "rows": stated}
        try:
            with witnessing.reporting():
                return witnessing.Comparison(self, {**witness, **known}).compare(variables["inventory_hostname"], witness["remember"])
        except AnsibleError as error:
            # The command has run, and its result counts.
            return {"failed": True, "msg": str(error)}
