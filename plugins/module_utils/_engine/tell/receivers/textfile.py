# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Metrics of a job for the textfile collector of Prometheus' node exporter."""

from __future__ import annotations

import os
import typing as t

from .base import Receiver, ReceiverError

if t.TYPE_CHECKING:
    from ...config.document import NotifyTarget
    from ..messages import Message

MODE = 0o644
"""The collector runs as another user."""


def name_of(job: str) -> str:
    """The name of the file of a job."""
    return "log_archive_%s.prom" % job


def path_of(folder: str, job: str) -> str:
    """Its path."""
    return os.path.join(folder, name_of(job))


def start(target: NotifyTarget, _seconds: float, message: Message) -> None:
    """Replace the file as a run starts: a run that hangs shows."""
    deliver(target, message)


def deliver(target: NotifyTarget, message: Message) -> None:
    """Replace the file of the job in one step. The collector reads only names that end in .prom, so never an unfinished file."""
    from ...base.beneath import open_guarded
    from ...base.durable import write_atomically
    from ..metrics import render

    facts = message.facts()
    folder = t.cast(str, target["path"])
    try:
        with open_guarded(folder) as held:
            write_atomically(name_of(facts.job), render(facts).encode("utf-8"), MODE, dir_fd=held)
    except OSError as error:
        raise ReceiverError("cannot write %s: %s" % (path_of(folder, facts.job), error.strerror)) from error


RECEIVER = Receiver(deliver, start=start, is_local=True)
