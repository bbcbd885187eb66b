# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exceptions of the real botocore become errors of ours that say what to do; no server is needed."""

from __future__ import annotations

import pathlib
import socket
import ssl
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import aws, errors
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores import s3_errors

exceptions = pytest.importorskip("botocore.exceptions")
parsers = pytest.importorskip("botocore.parsers")

LOCATION = "s3://bucket/archives/key"


def answer(status: int, code: str, headers: t.Optional[t.Dict[str, str]] = None, **fields: str) -> t.Any:
    response = {
        "Error": dict({"Code": code, "Message": "the server's words"}, **fields),
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers or {}},
    }
    return exceptions.ClientError(response, "PutObject")


def translated(error: Exception, region: t.Optional[str] = None) -> errors.LogArchiveError:
    found = s3_errors.store_error(error, LOCATION, region)
    assert found.subject == LOCATION
    return found


def tls_error(inner: ssl.SSLError) -> t.Any:
    """As botocore raises it: with the error of urllib3, which holds the one of Python."""
    return exceptions.SSLError(endpoint_url="https://server/bucket?X-Amz-Signature=marker", error=OSError("wrapped", inner))


def untrusted() -> ssl.SSLError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = 20, "unable to get local issuer certificate"
    return error


ANSWERS = [
    (400, "BadDigest", s3_errors.BadDigestError, "received different bytes"),
    (400, "XAmzContentSHA256Mismatch", s3_errors.BadDigestError, "received different bytes"),
    (403, "QuotaExceeded", errors.StoreFullError, "quota"),
    (413, "EntityTooLarge", errors.StoreFullError, "quota"),
    (507, "XMinioStorageFull", errors.StoreFullError, "quota"),
    (400, "ExpiredToken", errors.StoreDeniedError, "expired"),
    (403, "InvalidAccessKeyId", errors.StoreDeniedError, "Check access_key_id"),
    (403, "SignatureDoesNotMatch", errors.StoreDeniedError, "Check access_key_id"),
    (403, "AccessDenied", s3_errors.AccessDeniedError, "s3:PutObject"),
    (401, "Anything", s3_errors.AccessDeniedError, "s3:PutObject"),
    (403, "403", s3_errors.AccessDeniedError, "answered 403 .the server's words"),
    (404, "NoSuchBucket", errors.StoreNotFoundError, "Create the bucket"),
    (404, "NoSuchUpload", s3_errors.NoSuchUploadError, "NoSuchUpload"),
    (404, "NoSuchKey", errors.StoreNotFoundError, "404 NoSuchKey"),
    (412, "PreconditionFailed", errors.StoreExistsError, "already exists"),
    (501, "NotImplemented", s3_errors.NotImplementedByServerError, "501"),
    (400, "InvalidArgument", s3_errors.NotImplementedByServerError, "InvalidArgument"),
    (411, "MissingContentLength", errors.StoreError, "when_required"),
    (409, "ConditionalRequestConflict", errors.StoreUnavailableError, "409"),
    (503, "SlowDown", errors.StoreUnavailableError, "503 SlowDown"),
    (200, "InternalError", errors.StoreUnavailableError, "InternalError"),
    (502, "502", errors.StoreUnavailableError, "answered 502 "),
    (429, "TooManyRequests", errors.StoreUnavailableError, "429"),
    (408, "RequestTimeout", errors.StoreUnavailableError, "408"),
    (400, "InvalidPart", errors.StoreError, "InvalidPart"),
]


@pytest.mark.parametrize(("status", "code", "kind", "text"), ANSWERS, ids=["%d-%s" % (row[0], row[1]) for row in ANSWERS])
def test_answers_of_the_server(status: int, code: str, kind: t.Type[errors.StoreError], text: str) -> None:
    found = translated(answer(status, code))
    assert found.__class__ is kind
    assert isinstance(found, errors.StoreError)
    assert text.replace(".", "(") in str(found) or text in str(found)


def test_only_unavailable_servers_are_asked_again() -> None:
    retryable = {code for status, code, _kind, _text in ANSWERS if t.cast(errors.StoreError, translated(answer(status, code))).retryable}
    again = {"BadDigest", "XAmzContentSHA256Mismatch", "NoSuchUpload", "ConditionalRequestConflict", "SlowDown", "InternalError"}
    assert retryable == again | {"502", "TooManyRequests", "RequestTimeout"}


def test_clocks_that_differ_are_shown_both() -> None:
    found = translated(answer(403, "RequestTimeTooSkewed", ServerTime="2024-01-12T12:00:00Z"))
    assert found.__class__ is errors.StoreDeniedError
    assert "the server 2024-01-12T12:00:00Z" in found.message and "NTP" in str(found)
    found = translated(answer(403, "RequestTimeTooSkewed", {"date": "Fri, 12 Jan 2024 12:00:00 GMT"}))
    assert "the server Fri, 12 Jan 2024 12:00:00 GMT" in found.message


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (answer(400, "AuthorizationHeaderMalformed", Region="eu-west-3"), "Set region to eu-west-3"),
        (
            answer(301, "PermanentRedirect", Endpoint="b.example"),
            "Set region (and endpoint_url) to the bucket's; its endpoint is b.example",
        ),
        (answer(301, "301", {"x-amz-bucket-region": "eu-north-1"}), "Set region to eu-north-1"),
        (answer(400, "IllegalLocationConstraintException"), "Set region (and endpoint_url) to the bucket's"),
    ],
)
def test_a_bucket_in_another_region_is_reported_with_its_region(error: t.Any, hint: str) -> None:
    found = translated(error, "us-east-1")
    assert found.__class__ is errors.StoreError
    assert "the bucket is not in region us-east-1" in found.message
    assert found.hint == hint
    assert "(none set)" in translated(error).message


