# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Further stores of the same archives: the option ``fallback_stores``."""

from __future__ import annotations

from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import FALLBACK_STORES_OPTION
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.documentation import documentation


class ModuleDocFragment:
    """Made from the engine's tables, as the modules' argument specs are."""

    DOCUMENTATION: str = documentation(FALLBACK_STORES_OPTION)
