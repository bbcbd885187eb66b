# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The requests of the S3 store to its bucket, and the properties of an object in their answers."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import time
import typing as t

from ..base import aws, watch
from ..base.errors import (
    ConfigError,
    IntegrityError,
    StoreDeniedError,
    StoreError,
    StoreExistsError,
    StoreNotFoundError,
    StoreUnavailableError,
)
from ..base.progress import Advance
from ..base.units import parse_duration
from .base import MOST_OBJECTS, Digests, Pieces, listing_too_large, required, unreadable
from .s3_errors import AccessDeniedError, NotImplementedByServerError, store_error

if t.TYPE_CHECKING:
    from ..config.document import StoreOptions

Answer = t.Dict[str, t.Any]
"""What boto3 returns for a request."""

READ_SIZE = 256 * 1024
MOST_EMPTY_PAGES = 1000
"""Pages of a listing without an entry, one after another. A server may filter a page to nothing, but not for ever."""

LONGEST_ANSWER = 10
"""How many times the option ``timeout`` a request without a large body may take."""
LEAST_NAMES = 20
"""Names per second that a listing must reach after the time of LONGEST_ANSWER: pages of one name could hold a job for years."""

_ALWAYS_THERE = {
    "head_object": {"ETag", "ContentLength"},
    "get_object": {"ETag", "ContentLength"},
    "upload_part": {"ETag"},
    "create_multipart_upload": {"UploadId"},
    "list_objects_v2": {"IsTruncated"},
    "list_multipart_uploads": {"IsTruncated"},
    "list_object_versions": {"IsTruncated"},
}
"""By request, what the answer of every S3 server has."""

_MARKERS = {
    "list_objects_v2": ("ContinuationToken",),
    "list_multipart_uploads": ("KeyMarker", "UploadIdMarker"),
    "list_object_versions": ("KeyMarker", "VersionIdMarker"),
}
"""By listing, where the next page begins."""


