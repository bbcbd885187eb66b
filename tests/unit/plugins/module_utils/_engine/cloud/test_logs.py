# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Log events that the service drops with HTTP 200, streams that are missing, and retention. The real path: tests/integration."""

from __future__ import annotations

import time

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cloud import log_events, logs
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cloud.log_events import LogEvent, Rejected
from rigs.aws import ANY, answering

NOW = int(time.time() * 1000)
EVENTS = [LogEvent(NOW - 1000 * (4 - place), "m%d" % place, place) for place in range(4)]
SENT = {"logGroupName": "/g", "logStreamName": "s", "logEvents": ANY}


def put(answers, events=EVENTS):
    return logs.put(answers.service, "/g", "s", events)


@pytest.mark.parametrize(
    ("info", "rejected"),
    [
        ({}, []),
        ({"tooOldLogEventEndIndex": 1}, [Rejected(0, log_events.TOO_OLD)]),
        ({"tooNewLogEventStartIndex": 3}, [Rejected(3, log_events.TOO_NEW)]),
        ({"expiredLogEventEndIndex": 2}, [Rejected(0, log_events.EXPIRED), Rejected(1, log_events.EXPIRED)]),
        (
            {"tooOldLogEventEndIndex": 1, "expiredLogEventEndIndex": 2, "tooNewLogEventStartIndex": 3},
            [Rejected(0, log_events.TOO_OLD), Rejected(1, log_events.EXPIRED), Rejected(3, log_events.TOO_NEW)],
        ),
    ],
)
def test_events_that_are_dropped_with_status_200_are_reported(info, rejected):
    with answering("logs") as answers:
        answers.add("put_log_events", {"rejectedLogEventsInfo": info}, **SENT)
        assert put(answers) == logs.Put(4 - len(rejected), rejected)


def test_places_are_those_of_the_caller_whatever_the_order_of_time():
    with answering("logs") as answers:
        answers.add("put_log_events", {"rejectedLogEventsInfo": {"tooOldLogEventEndIndex": 1}}, **SENT)
        (rejected,) = put(answers, [each._replace(place=3 - each.place) for each in reversed(EVENTS)]).rejected
    assert rejected == Rejected(3, log_events.TOO_OLD)


def test_a_missing_stream_is_created():
    with answering("logs") as answers:
        answers.add_error("put_log_events", "ResourceNotFoundException")
        answers.add("create_log_stream", {}, logGroupName="/g", logStreamName="s")
        answers.add("put_log_events", {}, **SENT)
        assert put(answers) == logs.Put(4, [])


def test_a_stream_that_another_run_creates_at_the_same_time():
    with answering("logs") as answers:
        answers.add_error("put_log_events", "ResourceNotFoundException")
        answers.add_error("create_log_stream", "ResourceAlreadyExistsException")
        answers.add("put_log_events", {}, **SENT)
        assert put(answers).stored == 4


def test_a_missing_group_is_an_error_that_says_so():
    with answering("logs") as answers:
        answers.add_error("put_log_events", "ResourceNotFoundException")
        answers.add_error("create_log_stream", "ResourceNotFoundException")
        done = put(answers)
    assert str(done.error) == "/g: there is no such log group. Create it, for example with the role cloud_audit, or check the region"
    assert done.stored == 0


def test_what_was_stored_before_a_request_failed_is_counted():
    many = [LogEvent(NOW, "m", place) for place in range(log_events.MOST_EVENTS + 5)]
    with answering("logs") as answers:
        answers.add("put_log_events", {}, **SENT)
        answers.add_error("put_log_events", "ThrottlingException")
        done = put(answers, many)
    assert done.stored == log_events.MOST_EVENTS and done.error.retryable


def test_a_busy_service_is_asked_again():
    with answering("logs", attempts=3) as answers:
        answers.add_error("put_log_events", "ThrottlingException")
        answers.add_error("put_log_events", "ServiceUnavailableException", 503)
        answers.add("put_log_events", {}, **SENT)
        assert put(answers).stored == 4


def test_a_refusal_is_not_repeated():
    with answering("logs", attempts=3) as answers:
        answers.add_error("put_log_events", "AccessDeniedException")
        done = put(answers)
    assert done.error.reason == "denied"


def test_the_reasons_of_rejected_events_in_a_message():
    rejected = [Rejected(place, log_events.TOO_OLD) for place in range(12)] + [Rejected(12, log_events.EMPTY)]
    assert logs.explain_rejected(rejected) == (
        "older than 14 days: [0], [1], [2], [3], [4], [5], [6], [7], [8], [9] and 2 more; the message is empty: [12]"
    )


# -- groups and retention ---------------------------------------------------------------------------------------------


def test_a_group_is_found_by_its_whole_name_on_any_page():
    with answering("logs") as answers:
        answers.add("describe_log_groups", {"logGroups": [{"logGroupName": "/g-2"}], "nextToken": "1"}, logGroupNamePrefix="/g")
        answers.add("describe_log_groups", {"logGroups": [], "nextToken": "2"}, logGroupNamePrefix="/g", nextToken="1")
        found = [{"logGroupName": "/g", "retentionInDays": 7, "creationTime": 5}]
        answers.add("describe_log_groups", {"logGroups": found}, logGroupNamePrefix="/g", nextToken="2")
        assert logs.find_group(answers.service, "/g") == logs.LogGroup("/g", 7, 5)
    with answering("logs") as answers:
        answers.add("describe_log_groups", {"logGroups": [{"logGroupName": "/g-2"}]})
        with pytest.raises(ConfigError, match="/g: there is no such log group"):
            logs.need_group(answers.service, "/g")


@pytest.mark.parametrize("days", [2, 31, 0, -1, 366, 4000])
def test_a_retention_that_the_service_does_not_have(days):
    with pytest.raises(ConfigError, match=r"no retention of %d days. Use \d+, or another of 1, 3, 5" % days), answering("logs") as answers:
        logs.set_retention(answers.service, logs.LogGroup("/g", None, 0), days)


def test_the_allowed_retentions_are_those_of_the_guide():
    assert len(logs.RETENTION_DAYS) == 22 and {1, 30, 400, 731, 3653} < set(logs.RETENTION_DAYS)
    for days in (*logs.RETENTION_DAYS, None):
        logs.check_retention(days)


@pytest.mark.parametrize(
    ("before", "after", "request_made"),
    [
        (None, 7, ("put_retention_policy", {"logGroupName": "/g", "retentionInDays": 7})),
        (7, None, ("delete_retention_policy", {"logGroupName": "/g"})),
        (7, 7, None),
        (None, None, None),
    ],
)
def test_a_retention_is_set_only_if_it_differs(before, after, request_made):
    with answering("logs") as answers:
        group = logs.LogGroup("/g", before, 0)
        assert logs.set_retention(answers.service, group, after, check=True) == (before != after)
        if request_made:
            answers.add(request_made[0], {}, **request_made[1])
        assert logs.set_retention(answers.service, group, after) == (before != after)
