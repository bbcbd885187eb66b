# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which files a run takes: by name, period, age, size, and whether someone still writes to them."""

from __future__ import annotations

import bisect
import datetime
import os
import re
import stat
import sys
import typing as t

from ..base.errors import ConfigError, SelectionError, SourceError
from ..base.periods import (
    UNITS,
    NameMatch,
    NamePattern,
    Period,
    compile_pattern,
    did_you_mean,
    expected_periods,
    is_coarser,
    load_timezone,
    period_containing,
)
from ..base.units import UTC, format_duration, format_size, format_utc, parse_duration, parse_size
from ..config.spec import DEFAULT_CONFIG, SELECTION

DEFAULTS: t.Dict[str, t.Any] = {name: option.get("default") for name, option in SELECTION.items()}
"""Every option of ``select`` with its default; ``paths`` must be given."""

SECRET = "it may hold keys or passwords, which are never archived"
_SECRETS = os.path.dirname(DEFAULT_CONFIG)
_KEY_FILE = re.compile(r"[0-9a-f]{16}\.key", re.ASCII)

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
_NAMES_COMPARED = 50000

_KINDS = {
    stat.S_IFLNK: "a symbolic link, which is never followed",
    stat.S_IFDIR: "a folder",
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


class Source(t.NamedTuple):
    """A selected file. ``path`` is absolute, bytes that are not UTF-8 in it are surrogate escapes; ``size`` is in bytes.

    ``period`` is what the name tells (it may be finer than the period asked for), else the period asked for that contains the
    modification time, else (period "none") that time, in whole seconds, as start and end.
    """

    path: str
    size: int
    mtime_ns: int
    period: Period


class Skipped(t.NamedTuple):
    """A file or folder that was wanted and is left out, and why."""

    path: str
    reason: str


class Selection(t.NamedTuple):
    """``files`` by period start and path; ``missing``: the expected periods without a file; ``skipped`` by path."""

    files: t.List[Source]
    missing: t.List[Period]
    skipped: t.List[Skipped]


class _Wanted(t.NamedTuple):
    """The options as they are used. ``modified``: first and last allowed time; ``expected``: adjoining periods, oldest first."""

    now: datetime.datetime
    paths: t.List[str]
    patterns: t.List[NamePattern]
    exclude: t.List[NamePattern]
    recurse: bool
    period: str
    timezone: str
    expected: t.List[Period]
    modified: t.Optional[t.Tuple[datetime.datetime, datetime.datetime]]
    quiet: float
    require_closed: bool
    min_size: t.Optional[int]
    max_size: t.Optional[int]
    must_exist: bool


class _Candidate(t.NamedTuple):
    """A name that is wanted. ``real`` is the path without links; ``period`` is None where the modification time decides."""

    path: str
    real: str
    period: t.Optional[Period]
    excluded: bool


def select(options: t.Mapping[str, t.Any], now: datetime.datetime) -> Selection:
    """Return the files that ``options`` want at ``now`` (an aware datetime).

    options: keys as in DEFAULTS, each may be left out but ``paths``.
      paths: folders, or files (matched as if their folder were listed); a folder may be a symbolic link.
      patterns, exclude: lists of globs, or of regular expressions with ``use_regex`` (see ``periods.compile_pattern``), for the
        base name, or for the path relative to the folder where they contain '/'. An excluded folder is not entered.
      recurse: enter folders below ``paths``, never through symbolic links.
      period: hour, day, week, month: only files of the periods that ``offset`` (at most 0) and ``catch_up`` (duration) ask
        for, in ``timezone``; none: all.
      modified: "today" (in ``timezone``) or a duration: written no longer ago. quiet: duration without a write.
      require_closed: no process has the file open for writing. min_size, max_size: bytes, both included.
      must_exist: raise SelectionError where a path does not exist, an expected period has no file, or nothing is found.

    What the caller's own conditions leave out (exclude, modified, sizes) is reported as skipped only where it leaves a
    period missing. Raise ConfigError with all problems of ``options``; SelectionError as said, and where ``require_closed``
    cannot be answered.
    """
    wanted = _read_options(options, now)
    skipped: t.Dict[str, Skipped] = {}
    unwanted: t.List[t.Tuple[Period, Skipped]] = []
    found: t.List[t.Tuple[Source, t.Optional[Period], str, t.Tuple[int, int]]] = []
    seen: t.Set[str] = set()
    for candidate in _candidates(wanted, skipped):
        if candidate.real in seen:
            continue
        seen.add(candidate.real)
        expected = _expected(wanted, candidate.period.start) if candidate.period else None
        if wanted.expected and candidate.period and not expected:
            continue
        if candidate.excluded:
            if expected:
                unwanted.append((expected, Skipped(candidate.path, "excluded by name")))
            continue
        try:
            status = os.lstat(candidate.path)
        except OSError as error:
            skipped[candidate.real] = Skipped(candidate.path, _why(error, "vanished after it was listed"))
            continue
        if not stat.S_ISREG(status.st_mode):
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "of an unknown kind")
            skipped[candidate.real] = Skipped(candidate.path, "not a regular file but %s" % kind)
            continue
        if holds_secrets(candidate.real):
            skipped[candidate.real] = Skipped(candidate.path, SECRET)
            continue
        try:
            modified = _EPOCH + datetime.timedelta(seconds=status.st_mtime_ns // 10**9)
        except OverflowError:
            skipped[candidate.real] = Skipped(candidate.path, "its modification time is no date (%d s)" % (status.st_mtime_ns // 10**9))
            continue
        if wanted.expected and not expected:
            expected = _expected(wanted, modified)
            if not expected:
                continue
        reason = _not_asked_for(wanted, status, modified)
        if reason:
            if expected:
                unwanted.append((expected, Skipped(candidate.path, reason)))
            continue
        reason = _not_ready(wanted, candidate.path, status)
        if reason:
            skipped[candidate.real] = Skipped(candidate.path, reason)
            continue
        period = candidate.period or expected or Period(modified, modified)
        source = Source(candidate.path, status.st_size, status.st_mtime_ns, period)
        found.append((source, expected, candidate.real, (status.st_dev, status.st_ino)))
    if wanted.require_closed and found:
        writers = _writers({identity for _source, _expected_period, _real, identity in found})
        for source, _expected_period, real, identity in found:
            if identity in writers:
                skipped[real] = Skipped(source.path, "open for writing by %s" % ", ".join(writers[identity]))
        found = [entry for entry in found if entry[3] not in writers]
    present = {expected for _source, expected, _real, _identity in found}
    missing = [period for period in wanted.expected if period not in present]
    absent = set(missing)
    selection = Selection(
        sorted((entry[0] for entry in found), key=lambda source: (source.period.start, source.path)),
        missing,
        sorted([*skipped.values(), *(entry for period, entry in unwanted if period in absent)]),
    )
    if wanted.must_exist and (missing or not selection.files):
        raise _nothing_found(wanted, selection)
    return selection


def holds_secrets(real: str) -> bool:
    """Whether a file is a key of a keyring by its name, or lies below /etc/log-archive. real: its path without symbolic links.

    Whoever may write a job document chooses paths, keyring and stores: an archive must not be a way to the keys.
    """
    return real.startswith(_SECRETS + os.sep) or _KEY_FILE.fullmatch(os.path.basename(real)) is not None


def source_at(path: str, period: t.Optional[Period] = None) -> Source:
    """Return the file at ``path`` as a source of this period, by default the moment of its modification.

    Raise SourceError where it is no regular file, ConfigError for a period that ends before it begins.
    """
    path = os.path.abspath(path)
    if period is not None and period.end < period.start:
        raise ConfigError("the period ends (%s) before it begins (%s)" % (period.end, period.start), _printable(path))
    try:
        status = os.lstat(path)
    except OSError as error:
        raise SourceError(
            "it cannot be archived: %s" % _why(error, "does not exist"),
            path,
            vanished=isinstance(error, (FileNotFoundError, NotADirectoryError)),
        ) from error
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "of an unknown kind")
        raise SourceError("it cannot be archived: not a regular file but %s" % kind, path)
    try:
        modified = _EPOCH + datetime.timedelta(seconds=status.st_mtime_ns // 10**9)
    except OverflowError as error:
        raise SourceError("its modification time is no date (%d s)" % (status.st_mtime_ns // 10**9), path) from error
    return Source(path, status.st_size, status.st_mtime_ns, period or Period(modified, modified))


# -- options ----------------------------------------------------------------------------------------------------------


def check(options: t.Mapping[str, t.Any]) -> None:
    """Raise ConfigError with all problems of the options of ``select``; no file is looked at."""
    _read_options(options, datetime.datetime.now(UTC))


def _read_options(options: t.Mapping[str, t.Any], now: datetime.datetime) -> _Wanted:
    problems: t.List[str] = []
    given = {**DEFAULTS, **options}
    for key in options:
        if key not in DEFAULTS:
            problems.append("%s: unknown option. %sAllowed are %s" % (key, did_you_mean(key, DEFAULTS), ", ".join(DEFAULTS)))

    def read(key: str, reader: t.Callable[[], t.Any]) -> t.Any:
        try:
            return reader()
        except ConfigError as error:
            problems.append("%s: %s" % (key, error))
            return None

    for key in ("use_regex", "recurse", "require_closed", "must_exist"):
        if not isinstance(given[key], bool):
            problems.append("%s: not true or false: %r" % (key, given[key]))
    for key in ("paths", "patterns", "exclude"):
        value = given[key]
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) and item and "\0" not in item for item in value):
            problems.append("%s: not a list of texts: %r" % (key, value))
            given[key] = []
        elif not value and key != "exclude":
            problems.append("%s: give at least one" % key)
    use_regex = given["use_regex"] is True
    patterns = [read("patterns", lambda text=text: compile_pattern(text, use_regex)) for text in given["patterns"]]
    exclude = [read("exclude", lambda text=text: compile_pattern(text, use_regex)) for text in given["exclude"]]
    timezone = given["timezone"]
    if not isinstance(timezone, str) or read("timezone", lambda: load_timezone(timezone)) is None:
        if not isinstance(timezone, str):
            problems.append("timezone: not a name: %r" % (timezone,))
        timezone = "UTC"
    catch_up = read("catch_up", lambda: parse_duration(given["catch_up"])) or 0.0
    period = given["period"]
    expected: t.List[Period] = []
    if period != "none":
        # Also for an unknown unit: the error names the allowed ones, of which "none" is one more here.
        expected = read("period, offset, catch_up", lambda: expected_periods(period, given["offset"], catch_up, timezone, now)) or []
    elif isinstance(given["offset"], bool) or not isinstance(given["offset"], int) or given["offset"] > 0:
        problems.append("offset: not an offset: %r. Use 0, -1, -2 ..." % (given["offset"],))
    for pattern in patterns:
        if pattern is None:
            continue
        if pattern.unit and period in UNITS and is_coarser(pattern.unit, period):
            problems.append(
                "patterns: %r tells only the %s, but period is %s. Add the missing time codes, or set period to %s"
                % (pattern.pattern, pattern.unit, period, pattern.unit if pattern.unit in UNITS else "none")
            )
        if pattern.relative and not use_regex and given["recurse"] is False:
            problems.append("patterns: %r names a folder, but recurse is off. Turn it on, or add the folder to paths" % pattern.pattern)
    modified = None
    if given["modified"] == "today":
        # The day's end belongs to the next day; times are compared in whole seconds.
        day = period_containing("day", now, timezone)
        modified = (day.start, day.end - datetime.timedelta(seconds=1))
    elif given["modified"] is not None:
        age = read("modified", lambda: parse_duration(given["modified"]))
        try:
            modified = (now - datetime.timedelta(seconds=age or 0), now)
        except OverflowError:
            problems.append("modified: %r reaches back before the calendar begins" % (given["modified"],))
    quiet = read("quiet", lambda: parse_duration(given["quiet"])) or 0.0
    sizes = {
        key: None if given[key] is None else read(key, lambda key=key: parse_size(given[key])) for key in ("min_size", "max_size")
    }  # fmt: skip
    if sizes["min_size"] is not None and sizes["max_size"] is not None and sizes["min_size"] > sizes["max_size"]:
        problems.append("min_size: larger than max_size (%r > %r)" % (given["min_size"], given["max_size"]))
    if problems:
        raise ConfigError("the selection cannot be used", problems=problems)
    paths = [os.path.abspath(path) for path in given["paths"]]
    return _Wanted(
        now, paths, patterns, exclude, given["recurse"], period, timezone, expected, modified, quiet, given["require_closed"],
        sizes["min_size"], sizes["max_size"], given["must_exist"],
    )  # fmt: skip


# -- walking ----------------------------------------------------------------------------------------------------------


def _candidates(wanted: _Wanted, skipped: t.Dict[str, Skipped]) -> t.Iterator[_Candidate]:
    """Yield every name below ``paths`` that matches; note in ``skipped`` (by real path) what cannot be looked at."""
    for path in wanted.paths:
        try:
            is_folder = stat.S_ISDIR(os.stat(path).st_mode)
        except OSError as error:
            if wanted.must_exist and isinstance(error, (FileNotFoundError, NotADirectoryError)):
                raise SelectionError("does not exist", _printable(path), _near_path(path)) from error
            skipped[path] = Skipped(path, _why(error, "does not exist"))
            continue
        if is_folder:
            yield from _walk(wanted, path, skipped)
            continue
        folder, name = os.path.split(path)
        real = os.path.join(os.path.realpath(folder), name)
        matched = _match(wanted, name, name)
        if matched is None:
            skipped[real] = Skipped(path, "its name matches no pattern")
        else:
            yield _Candidate(path, real, matched.period, _is_excluded(wanted, name, name))


def _walk(wanted: _Wanted, root: str, skipped: t.Dict[str, Skipped]) -> t.Iterator[_Candidate]:
    folders = [(root, os.path.realpath(root), "")]
    while folders:
        folder, real_folder, relative_folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = entry.name
                    relative = relative_folder + name
                    real = os.path.join(real_folder, name)
                    if entry.is_dir(follow_symlinks=False):
                        if wanted.recurse and not _is_excluded(wanted, name, relative):
                            folders.append((entry.path, real, relative + "/"))
                        continue
                    matched = _match(wanted, name, relative)
                    if matched is not None:
                        yield _Candidate(entry.path, real, matched.period, _is_excluded(wanted, name, relative))
                    elif wanted.recurse and entry.is_symlink() and _leads_to_folder(entry) and not _is_excluded(wanted, name, relative):
                        skipped[real] = Skipped(entry.path, "a symbolic link to a folder, which is never followed")
        except OSError as error:
            skipped[real_folder] = Skipped(folder, _why(error, "vanished after it was listed"))


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # A loop, or a target that cannot be reached: no folder for us either.


def _match(wanted: _Wanted, name: str, relative: str) -> t.Optional[NameMatch]:
    """What the name tells by the first pattern that tells a period, else by any that matches; None where none does."""
    result = None
    for pattern in wanted.patterns:
        matched = pattern.match(relative if pattern.relative else name, wanted.timezone)
        if matched is None or (matched.unit and wanted.expected and is_coarser(matched.unit, wanted.period)):
            continue
        if matched.period:
            return matched
        result = matched
    return result


def _is_excluded(wanted: _Wanted, name: str, relative: str) -> bool:
    return any(pattern.match(relative if pattern.relative else name, wanted.timezone) for pattern in wanted.exclude)


# -- judging ----------------------------------------------------------------------------------------------------------


def _expected(wanted: _Wanted, moment: datetime.datetime) -> t.Optional[Period]:
    """The expected period that contains ``moment``."""
    # (moment, a later end) sorts after every period that starts at moment.
    index = bisect.bisect_right(wanted.expected, (moment, datetime.datetime.max.replace(tzinfo=UTC))) - 1
    return wanted.expected[index] if index >= 0 and moment < wanted.expected[index].end else None


def _not_asked_for(wanted: _Wanted, status: os.stat_result, modified: datetime.datetime) -> t.Optional[str]:
    if wanted.modified and not wanted.modified[0].replace(microsecond=0) <= modified <= wanted.modified[1]:
        return "modified at %s, not within the time asked for" % format_utc(modified)
    if wanted.min_size is not None and status.st_size < wanted.min_size:
        return "%s, smaller than min_size" % format_size(status.st_size)
    if wanted.max_size is not None and status.st_size > wanted.max_size:
        return "%s, larger than max_size" % format_size(status.st_size)
    return None


def _not_ready(wanted: _Wanted, path: str, status: os.stat_result) -> t.Optional[str]:
    if wanted.quiet:
        age = (wanted.now - _EPOCH).total_seconds() - status.st_mtime_ns / 1e9
        if age < 0:
            return "modified in the future (%s later than now): check the clock" % format_duration(-age)
        if age < wanted.quiet:
            return "written %s ago, not quiet for %s" % (format_duration(age), format_duration(wanted.quiet))
    if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        return "no permission to read it"
    return None


def _why(error: OSError, gone: str) -> str:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return gone
    return "no permission to look at it" if isinstance(error, PermissionError) else "cannot be looked at: %s" % error.strerror


def _writers(identities: t.Set[t.Tuple[int, int]]) -> t.Dict[t.Tuple[int, int], t.List[str]]:
    """Return who ("PID NAME") holds the files open for writing, by (st_dev, st_ino); only for files that someone does.

    Source: proc(5), /proc/PID/fd and the octal ``flags`` of /proc/PID/fdinfo. Processes of other PID name spaces (the host's,
    seen from a container) and of other hosts (NFS) are out of sight.
    """
    if sys.platform != "linux":
        raise SelectionError("which processes hold a file open is known only on Linux", "require_closed", "Use 'quiet' instead")
    processes = [name for name in os.listdir("/proc") if name.isdigit()]
    if "1" not in processes:
        raise _blind("other processes")  # /proc is mounted with hidepid.
    writers: t.Dict[t.Tuple[int, int], t.List[str]] = {}
    for process in processes:
        folder = "/proc/%s/fd" % process
        try:
            for descriptor in os.listdir(folder):
                try:
                    status = os.stat("%s/%s" % (folder, descriptor))
                    identity = (status.st_dev, status.st_ino)
                    if identity in identities and _opened_for_writing(process, descriptor):
                        who = "%s %s" % (process, _process_name(process))
                        if who not in writers.setdefault(identity, []):
                            writers[identity].append(who)
                except (FileNotFoundError, ProcessLookupError):
                    continue  # It was closed in between.
        except PermissionError as error:
            raise _blind("process %s" % process) from error
        except (FileNotFoundError, ProcessLookupError):
            continue  # It has ended.
    return writers


def _blind(whom: str) -> SelectionError:
    return SelectionError(
        "the open files of %s cannot be inspected" % whom,
        "require_closed",
        "Run as root or with CAP_SYS_PTRACE (with no capability less than that process has), or use 'quiet' instead",
    )


def _opened_for_writing(process: str, descriptor: str) -> bool:
    with open("/proc/%s/fdinfo/%s" % (process, descriptor), encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith("flags:"):
                return int(line.split()[1], 8) & os.O_ACCMODE in (os.O_WRONLY, os.O_RDWR)
    return False


def _process_name(process: str) -> str:
    with open("/proc/%s/comm" % process, encoding="utf-8", errors="replace") as name:
        return name.read().strip()


# -- telling people ---------------------------------------------------------------------------------------------------


def _printable(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode("utf-8").replace("\n", "\\n")


def _near_path(path: str) -> str:
    folder = os.path.dirname(path)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    wrong = path[len(folder) :].strip("/").split("/")[0]
    try:
        near = did_you_mean(wrong, os.listdir(folder))
    except OSError as error:
        return "%s exists, but cannot be listed: %s" % (_printable(folder), error.strerror)
    return _printable("%s%s exists, %r in it does not" % (near, folder, wrong))


def _nothing_found(wanted: _Wanted, selection: Selection) -> SelectionError:
    if selection.missing:
        start, end = selection.missing[0]
        message = "no file for the %s %s/%s" % (wanted.period, format_utc(start), format_utc(end))
        if len(selection.missing) > 1:
            message += " and %d more" % (len(selection.missing) - 1)
        looked_for = [pattern.example(start, wanted.timezone) for pattern in wanted.patterns]
    else:
        message = "no file matches"
        looked_for = [pattern.pattern for pattern in wanted.patterns]
    patterns = ", ".join(
        repr(name) if name == pattern.pattern else "%r (pattern %r, time zone %s)" % (name, pattern.pattern, wanted.timezone)
        for name, pattern in zip(looked_for, wanted.patterns)
    )
    near = _near_names(wanted, looked_for)
    hint = "Looked for %s. " % patterns
    hint += "The nearest names there are %s" % ", ".join(map(repr, near)) if near else "No name there is near"
    if selection.skipped:
        reasons = ["%s (%s)" % entry for entry in selection.skipped[:3]]
        hint += ". Skipped: %s" % ", ".join(reasons + (["and %d more" % (len(selection.skipped) - 3)] if selection.skipped[3:] else []))
    return SelectionError(message, _printable(", ".join(wanted.paths)), _printable(hint))


def _near_names(wanted: _Wanted, looked_for: t.Sequence[str]) -> t.List[str]:
    import difflib
    import itertools

    def names() -> t.Iterator[str]:
        for path in wanted.paths:
            for folder, below, files in os.walk(path):  # What cannot be listed is among the skipped.
                yield from (os.path.relpath(os.path.join(folder, name), path) for name in files)
                if not wanted.recurse:
                    below.clear()

    known = list(itertools.islice(names(), _NAMES_COMPARED))
    near: t.List[str] = []
    for target in looked_for:
        # difflib is slow: it judges only the names whose beginning and end are most like the target's.
        likely = sorted(known, key=lambda name, target=target: _common(name, target) + _common(name[::-1], target[::-1]))[-200:]
        near += [name for name in difflib.get_close_matches(target, likely, 3, 0.6) if name not in near]
    return near


def _common(one: str, other: str) -> int:
    return len(os.path.commonprefix([one, other]))
