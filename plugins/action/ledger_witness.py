# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of ledger_witness: it compares the ledgers of a host with what the controller has seen of them."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import witnessing


class ActionModule(ActionBase):
    """See the documentation of the module ledger_witness."""

    _supports_check_mode = True

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[t.Dict[str, t.Any]] = None) -> t.Dict[str, t.Any]:
        """Compare and remember; returns the result that the module's documentation lists."""
        result = super().run(tmp, task_vars)
        arguments = self.validate_argument_spec(argument_spec=witnessing.ARGUMENTS)[1]
        host = arguments["host"] or (task_vars or {})["inventory_hostname"]
        with witnessing.reporting():
            result.update(witnessing.Comparison(self, arguments).compare(host, not self._task.check_mode))
        return result
