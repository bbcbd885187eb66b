# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stores with the archives of a CloudTrail trail."""

from __future__ import annotations

from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import TRAIL_STORES
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.documentation import documentation


class ModuleDocFragment:
    """Generated from the tables of the engine, like the argument specs of the modules."""

    DOCUMENTATION: str = documentation(
        TRAIL_STORES, requirements=["paramiko (Python library on the host that runs the module, for O(store.type=sftp))"]
    )
