# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all receivers share: the news that they deliver, and why they could not."""

from __future__ import annotations

import socket
import ssl
import typing as t

from ...base.errors import LogArchiveError
from ...base.units import parse_duration


class ReceiverError(LogArchiveError):
    """A notification was not delivered. ``retryable``: whether it may pass; ``rest``: the target of what is left to be delivered."""

    def __init__(self, message: str, retryable: bool = True, rest: t.Optional[t.Mapping[str, t.Any]] = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.rest = rest


class News(t.NamedTuple):
    """What there is to tell: texts, each called only by who needs it.

    state: 'done', 'warning' or 'failed'. table: Markdown with Mattermost's pictograms, of so many characters at most. recaps: what the
    texts are made of. metrics: the text of a Prometheus file. log: the file that may be attached.
    """

    job: t.Optional[str]
    state: str
    subject: str
    text: t.Callable[[], str]
    html: t.Callable[[], str]
    table: t.Callable[[int], str]
    recaps: t.Sequence[t.Mapping[str, t.Any]]
    metrics: t.Callable[[], str]
    log: t.Optional[str] = None


def seconds_of(target: t.Mapping[str, t.Any]) -> float:
    """How long one attempt may take."""
    return parse_duration(target["timeout"])


def tls_context(ca_bundle: t.Optional[str]) -> ssl.SSLContext:
    """Certificates and names are always checked."""
    try:
        return ssl.create_default_context(cafile=ca_bundle)
    except (OSError, ssl.SSLError) as error:
        raise ReceiverError("the CA certificates in %s cannot be used (%s)" % (ca_bundle, error.strerror), retryable=False) from error


def cause(error: BaseException) -> t.Optional[ReceiverError]:
    """Of an error of a network library the reason in words, without what the library says: that may hold the URL. None if unknown."""
    seen: t.List[t.Optional[BaseException]] = []
    waiting: t.List[t.Any] = [error]
    while waiting:
        inner = waiting.pop(0)
        if not isinstance(inner, BaseException) or inner in seen:
            continue
        seen.append(inner)
        known = _known(inner)
        if known is not None:
            return known
        waiting += [inner.__cause__, inner.__context__, getattr(inner, "reason", None), *inner.args]
    return None


def _known(error: BaseException) -> t.Optional[ReceiverError]:
    if isinstance(error, ssl.SSLCertVerificationError):
        return ReceiverError("its TLS certificate is not accepted (%s)" % error.verify_message, retryable=False)
    if isinstance(error, (socket.timeout, TimeoutError)):
        return ReceiverError("it did not answer in time")
    if isinstance(error, ssl.SSLError):
        return ReceiverError("TLS failed (%s)" % (error.reason or "no reason given"))
    if isinstance(error, socket.gaierror):
        return ReceiverError("its name cannot be resolved (%s)" % error.strerror)
    # URLError and requests' errors are OSErrors too, without a number: what they hold comes after them.
    if isinstance(error, OSError) and error.errno is not None and isinstance(error.strerror, str):
        return ReceiverError(error.strerror[:1].lower() + error.strerror[1:])
    return None
