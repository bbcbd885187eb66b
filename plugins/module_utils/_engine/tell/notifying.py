# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send notifications: which receivers want a message, in which order, with a second attempt and a time limit.

Nothing here raises. A notification that fails is a warning, and never a reason to lose an archive. When ``report_run`` is called, the
run has ended and its record is in the catalog.
"""

from __future__ import annotations

import time
import typing as t

from ..base.errors import LogArchiveError
from .messages import Message
from .receivers import RECEIVERS
from .receivers.base import ReceiverError, seconds_of
from .records import has_failed

if t.TYPE_CHECKING:
    from ..config.document import JobDocument, NotifyTarget
    from ..state.record import RunRecord
    from .metrics import JobFacts

PAUSE = 1.0
"""Seconds before the second attempt."""
LONGEST_START = 5.0
"""Seconds. A run waits no longer for the report of its start."""
LONGEST_LOCAL = 30.0
"""Seconds that writing a local file may take: another process may hold its lock, or its file system may hang."""


class Outcome(t.NamedTuple):
    """The result of one notification. state: 'sent', 'failed', 'not due' or, in check mode, 'would be sent'."""

    type: str
    state: str
    error: t.Optional[str]


def report_start(document: JobDocument) -> t.List[str]:
    """Report the start of a run to the receivers that want it; returns warnings."""
    message = Message([], facts=lambda: _facts(document, None))
    warnings = []
    for index, target in enumerate(document["notify"]):
        receiver = RECEIVERS[target["type"]]()
        if receiver.start is not None:
            error = _report_start_to(receiver.start, target, message, start_seconds(target))
            # A file on this host is written again at the end, which reports the same error.
            if error is not None and not receiver.is_local:
                warnings.append(_warning(index, target, "cannot report the start of the run: %s" % error))
    return warnings


def start_seconds(target: NotifyTarget) -> float:
    """How long the report of a start may take; the report of the end has the rest of the time limit."""
    return min(LONGEST_START, seconds_of(target) / 2)


def _report_start_to(
    start: t.Callable[[NotifyTarget, float, Message], None], target: NotifyTarget, message: Message, seconds: float
) -> t.Optional[LogArchiveError]:
    return _within(seconds, lambda: start(target, seconds, message))


def report_run(document: JobDocument, record: RunRecord, previous: t.Optional[RunRecord]) -> t.List[str]:
    """Report a run that has ended to the receivers that want it; returns warnings. previous: the last completed run before it."""
    recovered = previous is not None and has_failed(previous) and not has_failed(record)
    return _report(document["notify"], document["log"], record, recovered, lambda: _facts(document, record))


def report_verification(document: JobDocument, record: RunRecord, recovered: bool) -> t.List[str]:
    """Report a verification as ``report_run`` does a run; returns warnings. recovered: archives failed before, and none does now.

    One in which nothing failed only brings the metrics up to date: a success ping would stand for a run of the job.
    """
    targets = document["notify"]
    if not has_failed(record):
        wanted = ("mail", "chat", "log", "textfile") if recovered else ("textfile",)
        targets = [target for target in targets if target["type"] in wanted]
    return _report(targets, document["log"], record, recovered, lambda: _facts(document, None))


def report_early_failure(targets: t.Sequence[NotifyTarget], log: t.Optional[str], record: RunRecord) -> t.List[str]:
    """Report a run that could not begin: its document, its folders or its catalog cannot be used; returns warnings."""
    return _report(targets, log, record, False, lambda: _unknown(record))


def _report(
    targets: t.Sequence[NotifyTarget], log: t.Optional[str], record: RunRecord, recovered: bool, facts: t.Callable[[], JobFacts]
) -> t.List[str]:
    warnings: t.List[str] = []
    # Local receivers come last: log and metrics then include the notifications that failed.
    for index, target in sorted(enumerate(targets), key=lambda item: RECEIVERS[item[1]["type"]]().is_local):
        if wants(target, [record], recovered):
            known = t.cast("RunRecord", {**record, "warnings": [*record["warnings"], *warnings]})
            error = deliver(target, Message([known], recovered, log, facts))
            if error is not None:
                warnings.append(_warning(index, target, error))
    return warnings


def send(targets: t.Sequence[NotifyTarget], records: t.Sequence[RunRecord], check: bool = False) -> t.List[Outcome]:
    """Send one message about these runs to each target. A target without ``when`` wants every message. check: send nothing."""
    message = Message(records)
    outcomes = []
    for index, target in enumerate(targets):
        if target["when"] and not wants(target, records, recovered=False):
            outcomes.append(Outcome(target["type"], "not due", None))
        elif check:
            outcomes.append(Outcome(target["type"], "would be sent", None))
        else:
            error = deliver(target, message)
            outcomes.append(Outcome(target["type"], "failed" if error else "sent", _warning(index, target, error) if error else None))
    return outcomes


def wants(target: NotifyTarget, records: t.Sequence[RunRecord], recovered: bool) -> bool:
    """Whether the target wants a message about these runs."""
    holds = {
        "always": True,
        "change": any(record["changed"] for record in records),
        "warning": any(record["warnings"] for record in records),
        "failure": any(map(has_failed, records)),
        "recovery": recovered,
    }
    return any(holds[each] for each in target["when"] or RECEIVERS[target["type"]]().default_when)


def deliver(target: NotifyTarget, message: Message) -> t.Optional[str]:
    """Deliver the message, with a second attempt if it may help and there is time; returns the error, or None.

    The time limit of the target is for all of it, with the report of the start: no run is held longer.
    """
    receiver = RECEIVERS[target["type"]]()
    seconds = LONGEST_LOCAL if receiver.is_local else seconds_of(target)
    if receiver.start is not None and not receiver.is_local:
        seconds -= start_seconds(target)
    end = time.monotonic() + seconds
    error = _within(seconds, lambda: receiver.deliver(limited(target, seconds), message))
    left = end - time.monotonic() - PAUSE
    if error is None or not getattr(error, "retryable", False) or left <= 0:
        return None if error is None else str(error)
    time.sleep(PAUSE)
    rest = getattr(error, "rest", None) or target
    error = _within(left, lambda: receiver.deliver(limited(rest, left), message))
    return None if error is None else "%s (tried twice)" % error


def limited(target: NotifyTarget, seconds: float) -> NotifyTarget:
    """The target with this time limit for one attempt."""
    return t.cast("NotifyTarget", {**target, "timeout": seconds})


def _within(seconds: float, call: t.Callable[[], None]) -> t.Optional[LogArchiveError]:
    """Call it in a thread and wait this long: a server that answers one byte a second never reaches the timeout of a socket."""
    import threading

    ended: t.List[t.Optional[BaseException]] = []

    def work() -> None:
        try:
            call()
        except BaseException as error:
            ended.append(error)
        else:
            ended.append(None)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if not ended:
        return ReceiverError("it took longer than %g s" % seconds)
    if ended[0] is None or isinstance(ended[0], LogArchiveError):
        return ended[0]
    # A defect, here or in a library: its text may hold a secret.
    return ReceiverError("unexpected %s" % type(ended[0]).__name__, retryable=False)


def _warning(index: int, target: NotifyTarget, error: str) -> str:
    return "notify[%d] (%s): %s" % (index, target["type"], error)


def _unknown(record: RunRecord) -> JobFacts:
    from .metrics import unknown

    return unknown(record)


def _facts(document: JobDocument, record: t.Optional[RunRecord]) -> JobFacts:
    from .metrics import facts_of

    return facts_of(document, record)
