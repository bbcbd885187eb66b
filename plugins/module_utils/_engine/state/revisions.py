# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""When the period of an archive starts, for retention: an archive of a later state of a log is never older than one of an earlier state.

The clock of the host may have been set back between the two. ``holdings.inventory.effective`` is the same for what a store lists.
"""

from __future__ import annotations

import functools
import typing as t

from ..archive.naming import unrevised

Execute = t.Callable[[str, t.Sequence[t.Any]], t.List[t.Tuple[t.Any, ...]]]
"""``Database.execute``."""


def start_of(execute: Execute, job: str, key: str, own: int, paths: t.Callable[[], t.AbstractSet[bytes]]) -> int:
    """The start of the period of a new archive, in seconds since the epoch.

    own: by its manifest. paths: returns those of its logs. Counts the archives in the catalog with a lower revision of ``key``
    and one of these logs.
    """
    first, revision = unrevised(key)
    if revision == 1:
        return own
    later = execute("SELECT id, key, start FROM archives WHERE job = ? AND start > ? ORDER BY start DESC", (job, own))
    for archive, other, start in later:
        family, number = unrevised(other)
        if family == first and number < revision and _has_one_of(execute, archive, paths()):
            return int(start)
    return own


def date_all(execute: Execute) -> None:
    """Date all revisions in the catalog, which have the start of their own manifest."""
    rows = execute("SELECT id, job, key, start FROM archives WHERE key LIKE '%.r%'", ())
    for archive, job, key, start in sorted(rows, key=lambda row: (row[1], unrevised(row[2]))):
        dated = start_of(execute, job, key, start, functools.partial(_paths, execute, archive))
        execute("UPDATE archives SET start = ? WHERE id = ?", (dated, archive))


def _has_one_of(execute: Execute, archive: int, paths: t.AbstractSet[bytes]) -> bool:
    return not paths.isdisjoint(_paths(execute, archive))


def _paths(execute: Execute, archive: int) -> t.Set[bytes]:
    return {row[0] for row in execute("SELECT path FROM sources WHERE archive = ?", (archive,))}
