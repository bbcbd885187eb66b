# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rows of the page of a fleet, from what ``log-archive status --json --coverage`` printed on its hosts. Every text is safe to show."""

from __future__ import annotations

import functools
import itertools
import typing as t
from datetime import date, datetime, timedelta

from ..base.errors import EXIT_DONE, EXIT_PARTLY
from ..base.levels import VERIFICATION_LEVELS
from ..base.lists import first
from ..base.texts import line
from ..base.units import format_duration, format_size
from ..state.coverage import NO_PERIOD, STATES
from .texts import problem

FAILED, WARNING, FINE = "failed", "warning", "fine"
LEVELS = (FAILED, WARNING, FINE)
"""How a row stands, the worst first."""
LONGEST_STATE = 120
"""Characters of what stands in a row; the problems have the whole text."""
MOST_DATES = 400
"""Days of the page, and of a host: what it prints is bounded."""
PERIODS = 24
"""Letters of a day."""


class Host(t.NamedTuple):
    """One host: its ``state`` (``ok``, ``failed``, ``locked``, ``unreachable``, ``not run`` or ``no jobs``), the rows that its command
    printed, and the errors if it printed none, or failed.

    locked: other runs of the jobs were active, and nothing failed.
    """

    name: str
    state: str
    rows: t.Sequence[t.Dict[str, t.Any]]
    errors: t.Sequence[str]


class DayCell(t.NamedTuple):
    """A day of a job: the letters of its periods, and how many archives it has; bytes of their logs, and their own."""

    periods: str
    archives: int
    source_bytes: int
    size: int


class JobRow(t.NamedTuple):
    """A job of a host, or a host without a job. Times are in UTC, "" if unknown; sizes in bytes.

    level: one of LEVELS. states: how many periods are in each state. days: by date, from first to last. unit, timezone: of the periods.
    key: the current key; since: when the keyring got it; others: more keys that open old archives.
    """

    host: str
    job: str
    level: str
    state: str
    last_run: str = ""
    last_success: str = ""
    next_run: str = ""
    archives: int = 0
    source_bytes: int = 0
    size: int = 0
    waiting: int = 0
    key: str = ""
    since: str = ""
    others: int = 0
    unit: str = ""
    timezone: str = ""
    first: str = ""
    last: str = ""
    states: t.Mapping[str, int] = {}
    days: t.Mapping[str, DayCell] = {}


class StoreRow(t.NamedTuple):
    """A store by its name, over all hosts and jobs. jobs: that use it. waiting: archives that it does not have yet; oldest: when the oldest
    of them was made, and on which host. lacking: archives that only ``log-archive sync`` copies there. unreachable: jobs that could not
    list it. wrong: archives that it does not have as the catalog records, or that failed when they were read. given_up: archives that it
    will not get. refused: jobs with a refused prune. weakest: the weakest level of verification. verified: when it was last read as a
    whole, the oldest of the hosts."""

    name: str
    level: str
    jobs: int
    waiting: int
    oldest: str
    oldest_host: str
    lacking: int
    unreachable: int
    wrong: int
    given_up: int
    refused: int
    weakest: str
    verified: str


class Problem(t.NamedTuple):
    """What somebody has to look at. level: failed or warning. where: host and job, store or stream."""

    level: str
    host: str
    where: str
    text: str


class StreamLine(t.NamedTuple):
    """A stream and one of its sinks. lag: as text."""

    host: str
    stream: str
    sink: str
    level: str
    state: str
    lines: int
    lag: str
    rejected: int
    gaps: int


class Fleet(t.NamedTuple):
    """All that the page shows. dates: the days of its columns. states: how many hosts are in each state, the worst first."""

    dates: t.List[str]
    jobs: t.List[JobRow]
    stores: t.List[StoreRow]
    streams: t.List[StreamLine]
    problems: t.List[Problem]
    hosts: t.Dict[str, int]


