# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of a module that writes stream documents without defaults."""

from __future__ import annotations

from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import STREAM_DOCUMENT_OPTION
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.documentation import documentation


class ModuleDocFragment:
    """Generated from the tables of the engine, like the argument specs of the modules."""

    DOCUMENTATION: str = documentation(STREAM_DOCUMENT_OPTION)
