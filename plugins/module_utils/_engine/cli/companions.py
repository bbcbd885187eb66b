# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs beside a follower: the page with statistics, notifications and metrics. None of it can stop or delay the follower."""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

from ..base.errors import LogArchiveError
from . import output

if t.TYPE_CHECKING:
    from ..config.document import NotifyTarget
    from ..config.stream_document import StreamDocument
    from ..ingest.facts import IngestResult
    from ..ingest.follower import States
    from ..state.record import RunRecord

LOOK, METRICS = 5.0, 60.0
"""Seconds between two looks at the sinks, and between two metrics files and pings."""


@contextlib.contextmanager
def beside(document: StreamDocument) -> t.Iterator[t.Callable[[States], None]]:
    """Start the companions; yields what the follower calls with the function that returns the states of its sinks.

    When the context ends, the page shows all that was stored, and what ended the follower is reported.
    """
    ended = threading.Event()
    threads = []
    if document["page"] is not None:
        from .statistics import keep_page

        threads.append(threading.Thread(target=keep_page, args=(document, document["page"], ended), daemon=True))
        threads[0].start()

    def watch(states: States) -> None:
        if document["notify"]:
            threads.append(threading.Thread(target=_watch, args=(document, states, ended), daemon=True))
            threads[-1].start()

    try:
        yield watch
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def after(document: StreamDocument, result: IngestResult) -> None:
    """Report a catch-up, and write the metrics."""
    from ..ingest.facts import SinkState
    from ..tell.stream_alarms import Alarms

    if not document["notify"]:
        return
    now = time.time()
    alarms = Alarms(document, _deliver(document))
    states = [SinkState(s["sink"], s["error"] or "", now, s["rejected"], s["gaps"], s["gap_bytes"], failed=True) for s in result["sinks"]]
    _report(alarms.look(states))
    _report(_periodic(document, alarms.state()))


def _watch(document: StreamDocument, states: States, ended: threading.Event) -> None:
    from ..tell.stream_alarms import Alarms

    alarms = Alarms(document, _deliver(document))
    due = time.monotonic()
    while not ended.wait(LOOK):
        _report(alarms.look(states()))
        if time.monotonic() >= due:
            due = time.monotonic() + METRICS
            _report(_periodic(document, alarms.state()))
    _report(alarms.look(states()))
    _report(_periodic(document, alarms.state()))


def _deliver(document: StreamDocument) -> t.Callable[[NotifyTarget, RunRecord, bool], t.Optional[str]]:
    from ..tell.messages import Message
    from ..tell.notifying import deliver

    return lambda target, record, recovered: deliver(target, Message([record], recovered, document["log"]))


def _periodic(document: StreamDocument, record: RunRecord) -> t.List[str]:
    """Write the metrics, and send the pings; returns what failed."""
    from ..ingest import status
    from ..tell import stream_metrics

    failed = []
    rows = None
    for index, target in enumerate(document["notify"]):
        error = None
        if target["type"] == "ping":
            error = _deliver(document)(target, record, False)
        elif target["type"] == "textfile":
            try:
                rows = status.of(document) if rows is None else rows
                stream_metrics.write(t.cast(str, target["path"]), document, rows)
            except LogArchiveError as problem:
                error = str(problem)
        if error is not None:
            failed.append("notify[%d] (%s): %s" % (index, target["type"], error))
    return failed


def _report(warnings: t.Iterable[str]) -> None:
    for warning in warnings:
        output.print_error("log-archive: " + warning)
