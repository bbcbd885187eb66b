# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why Apprise could not send a message, from its log.

Apprise returns only True or False, and logs URLs, tokens and payloads. Its log is read here and goes nowhere else.
"""

from __future__ import annotations

import logging
import re
import typing as t

from .base import ReceiverError, network_error, status_error

MEANINGS = (
    ("CERTIFICATE_VERIFY_FAILED", "its TLS certificate is not accepted"),
    ("onnection refused", "connection refused"),
    ("timed out", "it did not answer in time"),
    ("Failed to resolve", "its name cannot be resolved"),
    ("Name or service not known", "its name cannot be resolved"),
)
"""Apprise before 2.0 logs the text of an exception instead of the exception: parts of that text, and what they mean."""


def capture() -> AppriseLog:
    """Send the logs of Apprise and its HTTP library to a new ``AppriseLog`` and nowhere else."""
    log = AppriseLog()
    for logger in (logging.getLogger("apprise"), logging.getLogger("urllib3")):
        logger.handlers[:] = [log]
        logger.propagate = False
        logger.setLevel(logging.DEBUG)
    return log


class AppriseLog(logging.Handler):
    """Remembers the exception that Apprise logs, and the status of an HTTP answer."""

    def __init__(self) -> None:
        super().__init__()
        self._error: t.Optional[ReceiverError] = None
        self._status: t.Optional[int] = None

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record of the log."""
        for argument in record.args if isinstance(record.args, tuple) else ():
            if isinstance(argument, Exception):
                self._error = network_error(argument)
        message = record.getMessage()
        found = re.search(r"\berror=(\d{3})\b", message)
        if found:
            self._status = int(found[1])
        meaning = next((meaning for part, meaning in MEANINGS if part in message), None)
        if meaning is not None and self._error is None:
            self._error = ReceiverError(meaning)

    def reason(self) -> ReceiverError:
        """Why the message was not sent."""
        if self._error is not None:
            return self._error
        if self._status is not None:
            return status_error(self._status)
        return ReceiverError("the service did not accept the message")
