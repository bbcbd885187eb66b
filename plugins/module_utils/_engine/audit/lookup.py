# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events of the last 90 days from CloudTrail's event history, without a trail.

https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html: management and insight events, 50 a page, and two
requests a second in each region of an account.
"""

from __future__ import annotations

import json
import time
import typing as t
from datetime import datetime, timedelta

from ..base.errors import LogArchiveError, UsageError
from .log_file import LogFileError

if t.TYPE_CHECKING:
    from .events import Wanted
    from .record import Record

HISTORY = timedelta(days=90)
A_PAGE = 50
INTERVAL = 0.5
"""Seconds between two requests."""
MOST_PAGES = 100_000


class Requests(t.Protocol):
    """One service in one region (``base.aws_service.Service``)."""

    subject: str

    def call(self, operation: str, **parameters: t.Any) -> t.Dict[str, t.Any]:
        """Send a request; returns its answer. Raises AwsError."""


class Pace:
    """Keeps requests apart. clock, sleep: in seconds."""

    def __init__(self, clock: t.Callable[[], float] = time.monotonic, sleep: t.Callable[[float], None] = time.sleep) -> None:
        self._clock, self._sleep = clock, sleep
        self._next = 0.0

    def wait(self) -> None:
        """Wait until the next request may be sent."""
        now = self._clock()
        if now < self._next:
            self._sleep(self._next - now)
        self._next = max(now, self._next) + INTERVAL


def check(wanted: Wanted) -> None:
    """Raise UsageError for events that the event history never has."""
    others = [name for name in wanted.classes if name not in ("management", "insight")]
    if others:
        hint = "Read them from the bucket or from the archives"
        raise UsageError("the event history has no events of the class %s" % others[0], "class", hint)


def lookup(service: Requests, wanted: Wanted, now: datetime, pace: Pace, report: t.Callable[[LogArchiveError], None]) -> t.Iterator[Record]:
    """The records of one region, the newest first. One part of ``wanted`` is asked for; the caller checks all of it.

    now: aware. report: called with a LogFileError for a record that is none, and if ``wanted.since`` is before the history.
    Raises AwsError.
    """
    parameters: t.Dict[str, t.Any] = {"MaxResults": A_PAGE}
    if wanted.since is not None:
        if wanted.since < now - HISTORY:
            hint = "Read earlier events from the bucket or from the archives"
            report(LogFileError("the event history has only the last 90 days", service.subject, hint))
        parameters["StartTime"] = max(wanted.since, now - HISTORY)
    if wanted.until is not None:
        # A time that lies before the start of the history would be an error of the service.
        if wanted.until <= now - HISTORY:
            return
        parameters["EndTime"] = wanted.until
    attribute = _attribute(wanted)
    if attribute is not None:
        parameters["LookupAttributes"] = [{"AttributeKey": attribute[0], "AttributeValue": attribute[1]}]
    for category in wanted.classes or ("management", "insight"):
        more = {} if category == "management" else {"EventCategory": category}
        for text in _pages(service, {**parameters, **more}, pace):
            try:
                record = json.loads(text)
            except (TypeError, ValueError, RecursionError):
                record = None
            if isinstance(record, dict):
                yield record
            else:
                report(LogFileError("an event of the history is not a JSON object", service.subject))


def _pages(service: Requests, parameters: t.Dict[str, t.Any], pace: Pace) -> t.Iterator[t.Any]:
    for _page in range(MOST_PAGES):
        pace.wait()
        answer = service.call("lookup_events", **parameters)
        for event in answer.get("Events") or []:
            yield event.get("CloudTrailEvent")
        token = answer.get("NextToken")
        if not token:
            return
        if token == parameters.get("NextToken"):
            break
        parameters = {**parameters, "NextToken": token}
    raise LogArchiveError("the event history does not end", service.subject)


def _attribute(wanted: Wanted) -> t.Optional[t.Tuple[str, str]]:
    """The one attribute that the service can look for, if it is known exactly."""
    service = wanted.service if "." in wanted.service else wanted.service and wanted.service + ".amazonaws.com"
    for key, value in (("EventId", wanted.event_id), ("EventName", wanted.action), ("EventSource", service)):
        if value and not any(character in value for character in "*?["):
            return key, value
    return None
