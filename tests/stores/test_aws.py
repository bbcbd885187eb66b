# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS's services: clients, an assumed role, retries, and an error for each way to fail."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import aws, aws_service
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.aws_spec import AWS, aws_problems
from lab import AwsServer
from rigs import trail


def options(server: AwsServer, **given: t.Any) -> t.Dict[str, t.Any]:
    """The options of a service on this server, with every default."""
    known = {name: option.get("default") for name, option in AWS.items()}
    return {
        **known,
        **server.options,
        "retry_delay": "0",
        **given,
    }


@pytest.fixture
def cloudtrail(aws_server: AwsServer) -> t.Iterator[aws_service.Service]:
    service = aws_service.open_service("cloudtrail", options(aws_server))
    yield service
    service.close()


def test_public_keys_arrive_in_the_wire_format(aws_server: AwsServer, cloudtrail: aws_service.Service) -> None:
    aws_server.set_public_keys(trail.public_key(), region="eu-west-3")
    found = list(cloudtrail.pages("list_public_keys", "PublicKeyList"))
    assert [(one["Fingerprint"], one["Value"]) for one in found] == [(trail.fingerprint(), trail.public_key()["Value"])]


def test_a_throttled_request_is_repeated(aws_server: AwsServer, cloudtrail: aws_service.Service) -> None:
    aws_server.fail(400, "ThrottlingException", times=3)
    aws_server.set_public_keys()
    assert cloudtrail.call("list_public_keys")["PublicKeyList"] == []
    assert len(aws_server.requests()) == 4


@pytest.mark.parametrize(
    ("status", "code", "reason", "calls"),
    [
        (400, "ThrottlingException", "throttled", 4),
        (400, "ExpiredTokenException", "expired", 1),
        (400, "UnrecognizedClientException", "credentials", 1),
        (400, "AccessDeniedException", "denied", 1),
        (403, "OptInRequired", "region", 1),
        (500, "InternalFailure", "unavailable", 4),
    ],
)
def test_each_failure_has_its_own_error(
    aws_server: AwsServer, cloudtrail: aws_service.Service, status: int, code: str, reason: str, calls: int
) -> None:
    aws_server.fail(status, code)
    with pytest.raises(aws.AwsError) as caught:
        cloudtrail.call("list_public_keys")
    assert (caught.value.reason, caught.value.kind) == (reason, "aws_" + reason)
    assert caught.value.subject == "cloudtrail in eu-west-3"
    assert len(aws_server.requests()) == calls


def test_a_wrong_clock_is_no_wrong_key(aws_server: AwsServer, cloudtrail: aws_service.Service) -> None:
    aws_server.fail(400, "InvalidSignatureException", "Signature expired")
    aws_server.set_clock(7200)
    with pytest.raises(aws.AwsError, match="clocks differ") as caught:
        cloudtrail.call("list_public_keys")
    assert caught.value.reason == "clock"


def test_a_role_is_assumed_once(aws_server: AwsServer) -> None:
    role = "arn:aws:iam::210987654321:role/audit"
    aws_server.set_public_keys()
    service = aws_service.open_service("cloudtrail", options(aws_server, role_arn=role, external_id="x1"))
    for _each in range(2):
        service.call("list_public_keys")
    service.close()
    assert [request.service for request in aws_server.requests()] == ["sts", "cloudtrail", "cloudtrail"]


def test_a_role_that_may_not_be_assumed_is_denied(aws_server: AwsServer) -> None:
    body = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no sts:AssumeRole</Message></Error></ErrorResponse>"
    aws_server.answer(403, body, service="sts")
    service = aws_service.open_service("cloudtrail", options(aws_server, role_arn="arn:aws:iam::210987654321:role/audit"))
    with pytest.raises(aws.AwsError, match="sts:AssumeRole") as caught:
        service.call("list_public_keys")
    assert caught.value.reason == "denied"


def test_a_listing_that_does_not_end_is_an_error(aws_server: AwsServer, cloudtrail: aws_service.Service) -> None:
    aws_server.answer(200, {"PublicKeyList": [], "NextToken": "again"})
    with pytest.raises(LogArchiveError, match="does not end"):
        list(cloudtrail.pages("list_public_keys", "PublicKeyList"))


def test_nothing_shows_a_secret(aws_server: AwsServer) -> None:
    access = aws.access_of(options(aws_server, secret_access_key="hush", session_token="hush"))
    assert "hush" not in repr(access)


def test_options_that_do_not_fit_together_are_reported(aws_server: AwsServer) -> None:
    assert aws_problems(options(aws_server)) == []
    found = aws_problems(options(aws_server, access_key_id=None, external_id="x", endpoint_url="ftp://x"))
    assert [problem.partition(":")[0] for problem in found] == ["access_key_id", "external_id", "endpoint_url"]
