# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events for EventBridge: the limits of a request, and entries that fail with HTTP 200."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.aws import AwsError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cloud import events
from hypothesis import given, strategies as st
from rigs.aws import answering

ENTRY = {"Source": "s", "DetailType": "t", "Detail": "{}"}
BUSY = {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"}
WRONG = {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}


def test_the_size_is_that_of_the_guide():
    assert events.size_of({"Source": "\u20ac", "DetailType": "ab", "Detail": "{}"}) == 7
    assert events.size_of({**ENTRY, "Time": 1, "Resources": ["abc"]}) == 4 + 14 + 3


@given(st.lists(st.sampled_from([10, 100_000, 200_000, 262_000]), max_size=30))
def test_requests_are_within_the_limits(sizes):
    entries = [{**ENTRY, "Detail": "x" * size} for size in sizes]
    requests = events.split(entries)
    assert [place for request in requests for place in request] == list(range(len(entries)))
    for request in requests:
        assert len(request) <= 10
        assert len(request) == 1 or sum(events.size_of(entries[place]) for place in request) < 256 * 1024


def test_11_events_are_two_requests():
    with answering("events") as answers:
        answers.add("put_events", {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}] * 10}, Entries=[ENTRY] * 10)
        answers.add("put_events", {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}, Entries=[ENTRY])
        events.put_events(answers.service, [ENTRY] * 11)


@pytest.mark.parametrize(("second", "retryable"), [(BUSY, True), (WRONG, False)])
def test_events_that_failed_with_status_200(second, retryable):
    with answering("events") as answers:
        answers.add("put_events", {"FailedEntryCount": 2, "Entries": [BUSY, {"EventId": "1"}, second]})
        with pytest.raises(events.PartlyFailedError, match="2 of 3 events were not accepted: .*Exception") as caught:
            events.put_events(answers.service, [ENTRY] * 3)
    assert caught.value.failed == [0, 2] and caught.value.retryable is retryable


def test_a_count_without_names_is_an_error():
    with answering("events") as answers:
        answers.add("put_events", {"FailedEntryCount": 1, "Entries": [{"EventId": "1"}]})
        with pytest.raises(AwsError, match="counts failed events and does not name them"):
            events.put_events(answers.service, [ENTRY])


def test_after_a_request_that_failed_the_rest_counts_as_failed():
    with answering("events") as answers:
        answers.add("put_events", {"FailedEntryCount": 1, "Entries": [{"EventId": "1"}] * 9 + [BUSY]})
        answers.add_error("put_events", "InternalException", 500)
        with pytest.raises(events.PartlyFailedError) as caught:
            events.put_events(answers.service, [ENTRY] * 25)
    assert caught.value.failed == list(range(9, 25)) and caught.value.retryable
