# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""With which keys."""

from __future__ import annotations

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import KEYRING
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import documentation


class ModuleDocFragment:
    """Made from the engine's tables, as the modules' argument specs are."""

    DOCUMENTATION: str = documentation(KEYRING)
