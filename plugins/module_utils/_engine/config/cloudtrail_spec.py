# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of a CloudTrail trail and of VPC flow logs: where their files are, and which files to use."""

from __future__ import annotations

from .aws_spec import AWS
from .option import Spec

CLOUDTRAIL: Spec = {
    "bucket": {
        "type": "str",
        "required": True,
        "description": ["The S3 bucket to which the trail delivers."],
        "example": "example-trail",
    },
    "prefix": {
        "type": "str",
        "default": "",
        "description": ["The prefix of the trail in the bucket, which is the part before C(AWSLogs/)."],
    },
    "organization": {
        "type": "str",
        "pattern": r"o-[a-z0-9]{10,32}",
        "pattern_means": "the ID of an organization, such as o-abcdef1234",
        "description": ["The ID of the organization, for a trail of an organization. Its files are in C(AWSLogs/<ID>/)."],
    },
    "accounts": {
        "type": "list",
        "elements": "str",
        "default": [],
        "pattern": r"[0-9]{12}",
        "pattern_means": "the 12 digits of an account, as text",
        "description": ["The IDs of the accounts to use. By default all accounts that have files in the bucket."],
        "example": ["123456789012"],
    },
    "regions": {
        "type": "list",
        "elements": "str",
        "default": [],
        "pattern": r"[a-z]{2,8}(-[a-z0-9]+)+",
        "pattern_means": "the name of a region, such as eu-west-3",
        "description": [
            "The regions to use. By default all regions that have files in the bucket.",
            "Validation expects digests of each region in this list, even if the bucket has no file of that region.",
        ],
        "example": ["eu-west-3"],
    },
    "filter": {
        "type": "list",
        "elements": "str",
        "choices": ["logs", "digests", "insights"],
        "default": ["logs", "digests", "insights"],
        "description": [
            "Which files to archive, by their folder: V(logs) of C(CloudTrail/), V(digests) of C(CloudTrail-Digest/) and V(insights) of"
            " C(CloudTrail-Insight/). Without V(digests) the archives cannot be validated.",
        ],
    },
    "lookback": {
        "type": "duration",
        "default": "1d",
        "description": [
            "How far back each run looks for files that are not archived yet, such as files that CloudTrail delivered late. A job always"
            " looks back at least to its last successful run.",
            "The first run archives the files of this span of time. To archive older files, set it to V(90d) for example.",
        ],
    },
    **AWS,
}

VPC_FLOW: Spec = {
    "bucket": {
        "type": "str",
        "required": True,
        "description": ["The S3 bucket to which the flow logs are delivered."],
        "example": "example-flow-logs",
    },
    "prefix": {
        "type": "str",
        "default": "",
        "description": ["The prefix of the flow logs in the bucket, which is the part before C(AWSLogs/)."],
    },
    "accounts": CLOUDTRAIL["accounts"],
    "regions": {
        **CLOUDTRAIL["regions"],
        "description": ["The regions to archive. By default all regions that have files in the bucket."],
    },
    "lookback": {
        **CLOUDTRAIL["lookback"],
        "description": [
            "How far back each run looks for files that are not archived yet, such as files that AWS delivered late. A job always looks"
            " back at least to its last successful run.",
            "The first run archives the files of this span of time. To archive older files, set it to V(90d) for example.",
        ],
    },
    **AWS,
}
