# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Follow a stream until a signal ends it, or catch up with it once."""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

from ..archive.naming import host_name
from ..base import durable
from ..base.errors import EXIT_DONE, EXIT_FAILED, EXIT_PARTLY, LockedError, LogArchiveError
from ..base.units import parse_duration
from ..state import folders
from ..state.events import EventLog
from .checkpoint import GAP_KINDS
from .facts import SinkState
from .pump import Pump
from .sinks.base import ConflictError, SinkError, SinkFullError, SinkUnavailableError
from .source import ABSENT, absent_of
from .systemd import Systemd

if t.TYPE_CHECKING:
    from ..config.stream_document import SinkOptions, StreamDocument
    from .checkpoint import Stored
    from .facts import IngestResult, SinkResult

States = t.Callable[[], t.List[SinkState]]
ATTEMPTS = 5
"""How many times in a row ``catch_up`` tries a sink that fails with an error that may pass."""
MOST_WAIT = 60.0
"""Seconds of failed attempts after which ``catch_up`` makes no third one: a server that says nothing takes its time-out each time."""
FIRST_DELAY, LAST_DELAY = 0.5, 60.0
"""Seconds between two attempts: they double. What does not pass without a person, such as a wrong password, is tried again after the
longest: more attempts could lock an account."""
CONFLICTS = 10
"""Conflicts in a row that another follower can explain. They need no pause."""
STOP_TIMEOUT = 30
"""Seconds that a sink gets to complete a batch when the follower is to end."""
GLANCE = 0.25
"""Seconds between two looks at a file that is being written, until the next look at everything."""
TICK = 1.0
"""The most seconds between two signs of life."""
IS_DOWN = " is down: "
"""Between the name of a sink and the reason, in the status of the service."""


def catch_up(document: StreamDocument, check: bool = False, sleep: t.Callable[[float], None] = time.sleep) -> IngestResult:
    """Store all lines that are there now, in every sink. If one sink fails, the others still get theirs.

    check: a dry run, which counts what would be stored, and changes nothing.
    Raises LockedError if the stream is followed already, ConfigError and LogArchiveError if the state folder cannot be used.
    """
    result: IngestResult = {
        "stream": document["name"], "host": host_name(document["host"]), "check": check, "sinks": [], "warnings": [],
        "exit_code": EXIT_DONE,
    }  # fmt: skip
    with contextlib.ExitStack() as stack:
        if not check:
            stack.enter_context(_locked(document))
        warnings: t.Dict[str, str] = {}
        for options in document["sinks"]:
            pump = _dry_pump(document, options) if check else Pump(document, options, observer=SinkLog(Log(document), options["name"]))
            with contextlib.closing(pump):
                error = _catch_up(pump, sleep)
                warnings.update(pump.problems)
            result["sinks"].append(_sink_result(pump, error))
    # A folder may come later, but a call that could look into none has not done its work.
    absent = absent_of(document)
    unread = bool(warnings) or absent.is_all
    for path in absent.paths:
        warnings.setdefault(path, ABSENT)
    result["warnings"] = ["%s: %s" % problem for problem in sorted(warnings.items())]
    if any(sink["error"] for sink in result["sinks"]):
        result["exit_code"] = EXIT_FAILED
    elif unread:
        result["exit_code"] = EXIT_PARTLY
    return result


def _dry_pump(document: StreamDocument, options: SinkOptions) -> Pump:
    from .sinks.dry import DrySink

    return Pump(document, options, open_sink=DrySink, check=True)