class Bucket:
    """A bucket, seen through a prefix: keys are without it.

    boto3 makes each request once. All errors are those of ``s3_errors``. if_none_match: whether the server is believed to support
    ``If-None-Match: *``, by which a write never replaces an object. role: assumed with the credentials of the options.
    """

    def __init__(self, options: StoreOptions, role: t.Optional[aws.Role] = None) -> None:
        subject = options["name"] or options["type"]
        endpoint_url = options["endpoint_url"]
        if bool(options["access_key_id"]) != bool(options["secret_access_key"]):
            raise ConfigError("access_key_id and secret_access_key must be set together", subject)
        if endpoint_url is not None and not re.match(r"https?://[^/@?\s]+/?[^@?\s]*$", endpoint_url):
            raise ConfigError("endpoint_url must be http(s)://host[:port], without credentials", subject)
        self.name = required(options["bucket"], "bucket", subject)
        self.prefix = options["prefix"].strip("/") + "/" if options["prefix"].strip("/") else ""
        self.if_none_match = True
        self._access = aws.Access(
            region=options["region"],
            endpoint_url=endpoint_url,
            access_key_id=options["access_key_id"],
            secret_access_key=options["secret_access_key"],
            session_token=options["session_token"],
            profile=options["profile"],
            ca_bundle=options["ca_bundle"],
            timeout=parse_duration(options["timeout"]),
            role=role,
        )
        self._addressing_style = options["addressing_style"]
        self._checksums = options["checksum_calculation"] == "when_supported"
        self._encryption = options["sse"]
        self._new_object = {
            "ServerSideEncryption": options["sse"],
            "SSEKMSKeyId": options["sse_kms_key_id"],
            "StorageClass": options["storage_class"],
        }
        self._timeout = self._access.timeout
        self._client: t.Any = None
        self.overwrites = False
        """Whether ``write_new`` replaces an object."""

    def location(self, key: str = "") -> str:
        """The URL of a key, without any secret."""
        return "s3://%s/%s%s" % (self.name, self.prefix, key)

    # -- requests -----------------------------------------------------------------------------------------------------

    def connect(self) -> t.Any:
        """The client of boto3, made at the first call."""
        if self._client is None:
            try:
                client = aws.make_client("s3", self._access, self.location(), self._addressing_style)
            except aws.AwsError as error:
                raise store_error(error, self.location()) from error
            # Headers are set here and not as parameters, because older releases of botocore do not know these parameters.
            for operation in ("PutObject", "CompleteMultipartUpload"):
                client.meta.events.register("before-call.s3.%s" % operation, self._forbid_overwriting)
            client.meta.events.register("before-call.s3.DeleteObjects", _add_content_md5)
            client.meta.events.register("before-call.s3.HeadBucket", _forbid_redirects)
            client.meta.events.register("before-send.s3", _start_progress)
            # A private part of botocore; without it only the timeout of each read limits a request.
            pools = getattr(getattr(getattr(client, "_endpoint", None), "http_session", None), "_pool_classes_by_scheme", None)
            if pools is not None:
                pools.update(watch.watched(pools))
            self._client = client
        return self._client

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def call(self, operation: str, key: str = "", **parameters: t.Any) -> Answer:
        """Send a request of boto3 (such as 'head_object') about the bucket; ``key`` is for errors only."""
        with contextlib.closing(watch.Watch()) as guard:
            return self._call(guard, operation, key, parameters)

    def _call(self, guard: watch.Watch, operation: str, key: str, parameters: t.Dict[str, t.Any]) -> Answer:
        client = self.connect()
        try:
            # Completing an upload may take minutes.
            with guard.limit(LONGEST_ANSWER * self._timeout):
                answer = t.cast(Answer, getattr(client, operation)(Bucket=self.name, **parameters))
        except aws.request_errors() as error:
            if guard.expired:
                raise self._slow(key) from error
            raise store_error(error, self.location(key), client.meta.region_name) from error
        if guard.expired:
            # What had arrived of the answer looked whole.
            raise self._slow(key)
        _check_is_s3(operation, self.location(key), answer)
        return answer

    def _slow(self, key: str) -> StoreUnavailableError:
        return StoreUnavailableError(
            "the server is too slow: it neither answers nor sends %d bytes per second" % watch.MIN_RATE,
            self.location(key),
            "Check the server and the network, or increase the option timeout",
        )

    def call_on(self, operation: str, key: str, **parameters: t.Any) -> Answer:
        """Send a request of boto3 about one object."""
        return self.call(operation, key, Key=self.prefix + key, **parameters)

    def write_new(self, operation: str, key: str, **parameters: t.Any) -> Answer:
        """Send PutObject or CompleteMultipartUpload so that no object is replaced; StoreExistsError if there is one.

        A server without If-None-Match is asked first whether the object exists.
        """
        if self.overwrites:
            return self.call_on(operation, key, **parameters)
        if self.if_none_match:
            try:
                return self.call_on(operation, key, **parameters)
            except NotImplementedByServerError:
                self.if_none_match = False
        try:
            if self.head(key) is not None:
                raise StoreExistsError("an object already exists under this name", self.location(key))
            if "Body" in parameters:
                parameters["Body"].seek(0)
            return self.call_on(operation, key, **parameters)
        except NotImplementedByServerError:
            # The server refuses something else than that header.
            self.if_none_match = True
            raise

    def head(self, key: str, checksums: bool = False) -> t.Optional[Answer]:
        """The server's description of an object (HeadObject); None if it does not exist."""
        parameters = {"ChecksumMode": "ENABLED"} if checksums else {}
        try:
            return self.call_on("head_object", key, **parameters)
        except StoreNotFoundError:
            return None
        except (StoreUnavailableError, StoreDeniedError) as error:
            if isinstance(error, AccessDeniedError):
                self.raise_reason(key)
            raise
        except StoreError:
            # Such as 400, with which some servers answer a signature of the wrong time or region.
            self.raise_reason(key)
            raise

    def raise_reason(self, key: str) -> None:
        """Raise the error that a GET of one byte meets: an answer to HEAD has no body and so gives no reason."""
        self.call_on("get_object", key, Range="bytes=0-0")["Body"].close()

    def read(self, key: str, start: int = 0, answered: t.Callable[[Answer], None] = lambda answer: None) -> Pieces:
        """The object's bytes from an offset; StoreUnavailableError if fewer arrive than the server announced.

        answered: called with the answer (metadata, ETag), before its bytes are read.
        """
        with contextlib.closing(watch.Watch()) as guard:
            wanted = {"Range": "bytes=%d-" % start} if start else {}
            answer = self._call(guard, "get_object", key, {"Key": self.prefix + key, **wanted})
            answered(answer)
            # A server without ranges sends everything.
            skip = start if "ContentRange" not in answer else 0
            with contextlib.closing(answer["Body"]) as body:
                size = 0
                while True:
                    piece = self._read_piece(guard, body, key)
                    if not piece:
                        break
                    size += len(piece)
                    if skip >= len(piece):
                        skip -= len(piece)
                        continue
                    yield piece[skip:]
                    skip = 0
        if size != answer["ContentLength"]:
            raise StoreUnavailableError("the server sent only %d of %d bytes" % (size, answer["ContentLength"]), self.location(key))

    def _read_piece(self, guard: watch.Watch, body: t.Any, key: str) -> bytes:
        import botocore.exceptions
        import urllib3.exceptions

        try:
            with guard.limit(self._timeout + READ_SIZE / watch.MIN_RATE):
                return t.cast(bytes, body.read(READ_SIZE))
        except (botocore.exceptions.BotoCoreError, urllib3.exceptions.HTTPError, OSError) as error:
            if guard.expired:
                raise self._slow(key) from error
            if isinstance(error, botocore.exceptions.BotoCoreError):
                raise store_error(error, self.location(key)) from error
            raise StoreUnavailableError("the connection was lost: %s" % error, self.location(key)) from error

    def pages(self, operation: str, prefix: str, *members: str, **more: t.Any) -> t.Iterator[t.Dict[str, t.Any]]:
        """The entries named ``members`` in all pages of a listing below ``prefix``. more: further parameters of each request."""
        parameters: t.Dict[str, t.Any] = {"Prefix": self.prefix + prefix, **more}
        count = empty = 0
        began = time.monotonic()
        while True:
            page = self.call(operation, prefix, **parameters)
            entries = [entry for member in members for entry in page.get(member, [])]
            count += len(entries)
            empty = 0 if entries else empty + 1
            if count > MOST_OBJECTS:
                raise listing_too_large(self.location(prefix))
            if time.monotonic() - began > LONGEST_ANSWER * self._timeout + count / LEAST_NAMES:
                raise StoreError("the server lists fewer than %d names per second" % LEAST_NAMES, self.location(prefix), "Check the server")
            if empty > MOST_EMPTY_PAGES:
                raise StoreError("the server's listing does not end: %d pages are empty" % empty, self.location(prefix))
            yield from entries
            following = {name: page["Next" + name] for name in _MARKERS[operation] if page.get("Next" + name)}
            if not page["IsTruncated"]:
                return
            if not following or following.items() <= parameters.items():
                raise StoreError("the server's listing does not go on after a page", self.location(prefix), "Check the server")
            parameters.update(following)

    def body(self, file: LocalFile, start: int, size: int, progress: Advance) -> FileSlice:
        """A piece of a file as the body of a request."""
        return FileSlice(file, start, size, progress, self._timeout + READ_SIZE / watch.MIN_RATE)

    # -- properties of an object in requests and answers --------------------------------------------------------------

    def new_object_parameters(self) -> t.Dict[str, str]:
        """The parameters of a new object: its encryption and storage class."""
        return {name: value for name, value in self._new_object.items() if value}

    @property
    def sends_sha256(self) -> bool:
        """Whether a SHA-256 goes with each request beside the Content-MD5."""
        return self._checksums

    def checksum_parameters(self, sha256: bytes) -> t.Dict[str, str]:
        """The parameters that carry a SHA-256, if the server takes one."""
        return {"ChecksumSHA256": to_base64(sha256)} if self._checksums else {}

    def md5_in_etag(self, answer: Answer) -> t.Optional[str]:
        """The ETag of an answer if it is the MD5 of the bytes or of the parts' MD5s; None if it is missing or known not to be.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html, ETag.
        """
        encryption = answer.get("ServerSideEncryption") or self._encryption or ""
        if encryption.startswith("aws:kms") or answer.get("SSECustomerAlgorithm"):
            return None
        etag = etag_of(answer)
        return etag if re.match(r"[0-9a-f]{32}(-[0-9]+)?$", etag) else None

    def _forbid_overwriting(self, params: t.Dict[str, t.Any], **_others: t.Any) -> None:
        if self.if_none_match and not self.overwrites:
            params["headers"]["If-None-Match"] = "*"


