# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verification levels: each reaches itself and the weaker ones."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.levels import VERIFICATION_LEVELS, reaches


@pytest.mark.parametrize("index", range(len(VERIFICATION_LEVELS)))
def test_a_level_reaches_itself_and_the_weaker_ones(index: int) -> None:
    level = VERIFICATION_LEVELS[index]
    assert [wanted for wanted in VERIFICATION_LEVELS if reaches(level, wanted)] == list(VERIFICATION_LEVELS[: index + 1])
