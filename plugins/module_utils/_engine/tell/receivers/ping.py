# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A healthchecks-style URL, called when a run starts, succeeds or fails: a job that no longer runs is missed there."""

from __future__ import annotations

import typing as t

from .base import News, ReceiverError, cause, seconds_of, tls_context

LONGEST_START = 5.0
"""Seconds; a run does not wait longer for the call that says that it begins."""
LONGEST_BODY = 10_000
"""Characters of the recap that go with the call at the end; these services show them and cut them to a size of their own."""


def deliver(target: t.Mapping[str, t.Any], news: News) -> None:
    """Say how the run ended."""
    _call(target, "/fail" if news.state == "failed" else "", news.text()[:LONGEST_BODY].encode("utf-8"), seconds_of(target))


def start(target: t.Mapping[str, t.Any]) -> None:
    """Say that a run begins."""
    _call(target, "/start", b"", min(LONGEST_START, seconds_of(target)))


def _call(target: t.Mapping[str, t.Any], event: str, body: bytes, seconds: float) -> None:
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.parse import urlsplit, urlunsplit
    from urllib.request import HTTPSHandler, Request, build_opener

    parts = urlsplit(target["url"])
    url = urlunsplit(parts._replace(path=parts.path.rstrip("/") + event))
    headers = {"Content-Type": "text/plain; charset=utf-8", "User-Agent": "log-archive"}
    opener = build_opener(HTTPSHandler(context=tls_context(target["ca_bundle"])))
    try:
        # The service is told by the path; what it answers beyond its status is of no use.
        opener.open(Request(url, data=body, headers=headers), timeout=seconds).close()
    except HTTPError as error:
        error.close()
        raise ReceiverError("it answered with status %d" % error.code, retryable=error.code >= 500 or error.code in (408, 429)) from None
    except (OSError, HTTPException) as error:
        raise cause(error) or ReceiverError("the call failed (%s)" % type(error).__name__) from None
