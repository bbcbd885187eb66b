# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Report a run that could not begin. Its catalog has no record of it."""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone

from ..archive.naming import host_name
from .record import Recorder

if t.TYPE_CHECKING:
    from ..base.errors import LogArchiveError
    from ..config.document import NotifyTarget


def report(job: str, host: t.Optional[str], notify: t.Sequence[NotifyTarget], log: t.Optional[str], error: LogArchiveError) -> None:
    """Log the error as an event, and notify these receivers of a failed run. host: its configured name. log: path of the event log."""
    recorder = Recorder(job, host_name(host), datetime.now(timezone.utc), False, log)
    recorder.fail(error)
    recorder.conclude(0.0, {"archives": 0, "bytes": 0})
    if notify:
        from ..tell import notifying

        for warning in notifying.report_early_failure(notify, log, recorder.record):
            recorder.warn(warning)
