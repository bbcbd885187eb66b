# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""CloudWatch Logs: send events, and the retention of a log group."""

from __future__ import annotations

import time
import typing as t

from ..base.aws import AwsError
from ..base.aws_service import Service
from ..base.errors import EXIT_PARTLY, ConfigError, LogArchiveError
from ..base.lists import some
from .log_events import EXPIRED, TOO_NEW, TOO_OLD, LogEvent, Rejected, split

RETENTION_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
"""https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html"""

_MISSING = "ResourceNotFoundException"
_EXISTS = "ResourceAlreadyExistsException"


class LogGroup(t.NamedTuple):
    """retention: days, None if events never expire. created: milliseconds since the epoch."""

    name: str
    retention: t.Optional[int]
    created: int


class Put(t.NamedTuple):
    """What became of events: how many were stored, and which the service does not take, in the order in which they were given.

    error: why the rest was not sent, None if all were.
    """

    stored: int
    rejected: t.List[Rejected]
    error: t.Optional[AwsError] = None


class RejectedEventsError(LogArchiveError):
    """Some events were not stored; the others were."""

    kind = "rejected_events"
    exit_code = EXIT_PARTLY

    def __init__(self, rejected: t.Sequence[Rejected], count: int, group: str) -> None:
        message = "%d of %d events were not stored (%s)" % (len(rejected), count, explain_rejected(rejected))
        super().__init__(message, group, "Correct or leave out these; the others need not be sent again")


def find_group(service: Service, name: str) -> t.Optional[LogGroup]:
    """The log group with exactly this name, or None. Raises AwsError."""
    for group in service.pages("describe_log_groups", "logGroups", "nextToken", logGroupNamePrefix=name):
        if group["logGroupName"] == name:
            return LogGroup(name, group.get("retentionInDays"), group.get("creationTime", 0))
    return None


def need_group(service: Service, name: str) -> LogGroup:
    """The same; raises ConfigError if there is none."""
    found = find_group(service, name)
    if found is None:
        raise ConfigError("there is no such log group", name, "Create it, for example with the role cloud_audit, or check the region")
    return found


def put(service: Service, group: str, stream: str, events: t.Sequence[LogEvent], retention: t.Optional[int] = None) -> Put:
    """Send events to a log stream, which is created if the log group has none with this name.

    retention: of the log group in days, if it is known. A request that is repeated after a lost answer stores its events twice: the service
    recognises no duplicates.
    """
    batches, rejected = split(events, int(time.time() * 1000), retention)
    stored = 0
    for batch in batches:
        try:
            answer = _put_batch(service, group, stream, batch)
        except AwsError as error:
            return Put(stored, sorted(rejected), error)
        dropped = _dropped(batch, answer.get("rejectedLogEventsInfo") or {})
        stored += len(batch) - len(dropped)
        rejected += dropped
    return Put(stored, sorted(rejected))


def _put_batch(service: Service, group: str, stream: str, batch: t.Sequence[LogEvent]) -> t.Dict[str, t.Any]:
    arguments = {
        "logGroupName": group,
        "logStreamName": stream,
        "logEvents": [{"timestamp": event.time, "message": event.message} for event in batch],
    }
    try:
        return service.call("put_log_events", **arguments)
    except AwsError as error:
        if error.code != _MISSING:
            raise
    try:
        service.call("create_log_stream", logGroupName=group, logStreamName=stream)
    except AwsError as error:
        if error.code == _MISSING:
            hint = "Create it, for example with the role cloud_audit, or check the region"
            raise AwsError("other", "there is no such log group", group, hint, error.status, error.code) from error
        # Another host or run was faster.
        if error.code != _EXISTS:
            raise
    return service.call("put_log_events", **arguments)


def _dropped(batch: t.Sequence[LogEvent], info: t.Mapping[str, int]) -> t.List[Rejected]:
    """The events of a batch, in the order of time, that the answer reports as not stored. An end index is the first that is not meant."""
    expired, too_old = info.get("expiredLogEventEndIndex", 0), info.get("tooOldLogEventEndIndex", 0)
    too_new = info.get("tooNewLogEventStartIndex", len(batch))
    found = []
    for place, event in enumerate(batch):
        if place >= too_new:
            found.append(Rejected(event.place, TOO_NEW))
        elif place < too_old:
            found.append(Rejected(event.place, TOO_OLD))
        elif place < expired:
            found.append(Rejected(event.place, EXPIRED))
    return found


def explain_rejected(rejected: t.Sequence[Rejected]) -> str:
    """Why events were not stored, for a message."""
    by_reason: t.Dict[str, t.List[int]] = {}
    for each in rejected:
        by_reason.setdefault(each.reason, []).append(each.place)
    parts = ["%s: %s" % (reason, some(["[%d]" % place for place in places])) for reason, places in by_reason.items()]
    return "; ".join(parts)


# -- retention --------------------------------------------------------------------------------------------------------


def check_retention(days: t.Optional[int], subject: str = "retention_days") -> None:
    """Raise ConfigError if the service does not have this retention. days: None means that events never expire."""
    if days is not None and days not in RETENTION_DAYS:
        nearest = min((allowed for allowed in RETENTION_DAYS if allowed >= days), default=RETENTION_DAYS[-1])
        raise ConfigError(
            "CloudWatch Logs has no retention of %d days" % days,
            subject,
            "Use %d, or another of %s" % (nearest, ", ".join(map(str, RETENTION_DAYS))),
        )


def set_retention(service: Service, group: LogGroup, days: t.Optional[int], check: bool = False) -> bool:
    """Set the retention of a log group; returns whether it differed. days: None means that events never expire. check: send nothing.

    Raises AwsError, ConfigError.
    """
    check_retention(days)
    if group.retention == days:
        return False
    if not check and days is None:
        service.call("delete_retention_policy", logGroupName=group.name)
    elif not check:
        service.call("put_retention_policy", logGroupName=group.name, retentionInDays=days)
    return True
