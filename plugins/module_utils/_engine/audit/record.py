# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a record of CloudTrail states: who, what kind of event, and whether it was denied.

Fields: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html and
cloudtrail-event-reference-user-identity.html.
"""

from __future__ import annotations

import typing as t

Record = t.Mapping[str, t.Any]
"""A decoded record. Nothing is certain about its fields."""

CLASSES = {"Management": "management", "Data": "data", "Insight": "insight", "NetworkActivity": "network"}
"""By ``eventCategory``, which records have since version 1.07."""
CALLS = {
    "AwsApiCall": "api_call",
    "AwsServiceEvent": "service_event",
    "AwsConsoleAction": "console_action",
    "AwsConsoleSignIn": "sign_in",
    "AwsCloudTrailInsight": "insight",
    "AwsVpceEvent": "vpc_endpoint",
}
"""By ``eventType``. An API call, a console action and a VPC endpoint's event were requests; the others were not."""


def principal_of(record: Record) -> t.Optional[str]:
    """Who made the request: the ARN; without one what the type of identity has instead, None if there is nothing."""
    identity = record.get("userIdentity")
    if not isinstance(identity, dict):
        return None
    names = ("arn", "invokedBy", "principalId", "userName", "accountId")
    if identity.get("type") in ("IAMUser", "SAMLUser", "WebIdentityUser"):
        # A failed sign-in has the name alone. The id of a user from another provider names the provider, too.
        names = ("arn", "principalId", "userName", "invokedBy", "accountId")
    found = next((identity[name] for name in names if isinstance(identity.get(name), str) and identity[name]), None)
    if found is None and isinstance(identity.get("onBehalfOf"), dict):
        found = identity["onBehalfOf"].get("userId")
    return found if isinstance(found, str) else None


def class_of(record: Record) -> str:
    """management, data, insight or network; another category as the record has it."""
    category = record.get("eventCategory")
    if isinstance(category, str) and category:
        return CLASSES.get(category, category)
    if record.get("eventType") == "AwsCloudTrailInsight":
        return "insight"
    return "data" if record.get("managementEvent") is False else "management"


def call_of(record: Record) -> t.Optional[str]:
    """A value of CALLS; another type as the record has it; None without one."""
    kind = record.get("eventType")
    return CALLS.get(kind, kind) if isinstance(kind, str) and kind else None


def is_denied(record: Record) -> bool:
    """Whether a policy refused the request."""
    code = record.get("errorCode")
    return isinstance(code, str) and ("AccessDenied" in code or "Unauthorized" in code or code == "Forbidden")


def is_root(record: Record) -> bool:
    """Whether somebody used the root user: AWS's own services act in its name, too.

    The condition is that of CIS AWS Foundations Benchmark: https://docs.aws.amazon.com/securityhub/latest/userguide/cloudwatch-controls.html.
    """
    identity = record.get("userIdentity")
    is_by_root = isinstance(identity, dict) and identity.get("type") == "Root" and not identity.get("invokedBy")
    return is_by_root and record.get("eventType") != "AwsServiceEvent"


def source_of(record: Record, name: str) -> t.Any:
    """``eventSource`` or ``eventName``: an insight names in its details what it is about."""
    details = record.get("insightDetails")
    if record.get(name) is None and isinstance(details, dict):
        return details.get(name)
    return record.get(name)