class LocalFile(t.NamedTuple):
    """An open file that is sent: descriptor, path (for errors) and what it must be."""

    descriptor: int
    path: str
    digests: Digests


class FileSlice:
    """A piece of a file as the body of a request: read by position, so that many share one descriptor, and never held in memory.

    seconds: how long the server may take for one more piece.
    """

    def __init__(self, file: LocalFile, start: int, size: int, progress: Advance, seconds: float) -> None:
        self._file = file
        self._seconds = seconds
        self._start = start
        self._size = size
        self._at = 0
        self._progress = progress
        self._reported = 0
        self.sending = False

    def __len__(self) -> int:
        return self._size

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def read(self, count: t.Optional[int] = -1) -> bytes:
        left = self._size - self._at
        # botocore reads a body in MiB to sign it: fewer bytes at a time keep four threads small.
        wanted = left if count is None or count < 0 else min(count, left, READ_SIZE)
        if wanted <= 0:
            return b""
        try:
            data = os.pread(self._file.descriptor, wanted, self._start + self._at)
        except OSError as error:
            raise unreadable(self._file.path, error) from error
        if not data:
            raise IntegrityError("the archive was truncated while it was sent", self._file.path)
        self._at += len(data)
        if self.sending:
            watch.moved(self._seconds)
        # The body is also read to sign it, and again after a redirect: only bytes that leave for the first time are progress.
        if self.sending and self._at > self._reported:
            self._progress(self._at - self._reported)
            self._reported = self._at
        return data


