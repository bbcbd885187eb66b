# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backlog of a few small batches that two processes store in turns."""

from __future__ import annotations

import os
import typing as t

import lab
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower, reading, turns
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.checkpoint import Parsed
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.helper import Helper

if t.TYPE_CHECKING:
    import pytest
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.checkpoint import Batch, Stored
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.base import Sink

LINES = 120


def staged(sink: Sink, batch: Batch) -> Batch:
    """What ``stage_batch`` of a sink makes of a batch whose rows come in two parts."""
    rows = {table: list(given) for table, given in batch.rows.items()}
    first = {table: given[: len(given) // 2] for table, given in rows.items() if len(given) > 1}
    second = {table: given[len(given) // 2 :] for table, given in rows.items()}
    return sink.stage_batch(batch._replace(rows={}, rejected=()), [Parsed(first, batch.rejected), Parsed(second, ())])


class InTurns:
    """From now on any full batch is a backlog. helpers: the other processes; stored: what they stored; reasons: why they failed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.helpers: t.List[Helper] = []
        self.stored: t.List[Stored] = []
        self.reasons: t.List[str] = []
        for name in ("LINES", "TURN_LINES"):
            monkeypatch.setattr(reading, name, LINES)
        monkeypatch.setattr(turns, "BACKLOG", 1)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 1})
        monkeypatch.setattr(follower.SinkLog, "helper_failed", lambda _log, reason: self.reasons.append(reason))
        made = self

        class Waiting(Helper):
            def __init__(self, *given: t.Any) -> None:
                super().__init__(*given)
                made.helpers.append(self)
                # Else this process stores the backlog alone, until the other one has started.
                lab.wait_until(lambda: self.is_ready, "the other process does not start")

            def receive(self, batch: t.Any, patience: float) -> Stored:
                made.stored.append(super().receive(batch, patience))
                return made.stored[-1]

        monkeypatch.setattr(turns, "Helper", Waiting)

    def catch_up(self, document: t.Any) -> t.Any:
        """What ``follower.catch_up`` returns for the one sink. No process is left."""
        (result,) = follower.catch_up(document, sleep=lambda _seconds: None)["sinks"]
        assert [helper._process.returncode for helper in self.helpers].count(None) == 0
        return result
