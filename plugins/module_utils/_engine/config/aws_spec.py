# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options for access to AWS: credentials, role, region, endpoint, retries."""

from __future__ import annotations

from ..base import hints as t
from .option import Spec, is_endpoint

LOG_GROUP = r"[A-Za-z0-9._/#-]{1,512}"
LOG_GROUP_MEANS = "1 to 512 letters, digits and '.', '-', '_', '/', '#'"
NAMESPACE = r"(?!AWS/)[A-Za-z0-9._/#-][A-Za-z0-9._/#:-]{0,254}"
NAMESPACE_MEANS = "1 to 255 letters, digits and '.', '-', '_', '/', '#', ':', not beginning with ':' or 'AWS/'"
DEFAULT_NAMESPACE = "LogArchive"
"""Of metrics."""

AWS: Spec = {
    "region": {"type": "str", "description": ["The AWS region, such as V(eu-west-3)."]},
    "endpoint_url": {"type": "str", "description": ["The URL of a compatible server. The default is AWS."]},
    "access_key_id": {
        "type": "str",
        "description": [
            "The access key ID. With it, C(AWS_PROFILE) and other C(AWS_*) credentials of the environment are ignored. Without it the"
            " standard AWS credential chain is used: environment, profile, instance role.",
        ],
    },
    "secret_access_key": {"type": "str", "secret": True, "description": ["The secret access key of O(access_key_id)."]},
    "session_token": {"type": "str", "secret": True, "description": ["The session token of temporary credentials."]},
    "profile": {"type": "str", "description": ["A profile in the AWS configuration files."]},
    "role_arn": {
        "type": "str",
        "pattern": r"arn:[a-z0-9-]+:iam::[0-9]{12}:role/[\w+=,.@/-]+",
        "pattern_means": "the ARN of a role, such as arn:aws:iam::123456789012:role/audit",
        "description": [
            "The ARN of a role to assume with these credentials, for example of another account. The session is renewed before it expires."
        ],
    },
    "external_id": {"type": "str", "description": ["The external ID that the trust policy of O(role_arn) requires."]},
    "ca_bundle": {"type": "path", "description": ["A file of CA certificates to trust instead of the system's."]},
    "timeout": {"type": "duration", "default": "60", "description": ["How long to wait for data from the server."]},
    "attempts": {
        "type": "int",
        "default": 4,
        "minimum": 1,
        "description": ["The maximum number of attempts if a request fails with a temporary error (network, server error, throttling)."],
    },
    "retry_delay": {
        "type": "duration",
        "default": "1",
        "description": ["How long to wait before the second attempt. The delay doubles with each further attempt."],
    },
}


def aws_problems(options: t.Mapping[str, t.Any]) -> t.List[str]:
    """Mistakes in combinations of these options, each as 'option: what is wrong'."""
    problems = []
    if bool(options["access_key_id"]) != bool(options["secret_access_key"]):
        problems.append("access_key_id: requires secret_access_key, and vice versa; omit both to use the standard AWS credential chain")
    if options["access_key_id"] and options["profile"]:
        problems.append("profile: cannot be combined with access_key_id; give one of them")
    if options["external_id"] and not options["role_arn"]:
        problems.append("external_id: requires role_arn")
    if options["endpoint_url"] is not None and not is_endpoint(options["endpoint_url"]):
        problems.append("endpoint_url: must be http(s)://host[:port], without credentials and without a query")
    return problems
