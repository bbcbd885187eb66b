# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What botocore raises and what S3 servers answer, as errors of the engine.

Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, and what Swift, Ceph, MinIO answer in their place.
"""

from __future__ import annotations

import re
import time
import typing as t

from ..base.errors import (
    LogArchiveError,
    StoreDeniedError,
    StoreError,
    StoreExistsError,
    StoreFullError,
    StoreNotFoundError,
    StoreUnavailableError,
)


class AccessDeniedError(StoreDeniedError):
    """The credentials are good, or not looked at, and the request is not allowed."""


class BadDigestError(StoreUnavailableError):
    """The server received other bytes than those whose digest was sent."""


class NoSuchUploadError(StoreUnavailableError):
    """The server has forgotten a multipart upload; it must begin again."""


class NotImplementedByServerError(StoreError):
    """The server does not do what a request's headers ask for."""


BAD_DIGEST = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "TemporaryRedirect"}
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"}
CREDENTIALS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidSecurity", "InvalidClientTokenId"}
FULL = {"EntityTooLarge", "QuotaExceeded", "StorageQuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "InsufficientCapacity"}
BUSY = {
    "ConditionalRequestConflict",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "RequestLimitExceeded",
}

CREDENTIALS_HINT = "Check access_key_id and secret_access_key (or session_token, or profile), and that they are for this endpoint"
POLICY_HINT = (
    "Check the credentials and what their policy allows: s3:PutObject, s3:GetObject, s3:ListBucket, s3:AbortMultipartUpload,"
    " s3:ListBucketMultipartUploads, and s3:DeleteObject to prune"
)
CREDENTIAL_ERRORS = (
    "CredentialRetrievalError",
    "LoginError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "SSOError",
    "TokenRetrievalError",
)


def from_answer(answer: t.Dict[str, t.Any], subject: str, region: t.Optional[str] = None) -> LogArchiveError:
    """The error for what the server answered.

    answer: ClientError.response of botocore (Error: Code, Message; ResponseMetadata: HTTPStatusCode, HTTPHeaders). subject: the
    location of the object or bucket. region: the region that the request was signed for.
    """
    error = answer.get("Error", {})
    code = str(error.get("Code", ""))
    metadata = answer.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode", 0)
    headers = metadata.get("HTTPHeaders", {})
    said = "the server answered %s %s" % (status, code) if code and code != str(status) else "the server answered %s" % status
    if error.get("Message"):
        said += " (%s)" % error["Message"]
    if code in BAD_DIGEST:
        return BadDigestError("the server received other bytes than were sent: %s" % said, subject)
    if code == "RequestTimeTooSkewed":
        return _skewed(error, headers, subject)
    if code in REGION or status in (301, 307):
        return _wrong_region(error, headers, said, subject, region)
    # Before the denials: quotas are answered with 403, too.
    if code in FULL or status in (413, 507):
        return StoreFullError(said, subject, "Prune it, or raise its quota")
    if code in EXPIRED:
        return StoreDeniedError(said, subject, "The temporary credentials have expired: get new ones")
    if code in CREDENTIALS:
        return StoreDeniedError(said, subject, CREDENTIALS_HINT)
    if code == "AccessDenied" or status in (401, 403):
        return AccessDeniedError(said, subject, POLICY_HINT)
    if code == "NoSuchBucket":
        return StoreNotFoundError(said, subject, "Create the bucket, or check bucket, region and endpoint_url")
    if code == "NoSuchUpload":
        return NoSuchUploadError(said, subject)
    if status == 404:
        return StoreNotFoundError(said, subject)
    if status == 412:
        return StoreExistsError("an object already stands there", subject)
    if status == 501 or (status == 400 and code in ("NotImplemented", "InvalidArgument", "InvalidRequest")):
        return NotImplementedByServerError(said, subject)
    if status == 411:
        return StoreError(said, subject, "Set checksum_calculation to when_required: this server refuses streamed checksums")
    if code in BUSY or status in (408, 429) or status >= 500:
        return StoreUnavailableError(said, subject)
    return StoreError(said, subject)


def _skewed(error: t.Dict[str, t.Any], headers: t.Dict[str, str], subject: str) -> LogArchiveError:
    server = error.get("ServerTime") or headers.get("date", "unknown")
    ours = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return StoreDeniedError(
        "the clocks differ too much: here it is %s, on the server %s" % (ours, server), subject, "Set this host's clock (NTP)"
    )


def _wrong_region(
    error: t.Dict[str, t.Any], headers: t.Dict[str, str], said: str, subject: str, region: t.Optional[str]
) -> LogArchiveError:
    right = error.get("Region") or headers.get("x-amz-bucket-region")
    where = "Set region to %s" % right if right else "Set region (and endpoint_url) to where the bucket is"
    if error.get("Endpoint"):
        where += "; its endpoint is %s" % error["Endpoint"]
    return StoreError("the bucket is not in region %s: %s" % (region or "(none set)", said), subject, where)


def from_botocore(error: Exception, subject: str, region: t.Optional[str] = None) -> LogArchiveError:
    """The error for any exception of botocore: ClientError, BotoCoreError and children, ResponseParserError."""
    import botocore.exceptions as known

    if isinstance(error, known.ClientError):
        return from_answer(error.response, subject, region)
    cause = getattr(error, "kwargs", {}).get("error")
    if isinstance(cause, LogArchiveError):
        # Raised by our own body while botocore was sending it.
        return cause
    text = _without_secrets(str(error))
    # By name: older releases of botocore do not have all of them.
    if any(parent.__name__ in CREDENTIAL_ERRORS for parent in type(error).__mro__):
        return StoreDeniedError(
            "no usable credentials: %s" % text,
            subject,
            "Set access_key_id and secret_access_key, a profile, or the AWS_* environment; or give the machine a role",
        )
    if isinstance(error, known.SSLError):
        if "certificate verify failed" in text:
            reason = text.rpartition("certificate verify failed: ")[2].partition(" (_ssl")[0]
            return StoreError(
                "the server's TLS certificate is not trusted: %s" % reason,
                subject,
                "Give the authority that signed it as ca_bundle, and check that endpoint_url has the name in the certificate",
            )
        return StoreUnavailableError("TLS failed: %s" % text, subject, "Check that endpoint_url's scheme and port are those of the server")
    if isinstance(error, (known.HTTPClientError, known.IncompleteReadError, known.ConnectionError)):
        return StoreUnavailableError(text, subject)
    if not isinstance(error, known.BotoCoreError):
        # A body that is no XML, such as the page of a proxy on the way.
        return StoreUnavailableError("the server's answer is not S3: %s" % text.partition("\n")[0][:200], subject)
    return StoreError(text, subject)


def _without_secrets(text: str) -> str:
    """``text`` with user, password and query removed from the URLs in it (a query may carry a signature)."""
    return re.sub(r"(?i)(https?://)(?:[^/@\s]*@)?([^?\s\"']*)(?:\?[^\s\"']*)?", r"\1\2", text)