def _catch_up(pump: Pump, sleep: t.Callable[[float], None]) -> t.Optional[str]:
    failures, looks, waited = 0, 0, 0.0
    while True:
        begin = time.monotonic()
        try:
            pump.look()
            while pump.step() or pump.deliver():
                failures, waited, begin = 0, 0.0, time.monotonic()
            # A file may be gone at the next call: what is damaged is reported now.
            pump.settle()
            if pump.trouble is not None:
                raise pump.trouble
        except LogArchiveError as error:
            pump.close()
            failures += 1
            waited += time.monotonic() - begin
            if not getattr(error, "retryable", False) or failures >= (ATTEMPTS if waited < MOST_WAIT else 2):
                return str(error)
            if not isinstance(error, ConflictError):
                sleep(FIRST_DELAY * 2**failures)
        else:
            looks += 1
            pause = pump.pause(looks)
            if not pause:
                return None
            sleep(pause)


def _sink_result(pump: Pump, error: t.Optional[str]) -> SinkResult:
    counts = pump.counts
    return {
        "sink": pump.name, "lines": counts.lines, "rows": counts.rows, "rejected": counts.rejected, "gaps": counts.gaps,
        "gap_bytes": counts.gap_bytes, "error": error,
    }  # fmt: skip


class Worker(threading.Thread):
    """Follows the stream for one sink. beat: when it was alive last, on the monotonic clock. failure: what ended it.

    trouble: why the sink is down now; it is tried again.
    """

    def __init__(self, document: StreamDocument, options: SinkOptions, stop: threading.Event, log: Log) -> None:
        super().__init__(name="sink %s" % options["name"], daemon=True)
        self.pump = Pump(document, options, observer=SinkLog(log, options["name"]))
        self.beat = time.monotonic()
        self.ready = threading.Event()
        self.failure: t.Optional[BaseException] = None
        self.trouble = ""
        self._passes = True
        self._since = 0.0
        self._told: t.Set[t.Tuple[str, str]] = set()
        self._poll = parse_duration(document["follow"]["poll"])
        self._stop_event = stop
        self._log = log

    def run(self) -> None:
        """Store lines until the follower is to end. A sink that fails is waited for: the others go on, and the source deletes lines."""
        try:
            with contextlib.closing(self.pump):
                self._work()
        except BaseException as error:
            self.failure = error
        finally:
            self.ready.set()

    def state(self) -> SinkState:
        """What is known of the sink now."""
        counts, trouble = self.pump.counts, str(self.failure) if self.failure is not None else self.trouble
        failed = self.failure is not None or not self._passes
        return SinkState(self.pump.name, trouble, self._since or time.time(), counts.rejected, counts.gaps, counts.gap_bytes, failed)

    def _work(self) -> None:
        delay, look_at, conflicts, works = FIRST_DELAY, 0.0, 0, False
        while not self._stop_event.is_set():
            self.beat = time.monotonic()
            stored = False
            try:
                if self.beat >= look_at:
                    self.pump.look()
                    look_at = time.monotonic() + min(self._poll, self.pump.settles_in or self._poll)
                else:
                    self.pump.glance()
                self._tell_problems()
                # Before a backlog is stored, which may take longer than systemd waits for a start.
                if self.pump.trouble is not None:
                    self._report(self.pump.trouble)
                self.ready.set()
                while not self._stop_event.is_set() and (self.pump.step() or self.pump.deliver()):
                    stored = True
                    self.beat = time.monotonic()
                    self._report(self.pump.trouble)
                    delay, conflicts, works = FIRST_DELAY, 0, True
                self._report(self.pump.trouble)
            except (SinkError, SinkFullError) as error:
                self.pump.close()
                look_at = 0.0
                conflicts += isinstance(error, ConflictError)
                if isinstance(error, ConflictError) and conflicts < CONFLICTS:
                    continue
                if works and isinstance(error, SinkUnavailableError) and time.monotonic() - self.beat < TICK:
                    # Servers and firewalls end a connection that was idle for long: a new one works.
                    works = False
                    continue
                self._report(error)
                self.ready.set()
                self._wait(delay if error.retryable else LAST_DELAY)
                delay = min(LAST_DELAY, delay * 2)
            else:
                delay, conflicts, works = FIRST_DELAY, 0, True
                self.ready.set()
                rest = max(0.0, look_at - time.monotonic())
                self._wait(min(GLANCE, rest) if stored else rest)

    def _report(self, error: t.Optional[LogArchiveError]) -> None:
        """Log once that the sink fails, or that documents wait to be sent; and once that this is over."""
        self._passes = error is None or getattr(error, "retryable", False)
        if error is not None and not self.trouble:
            self._since = time.time()
            self._log.write("sink_failed", self.pump.name + IS_DOWN + str(error), sink=self.pump.name, error=str(error))
        elif error is None and self.trouble:
            self._since = 0.0
            self._log.write("sink_recovered", "%s works again" % self.pump.name, sink=self.pump.name)
        self.trouble = "" if error is None else str(error)

    def _tell_problems(self) -> None:
        """Log once what cannot be read."""
        for path, reason in sorted(set(self.pump.problems.items()) - self._told):
            self._told.add((path, reason))
            text = "%s: cannot read %s: %s" % (self.pump.name, path, reason)
            self._log.write("source_failed", text, sink=self.pump.name, path=path, error=reason)

    def _wait(self, seconds: float) -> None:
        end, watch_at = time.monotonic() + seconds, 0.0
        while not self._stop_event.is_set() and time.monotonic() < end:
            self.beat = time.monotonic()
            if self.beat >= watch_at:
                self.pump.watch()
                watch_at = self.beat + self._poll
            self._stop_event.wait(min(TICK, max(0.0, end - time.monotonic())))


