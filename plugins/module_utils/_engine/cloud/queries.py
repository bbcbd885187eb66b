# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read log events back: a filter over all pages, or a query of Logs Insights."""

from __future__ import annotations

import time
import typing as t

from ..base.aws import AwsError
from ..base.aws_service import Service
from ..base.errors import ConfigError

LONGEST_QUERY = 3600.0
"""Seconds after which the service ends a query. https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html"""
MOST_RESULTS = 10_000
"""Of one query."""
PAUSE = 1.0
"""Seconds between two looks at a query."""

_ENDED_BADLY = {"Failed": "failed", "Cancelled": "was cancelled", "Timeout": "was ended by the service after 60 minutes"}

Row = t.Dict[str, t.Any]


class Found(t.NamedTuple):
    """rows: log events, or rows of a query. cut: whether there may be more than ``limit`` allowed. statistics: of a query, by its name."""

    rows: t.List[Row]
    cut: bool
    statistics: t.Dict[str, float]


def check_limit(limit: int) -> None:
    """Raise ConfigError for a limit that the services do not have."""
    if not 1 <= limit <= MOST_RESULTS:
        raise ConfigError("must be between 1 and %d, not %d" % (MOST_RESULTS, limit), "limit", "Ask for a shorter span of time")


def filtered(service: Service, group: str, pattern: str, start: int, end: int, limit: int, seconds: float) -> Found:
    """The events of a log group in [start, end), in milliseconds since the epoch, that match a filter pattern; all if it is empty.

    A page without events may be followed by one with some: all pages are read, until there are more than ``limit`` events. In a large group
    a thousand pages may be empty, so their number has no limit; seconds limits the time. Raises AwsError.
    """
    check_limit(limit)
    deadline = time.monotonic() + seconds
    rows: t.List[Row] = []
    arguments: t.Dict[str, t.Any] = {"logGroupName": group, "startTime": start, "endTime": end - 1}
    if pattern:
        arguments["filterPattern"] = pattern
    while True:
        answer = service.call("filter_log_events", **arguments)
        for event in answer.get("events") or []:
            if len(rows) == limit:
                return Found(rows, True, {})
            rows.append({"time": event["timestamp"], "stream": event.get("logStreamName", ""), "message": event["message"]})
        if not answer.get("nextToken"):
            return Found(rows, False, {})
        if time.monotonic() >= deadline:
            raise AwsError("unavailable", "the search did not end within %g s" % seconds, group, "Raise timeout, or ask for a shorter span")
        arguments["nextToken"] = answer["nextToken"]


def queried(service: Service, groups: t.Sequence[str], query: str, start: int, end: int, limit: int, seconds: float) -> Found:
    """The rows of a query of Logs Insights over [start, end), in milliseconds since the epoch.

    limit: of the rows, unless the query has a smaller one. seconds: how long to wait; then the query is stopped, because only a number of
    queries may run at once. Raises AwsError.
    """
    check_limit(limit)
    arguments = {
        "logGroupNames": list(groups),
        "queryString": query,
        "startTime": start // 1000,
        "endTime": max(start, end - 1) // 1000,
        "limit": limit,
    }
    query_id = service.call("start_query", **arguments)["queryId"]
    deadline = time.monotonic() + min(seconds, LONGEST_QUERY)
    while True:
        answer = service.call("get_query_results", queryId=query_id)
        status = answer.get("status", "Unknown")
        if status == "Complete":
            break
        if status in _ENDED_BADLY:
            raise AwsError("other", "the query %s" % _ENDED_BADLY[status], service.subject, "Ask for a shorter span of time", code=status)
        left = deadline - time.monotonic()
        if left <= 0:
            service.call("stop_query", queryId=query_id)
            raise AwsError("unavailable", "the query did not end within %g s" % seconds, service.subject, "Raise timeout")
        time.sleep(min(PAUSE, left))
    rows = [{field["field"]: field.get("value") for field in row if field["field"] != "@ptr"} for row in answer.get("results") or []]
    return Found(rows, len(rows) >= limit, dict(answer.get("statistics") or {}))
