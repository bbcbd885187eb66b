# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runs of a host's jobs, as the catalog records them."""

from __future__ import annotations

from ..base import hints as t, light
from ..base.errors import EXIT_DONE
from ..base.named_tuple import NamedTuple

if t.TYPE_CHECKING:
    from .database import Database
    from .record import RunRecord


IN_FULL = 30
"""The last runs of a job, which have their whole records."""
IN_SHORT = 2000
"""The last runs of a job that have records at all; an hourly job makes as many in twelve weeks."""
EACH = 32
"""Runs after which records are cut: an idle run has no time for it."""
LISTED = 500
"""Entries of one list of a record that are kept; 2,000 skipped files take 200 KiB, and may be skipped at each run."""
LONGEST_ERROR = 300
"""Characters of the error in a short record."""
_LISTS = ("archives", "missing", "skipped", "sources_deleted", "warnings", "errors")


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
        "not_shipped": {},
        "given_up": {},
        "sources_deleted": [],
        "spool": {"archives": 0, "bytes": 0},
        "ledger": None,
        "warnings": [],
        "errors": [],
    }


def in_short(record: RunRecord) -> RunRecord:
    """What is kept of the record of an older run: how it ended, its first error, and what later runs look back to."""
    short = blank_record(record["job"], record["host"])
    for name in ("started", "seconds", "outcome", "exit_code", "changed", "open_since", "spool"):
        if name in record:
            short[name] = record[name]
    short["errors"] = [error[:LONGEST_ERROR] for error in record["errors"][:1]]
    return short


def _bounded(record: RunRecord) -> t.Dict[str, t.Any]:
    """The record with at most ``LISTED`` entries in each list."""
    return {name: value[:LISTED] if name in _LISTS else value for name, value in t.cast(t.Dict[str, t.Any], record).items()}


class Runs:
    """The runs in a catalog's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, job: str, started: float) -> int:
        """Record that a run began; returns its number."""
        return self._database.insert("INSERT INTO runs (job, started) VALUES (?, ?)", (job, started))

    def end(self, number: int, ended: float, record: RunRecord) -> None:
        """Record how a run ended. Now and then, cut the records of older runs."""
        values = (ended, record["exit_code"], light.dumps(_bounded(record)), number)
        self._database.execute("UPDATE runs SET ended = ?, exit_code = ?, recap = ? WHERE id = ?", values)
        if number % EACH == 0:
            self._cut(record["job"], ended)

    def _cut(self, job: str, now: float) -> None:
        """Shorten the records of all but the last runs, and count the oldest instead of listing them.

        The first run, the last success, and the last that did not begin in the future stay: later runs look back to them.
        """
        with self._database.transaction():
            needed = [
                self._edge("MIN(id)", job, "1"),
                self._edge("MAX(id)", job, "exit_code = 0"),
                self._edge("MAX(id)", job, "exit_code = 0 AND started <= %r" % now),
            ]
            oldest = "SELECT id FROM runs WHERE job = ? AND id NOT IN (%s) AND id <= ?" % ", ".join(str(one) for one in needed if one)
            last = self._nth(job, IN_SHORT)
            self._database.execute(
                "INSERT OR REPLACE INTO outcomes SELECT job, exit_code, COUNT(*) + COALESCE((SELECT o.runs FROM outcomes AS o"
                " WHERE o.job = runs.job AND o.exit_code = runs.exit_code), 0) FROM runs"
                " WHERE id IN (%s) AND ended IS NOT NULL GROUP BY job, exit_code" % oldest,
                (job, last),
            )
            self._database.execute("DELETE FROM runs WHERE id IN (%s)" % oldest, (job, last))
            query = "SELECT id FROM runs WHERE job = ? AND id <= ? AND length(recap) > 1000"
            for (number,) in self._database.execute(query, (job, self._nth(job, IN_FULL))):
                recap = self._database.execute("SELECT recap FROM runs WHERE id = ?", (number,))[0][0]
                self._database.execute("UPDATE runs SET recap = ? WHERE id = ?", (light.dumps(in_short(light.loads(recap))), number))

    def _edge(self, which: str, job: str, condition: str) -> t.Optional[int]:
        query = "SELECT %s FROM runs WHERE job = ? AND %s" % (which, condition)
        return t.cast(t.Optional[int], self._database.execute(query, (job,))[0][0])

    def _nth(self, job: str, number: int) -> int:
        """The id of the newest run that is not one of the last ``number``; 0 if there is none."""
        rows = self._database.execute("SELECT id FROM runs WHERE job = ? ORDER BY id DESC LIMIT 1 OFFSET ?", (job, number))
        return int(rows[0][0]) if rows else 0

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

    def archived_until(self, job: str, now: float) -> t.Tuple[t.Optional[float], t.Optional[str]]:
        """Up to when the logs of all periods that had ended are archived, as far as they existed: the last success, in seconds since the
        epoch, None if there is none; and the start (ISO 8601, UTC) of the oldest period with a log that was not ready then, or None."""
        last = self.last_success(job, now)
        if last is None:
            return None, None
        return last.started, last.record.get("open_since") if last.record else None

    def refused_in_a_row(self, job: str, store: str) -> int:
        """In how many of the last runs, one after the other, a guard refused to prune the store. Runs that did not prune it are skipped."""
        count = 0
        query = "SELECT recap FROM runs WHERE job = ? AND recap IS NOT NULL ORDER BY id DESC LIMIT ?"
        for (recap,) in self._database.execute(query, (job, IN_FULL)):
            pruned = light.loads(recap)["pruned"].get(store)
            if pruned is not None and not pruned["refusals"]:
                break
            count += pruned is not None
        return count

    def outcomes(self, job: str) -> t.Dict[int, int]:
        """How many runs of a job ended with each exit code."""
        query = (
            "SELECT exit_code, SUM(runs) FROM (SELECT exit_code, COUNT(*) AS runs FROM runs WHERE job = ? AND ended IS NOT NULL"
            " GROUP BY exit_code UNION ALL SELECT exit_code, runs FROM outcomes WHERE job = ?) GROUP BY exit_code"
        )
        return dict(t.cast(t.List[t.Tuple[int, int]], self._database.execute(query, (job, job))))

    def _last(self, condition: str, values: t.Tuple[t.Any, ...]) -> t.Optional[Run]:
        query = "SELECT started, ended, exit_code, recap FROM runs WHERE %s ORDER BY id DESC LIMIT 1" % condition
        rows = self._database.execute(query, values)
        return next((Run(row[0], row[1], row[2], light.loads(row[3]) if row[3] else None) for row in rows), None)
