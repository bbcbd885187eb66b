# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The patterns of the metric filters select the records that they are for. A small reader of their syntax stands for CloudWatch."""

from __future__ import annotations

import fnmatch
import re

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cloud.trail_filters import FINDINGS, TRAIL_EVENTS

TOKEN = re.compile(r'\s*(?:(\(|\)|&&|\|\||!=|=|NOT EXISTS)|\$\.([\w.]+)|"([^"]*)")')


def matches(pattern, record):
    """Whether a JSON pattern of CloudWatch Logs selects a record. && binds stronger than ||; * stands for any characters."""
    assert pattern.startswith("{") and pattern.endswith("}") and len(pattern) <= 1024
    tokens, place, text = [], 0, pattern[1:-1].rstrip()
    while place < len(text):
        found = TOKEN.match(text, place)
        assert found is not None, text[place:]
        tokens.append(found)
        place = found.end()

    def alternatives():
        value = together()
        while tokens and tokens[0][1] == "||":
            tokens.pop(0)
            value = together() or value
        return value

    def together():
        value = one()
        while tokens and tokens[0][1] == "&&":
            tokens.pop(0)
            value = one() and value
        return value

    def one():
        first = tokens.pop(0)
        if first[1] == "(":
            value = alternatives()
            assert tokens.pop(0)[1] == ")"
            return value
        field = record
        for name in first[2].split("."):
            field = field.get(name) if isinstance(field, dict) else None
        operator = tokens.pop(0)[1]
        if operator == "NOT EXISTS":
            return field is None
        value = tokens.pop(0)[3]
        equal = field is not None and fnmatch.fnmatchcase(str(field), value)
        return equal if operator == "=" else field is not None and not equal

    value = alternatives()
    assert tokens == []
    return value


def sign_in(**changes):
    record = {
        "eventName": "ConsoleLogin",
        "eventSource": "signin.amazonaws.com",
        "eventType": "AwsConsoleSignIn",
        "userIdentity": {"type": "IAMUser", "userName": "ann"},
        "additionalEventData": {"MFAUsed": "No"},
        "responseElements": {"ConsoleLogin": "Success"},
    }
    return {**record, **changes}


def call(name="PutObject", **changes):
    made = {"eventName": name, "eventSource": "s3.amazonaws.com", "eventType": "AwsApiCall", "userIdentity": {"type": "AssumedRole"}}
    return {**made, **changes}


ROOT = {"userIdentity": {"type": "Root"}}
TRAIL = {"eventSource": "cloudtrail.amazonaws.com"}


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (call(), set()),
        (call(**ROOT), {"root-use"}),
        # A service that acts for the root user is no use of it.
        (call(userIdentity={"type": "Root", "invokedBy": "s3.amazonaws.com"}), set()),
        (call(**ROOT, eventType="AwsServiceEvent"), set()),
        (call(errorCode="AccessDenied"), {"denied-calls"}),
        (call(errorCode="AccessDeniedException"), {"denied-calls"}),
        (call(errorCode="Client.UnauthorizedOperation"), {"denied-calls"}),
        (call(errorCode="NoSuchBucket"), set()),
        (sign_in(), {"sign-in-without-mfa"}),
        (sign_in(**ROOT), {"sign-in-without-mfa", "root-use"}),
        (sign_in(additionalEventData={"MFAUsed": "Yes"}), set()),
        (sign_in(responseElements={"ConsoleLogin": "Failure"}), set()),
        # MFA of a federated user is checked where the user signs in.
        (sign_in(userIdentity={"type": "AssumedRole"}), set()),
        (call("StopLogging", **TRAIL, errorCode="AccessDenied"), {"trail-changes", "denied-calls"}),
        (call("LookupEvents", **TRAIL), set()),
        (call("DeleteTrail"), set()),
        *((call(name, **TRAIL), {"trail-changes"}) for name in TRAIL_EVENTS),
    ],
)
def test_a_pattern_selects_the_records_that_it_is_for(record, found):
    assert {finding.name for finding in FINDINGS if matches(finding.pattern, record)} == found
