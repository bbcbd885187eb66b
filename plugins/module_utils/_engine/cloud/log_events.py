# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Log events for PutLogEvents: which may be sent, and in which batches.

The limits are those of
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html.
The service drops an event that is too old or too new, and still answers 200.
"""

from __future__ import annotations

import typing as t

MOST_BYTES = 1_048_576
"""Of a batch: the messages as UTF-8, and OVERHEAD for each."""
OVERHEAD = 26
MOST_EVENTS = 10_000
LONGEST_MESSAGE = MOST_BYTES - OVERHEAD
LONGEST_SPAN = 24 * 3600 * 1000
"""Milliseconds between the first and the last event of a batch."""
OLDEST = 14 * 24 * 3600 * 1000
"""Milliseconds before now."""
NEWEST = 2 * 3600 * 1000
"""Milliseconds after now."""
DAY = 24 * 3600 * 1000

TOO_OLD = "older than 14 days"
EXPIRED = "older than the retention of the log group"
TOO_NEW = "more than 2 hours ahead of the clock"
EMPTY = "the message is empty"
TOO_LONG = "the message is longer than %d bytes" % LONGEST_MESSAGE
INVALID = "the message is not valid UTF-8"


class LogEvent(t.NamedTuple):
    """time: milliseconds since the epoch. place: in what the caller gave."""

    time: int
    message: str
    place: int


class Rejected(t.NamedTuple):
    """An event that was not stored. reason: one of the texts of this module."""

    place: int
    reason: str


def problem(event: LogEvent, now: int, retention: t.Optional[int]) -> t.Optional[str]:
    """Why the service would not store the event, or None. now: milliseconds since the epoch. retention: days, or None."""
    if not event.message:
        return EMPTY
    try:
        size = len(event.message.encode("utf-8"))
    except UnicodeEncodeError:
        return INVALID
    if size > LONGEST_MESSAGE:
        return TOO_LONG
    if event.time > now + NEWEST:
        return TOO_NEW
    if event.time < now - OLDEST:
        return TOO_OLD
    if retention is not None and event.time < now - retention * DAY:
        return EXPIRED
    return None


def split(events: t.Iterable[LogEvent], now: int, retention: t.Optional[int] = None) -> t.Tuple[t.List[t.List[LogEvent]], t.List[Rejected]]:
    """The events in batches, each in the order of time and within the limits, and those that the service would not store.

    Events of the same time stay in their order.
    """
    rejected: t.List[Rejected] = []
    wanted: t.List[LogEvent] = []
    for event in events:
        reason = problem(event, now, retention)
        if reason is None:
            wanted.append(event)
        else:
            rejected.append(Rejected(event.place, reason))
    batches: t.List[t.List[LogEvent]] = []
    size = 0
    for event in sorted(wanted, key=lambda each: each.time):
        added = len(event.message.encode("utf-8")) + OVERHEAD
        batch = batches[-1] if batches else None
        if batch is None or len(batch) >= MOST_EVENTS or size + added > MOST_BYTES or event.time - batch[0].time > LONGEST_SPAN:
            batch, size = [], 0
            batches.append(batch)
        batch.append(event)
        size += added
    return batches, rejected
