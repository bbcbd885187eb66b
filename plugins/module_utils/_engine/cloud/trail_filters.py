# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is worth an alarm in a CloudTrail trail: patterns of metric filters for CloudWatch Logs.

The patterns follow the section on monitoring of the CIS AWS Foundations Benchmark. Syntax:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html.
"""

from __future__ import annotations

import typing as t

TRAIL_EVENTS = (
    "CreateTrail", "UpdateTrail", "DeleteTrail", "StartLogging", "StopLogging", "PutEventSelectors", "PutInsightSelectors",
    "DeleteEventDataStore", "StopEventDataStoreIngestion",
)  # fmt: skip
"""Calls that change what CloudTrail records, or where."""


class Finding(t.NamedTuple):
    """name: part of the names of filter and alarm. metric: its name. about: the text of the alarm. pattern: of the filter."""

    name: str
    metric: str
    about: str
    pattern: str


def _any(field: str, values: t.Iterable[str]) -> str:
    return " || ".join('($.%s = "%s")' % (field, value) for value in values)


FINDINGS = (
    Finding(
        "root-use",
        "RootUse",
        "The root user of the account was used.",
        '{ ($.userIdentity.type = "Root") && ($.userIdentity.invokedBy NOT EXISTS) && ($.eventType != "AwsServiceEvent") }',
    ),
    Finding(
        "denied-calls",
        "DeniedCalls",
        "Calls were denied.",
        "{ %s }" % _any("errorCode", ("*UnauthorizedOperation", "AccessDenied*")),
    ),
    Finding(
        "sign-in-without-mfa",
        "SignInWithoutMfa",
        "Somebody signed in to the console without MFA.",
        '{ ($.eventName = "ConsoleLogin") && ($.additionalEventData.MFAUsed != "Yes") && ($.responseElements.ConsoleLogin = "Success")'
        " && (%s) }" % _any("userIdentity.type", ("IAMUser", "Root")),
    ),
    Finding(
        "trail-changes",
        "TrailChanges",
        "The configuration of CloudTrail was changed.",
        '{ ($.eventSource = "cloudtrail.amazonaws.com") && (%s) }' % _any("eventName", TRAIL_EVENTS),
    ),
)
