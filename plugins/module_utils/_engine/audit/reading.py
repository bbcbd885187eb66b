# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events of CloudTrail from log files and from the event history: what cannot be read is reported, and the rest is read."""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import re
import typing as t
from datetime import timedelta

from ..base import beneath
from ..base.aws_service import open_service
from ..base.errors import LogArchiveError, StoreError
from ..base.named_tuple import NamedTuple
from ..sources.trail_bucket import WORKERS, TrailBucket, is_about_one_file
from ..sources.trail_names import INSIGHTS, LOGS
from . import lookup
from .events import event_of, matcher, problems_of
from .log_file import LogFileError, records_in

if t.TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor
    from datetime import datetime

    from ..config.document import CloudTrailOptions
    from ..holdings.restore import Restored
    from ..holdings.stock import Holdings, Warn
    from ..holdings.trust import Choice
    from ..sources.trail_bucket import StoredFile
    from .events import Event, Wanted
    from .record import Record

    Report = t.Callable[[LogArchiveError], None]
    Pieces = t.Iterable[t.Union[bytes, memoryview]]

MOST_PROBLEMS = 1000
"""Problems that are kept; the others are counted."""
PIECE = 1 << 20
MOST_FILE = 64 << 20
"""Bytes of a file in the bucket, compressed."""
DAY = timedelta(days=1)
LATE = timedelta(hours=3)
"""How long after an event the file with it may be delivered, at most; CloudTrail usually needs minutes."""
_NAME = re.compile(r"(?!.*\.metadata\.json)(?!.*_CloudTrail-Digest_).*\.json(\.gz)?", re.DOTALL)


class Log(NamedTuple):
    """Where records come from. subject: names it in errors. records: called once; may raise LogArchiveError at any time."""

    subject: str
    records: t.Callable[[Report], t.Iterator[Record]]


class Problems:
    """What could not be read. done: logs that were read to their end; failed: those that were not. more: problems that were not kept."""

    def __init__(self) -> None:
        self.done = self.failed = self.more = 0
        self.errors: t.List[LogArchiveError] = []

    def report(self, error: LogArchiveError) -> None:
        """Note a problem."""
        if len(self.errors) < MOST_PROBLEMS:
            self.errors.append(error)
        else:
            self.more += 1


def log_of(subject: str, pieces: t.Callable[[], Pieces]) -> Log:
    """The log of a file. pieces: returns its bytes, as they are in the bucket."""
    return Log(subject, lambda report: records_in(pieces(), subject, report))


def events_in(logs: t.Iterable[Log], wanted: Wanted, problems: Problems) -> t.Generator[Event, None, None]:
    """The wanted events of all logs, in their order. A log that cannot be read does not end the others.

    Raises the errors of ``logs`` itself, and those that every log would have (``is_for_all``).
    """
    is_wanted = matcher(wanted)
    for log in logs:
        try:
            for record in log.records(problems.report):
                event = event_of(record)
                odd = problems_of(event)
                if odd:
                    problems.report(LogFileError("the event %s: %s" % (event.event_id or "without an id", ", ".join(odd)), log.subject))
                if is_wanted(event):
                    yield event
        except LogArchiveError as error:
            problems.failed += 1
            problems.report(error)
            if is_for_all(error):
                raise
        else:
            problems.done += 1


def is_for_all(error: LogArchiveError) -> bool:
    """Whether it is no use to read the next log: the credentials are wrong or have expired, or the clock is."""
    if isinstance(error, StoreError):
        return not is_about_one_file(error)
    return getattr(error, "reason", "") in ("credentials", "expired", "clock")


# -- files ------------------------------------------------------------------------------------------------------------


def logs_of_paths(paths: t.Iterable[str], report: Report) -> t.Iterator[Log]:
    """The log files of these paths, and of the folders among them, by name. Digests and other files of folders are left out.

    No symbolic link in a folder is followed.
    """
    for path in paths:
        if not os.path.isdir(path):
            yield _log_of_path(path)
            continue
        for folder, folders, names in os.walk(path, onerror=lambda error: report(_unreadable(error))):
            folders[:] = sorted(name for name in folders if name != "CloudTrail-Digest")
            for name in sorted(names):
                if _NAME.fullmatch(name) and not os.path.islink(os.path.join(folder, name)):
                    yield _log_of_path(os.path.join(folder, name))


def is_log(path: str) -> bool:
    """Whether a file is a log file, by its name and its folder."""
    return _NAME.fullmatch(os.path.basename(path)) is not None and "/CloudTrail-Digest/" not in path


def _log_of_path(path: str) -> Log:
    return log_of(ascii(path).strip("'"), lambda: _pieces(path))


def _pieces(path: str) -> t.Iterator[bytes]:
    try:
        with open(path, "rb", opener=_open_regular) as file:
            while True:
                data = file.read(PIECE)
                if not data:
                    return
                yield data
    except OSError as error:
        raise _unreadable(error) from error


def _open_regular(path: str, flags: int) -> int:
    """Open a file; a pipe or a device is none, and would be waited for."""
    import errno
    import stat

    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return descriptor