@pytest.mark.parametrize(
    "error",
    [
        exceptions.NoCredentialsError(),
        exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
        exceptions.ProfileNotFound(profile="nightly"),
        exceptions.TokenRetrievalError(provider="sso", error_msg="expired"),
        exceptions.UnauthorizedSSOTokenError(),
    ],
)
def test_missing_credentials_are_reported_with_a_hint(error: Exception) -> None:
    found = translated(error)
    assert found.__class__ is errors.StoreDeniedError
    assert "no usable credentials" in found.message and "AWS_*" in str(found)


def test_an_untrusted_certificate_is_not_tried_again() -> None:
    found = translated(tls_error(untrusted()))
    assert found.__class__ is errors.StoreError
    assert "its TLS certificate is not accepted (unable to get local issuer certificate)" in found.message
    assert "ca_bundle" in str(found) and "marker" not in str(found)


def test_another_failure_of_tls_names_the_scheme() -> None:
    inner = ssl.SSLError(1, "[SSL] x")
    inner.reason = "WRONG_VERSION_NUMBER"
    found = translated(tls_error(inner))
    assert found.__class__ is errors.StoreUnavailableError
    assert "WRONG_VERSION_NUMBER" in found.message and "scheme" in str(found)


@pytest.mark.parametrize(
    ("error", "texts"),
    [
        (
            exceptions.EndpointConnectionError(
                endpoint_url="https://me:marker@host:1/b?X-Amz-Signature=marker", error=ConnectionRefusedError(111, "Connection refused")
            ),
            ["Could not connect", "https://host:1/b", "(connection refused)"],
        ),
        (
            exceptions.EndpointConnectionError(endpoint_url="https://host/b", error=socket.gaierror(-2, "Name or service not known")),
            ["its name cannot be resolved"],
        ),
        (exceptions.ReadTimeoutError(endpoint_url="https://host/b?token=marker", error=socket.timeout("timed out")), ["Read timeout"]),
        (exceptions.ConnectTimeoutError(endpoint_url="https://host/b"), ["Connect timeout"]),
        (exceptions.ConnectionClosedError(endpoint_url="https://host/b"), ["Connection was closed"]),
        (exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), ["1 read, but total bytes expected is 2"]),
        (parsers.ResponseParserError("invalid XML received:\n<html>"), ["cannot read the server's answer: invalid XML received:"]),
    ],
)
def test_connections_that_fail_are_tried_again(error: Exception, texts: t.List[str]) -> None:
    found = translated(error)
    assert found.__class__ is errors.StoreUnavailableError
    assert [text for text in texts if text not in found.message] == []
    assert "marker" not in str(found)


def test_an_error_of_the_body_is_not_changed() -> None:
    own = errors.IntegrityError("the archive was truncated while it was sent")
    assert s3_errors.store_error(exceptions.HTTPClientError(error=own), LOCATION) is own


def test_any_other_mistake_is_an_error_of_the_store() -> None:
    found = translated(exceptions.ParamValidationError(report="Invalid bucket name"))
    assert found.__class__ is errors.StoreError and "Invalid bucket name" in found.message


# -- the client -------------------------------------------------------------------------------------------------------


def test_a_client_is_made_without_a_connection() -> None:
    access = aws.Access(region="eu-west-3", endpoint_url="https://127.0.0.1:9", access_key_id="id", secret_access_key="marker", timeout=7)
    client = aws.make_client("s3", access, LOCATION, "path")
    assert (client.meta.region_name, client.meta.endpoint_url) == ("eu-west-3", "https://127.0.0.1:9")
    config = client.meta.config
    assert (config.connect_timeout, config.read_timeout, config.retries["total_max_attempts"]) == (7, 7, 1)
    assert config.s3["addressing_style"] == "path"
    assert "marker" not in repr(access)


def test_a_client_of_another_service() -> None:
    client = aws.make_client("cloudtrail", aws.Access(region="eu-west-3", access_key_id="id", secret_access_key="x"), "CloudTrail")
    assert client.meta.service_model.service_name == "cloudtrail"


@pytest.mark.parametrize("access", [aws.Access(region="not a region"), aws.Access(region="eu-west-3", endpoint_url="not a url")])
def test_a_client_that_cannot_be_made(access: aws.Access) -> None:
    with pytest.raises((errors.ConfigError, aws.AwsError)) as raised:
        aws.make_client("s3", access, LOCATION)
    assert raised.value.subject == LOCATION


def test_an_unknown_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(aws.AwsError, match="nightly") as raised:
        aws.make_client("s3", aws.Access(profile="nightly"), LOCATION)
    assert (raised.value.reason, raised.value.retryable) == ("credentials", False)


def test_given_keys_win_over_a_profile_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    (tmp_path / "credentials").write_text("[there]\naws_access_key_id = other\naws_secret_access_key = other\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    for variable in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        for profile in ("gone", "there"):
            monkeypatch.setenv(variable, profile)
            client = aws.make_client("s3", aws.Access(region="eu-west-3", access_key_id="id", secret_access_key="x"), LOCATION)
            assert client._request_signer._credentials.access_key == "id"
            monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_PROFILE", "there")
    assert aws.make_client("s3", aws.Access(region="eu-west-3"), LOCATION)._request_signer._credentials.access_key == "other"


def test_errors_of_other_services_have_reasons() -> None:
    reasons = {
        code: aws.explain(answer(400, code), "CloudTrail").reason
        for code in ("ThrottlingException", "AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException", "Other")
    }
    assert list(reasons.values()) == ["throttled", "denied", "credentials", "expired", "other"]
