# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of the module ``cloudtrail_events``."""

from __future__ import annotations

from ansible_collections.infra_ops.log_archive.plugins.module_utils._cloud_options import CLOUDTRAIL_EVENTS
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.documentation import documentation


class ModuleDocFragment:
    """Generated from the tables of the module, like its argument spec."""

    DOCUMENTATION: str = documentation(CLOUDTRAIL_EVENTS)
