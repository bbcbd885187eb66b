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


def deliver(target: NotifyTarget, message: Message) -> None:
    """Replace the file of the job in one step. The collector reads only names that end in .prom, so never an unfinished file."""
    from ...base.beneath import open_guarded
    from ...base.durable import write_atomically

    path, name = t.cast(str, target["path"]), "log_archive_%s.prom" % message.records[0]["job"]
    try:
        with open_guarded(path) as folder:
            write_atomically(name, message.metrics().encode("utf-8"), MODE, dir_fd=folder)
    except OSError as error:
        raise ReceiverError("cannot write %s: %s" % (os.path.join(path, name), error.strerror)) from error


RECEIVER = Receiver(deliver, is_local=True)
