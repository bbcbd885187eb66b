# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events, and which are wanted."""

from __future__ import annotations

import csv
from datetime import datetime, timezone

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit import events
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit.events import Wanted, event_of, matcher
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import UsageError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import events as shown
from rigs.aws_logs import ALICE, record

ROOT = {"type": "Root", "arn": "arn:aws:iam::123456789012:root"}
EVENTS = [
    event_of(each)
    for each in (
        record(0),
        record(1, errorCode="AccessDenied", errorMessage="not allowed", responseElements=None),
        record(2, eventSource="iam.amazonaws.com", eventName="CreateUser", awsRegion="us-east-1", errorCode="EntityAlreadyExists"),
        record(3, userIdentity=ROOT, eventType="AwsConsoleSignIn", sourceIPAddress="2001:db8::7"),
        record(4, eventCategory="Data", sourceIPAddress="s3.amazonaws.com", eventType="AwsServiceEvent"),
    )
]


def at(second):
    return datetime(2026, 11, 3, 2, 0, second, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"since": at(1), "until": at(3)}, [1, 2]),
        ({"service": "iam"}, [2]),
        ({"service": "iam.amazonaws.com"}, [2]),
        ({"service": "ia"}, []),
        ({"action": "Create*"}, [2]),
        ({"region": "us-*"}, [2]),
        ({"principal": "alice"}, [0, 1, 2, 4]),
        ({"principal": ALICE}, [0, 1, 2, 4]),
        ({"principal": "*:root"}, [3]),
        ({"ip": "198.51.100.0/24"}, [0, 1, 2]),
        ({"ip": "2001:db8::/32"}, [3]),
        ({"ip": "198.51.100.20"}, [0, 1, 2]),
        ({"ip": "*.amazonaws.com"}, [4]),
        ({"response": "Already"}, [2]),
        ({"response": "not allowed"}, [1]),
        ({"response": "é"}, [0, 2, 3, 4]),
        ({"event_id": EVENTS[2].event_id}, [2]),
        ({"errors": True}, [1, 2]),
        ({"denied": True}, [1]),
        ({"root": True}, [3]),
        ({"classes": ("data", "insight")}, [4]),
        ({"calls": ("sign_in",)}, [3]),
        ({"errors": True, "region": "eu-west-1"}, [1]),
    ],
)
def test_events_are_filtered_by_each_field_by_errors_and_by_class(wish, expected):
    wanted = Wanted(**wish)
    events.check(wanted)
    is_wanted = matcher(wanted)
    assert [number for number, event in enumerate(EVENTS) if is_wanted(event)] == expected


@pytest.mark.parametrize(
    ("wish", "problem"),
    [
        ({"since": at(2), "until": at(1)}, "is before the start"),
        ({"ip": "198.51.100.0/99"}, "is not a network"),
        ({"classes": ("odd",)}, "there is no class 'odd'"),
        ({"calls": ("odd",)}, "there is no type 'odd'"),
    ],
)
def test_wrong_wishes(wish, problem):
    with pytest.raises(UsageError, match=problem):
        events.check(Wanted(**wish))


@pytest.mark.parametrize("field", sorted(record()))
@pytest.mark.parametrize("value", [..., None, 7, [], {"a": {"b": 1}}, "\x1b[2J\n=1+1", ""])
def test_a_record_with_any_field_missing_or_odd_is_shown(field, value):
    event = event_of(record(**{field: value}))
    matcher(Wanted(since=at(0), service="*", principal="*", response="x", ip="198.51.100.0/24"))(event)
    text, count = shown.as_table([event])
    assert count == 1
    assert "\x1b" not in text
    assert len(text.splitlines()) == 2
    rows = list(csv.reader(shown.as_csv([event])))
    assert [len(row) for row in rows] == [len(shown.COLUMNS)] * 2
    (line,) = shown.as_json_lines([event])
    assert "\n" not in line


def test_an_event_without_a_time_is_never_left_out():
    event = event_of(record(eventTime="yesterday"))
    assert matcher(Wanted(since=at(9), until=at(10)))(event)
    assert events.problems_of(event) == ["its eventTime is not a time in UTC"]
    assert events.problems_of(event_of({})) == ["it has no eventTime", "it has no eventID"]
    assert events.problems_of(EVENTS[0]) == []


def test_a_cell_is_no_formula_of_a_spreadsheet():
    (_head, row) = csv.reader(shown.as_csv([event_of(record(eventName="=cmd|' /C calc'!A0"))]))
    assert row[2] == "'=cmd|' /C calc'!A0"
