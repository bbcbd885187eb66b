# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exceptions of botocore as errors of a store: the codes that only S3 has, AWS's own and those of Swift, Ceph and MinIO."""

from __future__ import annotations

import typing as t

from ..base import aws
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
    """The request is not allowed. The credentials are valid, or the server did not check them."""


class BadDigestError(StoreUnavailableError):
    """The bytes that the server received do not have the digest that was sent."""


class NoSuchUploadError(StoreUnavailableError):
    """The server no longer has the multipart upload, so it must start again."""


class NotImplementedByServerError(StoreError):
    """The server does not support a header of the request."""


BAD_DIGEST = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
FULL = {"EntityTooLarge", "QuotaExceeded", "StorageQuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "InsufficientCapacity"}
UNSUPPORTED = {"NotImplemented", "InvalidArgument", "InvalidRequest"}

POLICY_HINT = (
    "Check the credentials and what their policy allows: s3:PutObject, s3:GetObject, s3:ListBucket, s3:AbortMultipartUpload,"
    " s3:ListBucketMultipartUploads, and s3:DeleteObject to prune"
)


def store_error(error: Exception, subject: str, region: t.Optional[str] = None) -> LogArchiveError:
    """The error for an exception of ``aws.request_errors`` or an AwsError.

    subject: the location of the object or bucket. region: the one that the request was signed for.
    """
    cause = getattr(error, "kwargs", {}).get("error")
    if isinstance(cause, LogArchiveError):
        # Raised by the body of the request, which is ours, while botocore was sending it.
        return cause
    failure = error if isinstance(error, aws.AwsError) else aws.explain(error, subject, region)
    return _by_code(failure, subject) or _by_reason(failure, subject)


def _by_code(failure: aws.AwsError, subject: str) -> t.Optional[LogArchiveError]:
    """The error of an answer that means more to S3 than to other services."""
    message, code, status = failure.message, failure.code, failure.status
    if code in BAD_DIGEST:
        return BadDigestError("the server received different bytes than were sent: %s" % message, subject)
    # Some servers answer 403 if a quota is used up.
    if code in FULL or status in (413, 507):
        return StoreFullError(message, subject, "Prune the store, or raise its quota")
    if code == "NoSuchBucket":
        return StoreNotFoundError(message, subject, "Create the bucket, or check bucket, region and endpoint_url")
    if code == "NoSuchUpload":
        return NoSuchUploadError(message, subject)
    if status == 404:
        return StoreNotFoundError(message, subject)
    if status == 412:
        return StoreExistsError("an object already exists under this name", subject)
    if status == 501 or (status == 400 and code in UNSUPPORTED):
        return NotImplementedByServerError(message, subject)
    if status == 411:
        return StoreError(message, subject, "Set checksum_calculation to when_required: this server refuses streamed checksums")
    return None


def _by_reason(failure: aws.AwsError, subject: str) -> LogArchiveError:
    if failure.reason == "denied":
        return AccessDeniedError(failure.message, subject, POLICY_HINT)
    if failure.reason in ("credentials", "expired", "clock"):
        return StoreDeniedError(failure.message, subject, failure.hint)
    if failure.retryable:
        return StoreUnavailableError(failure.message, subject, failure.hint)
    return StoreError(failure.message, subject, failure.hint)
