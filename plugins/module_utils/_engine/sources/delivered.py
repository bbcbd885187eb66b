# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that AWS delivers to a bucket, unchanged: those of closed hours.

The files of an hour become one archive. The listing shows which files are new, and only these are fetched, one hour at a
time. The metadata of an object are lost in a file: of a signed digest, the archive holds them in a file beside it,
``<digest>.metadata.json``: {bucket, key, etag, last_modified, metadata}.
"""

from __future__ import annotations

import abc
import contextlib
import datetime
import hashlib
import itertools
import json
import os
import re
import typing as t

from ..base import beneath
from ..base.beneath import identity
from ..base.durable import write_all
from ..base.errors import LogArchiveError, StoreUnavailableError
from ..base.named_tuple import NamedTuple
from ..base.periods import Period
from ..base.progress import from_threads
from ..base.staging import failing_clearly
from ..base.units import format_utc, parse_duration
from ..config.aws_spec import AWS, aws_problems
from .base import Collected, Collector, Pending, Skipped, Source
from .fetched import new_folder
from .trail_bucket import READ_HINT, WORKERS, TrailBucket, is_about_one_file
from .trail_names import DIGESTS, SIDECAR

if t.TYPE_CHECKING:
    from ..base.progress import Advance, Progress
    from ..config.document import CloudTrailOptions, JobDocument, VpcFlowOptions
    from .trail_bucket import Piece, Place, StoredFile

HOUR = datetime.timedelta(hours=1)
SETTLE = datetime.timedelta(minutes=15)
"""How long after its end an hour is closed: AWS delivers within about five minutes. What comes later is archived by a later run."""
SKEW = datetime.timedelta(hours=2)
"""How far before the last success to look: digests come up to two hours after what they are about."""


class _Wanted(NamedTuple):
    """A file of the bucket, by the path that it will have."""

    stored: StoredFile
    period: Period


class _Found(NamedTuple):
    """What a listing has. wanted: by path. pending: folders that cannot be listed, and later files that cannot be fetched."""

    wanted: t.Dict[str, _Wanted]
    pending: t.List[Pending]
    skipped: t.List[Skipped]


class DeliveredCollector(Collector):
    """A part of a job document that names a bucket. The files of each hour become one archive.

    kind: the name of that part. folders: of the files, in the bucket.
    """

    step = "fetch"
    period = "hour"
    timezone = "UTC"
    grouping = "period"
    strict = False
    strict_hint = ""
    deletable = False
    unreadable_hint = READ_HINT

    kind: str
    folders: t.Sequence[str]

    def __init__(self, document: JobDocument, options: t.Union[CloudTrailOptions, VpcFlowOptions]) -> None:
        self.bucket = options["bucket"]
        self.catch_up = parse_duration(options["lookback"])
        self.state = document["state"]
        self.below = "%s/%s" % (self.kind, document["name"])
        self.folder = os.path.join(self.state, self.below)

    @staticmethod
    def problems(options: t.Mapping[str, t.Any]) -> t.List[str]:
        # Options that are wrong in themselves are left out, and reported first.
        found = aws_problems(options) if AWS.keys() <= options.keys() else []
        if "bucket" in options and not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", options["bucket"] or ""):
            found.append("bucket: must be the name of a bucket, without a prefix")
        return found

    @abc.abstractmethod
    def open(self) -> TrailBucket:
        """The bucket, not connected yet."""

    def describe_nothing(self, bucket: TrailBucket) -> str:
        """Why there may be no file, to follow a sentence; "" if that is unknown."""
        return ""

    @contextlib.contextmanager
    def collect(
        self, now: datetime.datetime, since: t.Optional[datetime.datetime], progress: Progress, check: bool
    ) -> t.Iterator[Collected]:
        """List the files. Raises the errors of a store."""
        start = now - datetime.timedelta(seconds=self.catch_up)
        if since is not None:
            start = min(start, since - SKEW)
        with contextlib.ExitStack() as stack:
            bucket = stack.enter_context(contextlib.closing(self.open()))
            bucket.connect()
            wanted, pending, skipped = self._list(bucket, start, now)
            folder = self.folder if check else stack.enter_context(new_folder(self.state, self.below))
            files = [
                Source(path, one.stored.size, _nanoseconds(one.stored.modified), one.period, self.folder, (0, 0))
                for path, one in wanted.items()
            ]
            problem = None
            if not files and not pending:
                problem = "%s has no file of a closed hour since %s" % (bucket.location(bucket.root), format_utc(start))
                problem += self.describe_nothing(bucket)

            def fetch(sources: t.List[Source]) -> t.Iterator[t.List[Source]]:
                return _fetch(bucket, folder, sources, wanted, pending, progress)

            files.sort(key=lambda one: (one.period, one.path))
            yield Collected(files, folder, skipped=skipped, pending=pending, problem=problem, fetch=fetch)

    def _list(self, bucket: TrailBucket, start: datetime.datetime, now: datetime.datetime) -> _Found:
        """The files of closed hours since ``start``. A folder that cannot be listed does not affect the others."""
        from concurrent.futures import ThreadPoolExecutor

        found = _Found({}, [], [])
        hour = start.replace(minute=0, second=0, microsecond=0)

        def listed(item: t.Tuple[Place, str]) -> t.Union[t.List[StoredFile], LogArchiveError]:
            try:
                return bucket.files(*item, start, now)
            except LogArchiveError as error:
                if not is_about_one_file(error):
                    raise
                return error

        # An organization has thousands of folders, and each takes a request for each day.
        since = Period(hour, hour + HOUR)

        def unlisted(_account: str, prefix: str, error: LogArchiveError) -> None:
            found.pending.append(_unlisted(bucket, prefix, error, since))

        with ThreadPoolExecutor(WORKERS) as pool:
            folders = list(itertools.product(bucket.places(self.folders, unlisted), self.folders))
            for (place, folder), files in zip(folders, pool.map(listed, folders)):
                if isinstance(files, LogArchiveError):
                    found.pending.append(_unlisted(bucket, bucket.folder(place, folder), files, since))
                    continue
                for stored in files:
                    moment = stored.modified if stored.file is None or stored.file.time is None else stored.file.time
                    begin = moment.replace(minute=0, second=0, microsecond=0)
                    if hour <= begin and begin + HOUR + SETTLE <= now:
                        self._add(found, stored, Period(begin, begin + HOUR), bucket)
        return found

    def _add(self, found: _Found, stored: StoredFile, period: Period, bucket: TrailBucket) -> None:
        path = self._path(stored.key)
        if path is None:
            found.skipped.append(Skipped(bucket.location(stored.key), "its key cannot be the path of a file"))
        else:
            found.wanted[path] = _Wanted(stored, period)

    def _path(self, key: str) -> t.Optional[str]:
        """The path of a file; None for a key that is not a path below a folder."""
        names = key.split("/")
        if any(name in ("", ".", "..") or len(os.fsencode(name)) > 200 for name in names):
            return None
        return os.path.join(self.folder, self.bucket, key)


def _unlisted(bucket: TrailBucket, prefix: str, error: LogArchiveError, period: Period) -> Pending:
    return Pending(bucket.location(prefix), "cannot list: %s" % error.message, period, unreadable=True)


def _nanoseconds(moment: datetime.datetime) -> int:
    return int(moment.timestamp()) * 10**9


# -- fetching ---------------------------------------------------------------------------------------------------------


def _fetch(
    bucket: TrailBucket,
    folder: str,
    sources: t.List[Source],
    wanted: t.Mapping[str, _Wanted],
    pending: t.List[Pending],
    progress: Progress,
) -> t.Iterator[t.List[Source]]:
    """Fetch the files of one hour after another (see ``Collected.fetch``)."""
    from concurrent.futures import ThreadPoolExecutor

    with beneath.open_private(folder) as root, ThreadPoolExecutor(WORKERS) as pool:
        for period, of_hour in itertools.groupby(sources, key=lambda source: source.period):
            batch = list(of_hour)
            with progress("fetch %s" % format_utc(period.start), sum(source.size for source in batch)) as advance:
                moved = from_threads(advance)
                calls = [pool.submit(_fetch_one, bucket, root, source, wanted[source.path].stored, moved) for source in batch]
                try:
                    done = [call.result() for call in calls]
                finally:
                    for call in calls:
                        call.cancel()
            fetched: t.List[Source] = []
            for source, result in zip(batch, done):
                if isinstance(result, LogArchiveError):
                    pending.append(Pending(source.path, result.message, period, True, source.size, source.mtime_ns))
                else:
                    fetched += result
            if fetched:
                yield fetched
            for source in fetched:
                with contextlib.suppress(FileNotFoundError), beneath.parent_of(root, source.relative) as (holder, name):
                    os.unlink(name, dir_fd=holder)


def _fetch_one(
    bucket: TrailBucket, root: int, source: Source, stored: StoredFile, advance: Advance
) -> t.Union[t.List[Source], LogArchiveError]:
    """Write one file, and what belongs to it; returns them, or the error if only this file cannot be read."""

    def take(answer: t.Dict[str, t.Any], pieces: t.Iterable[Piece]) -> t.List[Source]:
        if (answer.get("ETag") or "").strip('"') != stored.etag:
            raise _NotThisError("it was replaced while it was fetched", bucket.location(stored.key))
        done = [_write(root, source, _checked(pieces, stored, bucket.md5_of(answer), advance))]
        if stored.file is not None and stored.file.folder == DIGESTS:
            done.append(_write_sidecar(root, source, bucket.name, stored, answer.get("Metadata") or {}))
        return done

    try:
        with failing_clearly(source.root):
            return bucket.read(stored.key, take) or _NotThisError("it was deleted since it was listed", bucket.location(stored.key))
    except LogArchiveError as error:
        if isinstance(error, _NotThisError) or is_about_one_file(error):
            return error
        raise


class _NotThisError(LogArchiveError):
    """One file cannot be archived now."""


def _checked(pieces: t.Iterable[Piece], stored: StoredFile, md5: t.Optional[str], advance: Advance) -> t.Iterator[Piece]:
    """The pieces. Raises an error at their end if they are not the object that was listed. md5: of the object, if it is known."""
    size, digest = 0, hashlib.new("md5", usedforsecurity=False)
    for piece in pieces:
        size += len(piece)
        digest.update(piece)
        if size > stored.size:
            break
        advance(len(piece))
        yield piece
    if size != stored.size:
        raise _NotThisError("%d of the listed %d bytes arrived" % (size, stored.size), stored.key)
    if md5 is not None and digest.hexdigest() != md5:
        raise StoreUnavailableError("the received bytes are not those of the server: their MD5 differs from its ETag", stored.key)


def _write(root: int, source: Source, pieces: t.Iterable[Piece]) -> Source:
    """Write a file below the folder; returns the source with its identity."""
    with beneath.parent_of(root, source.relative, create=True) as (holder, name):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=holder)
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=holder)
        try:
            for piece in pieces:
                write_all(descriptor, piece)
            os.utime(descriptor, ns=(source.mtime_ns, source.mtime_ns))
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    return source._replace(size=status.st_size, identity=identity(status))


def _write_sidecar(root: int, digest: Source, bucket: str, stored: StoredFile, metadata: t.Mapping[str, str]) -> Source:
    facts = {
        "bucket": bucket,
        "key": stored.key,
        "etag": stored.etag,
        "last_modified": format_utc(stored.modified),
        "metadata": dict(metadata),
    }
    text = json.dumps(facts, indent=1, sort_keys=True).encode() + b"\n"
    return _write(root, digest._replace(path=digest.path + SIDECAR), [text])
