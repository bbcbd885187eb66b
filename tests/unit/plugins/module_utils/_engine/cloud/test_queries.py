# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading log events: pages without events, limits, and queries that do not end."""

from __future__ import annotations

import time

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.aws import AwsError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cloud import queries
from rigs.aws import answering


def one(number):
    return {"timestamp": number, "message": "m%d" % number, "logStreamName": "s"}


def filtered(answers, limit=10, pattern="", seconds=60):
    return queries.filtered(answers.service, "/g", pattern, 1000, 2000, limit, seconds)


def test_a_page_without_events_is_not_the_last():
    with answering("logs") as answers:
        common = {"logGroupName": "/g", "startTime": 1000, "endTime": 1999, "filterPattern": "ERROR"}
        answers.add("filter_log_events", {"events": [], "nextToken": "a"}, **common)
        answers.add("filter_log_events", {"events": [one(1)], "nextToken": "b"}, **common, nextToken="a")
        answers.add("filter_log_events", {"events": [], "nextToken": "c"}, **common, nextToken="b")
        answers.add("filter_log_events", {"events": [one(2)]}, **common, nextToken="c")
        found = filtered(answers, pattern="ERROR")
    assert [row["message"] for row in found.rows] == ["m1", "m2"] and not found.cut
    assert found.rows[0] == {"time": 1, "stream": "s", "message": "m1"}


@pytest.mark.parametrize(("number", "cut"), [(2, False), (3, True)])
def test_more_events_than_the_limit(number, cut):
    with answering("logs") as answers:
        answers.add("filter_log_events", {"events": [one(place) for place in range(number)]})
        found = filtered(answers, limit=2)
    assert len(found.rows) == 2 and found.cut is cut


def test_a_search_that_does_not_end():
    with answering("logs") as answers:
        answers.add("filter_log_events", {"events": [], "nextToken": "a"})
        with pytest.raises(AwsError, match="/g: the search did not end within 0 s. Raise timeout, or ask for a shorter span"):
            filtered(answers, seconds=0)


@pytest.mark.parametrize("limit", [0, -1, 10_001])
def test_a_limit_that_the_service_does_not_have(limit):
    with answering("logs") as answers, pytest.raises(ConfigError, match="limit: must be between 1 and 10000"):
        filtered(answers, limit=limit)


# -- Logs Insights ----------------------------------------------------------------------------------------------------


def queried(answers, limit=10, seconds=60.0):
    return queries.queried(answers.service, ["/g"], "fields @message", 1000, 2000, limit, seconds)


@pytest.fixture
def no_pause(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


def started(answers, limit=10):
    wanted = {"logGroupNames": ["/g"], "queryString": "fields @message", "startTime": 1, "endTime": 1, "limit": limit}
    answers.add("start_query", {"queryId": "q"}, **wanted)


def test_a_query_is_awaited(no_pause):
    with answering("logs") as answers:
        started(answers)
        for status in ("Scheduled", "Running", "Unknown"):
            answers.add("get_query_results", {"status": status, "results": []}, queryId="q")
        row = [{"field": "@message", "value": "m"}, {"field": "@ptr", "value": "p"}]
        answers.add("get_query_results", {"status": "Complete", "results": [row], "statistics": {"recordsMatched": 1.0}}, queryId="q")
        assert queried(answers) == queries.Found([{"@message": "m"}], False, {"recordsMatched": 1.0})


def test_a_query_that_reaches_its_limit_may_be_cut(no_pause):
    with answering("logs") as answers:
        started(answers, 1)
        answers.add("get_query_results", {"status": "Complete", "results": [[{"field": "a", "value": "1"}]]}, queryId="q")
        assert queried(answers, limit=1).cut


@pytest.mark.parametrize(
    ("status", "reason"), [("Failed", "failed"), ("Cancelled", "was cancelled"), ("Timeout", "was ended by the service after 60 minutes")]
)
def test_a_query_that_ends_badly(no_pause, status, reason):
    with answering("logs") as answers:
        started(answers)
        answers.add("get_query_results", {"status": status}, queryId="q")
        with pytest.raises(AwsError, match="the query %s" % reason):
            queried(answers)


def test_a_query_that_does_not_end_is_stopped(no_pause):
    with answering("logs") as answers:
        started(answers)
        answers.add("get_query_results", {"status": "Running"}, queryId="q")
        answers.add("stop_query", {"success": True}, queryId="q")
        with pytest.raises(AwsError, match="did not end within 0 s"):
            queried(answers, seconds=0)