def to_base64(digest: bytes) -> str:
    """A digest as headers carry it."""
    return base64.b64encode(digest).decode("ascii")


def etag_of(answer: t.Mapping[str, t.Any]) -> str:
    """The ETag of an answer or a listed object, without quotes; '' if it has none."""
    return (answer.get("ETag") or "").strip('"')


def number_of_parts(etag: str) -> int:
    """The N of an ETag ``...-N``; 0 for one without."""
    number = etag.rpartition("-")[2] if "-" in etag else ""
    return int(number) if number.isdigit() else 0


def _check_is_s3(operation: str, location: str, answer: Answer) -> None:
    """Raise StoreUnavailableError for an answer that only looks successful: a page for people, or an empty 200.

    boto3 reads what it expects and ignores the rest: any well-formed page is an empty listing to it, and an object to a HEAD.
    """
    kind = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("content-type", "")
    # Only of an object: Swift calls other answers HTML too, and no archive is.
    is_page = operation in ("head_object", "get_object") and kind.lower().startswith(("text/html", "application/xhtml"))
    if is_page or not _ALWAYS_THERE.get(operation, set()) <= answer.keys():
        raise StoreUnavailableError(
            "the endpoint did not answer as an S3 server does%s" % (" (content type %s)" % ascii(kind[:60]) if kind else ""),
            location,
            "Check endpoint_url and addressing_style: another server or a proxy's page answers there",
        )


def _add_content_md5(params: t.Dict[str, t.Any], **_others: t.Any) -> None:
    """Send DeleteObjects with Content-MD5, which every server takes and older ones demand, in place of botocore's CRC32."""
    params["headers"]["Content-MD5"] = to_base64(hashlib.md5(params["body"], usedforsecurity=False).digest())
    params["context"].pop("checksum", None)


def _forbid_redirects(params: t.Dict[str, t.Any], **_others: t.Any) -> None:
    """Let botocore, which asks HeadBucket for the region after a redirect, not follow the redirect of HeadBucket itself, and so on."""
    params["context"]["s3_redirected"] = True
    if isinstance(params["context"].get("s3_redirect"), dict):
        params["context"]["s3_redirect"]["redirected"] = True


def _start_progress(request: t.Any, **_others: t.Any) -> None:
    if isinstance(request.body, FileSlice):
        request.body.sending = True
