# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logs in folders of this host, selected by name, period, age, size, and whether a process still writes to them."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from ..base import hints as t
from ..base.beneath import identity, open_below, open_folder
from ..base.errors import ConfigError, SelectionError, SourceError
from ..base.light import datetime
from ..base.lists import some, spans
from ..base.named_tuple import NamedTuple
from ..base.periods import MOST_PERIODS, NameMatch, Period, expected_periods, is_coarser
from ..base.protected import SECRET, holds_secrets
from ..base.units import FIRST_SECOND, LAST_SECOND, UTC, format_duration, format_size, format_utc, parse_duration
from .base import Archived, Collected, Collector, Pending, Skipped, Source
from .criteria import Criteria, read

if t.TYPE_CHECKING:
    from ..base.progress import Progress
    from ..config.document import JobDocument

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
_EFFECTIVE_IDS = os.access in os.supports_effective_ids

_KINDS = {
    stat.S_IFLNK: "a symbolic link, which is never followed",
    stat.S_IFDIR: "a folder",
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


class Selection(NamedTuple):
    """``files`` by period start and path; ``missing``: the expected periods without a file; ``skipped`` by path.

    pending: those of ``skipped`` that a later run takes, by path. archived: how many files were left out because they are archived.
    """

    files: t.List[Source]
    missing: t.List[Period]
    skipped: t.List[Skipped]
    pending: t.List[Pending]
    archived: int


class _Candidate(NamedTuple):
    """A file that matches by its name. ``real`` is the path without links; ``period`` is None if the modification time decides.

    root: the folder below which ``path`` is opened. holder: a descriptor of the folder that holds it, open until the next candidate;
    device: the folder's.
    """

    path: str
    name: str
    real: str
    period: t.Optional[Period]
    excluded: bool
    root: str
    holder: int
    device: int


_Found = t.Union[t.Tuple[Source, t.Optional[Period]], t.Tuple[Source, t.Optional[Period], str]]
"""A file, the expected period that it belongs to, and its path without links if that is another one."""


class FileCollector(Collector):
    """The option ``select`` of a job document."""

    step = "select"
    strict_hint = "The job requires it (select.must_exist)"

    def __init__(self, document: JobDocument) -> None:
        if document["select"] is None:
            raise AssertionError("the job has no select options")
        self.options = document["select"]
        self.period = self.options["period"]
        self.timezone = self.options["timezone"]
        self.strict = self.options["must_exist"]
        self.catch_up = parse_duration(self.options["catch_up"])

    @staticmethod
    def problems(options: t.Mapping[str, t.Any]) -> t.List[str]:
        try:
            criteria = read(options, datetime.datetime.now(UTC))
        except ConfigError as error:
            return error.problems
        return ["catch_up: covers more than %d periods" % MOST_PERIODS] if len(criteria.expected) == MOST_PERIODS else []

    @contextlib.contextmanager
    def collect(
        self, now: datetime.datetime, since: t.Optional[datetime.datetime], progress: Progress, check: bool
    ) -> t.Iterator[Collected]:
        options: t.Dict[str, t.Any] = dict(self.options, must_exist=False)
        if since is not None:
            options["catch_up"] = max(self.catch_up, (now - since).total_seconds())
        selection = select(options, now, self.archived)
        due = [] if self.period == "none" else expected_periods(self.period, self.options["offset"], 0, self.timezone, now)
        problem = None
        if self.period == "none" and not (selection.files or selection.pending or selection.archived):
            problem = "nothing matches %s in %s" % (some(self.options["patterns"]), some(self.options["paths"]))
        absent = set(selection.missing)
        unready = [one for one in selection.pending if not one.unreadable and one.period in absent]
        if unready:
            first = "%s: %s" % (ascii(unready[0].path), unready[0].reason)
            problem = "%d log(s) are not ready and wait for a later run, first %s" % (len(unready), first)
        undecided = {pending.period for pending in selection.pending}
        missing = [] if None in undecided else [period for period in selection.missing if period not in undecided]
        yield Collected(selection.files, missing=missing, due=due, skipped=selection.skipped, pending=selection.pending, problem=problem)

    def describe_missing(self, periods: t.Sequence[Period]) -> str:
        missing = spans([(format_utc(period.start), format_utc(period.end)) for period in periods])
        return "no log matches %s for %s" % (some(self.options["patterns"]), missing)


def select(options: t.Mapping[str, t.Any], now: datetime.datetime, archived: t.Optional[Archived] = None) -> Selection:
    """Return the files that ``options`` want at ``now`` (an aware datetime).

    archived: files that it has are left out. Used without periods only: with them, a file shows that its period is not missing.

    options: as ``config.spec.SELECTION`` declares them; all but ``paths`` may be left out.
      paths: folders, or files (matched as if their folder were listed); a folder may be a symbolic link.
      patterns, exclude: lists of globs, or of regular expressions with ``use_regex`` (see ``periods.compile_pattern``), for the
        base name, or for the path relative to the folder if they contain '/'. An excluded folder is not entered.
      recurse: enter folders below ``paths``, never through symbolic links.
      period: hour, day, week, month: only files of the periods that ``offset`` (at most 0) and ``catch_up`` (duration) ask
        for, in ``timezone``; none: all.
      modified: "today" (in ``timezone``) or a duration: the greatest age. quiet: the time since the last write, at least.
      require_closed: no process has the file open for writing. min_size, max_size: bytes, both included.
      must_exist: raise SelectionError if a path does not exist, an expected period has no file, or nothing is found.

    Files that ``exclude``, ``modified`` or the sizes leave out are reported as skipped only if their period is missing without them.
    A file that cannot be read, that was written to lately or is open for writing is skipped and pending.
    Raises ConfigError with all problems of ``options``; SelectionError as above, and if ``require_closed`` cannot be answered.
    """
    wanted = read(options, now)
    skipped: t.Dict[str, t.Union[Skipped, Pending]] = {}
    unwanted: t.List[t.Tuple[Period, Skipped]] = []
    found: t.List[_Found] = []
    seen: t.Set[str] = set()
    known = _Known(None if wanted.expected else archived)
    for candidate in _candidates(wanted, skipped, known):
        # Below one path there is each name once.
        if len(wanted.paths) > 1:
            if candidate.real in seen:
                continue
            seen.add(candidate.real)
        try:
            judged = _judge(wanted, candidate)
        except _Unwanted as reason:
            if reason.expected is not None:
                unwanted.append((reason.expected, Skipped(candidate.path, str(reason))))
        except _Unusable as reason:
            skipped[candidate.real] = Skipped(candidate.path, str(reason))
        except _Unready as reason:
            skipped[candidate.real] = reason.pending
        else:
            if judged is not None:
                found.append(judged if candidate.real == candidate.path else (*judged, candidate.real))
    if wanted.require_closed and found:
        found = _closed(found, skipped)
    present = {entry[1] for entry in found}
    missing = [period for period in wanted.expected if period not in present]
    absent = set(missing)
    selection = Selection(
        sorted((entry[0] for entry in found), key=lambda source: (source.period.start, source.path)),
        missing,
        sorted([*(Skipped(*entry[:2]) for entry in skipped.values()), *(entry for period, entry in unwanted if period in absent)]),
        sorted((entry for entry in skipped.values() if isinstance(entry, Pending)), key=lambda entry: entry.path),
        known.count,
    )
    if wanted.must_exist and (missing or not (selection.files or selection.archived)):
        from .no_match import nothing_found

        raise nothing_found(wanted, missing, selection.skipped)
    return selection


def source_at(path: str, period: t.Optional[Period] = None) -> Source:
    """Return the file at ``path`` as a source of this period, by default the moment of its modification.

    Raises SourceError if it is not a regular file, ConfigError for a period that ends before it begins.
    """
    path = os.path.abspath(path)
    problem = _problem_of_name(path)
    if problem:
        raise SourceError("cannot be archived: %s" % problem, path)
    if period is not None and period.end < period.start:
        from .no_match import printable

        raise ConfigError("the period ends (%s) before it begins (%s)" % (period.end, period.start), printable(path))
    try:
        status = os.lstat(path)
        modified = _modified(status)
    except OSError as error:
        gone = isinstance(error, (FileNotFoundError, NotADirectoryError))
        raise SourceError("cannot be archived: %s" % _why(error, "does not exist"), path, vanished=gone) from error
    except _Unusable as error:
        raise SourceError("cannot be archived: %s" % error, path) from error
    period = period or Period(modified, modified)
    return Source(path, status.st_size, status.st_mtime_ns, period, os.path.dirname(path), identity(status))


# -- walking ----------------------------------------------------------------------------------------------------------


def _candidates(wanted: Criteria, skipped: t.Dict[str, t.Union[Skipped, Pending]], known: _Known) -> t.Iterator[_Candidate]:
    """Yield every name below ``paths`` that matches; add to ``skipped`` (by real path) what cannot be read."""
    for path in wanted.paths:
        try:
            is_folder = stat.S_ISDIR(os.stat(path).st_mode)
        except OSError as error:
            if wanted.must_exist and isinstance(error, (FileNotFoundError, NotADirectoryError)):
                from .no_match import near_path, printable

                raise SelectionError("does not exist", printable(path), near_path(path)) from error
            skipped[path] = _not_accessed(path, error, "does not exist")
            continue
        if is_folder:
            yield from _walk(wanted, path, skipped, known)
            continue
        folder, name = os.path.split(path)
        real = os.path.join(os.path.realpath(folder), name)
        matched = _match(wanted, name, name)
        if matched is None:
            skipped[real] = Skipped(path, "its name matches no pattern")
        elif matched is not _OUTSIDE:
            try:
                with open_folder(folder) as holder:
                    device = os.fstat(holder).st_dev
                    yield _Candidate(path, name, real, matched.period, _is_excluded(wanted, name, name), folder, holder, device)
            except OSError as error:
                skipped[real] = _not_accessed(folder, error, "vanished after it was listed")


class _Known:
    """The files that are left out because they are archived. count: how many."""

    def __init__(self, archived: t.Optional[Archived]) -> None:
        self._archived = archived
        self.count = 0

    def others(self, folder: str, entries: t.Iterable[os.DirEntry[str]]) -> t.Iterable[os.DirEntry[str]]:
        """The entries of a folder that are to be looked at. folder: its path, which ends with '/'.

        A run looks at each archived log again: this loop is short on purpose.
        """
        if self._archived is None:
            return entries
        entries = list(entries)
        states = self._archived(folder, len(entries))
        if not states:
            return entries
        others = []
        for entry in entries:
            state = states.get(entry.name)
            if state is not None:
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    pass  # It is reported as it is for any other file.
                else:
                    if status.st_mtime_ns == state[1] and status.st_size == state[0] and stat.S_ISREG(status.st_mode):
                        continue
            others.append(entry)
        self.count += len(entries) - len(others)
        return others


def _walk(wanted: Criteria, root: str, skipped: t.Dict[str, t.Union[Skipped, Pending]], known: _Known) -> t.Iterator[_Candidate]:
    """Walk below ``root``, which is held open, so that the owner of a folder below it cannot redirect the walk by a symbolic link."""
    real_root = os.path.realpath(root)
    folders = [""]
    with contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(open_folder(root))
        except OSError as error:
            skipped[real_root] = _not_accessed(root, error, "vanished after it was listed")
            return
        while folders:
            relative_folder = folders.pop()
            try:
                beginning = relative_folder + "/" if relative_folder else ""
                path_beginning, real_beginning = (os.path.join(each, relative_folder, "") for each in (root, real_root))
                with open_below(held, relative_folder) as holder, os.scandir(holder) as entries:
                    device = os.fstat(holder).st_dev
                    for entry in known.others(path_beginning, entries):
                        name = entry.name
                        relative = beginning + name
                        if entry.is_dir(follow_symlinks=False):
                            if wanted.recurse and not _is_excluded(wanted, name, relative):
                                folders.append(relative)
                            continue
                        matched = _match(wanted, name, relative)
                        if matched is _OUTSIDE:
                            continue
                        path = path_beginning + name
                        real = path if real_beginning == path_beginning else real_beginning + name
                        if matched is not None:
                            excluded = bool(wanted.exclude) and _is_excluded(wanted, name, relative)
                            yield _Candidate(path, name, real, matched.period, excluded, root, holder, device)
                        elif wanted.recurse and entry.is_symlink() and _leads_to_folder(entry) and not _is_excluded(wanted, name, relative):
                            skipped[real] = Skipped(path, "a symbolic link to a folder, which is never followed")
            except OSError as error:
                folder, real_folder = (os.path.join(each, relative_folder) if relative_folder else each for each in (root, real_root))
                skipped[real_folder] = _not_accessed(folder, error, "vanished after it was listed")


_OUTSIDE = NameMatch(None, None)


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # A loop, or a target that cannot be reached.


def _match(wanted: Criteria, name: str, relative: str) -> t.Optional[NameMatch]:
    """The match of the first pattern that gives a period, else of any pattern; None if no pattern matches.

    _OUTSIDE: the period is far from the expected ones. Most names of a folder are, so this is decided first.
    """
    result = None
    for pattern in wanted.patterns:
        text = relative if pattern.relative else name
        if pattern.is_outside(text, *wanted.days):
            return _OUTSIDE
        matched = pattern.match(text, wanted.timezone)
        if matched is None or (matched.unit and wanted.expected and is_coarser(matched.unit, wanted.period)):
            continue
        if matched.period:
            return matched
        result = matched
    return result


def _is_excluded(wanted: Criteria, name: str, relative: str) -> bool:
    return any(pattern.match(relative if pattern.relative else name, wanted.timezone) for pattern in wanted.exclude)


# -- judging ----------------------------------------------------------------------------------------------------------


class _Unwanted(Exception):
    """The options exclude a file. expected: the period that the file belongs to, if it is an expected one."""

    def __init__(self, reason: str, expected: t.Optional[Period]) -> None:
        super().__init__(reason)
        self.expected = expected


class _Unusable(Exception):
    """A file that matches cannot be archived."""


class _Unready(Exception):
    """A file that matches cannot be archived now."""

    def __init__(self, pending: Pending) -> None:
        super().__init__(pending.reason)
        self.pending = pending


def _judge(wanted: Criteria, candidate: _Candidate) -> t.Optional[t.Tuple[Source, t.Optional[Period]]]:
    """The candidate as a source, and the expected period that it belongs to; None if it belongs to another period.

    Raises _Unwanted, _Unusable or _Unready with the reason why it is not selected.
    """
    expected = _expected(wanted, candidate.period.start) if candidate.period else None
    if wanted.expected and candidate.period and not expected:
        return None
    if candidate.excluded:
        raise _Unwanted("excluded by name", expected)
    problem = None if candidate.path.isascii() else _problem_of_name(candidate.path)
    if problem:
        raise _Unready(Pending(candidate.path, problem, expected, True))
    try:
        status = os.lstat(candidate.name, dir_fd=candidate.holder)
    except OSError as error:
        gone = "vanished after it was listed"
        why = _why(error, gone)
        raise (_Unusable(why) if _is_gone(error) else _Unready(Pending(candidate.path, why, expected, True))) from error
    if stat.S_ISREG(status.st_mode) and holds_secrets(candidate.real):
        raise _Unusable(SECRET)
    modified = _modified(status)
    if wanted.expected and not expected:
        expected = _expected(wanted, modified)
        if not expected:
            return None
    reason = _not_asked_for(wanted, status, modified)
    if reason:
        raise _Unwanted(reason, expected)
    reason = _written_lately(wanted, status)
    if reason:
        raise _Unready(Pending(candidate.path, reason, expected, False, status.st_size, status.st_mtime_ns))
    if not _may_read(candidate):
        raise _Unready(Pending(candidate.path, "no permission to read it", expected, True, status.st_size, status.st_mtime_ns))
    period = candidate.period or expected or Period(modified, modified)
    of = identity(status)
    # Of 100,000 files each number takes 3 MB.
    of = (candidate.device, of[1]) if of[0] == candidate.device else of
    return Source(candidate.path, status.st_size, status.st_mtime_ns, period, candidate.root, of), expected


def _problem_of_name(path: str) -> t.Optional[str]:
    from ..base.names import HINT, inexact, is_exact

    return None if is_exact(path) else "%s. %s" % (inexact(), HINT)


def _modified(status: os.stat_result) -> datetime.datetime:
    """When a file was modified, in whole seconds. Raises _Unusable if it is not a regular file, or the time is not a date."""
    if not stat.S_ISREG(status.st_mode):
        raise _Unusable("not a regular file but %s" % _KINDS.get(stat.S_IFMT(status.st_mode), "of an unknown kind"))
    seconds = status.st_mtime_ns // 10**9
    if not FIRST_SECOND <= seconds <= LAST_SECOND:
        raise _Unusable("its modification time is not a valid date (%d s)" % seconds)
    return datetime.datetime.fromtimestamp(seconds, UTC)


def _closed(found: t.Sequence[_Found], skipped: t.Dict[str, t.Union[Skipped, Pending]]) -> t.List[_Found]:
    """Those of the files that no process has open for writing; add the others to ``skipped``."""
    from .writers import writers_of

    writers = writers_of({entry[0].identity for entry in found})
    for entry in found:
        source = entry[0]
        if source.identity in writers:
            reason = "open for writing by %s" % ", ".join(writers[source.identity])
            skipped[entry[2] if len(entry) == 3 else source.path] = Pending(
                source.path, reason, entry[1], False, source.size, source.mtime_ns
            )
    return [entry for entry in found if entry[0].identity not in writers]


def _expected(wanted: Criteria, moment: datetime.datetime) -> t.Optional[Period]:
    """The expected period that contains ``moment``."""
    from bisect import bisect_right

    # (moment, a later end) sorts after every period that starts at moment.
    index = bisect_right(wanted.expected, (moment, datetime.datetime.max.replace(tzinfo=UTC))) - 1
    return wanted.expected[index] if index >= 0 and moment < wanted.expected[index].end else None


def _not_asked_for(wanted: Criteria, status: os.stat_result, modified: datetime.datetime) -> t.Optional[str]:
    if wanted.modified and not wanted.modified[0].replace(microsecond=0) <= modified <= wanted.modified[1]:
        return "modified at %s, outside the requested time" % format_utc(modified)
    if wanted.min_size is not None and status.st_size < wanted.min_size:
        return "%s, smaller than min_size" % format_size(status.st_size)
    if wanted.max_size is not None and status.st_size > wanted.max_size:
        return "%s, larger than max_size" % format_size(status.st_size)
    return None


def _written_lately(wanted: Criteria, status: os.stat_result) -> t.Optional[str]:
    if wanted.quiet:
        age = (wanted.now - _EPOCH).total_seconds() - status.st_mtime_ns / 1e9
        if age < 0:
            return "modified in the future (%s from now): check the clock" % format_duration(-age)
        if age < wanted.quiet:
            return "modified %s ago, less than %s (quiet)" % (format_duration(age), format_duration(wanted.quiet))
    return None


def _may_read(candidate: _Candidate) -> bool:
    return os.access(candidate.name, os.R_OK, dir_fd=candidate.holder, effective_ids=_EFFECTIVE_IDS)


def _not_accessed(path: str, error: OSError, gone: str) -> t.Union[Skipped, Pending]:
    reason = _why(error, gone)
    return Skipped(path, reason) if _is_gone(error) else Pending(path, reason, None, True)


def _is_gone(error: OSError) -> bool:
    return isinstance(error, (FileNotFoundError, NotADirectoryError)) or error.errno == errno.ELOOP


def _why(error: OSError, gone: str) -> str:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return gone
    return "no permission to access it" if isinstance(error, PermissionError) else "cannot be accessed: %s" % error.strerror