def _unreadable(error: OSError) -> LogFileError:
    return LogFileError("cannot read it: %s" % error.strerror, ascii(error.filename).strip("'"))


# -- archives ---------------------------------------------------------------------------------------------------------


def choice_of(wanted: Wanted) -> Choice:
    """The archives that may have wanted events: those of the hours in which their files were delivered."""
    from ..holdings.trust import Choice

    return Choice((), wanted.since, None if wanted.until is None else wanted.until + LATE)


def logs_of_archives(holdings: Holdings, choice: Choice, folder: str, warn: Warn, report: Report) -> t.Iterator[Log]:
    """The log files in the archives of a job, one archive after another. folder: empty and private; it holds the files of one archive.

    Raises the errors of ``restore_from_stores``.
    """
    from ..holdings.restore import restore_from_stores

    for restored in restore_from_stores([holdings], choice, folder, warn=warn):
        if restored.error is not None:
            report(restored.error)
            continue
        for file in restored.files:
            if is_log(file.path):
                yield log_of("%s in %s" % (file.name, restored.key), lambda path=file.path: _pieces(path))  # type: ignore[misc]
        _remove(restored, folder)


def _remove(restored: Restored, folder: str) -> None:
    with beneath.open_private(folder) as root:
        for name in {file.name.split("/", 1)[0] for file in restored.files}:
            beneath.remove_tree(root, name)


# -- the event history ------------------------------------------------------------------------------------------------


def logs_of_history(options: CloudTrailOptions, wanted: Wanted, now: datetime) -> t.Iterator[Log]:
    """The event history of each region of a trail's options, of the last day unless ``wanted`` has a start. now: aware.

    Raises UsageError for events that the history never has.
    """
    lookup.check(wanted)
    wanted = wanted if wanted.since is not None else wanted._replace(since=(wanted.until or now) - DAY)
    regions: t.Sequence[t.Optional[str]] = options["regions"] or [options["region"]]
    return (_log_of_region(options, region, wanted, now) for region in regions)


def _log_of_region(options: CloudTrailOptions, region: t.Optional[str], wanted: Wanted, now: datetime) -> Log:
    def records(report: Report) -> t.Iterator[Record]:
        with contextlib.closing(open_service("cloudtrail", options, region)) as service:
            yield from lookup.lookup(service, wanted, now, lookup.Pace(), report)

    return Log("the event history of %s" % (region or "the default region"), records)


# -- the bucket -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def logs_of_bucket(options: CloudTrailOptions, wanted: Wanted, now: datetime, report: Report) -> t.Iterator[t.Iterator[Log]]:
    """The log files in the bucket of a trail, of the last day unless ``wanted`` has a start. Several are fetched at the same time.

    A region that cannot be listed does not end the others. Raises the errors of a store.
    """
    from concurrent.futures import ThreadPoolExecutor

    with contextlib.closing(TrailBucket(options)) as bucket, ThreadPoolExecutor(WORKERS) as pool:
        bucket.connect()
        yield _fetched(bucket, _stored_logs(bucket, wanted, now, report), pool)


def _stored_logs(bucket: TrailBucket, wanted: Wanted, now: datetime, report: Report) -> t.Iterator[StoredFile]:
    since = wanted.since or (wanted.until or now) - DAY
    until = now if wanted.until is None else min(now, wanted.until + LATE)
    folders = [LOGS, INSIGHTS]
    for place, folder in itertools.product(bucket.places(folders, lambda _account, _prefix, error: report(error)), folders):
        try:
            yield from (file for file in bucket.files(place, folder, since, until) if file.file is not None)
        except LogArchiveError as error:
            if not is_about_one_file(error):
                raise
            report(error)


def _fetched(bucket: TrailBucket, files: t.Iterator[StoredFile], pool: ThreadPoolExecutor) -> t.Iterator[Log]:
    """The logs of the files, in their order. The bytes of a few files are in memory."""
    ahead: t.Deque[t.Tuple[StoredFile, Future[bytes]]] = collections.deque()
    try:
        while True:
            for file in itertools.islice(files, 2 * WORKERS - len(ahead)):
                ahead.append((file, pool.submit(_bytes_of, bucket, file)))
            if not ahead:
                return
            file, future = ahead.popleft()
            yield log_of(bucket.location(file.key), lambda future=future: [future.result()])  # type: ignore[misc]
    finally:
        for _file, future in ahead:
            future.cancel()


def _bytes_of(bucket: TrailBucket, file: StoredFile) -> bytes:
    subject = bucket.location(file.key)

    def take(_answer: t.Dict[str, t.Any], pieces: t.Iterable[t.Union[bytes, memoryview]]) -> bytes:
        data = bytearray()
        for piece in pieces:
            data += piece
            # The server may send more than it listed.
            if len(data) > MOST_FILE:
                raise LogFileError("the file has more than %d MiB" % (MOST_FILE >> 20), subject, "CloudTrail does not write such files")
        return bytes(data)

    data = bucket.read(file.key, take)
    if data is None:
        raise LogFileError("it was deleted since it was listed", subject)
    return data