def rows_of(hosts: t.Iterable[Host], now: datetime) -> Fleet:
    """The rows, failures first. ``hosts`` is read once: of each host only its rows are kept. now: no later day is shown, but tomorrow,
    which it is in other time zones: the clock of a host may be wrong."""
    jobs: t.List[JobRow] = []
    streams: t.List[StreamLine] = []
    problems: t.List[Problem] = []
    stores: t.Dict[str, _Store] = {}
    counts: t.Dict[str, int] = {}
    for host in hosts:
        counts[host.state] = counts.get(host.state, 0) + 1
        name = line(host.name)
        if not host.rows:
            level = FAILED if host.errors else FINE
            # Not the word twice: "FAILED failed".
            state = host.errors[0] if host.errors and host.state == FAILED else host.state
            jobs.append(JobRow(name, "", level, line(problem(state.partition("\n")[0], LONGEST_STATE))))
            problems += [Problem(FAILED, name, line(host.state), line(problem(text))) for text in host.errors]
        for row in host.rows:
            level = {EXIT_DONE: FINE, EXIT_PARTLY: WARNING}.get(row["exit_code"], FAILED)
            if "orphan" in row:
                problems.append(Problem(level, name, line("orphan %s" % row["job"]), line(problem(row["state"]))))
                continue
            if "stream" in row:
                stream = _stream(name, row, level)
                streams.append(stream)
                if level != FINE:
                    problems.append(Problem(level, name, "stream %s, %s" % (stream.stream, stream.sink), line(problem(row["state"]))))
                continue
            jobs.append(_job(name, row, level))
            if level != FINE:
                problems.append(Problem(level, name, line(row["job"]), line(problem(row["state"]))))
                problems += [Problem(level, name, line(row["job"]), line(problem(text))) for text in _findings(row)]
            keys = row.get("keys") or {}
            if keys.get("error"):
                problems.append(Problem(WARNING, name, line(row["job"]), line(problem(keys["error"]))))
            _add_stores(stores, name, row)
    rank = LEVELS.index
    return Fleet(
        _dates(jobs, now),
        sorted(jobs, key=lambda row: (rank(row.level), -row.states.get("missing", 0), row.host, row.job)),
        sorted((store.row(name) for name, store in stores.items()), key=lambda row: (rank(row.level), row.name)),
        sorted(streams, key=lambda row: (rank(row.level), row.host, row.stream)),
        sorted(problems, key=lambda each: (rank(each.level), each.host, each.where)),
        counts,
    )


def _findings(row: t.Mapping[str, t.Any]) -> t.List[str]:
    """What is wrong in the stores of a job."""
    found = ["store %s: %s: %s" % (each["store"], each["key"], each["error"]) for each in row.get("findings", [])]
    return first(found) + ["store %s cannot be listed: %s" % one for one in row.get("unreachable", {}).items()]


def _job(host: str, row: t.Mapping[str, t.Any], level: str) -> JobRow:
    coverage, keys = row.get("coverage") or {}, row.get("keys") or {}
    return JobRow(
        host,
        line(row["job"]),
        level,
        line(problem(row["state"].partition("\n")[0], LONGEST_STATE)),
        row["last_run"] or "",
        row["last_success"] or "",
        row["next_run"] or row["next_due"] or "",
        row["archives"],
        row["source_bytes"],
        row["bytes"],
        row["spool"]["archives"],
        line(keys.get("current") or ""),
        line(keys.get("since") or ""),
        keys.get("others", 0),
        line(coverage.get("unit", "")),
        line(coverage.get("timezone", "")),
        _day(coverage.get("first")),
        _day(coverage.get("last")),
        {state: count for state, count in coverage.get("states", {}).items() if state in STATES},
        {
            _day(day): DayCell(line(cell["periods"])[:PERIODS], cell["archives"], cell["source_bytes"], cell["bytes"])
            for day, cell in itertools.islice(coverage.get("days", {}).items(), MOST_DATES)
        },
    )


def _day(text: t.Any) -> str:
    """The text if it is a date, else ""."""
    try:
        return date.fromisoformat(text).isoformat()
    except (TypeError, ValueError):
        return ""


