# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the record of a run while it runs: its steps, warnings, errors and archives, and how it ended; and log its events."""

from __future__ import annotations

from ..base import hints as t
from ..base.errors import EXIT_DONE, EXIT_FAILED, EXIT_INTEGRITY, EXIT_PARTLY, LogArchiveError, typed
from ..base.texts import line
from ..base.units import format_utc
from ..state.runs import blank_record

if t.TYPE_CHECKING:
    from datetime import datetime

    from ..state.entry import Entry
    from ..state.record import ArchiveRecord, RunRecord, SpoolRecord, StepRecord


class Recorder:
    """The record of one run, and its event log. In a dry run (check) no event is written."""

    def __init__(self, job: str, host: str, started: datetime, check: bool, log: t.Optional[str]) -> None:
        self.record: RunRecord = blank_record(job, host)
        self.record["check"] = check
        self.record["started"] = format_utc(started)
        self._events: t.Optional[EventLog] = None
        if log is not None and not check:
            from ..state.events import EventLog

            self._events = EventLog(log, job, host)
        self._step = "start"
        self._error_codes: t.List[int] = []

    # -- steps, warnings, errors --------------------------------------------------------------------------------------

    def begin(self, step: str, listed: bool = True) -> None:
        """What follows belongs to this step. listed: list the step even if it has no warnings and no errors."""
        self._step = step
        if listed:
            self._counts(step)

    def event(self, event: str, **fields: t.Any) -> None:
        """Log an event. A log that cannot be written is an error of this run, and does not stop it."""
        if self._events is None:
            return
        try:
            self._events.write(event, **fields)
        except LogArchiveError as error:
            self._events = None
            self.fail(error)

    def warn(self, text: str) -> None:
        """Record a warning of the current step."""
        self.record["warnings"].append(text)
        counts = self._counts(self._step)
        counts["warnings"] += 1
        counts["state"] = "failed" if counts["errors"] else "warning"
        self.event("warning", text=text)

    def fail(self, error: LogArchiveError) -> None:
        """Record an error of the current step."""
        self._add_error(str(error), self._step, error.exit_code)
        self.event("error", text=str(error))

    def fail_store(self, store: str, error: LogArchiveError) -> None:
        """Record an error of one store. Its event depends on the archive; the caller logs it."""
        step = "store %s" % store
        self._add_error("%s: %s" % (step, error), step, error.exit_code)

    def abort(self, error: BaseException) -> None:
        """Record that the run ends early because of an exception that no step expects."""
        why = str(typed(error)) if isinstance(error, Exception) else line(str(error)) or type(error).__name__
        text = "the run ended early: %s" % why
        self._add_error(text, self._step, EXIT_FAILED)
        self.event("error", text=text)

    def _add_error(self, text: str, step: str, exit_code: int) -> None:
        self.record["errors"].append(text)
        self._error_codes.append(exit_code)
        counts = self._counts(step)
        counts["errors"] += 1
        counts["state"] = "failed"

    def _counts(self, step: str) -> StepRecord:
        return self.record["steps"].setdefault(step, {"state": "done", "errors": 0, "warnings": 0})

    # -- archives -----------------------------------------------------------------------------------------------------

    def add_archive(self, entry: Entry, state: str) -> ArchiveRecord:
        """Add an archive of the catalog to the record; the caller keeps its ``state`` and ``stores`` up to date."""
        from ..archive.manifest import source_bytes

        archive: ArchiveRecord = {
            "name": entry.name,
            "key": entry.key,
            "state": state,
            "size": entry.size,
            "sha256": entry.manifest["archive"]["sha256"],
            "key_id": entry.manifest["encryption"].get("key_id"),
            "sources": [source["path"] for source in entry.manifest["sources"]],
            "source_bytes": source_bytes(entry.manifest),
            "stores": {},
        }
        self.record["archives"].append(archive)
        return archive

    def set_changed(self) -> None:
        """Record that the run has changed something, or in a dry run would."""
        self.record["changed"] = True

    # -- the end ------------------------------------------------------------------------------------------------------

    def conclude(self, seconds: float, spool: SpoolRecord) -> None:
        """Record the end of the work: how long it took, what waits in the spool, and the outcome."""
        record = self.record
        record["spool"] = spool
        if record["sources_deleted"] or any(pruned["removed"] for pruned in record["pruned"].values()):
            self.set_changed()
        record["seconds"] = round(seconds, 3)
        self.judge()
        self.event("run_ended", outcome=record["outcome"], exit_code=record["exit_code"], seconds=record["seconds"])
        # The event itself may have failed.
        self.judge()

    def judge(self) -> None:
        """Set outcome and exit code by what the record holds now."""
        record = self.record
        waiting = bool(record["spool"]["archives"])
        record["exit_code"], record["outcome"] = outcome(self._error_codes, record["changed"], waiting, record["check"])


def outcome(error_codes: t.Sequence[int], changed: bool, waiting: bool, check: bool) -> t.Tuple[int, str]:
    """The exit code and the outcome of a run.

    error_codes: the exit code of each error; changed: the run changed something; waiting: archives wait in the spool.
    """
    if EXIT_INTEGRITY in error_codes:
        return EXIT_INTEGRITY, "integrity failure"
    failures = [code for code in error_codes if code != EXIT_PARTLY]
    if failures and not changed and not waiting:
        return max(failures), "failed"
    if error_codes or (waiting and not check):
        return EXIT_PARTLY, "partly done"
    return EXIT_DONE, "done" if changed else "nothing to do"


def failure(record: RunRecord) -> t.Optional[LogArchiveError]:
    """The error that reports a run that did not end well; None if it did."""
    if record["exit_code"] == EXIT_DONE:
        return None
    from ..base.lists import some

    waiting = record["spool"]["archives"]
    error = LogArchiveError(
        "%s (%s)" % (record["outcome"], some(record["errors"], separator="; ") or "archives wait for a store"),
        "job " + record["job"],
        "%d archive(s) wait in the spool for the next run" % waiting if waiting else None,
    )
    error.exit_code = record["exit_code"]
    return error
