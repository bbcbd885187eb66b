# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A trail that can be validated: what it holds of an account and region, and the bytes of each file. Here: a trail in its bucket."""

from __future__ import annotations

import abc
import datetime
import threading
import typing as t

from ..base.errors import LogArchiveError
from ..sources.trail_bucket import Place, StoredFile, TrailBucket, is_about_one_file
from ..sources.trail_names import DIGESTS, LOGS
from .facts import region_error
from .unpack import Pieces, sha256_of_log, unpacked_digest

if t.TYPE_CHECKING:
    from ..config.document import CloudTrailOptions
    from .facts import RegionError


class DigestFile(t.NamedTuple):
    """A digest as it is held: its unpacked bytes, and the metadata of its object."""

    plain: bytes
    metadata: t.Mapping[str, str]


class Listing(t.NamedTuple):
    """What is held of an account and region: the newest version of each file, and the versions and delete markers that should not be."""

    digests: t.List[StoredFile]
    logs: t.List[StoredFile]
    irregular: t.List[StoredFile]


class Trail(abc.ABC):
    """origin: "bucket" or "archives". location: for people. bucket: to which it is delivered. notes: what could not be looked at.

    errors: of accounts that could not be listed. damaged: by the key of an archive that no store can give, the reason.
    """

    origin: str
    location: str
    bucket: str

    def __init__(self) -> None:
        self.notes: t.List[str] = []
        self.errors: t.List[RegionError] = []
        self.damaged: t.Dict[str, str] = {}

    @abc.abstractmethod
    def places(self) -> t.List[Place]:
        """The accounts and regions that have files, and those that the options name. Raises LogArchiveError."""

    @abc.abstractmethod
    def listing(self, place: Place, start: datetime.datetime, end: datetime.datetime) -> Listing:
        """What is held of the days from ``start`` to ``end``. Raises LogArchiveError."""

    @abc.abstractmethod
    def digest(self, bucket: str, key: str) -> t.Optional[DigestFile]:
        """The digest; None if it is not there. Threads call it. Raises UnreadableError, LogArchiveError."""

    @abc.abstractmethod
    def log(self, bucket: str, key: str) -> t.Optional[str]:
        """The SHA-256 of the unpacked log file; None if it is not there. Threads call it. Raises UnreadableError, LogArchiveError."""

    def is_beyond(self, bucket: str, moment: datetime.datetime) -> bool:
        """Whether a digest of this bucket that ended then could be held, and is not looked for."""
        return False

    @abc.abstractmethod
    def close(self) -> None:
        """Release what it holds."""


class BucketTrail(Trail):
    """The trail in its bucket. It reads every bucket that a digest refers to."""

    origin = "bucket"

    def __init__(self, options: CloudTrailOptions) -> None:
        super().__init__()
        self._options = options
        self._own = TrailBucket(options)
        self._own.connect()
        self.bucket = self._own.name
        self.location = self._own.location(self._own.root)
        self._buckets = {self.bucket: self._own}
        self._lock = threading.Lock()

    def places(self) -> t.List[Place]:
        errors: t.Dict[str, RegionError] = {}

        def unlisted(account: str, _prefix: str, error: LogArchiveError) -> None:
            errors.setdefault(account, region_error((account, ""), error))

        found = self._own.places((DIGESTS, LOGS), unlisted)
        self.errors += errors.values()
        return found

    def listing(self, place: Place, start: datetime.datetime, end: datetime.datetime) -> Listing:
        found = {folder: self._files(place, folder, start, end) for folder in (DIGESTS, LOGS)}
        newest = {folder: [one for one in files if not one.extra and not one.deleted] for folder, files in found.items()}
        irregular = [one for files in found.values() for one in files if one.extra or one.deleted]
        return Listing(newest[DIGESTS], newest[LOGS], irregular)

    def _files(self, place: Place, folder: str, start: datetime.datetime, end: datetime.datetime) -> t.List[StoredFile]:
        try:
            return self._own.versions(place, folder, start, end)
        except LogArchiveError as error:
            if not is_about_one_file(error):
                raise
            note = "versions and delete markers were not looked at: %s" % error.message
            if note not in self.notes:
                self.notes.append(note)
            return self._own.files(place, folder, start, end)

    def digest(self, bucket: str, key: str) -> t.Optional[DigestFile]:
        def take(answer: t.Dict[str, t.Any], pieces: Pieces) -> DigestFile:
            return DigestFile(unpacked_digest(pieces), answer.get("Metadata") or {})

        return self._of(bucket).read(key, take)

    def log(self, bucket: str, key: str) -> t.Optional[str]:
        return self._of(bucket).read(key, lambda answer, pieces: sha256_of_log(pieces))

    def _of(self, bucket: str) -> TrailBucket:
        with self._lock:
            if bucket not in self._buckets:
                other = TrailBucket(self._options, bucket)
                other.connect()
                self._buckets[bucket] = other
            return self._buckets[bucket]

    def close(self) -> None:
        for bucket in self._buckets.values():
            bucket.close()
