# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A job document of which only what is given is written: the option ``job``."""

from __future__ import annotations

from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import DOCUMENT_OPTION, documentation


class ModuleDocFragment:
    """Made from the engine's tables, as the modules' argument specs are."""

    DOCUMENTATION: str = documentation(DOCUMENT_OPTION)
