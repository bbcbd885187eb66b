# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Notifications about a stream: rejected lines, gaps, sinks that are down, followers and ingests that failed.

A problem is reported once, and its end once. What was reported is kept in a file of the state folder, so that a follower that systemd
starts again and again, or an ingest that cron starts, repeats nothing.
"""

from __future__ import annotations

import json
import os
import time
import typing as t
from datetime import datetime, timezone

from ..archive.naming import host_name
from ..base.errors import EXIT_DONE, EXIT_FAILED, EXIT_PARTLY, LogArchiveError
from ..base.texts import line
from ..base.units import format_size, format_utc, parse_duration
from ..state import folders
from ..state.runs import blank_record

if t.TYPE_CHECKING:
    from ..config.document import NotifyTarget
    from ..config.stream_document import StreamDocument
    from ..ingest.facts import SinkState
    from ..state.record import RunRecord

COLLECTED = 3600.0
"""Seconds between two reports of gaps, and of rejected lines, at least."""
MOST_TEXT = 500
"""Characters of an error that are kept and sent."""
PERIODIC = ("textfile", "ping")
"""Receivers that get the state of the stream all the time, and not events."""


class Problem(t.TypedDict):
    """A sink that is down. since: Unix seconds."""

    since: float
    text: str
    reported: bool


class Memory(t.TypedDict):
    """What was reported. sinks: by name. waiting: rejected lines, gaps, bytes of gaps that are not reported; sent: when they were last."""

    sinks: t.Dict[str, Problem]
    waiting: t.Dict[str, int]
    sent: t.Dict[str, float]


def _forget() -> Memory:
    return {"sinks": {}, "waiting": {"rejected": 0, "gaps": 0, "gap_bytes": 0}, "sent": {"rejected": 0.0, "gaps": 0.0}}


class Alarms:
    """The notifications of one process that moves lines. now: Unix seconds.

    deliver: sends a record to a receiver, and returns why that failed, or None.
    """

    def __init__(self, document: StreamDocument, deliver: t.Callable[[NotifyTarget, RunRecord, bool], t.Optional[str]]) -> None:
        self._document = document
        self._deliver = deliver
        self._after = parse_duration(document["notify_after"])
        self._targets = [target for target in document["notify"] if target["type"] not in PERIODIC]
        self._path = os.path.join(document["state"], "%s.stream.alarms.json" % document["name"])
        self._memory = self._read() if document["notify"] else _forget()
        self._counted: t.Dict[str, t.Tuple[int, int, int]] = {}

    def look(self, states: t.Sequence[SinkState], now: t.Optional[float] = None) -> t.List[str]:
        """Report what is new in the states of all sinks; returns warnings about receivers."""
        if not self._document["notify"]:
            return []
        now = time.time() if now is None else now
        before = json.dumps(self._memory)
        ended = self._ended(states)
        self._count(states)
        errors = self._down(states, now)
        warnings: t.List[str] = []
        waiting = self._memory["waiting"]
        if waiting["gaps"] and self._due("gaps", now):
            known = ", %s of known size" % format_size(waiting["gap_bytes"]) if waiting["gap_bytes"] else ""
            errors.append("the source lost lines before they were read: %s%s" % (_count(waiting["gaps"], "gap"), known))
            waiting["gaps"] = waiting["gap_bytes"] = 0
        if waiting["rejected"] and self._due("rejected", now):
            hint = "'log-archive ingest %s --rejected' tries them again once the document is right" % self._document["name"]
            warnings.append("%s rejected; %s" % (_count(waiting["rejected"], "line was", "lines were"), hint))
            waiting["rejected"] = 0
        failed = self._send(errors, warnings, ended) if errors or warnings or ended else []
        if json.dumps(self._memory) != before:
            failed += self._write()
        return failed

    def state(self) -> RunRecord:
        """What is known now, for receivers that get it all the time."""
        problems = self._memory["sinks"].items()
        return self._record(["the sink %s is down: %s" % (name, each["text"]) for name, each in problems if each["reported"]], [], [])

    def _ended(self, states: t.Sequence[SinkState]) -> t.List[str]:
        """The sinks that work again after they were reported."""
        found = []
        for state in states:
            if not state.trouble:
                problem = self._memory["sinks"].pop(state.sink, None)
                if problem is not None and problem["reported"]:
                    found.append(state.sink)
        # A sink that is not in the document any more.
        for name in set(self._memory["sinks"]) - {sink["name"] for sink in self._document["sinks"]}:
            del self._memory["sinks"][name]
        return found

    def _count(self, states: t.Sequence[SinkState]) -> None:
        """Add what is new in the counts, which start again with each process. All sinks get the same lines, so the most."""
        new = []
        for state in states:
            counts = (state.rejected, state.gaps, state.gap_bytes)
            last = self._counted.get(state.sink, (0, 0, 0))
            self._counted[state.sink] = counts
            new.append([count - old for count, old in zip(counts, last)])
        for index, name in enumerate(("rejected", "gaps", "gap_bytes")):
            self._memory["waiting"][name] += max((counts[index] for counts in new), default=0)

    def _down(self, states: t.Sequence[SinkState], now: float) -> t.List[str]:
        """The sinks that have to be reported now."""
        errors = []
        for state in states:
            if not state.trouble:
                continue
            text = line(state.trouble)[:MOST_TEXT]
            problem = self._memory["sinks"].setdefault(state.sink, {"since": state.since, "text": text, "reported": False})
            problem["text"] = text
            # The clock may have been set back.
            problem["since"] = min(problem["since"], now)
            if not problem["reported"] and (state.failed or now - problem["since"] >= self._after):
                problem["reported"] = True
                since = format_utc(datetime.fromtimestamp(int(problem["since"]), timezone.utc))
                errors.append("the sink %s has been down since %s, and lines wait: %s" % (state.sink, since, text))
        return errors

    def _due(self, what: str, now: float) -> bool:
        sent = self._memory["sent"]
        if 0 <= now - sent[what] < COLLECTED:
            return False
        sent[what] = now
        return True

    def _send(self, errors: t.List[str], warnings: t.List[str], ended: t.List[str]) -> t.List[str]:
        record = self._record(errors, warnings, ended)
        events = {"failure": bool(errors), "warning": bool(warnings), "recovery": bool(ended)}
        failed = []
        for index, target in enumerate(self._targets):
            wanted = target["when"] or (list(events) if target["type"] == "log" else ["failure", "recovery"])
            if any(events[each] for each in wanted):
                error = self._deliver(target, record, bool(ended) and not errors)
                if error is not None:
                    failed.append("notify[%d] (%s): %s" % (index, target["type"], error))
        return failed

    def _record(self, errors: t.List[str], warnings: t.List[str], ended: t.List[str]) -> RunRecord:
        """The events in the form of the record of a run, which all receivers can show."""
        name = "stream %s" % self._document["name"]
        record = blank_record(name, host_name(self._document["host"]))
        record["started"] = format_utc(datetime.now(timezone.utc))
        record["errors"], record["warnings"] = errors, warnings
        works = ["the sink %s works again" % sink for sink in ended]
        record["outcome"] = ", ".join(["failed"] * bool(errors) + ["lines rejected"] * bool(warnings) + works) or "fine"
        record["exit_code"] = EXIT_FAILED if errors else EXIT_PARTLY if warnings else EXIT_DONE
        return record

    def _read(self) -> Memory:
        memory = _forget()
        try:
            with open(self._path, encoding="utf-8") as file:
                given = json.load(file)
            for name, problem in given["sinks"].items():
                kept: Problem = {"since": float(problem["since"]), "text": str(problem["text"]), "reported": bool(problem["reported"])}
                memory["sinks"][str(name)] = kept
            memory["waiting"].update({name: int(given["waiting"][name]) for name in memory["waiting"]})
            memory["sent"].update({name: float(given["sent"][name]) for name in memory["sent"]})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # It is not there yet, or is damaged: then something is reported once more.
            return _forget()
        return memory

    def _write(self) -> t.List[str]:
        from ..base.durable import write_atomically

        try:
            with folders.held(self._document["state"], create=True) as state:
                write_atomically(os.path.basename(self._path), json.dumps(self._memory).encode("ascii"), 0o600, dir_fd=state)
        except OSError as error:
            return ["cannot record what was reported: %s: %s" % (self._path, error.strerror)]
        except LogArchiveError as error:
            # The folder was removed or changed while the follower ran. That must not end the notifications.
            return ["cannot record what was reported: %s" % error]
        return []


def _count(number: int, what: str, many: str = "") -> str:
    return "%d %s" % (number, what if number == 1 else many or what + "s")
