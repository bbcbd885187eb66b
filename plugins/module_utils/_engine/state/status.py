# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status of a job, for monitoring: last success, backlog, next run, and whether there is a problem."""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime, timezone

from ..archive import naming
from ..base.durable import is_locked
from ..base.errors import EXIT_DONE, EXIT_FAILED, EXIT_INTEGRITY, EXIT_PARTLY, WORST_FIRST, LogArchiveError
from ..base.levels import VERIFICATION_LEVELS
from ..base.units import format_duration, format_utc, parse_duration
from ..sources.opening import collector_of
from . import catalog as catalogs
from .folders import lock_of

if t.TYPE_CHECKING:
    from ..config.document import JobDocument
    from .coverage import Coverage
    from .lacking import Lacked
    from .ledger.chain import Head
    from .record import SpoolRecord
    from .runs import Run

    # Not at run time: building a TypedDict takes longer than the query.
    class Finding(t.TypedDict):
        """An archive that a store does not have as the catalog records it. error: what is wrong."""

        store: str
        key: str
        error: str

    class StoreVerification(t.TypedDict):
        """When ``log-archive verify`` last read a store, in UTC, and how many archives there failed and have not verified since."""

        last: str
        failed: int

    class KeysInUse(t.TypedDict):
        """The keyring of a job. current: the id of the key that encrypts; since: when the keyring got it, in UTC, None if that is unknown.
        others: how many more keys open old archives. error: why the keyring cannot be read."""

        current: t.Optional[str]
        since: t.Optional[str]
        others: int
        error: t.Optional[str]

    class StatusRow(t.TypedDict):
        """The status of one job. Times are in UTC ("2024-01-12T13:00:00Z"), sizes in bytes.

        next_due: when the current period ends. next_run: when cron or the timer runs the job, by its ``schedule``.
        archives, bytes, source_bytes: what is in the spool or in a store. verified: {store: the weakest level at which a copy there was
        verified}. backlog: {store: how many archives wait for it}. oldest_unshipped: {store: when the oldest of them was made}.
        lacking: {store: how many archives it lacks that the job keeps, and that only ``log-archive sync`` copies there}.
        given_up: {store: how many it will not get}. prune_refused: {store: why a guard refused its last prune}.
        prune_refused_runs: {store: in how many runs in a row}. running: a run of the job is active: its lock is held. findings,
        unreachable: see ``add_findings``. exit_code: 0 the job is fine; 1 the last run failed or was killed, the last success is too old,
        a store cannot be listed, or prunes were refused too often; 3 the last run was partly done, archives wait for a store, a store
        lacks some, some have the name of another host, or a prune was refused; 4 a store does not have what the catalog records, or the
        ledger is broken. ledger: where the ledger of the job ends (see ``ledger.chain.Head``); None without one.
        """

        job: str
        last_run: t.Optional[str]
        last_exit_code: t.Optional[int]
        last_success: t.Optional[str]
        next_due: t.Optional[str]
        next_run: t.Optional[str]
        archives: int
        bytes: int
        source_bytes: int
        verified: t.Dict[str, str]
        spool: SpoolRecord
        backlog: t.Dict[str, int]
        oldest_unshipped: t.Dict[str, str]
        lacking: t.Dict[str, int]
        given_up: t.Dict[str, int]
        prune_refused: t.Dict[str, t.List[str]]
        prune_refused_runs: t.Dict[str, int]
        verifications: t.Dict[str, StoreVerification]
        running: bool
        findings: t.List[Finding]
        unreachable: t.Dict[str, str]
        state: str
        ledger: t.Optional[t.Dict[str, t.Union[str, int]]]
        exit_code: int
        coverage: t.Optional[Coverage]
        keys: t.Optional[KeysInUse]


WAITING = "archives wait for a store"
PERIODS_UNTIL_OVERDUE = 2
CLOCK_STEP = 60
"""Seconds by which a clock may be set back, as it is when it is synchronized."""
_PERIOD_DAYS = {"day": 1, "week": 7, "month": 31}


def blank(job: str) -> StatusRow:
    """The status of a job of which nothing is known."""
    return {
        "job": job,
        "last_run": None,
        "last_exit_code": None,
        "last_success": None,
        "next_due": None,
        "next_run": None,
        "archives": 0,
        "bytes": 0,
        "source_bytes": 0,
        "verified": {},
        "spool": {"archives": 0, "bytes": 0},
        "backlog": {},
        "oldest_unshipped": {},
        "lacking": {},
        "given_up": {},
        "prune_refused": {},
        "prune_refused_runs": {},
        "verifications": {},
        "running": False,
        "findings": [],
        "unreachable": {},
        "ledger": None,
        "state": "has never run",
        "exit_code": EXIT_FAILED,
        "coverage": None,
        "keys": None,
    }


