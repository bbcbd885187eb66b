# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""kill -9 at every step of the pipeline, then a normal run: every source archived exactly once, verified, restorable, nothing left over."""

from __future__ import annotations

import os
import pathlib
import random
import shutil
import typing as t

import pytest
from faults.conftest import Killer
from faults.host import NOW, Host, archives_in, assert_complete, assert_tidy, at, file_store, random_bytes

SEED = 20240112


def sampled(steps: int, most: t.Optional[int]) -> t.List[int]:
    """All steps, or ``most`` of them evenly."""
    if most is None or steps <= most:
        return list(range(1, steps + 1))
    return sorted({1 + round(index * (steps - 1) / (most - 1)) for index in range(most)})


def finish(killer: Killer, host: Host, **changes: t.Any) -> t.Dict[str, t.Any]:
    """The normal run after a kill, and one more that must find nothing to do."""
    after = killer.run(host.document(**changes))
    assert after["error"] is None
    assert after["recap"]["errors"] == []
    assert after["recap"]["exit_code"] == 0
    assert host.spooled() == []
    again = killer.run(host.document(**changes))
    assert again["recap"]["outcome"] == "nothing to do", again
    return t.cast(t.Dict[str, t.Any], after["recap"])


def test_file_store_at_every_step(killer: Killer, quick_path: pathlib.Path) -> None:
    whole = Host(quick_path / "whole")
    whole.write_logs(13, 14)
    steps = killer.run(whole.document(), count=True)["steps"]
    assert steps > 200
    for step in sampled(steps, None):
        host = Host(quick_path / str(step))
        wanted = {str(path): path.read_bytes() for path in host.write_logs(13, 14)}
        assert killer.run(host.document(), kill_at=step)["killed"], step
        finish(killer, host)
        assert_complete(file_store(host.store), host, wanted)
        assert_tidy(host.store)
        shutil.rmtree(host.folder)
