# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metrics of a job, for the textfile collector of Prometheus' node exporter."""

from __future__ import annotations

import typing as t

from ..base.levels import VERIFICATION_LEVELS
from ..base.texts import printable
from ..base.units import parse_utc
from .summary import size_of

if t.TYPE_CHECKING:
    from ..state.record import RunRecord
    from ..state.status import StatusRow

METRICS = (
    ("last_run_timestamp_seconds", "gauge", "Start of the last run, whatever its outcome."),
    ("last_success_timestamp_seconds", "gauge", "Start of the last successful run; absent before the first one."),
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
    ("backlog_archives", "gauge", "Archives that wait for the store."),
    ("verified_level", "gauge", "Lowest verification level of a copy in the store: 1 size, 2 server_digest, 3 remote_hash, 4 read_back."),
)
"""Name, type and help text of each metric."""

Sample = t.Tuple[t.Dict[str, str], t.Union[int, float]]
"""The labels and the value."""


class JobFacts(t.NamedTuple):
    """What the metrics of a job need beside the record of its last run. runs: {exit code: number of completed runs}. stores: names."""

    status: StatusRow
    runs: t.Mapping[int, int]
    stores: t.Sequence[str]

    @classmethod
    def unknown(cls, job: str) -> JobFacts:
        """Of a job with a catalog that cannot be read."""
        from ..state.status import blank

        return cls(blank(job), {}, [])


def render(record: RunRecord, facts: JobFacts) -> str:
    """The text of the metrics file."""
    samples = _samples(record, facts)
    lines = []
    for name, kind, about in METRICS:
        if samples.get(name):
            lines += ["# HELP log_archive_%s %s" % (name, about), "# TYPE log_archive_%s %s" % (name, kind)]
        for labels, value in samples.get(name, []):
            every = {"job": record["job"], "host": record["host"], **labels}
            pairs = ",".join('%s="%s"' % (key, _label(every[key])) for key in every)
            lines.append("log_archive_%s{%s} %s" % (name, pairs, repr(value)))
    return "\n".join(lines) + "\n"


def _samples(record: RunRecord, facts: JobFacts) -> t.Dict[str, t.List[Sample]]:
    status, archives = facts.status, record["archives"]
    plain = {
        "last_run_timestamp_seconds": parse_utc(record["started"]).timestamp(),
        "last_run_duration_seconds": record["seconds"],
        "last_run_exit_code": record["exit_code"],
        "last_run_errors": len(record["errors"]),
        "last_run_warnings": len(record["warnings"]),
        "last_run_archives": len(archives),
        "last_run_bytes": sum(map(size_of, archives)),
        "last_run_source_bytes": sum(archive["source_bytes"] for archive in archives),
        "archives": status["archives"],
        "bytes": status["bytes"],
        "source_bytes": status["source_bytes"],
        "spool_archives": status["spool"]["archives"],
        "spool_bytes": status["spool"]["bytes"],
    }
    if status["last_success"]:
        plain["last_success_timestamp_seconds"] = parse_utc(status["last_success"]).timestamp()
    samples: t.Dict[str, t.List[Sample]] = {name: [({}, value)] for name, value in plain.items()}
    samples["runs_total"] = [({"exit_code": str(code)}, count) for code, count in sorted(facts.runs.items())]
    samples["backlog_archives"] = [({"store": store}, status["backlog"].get(store, 0)) for store in facts.stores]
    samples["verified_level"] = [
        ({"store": store}, VERIFICATION_LEVELS.index(level) + 1) for store, level in sorted(status["verified"].items())
    ]
    return samples


def _label(text: str) -> str:
    return printable(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
