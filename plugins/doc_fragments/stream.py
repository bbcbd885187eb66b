# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The option ``stream``: a stream document."""

from __future__ import annotations

from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import STREAM_OPTION
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.documentation import documentation


class ModuleDocFragment:
    """Generated from the tables of the engine, like the argument specs of the modules."""

    DOCUMENTATION: str = documentation(STREAM_OPTION)