def follow(
    document: StreamDocument,
    stop: threading.Event,
    systemd: t.Optional[Systemd] = None,
    watch: t.Callable[[States], None] = lambda states: None,
    tell: t.Callable[[str], None] = lambda text: None,
) -> IngestResult:
    """Store lines as they are written, until ``stop`` is set; what is being stored then is completed.

    A sink that fails is waited for. watch: called once, with a function that returns the states of the sinks. tell: called with a line for
    people on what goes wrong, and on what works again.
    Raises LockedError if the stream is followed already; LogArchiveError if nothing can be read or parsed.
    """
    systemd = systemd or Systemd()
    with _locked(document):
        log = Log(document, tell)
        log.write("follow_started")
        workers = [Worker(document, options, stop, log) for options in document["sinks"]]
        for worker in workers:
            worker.start()
        watch(lambda: [worker.state() for worker in workers])
        try:
            _supervise(workers, stop, systemd)
        finally:
            stop.set()
            systemd.stopping()
            for worker in workers:
                worker.join(STOP_TIMEOUT)
                if worker.is_alive():
                    # Its batch is stored whole or not at all, and its position with it.
                    worker.trouble = "it did not answer within %d seconds; the follower ended without it" % STOP_TIMEOUT
            log.write("follow_stopped", lines={worker.pump.name: worker.pump.counts.lines for worker in workers})
    for worker in workers:
        if worker.failure is not None:
            raise worker.failure
    warnings = {path: reason for worker in workers for path, reason in worker.pump.problems.items()}
    return {
        "stream": document["name"], "host": host_name(document["host"]), "check": False,
        "sinks": [_sink_result(worker.pump, worker.trouble or None) for worker in workers],
        "warnings": ["%s: %s" % problem for problem in sorted(warnings.items())], "exit_code": EXIT_DONE,
    }  # fmt: skip


def _supervise(workers: t.Sequence[Worker], stop: threading.Event, systemd: Systemd) -> None:
    said, alive_at, ready = "", 0.0, False
    patience = systemd.watchdog or 0.0
    while not stop.is_set() and all(worker.is_alive() for worker in workers):
        now = time.monotonic()
        is_ready = all(worker.ready.is_set() for worker in workers)
        text = _status_text(workers)
        if text != said:
            said = text
            systemd.status(text)
        if is_ready and not ready:
            # Who waited for the start finds the status of each sink.
            ready = True
            systemd.ready()
        # Without this sign systemd starts the service again: a database that never answers must not look like one that is waited for.
        if patience and now - alive_at >= patience / 3 and all(now - worker.beat < patience for worker in workers):
            alive_at = now
            systemd.alive()
        stop.wait(min(TICK, patience / 3) if patience else TICK)


