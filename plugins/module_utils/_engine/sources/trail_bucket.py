# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The S3 bucket of a CloudTrail trail, or of other logs of AWS: its accounts and regions, their files by day, and their bytes."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import typing as t

from ..base import aws
from ..base.errors import LogArchiveError, StoreDeniedError, StoreError, StoreNotFoundError
from ..base.named_tuple import NamedTuple
from ..base.net import Retries
from ..base.units import UTC, parse_duration
from ..config.store_spec import STORE
from ..stores.s3_errors import AccessDeniedError
from ..stores.s3_requests import Bucket, etag_of
from . import trail_names
from .trail_names import TrailFile

if t.TYPE_CHECKING:
    from ..config.document import CloudTrailOptions, StoreOptions

    Piece = t.Union[bytes, memoryview]
    Result = t.TypeVar("Result")
    Unlisted = t.Callable[[str, str, LogArchiveError], None]
    """Called with an account, the prefix that cannot be listed, and why."""

WORKERS = 10
"""Requests at the same time: as many connections as boto3 keeps open."""
READ_HINT = "The reader of a trail needs s3:ListBucket and s3:GetObject on it, and kms:Decrypt if it is encrypted with a KMS key"


class Place(NamedTuple):
    """Where files of a trail come from."""

    account: str
    region: str


class StoredFile(NamedTuple):
    """A file of the trail as the bucket lists it. modified: aware. etag: without quotes. file: what its key states.

    version: the ID of the version, '' if it is unknown. extra: a version that is not the newest of its key. deleted: a delete marker.
    """

    key: str
    size: int
    modified: datetime.datetime
    etag: str
    file: t.Optional[TrailFile]
    version: str = ""
    extra: bool = False
    deleted: bool = False


