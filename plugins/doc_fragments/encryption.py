# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The option ``keyring``."""

from __future__ import annotations

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.encryption_spec import KEYRING
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.documentation import documentation


class ModuleDocFragment:
    """Generated from the tables of the engine, like the argument specs of the modules."""

    DOCUMENTATION: str = documentation(KEYRING)
