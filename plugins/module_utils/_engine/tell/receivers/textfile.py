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


def name_of_stream(stream: str) -> str:
    """The name of the file of a stream; no job has it."""
    return "log_archive-stream_%s.prom" % stream


NAME_OF_ORPHANS = "log_archive-orphans.prom"
"""The name of the file of what no document names any more; no job and no stream has it."""


def path_of(folder: str, job: str) -> str:
    """Its path."""
    return os.path.join(folder, name_of(job))


def start(target: NotifyTarget, _seconds: float, message: Message) -> None:
    """Replace the file as a run starts: a run that hangs shows."""
    deliver(target, message)


def deliver(target: NotifyTarget, message: Message) -> None:
    """Replace the file of the job in one step. The collector reads only names that end in .prom, so never an unfinished file."""
    from ..metrics import render

    facts = message.facts()
    replace(t.cast(str, target["path"]), name_of(facts.job), render(facts))


def replace(folder: str, name: str, text: str) -> None:
    """Replace a file of metrics in one step. Raises ReceiverError."""
    from ...base.beneath import open_guarded
    from ...base.durable import write_atomically

    try:
        with open_guarded(folder) as held:
            write_atomically(name, text.encode("utf-8"), MODE, dir_fd=held)
    except OSError as error:
        raise ReceiverError("cannot write %s: %s" % (os.path.join(folder, name), error.strerror)) from error


RECEIVER = Receiver(deliver, start=start, is_local=True)
