# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A message to Mattermost, or to any other service that Apprise knows.

Apprise logs URLs, tokens and payloads: its log is read here for the reason of a failure and goes nowhere else.
"""

from __future__ import annotations

import logging
import re
import typing as t

from ...base.errors import MissingLibraryError
from .base import News, ReceiverError, cause, seconds_of

MATTERMOST_LIMIT = 16383
"""Characters of a post, by Mattermost's documentation."""
PICTOGRAMS = {"done": "\u2705", "warning": "\u26a0\ufe0f", "failed": "\u274c"}


SAID = (
    ("CERTIFICATE_VERIFY_FAILED", "its TLS certificate is not accepted"),
    ("onnection refused", "connection refused"),
    ("timed out", "it did not answer in time"),
    ("Failed to resolve", "its name cannot be resolved"),
    ("Name or service not known", "its name cannot be resolved"),
)
"""What the logs of Apprise before 2.0 say, which hold the text of an error and not the error itself, and what it means."""


def deliver(target: t.Mapping[str, t.Any], news: News) -> None:
    """Send one message: to Mattermost a table, to other services the text, cut to what the service takes."""
    try:
        import apprise
    except ImportError:
        raise MissingLibraryError("apprise", "notifications by chat") from None
    listener = _Listener()
    for logger in [logging.getLogger("apprise"), logging.getLogger("urllib3")]:
        logger.handlers[:] = [listener]
        logger.propagate = False
        logger.setLevel(logging.DEBUG)
    # No plugin is looked for on the disk, nothing in the text is a code to be replaced, and no picture from Apprise's own site is shown.
    asset = apprise.AppriseAsset(
        app_id="log-archive", app_desc="log-archive", plugin_paths=[], interpret_emojis=False, image_url_mask=None, image_url_logo=None
    )
    try:
        service = apprise.Apprise.instantiate(_apprise_url(target["url"]), asset=asset)
        if service is None:
            raise ReceiverError("Apprise knows no service with such a URL", retryable=False)
        service.socket_connect_timeout = service.socket_read_timeout = seconds_of(target)
        if target["ca_bundle"]:
            # Apprise hands this to requests, where a path in the place of "yes" is the CA bundle.
            service.verify_certificate = target["ca_bundle"]
        if service.secure_protocol == "mmosts":
            sent = service.notify(body=news.table(MATTERMOST_LIMIT))
        else:
            title = "%s %s" % (PICTOGRAMS[news.state], news.subject)
            body = cut(news.text(), service.body_maxlen - len(title) - 2)
            sent = service.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT)
    except ReceiverError:
        raise
    except Exception as error:
        # Whatever one of its many services stumbles over may say more than may be told.
        raise cause(error) or ReceiverError("Apprise failed (%s)" % type(error).__name__) from None
    if not sent:
        raise listener.reason()


def _apprise_url(url: str) -> str:
    """An incoming webhook of Mattermost as Apprise writes it; any other URL as it is."""
    from urllib.parse import urlsplit, urlunsplit

    parts = urlsplit(url)
    folder, _slash, token = parts.path.rstrip("/").rpartition("/")
    if parts.scheme not in ("http", "https") or not folder.endswith("/hooks"):
        return url
    scheme = "mmosts" if parts.scheme == "https" else "mmost"
    return urlunsplit((scheme, parts.netloc, "%s/%s" % (folder[: -len("/hooks")], token), parts.query, ""))


def cut(text: str, limit: int) -> str:
    """The text, of so many characters at most, without a half line at its end."""
    if len(text) <= limit:
        return text
    note = "\n(cut)"
    kept = text[: max(0, limit - len(note))]
    return kept[: kept.rfind("\n") if "\n" in kept else None] + note


class _Listener(logging.Handler):
    """Hears why Apprise could not send: the exception that it logs, or the status of an answer."""

    def __init__(self) -> None:
        super().__init__()
        self._error: t.Optional[ReceiverError] = None
        self._status: t.Optional[int] = None

    def emit(self, record: logging.LogRecord) -> None:
        for argument in record.args if isinstance(record.args, tuple) else ():
            if isinstance(argument, Exception):
                self._error = cause(argument)
        message = record.getMessage()
        found = re.search(r"\berror=(\d{3})\b", message)
        if found:
            self._status = int(found[1])
        meaning = next((meaning for said, meaning in SAID if said in message), None)
        if meaning is not None and self._error is None:
            self._error = ReceiverError(meaning)

    def reason(self) -> ReceiverError:
        if self._error is not None:
            return self._error
        if self._status is not None:
            retryable = self._status >= 500 or self._status in (408, 429)
            return ReceiverError("it answered with status %d" % self._status, retryable)
        return ReceiverError("the service did not take it")
