# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Metrics of a job for the textfile collector of Prometheus' node exporter."""

from __future__ import annotations

import os
import typing as t

from ...base import durable
from .base import News, ReceiverError

MODE = 0o644


def deliver(target: t.Mapping[str, t.Any], news: News) -> None:
    """Replace the job's file in one step; the collector runs as another user and reads only whole files that end with .prom."""
    path = os.path.join(target["path"], "log_archive_%s.prom" % news.job)
    try:
        durable.write_atomically(path, news.metrics().encode("utf-8"), MODE)
    except OSError as error:
        raise ReceiverError("%s cannot be written (%s)" % (path, error.strerror)) from error
