# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metrics of what is left on a host of jobs, earlier names and stores that no document names, for the textfile collector.

They have a file of their own: two files with the same series would be an error of the collector.
"""

from __future__ import annotations

import typing as t

from .metrics import rendered

if t.TYPE_CHECKING:
    from ..state.orphans import OrphanRow

ORPHAN_METRICS = (
    ("orphans", "gauge", "Jobs, earlier names and stores that no job document names any more, and of which something is left."),
    ("orphan_spool_archives", "gauge", "Archives of such jobs that wait in the spool."),
    ("orphan_spool_bytes", "gauge", "Size of these archives."),
    ("orphan_store_archives", "gauge", "Archives of such jobs in stores, which no job prunes or verifies; each store counts."),
)
"""Name, type and help text of each metric."""


def render(rows: t.Sequence[OrphanRow], host: str) -> str:
    """The text of the file. host: as stores name it."""
    values = {
        "orphans": len(rows),
        "orphan_spool_archives": sum(row["spool"]["archives"] for row in rows),
        "orphan_spool_bytes": sum(row["spool"]["bytes"] for row in rows),
        "orphan_store_archives": sum(sum(row["stores"].values()) for row in rows),
    }
    return rendered(ORPHAN_METRICS, {name: [({}, value)] for name, value in values.items()}, {"host": host})
