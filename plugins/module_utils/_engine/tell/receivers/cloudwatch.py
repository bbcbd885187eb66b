# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Amazon CloudWatch: the record of a run as a log event with embedded metrics, or the metrics alone."""

from __future__ import annotations

import time
import typing as t

from ...base.errors import EXIT_DONE
from ...config.aws_spec import aws_problems
from ..records import has_failed
from .base import Receiver, ReceiverError, opened

if t.TYPE_CHECKING:
    from ...base.aws_service import Service
    from ...cloud.metrics import Sample
    from ...config.document import NotifyTarget
    from ...state.record import RunRecord
    from ..messages import Message


def deliver(target: NotifyTarget, message: Message) -> None:
    """Send the runs. Raises LogArchiveError."""
    from ...cloud import metrics

    now = int(time.time() * 1000)
    if target["log_group"]:
        with opened("logs", target) as service:
            _put_records(service, target["log_group"], target["namespace"], message.records, now)
        return
    samples = [sample_of(record, now) for record in message.records if not record["check"]]
    with opened("cloudwatch", target) as service:
        metrics.put(service, target["namespace"], samples)


def _put_records(service: Service, group: str, namespace: str, records: t.Sequence[RunRecord], now: int) -> None:
    from ...cloud import logs, metrics
    from ...cloud.log_events import LONGEST_MESSAGE, LogEvent
    from ..fitting import fitted

    streams: t.Dict[str, t.List[LogEvent]] = {}
    for index, record in enumerate(records):
        # A dry run archives nothing: its metrics would hide that the real one is missing.
        more = {} if record["check"] else metrics.embedded(namespace, sample_of(record, now))
        event = LogEvent(now, fitted(record, LONGEST_MESSAGE, more), index)
        streams.setdefault(stream_of(record), []).append(event)
    for stream, events in streams.items():
        done = logs.put(service, group, stream, events)
        if done.error is not None:
            raise done.error
        if done.rejected:
            # The event is of this moment: the clock is off.
            raise ReceiverError("the record was not stored (%s); check the clock" % logs.explain_rejected(done.rejected), retryable=False)


def sample_of(record: RunRecord, now: int) -> Sample:
    """The metrics of a run. now: milliseconds since the epoch."""
    from ...cloud.metrics import ARCHIVED_BYTES, SUCCESSFUL_RUNS, Sample
    from ..summary import size_of

    archives = record["archives"]
    values = {
        SUCCESSFUL_RUNS: int(record["exit_code"] == EXIT_DONE and not has_failed(record)),
        "Errors": len(record["errors"]),
        "Warnings": len(record["warnings"]),
        "Archives": len(archives),
        ARCHIVED_BYTES: sum(map(size_of, archives)),
        "SourceBytes": sum(archive["source_bytes"] for archive in archives),
        "Duration": record["seconds"],
    }
    return Sample(record["host"], record["job"], now, values)


def stream_of(record: RunRecord) -> str:
    """The name of the log stream of a job: HOST/JOB, without the characters that CloudWatch Logs does not allow."""
    name = "%s/%s" % (record["host"], record["job"])
    return "".join("_" if character in ":*" or not character.isprintable() else character for character in name)[:512]


def problems(target: NotifyTarget, _log: t.Optional[str]) -> t.List[str]:
    """See ``receivers.problems``."""
    return aws_problems(target)


RECEIVER = Receiver(deliver, problems)
