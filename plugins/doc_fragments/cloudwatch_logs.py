# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of the module cloudwatch_logs."""

from __future__ import annotations

from ansible_collections.infra_ops.log_archive.plugins.module_utils._cloud_options import CLOUDWATCH_LOGS
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.documentation import documentation


class ModuleDocFragment:
    """Generated from the tables that the argument spec of the module is made of."""

    DOCUMENTATION: str = documentation(CLOUDWATCH_LOGS)
