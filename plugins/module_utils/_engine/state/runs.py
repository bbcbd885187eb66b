# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runs of a host's jobs, as the catalog records them."""

from __future__ import annotations

import json
import typing as t

from ..base.errors import EXIT_DONE
from ..base.named_tuple import NamedTuple

if t.TYPE_CHECKING:
    from .database import Database
    from .record import RunRecord


class Run(NamedTuple):
    """One run of a job. Times are in seconds since the epoch; ``ended`` is None while the run lasts, or if it was killed."""

    started: float
    ended: t.Optional[float]
    exit_code: t.Optional[int]
    record: t.Optional[RunRecord]


def blank_record(job: str, host: str) -> RunRecord:
    """The record of a run in which nothing has happened yet."""
    return {
        "job": job,
        "host": host,
        "check": False,
        "started": "",
        "seconds": 0.0,
        "outcome": "",
        "exit_code": EXIT_DONE,
        "changed": False,
        "steps": {},
        "archives": [],
        "missing": [],
        "skipped": [],
        "open_since": None,
        "pruned": {},
        "given_up": {},
        "sources_deleted": [],
        "spool": {"archives": 0, "bytes": 0},
        "warnings": [],
        "errors": [],
    }


class Runs:
    """The runs in a catalog's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, job: str, started: float) -> int:
        """Record that a run began; returns its number."""
        return self._database.insert("INSERT INTO runs (job, started) VALUES (?, ?)", (job, started))

    def end(self, number: int, ended: float, record: RunRecord) -> None:
        """Record how a run ended."""
        values = (ended, record["exit_code"], json.dumps(record), number)
        self._database.execute("UPDATE runs SET ended = ?, exit_code = ?, recap = ? WHERE id = ?", values)

    def first(self, job: str) -> t.Optional[float]:
        """When the job ran for the first time, in seconds since the epoch."""
        rows = self._database.execute("SELECT started FROM runs WHERE job = ? ORDER BY id LIMIT 1", (job,))
        return float(rows[0][0]) if rows else None

    def know(self, job: str, now: float) -> None:
        """Record that a job was set up, if it is new."""
        self._database.execute("INSERT OR IGNORE INTO jobs VALUES (?, ?)", (job, now))

    def known_since(self, job: str) -> t.Optional[float]:
        """When the job was set up, or ran for the first time, in seconds since the epoch."""
        rows = self._database.execute("SELECT since FROM jobs WHERE job = ?", (job,))
        return min((since for since in (rows[0][0] if rows else None, self.first(job)) if since is not None), default=None)

    def last(self, job: str) -> t.Optional[Run]:
        """The last run of a job."""
        return self._last("job = ?", (job,))

    def last_ended(self, job: str) -> t.Optional[Run]:
        """The last run of a job that ended, with or without success."""
        return self._last("job = ? AND ended IS NOT NULL", (job,))

    def last_success(self, job: str, now: float) -> t.Optional[Run]:
        """The last run of a job that ended with exit code 0. A run that began after ``now`` had a wrong clock and does not count."""
        return self._last("job = ? AND exit_code = 0 AND started <= ?", (job, now))

    def outcomes(self, job: str) -> t.Dict[int, int]:
        """How many runs of a job ended with each exit code."""
        query = "SELECT exit_code, COUNT(*) FROM runs WHERE job = ? AND ended IS NOT NULL GROUP BY exit_code"
        return dict(t.cast(t.List[t.Tuple[int, int]], self._database.execute(query, (job,))))

    def _last(self, condition: str, values: t.Tuple[t.Any, ...]) -> t.Optional[Run]:
        query = "SELECT started, ended, exit_code, recap FROM runs WHERE %s ORDER BY id DESC LIMIT 1" % condition
        rows = self._database.execute(query, values)
        return next((Run(row[0], row[1], row[2], json.loads(row[3]) if row[3] else None) for row in rows), None)
