# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is told of runs: the option ``notify``."""

from __future__ import annotations

from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import NOTIFY_OPTION, documentation


class ModuleDocFragment:
    """Made from the engine's tables, as the modules' argument specs are."""

    DOCUMENTATION: str = documentation(NOTIFY_OPTION)
