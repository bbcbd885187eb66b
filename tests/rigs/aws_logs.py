# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logs as AWS writes them: records and files of CloudTrail, VPC flow logs, query logs of Route 53 Resolver."""

from __future__ import annotations

import gzip
import json
import typing as t

ACCOUNT = "123456789012"
ALICE = "arn:aws:iam::%s:user/alice" % ACCOUNT


def record(number: int = 1, **changes: t.Any) -> t.Dict[str, t.Any]:
    """A record of CloudTrail; a change to ``...`` removes the field."""
    fields = {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser", "principalId": "AIDAEXAMPLE", "arn": ALICE, "accountId": ACCOUNT, "userName": "alice",
        },
        "eventTime": "2026-11-03T02:%02d:%02dZ" % (number // 60 % 60, number % 60),
        "eventSource": "s3.amazonaws.com",
        "eventName": "PutBucketPolicy",
        "awsRegion": "eu-west-1",
        "sourceIPAddress": "198.51.100.20",
        "userAgent": "aws-cli/2.31 [\"}],{\\",
        "requestParameters": {"bucketName": "evidence", "list": [1, [2, {"a": "}]"}]]},
        "responseElements": {"x": "é"},
        "requestID": "R%d" % number,
        "eventID": "00000000-0000-4000-8000-%012d" % number,
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
    }  # fmt: skip
    fields.update(changes)
    return {name: value for name, value in fields.items() if value is not ...}


def log_file(records: t.Sequence[t.Any]) -> bytes:
    """A log file as CloudTrail delivers it, before compression."""
    return json.dumps({"Records": list(records)}, ensure_ascii=False, separators=(",", ":")).encode()


def compressed(data: bytes) -> bytes:
    """The same bytes each time."""
    return gzip.compress(data, mtime=0)


FLOW_HEADER = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"


def flow(number: int = 1, **changes: t.Any) -> str:
    """A record of a flow log in the default format."""
    fields: t.Dict[str, t.Any] = {
        "version": 2, "account-id": ACCOUNT, "interface-id": "eni-1", "srcaddr": "192.0.2.%d" % number, "dstaddr": "198.51.100.9",
        "srcport": 40000 + number, "dstport": 443, "protocol": 6, "packets": 10, "bytes": 1000 * number, "start": 1793671200 + number,
        "end": 1793671260, "action": "ACCEPT", "log-status": "OK",
    }  # fmt: skip
    fields.update({name.replace("_", "-"): value for name, value in changes.items()})
    return " ".join(str(value) for value in fields.values())


SKIPPED = "2 %s eni-1 - - - - - - - 1793671200 1793671260 - SKIPDATA" % ACCOUNT


def query(number: int = 1, **changes: t.Any) -> t.Dict[str, t.Any]:
    """A query as Route 53 Resolver logs it."""
    fields: t.Dict[str, t.Any] = {
        "version": "1.100000", "account_id": ACCOUNT, "region": "eu-west-1", "vpc_id": "vpc-1",
        "query_timestamp": "2026-11-03T02:00:%02dZ" % (number % 60), "query_name": "example.com.", "query_type": "A",
        "query_class": "IN", "rcode": "NOERROR", "answers": [{"Rdata": "192.0.2.1", "Type": "A", "Class": "IN"}],
        "srcaddr": "10.0.0.%d" % number, "srcport": "55555", "transport": "UDP", "srcids": {"instance": "i-1"},
    }  # fmt: skip
    fields.update(changes)
    return fields
