# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A healthchecks-style URL, requested when a run starts, succeeds or fails: the service notices a job that no longer runs."""

from __future__ import annotations

import typing as t

from .base import Receiver, ReceiverError, network_error, seconds_of, status_error, url_problems

if t.TYPE_CHECKING:
    from ...config.document import NotifyTarget
    from ..messages import Message

LONGEST_BODY = 10_000
"""Characters of the report that are sent at the end of a run. The services show it, and cut it to a size of their choice."""


def deliver(target: NotifyTarget, message: Message) -> None:
    """Report the end of a run."""
    body = message.text()[:LONGEST_BODY].encode("utf-8")
    _request(target, "/fail" if message.state == "failed" else "", body, seconds_of(target))


def start(target: NotifyTarget, seconds: float, _message: Message) -> None:
    """Report the start of a run."""
    _request(target, "/start", b"", seconds)


def url_of(url: str, event: str) -> str:
    """The URL with the event appended to its path."""
    from urllib.parse import urlsplit, urlunsplit

    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + event))


def _request(target: NotifyTarget, event: str, body: bytes, seconds: float) -> None:
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import HTTPSHandler, Request, build_opener

    from ...base.net import tls_context

    url = url_of(t.cast(str, target["url"]), event)
    headers = {"Content-Type": "text/plain; charset=utf-8", "User-Agent": "log-archive"}
    opener = build_opener(HTTPSHandler(context=tls_context(target["ca_bundle"])))
    try:
        # Only the status of the answer matters.
        opener.open(Request(url, data=body, headers=headers), timeout=seconds).close()
    except HTTPError as error:
        error.close()
        raise status_error(error.code) from None
    except (OSError, HTTPException) as error:
        raise network_error(error) or ReceiverError("the request failed (%s)" % type(error).__name__) from None


def problems(target: NotifyTarget, _log: t.Optional[str]) -> t.List[str]:
    """See ``receivers.problems``."""
    return url_problems(target["url"], ("http", "https"))


RECEIVER = Receiver(deliver, problems, start)
