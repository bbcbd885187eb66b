# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metrics of a job, for the textfile collector of Prometheus' node exporter. docs/metrics.md lists them; a test compares both.

Every series of a job exists from the beginning, with the value 0: an alert on a series that does not exist never fires.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..archive.naming import host_name
from ..base.errors import EXIT_CONFIG, EXIT_DONE, EXIT_FAILED, EXIT_INTEGRITY, EXIT_PARTLY
from ..base.levels import VERIFICATION_LEVELS
from ..base.texts import printable
from ..base.units import parse_utc
from .summary import size_of

if t.TYPE_CHECKING:
    from ..config.document import JobDocument
    from ..state.catalog import Catalog
    from ..state.record import RunRecord
    from ..state.status import StatusRow

METRICS = (
    ("known_since_timestamp_seconds", "gauge", "When the job was set up on this host, or ran for the first time."),
    ("run_started_timestamp_seconds", "gauge", "Start of the last run that began; it is active while this is later than the last run."),
    ("last_run_timestamp_seconds", "gauge", "Start of the last run that ended, whatever its outcome."),
    ("last_success_timestamp_seconds", "gauge", "Start of the last successful run."),
    ("last_run_duration_seconds", "gauge", "Duration of the last run."),
    (
        "last_run_exit_code",
        "gauge",
        "Exit code of the last run: 0 done, 1 failed, 2 configuration error, 3 partly done, 4 integrity failure.",
    ),
    ("last_run_errors", "gauge", "Errors in the last run."),
    ("last_run_warnings", "gauge", "Warnings in the last run."),
    ("last_run_archives", "gauge", "Archives that the last run made or sent."),
    ("last_run_bytes", "gauge", "Size of the archives that the last run made or sent."),
    ("last_run_source_bytes", "gauge", "Size of the logs in these archives."),
    ("runs_total", "counter", "Completed runs, by exit code."),
    ("archives", "gauge", "Archives of the job in the spool or in a store."),
    ("bytes", "gauge", "Size of the archives of the job."),
    ("source_bytes", "gauge", "Size of the logs in the archives of the job."),
    ("spool_archives", "gauge", "Archives in the spool."),
    ("spool_bytes", "gauge", "Size of the archives in the spool."),
    ("spool_filesystem_free_bytes", "gauge", "Free space for the job in the file system of the spool."),
    ("spool_filesystem_size_bytes", "gauge", "Size of the file system of the spool."),
    ("backlog_archives", "gauge", "Archives that wait for the store."),
    ("lacking_archives", "gauge", "Archives that the job keeps and the store lacks; log-archive sync copies them there."),
    ("oldest_unshipped_timestamp_seconds", "gauge", "When the oldest archive that waits for the store was made; 0 if none waits."),
    ("given_up_archives", "gauge", "Archives that the store, which is not required, will not get."),
    ("verified_level", "gauge", "Lowest verification level of a copy in the store: 1 size, 2 server_digest, 3 remote_hash, 4 read_back."),
    ("last_verify_timestamp_seconds", "gauge", "When log-archive verify last read the store."),
    ("verify_failures", "gauge", "Archives in the store that failed verification and have not verified since."),
    ("prune_refused", "gauge", "1 if a guard refused the last prune of the store."),
    ("prune_refused_runs", "gauge", "Runs in a row in which a guard refused to prune the store."),
)
"""Name, type and help text of each metric. Those of a store have the label store."""

EXIT_CODES = (EXIT_DONE, EXIT_FAILED, EXIT_CONFIG, EXIT_PARTLY, EXIT_INTEGRITY)
"""Of runs that the catalog records."""

Value = t.Union[int, float]
Sample = t.Tuple[t.Dict[str, str], Value]
"""The labels and the value."""


class JobFacts(t.NamedTuple):
    """What the metrics of a job are made from. Times are in seconds since the epoch, 0 if there is none.

    record: of the last run, None before the first one. runs: {exit code: number of completed runs}. oldest: {store: when the oldest
    archive that it awaits was made}. disk: free and all bytes of the file system of the spool. stores: names.
    """

    job: str
    host: str
    record: t.Optional[RunRecord]
    status: StatusRow
    stores: t.Sequence[str] = ()
    runs: t.Mapping[int, int] = {}
    oldest: t.Mapping[str, float] = {}
    disk: t.Tuple[int, int] = (0, 0)
    known_since: float = 0
    run_started: float = 0


def unknown(record: RunRecord) -> JobFacts:
    """The facts of a run that could not begin: its catalog or its document cannot be used."""
    from ..state.status import blank

    return JobFacts(record["job"], record["host"], record, blank(record["job"]), run_started=parse_utc(record["started"]).timestamp())


