# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all receivers share: the news that they deliver, and why they could not."""

from __future__ import annotations

import typing as t

from ...base import net
from ...base.errors import ConfigError, LogArchiveError
from ...base.units import parse_duration

if t.TYPE_CHECKING:
    import ssl


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
    """TLS settings that check certificates and names; ReceiverError if the CA certificates cannot be read."""
    try:
        return net.tls_context(ca_bundle)
    except ConfigError as error:
        raise ReceiverError(str(error), retryable=False) from error


def cause(error: BaseException) -> t.Optional[ReceiverError]:
    """The cause of an error of a network library, or None if it is unknown; without the library's message, which may hold the URL."""
    found = net.find_cause(error)
    return None if found is None else ReceiverError(found.message, retryable=not found.is_certificate)
