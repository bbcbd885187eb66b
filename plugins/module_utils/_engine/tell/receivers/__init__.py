# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The receivers of notifications, one module for each type.

A new receiver is one module with a ``RECEIVER``, one line in ``RECEIVERS``, and its options in ``config.notify_spec``. Receivers get the
texts of a ``Message`` and know nothing about jobs. Their errors never contain a URL or a password.

The modules import what they need to deliver inside functions: every run checks its job document, and most runs send no notification.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ...config.document import NotifyTarget
    from .base import Receiver


def _log() -> Receiver:
    from . import log

    return log.RECEIVER


def _mail() -> Receiver:
    from . import mail

    return mail.RECEIVER


def _chat() -> Receiver:
    from . import chat

    return chat.RECEIVER


def _textfile() -> Receiver:
    from . import textfile

    return textfile.RECEIVER


def _ping() -> Receiver:
    from . import ping

    return ping.RECEIVER


def _cloudwatch() -> Receiver:
    from . import cloudwatch

    return cloudwatch.RECEIVER


def _eventbridge() -> Receiver:
    from . import eventbridge

    return eventbridge.RECEIVER


RECEIVERS: t.Dict[str, t.Callable[[], Receiver]] = {
    "log": _log,
    "mail": _mail,
    "chat": _chat,
    "textfile": _textfile,
    "ping": _ping,
    "cloudwatch": _cloudwatch,
    "eventbridge": _eventbridge,
}


def problems(target: NotifyTarget, log: t.Optional[str]) -> t.List[str]:
    """Mistakes in the options of one target that their table cannot describe, as 'option: what is wrong'. log: the event log of the job."""
    return RECEIVERS[target["type"]]().problems(target, log)