def _status_text(workers: t.Sequence[Worker]) -> str:
    """The status for people, with the sinks that are down first. The role follow looks for ``IS_DOWN`` in it."""
    down = [worker.pump.name + IS_DOWN + worker.trouble for worker in workers if worker.trouble]
    return ", ".join(down + ["%s: %d lines" % (worker.pump.name, worker.pump.counts.lines) for worker in workers if not worker.trouble])


class Log:
    """The event log of a stream, shared by its workers. A full disk must not end a follower: what cannot be logged is dropped.

    tell: called with what people get to know at once.
    """

    def __init__(self, document: StreamDocument, tell: t.Callable[[str], None] = lambda text: None) -> None:
        self._log = EventLog(document["log"], document["name"], host_name(document["host"]))
        self._lock = threading.Lock()
        self._tell = tell

    def write(self, event: str, text: str = "", **fields: t.Any) -> None:
        """Append one event. text: what to tell people of it."""
        with self._lock:
            with contextlib.suppress(LogArchiveError):
                self._log.write(event, **fields)
            if text:
                self._tell(text)


class SinkLog:
    """Writes what a pump reports into the log of events: gaps and rejected lines. sink: its name."""

    def __init__(self, log: Log, sink: str) -> None:
        self._log = log
        self._sink = sink
        self._rejected = False

    def stored(self, stored: Stored) -> None:
        """A batch is stored."""
        path = stored.generation.place.path
        for gap in stored.gaps:
            known = " (%s)" % gap.detail if gap.detail else ""
            text = "%s: gap in %s at offset %d: %s%s" % (self._sink, path, gap.line_offset, GAP_KINDS[gap.kind], known)
            fields = {"offset": gap.line_offset, "bytes": gap.length, "kind": gap.kind, "detail": gap.detail}
            self._log.write("gap", text, sink=self._sink, path=path, **fields)
        if stored.first_rejected is not None:
            offset, reason = stored.first_rejected
            text = "%s: rejected a line of %s at offset %d: %s" % (self._sink, path, offset, reason)
            self._log.write("rejected", self._once(text), sink=self._sink, path=path, lines=stored.rejected, offset=offset, reason=reason)

    def refused(self, documents: int) -> None:
        """The search server refused so many documents, which were stored as rejected lines."""
        text = "%s: the server refused a document, which is a rejected line now" % self._sink
        self._log.write("rejected", self._once(text), sink=self._sink, lines=documents, reason="document")

    def helper_failed(self, reason: str) -> None:
        """The process that stores every other batch of a backlog failed. This one goes on without it, which takes longer."""
        text = "%s: the second process failed, and the follower goes on without it: %s" % (self._sink, reason)
        self._log.write("helper_failed", text, sink=self._sink, reason=reason)

    def _once(self, text: str) -> str:
        """The first text about rejected lines: there can be very many of them."""
        if self._rejected:
            return ""
        self._rejected = True
        return text + ". Later ones are only counted: see 'log-archive streams'"


@contextlib.contextmanager
def _locked(document: StreamDocument) -> t.Iterator[None]:
    """Hold the lock of the stream, after its folder was made and checked."""
    name = "%s.stream.lock" % document["name"]
    with folders.held(document["state"], create=True) as state, contextlib.ExitStack() as stack:
        try:
            stack.enter_context(durable.lock(name, wait=False, dir_fd=state))
        except LockedError as error:
            hint = "That process stores the new lines; end it if it should not"
            raise LockedError("the stream is followed already: %s" % error.message, document["name"], hint) from error
        except OSError as error:
            raise LogArchiveError("cannot create the lock file: %s" % error.strerror, name) from error
        yield
