# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command log-archive."""

from __future__ import annotations

import gc

# The collector otherwise runs a hundred times while the command imports its modules, which it never frees: 5 % of an idle run.
gc.set_threshold(50_000)