def unusable(job: str, error: LogArchiveError) -> StatusRow:
    """The status of a job with a document or a catalog that cannot be used."""
    row = blank(job)
    row["state"], row["exit_code"] = str(error), error.exit_code
    return row


def of(document: JobDocument, max_age: t.Optional[float] = None, now: t.Optional[datetime] = None) -> StatusRow:
    """The status of one job.

    max_age: seconds after which a success is too old; by default two periods of the job (never for a job without a period).
    """
    now = now or datetime.now(timezone.utc)
    job = document["name"]
    row = blank(job)
    row["next_due"], row["next_run"] = _next_due(document, now), _next_run(document, now)
    if not catalogs.exists(document["state"]):
        return row
    with contextlib.closing(catalogs.reading(document)) as catalog:
        last, row["running"] = _last_run(document, catalog)
        success = catalog.runs.last_success(job, now.timestamp())
        row["spool"] = catalog.spooled(job)
        row["archives"], row["bytes"], row["source_bytes"] = catalog.counts.totals(job)
        row["verified"] = {store: min(levels, key=VERIFICATION_LEVELS.index) for store, levels in catalog.counts.levels(job).items()}
        row["backlog"] = catalog.counts.copies(job, "pending")
        row["oldest_unshipped"] = catalog.counts.oldest_awaited(job)
        row["given_up"] = catalog.counts.copies(job, "given up")
        row["prune_refused"] = catalog.prunes.refusals(job)
        row["prune_refused_runs"] = {store: catalog.runs.refused_in_a_row(job, store) for store in row["prune_refused"]}
        failures = catalog.verifications.failures(job)
        for store, at in catalog.verifications.last(job).items():
            row["verifications"][store] = {"last": _utc(at), "failed": len(failures.get(store, {}))}
    if last is not None:
        row["last_run"] = _utc(last.started)
        row["last_exit_code"] = last.exit_code
    if success is not None:
        row["last_success"] = _utc(success.started)
    if max_age is None:
        max_age = _default_max_age(document)
    row["state"], row["exit_code"] = _judge(last, success, row, max_age, now)
    if last is not None:
        _add_details(row, document)
    return row


def _add_details(row: StatusRow, document: JobDocument) -> None:
    """Name in the state what a run alone does not show."""
    required = {store["name"] for store in document["stores"] if store["required"]}
    if row["state"] == WAITING and row["backlog"] and not required & set(row["backlog"]):
        row["state"] = "archives wait for a store that is not required"
    if row["prune_refused"]:
        repeated = max(row["prune_refused_runs"].values()) >= document["fail_after_refusals"]
        counts = ["%s (%d runs)" % (store, row["prune_refused_runs"][store]) for store in row["prune_refused"]]
        _add_problem(row, EXIT_FAILED if repeated else EXIT_PARTLY, "retention was refused in %s" % ", ".join(counts))
    failed = ["%s (%d)" % (store, found["failed"]) for store, found in sorted(row["verifications"].items()) if found["failed"]]
    if failed:
        _add_problem(row, EXIT_INTEGRITY, "verification failed in %s" % ", ".join(failed))


def add_findings(row: StatusRow, findings: t.List[Finding], unreachable: t.Dict[str, str]) -> None:
    """Add the result of comparing the stores of the job with the catalog. unreachable: {store: why it could not be listed}."""
    row["findings"], row["unreachable"] = findings, unreachable
    if findings:
        _add_problem(row, EXIT_INTEGRITY, "%d archive(s) are missing or replaced in a store" % len(findings))
    # The backlog of a store already reports that it does not answer.
    silent = [name for name in unreachable if name not in row["backlog"]]
    if silent:
        _add_problem(row, EXIT_FAILED, "cannot compare with the catalog: store %s" % ", ".join(silent))


def add_lacking(row: StatusRow, lacking: t.Dict[str, int]) -> None:
    """Add how many archives each store lacks that the job keeps; only of stores that lack some."""
    row["lacking"] = lacking
    if lacking:
        counts = ", ".join("%s (%d)" % item for item in lacking.items())
        _add_problem(row, EXIT_PARTLY, "stores lack archives that the job keeps: %s; 'log-archive sync' copies them" % counts)


def add_other_hosts(row: StatusRow, others: t.Mapping[str, int]) -> None:
    """Add how many archives stores hold under the name of another host: {host: number of archives}."""
    for name, count in others.items():
        text = "%d archive(s) have the host name %s, so no run prunes them; if the host was renamed, set 'host: %s' in the job"
        _add_problem(row, EXIT_PARTLY, text % (count, name, name))