class TrailBucket:
    """The bucket that the options describe. Threads may share it once ``connect`` was called. Raises ConfigError."""

    def __init__(self, options: CloudTrailOptions, name: t.Optional[str] = None) -> None:
        self.options = options
        self.name = name or options["bucket"]
        self.root = trail_names.root_of(options["prefix"], options["organization"])
        own: t.Dict[str, t.Any] = {option: value for option, value in options.items() if option in STORE}
        own.update(type="s3", name="s3://%s" % self.name, bucket=self.name, prefix="")
        defaults = {option: table.get("default") for option, table in STORE.items()}
        role = aws.access_of(options).role
        self._bucket = Bucket(t.cast("StoreOptions", {**defaults, **own}), role)
        self._attempts, self._delay = options["attempts"], parse_duration(options["retry_delay"])

    def connect(self) -> None:
        """Make the client. Raises what ``aws.make_client`` raises, as errors of a store."""
        self._bucket.connect()

    def close(self) -> None:
        """Close the connections."""
        self._bucket.close()

    def location(self, key: str = "") -> str:
        """The URL of a key."""
        return self._bucket.location(key)

    # -- listing ------------------------------------------------------------------------------------------------------

    def places(self, folders: t.Iterable[str], unlisted: Unlisted) -> t.List[Place]:
        """The accounts and regions that have one of these folders, less those that the options leave out.

        A region that the options name is there, with or without a file. unlisted: called for each account that cannot be listed.
        """
        found: t.Set[Place] = set()
        accounts = self.options["accounts"] or [name for name in self.names(self.root) if len(name) == 12 and name.isdigit()]
        for account in accounts:
            for folder in folders:
                prefix = "%s%s/%s/" % (self.root, account, folder)
                regions = self.options["regions"] or self.names_or_report(prefix, account, unlisted)
                found.update(Place(account, region) for region in regions)
        return sorted(found)

    def names_or_report(self, prefix: str, account: str, unlisted: Unlisted) -> t.List[str]:
        """The names of the folders below a prefix of an account; none if they cannot be listed, which is reported."""
        try:
            return self.names(prefix)
        except LogArchiveError as error:
            if not is_about_one_file(error):
                raise
            unlisted(account, prefix, error)
            return []

    def names(self, prefix: str) -> t.List[str]:
        """The names of the folders below a prefix."""

        def listed() -> t.List[str]:
            pages = self._bucket.pages("list_objects_v2", prefix, "CommonPrefixes", Delimiter="/")
            return [entry["Prefix"][len(prefix) :].rstrip("/") for entry in pages]

        return self._retrying(listed)

    def files(self, place: Place, folder: str, start: datetime.datetime, end: datetime.datetime) -> t.List[StoredFile]:
        """The files of a folder on the days from ``start`` to ``end``, in order of their keys."""
        return self._listed(place, folder, start, end, "list_objects_v2", "Contents")

    def versions(self, place: Place, folder: str, start: datetime.datetime, end: datetime.datetime) -> t.List[StoredFile]:
        """The same with every version and delete marker. Raises StoreError if the server does not list versions."""
        found = self._listed(place, folder, start, end, "list_object_versions", "Versions", "DeleteMarkers")
        return sorted(found, key=lambda one: (one.key, one.extra))

    def _listed(
        self, place: Place, folder: str, start: datetime.datetime, end: datetime.datetime, operation: str, *members: str
    ) -> t.List[StoredFile]:
        found: t.List[StoredFile] = []
        for day in trail_names.folders(start, end):
            prefix = self.folder(place, folder, day)

            def entries(prefix: str = prefix) -> t.List[t.Dict[str, t.Any]]:
                return list(self._bucket.pages(operation, prefix, *members))

            found += [self._stored(entry) for entry in self._retrying(entries) if not entry["Key"].endswith("/")]
        return found

    def folder(self, place: Place, folder: str, day: str = "") -> str:
        """The prefix of the keys of a folder. day: of trail_names.folders."""
        return "%s%s/%s/%s/%s" % (self.root, place.account, folder, place.region, day)

    def parse(self, key: str) -> t.Optional[TrailFile]:
        """What a key states; None if it is not one of these logs."""
        return trail_names.parse(key)

    def _stored(self, entry: t.Mapping[str, t.Any]) -> StoredFile:
        """An entry of a listing: an object, a version, or a delete marker (which has neither size nor ETag)."""
        return StoredFile(
            entry["Key"],
            entry.get("Size", 0),
            entry["LastModified"].astimezone(UTC),
            etag_of(entry),
            self.parse(entry["Key"]),
            entry.get("VersionId") or "",
            not entry.get("IsLatest", True),
            "Size" not in entry,
        )

    # -- reading ------------------------------------------------------------------------------------------------------

    def read(self, key: str, take: t.Callable[[t.Dict[str, t.Any], t.Iterable[Piece]], Result]) -> t.Optional[Result]:
        """What ``take`` makes of an object: it gets the answer (Metadata, ETag, ContentLength) and the pieces of the body.

        It is called again if the connection breaks. None if there is no such object. Raises the errors of a store.
        """

        def once() -> Result:
            answers: t.List[t.Dict[str, t.Any]] = []
            with contextlib.closing(self._bucket.read(key, answered=answers.append)) as pieces:
                first: t.List[Piece] = [next(pieces, b"")]
                return take(answers[0], itertools.chain(first, pieces))

        try:
            return self._retrying(once)
        except StoreNotFoundError as error:
            if "NoSuchBucket" in error.message:
                raise
            return None

    def md5_of(self, answer: t.Dict[str, t.Any]) -> t.Optional[str]:
        """The MD5 of the object of this answer; None if its ETag is none."""
        etag = self._bucket.md5_in_etag(answer)
        return None if etag is None or "-" in etag else etag

    def _retrying(self, call: t.Callable[[], Result]) -> Result:
        try:
            return Retries(self._attempts, self._delay).call(call, _is_retryable)
        except AccessDeniedError as error:
            raise AccessDeniedError(error.message, error.subject, READ_HINT) from error


def _is_retryable(error: LogArchiveError) -> bool:
    return isinstance(error, StoreError) and error.retryable


def is_about_one_file(error: LogArchiveError) -> bool:
    """Whether the next file may be readable all the same: this one is denied, moved to a storage class that must be restored first, ..."""
    hopeless = isinstance(error, StoreDeniedError) and not isinstance(error, AccessDeniedError)
    return isinstance(error, StoreError) and not error.retryable and not hopeless
