# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Amazon EventBridge: one event for each run, with its record."""

from __future__ import annotations

import typing as t

from ...config.aws_spec import aws_problems
from .base import Receiver, ReceiverError, opened

if t.TYPE_CHECKING:
    from ...base.aws_service import Service
    from ...config.document import NotifyTarget
    from ...state.record import RunRecord
    from ..messages import Message

DETAIL_TYPE = "log-archive.run"
SOURCE = "log-archive"
LONGEST_DETAIL = 200 * 1024
"""Bytes. The event that a target gets is larger than the entry, and targets have limits of 256 KB."""


def deliver(target: NotifyTarget, message: Message) -> None:
    """Send the runs; events that the service was too busy for are sent once more. Raises LogArchiveError."""
    from ...cloud import events

    entries = [entry_of(record, target["event_bus"]) for record in message.records]
    with opened("events", target) as service:
        try:
            events.put_events(service, entries)
        except events.PartlyFailedError as error:
            if not error.retryable or len(error.failed) == len(entries):
                raise
            _again(service, [entries[place] for place in error.failed])


def _again(service: Service, entries: t.Sequence[t.Dict[str, t.Any]]) -> None:
    """Send those that failed. What was accepted must not be sent by another attempt at the whole message."""
    from ...base.aws import AwsError
    from ...cloud import events

    try:
        events.put_events(service, entries)
    except AwsError as error:
        raise ReceiverError("%s (after a second attempt at these)" % error, retryable=False) from error


def entry_of(record: RunRecord, bus: t.Optional[str]) -> t.Dict[str, t.Any]:
    """The entry of PutEvents for a run."""
    import datetime

    from ..fitting import fitted

    entry = {
        "Time": datetime.datetime.now(datetime.timezone.utc),
        "Source": SOURCE,
        "DetailType": DETAIL_TYPE,
        "Detail": fitted(record, LONGEST_DETAIL, {}),
    }
    return {**entry, "EventBusName": bus} if bus else entry


def problems(target: NotifyTarget, _log: t.Optional[str]) -> t.List[str]:
    """See ``receivers.problems``."""
    return aws_problems(target)


RECEIVER = Receiver(deliver, problems)