def add_ledger(row: StatusRow, head: t.Optional[Head], broken: t.Optional[LogArchiveError]) -> None:
    """Add where the ledger of the job ends, or why it cannot be used."""
    row["ledger"] = None if head is None else head._asdict()
    if broken is not None:
        _add_problem(row, broken.exit_code, str(broken))


def add_coverage(row: StatusRow, document: JobDocument, days: int, lacked: t.Iterable[Lacked] = ()) -> None:
    """Add which periods of the last ``days`` days are archived, and the keys in use. Findings must have been added before. lacked: see
    ``coverage.of``."""
    from . import coverage

    row["coverage"] = coverage.of(document, days, [(found["store"], found["key"]) for found in row["findings"]], lacked)
    folder = document["encryption"]["keyring"]
    if folder is not None:
        row["keys"] = _keys_in(folder)


def _keys_in(folder: str) -> KeysInUse:
    from ..crypto.keyring import list_keys

    try:
        keys = [key for key in list_keys(folder) if not key.removed]
    except LogArchiveError as error:
        return {"current": None, "since": None, "others": 0, "error": str(error)}
    current = next((key for key in keys if key.current), None)
    since = None if current is None or current.created is None else _utc(current.created)
    return {
        "current": current and current.id, "since": since, "others": len(keys) - (current is not None), "error": None
    }  # fmt: skip


def _add_problem(row: StatusRow, code: int, text: str) -> None:
    row["state"] = text if row["exit_code"] == EXIT_DONE else "%s; %s" % (row["state"], text)
    row["exit_code"] = next(each for each in WORST_FIRST if each in (code, row["exit_code"]))


def _last_run(document: JobDocument, catalog: catalogs.Catalog) -> t.Tuple[t.Optional[Run], bool]:
    """The last run of the job, and whether a run is active now."""
    last = catalog.runs.last(document["name"])
    running = is_locked(lock_of(document["state"], document["name"]))
    if last is None or last.ended is not None or running:
        return last, running
    # It may have ended in between, or another may have begun.
    again = catalog.runs.last(document["name"])
    return again, again is not None and again.started != last.started


def _judge(last: t.Optional[Run], success: t.Optional[Run], row: StatusRow, max_age: t.Optional[float], now: datetime) -> t.Tuple[str, int]:
    if last is None:
        return "has never run", EXIT_FAILED
    if last.exit_code is not None and last.exit_code not in (EXIT_DONE, EXIT_PARTLY):
        return "the last run failed", last.exit_code
    age = now.timestamp() - (last if success is None else success).started
    if age < -CLOCK_STEP:
        return "the last run began at %s, which is in the future: check the clock, and run the job again" % _utc(last.started), EXIT_FAILED
    if max_age is not None and age > max_age:
        return "overdue: no success for %s%s" % (format_duration(age), _first_error(last)), EXIT_FAILED
    if last.ended is None:
        if not row["running"]:
            return "the last run was killed; the next run completes it", EXIT_FAILED
        return "runs now", EXIT_DONE if success is not None else EXIT_FAILED
    if row["spool"]["archives"]:
        return WAITING, EXIT_PARTLY
    if last.exit_code == EXIT_PARTLY:
        return "the last run was partly done%s" % _first_error(last), EXIT_PARTLY
    return "fine", EXIT_DONE


def _first_error(last: Run) -> str:
    errors = last.record["errors"] if last.record else []
    more = " (and %d more)" % (len(errors) - 1) if len(errors) > 1 else ""
    return ": %s%s" % (errors[0].partition("\n")[0], more) if errors else ""


def _default_max_age(document: JobDocument) -> t.Optional[float]:
    period = collector_of(document).period
    if period == "none":
        return None
    return PERIODS_UNTIL_OVERDUE * (3600 if period == "hour" else 86400 * _PERIOD_DAYS[period])


def _next_due(document: JobDocument, now: datetime) -> t.Optional[str]:
    """When the current period ends: then its log can be archived."""
    from ..base.periods import period_containing

    collector = collector_of(document)
    if collector.period == "none":
        return None
    return format_utc(period_containing(collector.period, now, collector.timezone).end)


def _next_run(document: JobDocument, now: datetime) -> t.Optional[str]:
    from ..base import schedule

    if document["schedule"] is None:
        return None
    host = naming.host_name(document["host"])
    delay = schedule.offset(parse_duration(document["schedule"]["spread"]), host, document["name"])
    moment = schedule.next_run(schedule.parse(document["schedule"]["at"]), delay, now)
    return None if moment is None else format_utc(moment.astimezone(timezone.utc))


def _utc(seconds: float) -> str:
    return format_utc(datetime.fromtimestamp(seconds, timezone.utc))
