# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The event history: pages, its rate limit, and what it never has."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit.events import Wanted
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit.lookup import Pace, check, lookup
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError, UsageError
from rigs.aws_logs import record

NOW = datetime(2026, 11, 4, tzinfo=timezone.utc)


class Service:
    """Answers with pages; ``calls`` are the parameters of the requests."""

    subject = "cloudtrail in eu-west-1"

    def __init__(self, *pages):
        self.pages = list(pages)
        self.calls = []

    def call(self, operation, **parameters):
        assert operation == "lookup_events"
        self.calls.append(parameters)
        return self.pages.pop(0)


class Clock:
    """A clock that moves only when somebody sleeps, and by each request."""

    def __init__(self):
        self.now = 100.0
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def page(*records, token=None):
    answer = {"Events": [{"EventId": "x", "CloudTrailEvent": each if isinstance(each, str) else json.dumps(each)} for each in records]}
    return {**answer, "NextToken": token} if token else answer


def found(service, wanted, reported=None, clock=None):
    clock = clock or Clock()
    report = ([] if reported is None else reported).append
    return list(lookup(service, wanted, NOW, Pace(clock, clock.sleep), report))


def test_all_pages_are_read_at_two_requests_a_second():
    service = Service(page(record(1), token="a"), page(token="b"), page(record(2)), page(record(3)))
    clock = Clock()
    assert found(service, Wanted(), clock=clock) == [record(1), record(2), record(3)]
    assert [call.get("NextToken") for call in service.calls] == [None, "a", "b", None]
    assert [call.get("EventCategory") for call in service.calls] == [None, None, None, "insight"]
    assert clock.slept == pytest.approx([0.5, 0.5, 0.5])
    assert all(call["MaxResults"] == 50 for call in service.calls)


def test_one_attribute_and_the_time_are_asked_for():
    service = Service(page())
    since, until = NOW - timedelta(days=1), NOW
    found(service, Wanted(since, until, service="s3", action="Delete*", classes=("management",)))
    assert service.calls == [
        {
            "MaxResults": 50,
            "StartTime": since,
            "EndTime": until,
            "LookupAttributes": [{"AttributeKey": "EventSource", "AttributeValue": "s3.amazonaws.com"}],
        }
    ]
    service = Service(page())
    found(service, Wanted(event_id="e-1", action="CreateUser", classes=("insight",)))
    assert service.calls[0]["LookupAttributes"] == [{"AttributeKey": "EventId", "AttributeValue": "e-1"}]
    assert service.calls[0]["EventCategory"] == "insight"


def test_what_the_history_does_not_have_is_reported():
    reported: list = []
    service = Service(page(), page())
    found(service, Wanted(NOW - timedelta(days=100)), reported)
    assert service.calls[0]["StartTime"] == NOW - timedelta(days=90)
    assert "only the last 90 days" in str(reported[0])
    assert found(Service(), Wanted(NOW - timedelta(days=100), NOW - timedelta(days=95)), reported) == []
    with pytest.raises(UsageError, match="no events of the class data"):
        check(Wanted(classes=("data",)))


def test_a_record_that_is_none_is_reported_and_the_others_are_read():
    reported: list = []
    assert found(Service(page("no json", record(1), "[]"), page()), Wanted(), reported) == [record(1)]
    assert len(reported) == 2


def test_a_history_that_does_not_end():
    with pytest.raises(LogArchiveError, match="does not end"):
        found(Service(page(token="a"), page(token="a")), Wanted())
