# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is told of a run: which of a job's ``notify`` want this one, in what order, each tried twice and none for longer than it may take.

Nothing here raises: a notification that fails is a warning, and never a reason to lose an archive. By the time it is called the run is over
and written down.
"""

from __future__ import annotations

import time
import typing as t

from ..base.errors import LogArchiveError
from . import messages
from .receivers.base import News, ReceiverError, seconds_of

Target = t.Mapping[str, t.Any]
Recap = t.Mapping[str, t.Any]

FAR = ("ping", "mail", "chat")
"""They come first, so that log and metrics know of those that failed."""
PAUSE = 1.0
"""Seconds before the second attempt."""
LONGEST_LOCAL = 30.0
"""Seconds that a file may take: somebody else may hold its lock, or its file system may hang."""


class Outcome(t.NamedTuple):
    """What became of one target. state: 'sent', 'failed', 'not due' or, in check mode, 'would be sent'."""

    index: int
    type: str
    state: str
    error: t.Optional[str]


def started(document: t.Mapping[str, t.Any]) -> t.List[str]:
    """Tell those who are pinged that a run begins; returns warnings."""
    from .receivers import ping

    warnings = []
    for index, target in enumerate(document["notify"]):
        if target["type"] == "ping":
            call, seconds = _start_of(ping.start, target), min(ping.LONGEST_START, seconds_of(target))
            error = _within(seconds, call)
            if error is not None:
                warnings.append(_warning(index, target, "the start was not told: %s" % error))
    return warnings


def _start_of(start: t.Callable[[Target], None], target: Target) -> t.Callable[[], None]:
    return lambda: start(target)


def notify(document: t.Mapping[str, t.Any], recap: Recap, previous: t.Optional[Recap]) -> t.List[str]:
    """Tell those who want it of a run that has ended; returns warnings. previous: the recap of the run before it that ended."""
    recovered = previous is not None and messages.failed(previous) and not messages.failed(recap)
    warnings: t.List[str] = []
    targets = list(enumerate(document["notify"]))
    for index, target in sorted(targets, key=lambda item: item[1]["type"] not in FAR):
        if not wanted(target, [recap], recovered):
            continue
        known = dict(recap, warnings=[*recap["warnings"], *warnings])
        error = deliver(target, _news_of(document, known, recovered))
        if error is not None:
            warnings.append(_warning(index, target, error))
    return warnings


def _news_of(document: t.Mapping[str, t.Any], recap: Recap, recovered: bool) -> t.Callable[[], News]:
    return lambda: messages.news([recap], recovered, document["log"], lambda: _status(document))


def tell(targets: t.Sequence[Target], recaps: t.Sequence[Recap], check: bool = False) -> t.List[Outcome]:
    """Tell of these runs in one message each target; ``when`` is always unless it is given."""
    outcomes = []
    for index, target in enumerate(targets):
        if target["when"] and not wanted(target, recaps, False):
            outcomes.append(Outcome(index, target["type"], "not due", None))
        elif check:
            outcomes.append(Outcome(index, target["type"], "would be sent", None))
        else:
            error = deliver(target, lambda: messages.news(recaps))
            outcomes.append(Outcome(index, target["type"], "failed" if error else "sent", error and _warning(index, target, error)))
    return outcomes


def wanted(target: Target, recaps: t.Sequence[Recap], recovered: bool) -> bool:
    """Whether the target wants to hear of these runs."""
    if target["type"] in ("ping", "textfile"):
        return True
    when = target["when"] or (["always"] if target["type"] == "log" else ["failure", "recovery"])
    holds = {
        "always": True,
        "change": any(recap["changed"] for recap in recaps),
        "warning": any(recap["warnings"] for recap in recaps),
        "failure": any(messages.failed(recap) for recap in recaps),
        "recovery": recovered,
    }
    return any(holds[each] for each in when)


def deliver(target: Target, news: t.Callable[[], News]) -> t.Optional[str]:
    """Deliver, and try once more what may pass; returns what went wrong."""
    seconds = seconds_of(target) if target["type"] in FAR else LONGEST_LOCAL
    error = _within(seconds, lambda: _receiver(target["type"])(target, news()))
    if error is None or not getattr(error, "retryable", False):
        return error and str(error)
    time.sleep(PAUSE)
    rest = getattr(error, "rest", None) or target
    again = _within(seconds, lambda: _receiver(target["type"])(rest, news()))
    return again and "%s (tried twice)" % again


def _receiver(kind: str) -> t.Callable[[Target, News], None]:
    if kind == "mail":
        from .receivers import mail

        return mail.deliver
    if kind == "chat":
        from .receivers import chat

        return chat.deliver
    if kind == "ping":
        from .receivers import ping

        return ping.deliver
    if kind == "textfile":
        from .receivers import textfile

        return textfile.deliver
    from .receivers import log

    return log.deliver


def _within(seconds: float, call: t.Callable[[], None]) -> t.Optional[LogArchiveError]:
    """Call it in a thread that is waited for this long: a server that answers one byte a second meets every timeout of a socket."""
    import threading

    ended: t.List[t.Optional[BaseException]] = []

    def work() -> None:
        try:
            call()
        except BaseException as error:  # it is judged below
            ended.append(error)
        else:
            ended.append(None)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    # The socket's own timeout is the same, and knows better what was waited for.
    thread.join(seconds + 0.5)
    if not ended:
        return ReceiverError("it took longer than %g s" % seconds)
    if ended[0] is None or isinstance(ended[0], LogArchiveError):
        return ended[0]
    # A mistake of ours, or of a library: what it says may hold a secret.
    return ReceiverError("unexpected %s" % type(ended[0]).__name__, retryable=False)


def _warning(index: int, target: Target, error: t.Union[str, LogArchiveError]) -> str:
    return "notify[%d] (%s): %s" % (index, target["type"], error)


def _status(document: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    from ..state import status
    from ..state.catalog import Catalog

    row = status.of(dict(document))
    catalog = Catalog(document["state"])
    try:
        row["runs"] = catalog.runs.outcomes(document["name"])
    finally:
        catalog.close()
    return dict(row, stores=[store["name"] for store in document["stores"]])