def _stream(host: str, row: t.Mapping[str, t.Any], level: str) -> StreamLine:
    lag = "%s, %s" % (format_size(row["lag_bytes"]), format_duration(row["lag_seconds"])) if row["lag_bytes"] else ""
    state = line(row["state"].partition("\n")[0])
    return StreamLine(host, line(row["stream"]), line(row["sink"]), level, state, row["lines"], lag, row["rejected"], row["gaps"])


class _Store:
    """What a store adds up to."""

    def __init__(self) -> None:
        self.jobs = self.waiting = self.lacking = self.unreachable = self.wrong = self.given_up = self.refused = 0
        self.oldest: t.Tuple[str, str] = ("", "")
        self.verified = ""
        self.levels: t.Set[str] = set()

    def row(self, name: str) -> StoreRow:
        level = (
            FAILED if self.wrong or self.unreachable else WARNING if self.waiting or self.lacking or self.given_up or self.refused else FINE
        )
        weakest = min(self.levels, key=VERIFICATION_LEVELS.index, default="")
        wrong = self.lacking, self.unreachable, self.wrong, self.given_up, self.refused
        return StoreRow(name, level, self.jobs, self.waiting, *self.oldest, *wrong, weakest, self.verified)


def _add_stores(stores: t.Dict[str, _Store], host: str, row: t.Mapping[str, t.Any]) -> None:
    found = row.get("findings", [])
    read = row.get("verifications", {})
    names = {each["store"] for each in found}
    for part in ("verified", "backlog", "lacking", "given_up", "prune_refused", "verifications", "unreachable"):
        names.update(row.get(part, {}))
    for name in sorted(names):
        store = stores.setdefault(line(name), _Store())
        store.jobs += 1
        store.waiting += row["backlog"].get(name, 0)
        store.lacking += row.get("lacking", {}).get(name, 0)
        store.given_up += row["given_up"].get(name, 0)
        store.unreachable += name in row.get("unreachable", {})
        store.refused += name in row["prune_refused"]
        store.wrong += sum(each["store"] == name for each in found) + read.get(name, {}).get("failed", 0)
        if name in row.get("oldest_unshipped", {}):
            oldest = row["oldest_unshipped"][name], host
            store.oldest = min(store.oldest, oldest) if store.oldest[0] else oldest
        if name in read:
            store.verified = min(store.verified, read[name]["last"]) if store.verified else read[name]["last"]
        if row["verified"].get(name) in VERIFICATION_LEVELS:
            store.levels.add(row["verified"][name])


def _dates(jobs: t.Iterable[JobRow], now: datetime) -> t.List[str]:
    """All days that a job shows; hosts of different time zones may differ by one."""
    latest = (now + timedelta(days=1)).date().isoformat()
    shown = [(job.first, min(job.last, latest)) for job in jobs if job.first and job.first <= latest]
    if not shown:
        return []
    last = date.fromisoformat(max(each[1] for each in shown))
    count = min((last - date.fromisoformat(min(each[0] for each in shown))).days + 1, MOST_DATES)
    return [(last - timedelta(days=count - 1 - number)).isoformat() for number in range(count)]


_OF_LETTER = {letter: state for state, (letter, _words, _meaning) in STATES.items()}


@functools.lru_cache(maxsize=1 << 12)
def state_of(periods: str) -> str:
    """The state of a day, from the letters of its periods: the worst of them; without a period ``none``."""
    found = {_OF_LETTER[letter] for letter in periods if letter in _OF_LETTER and letter != NO_PERIOD}
    return next((state for state in STATES if state in found), "none")


def strip(job: JobRow, dates: t.Sequence[str]) -> t.List[t.Tuple[str, str]]:
    """The days of a job as runs of the same state: (state, its letter as often as it has days)."""
    days = (state_of(job.days[each].periods) if each in job.days else "none" for each in dates)
    return [(state, STATES[state][0] * len(list(run))) for state, run in itertools.groupby(days)]
