# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all receivers share: their contract, their error, and checks of their options."""

from __future__ import annotations

import typing as t

from ...base.errors import LogArchiveError
from ...base.units import parse_duration

if t.TYPE_CHECKING:
    from ...base.aws_service import Service
    from ...config.document import NotifyTarget
    from ..messages import Message


class ReceiverError(LogArchiveError):
    """A notification was not delivered.

    retryable: whether a second attempt may help. rest: the target without the recipients that have it already.
    """

    kind = "receiver"

    def __init__(self, message: str, retryable: bool = True, rest: t.Optional[NotifyTarget] = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.rest = rest


def no_problems(_target: NotifyTarget, _log: t.Optional[str]) -> t.List[str]:
    """For receivers with options that their table describes completely."""
    return []


class Receiver(t.NamedTuple):
    """One type of receiver.

    deliver(target, message): one attempt; raises LogArchiveError, with ``retryable`` if a second attempt may help.
    problems(target, log): see ``receivers.problems``.
    start(target, seconds, message): report the start of a run within this time; None if the receiver does not want that. The message has
        no run yet.
    default_when: the runs to report if the target does not set ``when``.
    is_local: whether it writes a file on this host.
    """

    deliver: t.Callable[[NotifyTarget, Message], None]
    problems: t.Callable[[NotifyTarget, t.Optional[str]], t.List[str]] = no_problems
    start: t.Optional[t.Callable[[NotifyTarget, float, Message], None]] = None
    default_when: t.Sequence[str] = ("always",)
    is_local: bool = False


def seconds_of(target: NotifyTarget) -> float:
    """The time limit of the target."""
    return parse_duration(target["timeout"])


def opened(name: str, target: NotifyTarget) -> t.ContextManager[Service]:
    """A service of AWS, closed at the end of the context. Each request is made once: the notification is tried twice.

    Raises LogArchiveError.
    """
    import contextlib

    from ...base.aws import access_of
    from ...base.aws_service import Service

    return contextlib.closing(Service(name, access_of(target), attempts=1))


def network_error(error: BaseException) -> t.Optional[ReceiverError]:
    """The cause of an exception of a network library, without the text of the library, which may hold the URL. None if it is unknown."""
    from ...base.net import find_cause

    cause = find_cause(error)
    return ReceiverError(cause.message, retryable=not cause.is_certificate) if cause is not None else None


def status_error(status: int) -> ReceiverError:
    """The answer of an HTTP server that refused."""
    return ReceiverError("it answered with status %d" % status, retryable=status >= 500 or status in (408, 429))


def url_problems(url: t.Optional[str], schemes: t.Sequence[str] = ()) -> t.List[str]:
    """Mistakes in a URL. schemes: the allowed ones, all if empty. The URL is a secret: no message contains it."""
    from urllib.parse import urlsplit

    url = url or ""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return ["url: is not a URL"]
    if not parts.scheme or "://" not in url or not url.isprintable() or " " in url:
        return ["url: is not a URL"]
    if schemes and parts.scheme not in schemes:
        return ["url: must begin with %s" % " or ".join(scheme + "://" for scheme in schemes)]
    if parts.scheme in ("http", "https") and not host:
        return ["url: has no host"]
    return []
