# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a run looks back for logs that are not archived."""

from __future__ import annotations

from ..base import hints as t
from ..base.light import datetime
from ..base.units import UTC, parse_utc

if t.TYPE_CHECKING:
    from .context import Context


def looks_back_to(run: Context) -> t.Optional[datetime.datetime]:
    """The logs of all periods that ended before this are archived, as far as they existed.

    That is the last success, or the oldest log that was not ready then. Before the first success it is what the first run looked for.
    """
    runs, now = run.catalog.runs, run.now.timestamp()
    success, open_since = runs.archived_until(run.job, now)
    if success is not None:
        since = datetime.datetime.fromtimestamp(success, UTC)
        return min(since, parse_utc(open_since)) if open_since else since
    first = runs.first(run.job)
    if first is None or first > now:
        return None
    return datetime.datetime.fromtimestamp(first, UTC) - datetime.timedelta(seconds=run.collector.catch_up)