def facts_of(document: JobDocument, record: t.Optional[RunRecord] = None) -> JobFacts:
    """The facts of a job. record: of the last run, by default the catalog's. Raises LogArchiveError if the catalog cannot be used."""
    from ..state import catalog as catalogs
    from .lacking import status_of

    job = document["name"]
    facts = JobFacts(
        job,
        host_name(document["host"]),
        record,
        status_of(document),
        [store["name"] for store in document["stores"]],
        disk=_disk_of(document["spool"]),
    )
    if not catalogs.exists(document["state"]):
        return facts
    with contextlib.closing(catalogs.reading(document)) as catalog:
        last, ended = catalog.runs.last(job), catalog.runs.last_ended(job)
        return facts._replace(
            record=record or (ended and ended.record),
            runs=catalog.runs.outcomes(job),
            oldest=_oldest(catalog, job),
            known_since=catalog.runs.known_since(job) or 0,
            run_started=last.started if last is not None else 0,
        )


def _oldest(catalog: Catalog, job: str) -> t.Dict[str, float]:
    return {store: parse_utc(created).timestamp() for store, created in catalog.counts.oldest_awaited(job).items()}


def _disk_of(spool: str) -> t.Tuple[int, int]:
    """Free and all bytes of the file system that holds the spool, or will hold it."""
    while True:
        try:
            found = os.statvfs(spool)
        except OSError:
            if spool == os.path.dirname(spool):
                return 0, 0
            spool = os.path.dirname(spool)
        else:
            return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def render(facts: JobFacts) -> str:
    """The text of the metrics file."""
    # Not "job": Prometheus gives that label to what it scrapes, and would rename this one.
    return rendered(METRICS, _samples(facts), {"archive_job": facts.job, "host": facts.host})


def rendered(table: t.Sequence[t.Tuple[str, str, str]], samples: t.Mapping[str, t.Sequence[Sample]], common: t.Mapping[str, str]) -> str:
    """Metrics as Prometheus reads them. table: name, type and help text of each; common: labels that all samples have."""
    lines = []
    for name, kind, about in table:
        if samples[name]:
            lines += ["# HELP log_archive_%s %s" % (name, about), "# TYPE log_archive_%s %s" % (name, kind)]
        for labels, value in samples[name]:
            every = {**common, **labels}
            pairs = ",".join('%s="%s"' % (key, _label(every[key])) for key in every)
            lines.append("log_archive_%s{%s} %s" % (name, pairs, repr(value)))
    return "\n".join(lines) + "\n"


def _samples(facts: JobFacts) -> t.Dict[str, t.List[Sample]]:
    samples: t.Dict[str, t.List[Sample]] = {name: [({}, value)] for name, value in {**_of_job(facts), **_of_last_run(facts)}.items()}
    samples["runs_total"] = [({"exit_code": str(code)}, facts.runs.get(code, 0)) for code in EXIT_CODES]
    for name, values in _of_stores(facts).items():
        samples[name] = [({"store": store}, values.get(store, 0)) for store in facts.stores]
    return samples


def _of_job(facts: JobFacts) -> t.Dict[str, Value]:
    status = facts.status
    return {
        "known_since_timestamp_seconds": facts.known_since,
        "run_started_timestamp_seconds": facts.run_started,
        "last_success_timestamp_seconds": parse_utc(status["last_success"]).timestamp() if status["last_success"] else 0,
        "archives": status["archives"],
        "bytes": status["bytes"],
        "source_bytes": status["source_bytes"],
        "spool_archives": status["spool"]["archives"],
        "spool_bytes": status["spool"]["bytes"],
        "spool_filesystem_free_bytes": facts.disk[0],
        "spool_filesystem_size_bytes": facts.disk[1],
    }


def _of_last_run(facts: JobFacts) -> t.Dict[str, Value]:
    record = facts.record
    archives = record["archives"] if record else []
    return {
        "last_run_timestamp_seconds": parse_utc(record["started"]).timestamp() if record else 0,
        "last_run_duration_seconds": record["seconds"] if record else 0,
        "last_run_exit_code": record["exit_code"] if record else 0,
        "last_run_errors": len(record["errors"]) if record else 0,
        "last_run_warnings": len(record["warnings"]) if record else 0,
        "last_run_archives": len(archives),
        "last_run_bytes": sum(map(size_of, archives)),
        "last_run_source_bytes": sum(archive["source_bytes"] for archive in archives),
    }


def _of_stores(facts: JobFacts) -> t.Dict[str, t.Mapping[str, Value]]:
    """Of each metric of stores, the value by the name of the store; 0 for a store that is not named."""
    status = facts.status
    return {
        "backlog_archives": status["backlog"],
        "lacking_archives": status["lacking"],
        "oldest_unshipped_timestamp_seconds": facts.oldest,
        "given_up_archives": status["given_up"],
        "verified_level": {store: VERIFICATION_LEVELS.index(level) + 1 for store, level in status["verified"].items()},
        "last_verify_timestamp_seconds": {store: parse_utc(found["last"]).timestamp() for store, found in status["verifications"].items()},
        "verify_failures": {store: found["failed"] for store, found in status["verifications"].items()},
        "prune_refused": dict.fromkeys(status["prune_refused"], 1),
        "prune_refused_runs": status["prune_refused_runs"],
    }


def _label(text: str) -> str:
    return printable(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
