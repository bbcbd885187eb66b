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
    warnings = []
    for index, target in enumerate(document["notify"]):
        start = RECEIVERS[target["type"]]().start
        if start is not None:
            error = _report_start_to(start, target)
            if error is not None:
                warnings.append(_warning(index, target, "cannot report the start of the run: %s" % error))
    return warnings


def _report_start_to(start: t.Callable[[NotifyTarget, float], None], target: NotifyTarget) -> t.Optional[LogArchiveError]:
    seconds = min(LONGEST_START, seconds_of(target))
    return _within(seconds, lambda: start(target, seconds))


def report_run(document: JobDocument, record: RunRecord, previous: t.Optional[RunRecord]) -> t.List[str]:
    """Report a run that has ended to the receivers that want it; returns warnings. previous: the last completed run before it."""
    recovered = previous is not None and has_failed(previous) and not has_failed(record)
    return _report(document["notify"], document["log"], record, recovered, lambda: _facts(document))


def report_early_failure(targets: t.Sequence[NotifyTarget], log: t.Optional[str], record: RunRecord) -> t.List[str]:
    """Report a run that could not begin: its document, its folders or its catalog cannot be used; returns warnings."""
    return _report(targets, log, record, False, lambda: _unknown(record["job"]))


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
    """Deliver the message, with a second attempt if it may help; returns the error, or None."""
    receiver = RECEIVERS[target["type"]]()
    seconds = LONGEST_LOCAL if receiver.is_local else seconds_of(target)
    error = _within(seconds, lambda: receiver.deliver(target, message))
    if error is None or not getattr(error, "retryable", False):
        return None if error is None else str(error)
    time.sleep(PAUSE)
    rest = getattr(error, "rest", None) or target
    error = _within(seconds, lambda: receiver.deliver(rest, message))
    return None if error is None else "%s (tried twice)" % error


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
    # The timeout of the socket is the same, and its error is more exact.
    thread.join(seconds + 0.5)
    if not ended:
        return ReceiverError("it took longer than %g s" % seconds)
    if ended[0] is None or isinstance(ended[0], LogArchiveError):
        return ended[0]
    # A defect, here or in a library: its text may hold a secret.
    return ReceiverError("unexpected %s" % type(ended[0]).__name__, retryable=False)


def _warning(index: int, target: NotifyTarget, error: str) -> str:
    return "notify[%d] (%s): %s" % (index, target["type"], error)


def _unknown(job: str) -> JobFacts:
    from .metrics import JobFacts

    return JobFacts.unknown(job)


def _facts(document: JobDocument) -> JobFacts:
    import contextlib

    from ..state import status
    from ..state.catalog import Catalog
    from .metrics import JobFacts

    row = status.of(document)
    with contextlib.closing(Catalog(document["state"])) as catalog:
        return JobFacts(row, catalog.runs.outcomes(document["name"]), [store["name"] for store in document["stores"]])
