# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many examples Hypothesis makes."""

from __future__ import annotations

import sys


def examples(number: int) -> int:
    """As many, or a fifth of them on the oldest Python: another interpreter breaks code that runs at all, not a rare example."""
    return number if sys.version_info >= (3, 10) else max(10, number // 5)
