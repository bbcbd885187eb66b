# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""On how many channels a file is sent. tests/stores sends some."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.sftp_lanes import wanted

MIB = 1 << 20


@pytest.mark.parametrize(
    ("size", "round_trip", "lanes"),
    [
        (1 << 40, 0.001, 1),
        (1 << 40, 0.01, 4),
        (1 << 40, float("inf"), 4),
        (0, 0.05, 1),
        # Opening a lane takes four round trips: as many as 8 MiB on one lane.
        (8 * MIB, 0.05, 1),
        (24 * MIB, 0.05, 2),
        (80 * MIB, 0.05, 3),
        (150 * MIB, 0.05, 4),
    ],
)
def test_a_lane_more_only_if_it_saves_time(size: int, round_trip: float, lanes: int) -> None:
    assert wanted(size, round_trip) == lanes
