# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The log files of an account and region: those that digests name, those that none names, and versions that should not be there."""

from __future__ import annotations

import datetime
import itertools
import typing as t

from ..base.errors import LogArchiveError
from ..base.progress import from_threads
from ..base.units import format_utc
from ..sources.trail_bucket import is_about_one_file
from ..sources.trail_names import LOGS
from .chain import url
from .facts import Finding, region_error
from .unpack import UnreadableError

if t.TYPE_CHECKING:
    from concurrent.futures import Executor

    from ..base.progress import Advance, Progress
    from ..sources.trail_bucket import Place, StoredFile
    from .chain import Loaded, Window
    from .digests import NamedLog
    from .facts import RegionError
    from .trail import Trail

BATCH = 5000
"""Log files that are handed to the threads at once."""

Name = t.Tuple[str, str]
"""Bucket and key of a file."""


class Checked(t.NamedTuple):
    """counts: by trail, how many log files were checked, and how many are valid."""

    findings: t.List[Finding]
    errors: t.List[RegionError]
    counts: t.Dict[str, t.Tuple[int, int]]


def check(
    trail: Trail, place: Place, valid: t.Sequence[Loaded], listed: t.Sequence[StoredFile], pool: Executor, progress: Progress
) -> Checked:
    """Compare every log file that a valid digest names with its hash. listed: log files, for their sizes.

    A log file that cannot be read is an error of its region; the others are checked all the same. Raises LogArchiveError if none can be.
    """
    sizes = {(trail.bucket, one.key): one.size for one in listed}
    named: t.Dict[Name, t.Tuple[NamedLog, Loaded]] = {}
    for one in valid:
        for log in one.digest.logs if one.digest is not None else ():
            named[log.bucket, log.key] = (log, one)
    checked = Checked([], [], {})
    with progress("validate %s %s" % place, sum(sizes.get(name, 0) for name in named)) as advance:
        advance = from_threads(advance)

        def compare(item: t.Tuple[NamedLog, Loaded]) -> t.Tuple[str, str, t.Optional[LogArchiveError]]:
            return _compare(trail, item[0], sizes, advance)

        rest = iter(named.values())
        for batch in iter(lambda: list(itertools.islice(rest, BATCH)), []):
            for (log, by), (word, detail, error) in zip(batch, pool.map(compare, batch)):
                all_of, valid_of = checked.counts.get(by.file.trail, (0, 0))
                checked.counts[by.file.trail] = (all_of + 1, valid_of + (not word and error is None))
                if error is not None:
                    checked.errors.append(region_error(place, error))
                elif word:
                    checked.findings.append(
                        Finding(word, *place, by.file.trail, url(log.bucket, log.key), detail or "%s names it" % by.url)
                    )
    return checked


def _compare(trail: Trail, log: NamedLog, sizes: t.Mapping[Name, int], advance: Advance) -> t.Tuple[str, str, t.Optional[LogArchiveError]]:
    """What is wrong with a log file: a word and a detail, or the error why it cannot be read; '' if it is valid."""
    try:
        sha256 = trail.log(log.bucket, log.key)
    except UnreadableError as error:
        return "log_unreadable", str(error), None
    except LogArchiveError as error:
        if not is_about_one_file(error):
            raise
        return "", "", error
    advance(sizes.get((log.bucket, log.key), 0))
    if sha256 is None:
        return "log_missing", "", None
    return ("" if sha256 == log.sha256 else "log_changed"), "", None


def unnamed(
    place: Place, bucket: str, listed: t.Sequence[StoredFile], named: t.Container[Name], first: datetime.datetime, window: Window
) -> t.Iterator[Finding]:
    """The log files that were delivered from ``first`` on, and that no valid digest names though its time has come."""
    for one in listed:
        time = _time(one)
        if first <= time <= window.required and (bucket, one.key) not in named:
            yield Finding("log_unnamed", *place, "", url(bucket, one.key), "it was delivered at %s" % format_utc(time))


def irregular(place: Place, bucket: str, versions: t.Sequence[StoredFile], window: Window) -> t.Iterator[Finding]:
    """Delete markers and replaced versions of the window. A version below a delete marker is not a finding besides."""
    deleted = {one.key for one in versions if one.deleted and not one.extra}
    for one in versions:
        is_log = one.file is not None and one.file.folder == LOGS
        if _time(one) < window.start or (_time(one) > window.end and is_log):
            continue
        subject = url(bucket, one.key)
        if one.deleted and not one.extra:
            yield Finding("delete_marker", *place, "", subject, "the marker is version %s" % one.version)
        elif one.key not in deleted:
            text = "a delete marker" if one.deleted else "a version of %d bytes" % one.size
            yield Finding("extra_version", *place, "", subject, "version %s is %s" % (one.version, text))


def _time(stored: StoredFile) -> datetime.datetime:
    """When a file was delivered: by its name, else when it was written."""
    return stored.modified if stored.file is None or stored.file.time is None else stored.file.time
