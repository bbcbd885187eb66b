# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Log events within the limits of PutLogEvents. A test server takes what AWS refuses or drops, so the limits are checked here."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cloud import log_events
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cloud.log_events import (
    DAY,
    MOST_BYTES,
    MOST_EVENTS,
    LogEvent,
    Rejected,
    split,
)
from hypothesis import given, strategies as st

NOW = 1_800_000_000_000
HOUR = 3600 * 1000


def event(age, message="x", place=0):
    return LogEvent(NOW - age, message, place)


@pytest.mark.parametrize(
    ("given_event", "retention", "reason"),
    [
        (event(0), None, None),
        (event(14 * DAY), None, None),
        (event(14 * DAY + 1), None, log_events.TOO_OLD),
        (event(-2 * HOUR), None, None),
        (event(-2 * HOUR - 1), None, log_events.TOO_NEW),
        (event(3 * DAY), 3, None),
        (event(3 * DAY + 1), 3, log_events.EXPIRED),
        (event(0, ""), None, log_events.EMPTY),
        (event(0, "x" * (MOST_BYTES - 26)), None, None),
        (event(0, "x" * (MOST_BYTES - 25)), None, log_events.TOO_LONG),
        (event(0, "\u20ac" * (MOST_BYTES // 3)), None, log_events.TOO_LONG),
        (event(0, "a\udcff"), None, log_events.INVALID),
    ],
)
def test_what_the_service_would_not_store_is_not_sent(given_event, retention, reason):
    batches, rejected = split([given_event], NOW, retention)
    assert batches == ([] if reason else [[given_event]])
    assert rejected == ([Rejected(0, reason)] if reason else [])


def test_a_batch_has_at_most_10000_events():
    batches, _rejected = split([event(0, place=place) for place in range(MOST_EVENTS + 1)], NOW)
    assert list(map(len, batches)) == [10_000, 1]


def test_a_batch_has_at_most_1048576_bytes_with_26_for_each_event():
    half = MOST_BYTES // 2 - 26
    assert list(map(len, split([event(0, "x" * half)] * 2, NOW)[0])) == [2]
    assert list(map(len, split([event(0, "x" * half), event(0, "x" * (half + 1))], NOW)[0])) == [1, 1]
    # Bytes of UTF-8, not characters.
    assert list(map(len, split([event(0, "\u20ac" * (half // 3)), event(0, "\u20ac" * (half // 3 + 10))], NOW)[0])) == [1, 1]


def test_a_batch_spans_at_most_24_hours():
    assert list(map(len, split([event(24 * HOUR), event(0)], NOW)[0])) == [2]
    assert list(map(len, split([event(24 * HOUR + 1), event(0)], NOW)[0])) == [1, 1]


def test_events_are_sent_in_the_order_of_time_and_then_in_their_own():
    (batch,), _rejected = split([event(0, "c", 0), event(5, "a", 1), event(0, "d", 2), event(1, "b", 3)], NOW)
    assert [each.message for each in batch] == ["a", "b", "c", "d"]


@given(
    st.lists(st.tuples(st.integers(-4 * HOUR, 20 * DAY), st.sampled_from(["", "x", "y" * 400_000, "\u20ac" * 200_000])), max_size=30),
    st.sampled_from([None, 1, 7, 30]),
)
def test_every_event_is_in_one_batch_or_rejected_and_every_batch_is_within_the_limits(ages, retention):
    events = [event(age, message, place) for place, (age, message) in enumerate(ages)]
    batches, rejected = split(events, NOW, retention)
    assert sorted([each.place for batch in batches for each in batch] + [each.place for each in rejected]) == list(range(len(events)))
    for batch in batches:
        times = [each.time for each in batch]
        assert times == sorted(times) and times[-1] - times[0] <= 24 * HOUR
        assert sum(len(each.message.encode()) + 26 for each in batch) <= 1_048_576
        assert all(NOW - 14 * DAY <= each.time <= NOW + 2 * HOUR for each in batch)
        assert retention is None or all(each.time >= NOW - retention * DAY for each in batch)
